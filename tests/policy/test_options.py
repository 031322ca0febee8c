"""options.py and config.py: sndiod's letters, their order, defaults and refusals."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from audiod_protocol.params import Enc

from audiod import config, configfile, options
from audiod.cards.kernel import Roots
from audiod.config import resolve, sizes
from audiod.errors import ConfigError, UsageError
from audiod.policy import Share
from audiod.subdevice import SubDevice, SubMode

BOTH = SubMode.PLAY | SubMode.REC


def parse(line: str) -> options.Options:
    return options.parse(line.split())


def conf(line: str, env: dict[str, str] | None = None, euid: int = 1000) -> config.Config:
    return resolve(parse(line), {"XDG_RUNTIME_DIR": "/run/user/1000"} if env is None else env, euid)


# ---- order ----

TABLE = [
    # sndiod.8: nothing at all
    ("", ["null"], [("default", 0, 0, 1), ("0", 0, 0, 1)]),
    # the manual's own example: default on 0:1, rear on 2:3
    ("-s default -c 2:3 -s rear", ["null"], [("default", 0, 0, 1), ("rear", 0, 2, 3), ("0", 0, 0, 1)]),
    # letters count for what follows; default, made at the end, has them all
    ("-f null -s front -c 2:3", ["null"], [("front", 0, 0, 1), ("default", 0, 2, 3), ("0", 0, 2, 3)]),
    # -s belongs to the last -f, default to the first device
    (
        "-f null -f loopback -s loop",
        ["null", "loopback"],
        [("loop", 1, 0, 1), ("default", 0, 0, 1), ("0", 0, 0, 1), ("1", 1, 0, 1)],
    ),
    # where default stands, it is the pattern of the anonymous ones
    (
        "-f null -f loopback -c 0:3 -s default",
        ["null", "loopback"],
        [("default", 1, 0, 3), ("0", 0, 0, 3), ("1", 1, 0, 3)],
    ),
    # a device named twice is one; -s goes to it again
    (
        "-f null -s a -f loopback -f null -s b",
        ["null", "loopback"],
        [("a", 0, 0, 1), ("b", 0, 0, 1), ("default", 0, 0, 1), ("0", 0, 0, 1), ("1", 1, 0, 1)],
    ),
]


ALTERNATES = [
    # the last -F comes first, sub-devices of the -f are on it; those of the devices are where they were
    ("-f null -F loopback -F manual", [(), (), (1, 0)], {"default": 2, "0": 0, "1": 1, "2": 2}),
    ("-s rear -F loopback", [(), (0,)], {"rear": 1, "default": 1, "0": 0, "1": 1}),
    # each -f has its own; -s belongs to the last -f, also behind -F and before it
    (
        "-f null -F manual -f loopback -s a -F file:/x -s b",
        [(), (0,), (), (2,)],
        {"a": 3, "b": 3, "default": 1, "0": 0, "1": 1, "2": 2, "3": 3},
    ),
    # an alternate may have a sub-device of its own, which stays on it
    ("-f null -F loopback -f loopback -s a", [(), (0,)], {"a": 1, "default": 1, "0": 0, "1": 1}),
]


@pytest.mark.parametrize(("line", "alternates", "subs"), ALTERNATES)
def test_alternates(line: str, alternates: list[tuple[int, ...]], subs: dict[str, int]) -> None:
    made = conf(line)
    assert [device.alternates for device in made.devices] == alternates
    assert {sub.name: sub.device for sub in made.subdevices} == subs


def test_letters_count_for_alternates_too() -> None:
    made = conf("-a on -f null -a off -e s24le3 -F loopback -c 0:7 -s default")
    assert [(d.hold, str(d.format.enc)) for d in made.devices] == [(True, "s16le"), (False, "s24le3")]
    assert [d.format.play for d in made.devices] == [8, 8], "all have the channels of the sub-devices"


@pytest.mark.parametrize(("line", "devices", "subs"), TABLE)
def test_order(line: str, devices: list[str], subs: list[tuple[str, int, int, int]]) -> None:
    read = parse(line)
    assert [device.text for device in read.devices] == devices
    assert [(sub.name, sub.device, sub.pmin, sub.pmax) for sub in read.subdevices] == subs


def test_letters_of_a_device_count_for_the_next_one_only() -> None:
    first, second = parse("-a on -w on -e s24le3 -f null -a off -w off -e s16 -f loopback").devices
    assert (first.hold, first.autovol, first.enc) == (True, True, Enc.parse("s24le3"))
    assert (second.hold, second.autovol, second.enc) == (False, False, Enc.parse("s16"))


def test_letters_of_a_subdevice() -> None:
    read = parse("-c 2:3 -C 4:5 -j off -m play,mon -v 65 -s rear -m rec -v 127 -j on -s other")
    rear, other = read.subdevices[:2]
    assert rear == SubDevice("rear", 0, SubMode.PLAY | SubMode.MON, 2, 3, 4, 5, 65, False)
    assert other == SubDevice("other", 0, SubMode.REC, 2, 3, 4, 5, 127, True)


def test_defaults() -> None:
    read = parse("")
    assert read.subdevices[0] == SubDevice("default", 0, BOTH, 0, 1, 0, 1, 127, True)
    assert read.defaulted
    assert not parse("-f null").defaulted
    device = conf("").devices[0]
    assert (device.format.rate, device.format.round, device.format.bufsz) == (48000, 480, 1920)
    assert device.format.enc == Enc.parse("s16")
    assert not device.hold


def test_rate_block_and_buffer_are_global_and_the_last_one_wins() -> None:
    """As in sndio's HEAD: they count for devices named before them too."""
    both = conf("-r 44100 -f null -f loopback -r 96000 -z 960").devices
    assert [(d.format.rate, d.format.round, d.format.bufsz) for d in both] == [(96000, 960, 3840)] * 2


