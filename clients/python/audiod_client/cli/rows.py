"""Rows of the server's lists, all pages of them."""

from __future__ import annotations

from typing import Any

from audiod_client._blocking import Connection

__all__ = ["Row", "rows"]

Row = dict[str, Any]


def rows(connection: Connection, what: str) -> list[Row]:
    """All rows of `devices`, `streams` or `controls`; the server gives long lists in pages."""
    found: list[Row] = []
    after = None
    while True:
        answer = connection.request(what, **({} if after is None else {"after": after}))
        page = answer.get(what)
        found += page if isinstance(page, list) else []
        after = answer.get("next")
        if after is None or not page:
            return found
