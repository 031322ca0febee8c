"""Kernel: which cards and PCMs it has, from /proc/asound, /sys/class/sound and /dev/snd.

Reads some short files and waits for nothing, so that a server may ask at its
start and at each open; what a card can do is `scan`'s business.  Owns how a
card's identity is made.  The folders are parameters.  Control thread.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from audiod.cards.inventory import PLAY, REC, Card, Endpoint, Inventory, Side, find_card, shortened

HOTPLUG = ("usb", "firewire")  # buses whose cards come and go: their ids depend on who came first

_CARDS_LINE = re.compile(r"^ *(\d+) \[(.*?) *\]: (.*?) - (.*)$", re.M)
_CARD = re.compile(r"card(\d+)")
_PCM_INFO = re.compile(r"pcm(\d+)([pc])")  # /proc/asound/card0/pcm3p
_PCM_NODE = re.compile(r"pcmC(\d+)D(\d+)([pc])")  # /dev/snd/pcmC0D3p, /sys/class/sound/pcmC0D3p
_PCM_NAME = re.compile(
    r"(?P<kind>[\w-]+):(?:CARD=(?P<named>[^,]+)|(?P<plain>[^,=]+))"
    r"(?:,DEV=(?P<device>\d+)|,(?P<second>\d+))?",
    re.ASCII,
)
_UNSAFE = re.compile(r"[^\w.-]+", re.ASCII)
_TEXT_MAX = 16384
_SERIAL_MAX = 64


@dataclass(frozen=True)
class Roots:
    """Where the kernel tells of its cards."""

    proc: Path = Path("/proc/asound")
    dev: Path = Path("/dev/snd")
    sys: Path = Path("/sys/class/sound")


ROOTS = Roots()


def glance(roots: Roots = ROOTS) -> Inventory:
    """The cards and their PCMs, nothing of which was asked what it can do."""
    cards, endpoints = [], []
    for card in find_cards(roots):
        found, without = _endpoints(card, roots)
        cards.append(replace(card, error=_no_files(without)) if without and not found else card)
        endpoints += found
    return Inventory(tuple(cards), tuple(endpoints))


def find_cards(roots: Roots = ROOTS) -> list[Card]:
    """The cards by their numbers."""
    listed = {
        int(number): (ident, driver, name)
        for number, ident, driver, name in _CARDS_LINE.findall(_read(roots.proc / "cards"))
    }
    numbers = set(listed) | set(_numbers(roots.proc)) | set(_numbers(roots.sys))
    return shortened(_found(number, listed.get(number, ("", "", "")), roots) for number in sorted(numbers))


def resolve(argument: str, roots: Roots = ROOTS) -> str | None:
    """The PCM that libasound opens for the argument of a SPEC; None: its card is not there.

    `@IDENTITY[,DEVICE]` is the hardware of that card, see `find_card`; anything else is a PCM.
    """
    if not argument.startswith("@"):
        return argument
    identity, comma, device = argument[1:].rpartition(",")
    if not (comma and device.isdecimal()):
        identity, device = argument[1:], "0"
    card = find_card(identity, find_cards(roots))
    return None if card is None else hardware(card, int(device))


def present(argument: str, roots: Roots = ROOTS) -> bool | None:
    """Whether the card of a SPEC's argument is in the machine; None: its PCM may be anything."""
    if argument.startswith("@"):
        return resolve(argument, roots) is not None
    if find_pcm(argument, roots) is not None:
        return True
    kind, _, name = argument.partition(":")
    # a configuration made for this process may call something else so
    plain = kind in ("hw", "plughw") and name and "ALSA_CONFIG_PATH" not in os.environ
    return False if plain else None


def hardware(card: Card, device: int) -> str:
    """libasound's name of a PCM of the hardware."""
    return f"hw:CARD={card.id or card.number},DEV={device}"


def find_pcm(pcm: str, roots: Roots = ROOTS) -> tuple[Card, int] | None:
    """The card and the number of its PCM that a name of libasound means; None: none, or it cannot be told.

    `hw:0,3`, `plughw:HDA`, and whatever names its card: `hdmi:CARD=HDA,DEV=0`.
    """
    match = _PCM_NAME.match(pcm)
    if match is None:
        return None
    named, plain = match["named"], match["plain"]
    if match["kind"] in ("hw", "plughw"):
        wanted, device = named or plain, int(match["device"] or match["second"] or 0)
    else:
        wanted, device = named, 0
    for card in find_cards(roots):
        if wanted in (card.id, str(card.number)):
            return card, device
    return None


def quoted(pcm: str) -> str:
    """As the argument of a SPEC, which `?` ends and where `%` quotes."""
    return pcm.replace("%", "%25").replace("?", "%3f")


def spec(card: Card, device: int) -> str:
    """The SPEC that means this PCM for good."""
    if card.bus in HOTPLUG:
        return f"alsa:@{card.short or card.identity}" + (f",{device}" if device else "")
    return f"alsa:{hardware(card, device)}"


def holders(card: int, device: int, direction: str, roots: Roots = ROOTS) -> list[int]:
    """Ids of the threads that have the PCM open; empty if there is room for another."""
    letter = "p" if direction == PLAY else "c"
    pcm = roots.proc / f"card{card}" / f"pcm{device}{letter}"
    if not re.search(r"^subdevices_avail: *0$", _read(pcm / "info"), re.M):
        return []
    owners = [
        re.search(r"^owner_pid *: *(\d+)$", _read(pcm / sub / "status"), re.M)
        for sub in _names(pcm)
        if sub.startswith("sub")
    ]
    return [int(owner[1]) for owner in owners if owner]


# ---- a card ---------------------------------------------------------------------------

_known: dict[tuple[Roots, int], tuple[object, Card]] = {}  # as it was found last


