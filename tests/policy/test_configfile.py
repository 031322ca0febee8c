"""configfile.py, schema.py, layers.py: files found, read and merged; every mistake has its line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from audiod_protocol.limits import TEXT_MAX
from hypothesis import given, settings
from hypothesis import strategies as st

from audiod import config, configfile, options
from audiod.changes import flatten
from audiod.config import Config
from audiod.errors import ConfigError, UsageError
from audiod.policy import Share
from audiod.subdevice import SubDevice, SubMode

ENV = {"XDG_RUNTIME_DIR": "/run/user/1000"}


def of_text(text: str, line: str = "") -> Config:
    return config.resolve(options.parse(line.split()), ENV, 1000, configfile.merge([("f", text.encode())]))


def wrong(text: str | bytes) -> list[str]:
    """What is wrong with a file, a line each."""
    data = text.encode() if isinstance(text, str) else text
    with pytest.raises(ConfigError) as caught:
        config.resolve(options.parse([]), ENV, 1000, configfile.merge([("f", data)]))
    assert caught.value.exit_code == 1
    return caught.value.line().splitlines()


# ---- what may be written ----

WHOLE = """\
[server]
socket = "/run/x/audiod.sock"
unit = 3
realtime = false
log_level = "warning"
users = "root"

[defaults]
rate = 96000
enc = "s24le3"

[state]
path = "/srv/state"
enabled = false

[[device]]
spec = "null"
hold = true
enc = "s32le"

  [[device.subdevice]]
  name = "rear"
  play = [2, 3]
  rec = [1, 1]
  mode = "play,mon"
  join = false
  volume = 100
  mmc = true

[midi]
ports = ["/dev/midi", "rmidi/1"]
hold = true

[[device]]
spec = "loopback?rate=8000"
autovol = true
round = 960

