"""queries.py, core.py and devices.py: rows, controls, changes, when devices are open."""

from __future__ import annotations

import errno
import io
import os
from typing import Any

import pytest
from house import LIMITS, Client, House

from audiod import policy, realtime
from audiod.engine import EngineError, ThreadInfo, ThreadStarted, Xrun, XrunKind


def device_row(client: Client, number: int = 0) -> dict[str, Any]:
    return dict(client.call("devices")["devices"][number])


def test_devices(house: House, client: Client) -> None:
    assert device_row(client) == {
        "device": 0,
        "name": "null",
        "driver": "null",
        "state": "closed",
        "reason": None,
        "mode": "play,rec",
        "rate": 48000,
        "round": 480,
        "bufsz": 1920,
        "encoding": "s16le",
        "play_channels": 2,
        "rec_channels": 2,
        "default": True,
        "volume": 127,
        "muted": False,
        "input_volume": 127,
        "input_muted": False,
        "fader": None,
        "input_fader": None,
        "subdevices": [
            {
                "name": name,
                "mode": "play,rec",
                "play": [0, 1],
                "rec": [0, 1],
                "volume": 127,
                "join": True,
                "autovol": False,
                "mmc": False,
                "devices": [0],
                "reason": None,
            }
            for name in ("default", "0")
        ],
        "xruns": 0,
        "streams": 0,
    }


def test_status(house: House, client: Client) -> None:
    client.open()
    house.now += 5
    house.dispatch.sockets.append("/x/y.sock")
    assert client.call("status") == {
        "version": 1,
        "server": "audiod 0.1.0",
        "pid": os.getpid(),
        "unit": 0,
        "uptime": 5.0,
        "sockets": ["/x/y.sock"],
        "realtime": {"wanted": 0, "granted": False, "reason": "not asked for (--no-realtime)", "threads": []},
        "default": {"device": 0, "name": "null", "reason": None},
        "devices": 1,
        "streams": 1,
        "connections": 1,
        "xruns": {"client": 0, "scheduler": 0, "driver": 0, "ours": 0},
        "ducking": None,
    }


def test_streams_come_in_pages(client: Client) -> None:
    for _ in range(300):
        client.open()
    first = client.call("streams")
    assert len(first["streams"]) == 256
    second = client.call("streams", after=first["next"])
    assert len(second["streams"]) == 44
    assert second["next"] is None
    ids = [row["id"] for row in first["streams"] + second["streams"]]
    assert ids == sorted(set(ids))


# ---- changes ----


def test_subscribers_hear_of_changes(house: House, client: Client) -> None:
    other = house.connect()
    assert other.call("subscribe", topics=["streams", "controls"]) == {
        "topics": ["controls", "streams"],
        "events": [],
    }
    number = client.open()
    client.call("setvol", stream=number, vol=3)
    client.call("close", stream=number)
    heard = [(topic, row["event"], row.get("name")) for topic, row in other.told("changed")]
    app, level, mute = "app/test.level", "stream/1.level", "stream/1.mute"
    assert heard == [
        ("streams", "new", "test"),
        ("controls", "new", app),
        ("controls", "new", "app/test.mute"),
        ("controls", "new", level),
        ("controls", "new", mute),
        ("controls", "change", app),
        ("streams", "change", "test"),
        ("controls", "change", level),
        ("streams", "gone", "test"),
        ("controls", "gone", level),
        ("controls", "gone", mute),  # the program is remembered
    ]
    assert client.told("changed") == []


def test_device_changes_and_unsubscribing(house: House, client: Client) -> None:
    client.call("subscribe", topics=["devices"])
    number = client.open()
    states = [row["state"] for _, row in client.told("changed")]
    assert states == ["idle", "idle"]  # opened; has a stream
    client.call("subscribe", topics=[])
    client.call("close", stream=number)
    assert len(client.told("changed")) == 2


def test_a_subscriber_that_vanishes_is_forgotten(house: House, client: Client) -> None:
    other = house.connect()
    other.call("subscribe", topics=["streams"])
    other.vanish()
    client.open()
    assert other.told("changed") == []


# ---- when a device is open ----


def test_a_device_is_opened_on_demand_and_closed_when_idle(house: House, client: Client) -> None:
    assert house.engine.devices == []
    number = client.open()
    assert device_row(client)["state"] == "idle"
    other = client.open()
    assert len(house.engine.devices) == 1
    client.call("close", stream=number)
    assert not house.device.closed
    client.call("close", stream=other)
    assert house.device.closed
    assert device_row(client)["state"] == "closed"


