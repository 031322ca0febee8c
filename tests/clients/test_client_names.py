"""sndio(7)'s names, the environment, and where sockets are."""

from __future__ import annotations

import os
import socket
import string
import sys
from pathlib import Path

import pytest
from audiod_client._link import program_name
from audiod_client.errors import StreamError
from audiod_client.names import Address, Name, Places, Wire, addresses, default_name, split_device
from hypothesis import given, settings
from hypothesis import strategies as st

STEADY = settings(deadline=None, derandomize=True)

WORD = st.text(string.ascii_letters, min_size=1, max_size=11)
NUMBER = st.integers(0, 15)
DEVICE = WORD | NUMBER.map(str) | st.tuples(NUMBER, WORD).map(lambda t: f"{t[0]}.{t[1]}")
HOST = st.text(string.ascii_letters + string.digits + ".:-_[]", min_size=1, max_size=20)


def no_socket(path: str) -> bool:
    return False


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("default", Name("default")),
        ("snd/default", Name("default")),
        ("snd/0", Name("0")),
        ("snd/015", Name("15")),
        ("snd/rear", Name("rear")),
        ("snd/0.rear", Name("0.rear")),
        ("snd,1/rear", Name("rear", unit=1)),
        ("snd@box/0", Name("0", host="box")),
        ("snd@10.0.0.1,2/rear", Name("rear", unit=2, host="10.0.0.1")),
        ("snd@::1/0", Name("0", host="::1")),
    ],
)
def test_names(text: str, name: Name) -> None:
    assert Name.parse(text, no_socket) == name


BAD = """
    snd rear 0 snds/0 snd0/0 snd/ snd/0rear snd/16 snd/99999999999 snd,16/0 snd,/0 snd,x/0 snd@/ snd@,1/0
    snd@host snd/abcdefghijkl snd/a,b snd/0. snd/0.a/b snd,1@host/0 rsnd/0 midi/0 midithru/0 rmidi/0
    default/0 Snd/0 snd/a/b snd/\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9
"""


@pytest.mark.parametrize("text", ["", *BAD.split()])
def test_what_is_not_a_name(text: str) -> None:
    with pytest.raises(StreamError) as refused:
        Name.parse(text, no_socket)
    assert refused.value.code == ("ENOENT" if text == "snd@/" else "EINVAL")
    assert refused.value.hint


@STEADY
@given(device=DEVICE, unit=NUMBER, host=st.none() | HOST)
def test_names_are_read_back_as_written(device: str, unit: int, host: str | None) -> None:
    name = Name(device, unit, host)
    assert Name.parse(str(name), no_socket) == name


@STEADY
@given(st.text(max_size=40) | st.text("snd@,/.019ar", max_size=20))
def test_any_text_is_a_name_or_a_clear_error(text: str) -> None:
    try:
        name = Name.parse(text, no_socket)
    except StreamError as err:
        assert err.code in ("EINVAL", "ENOENT")
        assert err.message
        assert err.hint
    else:
        assert Name.parse(str(name), no_socket) == name


PART = st.text(string.ascii_letters + ".,-@ ", min_size=1, max_size=8)


@STEADY
@given(parts=st.lists(PART, min_size=1, max_size=5), device=st.none() | DEVICE)
def test_a_path_ends_at_its_first_socket(parts: list[str], device: str | None) -> None:
    path = "/" + "/".join(parts)
    text = f"snd@{path}" if device is None else f"snd@{path}/{device}"
    name = Name.parse(text, lambda candidate: candidate == path or candidate.startswith(path + "/"))
    assert name == Name(device or "default", path=path)
    assert Name.parse(str(name), lambda candidate: candidate == path) == name


def test_a_real_socket_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind("s")
        (tmp_path / "link").symlink_to(tmp_path / "s")
        for end in ("s", "link"):
            path = f"{tmp_path}/{end}"
            assert Name.parse(f"snd@{path}") == Name("default", path=path)
            assert Name.parse(f"snd@{path}/rear") == Name("rear", path=path)
            with pytest.raises(StreamError, match="must be a number"):
                Name.parse(f"snd@{path}/rear/more")
        with pytest.raises(StreamError, match="is a socket") as missing:
            Name.parse(f"snd@{tmp_path}/other/rear")
        assert missing.value.code == "ENOENT"


ENV = {"AUDIODEVICE": "snd/both", "AUDIOPLAYDEVICE": "snd/out", "AUDIORECDEVICE": "snd/in"}


@pytest.mark.parametrize(
    ("name", "mode", "env", "setid", "expected"),
    [
        (None, "play", ENV, False, "snd/out"),
        ("default", "rec", ENV, False, "snd/in"),
        (None, "play,rec", ENV, False, "snd/both"),
        (None, "rec", {"AUDIODEVICE": "snd/both"}, False, "snd/both"),
        (None, "play", {"AUDIORECDEVICE": "snd/in"}, False, "default"),
        (None, "play", {"AUDIOPLAYDEVICE": "", "AUDIODEVICE": "snd/both"}, False, "snd/both"),
        (None, "play", {}, False, "default"),
        (None, "play", ENV, True, "default"),
        ("snd/0", "play", ENV, False, "snd/0"),
        ("snd/default", "play", ENV, False, "snd/default"),
    ],
)
def test_environment(name: str | None, mode: str, env: dict[str, str], setid: bool, expected: str) -> None:
    assert default_name(name, mode, env, setid) == expected


def places(tmp_path: Path, uid: int = 0, setid: bool = False, **env: str) -> Places:
    return Places(uid or os.geteuid() or 1000, env, setid, str(tmp_path / "run"), str(tmp_path / "tmp"))


