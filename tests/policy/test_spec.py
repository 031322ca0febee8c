"""spec.py: the grammar of device SPECs."""

from __future__ import annotations

from string import printable

import pytest
from audiod_protocol.errors import FaultError
from audiod_protocol.params import Enc
from hypothesis import given
from hypothesis import strategies as st

from audiod.errors import SpecError
from audiod.spec import ACCESSES, BUFSZ_MAX, ROUND_MAX, DeviceSpec, parse


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("null", DeviceSpec("null")),
        ("loopback?rate=44100", DeviceSpec("loopback", rate=44100)),
        ("manual?round=64&bufsz=192", DeviceSpec("manual", round=64, bufsz=192)),
        ("null?play=0", DeviceSpec("null", play=0)),
        ("file:a.wav", DeviceSpec("file", "a.wav")),
        ("file:/x/a:b.wav?clock=free", DeviceSpec("file", "/x/a:b.wav", free_clock=True)),
        ("file:a%3fb%20c%25.wav", DeviceSpec("file", "a?b c%.wav")),
        ("file?rec=in.wav", DeviceSpec("file", rec_path="in.wav")),
        ("file:o.wav?rec=2", DeviceSpec("file", "o.wav", rec=2)),
        ("file:o.wav?rec=./2", DeviceSpec("file", "o.wav", rec_path="./2")),
        ("file:o.wav?rec=in.wav&rec=1", DeviceSpec("file", "o.wav", rec_path="in.wav", rec=1)),
        ("file:o.wav?rec=a%26b", DeviceSpec("file", "o.wav", rec_path="a&b")),
        (
            "file:o.wav?enc=s24le3&stall=0.5&dither=off&clock=real",
            DeviceSpec("file", "o.wav", enc=Enc.parse("s24le3"), stall=0.5, dither=False, free_clock=False),
        ),
        ("null?ppm=-10000&jitter=0", DeviceSpec("null", ppm=-10000, jitter=0.0)),
        ("manual?ppm=+300&jitter=2.5", DeviceSpec("manual", ppm=300, jitter=2.5)),
        ("loopback?xrun_every=0.25", DeviceSpec("loopback", xrun_every=0.25)),
        ("file:o.wav?unplug_after=86400", DeviceSpec("file", "o.wav", unplug_after=86400.0)),
        ("alsa", DeviceSpec("alsa")),
        ("alsa:default?rec=0", DeviceSpec("alsa", "default", rec=0)),
        ("alsa:hw:CARD=PCH,DEV=0", DeviceSpec("alsa", "hw:CARD=PCH,DEV=0")),
        ("alsa?access=mmap-planar", DeviceSpec("alsa", access="mmap-planar")),
        (
            "alsa:hw:0,0?xrun_every=1&unplug_after=2",
            DeviceSpec("alsa", "hw:0,0", xrun_every=1, unplug_after=2),
        ),
        ("rsnd/0", DeviceSpec("alsa", "hw:0,0")),
        ("rsnd/12?enc=s32", DeviceSpec("alsa", "hw:12,0", enc=Enc.parse("s32"))),
        ("rsnd/default?rate=44100", DeviceSpec("alsa", rate=44100)),
    ],
)
def test_examples(text: str, spec: DeviceSpec) -> None:
    assert parse(text) == spec


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the drivers are null"),
        ("nul", "did you mean null?"),
        ("Null", "did you mean null?"),
        ("oss:/dev/dsp", "not there yet"),
        ("rsnd", "rsnd/0 for the first"),
        ("rsnd/", "rsnd/default"),
        ("rsnd/x", "no such card"),
        ("rsnd/0:1", "no such card"),
        ("rsnd/0,1?rate=8000", "no such card"),
        ("alsa:", "nothing follows"),
        ("alsa:hw:0?ppm=3", "belongs to driver null"),
        ("alsa:hw:0?clock=free", "belongs to driver file"),
        ("null:x", "takes no argument"),
        ("null:", "nothing follows"),
        ("file", "no file is named"),
        ("file:", "nothing follows"),
        ("null?rates=1", "did you mean rate?"),
        ("null?clock=free", "belongs to driver file"),
        ("null?rate", "has no value"),
        ("null?", "there is no key ''"),
        ("null?rate=8000&", "there is no key ''"),
        ("null?rate=8000&rate=9000", "given twice"),
        ("null?rate=3999", "4000..192000"),
        ("null?rate=48k", "not a number"),
        ("null?rate=٤٨٠٠٠", "not a number"),
        ("null?rec=path", "not a number"),
        ("null?play=65", "0..64"),
        ("null?play=0&rec=0", "neither plays nor records"),
        ("null?enc=s99", "encoding"),
        ("null?enc=s33", "bits"),
        ("null?round=0", "1..32767"),
        ("null?round=480&bufsz=900", "less than two blocks"),
        ("file:x?stall=-1", "seconds"),
        ("file:x?stall=0", "within"),
        ("null?ppm=10001", "-10000..10000"),
        ("null?ppm=-10001", "-10000..10000 parts per million"),
        ("null?ppm=1.5", "not a number"),
        ("null?ppm=--1", "not a number"),
        ("null?ppm=", "not a number"),
        ("null?play=+2", "not a number"),
        ("alsa?access=dma", "expected mmap, mmap-planar, mmap-complex, rw or rw-planar"),
        ("null?access=rw", "key access belongs to driver alsa"),
        ("null?jitter=1000.5", "0..1000"),
        ("null?jitter=-1", "not a number of milliseconds"),
        ("null?xrun_every=0", "not within 0..86400, without 0"),
        ("null?xrun_every=2s", "not a number of seconds"),
        ("null?unplug_after=86401", "not within 0..86400"),
        ("null?unplug=2", "did you mean unplug_after?"),
        ("file:x?dither=yes", "auto or off"),
        ("file:x?clock=fast", "real or free"),
        ("file:x?rec=", "empty"),
        ("file:x%", "hexadecimal"),
        ("file:x%2", "hexadecimal"),
        ("file:x%zz", "hexadecimal"),
        ("file:%ff", "UTF-8"),
        ("file:a%00b", "%00"),
    ],
)
def test_refusals(text: str, words: str) -> None:
    with pytest.raises(SpecError) as refused:
        parse(text)
    assert words in refused.value.line()
    assert refused.value.hint


