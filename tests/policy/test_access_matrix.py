"""policy.admit and ownership.py by the whole matrix of tests/access.py, without a process."""

from __future__ import annotations

import pytest
from access import Row, rows

from audiod import policy
from audiod.listener import Peer
from audiod.ownership import Ownership
from audiod.policy import Session, Share, Way

AUDIO = 29
SAME, OTHER = b"a" * 16, b"b" * 16
USERS = {"root": (0, set()), "server": (115, set()), "alice": (1001, {AUDIO}), "bob": (1002, set())}


def peer(who: str, by: str) -> Peer:
    uid, gids = USERS[who]
    if by == "tcp":
        return Peer(None, None, None, frozenset(), "192.0.2.7:4711")
    return Peer(uid, uid, 77, frozenset({uid, *gids}))


def let_in(rules: policy.Rules, owned: Ownership, ident: int, who: str, by: str, cookie: bytes) -> bool:
    """As the listener and then the session ask."""
    one = peer(who, by)
    way = Way.NATIVE if by == "native" else one.way
    verdict = policy.admit(rules, way, one.uid, one.gids, Session.UNASKED)
    if isinstance(verdict, policy.Standing) and way is not Way.NATIVE:
        return owned.enter(ident, one, cookie) is None
    return isinstance(verdict, policy.Standing)


@pytest.mark.parametrize("row", rows(), ids=str)
def test_row(row: Row) -> None:
    rules = policy.Rules(server_uid=115, gid=AUDIO, share=Share(row.share), public=True)
    owned = Ownership(rules)
    if row.there:
        assert let_in(rules, owned, 1, row.there, row.there_by, SAME)
    for ident, (who, admitted) in enumerate(row.admitted.items(), 2):
        for cookie in (SAME, OTHER) if row.same_cookie is None else (SAME if row.same_cookie else OTHER,):
            assert let_in(rules, owned, ident, who, row.by, cookie) == admitted, (who, cookie)
            owned.leave(ident)


def test_the_table_is_whole() -> None:
    """Every way with either cookie beside everybody who may be there, under both policies."""
    found = {(row.share, row.there, row.there_by, row.by, row.same_cookie) for row in rows()}
    assert len(found) == len(list(rows()))
    for share, theres in (
        ("session", ["root/unix", "alice/unix", "bob/unix", "root/tcp", "alice/tcp"]),
        ("group", ["root/unix", "alice/unix", "bob/tcp"]),
    ):
        for there in theres:
            for by in ("unix", "tcp"):
                for same in (True, False):
                    assert (share, *there.split("/"), by, same) in found
