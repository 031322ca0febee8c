"""What a stream's samples and parameters become, end to end: sio_open(3)'s semantics over a real socket.

The numbers in the names are the items of the list in docs/developing.md.  The
device: manual, 48,000 Hz, s16, blocks of 480, buffer of 1920 frames.
"""

import itertools
from pathlib import Path

import numpy as np
import pytest
from native import Refused
from stage import flat, noise, play_out, stage, steps, whole

# ---- 1: parameters ----

OBSERVED = [  # asked -> rate, round, appbufsz, bufsz
    ({}, 48000, 480, 1920, 3840),
    ({"rate": 44100}, 44100, 441, 1764, 3528),
    ({"rate": 44100, "appbufsz": 1}, 44100, 441, 441, 2205),
    ({"rate": 44100, "appbufsz": 1_000_000}, 44100, 441, 40572, 42336),
    ({"rate": 8000, "appbufsz": 4000}, 8000, 80, 1360, 1680),
    ({"rate": 1}, 4000, 40, 160, 320),
    ({"rate": 500_000}, 192_000, 1920, 7680, 15360),
    ({"appbufsz": 500}, 48000, 480, 480, 2400),
    ({"appbufsz": 700}, 48000, 480, 480, 2400),
    ({"appbufsz": 100_000}, 48000, 480, 48480, 50400),
    # departures: a block is no whole number of frames here, so bufsz has one more, appbufsz two blocks
    ({"rate": 44101}, 44101, 441, 1764, 3529),
    ({"rate": 22051}, 22051, 221, 884, 1769),
    ({"rate": 22051, "appbufsz": 1}, 22051, 221, 442, 1327),
]


async def test_1_parameters_are_sndiods_table(tmp_path: Path) -> None:
    async with stage(tmp_path) as st:
        c = await st.client()
        for asked, rate, round_, appbufsz, bufsz in OBSERVED:
            n = (await c.ask("open", mode="play"))["stream"]
            got = (await c.ask("setpar", stream=n, par=asked))["par"]
            said = [got[key] for key in ("rate", "round", "appbufsz", "bufsz")]
            assert said == [rate, round_, appbufsz, bufsz]
            assert (await c.ask("getpar", stream=n))["par"] == got
            await c.ask("close", stream=n)


async def test_1_initial_parameters(tmp_path: Path) -> None:
    async with stage(tmp_path, "-f manual -c 0:3 -C 0:0") as st:
        c = await st.client()
        n = (await c.ask("open", mode="play,rec"))["stream"]
        assert (await c.ask("getpar", stream=n))["par"] == {
            "enc": "s24le", "bits": 24, "bps": 4, "sig": True, "le": True, "msb": False, "rate": 48000,
            "pchan": 4, "rchan": 1, "appbufsz": 1920, "bufsz": 3840, "round": 480, "xrun": "ignore",
        }  # fmt: skip


async def test_1_what_sndiod_closes_for_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    async with stage(tmp_path) as st:
        c = await st.client()
        n = await c.open(start=False)
        before = await c.ask("getpar", stream=n)
        for wrong in ({"bits": 20, "bps": 2}, {"bits": 33}, {"bits": 0}, {"xrun": 5}, {"bits": 8, "bps": 5}):
            with pytest.raises(Refused) as refused:
                await c.ask("setpar", stream=n, par={"rate": 8000, **wrong})
            assert refused.value.code == "EINVAL"
        assert await c.ask("getpar", stream=n) == before
        await c.ask("setpar", stream=n, par={"bps": 3})
        assert await c.ask("getpar", stream=n) == before, "bps without bits is ignored"