@pytest.mark.parametrize(
    ("block", "buffer", "result"),
    [
        (None, None, (480, 1920)),
        (960, None, (960, 3840)),  # only -z: four blocks (sndiod: two)
        (None, 1920, (480, 1920)),  # only -b: a quarter
        (None, 4, (1, 4)),
        (480, 7680, (480, 7680)),
        (480, 1000, (480, 960)),  # to whole blocks
        (480, 10, (480, 960)),  # at least two
    ],
)
def test_sizes(block: int | None, buffer: int | None, result: tuple[int, int]) -> None:
    assert sizes(block, buffer) == result


def test_keys_of_the_spec_win() -> None:
    device = conf("-r 96000 -e s24 -f null?rate=44100&enc=s32le&round=441&play=8&rec=0").devices[0]
    fmt = device.format
    assert (fmt.rate, fmt.round, fmt.bufsz, fmt.play, fmt.rec) == (44100, 441, 1764, 8, 0)
    assert str(fmt.enc) == "s32le"
    assert fmt.mode == "play"


def test_channels_reach_as_far_as_the_subdevices() -> None:
    fmt = conf("-f null -s a -c 4:5 -C 0:2 -s b").devices[0].format
    assert (fmt.play, fmt.rec) == (6, 3)
    assert conf("-m mon -f null").devices[0].format.mode == "play"
    assert conf("-m rec -f null").devices[0].format.mode == "rec"
    assert conf("-f file:/tmp/x.wav").devices[0].format.mode == "play"
    assert conf("-f file:/tmp/x.wav?rec=/tmp/y.wav").devices[0].format.mode == "play,rec"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("-F null", "-F null: this device is given already"),  # it is the default
        ("-f null -f loopback -F null", "-F null: this device is given already"),
        ("-f null -F nonsense", "there is no driver 'nonsense'"),
        ("-q", "-q"),
        ("-q " + "x" * 4096, "the name of a MIDI port"),
        ("-Q \x07", "the name of a MIDI port"),
        (" ".join(f"-q /dev/midi{n}" for n in range(17)), "more than 16 MIDI ports"),
        ("-L", "-L"),
        ("-L " + "x" * 256, "the name or the address of a host"),
        ("-L - " * 65, "more than 64 addresses"),
        ("--share all", "there are session, group"),
        ("--system=yes", "--system"),
        ("-t on", "off or slave"),
        ("-t slave -f null -s a -f loopback -s b", "sub-devices a and b are to start together"),
        ("-x 1", "-x"),
        ("-c", "-c"),
        ("-c 1", "min:max"),
        ("-c 3:2", "bad channel range"),
        ("-c 0:64", "bad channel range"),
        ("-C -1:2", "bad channel range"),
        ("-a yes", "on or off"),
        ("-j 1", "on or off"),
        ("-w", "-w"),
        ("-m foo", "bad mode"),
        ("-m midi", "no mode"),
        ("-m play,", "bad mode"),
        ("-v 128", "0..127"),
        ("-v x", "0..127"),
        ("-r 3999", "4000..192000"),
        ("-r 192001", "4000..192000"),
        ("-z 0", "1..32767"),
        ("-b 3", "4..192000"),
        ("-U 16", "0..15"),
        ("-e s33", "bits must be"),
        ("-e x", "encoding"),
        ("-s twelveletter", "more than 11"),
        ("-s r2", "only letters"),
        ("-s a -s a", "already defined"),
        ("-f oss:/dev/dsp", "not there yet"),
        ("-f rsnd/first", "rsnd/0"),
        ("-f nul", "did you mean null"),
        ("file.wav", "unexpected argument"),
        ("--demo a b", "unexpected argument"),
        ("--log-level loud", "debug, info"),
        ("--nonsense", "--nonsense"),
        ("-m rec -f file:/tmp/x.wav", "neither plays nor records"),
    ],
)
def test_refusals_are_one_line(line: str, words: str) -> None:
    with pytest.raises(UsageError) as refused:
        conf(line)
    text = refused.value.line()
    assert words in text
    assert "\n" not in text
    assert refused.value.exit_code == 2


