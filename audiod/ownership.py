"""Ownership: whose the session of sndio's wire is.

At any time one cookie owns the server as far as sndio's wire goes.  The first
program to come brings it, and it lasts until the last one that showed it has
left: every member is counted.  Guests (root, and who shares by group) are no
members, nor are native connections.  policy.admit decides; this file remembers.
The cookie is a secret: it is compared in constant time and never logged.
Control thread.
"""

from __future__ import annotations

import hmac

from audiod_protocol.errors import Fault

from audiod.listener import Peer
from audiod.policy import Rules, Session, Standing, admit


class Ownership:
    """The session; `enter` and `leave` once for each connection."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._cookie = b""
        self._members: dict[int, Peer] = {}  # by connection, the oldest first

    def enter(self, ident: int, peer: Peer, cookie: bytes) -> Fault | None:
        """Let in the connection that shows this cookie: None, or why not."""
        if not self._members:
            session = Session.FREE
        elif hmac.compare_digest(cookie, self._cookie):
            session = Session.OWN
        else:
            session = Session.ANOTHERS
        verdict = admit(self._rules, peer.way, peer.uid, peer.gids, session, self.owner)
        if isinstance(verdict, Fault):
            return verdict
        if verdict is Standing.MEMBER:
            self._cookie = cookie
            self._members[ident] = peer
        return None

    def leave(self, ident: int) -> None:
        """The connection has gone, let in or not; the last member takes the session along."""
        self._members.pop(ident, None)
        if not self._members:
            self._cookie = b""

    @property
    def owner(self) -> str:
        """Who has been in the session longest, in words; empty if there is none."""
        return str(next(iter(self._members.values()), ""))