def _found(number: int, listed: tuple[str, str, str], roots: Roots) -> Card:
    """A card is read once, not at each question: its link is another one when it has come anew."""
    try:
        link = (roots.sys / f"card{number}").lstat()
    except OSError:
        return _card(number, *listed, roots)
    stamp = (listed, link.st_ino, link.st_ctime_ns)
    known = _known.get((roots, number))
    if known is None or known[0] != stamp:
        known = _known[roots, number] = stamp, _card(number, *listed, roots)
    return known[1]


def _card(number: int, ident: str, driver: str, name: str, roots: Roots) -> Card:
    proc, link = roots.proc / f"card{number}", roots.sys / f"card{number}"
    ident = _word(proc / "id") or _word(link / "id") or _plain(ident)
    bus, place, usb = _place(link / "device")
    usb_id = _usb_id(usb) if usb is not None else _word(proc / "usbid")
    serial = _word(usb / "serial").replace(":", "_")[:_SERIAL_MAX] if usb is not None else ""
    if usb_id:
        bus, place = "usb", place or f"id-{ident}"
        identity = ":".join(filter(None, ("usb", usb_id, serial))) + f"@{place}"
    elif place:
        identity = f"{bus}:{place}"
    else:
        identity = f"id:{ident or number}"
    return Card(number, ident, name or ident, identity, bus, place, usb_id, serial, driver)


def _place(device: Path) -> tuple[str, str, Path | None]:
    """Its bus, where it is on it, and the folder of the USB device, where it is one."""
    try:
        real = device.resolve(strict=True)
    except (OSError, RuntimeError):
        return "", "", None
    bus = _target(real / "subsystem")
    for folder in (real, *real.parents):
        if (folder / "idVendor").is_file():
            return "usb", _usb_port(folder), folder
    return bus or "other", _plain(real.name), None


def _usb_port(usb: Path) -> str:
    """The controller and the ports on the way: the number of the bus is another after each boot."""
    ports = _word(usb / "devpath") or usb.name.rpartition("-")[2]
    for folder in usb.parents:
        if re.fullmatch(r"usb\d+", folder.name):
            return f"{_plain(folder.parent.name)}-{ports}"
    return usb.name


def _usb_id(usb: Path) -> str:
    return f"{_word(usb / 'idVendor')}:{_word(usb / 'idProduct')}"


# ---- its PCMs ----------------------------------------------------------------------------


def _endpoints(card: Card, roots: Roots) -> tuple[list[Endpoint], list[Path]]:
    """The PCMs that can be reached, and the device files that are missing for the others."""
    names: dict[int, dict[str, str]] = {}
    for device, direction, name in _pcms(card.number, roots):
        names.setdefault(device, {})[direction] = name or names.get(device, {}).get(direction, "")
    found, missing = [], []
    for device, named in sorted(names.items()):
        sides = {}
        for letter, direction in (("p", PLAY), ("c", REC)):
            node = roots.dev / f"pcmC{card.number}D{device}{letter}"
            if direction in named and node.exists():
                sides[direction] = Side(error=_forbidden(node))
            elif direction in named:
                missing.append(node)
        if sides:
            found.append(endpoint(card, device, named, sides))
    return found, missing


def endpoint(card: Card, device: int, names: Mapping[str, str], sides: Mapping[str, Side]) -> Endpoint:
    """A PCM of the hardware; `names` and `sides` of its directions."""
    name = names.get(PLAY) or names.get(REC) or f"PCM {device}"
    return Endpoint(
        hardware(card, device),
        f"{card.name} {name}",
        card.identity,
        device,
        raw=True,
        play=sides.get(PLAY),
        rec=sides.get(REC),
        spec=spec(card, device),
    )


def _pcms(card: int, roots: Roots) -> Iterator[tuple[int, str, str]]:
    """Number, direction and name of each, a name possibly empty, one possibly twice."""
    for entry in _names(roots.sys):
        match = _PCM_NODE.fullmatch(entry)
        if match and int(match[1]) == card:
            yield int(match[2]), _DIRECTION[match[3]], ""
    for entry in _names(roots.proc / f"card{card}"):
        match = _PCM_INFO.fullmatch(entry)
        if match:
            info = _read(roots.proc / f"card{card}" / entry / "info")
            name = re.search(r"^name: *(.*?) *$", info, re.M) or re.search(r"^id: *(.*?) *$", info, re.M)
            yield int(match[1]), _DIRECTION[match[2]], name[1] if name else ""


_DIRECTION = {"p": PLAY, "c": REC}


def _forbidden(node: Path) -> str | None:
    if os.access(node, os.R_OK | os.W_OK):
        return None
    return f"{node} is not permitted: audiod's user must be in the card's group, audio"


def _no_files(missing: list[Path]) -> str:
    return f"there is no {missing[0]}: give this system or container the card's device files"


# ---- files ------------------------------------------------------------------------------------


def _numbers(folder: Path) -> Iterator[int]:
    for name in _names(folder):
        match = _CARD.fullmatch(name)
        if match:
            yield int(match[1])


def _names(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))  # noqa: PTH208
    except OSError:
        return []  # a card that goes while it is read, or a kernel without


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(_TEXT_MAX)
    except OSError:
        return ""
    text = raw.decode(errors="replace").rstrip("\n\0 ")
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in text)


def _word(path: Path) -> str:
    return _plain(_read(path).partition("\n")[0])


def _plain(text: str) -> str:
    """As a part of an identity: letters that need no quoting anywhere, `:` of addresses kept."""
    return ":".join(_UNSAFE.sub("_", part) for part in text.strip().split(":"))


def _target(link: Path) -> str:
    try:
        return _plain(link.readlink().name)
    except OSError:
        return ""