def test_what_is_tolerated() -> None:
    parse("-t off -m play,rec,midi -d -d")


# ---- MIDI ----


def test_ports() -> None:
    assert [port.text for port in conf("").ports] == [f"rmidi/{n}" for n in range(8)], "as with sndiod"
    assert not any(port.hold for port in conf("").ports)
    read = conf("-q rmidi/3 -a on -q /dev/midi -a off -Q hw:1,0 -q rmidi/3").ports
    assert read == (options.Port("rmidi/3"), options.Port("/dev/midi", True), options.Port("hw:1,0"))


def test_hold_before_a_port_is_not_about_devices() -> None:
    files = "[[device]]\nspec='null'\n[midi]\nports=['rmidi/7']\nhold=true\n"
    merged = configfile.merge([("f", files.encode())])
    assert resolve(parse(""), {}, 1000, merged).ports == (options.Port("rmidi/7", True),)
    found = resolve(parse("-a on -q /dev/midi"), {}, 1000, merged)
    assert found.ports == (options.Port("/dev/midi", True),) and found.origins["midi.ports"] == "command line"
    with pytest.raises(UsageError, match="-a: the devices are those of f"):
        resolve(parse("-q /dev/midi -a on"), {}, 1000, merged)


def test_those_that_wait_for_mmc() -> None:
    """The manual's own example; devices by their numbers never wait, nor a `default` that nobody named."""
    subs = parse("-r 48000 -z 400 -s default -t slave -s mmc").subdevices
    assert {sub.name: sub.mmc for sub in subs} == {"default": False, "mmc": True, "0": False}
    assert {sub.name: sub.mmc for sub in parse("-t slave").subdevices} == {"default": False, "0": False}
    subs = parse("-t slave -s default").subdevices
    assert {sub.name: sub.mmc for sub in subs} == {"default": True, "0": False}
    parse("-t slave -f null -s a -f loopback -f null -s b -t off -f manual -s c")
    parse("-t slave -f null -s a -F loopback -s b"), "alternates are one device"


def test_files_say_the_same_of_mmc() -> None:
    def of(*devices: str) -> config.Config:
        text = "\n".join(
            f"[[device]]\nspec='{spec}'\n[[device.subdevice]]\nname='of{spec}'\nmmc=true" for spec in devices
        )
        return resolve(parse(""), {}, 1000, configfile.merge([("f", text.encode())]))

    assert [sub.name for sub in of("null").subdevices if sub.mmc] == ["ofnull"]
    with pytest.raises(ConfigError, match="f:10: sub-devices ofnull and ofloopback") as refused:
        of("null", "loopback")
    assert refused.value.exit_code == 1


# ---- all of sndiod's ----