def encodings() -> st.SearchStrategy[Enc]:
    names = [f"{sign}{bits}{order}" for sign in "su" for bits in (16, 20, 24, 32) for order in ("le", "be")]
    return st.sampled_from(
        [Enc.parse(name) for name in [*names, "u8", "s24le3", "s20le4msb", "f32le", "f64be"]]
    )


paths = st.text(min_size=1, max_size=40).filter(lambda t: "\0" not in t and not has_surrogates(t))


def has_surrogates(text: str) -> bool:
    return any("\ud800" <= c <= "\udfff" for c in text)


@st.composite
def specs(draw: st.DrawFn) -> DeviceSpec:
    driver = draw(st.sampled_from(["null", "loopback", "manual", "file", "alsa"]))
    play, rec = draw(st.integers(1, 64) | st.none()), draw(st.integers(0, 64) | st.none())
    block = draw(st.none() | st.integers(1, ROUND_MAX))
    common = {
        "rate": draw(st.none() | st.integers(4000, 192000)),
        "play": play,
        "rec": rec,
        "enc": draw(st.none() | encodings()),
        "round": block,
        "bufsz": draw(st.none() | st.integers(2 * (block or 1), BUFSZ_MAX)),
        "dither": draw(st.none() | st.booleans()),
        "ppm": draw(st.none() | st.integers(-10_000, 10_000)),
        "jitter": draw(st.none() | st.integers(0, 1_000_000).map(lambda n: n / 1000)),
        "xrun_every": draw(st.none() | st.integers(1, 86_400_000).map(lambda n: n / 1000)),
        "unplug_after": draw(st.none() | st.integers(1, 86_400_000).map(lambda n: n / 1000)),
    }
    if driver == "alsa":
        del common["ppm"], common["jitter"]
        common["access"] = draw(st.none() | st.sampled_from(ACCESSES))
        return DeviceSpec(driver, draw(paths | st.just("")), **common)
    if driver != "file":
        return DeviceSpec(driver, **common)
    rec_path = draw(st.none() | paths.filter(lambda t: not (t.isascii() and t.isdigit())))
    return DeviceSpec(
        driver,
        draw(paths if rec_path is None else paths | st.just("")),
        **common,
        rec_path=rec_path,
        free_clock=draw(st.none() | st.booleans()),
        stall=draw(st.none() | st.integers(1, 3_600_000).map(lambda n: n / 1000)),
    )


@given(specs())
def test_text_and_back(spec: DeviceSpec) -> None:
    assert parse(str(spec)) == spec


@given(st.text(alphabet=printable, max_size=60) | st.text(max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        spec = parse(text)
    except SpecError as error:
        assert error.line()
    else:
        assert parse(str(spec)) == spec


@given(
    st.sampled_from(["null", "file:x"]), st.text(alphabet="raetplyncounbfszdihkg=&?%0123456789.", max_size=40)
)
def test_any_keys_are_read_or_refused(driver: str, keys: str) -> None:
    try:
        parse(f"{driver}?{keys}")
    except FaultError:
        pytest.fail("a fault of the wire out of the command line")
    except SpecError:
        pass