def test_a_device_plays_out_before_it_is_closed(house: House, client: Client) -> None:
    number = client.open(start=True)
    house.device.run()
    house.settle()
    client.call("close", stream=number)
    assert not house.device.closed
    assert device_row(client)["state"] == "running"
    house.device.rest()
    house.settle()
    assert house.device.closed


def test_a_stopped_clock_does_not_close_a_held_device(house: House, client: Client) -> None:
    number = client.open(start=True)
    house.device.run()
    client.call("stop", stream=number)
    house.device.rest()
    house.settle()
    assert not house.device.closed
    assert device_row(client)["state"] == "idle"


def test_late_events_of_an_earlier_opening_are_nobodys(house: House, client: Client) -> None:
    client.call("close", stream=client.open())
    first = house.device
    client.open()
    assert first.id != house.device.id
    first.fail(errno.EIO)
    first.rest()
    house.settle()
    assert not house.device.closed
    assert device_row(client)["state"] == "idle"


def test_a_failure_is_told_even_when_its_streams_closed_the_device_first(
    house: House, client: Client
) -> None:
    number = client.open()
    client.call("start", stream=number)
    device = house.device
    device.fail(errno.ENODEV)
    xrun = Xrun(0, device.id, XrunKind.DEVICE, 0, 0, 0, 0, 1920)
    house.engine.post(xrun)  # of before, and late like the failure
    house.settle()
    assert device.closed
    row = device_row(client)
    assert (row["state"], row["xruns"]) == ("failed", 1)
    client.call("close", stream=number)
    client.open()
    assert device_row(client)["state"] == "idle", "the next stream opens it again"


def test_a_file_goes_on_behind_what_it_has() -> None:
    house = House("-f file:/tmp/x.wav?clock=free&stall=0.25&dither=off")
    client = house.connect()
    client.call("close", stream=client.open())
    client.call("close", stream=client.open())
    first, second = (device.conf for device in house.engine.devices)
    assert (first.arg, first.free_clock, first.stall_ms, first.dither) == ("/tmp/x.wav", True, 250, False)
    assert (first.append, second.append) == (False, True)
    assert (first.par.pchan, first.par.rchan) == (2, 0)
    house.close()


def test_what_a_device_simulates_is_told_to_the_engine() -> None:
    house = House("-f null?ppm=-250&jitter=2.5&xrun_every=0.1&unplug_after=10")
    client = house.connect()
    client.call("close", stream=client.open())
    conf = house.engine.devices[0].conf
    assert (conf.ppm, conf.jitter_ns) == (-250, 2_500_000)
    assert (conf.xrun_every_ns, conf.unplug_after_ns) == (100_000_000, 10_000_000_000)
    house.close()


def test_a_held_device_is_open_from_start_to_end() -> None:
    house = House("-a on -f null -a off -f loopback")
    house.dispatch.devices.open_held()
    assert [device.conf.driver for device in house.engine.devices] == ["null"]
    client = house.connect()
    client.call("close", stream=client.open())
    assert not house.device.closed
    house.close()
    assert house.device.closed


# ---- xruns ----

MS = 1_000_000


@pytest.mark.parametrize(
    ("kind", "wake", "arrival", "culprit"),
    [
        (XrunKind.PLAY, 1000, 999, "client"),
        (XrunKind.REC, 1000, 900, "ours"),
        (XrunKind.PLAY, 1006, 999, "scheduler"),
        (XrunKind.DEVICE, 1000, 0, "driver"),
    ],
)
def test_xruns_are_classified_and_counted(
    house: House, client: Client, kind: XrunKind, wake: int, arrival: int, culprit: str
) -> None:
    client.open(start=True)
    run = house.engine.streams[-1]
    stream = 0 if kind is XrunKind.DEVICE else run.id
    house.engine.post(Xrun(stream, house.device.id, kind, 1000 * MS, wake * MS, arrival * MS, 0, 480))
    house.settle()
    totals = client.call("status")["xruns"]
    assert {name for name, count in totals.items() if count} == {culprit}
    assert device_row(client)["xruns"] == (1 if kind is XrunKind.DEVICE else 0)
    assert client.call("streams")["streams"][0]["xruns"] == (0 if kind is XrunKind.DEVICE else 1)