def letters_of(program: str, libraries: str) -> set[str]:
    """Those that a real sndiod takes, by its own usage."""
    env = {**os.environ, "LD_LIBRARY_PATH": libraries}
    done = subprocess.run([program, "-?"], capture_output=True, text=True, check=False, env=env)
    found = set(re.findall(r"\[-([A-Za-z])", done.stderr))
    assert len(found) > 15, done.stderr
    return found


@pytest.mark.parametrize("which", ["Debian's", "HEAD"])
def test_every_letter_of_sndiod_is_taken(which: str) -> None:
    prefix = os.environ.get("SNDIO_HEAD", "") if which == "HEAD" else ""
    at = f"{prefix}/bin/sndiod" if which == "HEAD" else shutil.which("sndiod")
    if at is None or not Path(at).exists():
        pytest.skip(f"{which} sndiod is not installed: tests/check installs it where it is root and has apt")
    assert letters_of(at, f"{prefix}/lib") <= set(options.LETTERS) - {":"}


EVERY = {  # a letter: a value that is not its default, and what it is then
    "a": ("on", lambda made: made.devices[0].hold),
    "b": ("960", lambda made: made.devices[0].format.bufsz == 960),
    "c": ("2:3", lambda made: made.subdevices[0].pmin == 2),
    "C": ("2:3", lambda made: made.subdevices[0].rmin == 2),
    "e": ("s24le3", lambda made: str(made.devices[0].format.enc) == "s24le3"),
    "F": ("loopback", lambda made: [d.alternates for d in made.devices] == [(), (0,)]),
    "f": ("loopback", lambda made: made.devices[0].text == "loopback"),
    "j": ("off", lambda made: not made.subdevices[0].join),
    "L": ("127.0.0.1", lambda made: made.tcp == ("127.0.0.1",)),
    "m": ("mon", lambda made: made.subdevices[0].mode is SubMode.MON),
    "Q": ("/dev/midi", lambda made: made.ports[0].text == "/dev/midi"),
    "q": ("/dev/midi", lambda made: made.ports[0].text == "/dev/midi"),
    "r": ("44100", lambda made: made.devices[0].format.rate == 44100),
    "s": ("rear", lambda made: made.subdevices[0].name == "rear"),
    "t": ("slave", lambda made: made.subdevices[0].mmc),
    "U": ("3", lambda made: made.unit == 3),
    "v": ("65", lambda made: made.subdevices[0].maxvol == 65),
    "w": ("on", lambda made: made.devices[0].autovol),
    "z": ("240", lambda made: made.devices[0].format.round == 240),
}


def test_every_letter_does_something() -> None:
    assert set(EVERY) | {"d", "h"} == set(options.LETTERS) - {":"}
    for letter, (value, holds) in EVERY.items():
        tail = "" if letter in "fs" else "-s default"
        assert holds(conf(f"-{letter} {value} {tail}")), letter
        assert not holds(conf("-s default")), letter
    assert parse("-d").debug and parse("-d").log_level == "debug" and not parse("").debug


def test_too_many() -> None:
    with pytest.raises(UsageError, match="more than 16 devices"):
        parse("-f null " + " ".join(f"-F file:/x{n}" for n in range(16)))
    names = "abcdefghijklmno"
    parse(" ".join(f"-s {c}" for c in names[:14]))  # default and 0 make sixteen
    with pytest.raises(UsageError, match="more than 16 sub-devices"):
        parse(" ".join(f"-s {c}" for c in names))
    with pytest.raises(UsageError, match="more than 16 devices"):
        parse(" ".join(f"-f null?rate={8000 + n}" for n in range(17)))


def test_flags() -> None:
    read = parse("--demo out.wav --no-realtime --check -d")
    assert (read.demo, read.demo_file, read.realtime, read.check) == (True, "out.wav", False, True)
    assert read.log_level == "debug"
    assert parse("-d --log-level error").log_level == "error"
    assert parse("-h").help and parse("--help").help and parse("--version").version


# ---- paths ----