[sndio]
socket = "/run/x/sndio.sock"
listen = ["127.0.0.1", "::1"]
share = "group"
streams = 64
"""


def test_everything_that_may_be_written() -> None:
    conf = of_text(WHOLE)
    first, second = conf.devices
    assert conf.listen.path == Path("/run/x/audiod.sock") and conf.listen.group
    assert (conf.unit, conf.realtime, conf.log_level, conf.users) == (3, False, "warning", "root")
    assert conf.sndio is not None and conf.sndio.path == Path("/run/x/sndio.sock") and conf.sndio.group
    assert (conf.tcp, conf.share, conf.sndio_streams) == (("127.0.0.1", "::1"), Share.GROUP, 64)
    assert (conf.state.path, conf.state.enabled) == (Path("/srv/state"), False)
    assert [(port.text, port.hold) for port in conf.ports] == [("/dev/midi", True), ("rmidi/1", True)]
    assert (first.text, first.hold, first.autovol, str(first.format.enc)) == ("null", True, False, "s32le")
    assert (first.format.rate, first.format.round, first.format.bufsz, first.format.play) == (
        96000,
        480,
        1920,
        4,
    )
    assert (second.hold, second.autovol, str(second.format.enc)) == (False, True, "s24le3")
    assert (second.format.rate, second.format.round, second.format.bufsz) == (8000, 960, 3840)
    assert conf.subdevices == (
        SubDevice("rear", 0, SubMode.PLAY | SubMode.MON, 2, 3, 1, 1, 100, False, mmc=True),
        SubDevice("default", 0),
        SubDevice("0", 0),
        SubDevice("1", 1),
    )


def test_every_key_has_its_origin() -> None:
    lines = WHOLE.splitlines()
    conf = of_text(WHOLE)
    keys = flatten(conf)
    assert set(conf.origins) <= set(keys) | {"device.0.subdevice.rear.name"}
    for key, origin in conf.origins.items():
        name, number = origin.split(":")
        assert name == "f"
        assert lines[int(number) - 1].split("=")[0].strip() in (key.rpartition(".")[2], "spec", "round")
    assert conf.origins["device.0.rate"] == "f:9"
    assert conf.origins["device.1.rate"] == "f:35", "its SPEC says it"
    assert conf.origins["device.1.bufsz"] == "f:37", "made of round"
    assert "device.0.round" not in conf.origins


def test_default_may_be_defined_and_is_the_pattern() -> None:
    conf = of_text('[[device]]\nspec="null"\n[[device.subdevice]]\nname="default"\nplay=[0,7]\nvolume=9')
    assert [(s.name, s.pmax, s.maxvol) for s in conf.subdevices] == [("default", 7, 9), ("0", 7, 9)]


def test_an_empty_file_is_the_default() -> None:
    assert of_text("# nothing\n") == config.resolve(options.parse([]), ENV, 1000)


# ---- the command line is stronger ----


def test_the_command_line_wins() -> None:
    conf = of_text(WHOLE, "-U 5 -r 44100 -z 128 --socket /y -d")
    assert (conf.unit, str(conf.listen.path), conf.log_level) == (5, "/y", "debug")
    assert [d.format.rate for d in conf.devices] == [44100, 8000], "a SPEC's own key is stronger"
    assert [(d.format.round, d.format.bufsz) for d in conf.devices] == [(128, 512)] * 2
    for key in ("server.unit", "server.socket", "server.log_level", "device.0.rate", "device.0.bufsz"):
        assert conf.origins[key] == "command line"
    assert not of_text("[server]\nrealtime=true", "--no-realtime").realtime
    conf = of_text(WHOLE, "--sndio none --share session -L -")
    assert (conf.sndio, conf.share, conf.tcp) == (None, Share.SESSION, ("-",)), "-L replaces the list"
    assert of_text("[sndio]\nsocket='none'").sndio is None


def test_f_replaces_the_devices() -> None:
    conf = of_text(WHOLE, "-f null -s front -w on -f loopback")
    assert [d.text for d in conf.devices] == ["null", "loopback"]
    assert [s.name for s in conf.subdevices] == ["front", "default", "0", "1"]
    assert str(conf.devices[0].format.enc) == "s24le3", "[defaults] count for them, too"
    assert not conf.devices[0].hold and conf.devices[1].autovol
    assert conf.origins["device.1.autovol"] == "command line"


@pytest.mark.parametrize("line", ["-s front", "-c 0:1", "-e s16", "-a on", "-v 3"])
def test_letters_of_a_device_need_f_where_a_file_has_devices(line: str) -> None:
    with pytest.raises(UsageError, match="the devices are those of f"):
        of_text(WHOLE, line)
    of_text("[defaults]\nrate=8000", line)


# ---- what is wrong ----


@pytest.mark.parametrize(
    ("text", "where", "words"),
    [
        ("a = 1\nb =\n", "f:2:", ("this is not TOML",)),
        ('[server]\nsocket = "/x', "f:2:", ("this is not TOML",)),
        ("[server]\n\n[server]\n", "f:3:", ("this is not TOML", "server")),
        ("[server]\nunit = 1\nunit = 2", "f:3:", ("this is not TOML",)),
        (b"[server]\nusers = '\xff'", "f:2:", ("UTF-8",)),
        ("x=" + "[" * 5000, "f:", ("nested too deeply",)),
        ("[server]\nunit = " + "1" * 5000, "f:", ("not TOML",)),
        ("\n\n" + "a." * 40 + "b = 1", "f:3:", ("more than 32 parts",)),
        ("[sevrer]", "f:1:", ("no table or key 'sevrer'", "did you mean 'server'?")),
        ("\nfoo = 1", "f:2:", ("no table or key 'foo'", "are server, defaults, sndio,", "device")),
        ("rate = 1", "f:1:", ("rate belongs to [defaults]",)),
        ("[server]\n# x\nlog_levle = 'info'", "f:3:", ("[server] has no key 'log_levle'", "'log_level'?")),
        ("[state]\nautovol = true", "f:2:", ("autovol belongs to [[device]]",)),
        ("[[device]]\nspec='null'\njoin=true", "f:3:", ("[device.0]", "belongs to [[device.subdevice]]")),
        ("server = 1", "f:1:", ("server: a table is expected, not the integer 1",)),
        ("device = 'null'", "f:1:", ("device: an array of tables", "'null'", "write [[device]]")),
        ("[device]\nspec='null'", "f:1:", ("not a table", "write [[device]]")),
        ("device = [1]", "f:1:", ("device.0: a table is expected, not the integer 1",)),
        ("[[device]]\nspec='null'\n[device.subdevice]\nname='x'", "f:3:", ("write [[device.subdevice]]",)),
        ("[server]\nunit = '1'", "f:2:", ("server.unit: a unit, 0..15, is expected, not the string '1'",)),
        ("[server]\nunit = 16", "f:2:", ("0..15", "the integer 16")),
        ("[server]\nunit = true", "f:2:", ("the boolean true",)),
        ("[server]\nrealtime = 1", "f:2:", ("true or false is expected",)),
        ("[server]\nlog_level = 'loud'", "f:2:", ("one of debug, info, warning, error",)),
        ("[server]\nsocket = 'x/y'", "f:2:", ("an absolute path is expected, not the string 'x/y'",)),
        ('[server]\nsocket = "/x\\u0000"', "f:2:", ("NUL",)),
        ("[server]\nusers = 'no such group'", "f:2:", ("there is no group 'no such group'",)),
        ("[server]\nusers = ''", "f:2:", ("the name of a group",)),
        ("[sndio]\nsocket = 'sock0'", "f:2:", ("an absolute path or \"none\"",)),
        ("[sndio]\nlisten = '-'", "f:2:", ("an array of addresses",)),
        ("[sndio]\nlisten = ['-', '']", "f:2:", ("sndio.listen: ''", "host")),
        ("[sndio]\nshare = 'all'", "f:2:", ("one of session, group",)),
        ("[sndio]\nstreams = 0", "f:2:", ("1..2048",)),
        ("[defaults]\nrate = 48000.0", "f:2:", ("4000..192000", "the float 48000.0")),
        ("[defaults]\nrate = 1979-05-27", "f:2:", ("the date 1979-05-27",)),
        ("[defaults]\nenc = 's33'", "f:2:", ("defaults.enc: bits must be",)),
        ("[defaults]\nround = 0", "f:2:", ("1..32767",)),
        ("[[device]]\nhold = true", "f:1:", ("device.0: the device has no spec",)),
        ("[[device]]\nspec = 'nul'", "f:2:", ("no driver 'nul'", "did you mean null?")),
        ("[[device]]\nspec = 'null?rate=1'", "f:2:", ("rate=1", "4000..192000")),
        ("[[device]]\nspec='null'\n[[device]]\nspec='null'", "f:4:", ("is at f:1 already",)),
        ("[[device]]\nspec='null?bufsz=192000&round=32767'", "f:1:", ("a buffer of 196602 frames",)),
    ],
)  # fmt: skip
def test_mistakes(text: str | bytes, where: str, words: tuple[str, ...]) -> None:
    (line,) = wrong(text)
    assert line.startswith(where)
    for word in words:
        assert word in line
    assert len(line) < 300


SUB = "[[device]]\nspec='null'\n[[device.subdevice]]\n"


@pytest.mark.parametrize(
    ("text", "where", "words"),
    [
        ("play=[0,1]", "f:3:", ("the sub-device has no name",)),
        ("name='rear2'", "f:4:", ("only letters",)),
        ("name='twelveletter'", "f:4:", ("more than 11",)),
        ("name='x'\nplay=[1,0]", "f:5:", ("device.0.subdevice.0.play", "1, is behind the last one, 0")),
        ("name='x'\nplay=[0,64]", "f:5:", ("0..63", "an array")),
        ("name='x'\nrec=[0]", "f:5:", ("[first, last]",)),
        ("name='x'\nmode='play,foo'", "f:5:", ("'foo' is not one of play, rec, mon",)),
        ("name='x'\nmode=''", "f:5:", ("'' is not one of",)),
        ("name='x'\nvolume=128", "f:5:", ("0..127",)),
        ("name='x'\nspec='null'", "f:5:", ("spec belongs to [[device]]",)),
        ("name='x'\n[[device.subdevice]]\nname='x'", "f:6:", ("sub-device 'x' is defined at f:4 already",)),
        (
            "name='x'\n[[device]]\nspec='loopback'\n[[device.subdevice]]\nname='x'",
            "f:8:",
            ("sub-device 'x' is defined at f:4 already",),
        ),
        (
            "name='default'\nmode='rec'\n[[device]]\nspec='file:/x.wav'",
            "f:6:",
            ("device file:/x.wav: the device neither plays nor records",),
        ),
    ],
)
def test_mistakes_in_a_subdevice(text: str, where: str, words: tuple[str, ...]) -> None:
    (line,) = wrong(SUB + text)
    assert line.startswith(where)
    for word in words:
        assert word in line


def test_every_problem_is_told_at_once_in_the_order_of_the_lines() -> None:
    lines = wrong("[server]\nunit='x'\nfoo=1\n[defaults]\nrate=1\n[[device]]\n[bar]\n")
    assert [line.split(":")[1] for line in lines] == ["2", "3", "5", "6", "7"]
    assert len(wrong("[server]\n" + "\n".join(f"x{n}=1" for n in range(5000)))) == 20


def test_too_many() -> None:
    def devices(n: int) -> str:
        return "\n".join(f"[[device]]\nspec='null?rate={8000 + k}'" for k in range(n))

    (line,) = wrong(devices(17))
    assert line.startswith("f:33: there are more than 16 devices")
    subs = "\n".join(f"[[device.subdevice]]\nname='{c}'" for c in "abcdefghijklmno")
    (line,) = wrong("[[device]]\nspec='null'\n" + subs)
    assert "more than 16 sub-devices" in line
    assert len(of_text(devices(15)).devices) == 15


# ---- any text ----

WORDS = st.sampled_from(
    ["[server]", "[[device]]", "[[device.subdevice]]", "[defaults]", "spec", "=", '"null"', "name", "rate",
     "'x'", "1", "\n", "\n", "\n", "unit", "[", "]", "{", "}", ",", ".", '"', "'", "#", "true", "\\", "é"]
)  # fmt: skip


@given(st.lists(WORDS, max_size=40).map(" ".join) | st.text(max_size=60))
@settings(max_examples=500, deadline=None, derandomize=True)
def test_any_text_is_a_configuration_or_refused_with_a_place(text: str) -> None:
    try:
        conf = of_text(text)
    except ConfigError as error:
        for problem in error.problems:
            name, _, number = problem.where.partition(":")
            assert name == "f"
            assert not number or 1 <= int(number) <= text.count("\n") + 1
    else:
        assert conf.devices


@pytest.mark.parametrize(
    "text",
    ["a." * 8000 + "a=1", "[" + "a." * 8000 + "a]", "a" * TEXT_MAX, "'" * TEXT_MAX, '"' * TEXT_MAX,
     "\n".join(f"k{n}=1" for n in range(2000)), "[[device]]\n" * 1400, "x=[" + "[]," * 5000 + "]",
     "x={" + "y={" * 5000, '"a".' * 4000 + "b=1", "x=0x" + "1" * 16000, "a\n" * 8000],
)  # fmt: skip
def test_long_texts_are_refused_in_short(text: str) -> None:
    assert len("\n".join(wrong(text))) < 20 * 300


# ---- files ----


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        path = folder / "audiod" / name.replace("__", ".d/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def load(folder: Path, line: str = "") -> Config:
    return config.load(options.parse(line.split()), {**ENV, "XDG_CONFIG_HOME": str(folder)}, 1000)


def test_drop_ins_come_in_the_order_of_their_names_and_later_ones_win(tmp_path: Path) -> None:
    write(
        tmp_path,
        audiod_toml="[defaults]\nrate=8000\n[[device]]\nspec='null'\n[[device.subdevice]]\nname='rear'\nvolume=1",
        audiod__20_toml="[defaults]\nrate=22050\n[server]\nunit=2\n[[device]]\nspec='loopback'",
        audiod__10_toml="[defaults]\nrate=16000\nround=64\n[server]\nunit=1\nlog_level='error'",
        audiod__30_toml="[[device]]\nspec='null'\nhold=true\n[[device.subdevice]]\nname='rear'\nplay=[2,3]",
        audiod__40_txt="[nonsense]",
    )
    conf = load(tmp_path)
    home = tmp_path / "audiod"
    names = ["audiod.toml", "audiod.d/10.toml", "audiod.d/20.toml", "audiod.d/30.toml"]
    assert conf.files == tuple(str(home / name) for name in names)
    assert (conf.unit, conf.log_level) == (2, "error")
    assert [(d.text, d.hold, d.format.rate, d.format.round) for d in conf.devices] == [
        ("null", True, 22050, 64),
        ("loopback", False, 22050, 64),
    ]
    assert conf.subdevices[0] == SubDevice("rear", 0, pmin=2, pmax=3, maxvol=1)
    assert conf.origins["server.unit"] == f"{home}/audiod.d/20.toml:4"
    assert conf.origins["device.0.hold"] == f"{home}/audiod.d/30.toml:3"
    assert conf.origins["device.0.subdevice.rear.volume"] == f"{home}/audiod.toml:7"


def test_a_subdevice_of_two_files_on_two_devices(tmp_path: Path) -> None:
    write(
        tmp_path,
        audiod_toml="[[device]]\nspec='null'\n[[device.subdevice]]\nname='rear'",
        audiod__a_toml="[[device]]\nspec='loopback'\n[[device.subdevice]]\nname='rear'",
    )
    with pytest.raises(
        ConfigError, match=r"a\.toml:4: sub-device 'rear' is defined at .*audiod\.toml:4 already"
    ):
        load(tmp_path)


def test_drop_ins_alone_and_nothing_at_all(tmp_path: Path) -> None:
    assert load(tmp_path / "none").files == ()
    write(tmp_path, audiod__a_toml="[server]\nunit=7")
    assert load(tmp_path).unit == 7
    assert config.load(options.parse([]), ENV, 1000).files == (), "no home, no files"


def test_which_files_are_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / ".config", audiod_toml="[server]\nunit=4")
    home = {**ENV, "HOME": str(tmp_path)}
    assert config.load(options.parse([]), home, 1000).unit == 4
    monkeypatch.setattr(configfile, "SYSTEM", tmp_path / "etc" / "audiod")
    write(tmp_path / "etc", audiod_toml="[server]\nunit=5")
    assert config.load(options.parse([]), home, 0).unit == 5, "root has the system's"
    only = tmp_path / "only.toml"
    only.write_text("[server]\nunit=6")
    assert config.load(options.parse(["--config", str(only)]), home, 1000).unit == 6


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for path in ("none.toml", "."):
        with pytest.raises(ConfigError, match="cannot be read"):
            load(tmp_path, f"--config {tmp_path / path}")
    write(tmp_path, audiod_toml="")
    (tmp_path / "audiod" / "audiod.d").mkdir()
    (tmp_path / "audiod" / "audiod.d" / "x.toml").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match=r"x\.toml: cannot be read: No such file"):
        load(tmp_path)
    (tmp_path / "audiod" / "audiod.toml").unlink()
    (tmp_path / "audiod" / "audiod.toml").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match=r"audiod\.toml: cannot be read"):
        load(tmp_path)


def test_a_directory_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path) -> None:
        raise PermissionError(13, os.strerror(13))

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(ConfigError, match=r"audiod\.d: cannot be read: Permission denied"):
        load(tmp_path)


# ---- state ----


def test_where_state_is_kept() -> None:
    def path(env: dict[str, str], euid: int = 1000) -> Path | None:
        return config.resolve(options.parse([]), env, euid).state.path

    assert path({}, 0) == Path("/var/lib/audiod")
    assert path({"HOME": "/h"}) == Path("/h/.local/state/audiod")
    assert path({"HOME": "/h", "XDG_STATE_HOME": "/s"}) == Path("/s/audiod")
    assert path({}) is None


# ---- alternates ----

USB = '[[device]]\nspec = "alsa:@usb"\n'


def test_alternates_are_devices_behind_all_others() -> None:
    text = (
        USB
        + 'rate = 96000\nhold = true\non_new = "stay"\nalternates = ["alsa:hw:PCH?rate=44100", "loopback"]\n'
        + '[[device.subdevice]]\nname = "rear"\nplay = [2, 3]\n'
        + '[[device]]\nspec = "loopback"\n'
    )
    made = of_text(text)
    assert [(d.text, d.alternates, d.format.rate, d.hold) for d in made.devices] == [
        ("alsa:@usb", (2, 1), 96000, True),
        ("loopback", (), 48000, False),
        ("alsa:hw:PCH?rate=44100", (), 44100, False),
    ]
    assert [d.rule.on_new for d in made.devices] == ["stay", "return", "stay"]
    assert [d.format.play for d in made.devices] == [4, 4, 4]
    assert {s.name: s.device for s in made.subdevices} == {"rear": 0, "default": 0, "0": 0, "1": 1, "2": 2}
    keys = flatten(made)
    assert keys["device.0.alternates"] == ["alsa:hw:PCH?rate=44100", "loopback"]
    assert keys["device.2.alternates"] == []
    assert (made.origins["device.0.alternates"], made.origins["device.2.spec"]) == ("f:6", "f:6")


def test_what_all_devices_do_with_alternates() -> None:
    defaults = '[defaults]\non_loss = "wait"\non_new = "follow"\n'
    made = of_text(defaults, "-f null -F loopback")
    assert {(d.rule.on_loss, d.rule.on_new) for d in made.devices} == {("wait", "follow")}
    assert made.origins["device.0.on_loss"] == "f:2"
    assert made.origins["device.1.alternates"] == "command line"
    made = of_text(defaults + '[[device]]\nspec = "null"\non_loss = "fallback"\n')
    assert (made.devices[0].rule.on_loss, made.devices[0].rule.on_new) == ("fallback", "follow")


@pytest.mark.parametrize(
    ("text", "where", "words"),
    [
        ('alternates = "null"', "f:3", "an array of devices is expected, not the string 'null'"),
        ("alternates = [1]", "f:3", "an array of devices is expected"),
        ('alternates = ["nul"]', "f:3", "did you mean null?"),
        ('alternates = ["null", "null"]', "f:3", "'null' is there twice"),
        ('alternates = ["alsa:@usb"]', "f:3", "'alsa:@usb' is the device itself"),
        ('on_loss = "stay"', "f:3", "one of fallback, wait is expected, not the string 'stay'"),
        ('on_new = "wait"', "f:3", "one of return, stay, follow is expected"),
        (
            "alternates = [" + ", ".join(f"'file:/x{n}'" for n in range(16)) + "]",
            "f:3",
            "more than 16 devices, alternates included",
        ),
    ],
)
def test_mistakes_in_alternates(text: str, where: str, words: str) -> None:
    (line,) = wrong(USB + text)
    assert line.startswith(where + ":") and words in line, line


def test_alternates_of_a_later_file_take_the_place_of_all() -> None:
    made = configfile.merge(
        [("a", (USB + 'alternates = ["null"]').encode()), ("b", (USB + 'alternates = ["loopback"]').encode())]
    )
    conf = config.resolve(options.parse([]), ENV, 1000, made)
    assert [d.text for d in conf.devices] == ["alsa:@usb", "loopback"]
