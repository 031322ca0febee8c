"""policy.py: who gets in, names, volumes, culprits, words; and sndio's negotiation table."""

from __future__ import annotations

import pytest
from audiod_protocol.errors import Code, Fault, FaultError
from audiod_protocol.negotiation import DeviceClock, initial, resolve
from audiod_protocol.params import Enc, Mode, Par, Xrun
from hypothesis import given
from hypothesis import strategies as st

from audiod import policy
from audiod.policy import Culprit, Path, Rules, Session, Share, Standing, Way

# ---- parameters: the table observed on sndiod (device 48000, bufsz 1920, round 480) ----

CLOCK = DeviceClock(rate=48000, round=480, bufsz=1920)

OBSERVED = [
    # asked, rate, round, appbufsz, bufsz
    ({}, 48000, 480, 1920, 3840),
    ({"rate": 44100}, 44100, 441, 1764, 3528),
    ({"rate": 44100, "appbufsz": 1}, 44100, 441, 441, 2205),
    ({"rate": 44100, "appbufsz": 10**6}, 44100, 441, 40572, 42336),
    ({"rate": 8000, "appbufsz": 4000}, 8000, 80, 1360, 1680),
    ({"rate": 1}, 4000, 40, 160, 320),
    ({"rate": 500000}, 192000, 1920, 7680, 15360),
    ({"appbufsz": 500}, 48000, 480, 480, 2400),
    ({"appbufsz": 700}, 48000, 480, 480, 2400),
    ({"appbufsz": 100000}, 48000, 480, 48480, 50400),
    # a block is no whole number of frames: sndiod says 3528 and 1768, we one frame more
    ({"rate": 44101}, 44101, 441, 1764, 3529),
    ({"rate": 22051}, 22051, 221, 884, 1769),
    # and never less than two blocks, where sndiod allows one
    ({"rate": 22051, "appbufsz": 1}, 22051, 221, 442, 1327),
]


@pytest.mark.parametrize(("asked", "rate", "block", "appbufsz", "bufsz"), OBSERVED)
def test_getpar_table(asked: dict[str, int], rate: int, block: int, appbufsz: int, bufsz: int) -> None:
    par = resolve(initial(CLOCK, Mode.PLAY, 2, 2), Par(**asked), CLOCK, Mode.PLAY)
    assert (par.rate, par.round, par.appbufsz, par.bufsz) == (rate, block, appbufsz, bufsz)


@pytest.mark.parametrize("asked", [{"bits": 20, "bps": 2}, {"bits": 33}, {"bits": 0}])
def test_encodings_that_do_not_exist(asked: dict[str, int]) -> None:
    with pytest.raises(FaultError) as refused:
        resolve(initial(CLOCK, Mode.PLAY, 2, 2), Par(**asked), CLOCK, Mode.PLAY)
    assert refused.value.fault.code == Code.EINVAL


def test_initial_parameters_are_sndiods() -> None:
    par = initial(CLOCK, Mode.PLAY | Mode.REC, 2, 6)
    assert par.enc == Enc(24, 4)
    assert (par.pchan, par.rchan, par.xrun) == (2, 6, Xrun.IGNORE)


# ---- who gets in ----


# a server of user 115, whose group 29 is; the peers of it, and what nobody vouches for
PEERS: dict[str, tuple[int | None, set[int]]] = {
    "root": (0, {0}),
    "same": (115, {115}),
    "member": (1001, {1001, 29}),
    "other": (1002, {1002}),
    "rootsgroup": (1003, {1003, 0}),  # group root is nothing special
    "remote": (None, set()),
}
GUEST, MEMBER = Standing.GUEST, Standing.MEMBER
COOKIE = "cookie"  # a member, unless the session is another's
NO = None

# way, share, public: each peer's standing
ADMITTED: dict[tuple[Way, Share | None, bool | None], dict[str, Standing | str | None]] = {
    (Way.NATIVE, None, None): {
        "root": GUEST, "same": GUEST, "member": GUEST, "other": NO, "rootsgroup": NO, "remote": NO,
    },
    (Way.SNDIO, Share.SESSION, True): {
        "root": GUEST, "same": COOKIE, "member": COOKIE, "other": COOKIE, "rootsgroup": COOKIE,
        "remote": COOKIE,
    },
    (Way.SNDIO, Share.SESSION, False): {
        "root": GUEST, "same": COOKIE, "member": COOKIE, "other": NO, "rootsgroup": NO, "remote": NO,
    },
    (Way.SNDIO, Share.GROUP, None): {
        "root": GUEST, "same": GUEST, "member": GUEST, "other": NO, "rootsgroup": NO, "remote": NO,
    },
    (Way.TCP, None, None): dict.fromkeys(PEERS, COOKIE),
}  # fmt: skip


@pytest.mark.parametrize("session", Session)
@pytest.mark.parametrize("peer", PEERS)
@pytest.mark.parametrize("public", [True, False])
@pytest.mark.parametrize("share", Share)
@pytest.mark.parametrize("way", Way)
def test_admit(way: Way, share: Share, public: bool, peer: str, session: Session) -> None:
    (row,) = [
        row
        for (its_way, its_share, its_public), row in ADMITTED.items()
        if its_way is way and its_share in (share, None) and its_public in (public, None)
    ]
    uid, gids = PEERS[peer]
    rules = Rules(server_uid=115, gid=29, share=share, public=public)
    verdict = policy.admit(rules, way, uid, gids, session, "user 1000, process 7")
    wanted = row[peer]
    if wanted == COOKIE and session is not Session.ANOTHERS:
        wanted = MEMBER
    if isinstance(verdict, Standing):
        assert verdict is wanted
        return
    assert wanted in (NO, COOKIE)
    assert verdict.code == Code.EPERM and verdict.hint
    if wanted == COOKIE:
        assert "user 1000, process 7" in verdict.message
    else:
        assert f"user {uid} may not" in verdict.message and "group audio" in verdict.hint


