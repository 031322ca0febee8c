"""Who is let in: the whole matrix, as a table that tests of the rules and of real processes read alike.

A row: how the server is shared; who is there already, and by which way; by which way
others come; whether they have the same cookie.  Then, for each of them, + let in or
- refused.  `alice` is a member of the group of the server's users, `bob` is not,
`server` is the server's own user; it is a server of the machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

WHO = ("root", "server", "alice", "bob")

TABLE = """
share    there        by     cookie | root server alice bob

session  -            unix   any    |  +     +      +    +
session  -            tcp    any    |  +     +      +    +
session  root/unix    unix   same   |  +     +      +    +
session  root/unix    unix   other  |  +     +      +    +
session  root/unix    tcp    same   |  +     +      +    +
session  root/unix    tcp    other  |  +     +      +    +
session  alice/unix   unix   same   |  +     +      +    +
session  alice/unix   unix   other  |  +     -      -    -
session  alice/unix   tcp    same   |  +     +      +    +
session  alice/unix   tcp    other  |  -     -      -    -
session  bob/unix     unix   same   |  +     +      +    +
session  bob/unix     unix   other  |  +     -      -    -
session  bob/unix     tcp    same   |  +     +      +    +
session  bob/unix     tcp    other  |  -     -      -    -
session  root/tcp     unix   same   |  +     +      +    +
session  root/tcp     unix   other  |  +     -      -    -
session  root/tcp     tcp    same   |  +     +      +    +
session  root/tcp     tcp    other  |  -     -      -    -
session  alice/tcp    unix   same   |  +     +      +    +
session  alice/tcp    unix   other  |  +     -      -    -
session  alice/tcp    tcp    same   |  +     +      +    +
session  alice/tcp    tcp    other  |  -     -      -    -

group    -            unix   any    |  +     +      +    -
group    -            tcp    any    |  +     +      +    +
group    root/unix    unix   same   |  +     +      +    -
group    root/unix    unix   other  |  +     +      +    -
group    root/unix    tcp    same   |  +     +      +    +
group    root/unix    tcp    other  |  +     +      +    +
group    alice/unix   unix   same   |  +     +      +    -
group    alice/unix   unix   other  |  +     +      +    -
group    alice/unix   tcp    same   |  +     +      +    +
group    alice/unix   tcp    other  |  +     +      +    +
group    bob/tcp      unix   same   |  +     +      +    -
group    bob/tcp      unix   other  |  +     +      +    -
group    bob/tcp      tcp    same   |  +     +      +    +
group    bob/tcp      tcp    other  |  -     -      -    -

session  -            native any    |  +     +      +    -
session  bob/unix     native any    |  +     +      +    -
group    -            native any    |  +     +      +    -
"""


@dataclass(frozen=True)
class Row:
    """`there` empty: nobody; `cookie` None: it does not matter, try both; `admitted` by who comes."""

    share: str
    there: str
    there_by: str
    by: str
    same_cookie: bool | None
    admitted: dict[str, bool]

    def __str__(self) -> str:
        cookie = {True: "same", False: "other", None: "any"}[self.same_cookie]
        there = f"{self.there} there by {self.there_by}" if self.there else "nobody there"
        return f"{self.share}, {there}: by {self.by}, {cookie} cookie"


def rows() -> list[Row]:
    return list(_rows())


def _rows() -> Iterator[Row]:
    for line in TABLE.strip().splitlines()[1:]:
        if not line:
            continue
        left, right = line.split("|")
        share, there, by, cookie = left.split()
        who, _, way = there.partition("/")
        verdicts = dict(zip(WHO, (sign == "+" for sign in right.split()), strict=True))
        same = {"same": True, "other": False, "any": None}[cookie]
        yield Row(share, who.strip("-"), way, by, same, verdicts)