def found(name: Name, places: Places) -> tuple[list[str], list[str], list[tuple[str, str]]]:
    """Paths of our own sockets, then of sndio's, and what is passed over."""
    ways, passed = addresses(name, places)
    paths = [[way.place for way in ways if way.wire is wire] for wire in (Wire.NATIVE, Wire.SNDIO)]
    assert [str(way) for way in ways] == paths[0] + paths[1], "sndio's come last"
    return paths[0], paths[1], passed


def test_where_sockets_are(tmp_path: Path) -> None:
    run, tmp = str(tmp_path / "run"), str(tmp_path / "tmp")
    user = places(tmp_path, 1000, XDG_RUNTIME_DIR="/run/user/1000")
    assert found(Name(), user) == (
        ["/run/user/1000/audiod/audiod.sock", f"{run}/audiod.sock"],
        [f"{tmp}/sndio-1000/sock0", f"{tmp}/sndio/sock0"],
        [],
    )
    assert found(Name(unit=2), user)[:2] == (
        ["/run/user/1000/audiod/audiod-2.sock", f"{run}/audiod-2.sock"],
        [f"{tmp}/sndio-1000/sock2", f"{tmp}/sndio/sock2"],
    )
    root = Places(0, {"XDG_RUNTIME_DIR": "/run/user/0"}, False, run, tmp)
    assert found(Name(unit=1), root) == (
        [f"{run}/audiod-1.sock"],
        [f"{tmp}/sndio-0/sock1", f"{tmp}/sndio/sock1"],
        [],
    )


def test_the_sockets_path_may_be_given(tmp_path: Path) -> None:
    given_path = places(tmp_path, AUDIOD_SOCKET="/x.sock", XDG_RUNTIME_DIR="/r")
    assert found(Name(), given_path) == (["/x.sock"], [], [])
    assert found(Name(path="/y.sock"), given_path) == (["/y.sock"], [], [])
    distrusting = places(tmp_path, 1000, True, AUDIOD_SOCKET="/x.sock", XDG_RUNTIME_DIR="/r")
    assert "/x.sock" not in found(Name(), distrusting)[0]
    assert not any(path.startswith("/r/") for path in found(Name(), distrusting)[0])


@pytest.mark.parametrize("env", [{}, {"AUDIOD_SOCKET": "/x.sock"}])
def test_a_host_is_sndios_wire_whatever_else_is_set(tmp_path: Path, env: dict[str, str]) -> None:
    here = places(tmp_path, **env)
    assert addresses(Name(host="box"), here) == ([Address(Wire.SNDIO, "box", 11025)], [])
    assert addresses(Name(host="::1", unit=3), here) == ([Address(Wire.SNDIO, "::1", 11028)], [])
    assert [str(addresses(Name(host=h), here)[0][0]) for h in ("box", "::1")] == ["box:11025", "[::1]:11025"]


@pytest.mark.parametrize(
    ("device", "meant"),
    [
        ("default", (None, "default")),
        ("rear", (None, "rear")),
        ("3", (3, "default")),
        ("0.rear", (0, "rear")),
    ],
)
def test_what_a_device_is_on_sndios_wire(device: str, meant: tuple[int | None, str]) -> None:
    assert split_device(device) == meant


def test_a_directory_of_sndios_that_is_anothers_is_passed_over(tmp_path: Path) -> None:
    uid = os.geteuid() or 1000
    here = places(tmp_path, uid, XDG_RUNTIME_DIR="/r")
    own = tmp_path / "tmp" / f"sndio-{uid}"
    own.mkdir(mode=0o700, parents=True)
    os.chown(own, uid, -1)
    assert found(Name(), here)[1:] == ([f"{own}/sock0", f"{tmp_path}/tmp/sndio/sock0"], [])
    own.chmod(0o777)
    assert found(Name(), here)[1:] == (
        [f"{tmp_path}/tmp/sndio/sock0"],
        [(f"{own}/sock0", "its directory has mode 0777, not 0700")],
    )


def test_the_directory_in_tmp_must_be_ours(tmp_path: Path) -> None:
    uid = os.geteuid() or 1000
    here = places(tmp_path, uid)
    own = tmp_path / "tmp" / f"audiod-{uid}"
    system = f"{tmp_path}/run/audiod.sock"
    (tmp_path / "tmp").mkdir()
    assert found(Name(), here)[::2] == ([f"{own}/audiod.sock", system], [])
    own.mkdir(mode=0o700)
    os.chown(own, uid, -1)
    assert found(Name(), here)[::2] == ([f"{own}/audiod.sock", system], [])
    own.chmod(0o755)
    paths, _, passed = found(Name(), here)
    assert paths == [system]
    assert passed == [(f"{own}/audiod.sock", "its directory has mode 0755, not 0700")]
    own.rename(tmp_path / "else")
    own.symlink_to(tmp_path / "else")
    assert "symbolic link" in found(Name(), here)[2][0][1]
    own.unlink()
    own.write_text("")
    assert "is not one" in found(Name(), here)[2][0][1]
    own.unlink()
    own.mkdir(mode=0o700)
    if os.geteuid() == 0:
        os.chown(own, uid + 1, -1)
        assert "another user's" in found(Name(), here)[2][0][1]


@pytest.mark.parametrize(
    ("argv0", "name"),
    [("/usr/bin/tune", "tune"), ("/x/pkg/__main__.py", "pkg"), ("-c", "python"), ("", "python")],
)
def test_what_a_program_is_called(argv0: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [argv0])
    assert program_name() == name
