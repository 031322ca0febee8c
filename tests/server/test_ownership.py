"""ownership.py: a session lasts as long as one of its members, whoever came first."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiod.listener import Peer
from audiod.ownership import Ownership
from audiod.policy import Rules, Share

ALICE = Peer(1000, 1000, 71, frozenset({1000}))
BOB = Peer(1001, 1001, 72, frozenset({1001, 29}))
ROOT = Peer(0, 0, 1, frozenset({0}))
REMOTE = Peer(None, None, None, frozenset(), "192.0.2.7:4711")
HERS, HIS = b"a" * 16, b"b" * 16
PUBLIC = Rules(server_uid=115, gid=29, public=True)


def test_the_first_cookie_owns_the_server_until_its_last_member_leaves() -> None:
    """sndiod lets another in as soon as the first connection has gone."""
    owned = Ownership(PUBLIC)
    assert owned.enter(1, ALICE, HERS) is None
    assert owned.enter(2, ALICE, HERS) is None
    owned.leave(1)
    refused = owned.enter(3, BOB, HIS)
    assert refused is not None and refused.code == "EPERM"
    owned.leave(3)  # who was refused leaves, too
    assert owned.enter(4, BOB, HIS) is not None, "and takes nothing along"
    owned.leave(2)
    assert owned.enter(5, BOB, HIS) is None
    assert owned.enter(6, ALICE, HERS) is not None


def test_the_reason_names_a_member_that_is_there_and_no_cookie() -> None:
    owned = Ownership(PUBLIC)
    assert owned.owner == ""
    owned.enter(1, ALICE, HERS)
    owned.enter(2, BOB, HERS)  # he has a copy of her cookie
    assert owned.owner == "user 1000, process 71"
    owned.leave(1)
    assert owned.owner == "user 1001, process 72"
    refused = owned.enter(3, REMOTE, HIS)
    assert refused is not None and "user 1001, process 72" in refused.message
    said = refused.message + refused.hint
    assert "aaa" not in said and "bbb" not in said and HERS.hex() not in said
    owned.leave(2)
    owned.enter(4, REMOTE, HIS)
    assert owned.owner == "192.0.2.7:4711 over TCP"


def test_root_is_no_member() -> None:
    owned = Ownership(PUBLIC)
    assert owned.enter(1, ROOT, HIS) is None
    assert owned.enter(2, ALICE, HERS) is None, "root's cookie owns nothing"
    assert owned.enter(3, ROOT, HIS) is None
    owned.leave(2)
    assert owned.enter(4, BOB, HIS) is None and owned.owner == "user 1001, process 72"


def test_a_group_shares() -> None:
    owned = Ownership(Rules(server_uid=1000, gid=29, public=True, share=Share.GROUP))
    assert owned.enter(1, ALICE, HERS) is None
    assert owned.enter(2, BOB, HIS) is None
    stranger = Peer(1002, 1002, 73, frozenset({1002}))
    refused = owned.enter(3, stranger, HERS)
    assert refused is not None and "user 1002" in refused.message
    assert owned.enter(4, REMOTE, HERS) is None, "over TCP there is a session"
    assert owned.enter(5, REMOTE, HIS) is not None
    assert owned.enter(6, BOB, HIS) is None


@pytest.mark.parametrize("cookie", [b"", b"a" * 15, b"a" * 17, b"a" * 15 + b"b"])
def test_a_cookie_matches_as_a_whole(cookie: bytes) -> None:
    owned = Ownership(PUBLIC)
    owned.enter(1, ALICE, HERS)
    assert owned.enter(2, ALICE, cookie) is not None


PEERS = (ALICE, BOB, ROOT, REMOTE)


@given(st.lists(st.tuples(st.sampled_from([*PEERS, None]), st.sampled_from([HERS, HIS]), st.integers(0, 9))))
def test_any_order_of_coming_and_going(steps: list[tuple[Peer | None, bytes, int]]) -> None:
    """At any time all members have one cookie, and who has it is let in; None: the nth connection leaves."""
    owned = Ownership(PUBLIC)
    idents = itertools.count(1)
    there: list[tuple[int, Peer, bytes]] = []
    for peer, cookie, nth in steps:
        members = [one for one in there if one[1] is not ROOT]
        if peer is None:
            if there:
                owned.leave(there.pop(nth % len(there))[0])
            continue
        ident = next(idents)
        fault = owned.enter(ident, peer, cookie)
        wanted = peer is ROOT or all(one[2] == cookie for one in members)
        assert (fault is None) == wanted
        if fault is None:
            there.append((ident, peer, cookie))
        else:
            assert fault.message.endswith(str(members[0][1]))
            owned.leave(ident)