@pytest.mark.parametrize("rate", [4000, 8000, 11025, 16000, 22050, 32000, 44100, 48000, 88200, 96000, 192000])
async def test_1_the_credit_is_what_the_answer_said(tmp_path: Path, rate: int) -> None:
    """appbufsz right after the answer to start, then what each cycle took."""
    async with stage(tmp_path) as st:
        c = await st.client()
        n = await c.open(rate=rate, start=False)
        par = (await c.ask("getpar", stream=n))["par"]
        c.request("start", stream=n)
        await st.settle()
        assert c.trace() == ["start answered", f"credit {par['appbufsz']}"]
        c.play(n, np.zeros((par["appbufsz"], 2)))
        await st.settle()
        got = await steps(st, c, 1)
        c.play(n, np.zeros((int(got[0][-1].split()[1]), 2)))
        await st.settle()
        got += await steps(st, c, 3)
        exact = [480 * k * rate // 48000 for k in range(5)]
        taken = [int(words[-1].split()[1]) for words in got]
        assert all(words[-1].startswith("credit ") for words in got)
        assert abs(sum(taken) - exact[4]) <= 1 and all(abs(t - 480 * rate / 48000) < 1 for t in taken)
        assert [len(words) for words in got] == [1, 1, 1, 2] and got[3][0] == "onmove 0 0"


# ---- 2, 3: samples ----


@pytest.mark.parametrize("pieces", [(480,), (1,), (7, 479, 1000, 1), (1920,)])
async def test_2_one_stream_is_bit_exact_however_it_is_cut(tmp_path: Path, pieces: tuple[int, ...]) -> None:
    data = noise(4321 if len(pieces) > 1 or pieces[0] > 1 else 2000)
    async with stage(tmp_path) as st:
        c = await st.client()
        n = await c.open()
        c.trace()
        at = 0
        for piece in itertools.cycle(pieces):
            if not c.credit[n]:
                await st.step()
                c.trace()
            size = min(piece, len(data) - at, c.credit[n])
            c.play(n, data[at : at + size])
            c.credit[n] -= size
            at += size
            if at == len(data):
                break
        await play_out(st, c, n, data[:0])
        assert np.array_equal(st.played(), whole(data))


async def test_2_one_message_byte_by_byte(tmp_path: Path) -> None:
    async with stage(tmp_path) as st:
        c = await st.client()
        assert await c.open(appbufsz=480) == 0
        c.trace()
        data = noise(480)
        raw = b"\x93\x02\xa5write\x92\x00\xc5" + (480 * 4).to_bytes(2, "big") + data.astype("<i2").tobytes()
        for byte in raw:
            c.send(bytes([byte]))
        await st.settle()
        await st.step()
        assert c.trace() == ["credit 480"]
        assert np.array_equal(st.played()[:480], data)


@pytest.mark.parametrize("order", [(30000, 20000, -20000), (-20000, 20000, 30000), (20000, 30000, -20000)])
async def test_3_sums_clip_once_whatever_the_order(tmp_path: Path, order: tuple[int, ...]) -> None:
    async with stage(tmp_path) as st:
        c = await st.client()
        for value in order:
            n = await c.open()
            c.play(n, flat(value, 1920))
        await st.settle()
        await st.step(4)
        assert np.array_equal(st.played(), flat(30000, 1920)), "sndiod would have clipped on the way"


async def test_3_two_streams_saturate(tmp_path: Path) -> None:
    async with stage(tmp_path) as st:
        for name in ("one", "two"):
            c = await st.client(name)
            n = await c.open()
            c.play(n, np.tile([[30000, -30000]], (1920, 1)))
        await st.settle()
        await st.step(4)
        assert np.array_equal(st.played(), np.tile([[32767, -32768]], (1920, 1)))


# ---- 4: volume ----


def gain(vol: int) -> float:
    return round(2 ** (23 + (vol - 127) / 18)) / 2**23 if vol else 0.0


@pytest.mark.parametrize("vol", [0, 1, 109, 127])
async def test_4_the_volume_of_a_stream(tmp_path: Path, vol: int) -> None:
    async with stage(tmp_path) as st:
        c = await st.client()
        n = await c.open(start=False)
        await c.ask("setvol", stream=n, vol=vol)
        c.request("start", stream=n)
        await st.settle()
        told = [] if vol == 127 else [f"onvol {vol}"]
        assert sorted(c.trace()) == sorted(["start answered", "credit 1920", *told])
        c.play(n, flat(20000, 1920))
        await st.settle()
        await st.step(4)
        assert np.all(np.abs(st.played() - 20000 * gain(vol)) <= 1), "no ramp: it starts at its volume"
        assert vol != 109 or np.all(st.played() == 10000)


async def test_4_a_change_while_it_sounds_ramps(tmp_path: Path) -> None:
    async with stage(tmp_path) as st:
        c = await st.client()
        n = await c.open()
        c.play(n, flat(20000, 1920))
        await st.settle()
        await st.step(2)
        await c.ask("setvol", stream=n, vol=109)
        await st.step(2)
        out = st.played()[:, 0]
        s = np.arange(480) / 480
        assert np.all(out[:960] == 20000) and np.all(out[1440:] == 10000)
        assert np.max(np.abs(out[960:1440] - (20000 - 10000 * (3 * s**2 - 2 * s**3)))) <= 1
        assert not [w for w in c.trace() if w.startswith("onvol")], "one's own setvol is not told back"


async def test_4_others_change_it_and_the_client_is_told(tmp_path: Path) -> None:
    async with stage(tmp_path) as st:
        player, other = await st.client("player"), await st.client("mixer")
        n = await player.open()
        player.play(n, flat(20000, 1920))
        await st.settle()
        await st.step(2)
        player.trace()
        (row,) = (await other.ask("streams"))["streams"]
        level = f"stream/{row['id']}.level"
        await other.ask("control.set", name=level, value=109)
        assert player.trace() == ["onvol 109"] and other.trace() == []
        await other.ask("control.set", name=level, value=109)
        assert player.trace() == [], "nothing changed"
        await player.ask("setvol", stream=n, vol=64)
        controls = {c["name"]: c["value"] for c in (await other.ask("controls"))["controls"]}
        assert controls[level] == 64
        await player.ask("setvol", stream=n, vol=109)
        await st.step(2)
        assert np.all(st.played()[-480:] == 10000)


async def test_4_a_program_finds_its_volume_again(tmp_path: Path) -> None:
    async with stage(tmp_path) as st:
        c = await st.client("My-Player2")
        n = await c.open()
        await c.ask("setvol", stream=n, vol=50)
        c.close()
        await st.settle()
        again, other = await st.client("myplayer"), await st.client("other")
        await again.open()
        assert again.trace() == ["credit 1920", "onvol 50"]
        await other.open()
        assert other.trace() == ["credit 1920"]


async def test_4_output_level_ramps_everything(tmp_path: Path) -> None:
    async with stage(tmp_path) as st:
        c = await st.client()
        n = await c.open()
        c.play(n, flat(20000, 1920))
        await st.settle()
        await st.step(2)
        c.trace()
        await c.ask("control.set", name="output.level", value=109)
        await st.step(2)
        out = st.played()[:, 0].astype(int)
        assert np.all(out[:960] == 20000) and np.all(out[1440:] == 10000)
        assert np.max(np.abs(np.diff(out))) < 40
        assert not [w for w in c.trace() if w.startswith("onvol")], "it is not the stream's volume"


async def test_4_the_most_volume_of_a_subdevice(tmp_path: Path) -> None:
    async with stage(tmp_path, "-f manual -v 109 -s quiet -v 127 -s default") as st:
        c = await st.client()
        n = await c.open(device="quiet")
        c.play(n, flat(20000, 1920))
        await st.settle()
        await st.step(4)
        assert np.all(st.played() == 10000)


# ---- 5: -w ----


@pytest.mark.parametrize("n", [1, 2, 3])
async def test_5_autovol_shares_among_those_that_overlap(tmp_path: Path, n: int) -> None:
    line = "-w on -f manual -c 2:3 -s rear -c 0:1 -s default"
    async with stage(tmp_path, line) as st:
        c = await st.client()
        for _ in range(n):
            c.play(await c.open(appbufsz=4800), flat(12000, 4800))
        rear = await c.open(device="rear", appbufsz=4800)
        c.play(rear, flat(9000, 4800))
        await st.settle()
        await st.step(10)
        assert np.all(np.abs(st.played()[:4800] - [12000, 12000, 9000, 9000]) <= 1)


async def test_5_without_it_they_add_up(tmp_path: Path) -> None:
    async with stage(tmp_path) as st:
        c = await st.client()
        for _ in range(2):
            c.play(await c.open(), flat(12000, 1920))
        await st.settle()
        await st.step(4)
        assert np.all(st.played() == 24000)


async def test_5_autovol_follows_who_joins_and_leaves_by_ramps(tmp_path: Path) -> None:
    async with stage(tmp_path, "-w on -f manual") as st:
        c = await st.client()
        first = await c.open(appbufsz=9600)
        c.play(first, flat(20000, 9600))
        await st.settle()
        await st.step(4)
        guest = await c.open()
        c.play(guest, flat(0, 1920))
        c.request("stop", stream=guest)
        await st.settle()
        await st.step(12)
        out = st.played()[:, 0].astype(int)
        assert np.all(out[:1920] == 20000) and np.all(out[2400:3840] == 10000)
        assert np.all(out[4400:7680] == 20000)
        assert np.max(np.abs(np.diff(out[:7680]))) < 40, "a step in place of a ramp"


# ---- 6: channels ----


@pytest.mark.parametrize(
    ("letters", "frame", "want"),
    [
        ("", [7000], [7000, 7000]),
        ("-j off", [7000], [7000, 0]),
        ("", [1000, 2000, 3000, 4000], [2000, 3000]),
        ("-j off", [1000, 2000, 3000, 4000], [1000, 2000]),
        ("", [12000, 6000, 3000, 1500, 900, 300], [5300, 2600]),
        ("", [1000, 2000, 3000], [1000, 2000]),
        ("-c 0:7", [1000, -2000], [1000, -2000] * 4),
        ("-c 2:3", [1000, -2000], [0, 0, 1000, -2000]),
        ("-c 1:1", [1000, 3000], [0, 2000]),
        ("-c 1:1 -j off", [1000, 3000], [0, 1000]),
    ],
)
async def test_6_join_and_expand(tmp_path: Path, letters: str, frame: list[int], want: list[int]) -> None:
    async with stage(tmp_path, f"-f manual {letters}") as st:
        c = await st.client()
        n = await c.open(pchan=len(frame))
        c.play(n, np.tile([frame], (1920, 1)))
        await st.settle()
        await st.step(4)
        assert np.array_equal(st.played(), np.tile([want], (1920, 1)))


async def test_6_recorded_channels_mirror_it(tmp_path: Path) -> None:
    """A mono recorder joins two channels, one of four gets both pairs."""
    async with stage(tmp_path) as st:
        c = await st.client()
        play = await c.open(appbufsz=9600)
        c.play(play, np.tile([[1000, 3000]], (9600, 1)))
        mono, four = await c.open("rec", rchan=1), await c.open("rec", rchan=4)
        await st.settle()
        await st.step(12)
        c.trace()
        assert np.all(c.recorded(mono)[2400:] == 2000) and len(c.recorded(mono)) > 4000
        assert np.all(c.recorded(four)[2400:] == [1000, 3000, 1000, 3000])
