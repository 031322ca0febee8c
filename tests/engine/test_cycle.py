"""What one device does with the samples of its streams, block by block on the manual clock.

The numbers in the names are the items of the list of sio_open(3) semantics that
docs/developing.md keeps; arithmetic is audiod's own: exact sums, clipped once.
"""

from pathlib import Path

import numpy as np
import pytest
from rig import AUTOVOL, F32, F64, MON, PLAY, REC, S16, S24, S24P, S32, blocks, noise, padded, rig

from audiod.engine import EndReason, StreamEnded, StreamState, Xrun, XrunKind

IGNORE, SYNC, ERROR = 0, 1, 2


def volume_gain(vol: int) -> float:
    return round(2 ** (23 + (vol - 127) / 18)) / 2**23 if vol else 0.0


@pytest.mark.parametrize(("enc", "bits"), [(S16, 16), (S24, 24), (S32, 32)])
def test_2_a_stream_alone_is_bit_exact(tmp_path: Path, enc, bits) -> None:
    with rig(tmp_path, enc) as r:
        data = noise(4801, bits=bits)
        r.stream(data, enc=enc)
        r.drain()
        assert np.array_equal(r.played(), padded(data, 480))


@pytest.mark.parametrize(("enc", "bits"), [(S16, 16), (S24P, 24), (S32, 32)])
def test_2_exact_without_the_bypass_too(tmp_path: Path, enc, bits) -> None:
    """A second, silent stream forces the computing path."""
    with rig(tmp_path, enc) as r:
        src = S24 if enc == S24P else enc
        data = noise(4800, bits=bits)
        r.stream(data, enc=src)
        r.stream(np.zeros((4800, 2)), enc=src)
        r.drain()
        assert r.device.stats().bypassed == 0
        assert np.array_equal(r.played(), data)