def test_paths() -> None:
    assert conf("").listen.path == Path("/run/user/1000/audiod/audiod.sock")
    assert conf("").listen.dir_mode == 0o700
    assert conf("-U 3").listen.path.name == "audiod-3.sock"
    assert conf("", env={}).listen.path == Path("/tmp/audiod-1000/audiod.sock")
    assert conf("", env={"XDG_RUNTIME_DIR": "relative"}).listen.path.parent == Path("/tmp/audiod-1000")
    root = conf("", euid=0).listen
    assert (root.path, root.dir_mode, root.group) == (Path("/run/audiod/audiod.sock"), 0o755, True)
    assert conf("--socket /x/y.sock").listen == config.Listen(Path("/x/y.sock"), None, group=False)


def test_where_sndios_programs_look() -> None:
    """libsndio asks /tmp/sndio-UID first, then /tmp/sndio; the server is in the one that is its own."""
    for line, directory in ("", "/tmp/sndio-1000"), ("--system", "/tmp/sndio"):
        for unit in (0, 7):
            place = conf(f"-U {unit} {line}").sndio
            assert place is not None
            assert place.path == Path(directory) / f"sock{unit}"
            assert (place.dir_mode, place.mode) == (0o755 if line else 0o700, 0o666)
    assert conf("", euid=0).sndio == conf("--system").sndio
    assert conf("--sndio none").sndio is None
    mine = config.Listen(Path("/x/y"), None, group=False, mode=0o660, option="--sndio")
    assert conf("--sndio /x/y -U 3").sndio == mine
    everybodys = config.Listen(Path("/x/y"), None, group=False, mode=0o666, option="--sndio")
    assert conf("--sndio /x/y --system").sndio == everybodys


@pytest.mark.parametrize(
    ("line", "env", "euid", "system"),
    [
        ("", {}, 0, True),
        ("", {}, 115, False),
        ("--system", {}, 115, True),
        ("", {"RUNTIME_DIRECTORY": "/run/audiod"}, 115, True),
        ("", {"RUNTIME_DIRECTORY": "/run/other:/run/audiod"}, 115, True),
        # the same unit file under a user's own systemd, and another service's
        ("", {"RUNTIME_DIRECTORY": "/run/user/1000/audiod"}, 1000, False),
        ("", {"RUNTIME_DIRECTORY": "/run/audiod2"}, 1000, False),
    ],
)
def test_whose_server_it_is(line: str, env: dict[str, str], euid: int, system: bool) -> None:
    found = conf(line, {"XDG_RUNTIME_DIR": "/run/user/1000", "HOME": "/home/x", **env}, euid)
    assert found.system == system
    assert (found.listen.path == Path("/run/audiod/audiod.sock")) == system
    assert (found.state.path == Path("/var/lib/audiod")) == system
    assert found.sndio is not None and (found.sndio.path == Path("/tmp/sndio/sock0")) == system


def test_tcp_is_asked_for() -> None:
    assert conf("").tcp == () and conf("").port == 11025
    found = conf("-L - -U 4 -L 127.0.0.1")
    assert (found.tcp, found.port) == (("-", "127.0.0.1"), 11029)


def test_who_shares() -> None:
    assert conf("").share is Share.SESSION
    assert conf("--share group").share is Share.GROUP
    assert conf("").sndio_streams == 1024


def test_the_default_is_a_device_of_its_own() -> None:
    assert [d.text for d in parse("").devices] == ["null"]
    there = options.parse([], "alsa:hw:CARD=HDA,DEV=0")
    assert [d.text for d in there.devices] == ["alsa:hw:CARD=HDA,DEV=0"] and there.defaulted
    assert [d.text for d in options.parse(["-f", "null"], "alsa").devices] == ["null"]


def test_cards_count_where_one_can_play_and_the_library_is_there(tmp_path: Path) -> None:
    roots = Roots(tmp_path / "proc", tmp_path / "dev", tmp_path / "sys")
    library = "libc.so.6"  # stands for one that can be loaded
    assert config.default_device(roots, library) == "null"
    for folder in ("proc/card0/pcm0c", "proc/card0/pcm3p", "dev"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "proc/card0/id").write_text("HDA\n")
    (tmp_path / "dev/pcmC0D0c").touch()
    assert config.default_device(roots, library) == "null", "nothing plays"
    (tmp_path / "dev/pcmC0D3p").touch()
    assert config.default_device(roots, library) == "alsa:hw:CARD=HDA,DEV=3"
    assert config.default_device(roots, "libnothing.so.0") == "null"
