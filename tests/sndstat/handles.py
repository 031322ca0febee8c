"""A handle of sndstat as tests use it: the ioctls by their names, and lists to add."""

from __future__ import annotations

from typing import Any

from audiod_protocol.nvlist import Nvlist, Pair, array, nested, number, pack, string, unpack
from house import Client


class Handle:
    """One handle of a client."""

    def __init__(self, client: Client, *, write: bool = False) -> None:
        self.client = client
        self.number: int = client.call("sndstat.open", write=write)["handle"]

    def call(self, method: str, **args: object) -> Any:
        return self.client.call(f"sndstat.{method}", handle=self.number, **args)

    def size(self, **args: object) -> int:
        """GET with nbytes 0."""
        answer = self.call("get", nbytes=0, **args)
        assert set(answer) == {"nbytes"}
        return int(answer["nbytes"])

    def packed(self, **args: object) -> bytes:
        """GET of all, in as many answers as it takes."""
        data, after = b"", None
        while True:
            more = {} if after is None else {"after": after}
            answer = self.call("get", form="nvlist", **args, **more)
            data += answer["nvlist"]
            after = answer["next"]
            if after is None:
                assert len(data) == answer["nbytes"]
                return data

    def listing(self, **args: object) -> Nvlist:
        return unpack(self.packed(**args))

    def names(self) -> list[str]:
        return [row["nameunit"] for row in self.rows()]

    def rows(self, **args: object) -> list[dict[str, Any]]:
        """GET as maps, pages put together."""
        rows: list[dict[str, Any]] = []
        after = None
        while True:
            more = {} if after is None else {"after": after}
            answer = self.call("get", **args, **more)
            found = answer["dsps"]
            if answer["continues"]:
                assert found[0]["nameunit"] == rows[-1]["nameunit"]
                rows[-1]["provider_info"]["channel_info"] += found.pop(0)["provider_info"]["channel_info"]
            rows += found
            after = answer["next"]
            if after is None:
                return rows


INFO = [
    number("min_rate", 8000),
    number("max_rate", 96000),
    number("formats", 0x10),
    number("min_chn", 1),
    number("max_chn", 2),
]


def element(name: str, *more: Pair, play: int = 1, rec: int = 0) -> list[Pair]:
    """A device that all rules take, with `more` in place of what has these names, or besides."""
    pairs = [
        string("devnode", name),
        string("desc", f"{name}'s description"),
        number("pchan", play),
        number("rchan", rec),
        nested("info_play", INFO),
        nested("info_rec", INFO),
    ]
    given = {pair.name: pair for pair in more}
    return [given.pop(pair.name, pair) for pair in pairs] + list(given.values())


def dsps(*elements: list[Pair]) -> bytes:
    return pack([array("dsps", elements)])