def test_a_group_that_does_not_exist_has_no_members() -> None:
    rules = Rules(server_uid=115, gid=None, share=Share.GROUP)
    for way in Way.NATIVE, Way.SNDIO:
        assert isinstance(policy.admit(rules, way, 1001, {29}, Session.UNASKED), Fault)


@pytest.mark.parametrize(
    ("uid", "owner", "allowed"), [(0, 115, True), (115, 115, True), (7, 115, False), (None, None, False)]
)
def test_may_configure(uid: int | None, owner: int | None, allowed: bool) -> None:
    assert (policy.may_configure(uid, server_uid=owner) is None) == allowed


# ---- names ----


@pytest.mark.parametrize(("name", "found"), [("default", 1), ("snd/default", 1), ("0", 2), ("snd/rear", 3)])
def test_resolve(name: str, found: int) -> None:
    assert policy.resolve(name, {"default": 1, "0": 2, "rear": 3}) == found


@pytest.mark.parametrize("name", ["", "front", "snd/", "1", "snd/snd/0", "rear "])
def test_resolve_unknown(name: str) -> None:
    with pytest.raises(FaultError) as refused:
        policy.resolve(name, {"default": 1, "0": 2, "rear": 3})
    assert refused.value.fault.code == Code.ENODEV
    assert "rear" in refused.value.fault.hint


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("My-Prog2", "myprog"),
        ("", "noname"),
        ("123", "noname"),
        ("averyveryverylongname", "averyveryve"),
        ("Ünix", "nix"),
    ],
)
def test_program_names_are_sndios(name: str, kept: str) -> None:
    assert policy.program(name) == kept


# ---- volume ----


@pytest.mark.parametrize(("vol", "units"), [(0, 0), (1, 65536), (109, 1 << 22), (127, 1 << 23)])
def test_gain_is_sndios_table(vol: int, units: int) -> None:
    assert policy.gain(vol) * (1 << 23) == units


@given(st.integers(0, 126))
def test_gain_grows(vol: int) -> None:
    assert policy.gain(vol) < policy.gain(vol + 1)


# ---- whose xrun ----

MS = 1_000_000
DUE = 1000 * MS  # blocks of 10 ms: guard 997.5, the scheduler is late from 1005


def culprit(
    *,
    driver: bool = False,
    wake: float = 1000,
    arrival: float = 990,
    swept: float = 990,
    due: float = 1000,
    rec: bool = False,
) -> Culprit:
    return policy.classify(
        driver=driver,
        due_ns=int(due * MS),
        wake_ns=int(wake * MS),
        arrival_ns=int(arrival * MS),
        swept_ns=int(swept * MS),
        block_ns=10 * MS,
        rec=rec,
    )


def test_bytes_after_the_guard_are_the_clients_fault() -> None:
    assert culprit(arrival=997.6) is Culprit.CLIENT
    assert culprit(arrival=997.5) is Culprit.OURS


def test_an_empty_socket_at_the_guard_is_the_clients_fault() -> None:
    assert culprit(swept=997.5) is Culprit.CLIENT
    assert culprit(swept=997.4) is Culprit.OURS


def test_waking_half_a_block_late_is_the_schedulers_fault() -> None:
    assert culprit(wake=1005.1, arrival=999) is Culprit.SCHEDULER
    assert culprit(wake=1005, arrival=990) is Culprit.OURS


def test_the_driver_is_to_blame_only_if_we_were_in_time() -> None:
    assert culprit(driver=True) is Culprit.DRIVER
    assert culprit(driver=True, wake=1006) is Culprit.SCHEDULER


def test_one_that_records_is_at_fault_if_it_did_not_read_since_the_last_cycle() -> None:
    assert culprit(rec=True, swept=980.1) is Culprit.CLIENT
    assert culprit(rec=True, swept=980, arrival=999) is Culprit.OURS, "what it writes does not matter"
    assert culprit(rec=True, swept=999, wake=1006) is Culprit.SCHEDULER


def test_without_numbers_it_is_ours() -> None:
    assert culprit(due=0, wake=1000, arrival=999, swept=999) is Culprit.OURS
    assert culprit(arrival=0, swept=0) is Culprit.OURS


# ---- words ----

S16, S24 = Enc.parse("s16le"), Enc.parse("s24le3")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        (Path(S16, 48000, 2, 2, S16, 48000), "bit-exact"),
        (Path(S16, 48000, 2, 2, S16, 48000, (127, 127, 127)), "bit-exact"),
        (Path(S16, 44100, 2, 2, S24, 48000), "44.1 -> 48 kHz, s16le -> s24le3"),
        (Path(S16, 48000, 1, 2, S16, 48000), "1 -> 2 channels"),
        (Path(S16, 22050, 6, 2, S16, 48000, (109,)), "22.05 -> 48 kHz, 6 -> 2 channels, volume 50%"),
        (Path(S16, 48000, 2, 2, S16, 48000, (127, 0)), "muted"),
        (
            Path(S16, 44100, 1, 2, S24, 48000, playing=False),
            "48 -> 44.1 kHz, s24le3 -> s16le, 2 -> 1 channels",
        ),
    ],
)
def test_conversion(path: Path, words: str) -> None:
    assert policy.conversion(path) == words


def test_conversion_ignores_what_means_nothing() -> None:
    """The byte order of one byte is none, nor has a full sample an alignment."""
    u8 = Enc(8, 1, False, True, False)
    assert policy.conversion(Path(u8, 48000, 2, 2, Enc(8, 1, False, False, True), 48000)) == "bit-exact"
