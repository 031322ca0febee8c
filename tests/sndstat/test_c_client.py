"""clients/c: the manual's example program, its calls, and its reader of nvlists, under ASan and UBSan."""

from __future__ import annotations

import errno
import random
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from audiod_protocol.nvlist import ADD_LIMITS, Nvlist, NvlistError, NvType, unpack
from daemon import Daemon, running
from nvfuzz import mutate, seeds

ROOT = Path(__file__).resolve().parents[2]
CLIENTS = ROOT / "clients/c"
HERE = Path(__file__).parent
WARNINGS = ("-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wstrict-prototypes", "-Werror")
SANITIZED = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined")
INPUTS = 6000  # mutated lists, read by both readers


def build(target: Path, *sources: Path) -> Path:
    command = ["cc", "-std=c11", *WARNINGS, *SANITIZED, "-I", CLIENTS, "-o", target, *sources]
    subprocess.run(command, check=True)
    return target


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("c")
    calls = [CLIENTS / "sndstat.c", CLIENTS / "nvread.c"]
    return {
        "list": build(folder / "list", CLIENTS / "sndstat-list.c", *calls),
        "calls": build(folder / "calls", HERE / "calls.c", *calls),
        "nvdump": build(folder / "nvdump", HERE / "nvdump.c", CLIENTS / "nvread.c"),
    }


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with running(tmp_path, "-f", "null", "-f", "loopback") as made:
        yield made


def test_the_manuals_example(daemon: Daemon, programs: dict[str, Path]) -> None:
    done = subprocess.run([programs["list"]], env=daemon.env, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "Name unit: `pcm0`, Device node: `dsp0`, Description: `null`",
        "Name unit: `pcm1`, Device node: `dsp1`, Description: `loopback`",
    ]
    assert done.stderr == ""


def test_without_a_server(programs: dict[str, Path]) -> None:
    env = {"AUDIOD_SOCKET": "/nowhere/audiod.sock"}
    done = subprocess.run([programs["list"]], env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "sndstat-list: open: No such file or directory\n"


def test_the_example_with_a_thousand_streams(daemon: Daemon, programs: dict[str, Path]) -> None:
    """A listing that comes in many answers."""
    from native import Native

    with Native(daemon.socket) as client:
        for _ in range(500):
            client.request("open", mode="play")
        client.call("status")
        done = subprocess.run([programs["list"]], env=daemon.env, capture_output=True, text=True, check=True)
    assert len(done.stdout.splitlines()) == 2


def test_calls(daemon: Daemon, programs: dict[str, Path]) -> None:
    import json

    vectors = json.loads((ROOT / "protocol/vectors/nvlist.json").read_text())
    (user,) = [row["libnv"] for row in vectors["lists"] if row["name"] == "the draft's user devices"]
    done = subprocess.run(
        [programs["calls"], daemon.socket], input=bytes.fromhex(user), capture_output=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


# ---- the reader of nvlists ------------------------------------------------------------------


def dumped(pairs: Nvlist) -> str:
    """As nvdump writes it."""
    return "{" + "".join(f"{_hex(p.name)}:{int(p.type)}={_value(p.type, p.value)}," for p in pairs) + "}"


def _hex(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").hex()


def _value(kind: NvType, value: object) -> str:
    match value:
        case Nvlist():
            return dumped(value)
        case bool():
            return f"{value:02x}"
        case int():
            return str(value)
        case str():
            return _hex(value + "\0")
        case bytes():
            return value.hex()
        case None:
            return ""
    assert isinstance(value, tuple)
    if kind is NvType.NUMBER_ARRAY:
        return " ".join(map(str, value))
    return "".join(_value(NvType(kind - 6), one) for one in value)


def test_both_readers_agree(programs: dict[str, Path]) -> None:
    """The vectors, and lists with something wrong in them: the same is refused, the rest means the same."""
    rng = random.Random(7)
    known = seeds()
    inputs = known + [mutate(rng, rng.choice(known), rng.choice(known)) for _ in range(INPUTS)]
    sent = b"".join(struct.pack("<I", len(data)) + data for data in inputs)
    done = subprocess.run([programs["nvdump"]], input=sent, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    lines = done.stdout.decode().splitlines()
    assert len(lines) == len(inputs)
    accepted = 0
    for data, line in zip(inputs, lines, strict=True):
        try:
            wanted = dumped(unpack(data, limits=ADD_LIMITS))
        except NvlistError:
            assert line.isdigit() and int(line) in (errno.EINVAL, errno.EEXIST, errno.EILSEQ), data.hex()
        else:
            assert line == wanted, data.hex()
            accepted += 1
    assert accepted > INPUTS // 20
