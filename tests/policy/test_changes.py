"""changes.py: what differs between two Configs, and what a running server has of the new one."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiod import config, configfile, options
from audiod.changes import AT_ONCE, RESTART, Change, applied, diff, flatten
from audiod.config import Config

NULL = '[[device]]\nspec = "null"\n'
LOOP = '[[device]]\nspec = "loopback"\n'
LATER = "device 1 reopens when idle"
REAR = '[[device.subdevice]]\nname = "rear"\n'


def of(text: str) -> Config:
    env = {"XDG_RUNTIME_DIR": "/run/user/1000"}
    return config.resolve(options.parse([]), env, 1000, configfile.merge([("f", text.encode())]))


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        (NULL, "\n" + NULL, []),
        (
            NULL,
            NULL + "[server]\nlog_level='debug'",
            [Change("server.log_level", "info", "debug", AT_ONCE)],
        ),
        (NULL, NULL + "[server]\nrealtime=false", [Change("server.realtime", True, False, RESTART)]),
        (NULL, NULL + "[state]\npath='/x'", [Change("state.path", None, "/x", RESTART)]),
        (NULL, NULL + "hold=true", [Change("device.0.hold", False, True, AT_ONCE)]),
        (NULL, NULL + "rate=8000", [Change("device.0.rate", 48000, 8000, AT_ONCE)]),
        (LOOP + NULL, LOOP + NULL + "rate=8000", [Change("device.1.rate", 48000, 8000, LATER)]),
        (LOOP + NULL, LOOP + "enc='u8'\n" + NULL, [Change("device.0.enc", "s16le", "u8", AT_ONCE)]),
        (NULL + REAR, NULL + REAR + "volume=9", [Change("device.0.subdevice.rear.volume", 127, 9, AT_ONCE)]),
        (
            NULL + REAR,
            NULL + REAR + "play=[2,3]",
            [
                Change("device.0.play_channels", 2, 4, AT_ONCE),
                Change("device.0.subdevice.rear.play", [0, 1], [2, 3], AT_ONCE),
            ],
        ),
    ],
)  # fmt: skip
def test_diff(old: str, new: str, found: list[Change]) -> None:
    """Device 1 is in use, device 0 is not."""
    assert diff(of(old), of(new), {1}) == found


def test_alternates_come_as_devices() -> None:
    found = diff(of(NULL), of(NULL + "on_loss='wait'\nalternates=['file:/x']"))
    assert found[:2] == [
        Change("device.0.alternates", [], ["file:/x"], AT_ONCE),
        Change("device.0.on_loss", "fallback", "wait", AT_ONCE),
    ]
    assert {change.key.rpartition(".")[0] for change in found[2:]} == {"device.1"}
    assert Change("device.1.on_loss", None, "wait", AT_ONCE) in found


def test_devices_and_subdevices_that_come_and_go() -> None:
    more = diff(of(NULL), of(NULL + REAR + LOOP), {0})
    assert {change.key.rpartition(".")[0] for change in more} == {"device.0.subdevice.rear", "device.1"}
    assert {change.effect for change in more} == {AT_ONCE} and {change.old for change in more} == {None}
    less = diff(of(NULL + REAR + LOOP), of(NULL))
    effects = {change.key.rpartition(".")[0]: change.effect for change in less}
    assert effects == {"device.0.subdevice.rear": AT_ONCE, "device.1": RESTART}


def test_what_needs_a_restart_stays_as_it_was_with_its_origin() -> None:
    old = of("[server]\nunit=1\n[state]\nenabled=false\n" + NULL + LOOP + REAR)
    new = of("\n[server]\nunit=2\nlog_level='debug'\n" + NULL + "rate=8000")
    now = applied(old, new)
    assert (now.unit, now.state.enabled, now.log_level) == (1, False, "debug")
    assert [(d.text, d.format.rate) for d in now.devices] == [("null", 8000), ("loopback", 48000)]
    assert [(s.name, s.device) for s in now.subdevices] == [("default", 0), ("0", 0), ("rear", 1), ("1", 1)]
    assert now.origins["server.unit"] == "f:2" and now.origins["server.log_level"] == "f:4"
    assert now.origins["device.0.spec"] == "f:6" and now.origins["device.1.spec"] == "f:8"
    left = diff(now, new)
    assert left and {change.effect for change in left} == {RESTART}


DOCUMENTS = st.builds(
    lambda server, devices: server + "".join(devices),
    st.sampled_from(["", "[server]\nunit=3\n", "[server]\nlog_level='error'\n", "[state]\nenabled=false\n"]),
    st.lists(
        st.tuples(
            st.sampled_from(["null", "loopback", "manual"]),
            st.sampled_from(["", "rate=8000\n", "hold=true\n", "round=64\n"]),
            st.sampled_from(["", "\nplay=[4,5]", "\nvolume=3"]),
        ),
        max_size=3,
        unique_by=lambda one: one[0],
    ).map(
        lambda devices: [
            f"[[device]]\nspec='{spec}'\n{more}[[device.subdevice]]\nname='of{spec}'{sub}\n"
            for spec, more, sub in devices
        ]
    ),
)


@given(DOCUMENTS, DOCUMENTS)
@settings(max_examples=150, deadline=None, derandomize=True)
def test_what_diff_says_is_what_is_applied(before: str, after: str) -> None:
    old, new = of(before), of(after)
    changes = diff(old, new)
    assert {c.key: (c.old, c.new) for c in diff(new, old)} == {c.key: (c.new, c.old) for c in changes}
    assert diff(old, old) == [] and applied(old, old) == old
    now = flatten(applied(old, new))
    expected = flatten(old)
    for change in changes:
        if change.effect != RESTART:
            expected[change.key] = change.new
            if change.key not in flatten(new):
                del expected[change.key]
    assert now == expected
    assert {c.effect for c in diff(applied(old, new), new)} <= {RESTART}
