"""Knobs: a level and its mute, as people name them: `output`, `snd/1/input`, `mpv`, or a stream's id.

Made of the rows of `controls`, `devices` and `streams` as the server gives
them; nothing is kept between two runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from audiod_client._blocking import Connection
from audiod_client.cli.choice import Choice, select
from audiod_client.cli.output import number, text
from audiod_client.cli.rows import Row, rows
from audiod_client.errors import StreamError
from audiod_client.volume import show_volume

__all__ = ["Knob", "all_knobs", "find_knob", "set_control", "stream_choices"]


@dataclass
class Knob:
    """One level and its mute; `base` is what their controls' names have in common."""

    base: str
    device: int | None = None
    subdevice: str | None = None
    level: int = 0
    muted: bool = False
    rows: list[Row] = field(default_factory=list)
    streams: list[Row] = field(default_factory=list)  # a program's, on this sub-device
    default: bool = False  # of the default device
    label: str = ""

    @property
    def app(self) -> str:
        """The program's name; empty if it is not a program's."""
        return self.base.removeprefix("app/") if self.base.startswith("app/") else ""

    @property
    def where(self) -> str:
        return f"snd/{self.device if self.subdevice is None else self.subdevice}"

    @property
    def which(self) -> str:
        """The word that selects it."""
        if self.app:
            return self.app
        return self.base if self.default else f"{self.where}/{self.base}"

    def show(self) -> str:
        has = {str(row.get("name", "")).rpartition(".")[2]: row for row in self.rows}
        words = [show_volume(self.level)] if "level" in has or not has else []
        if self.muted:
            words.append("muted")
        elif has.keys() == {"mute"}:
            words.append("on")  # a card's switch
        if "plug" in has:
            words.append("plugged in" if has["plug"].get("value") else "not plugged in")
        return ", ".join(words)

    def set(self, connection: Connection, what: str, value: int) -> Row:
        """Set its "level" or "mute"; the answer, for programs."""
        answer = set_control(connection, f"{self.base}.{what}", value, self.device, self.subdevice)
        if what == "level":
            self.level = int(number(answer, "value"))
        else:
            self.muted = bool(answer.get("value"))
        return answer


def set_control(
    connection: Connection, name: str, value: int, device: int | None = None, subdevice: str | None = None
) -> Row:
    """control.set, and its answer with a version.  Raises StreamError."""
    place: dict[str, object] = {"device": device, "subdevice": subdevice}
    where = {key: word for key, word in place.items() if word is not None}
    return {"version": 1, **connection.request("control.set", name=name, value=value, **where)}


def program(name: str) -> str:
    """The program that a stream's name belongs to, as the protocol defines it (section 10)."""
    return "".join(c for c in name.lower() if "a" <= c <= "z")[:11] or "noname"


def all_knobs(connection: Connection) -> list[Knob]:
    """All levels but the streams' own names for them: devices first, then programs."""
    knobs: dict[tuple[object, ...], Knob] = {}
    for row in rows(connection, "controls"):
        base, _, kind = str(row.get("name", "")).rpartition(".")
        if kind not in ("level", "mute", "plug") or base.startswith("stream/"):
            continue
        key = (base, row.get("device"), row.get("subdevice"))
        knob = knobs.setdefault(key, Knob(base, row.get("device"), row.get("subdevice")))
        knob.rows.append(row)
        if kind == "level":
            knob.level = int(number(row, "value"))
        elif kind == "mute":
            knob.muted = bool(row.get("value"))
    default = next((d.get("device") for d in rows(connection, "devices") if d.get("default")), None)
    streams = rows(connection, "streams")
    for knob in knobs.values():
        knob.default = not knob.app and knob.device == default and default is not None
        knob.label = f"{knob.app} on {knob.where}" if knob.app else f"{knob.base} of {knob.where}"
        if knob.app:
            knob.streams = [row for row in streams if _belongs(row, knob)]
    return sorted(knobs.values(), key=lambda knob: (bool(knob.app), not knob.default, knob.device or 0))


def _belongs(stream: Mapping[str, Any], knob: Knob) -> bool:
    return stream.get("subdevice") == knob.subdevice and program(str(stream.get("name", ""))) == knob.app


def find_knob(connection: Connection, word: str | None) -> Knob:
    """The knob that a word means; None: the output of the default device.  Raises StreamError, UsageError."""
    knobs = all_knobs(connection)
    if word is None:
        mine = [knob for knob in knobs if knob.default and knob.base == "output"]
        if not mine:
            raise StreamError("ENODEV", "there is no default device", "see: audioctl devices")
        return mine[0]
    streams = rows(connection, "streams")
    by_id = next((row for row in streams if str(row.get("id")) == word), None)
    if by_id is not None:
        level, muted = int(number(by_id, "volume")), bool(by_id.get("muted"))
        label = f"stream {word} ({text(by_id, 'name')})"
        return Knob(f"stream/{word}", level=level, muted=muted, rows=_rows_of(by_id), label=label)
    return select("volume", [_choice(knob) for knob in knobs], word, "give a stream's id, or NAME@SUBDEVICE")


def _rows_of(stream: Mapping[str, Any]) -> list[Row]:
    """The two controls of a stream, as `controls` would list them."""
    name, place = f"stream/{stream['id']}", {key: stream.get(key) for key in ("device", "subdevice")}
    level = {"name": f"{name}.level", "type": "num", "value": stream.get("volume"), "max": 127, **place}
    return [
        level,
        {"name": f"{name}.mute", "type": "sw", "value": int(bool(stream.get("muted"))), "max": 1, **place},
    ]


def _choice(knob: Knob) -> Choice[Knob]:
    if knob.app:
        names = {knob.app, *(str(row.get("name", "")) for row in knob.streams)}
        names |= {f"{name}@{knob.subdevice}" for name in names}
        return Choice(knob, knob.label, names=tuple(sorted(names)), live=bool(knob.streams))
    names = {f"{knob.where}/{knob.base}"}
    if knob.base == "output":
        names.add(knob.where)
    if knob.default:
        names.add(knob.base)
    return Choice(knob, knob.which, names=tuple(sorted(names)))


def stream_choices(streams: Sequence[Row]) -> list[Choice[Row]]:
    """Streams to select one from, by id or name."""
    return [
        Choice(row, f"{row.get('id')} ({text(row, 'name')})", str(row.get("id")), (str(row.get("name", "")),))
        for row in streams
    ]