def test_the_log_of_xruns_grows_slowly(house: House, client: Client, logged: io.StringIO) -> None:
    client.open(start=True)
    run = house.engine.streams[-1]
    for _ in range(100):
        house.engine.post(
            Xrun(run.id, house.device.id, XrunKind.PLAY, 1000 * MS, 1000 * MS, 999 * MS, 0, 480)
        )
    house.settle()
    lines = [line for line in logged.getvalue().splitlines() if "event=xrun" in line]
    assert len(lines) == 7  # 1, 2, 4 ... 64
    assert "culprit=client" in lines[0]
    assert client.call("status")["xruns"]["client"] == 100


def test_xruns_of_what_is_gone_are_nobodys(house: House, client: Client) -> None:
    house.engine.post(Xrun(99, 99, XrunKind.PLAY, 1, 1, 1, 1, 1))
    house.settle()
    assert sum(client.call("status")["xruns"].values()) == 0


# ---- realtime ----


def thread(**facts: Any) -> ThreadInfo:
    given = {"tid": 7, "device": None, "realtime": False, "prio": 0, "asked": 19, "err": errno.EPERM}
    return ThreadInfo(**{**given, **facts})


def test_threads_have_the_numbers_of_devices(house: House, client: Client) -> None:
    client.call("close", stream=client.open())
    client.open()
    house.engine.thread_list = [
        thread(device=house.device.id, realtime=True, prio=20, err=0),
        thread(),
        thread(tid=8, device=99),
    ]
    threads = client.call("status")["realtime"]["threads"]
    assert threads[0] == {"tid": 7, "device": 0, "policy": "fifo", "priority": 20}
    assert threads[1] == {"tid": 7, "device": None, "policy": "other", "priority": 0}
    assert threads[2]["device"] is None


def test_a_refusal_is_logged_once(house: House, logged: io.StringIO) -> None:
    house.engine.post(ThreadStarted(7, None, errno.EPERM), ThreadStarted(8, 1, errno.EPERM))
    house.settle()
    err = logged.getvalue()
    assert err.count("realtime.refused") == 1
    assert "RLIMIT_RTPRIO is 0" in err


def limits(rtprio: int = 0, privileged: bool = False, rt_runtime: int | None = None) -> realtime.Limits:
    return realtime.Limits(rtprio, privileged, rt_runtime)


@pytest.mark.parametrize(
    ("error", "given", "words"),
    [
        (errno.EPERM, limits(), "RLIMIT_RTPRIO is 0"),
        (errno.EPERM, limits(20, rt_runtime=0), "RT_GROUP_SCHED"),
        (errno.EPERM, limits(privileged=True, rt_runtime=0), "RT_GROUP_SCHED"),
        (errno.EPERM, limits(20, rt_runtime=950000), "seccomp"),
        (errno.EPERM, limits(20), "EPERM although RLIMIT_RTPRIO is 20"),
        (errno.EINVAL, limits(), "Invalid argument"),
    ],
)
def test_reasons_of_a_refusal(error: int, given: realtime.Limits, words: str) -> None:
    assert words in realtime.reason(error, given)


@pytest.mark.parametrize(
    ("given", "priority"),
    [(limits(0), 20), (limits(10), 10), (limits(99), 20), (limits(5, privileged=True), 20)],
)
def test_wanted_priority(given: realtime.Limits, priority: int) -> None:
    assert realtime.wanted(given, 20) == priority


def test_realtime_status() -> None:
    granted = realtime.status(20, limits(), [thread(realtime=True, prio=19, err=0)])
    assert (granted["granted"], granted["reason"]) == (True, None)
    refused = realtime.status(20, LIMITS, [thread(realtime=True, prio=19, err=0), thread()])
    assert refused["granted"] is False
    assert "RLIMIT_RTPRIO" in str(refused["reason"])
    free = realtime.status(20, limits(), [thread(asked=0, err=0)])  # clock=free is never realtime
    assert (free["granted"], free["reason"]) == (False, "no thread needs it yet")


def test_read_limits_of_this_process() -> None:
    assert 0 <= realtime.read_limits().rtprio <= 99


# ---- start ----


def test_gain_reaches_the_device(house: House, client: Client) -> None:
    client.open()
    for vol in (0, 1, 64, 127):
        client.call("control.set", name="output.level", value=vol)
        assert house.device.gain == policy.gain(vol)


def test_an_engine_that_takes_no_more_connections(house: House) -> None:
    import socket

    from house import ME

    house.engine.refuse_conn = EngineError(errno.ENOMEM, "Cannot allocate memory")
    ours, theirs = socket.socketpair()
    house.dispatch.accept(ours, ME)
    with theirs:
        assert b"EIO" in theirs.recv(1000)
        assert theirs.recv(1000) == b""
