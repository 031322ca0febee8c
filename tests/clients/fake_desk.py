"""The fake server's devices, controls, configuration and news: what the verbs of daily use ask for.

Invariant: as `FakeAudiod`, it never waits; levels and mutes live in the rows of streams and devices.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Row = dict[str, Any]

KEYS: list[Row] = [
    {"key": "server.unit", "value": 0, "origin": "default"},
    {"key": "device.0.spec", "value": "alsa:hw:0,0", "origin": "command line"},
    {"key": "device.0.hold", "value": False, "origin": "/etc/audiod/audiod.toml:7"},
    {"key": "device.0.subdevice.0.play", "value": [2, 3], "origin": "/etc/audiod/audiod.d/rear.toml:3"},
]
CHANGES: list[Row] = [
    {"key": "defaults.rate", "old": 48000, "new": 44100, "effect": "device 0 reopens when idle"},
    {"key": "server.socket", "old": None, "new": "/run/x.sock", "effect": "needs a restart"},
]


def device_row(number: int = 0, name: str = "alsa:hw:0,0", default: bool = True) -> Row:
    row = {
        "device": number, "name": name, "driver": name.partition(":")[0], "state": "running", "reason": None,
        "mode": "play,rec", "rate": 48000, "round": 480, "bufsz": 7680, "encoding": "s24le3",
        "play_channels": 4, "rec_channels": 2, "default": default, "volume": 100, "muted": False,
        "input_volume": 127, "input_muted": False, "fader": "Master", "input_fader": None, "xruns": 0,
        "streams": 1, "subdevices": [],
    }  # fmt: skip
    front = {"name": "default", "mode": "play,rec", "play": [0, 1], "rec": [0, 1], "volume": 127}
    rear = {"name": "rear", "mode": "play", "play": [2, 3], "rec": [0, 1], "volume": 100}
    subs = (front, rear) if default else ({**front, "name": str(number)},)
    more = {"join": True, "autovol": False, "mmc": False, "devices": [number], "reason": None}
    row["subdevices"] = [{**sub, **more} for sub in subs]
    return row


CARD: Row = {
    "number": 1, "id": "DAC", "name": "USB DAC", "identity": "usb:0d8c:0014@0000:00:14.0-2", "bus": "usb",
    "port": "0000:00:14.0-2", "usb_id": "0d8c:0014", "serial": "", "driver": "USB-Audio", "error": None,
}  # fmt: skip


def side_row(**other: Any) -> Row:
    """What a direction of an endpoint can do."""
    row: Row = {
        "error": None, "probed": True, "default": False, "access": "mmap interleaved",
        "encodings": ["s32le", "s24le3", "s16le", "u8"], "rates": [44100, 48000, 96000, 192000],
        "refused": [{"format": "DSD_U32_BE", "reason": "one bit a sample"}], "rate_range": [44100, 192000],
        "channels": [2, 6, 7, 8], "maps": [["fl", "fr"], ["fl", "fr", "rl", "rr", "fc", "lfe"]],
        "maps_known": True, "rate": 48000, "round": [48, 4096], "bufsz": [96, 16384],
    }  # fmt: skip
    return row | other


def endpoint_row(pcm: str = "hw:CARD=DAC,DEV=0", **other: Any) -> Row:
    sides = {"play": side_row(), "rec": side_row(error="recording is busy", probed=False)} | other
    return {
        "pcm": pcm, "name": "USB DAC USB Audio", "spec": f"alsa:@{CARD['identity']}",
        "card": CARD["identity"], "device": 0, "raw": True, "mode": "play,rec", "error": None, **sides,
    }  # fmt: skip


def program(name: str) -> str:
    return "".join(c for c in name.lower() if "a" <= c <= "z")[:11] or "noname"


@dataclass
class Desk:
    devices: list[Row] = field(default_factory=lambda: [device_row()])
    rescanned: int = 0
    streams: list[Row] = field(default_factory=list)
    remembered: list[Row] = field(
        default_factory=list
    )  # like streams, but only name, subdevice, volume, muted
    elements: list[Row] = field(default_factory=list)  # further knobs of cards
    endpoints: list[Row] = field(default_factory=list)  # of `card`, and what ALSA has besides
    ducking: Row | None = None
    news: list[tuple[str, Row]] = field(default_factory=list)  # told to whoever subscribes to their topics
    page: int = 256  # rows of one answer

    @property
    def level(self) -> int:
        """Of the first device."""
        level: int = self.devices[0]["volume"]
        return level

    def paged(self, what: str, found: list[Row], after: int) -> Row:
        end = after + self.page
        return {"version": 1, what: found[after:end], "next": end if end < len(found) else None}

    def cards(self, after: int) -> Row:
        page = self.paged("endpoints", self.endpoints, after)
        there = any(row["card"] for row in self.endpoints)
        return {**page, "cards": [dict(CARD)] if there else [], "scanning": False, "error": None}

    def controls(self) -> list[Row]:
        default = next(row["device"] for row in self.devices if row["default"])
        found = [self._row("server.device", "sel", default, len(self.devices) - 1, None, "default")]
        for row in self.devices:
            for base, level, mute in (
                ("output", "volume", "muted"),
                ("input", "input_volume", "input_muted"),
            ):
                found += self._pair(base, row[level], row[mute], row["device"], None)
        found += self.elements
        seen = set()
        for row in [*self.streams, *self.remembered]:
            app = (program(str(row.get("name", ""))), row.get("subdevice"))
            if app not in seen:
                found += self._pair(f"app/{app[0]}", row.get("volume"), row.get("muted"), 0, app[1])
            seen.add(app)
        for row in self.streams:
            found += self._pair(
                f"stream/{row['id']}", row.get("volume"), row.get("muted"), 0, row.get("subdevice")
            )
        return found

    def _pair(self, base: str, level: Any, muted: Any, device: int, subdevice: Any) -> list[Row]:
        return [
            self._row(f"{base}.level", "num", level, 127, device, subdevice),
            self._row(f"{base}.mute", "sw", int(bool(muted)), 1, device, subdevice),
        ]

    @staticmethod
    def _row(name: str, type: str, value: Any, max: int, device: int | None, subdevice: Any) -> Row:
        return {
            "name": name,
            "type": type,
            "value": value,
            "max": max,
            "device": device,
            "subdevice": subdevice,
        }

    def set(self, name: str, value: int, device: int | None, subdevice: str) -> None:
        """control.set.  Raises LookupError where there is no such control."""
        base, _, kind = name.rpartition(".")
        if name == "server.device":
            for row in self.devices:
                row["default"] = row["device"] == value
            return
        for row in self.elements:
            if row["name"] == name:
                row["value"] = value
                return
        key = {"level": "volume", "mute": "muted"}[kind]
        stored = bool(value) if kind == "mute" else value
        if base in ("output", "input"):
            numbers = [row for row in self.devices if row["default"] or row["device"] == device]
            row = numbers[0] if device is None else self.devices[device]
            row[key if base == "output" else f"input_{key}"] = stored
            return
        rows = [*self.streams, *self.remembered]
        if base.startswith("stream/"):
            mine = next(row for row in self.streams if row["id"] == int(base[7:]))
            base, subdevice = f"app/{program(mine['name'])}", mine["subdevice"]
        same = [
            row for row in rows if f"app/{program(row['name'])}" == base and row["subdevice"] == subdevice
        ]
        if not same:
            raise LookupError(name)
        for row in same:
            row[key] = stored


# ---- listings of sndstat -------------------------------------------------------------------------

NOBODY = 2**64 - 1


def channel_row(name: str, parent: str, chain: str, **other: Any) -> Row:
    numbers = ("caps", "latency", "rate", "format", "pid", "left_volume", "right_volume", "unit")
    row: Row = {"name": name, "parentchan": parent, "comm": "<UNUSED>", "feederchain": chain}
    row |= dict.fromkeys((*numbers, "interrupts", "feedcount", "xruns"), 0)
    for which in ("hwbuf", "swbuf"):
        for what in ("format", "fmt", "rate", "size", "blksz", "blkcnt", "free", "ready"):
            row[f"{which}_{what}"] = 0
    return row | {"rate": 48000, "pid": NOBODY, "left_volume": 100, "right_volume": 100} | other


def listing_page(after: int) -> Row:
    """Two pages: a device with a channel; its other channel, and a device that a program provides."""
    info = {"min_rate": 4000, "max_rate": 192000, "formats": 16, "min_chn": 1, "max_chn": 64}
    device: Row = {
        "from_user": False, "nameunit": "pcm0", "devnode": "dsp0", "desc": "HDA \x1b[2J",
        "pchan": 1, "rchan": 0, "pminrate": 4000, "pmaxrate": 192000, "pfmts": 16,
        "info_play": info, "provider": "sound(4)",
    }  # fmt: skip
    if after == 0:
        own = channel_row("pcm0:play:dsp0.p0", "", "[vchans -> feeder_root(0x10200000) -> hardware]")
        more = {"unit": 0, "status": "at alsa hw:0,0", "channel_info": [own]}
        return {"nbytes": 3000, "dsps": [{**device, "provider_info": more}], "continues": False, "next": 7}
    steps = ["root(0x00200010)", "format(0x00200010 -> 0x10200000)", "rate(44100 -> 48000)"]
    chain = " -> ".join(["[userland", *(f"feeder_{step}" for step in steps), "pcm0:play:dsp0.p0]"])
    more = {"comm": "mpv", "pid": 42, "xruns": 2, "rate": 44100, "unit": 1}
    stream = channel_row("pcm0:virtual_play:dsp0.vp0", "pcm0:play:dsp0.p0", chain, **more)
    user = {**device, "from_user": True, "nameunit": "vdsp0", "desc": "Virtual", "provider": "", "rchan": 1}
    user["socket"] = "/run/vdsp.sock"
    rest = {"nameunit": "pcm0", "provider_info": {"channel_info": [stream]}}
    return {"nbytes": 3000, "dsps": [rest, user], "continues": True, "next": None}