def test_bypass_is_taken_and_left_without_a_seam(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        data, guest = noise(9600, scale=0.4), noise(1920, seed=2, scale=0.4)
        r.stream(data)
        r.step(5)
        assert r.sources[0].stream.stats().bypass
        r.stream(guest)
        r.step(2)
        assert not r.sources[0].stream.stats().bypass
        r.drain()
        want = data.copy()
        want[5 * 480 : 5 * 480 + 1920] += guest
        assert np.array_equal(r.played(), want)
        assert 0 < r.device.stats().bypassed < 20


@pytest.mark.parametrize("order", [(30000, 20000, -20000), (-20000, 20000, 30000), (20000, 30000, -20000)])
def test_3_sums_are_exact_and_clip_once_whatever_the_order(tmp_path: Path, order) -> None:
    with rig(tmp_path) as r:
        for v in order:
            r.stream(np.full((1920, 2), v))
        r.drain()
        assert np.array_equal(r.played(), np.full((1920, 2), 30000))
        assert r.device.stats().clipped == 0


def test_3_a_sum_beyond_full_scale_clips(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        r.stream(np.tile([[30000, -30000]], (1920, 1)))
        r.stream(np.tile([[30000, -30000]], (1920, 1)))
        r.drain()
        assert np.array_equal(r.played(), np.tile([[32767, -32768]], (1920, 1)))
        assert r.device.stats().clipped == 4


def test_exact_sum_of_256_s16_streams(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        data = [noise(480, seed=i, scale=1 / 256) for i in range(256)]
        for d in data:
            r.stream(d, appbufsz=480)
        r.drain()
        assert np.array_equal(r.played(), sum(data))


def test_exact_sum_of_two_s32_streams(tmp_path: Path) -> None:
    with rig(tmp_path, S32) as r:
        a, b = (noise(1920, seed=i, bits=31) for i in (1, 2))
        r.stream(a, enc=S32)
        r.stream(b, enc=S32)
        r.drain()
        assert np.array_equal(r.played(), a + b)


def test_f64_stream_on_a_device_of_24_bits_is_computed_in_double(tmp_path: Path) -> None:
    """Two halves whose sum needs more than a float holds before they cancel."""
    with rig(tmp_path, S24) as r:
        big, small = np.full((1920, 2), 200.0), np.full((1920, 2), 3 / 2**23)
        r.stream(big, enc=F64)
        r.stream(-big + small, enc=F64)
        r.drain()
        assert np.array_equal(r.played(), np.full((1920, 2), 3))


def test_a_float_that_is_no_number_harms_nobody(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        data = noise(1920, scale=0.5)
        r.stream(data)
        bad = np.zeros((1920, 2))
        bad[::3] = np.nan
        r.stream(bad, enc=F32)
        r.drain()
        assert np.array_equal(r.played(), data)


@pytest.mark.parametrize("vol", [0, 1, 64, 109, 126])
def test_4_volume_is_sndios_table(tmp_path: Path, vol: int) -> None:
    with rig(tmp_path) as r:
        data = noise(1920)
        r.stream(data, vol=vol)
        r.drain()
        assert np.max(np.abs(r.played() - data * volume_gain(vol))) <= 0.501


def test_4_a_change_of_volume_is_a_smoothstep_of_10_ms(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        r.stream(np.full((9600, 2), 20000))
        r.step(4)
        r.sources[0].stream.setvol(109)
        r.drain()
        s = (np.arange(480) / 480)[:, None]
        want = np.full((9600, 2), 10000.0)
        want[:1920] = 20000
        want[1920:2400] = 20000 - (20000 - 20000 * volume_gain(109)) * (3 * s**2 - 2 * s**3)
        assert np.max(np.abs(r.played() - want)) <= 1


def test_a_mute_holds_whatever_the_volume_and_has_a_ramp(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        r.stream(np.full((14400, 2), 20000))
        r.step(4)
        r.sources[0].stream.setmute(True)
        r.step(4)
        r.sources[0].stream.setvol(109)
        r.step(4)
        r.sources[0].stream.setmute(False)
        r.drain()
        out = r.played()[:, 0].astype(int)
        assert np.all(out[:1920] == 20000) and not out[2400 : 12 * 480].any()
        assert np.all(out[13 * 480 :] == 10000)
        assert np.max(np.abs(np.diff(out))) < 70


def test_master_gain_ramps_all_and_a_new_stream_starts_at_it(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        r.device.setgain(0.5)
        r.stream(np.full((1920, 2), 20000))
        r.drain()
        assert np.array_equal(r.played(), np.full((1920, 2), 10000))


def test_recording_gain_ramps_what_is_recorded_and_nothing_else(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        data = np.full((19200, 2), 20000)
        r.stream(data)
        rec = r.stream(flags=REC)
        r.step(10)
        r.device.setrecgain(0.5)
        r.step(10)
        got = rec.recorded()[4 * 480 :, 0].astype(int)
        assert np.all(got[: 6 * 480] == 20000) and np.all(got[7 * 480 :] == 10000)
        assert np.max(np.abs(np.diff(got))) < 40
        assert np.all(r.played() == 20000)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_5_autovol_shares_among_overlapping_streams(tmp_path: Path, n: int) -> None:
    with rig(tmp_path, pchan=4) as r:
        for _ in range(n):
            r.stream(np.full((4800, 2), 12000), flags=PLAY | AUTOVOL)
        r.stream(np.full((4800, 2), 9000), flags=PLAY | AUTOVOL, pmin=2, pmax=3)
        r.drain()
        assert np.all(np.abs(r.played() - [12000, 12000, 9000, 9000]) <= 1)


def test_5_autovol_ramps_when_a_stream_joins_and_leaves(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        r.stream(np.full((9600, 2), 20000), flags=PLAY | AUTOVOL)
        r.step(4)
        r.stream(np.zeros((1920, 2)), flags=PLAY | AUTOVOL)
        r.drain()
        out = r.played()[:, 0].astype(int)
        assert np.all(out[:1920] == 20000)
        assert np.all(out[2400:3840] == 10000)
        assert np.all(out[4400:] == 20000)
        assert np.max(np.abs(np.diff(out))) < 40, "a step in place of a ramp"


def test_headroom_of_a_subdevice_caps_the_gain(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        r.stream(np.full((1920, 2), 20000), maxvol=109)
        r.drain()
        assert np.array_equal(r.played(), np.full((1920, 2), 10000))


@pytest.mark.parametrize(
    ("frame", "join", "want"),
    [
        ([7000], True, [7000, 7000]),
        ([7000], False, [7000, 0]),
        ([1000, 2000, 3000, 4000], True, [2000, 3000]),
        ([1000, 2000, 3000, 4000], False, [1000, 2000]),
        ([12000, 6000, 3000, 1500, 900, 300], True, [5300, 2600]),
        ([1000, 2000, 3000], True, [1000, 2000]),
    ],
)
def test_6_join_and_expand(tmp_path: Path, frame, join, want) -> None:
    with rig(tmp_path) as r:
        r.stream(np.tile([frame], (1920, 1)), join=join)
        r.drain()
        assert np.array_equal(r.played(), np.tile([want], (1920, 1)))


def test_6_stereo_fills_all_pairs_of_eight_channels(tmp_path: Path) -> None:
    with rig(tmp_path, pchan=8) as r:
        r.stream(np.tile([[1000, -2000]], (1920, 1)), pmax=7)
        r.drain()
        assert np.array_equal(r.played(), np.tile([[1000, -2000] * 4], (1920, 1)))


def test_7_position_begins_with_zero_and_follows_the_clock(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        r.stream(noise(48000))
        r.step(20)
        moves = r.sources[0].moves
        assert moves[:4] == [-1440, -960, -480, 0], "heard bufsz after it joined"
        assert blocks(moves) == [0] + [480] * 16
        st = r.sources[0].stream.stats()
        assert 0 <= st.written - st.position <= 1920 + 1920


@pytest.mark.parametrize(
    ("rate", "round"), [(44100, 480), (44100, 256), (22051, 480), (11025, 96), (96000, 480)]
)
def test_7_rates_are_exact_at_any_block(tmp_path: Path, rate: int, round: int) -> None:
    with rig(tmp_path, round=round, bufsz=4 * round) as r:
        app = 4 * round * rate // 48000 + 2
        r.stream(np.zeros((rate + app, 2)), rate=rate, appbufsz=app)
        n = 48000 * 2 // (2 * round) * 2 // 2 if 48000 % round == 0 else 0
        n = n or 48000 // round + 1
        first = 4
        r.step(n + first - 1)
        st = r.sources[0].stream.stats()
        frames = (n - 1) * round
        assert st.position == frames * rate // 48000
        assert r.events() and st.xruns == 0


def test_7_44100_hz_at_block_256_for_ten_device_seconds(tmp_path: Path) -> None:
    with rig(tmp_path, round=256, bufsz=1024) as r:
        r.stream(np.zeros((460_000, 2)), rate=44100, appbufsz=2048)
        r.step(3 + 1 + 10 * 48000 // 256)
        st = r.sources[0].stream.stats()
        assert st.position == 441_000
        # the mixer is a device buffer ahead of what is heard, to the frame
        assert st.consumed == -(-(480_000 + 1024) * 44100 // 48000)
        assert st.xruns == 0


def test_8_recorded_data_never_runs_ahead_of_the_position(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        r.stream(noise(48000), flags=PLAY | REC)
        for _ in range(30):
            r.step()
            st = r.sources[0].stream.stats()
            assert st.captured <= max(0, st.position)


def test_9_ignore_pauses_and_goes_on_with_the_next_sample(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        data = noise(4800)
        r.stream(data)
        r.step(6, feed=False)  # four blocks were queued: two cycles find nothing
        st = r.sources[0].stream.stats()
        assert (st.xruns, st.lost, st.position) == (1, 960, 0), (
            "one pause of two blocks, and time stood still"
        )
        r.sources[0].feed()
        r.drain()
        out = r.played()
        assert np.array_equal(out[:1920], data[:1920])
        assert not out[1920:2880].any()
        assert np.array_equal(out[2880:], data[1920:]), "nothing was skipped"
        assert [e.kind for e in r.seen if isinstance(e, Xrun)] == [XrunKind.PLAY]


def test_9_ignore_waits_with_less_than_a_block_queued(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        data = noise(1920 + 480)
        r.stream(data)
        r.step(4, feed=False)
        r.sources[0].feed(300)
        r.step(1, feed=False)
        assert r.sources[0].stream.stats().consumed == 1920
        r.sources[0].feed()
        r.drain()
        out = r.played()
        assert not out[1920:2400].any() and np.array_equal(out[2400:], data[1920:])


def test_9_sync_skips_what_came_too_late_to_the_frame(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        data = noise(9600)
        r.stream(data, xrun=SYNC)
        r.step(4, feed=False)
        r.sources[0].feed(100)
        r.step(2, feed=False)  # 960 frames were due, 100 of them there
        st = r.sources[0].stream.stats()
        assert st.position == 480 * 3 - 480, "the position went on"
        assert st.lost == 860
        assert r.sources[0].feed() == 1920 + 860, "skipped frames take no room"
        r.drain()
        out = r.played()
        assert not out[1920:2880].any()
        assert np.array_equal(out[2880:], data[2880:]), "back at the right place in time"


def test_9_sync_catches_up_with_a_buffer_of_one_block(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        data = noise(9600)
        r.stream(data, xrun=SYNC, appbufsz=480)
        r.step(5, feed=False)
        r.sources[0].feed()
        r.drain()
        out = r.played()
        assert np.array_equal(out[:480], data[:480]) and not out[480:2400].any()
        assert np.array_equal(out[2400:], data[2400:])


def test_9_sync_gives_silence_for_what_was_not_read(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        data = noise(24000)
        player = r.stream(data)
        recorder = r.stream(flags=REC, xrun=SYNC)
        r.step(10)
        before = sum(map(len, recorder.heard)) // 4
        for _ in range(8):  # it does not read: four blocks fit, four are lost
            r.device.step(1)
            player.feed()
        assert recorder.stream.stats().lost == 4 * 480
        recorder.heard.append(recorder.stream.read(1 << 16))
        r.step(10)
        got = recorder.recorded()
        first = 4 * 480  # silence queued ahead of the player
        want = np.concatenate([np.zeros((first, 2), int), data])[: len(got)]
        want[before + 4 * 480 : before + 8 * 480] = 0
        assert np.array_equal(got, want)


def test_9_error_ends_the_stream_in_that_cycle(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        other = noise(9600, seed=5, scale=0.4)
        r.stream(noise(1920, scale=0.4), xrun=ERROR)
        r.stream(other)
        r.step(4, feed=True)
        r.step(1)
        assert r.sources[0].stream.stats().state == StreamState.ENDED
        assert r.released() == {1}
        r.drain(r.sources[1])
        assert np.array_equal(r.played()[1920:], other[1920:])
        assert not [e for e in r.seen if isinstance(e, StreamEnded)], (
            "told by the pump, and it has no connection"
        )
        assert EndReason.XRUN


def test_10_a_drain_plays_everything_even_half_a_buffer(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        data = noise(700)
        r.stream(data)
        r.drain()
        assert np.array_equal(r.played(), padded(data, 480))


def test_10_a_flush_fades_within_10_ms_and_discards_the_rest(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        r.stream(np.full((9600, 2), 20000))
        r.step(4)
        r.sources[0].stream.stop(drain=False)
        r.step(3)
        out = r.played()[:, 0].astype(int)
        assert np.all(out[:1920] == 20000)
        assert 0 < out[2160] < 20000 and not out[2400:].any()
        assert np.max(np.abs(np.diff(out[:2400]))) < 70
        assert r.released() == {1}


def test_11_recorded_frame_n_is_played_frame_n(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        data = noise(24000)
        r.stream(noise(24000, seed=9) * 0, appbufsz=480)  # the device runs already
        r.step(7)
        duplex = r.stream(data, flags=PLAY | REC)
        r.step(30)
        got = duplex.recorded()
        assert len(got) > 20 * 480
        assert np.array_equal(got, data[: len(got)])


@pytest.mark.parametrize("rate", [44100, 96000, 32000])
def test_11_duplex_at_another_rate_is_aligned_to_one_frame(tmp_path: Path, rate: int) -> None:
    with rig(tmp_path, round=240, bufsz=960) as r:
        t = np.arange(rate // 2)
        data = (np.exp(-(((t - 3000) / 60) ** 2)) * 20000)[:, None].repeat(2, 1)
        duplex = r.stream(data, flags=PLAY | REC, rate=rate, appbufsz=rate // 20)
        r.step(60)
        got = duplex.recorded()[:, 0].astype(float)
        centre = np.sum(np.arange(len(got)) * got) / np.sum(got)
        assert abs(centre - 3000) <= 1


def test_11_ignore_keeps_duplex_aligned_after_the_pause(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        data = noise(48000)
        duplex = r.stream(data, flags=PLAY | REC)
        r.step(10)
        r.step(9, feed=False)
        r.step(20)
        got = duplex.recorded()
        tail = got[-480 * 5 :]
        at = len(got) - len(tail)
        assert np.array_equal(tail, data[at : at + len(tail)])


def test_12_a_monitor_hears_the_mix_aligned_with_what_is_played(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        data = noise(24000)
        r.stream(data)
        mon = r.stream(flags=MON)
        r.step(20)
        got, pos = mon.recorded(), mon.stream.stats().position
        assert len(got) == pos > 4000
        assert np.array_equal(got, data[: len(got)]), "both joined in the same cycle"


def test_12_record_and_monitor_are_added(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        data = noise(24000, scale=0.4)
        r.stream(data)
        both = r.stream(flags=MON | REC)
        r.step(12)
        got = both.recorded()
        assert len(got) > 2000 and np.array_equal(got, 2 * data[: len(got)])


def test_18_more_streams_than_sndiod_has(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        for i in range(33):
            r.stream(np.full((960, 2), i))
        r.drain()
        assert np.array_equal(r.played(), np.full((960, 2), sum(range(33))))


def test_streams_of_a_link_group_start_in_one_cycle(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        r.stream(np.full((4800, 2), 1000), group=7, group_n=2)
        r.step(3)
        assert not r.path.exists() or not r.played().any(), "it waits for the other"
        r.stream(np.full((4800, 2), 500), group=7, group_n=2)
        r.drain()
        assert np.array_equal(r.played(), np.full((4800, 2), 1500))


def test_recording_only_starts_at_once(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        rec = r.stream(flags=REC)
        r.step(3)
        assert rec.moves == [480, 960, 1440], "the clock starts with it: its first block is the first"
        assert len(rec.recorded()) == 1440 and not rec.recorded().any()
        late = r.stream(flags=REC)
        r.step(3)
        assert late.moves == [480, 960, 1440], "so is the next block of a clock that runs"


def test_two_recorders_hear_the_same(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        data = noise(9600)
        r.stream(data)
        a, b = r.stream(flags=REC), r.stream(flags=REC, enc=S24)
        r.step(15)
        assert np.array_equal(a.recorded().astype(int) * 256, b.recorded())
        first = 4 * 480
        assert np.array_equal(a.recorded()[first:], data[: len(a.recorded()) - first])
