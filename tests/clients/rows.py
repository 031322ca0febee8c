"""Rows that several tests of the command line show."""

from __future__ import annotations

from typing import Any

MPV: dict[str, Any] = {
    "id": 7, "name": "mpv", "pid": 812, "uid": 1000, "device": 0, "subdevice": "default", "mode": "play",
    "state": "running", "channel": "running",
    "rate": 44100, "encoding": "s16le", "channels": 2, "volume": 127, "muted": False,
    "position": 441000, "latency": 9600, "xruns": 2, "stream": 3,
    "wire": "native", "ducking": None,
    "conversion": "44.1 -> 48 kHz, s16le -> s24le3", "type": "music",
}  # fmt: skip

RECORD: dict[str, Any] = {
    "channel": "play", "mode": "block", "status": "suspended", "scount": 1_764_000,
    "stime": {"sec": 1_800_000_000, "usec": 250_000}, "ust_stime": 77, "frag": 3, "count": 3840, "free": 3840,
    "underrun": 2, "overrun": 0, "overrange": 1, "subbuffered": 64, "ducking_state": 2 | 8,
    "stop_time": None, "status_data": {}, "ducked_by": [9],
    "why": "voice (stream 9) leaves 0%; suspended by a higher priority",
}  # fmt: skip


DUCKED = {
    "gains": [0.1, 0.5], "suspended": [], "muted_by": [], "ducked_by": [8, 9],
    "why": "voice (stream 8) leaves 50%; \x1bringtone (stream 9) leaves ch0 20%, others 100%",
}  # fmt: skip
WAITS = {
    "gains": [0.0], "suspended": ["hard", "autopause"], "muted_by": [], "ducked_by": [8],
    "why": "voice (stream 8) leaves 0%; suspended by a higher priority",
}  # fmt: skip
_VOICE = {
    "name": "voice", "prio": 2, "duck_same_prio_policy": "last_wins", "duck_same_prio_percent": 100,
    "duck_lower_prio_percent": 50, "preemption_by_higher": "no", "preemption_by_same": "no",
    "transient": False,
}  # fmt: skip
_MUSIC = {
    **_VOICE, "name": "music", "prio": 1, "duck_lower_prio_percent": "ch0:50,ch1:100",
    "preemption_by_higher": "suspend", "transient": True,
}  # fmt: skip
DUCKING: dict[str, Any] = {
    "order": "voice > music", "types": [_VOICE, _MUSIC],
    "ramps": [{"name": "ducking", "duration": 60, "profile": "20:10,60:80,20:10"}],
    "programs": [{"name": "espeak*", "type": "voice"}],
    "devices": [
        {"device": 0, "active": [
            {"type": "voice", "prio": 2, "streams": [8], "pids": [9]},
            {"type": "music", "prio": 1, "streams": [7, 10], "pids": [812]},
        ]},
        {"device": 1, "active": []},
    ],
}  # fmt: skip


def control(name: str, value: int, device: int | None, subdevice: str | None, event: str = "change") -> Any:
    kind = "num" if name.endswith("level") else "sw" if name.endswith("mute") else "sel"
    most = {"num": 127, "sw": 1, "sel": 1}[kind]
    row = {"name": name, "type": kind, "value": value, "max": most}
    return ("controls", {**row, "device": device, "subdevice": subdevice, "event": event})


def happened(event: str, time: float, level: str = "info", **facts: Any) -> Any:
    return ("events", {"event": event, "time": time, "level": level, **facts})


NEWS = [
    control("output.level", 89, 0, None),
    control("app/mpv.mute", 1, 0, "default"),
    control("stream/7.mute", 1, 0, "default"),
    control("app/mpv.mute", 0, 0, "default"),
    control("app/\x1b[2J.level", 127, 0, "rear", "new"),
    control("app/b.mute", 0, 0, "rear", "new"),
    control("app/c.mute", 1, 0, "rear", "new"),
    control("app/mpv.level", 127, 0, "default", "gone"),
    control("app/mpv.mute", 1, 0, "default", "gone"),
    control("server.device", 1, None, "default"),
    happened("stream.open", 1_800_000_000.25, id=7, name="my player", link=None),
    happened("xrun", 1_800_000_001.0, "warning", stream=7, cause="\x1bclient", duplex=True),
]
