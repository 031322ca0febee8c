"""Probe: what cards there are and what they can do, asked in a process of its own.

`python -m audiod.cards.probe` answers requests on standard input, one JSON line
each: {"ask": "hints"|"cards"|"card"|"side", ...}.  The library may hang or crash
in any of them, with the configuration or the card that a machine has: whoever
asks kills this process then.  `probe_side` takes any object as libasound.Library.
"""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from audiod.cards import chmap, formats
from audiod.cards.inventory import Side, Span
from audiod.cards.libasound import AlsaError, Library, NoLibraryError

if TYPE_CHECKING:
    from audiod.cards.libasound import Pcm

RATES = (
    *(8000, 11025, 16000, 22050, 32000, 44100, 48000, 64000, 88200, 96000, 176400, 192000, 352800, 384000),
)
RATE_MIN, RATE_MAX = 4000, 768000  # Hz; a converter that does more is a library's fancy
FRAMES_MAX = 1 << 24  # of a buffer; five minutes, beyond it nobody means it
NCHAN_MAX = 64
RATE = 48000  # what audiod takes where it can
NCHAN = 2
ACCESS = {  # libasound's numbers, the best first
    0: "mmap interleaved",
    1: "mmap non-interleaved",
    2: "mmap complex",
    3: "read/write interleaved",
    4: "read/write non-interleaved",
}
FILE_MAX = 256 << 20  # bytes that a plug-in may write, messages of the library included
MEMORY_MAX = 4 << 30  # bytes of addresses: a configuration that makes it grow without end
NICE = 10
ALARM = 30  # seconds until a request ends this process by itself, should nobody be left to do it


def probe_side(
    library: Library, pcm: str, direction: str, *, raw: bool = False, card: int = -1, device: int = -1
) -> Side:
    """What a direction of a PCM can do, or why that cannot be said."""
    maps: list[tuple[int, ...]] = []
    try:
        if raw and card >= 0:
            maps = library.hardware_chmaps(card, device, direction)
        with library.open(pcm, direction) as opened:
            if not maps:
                maps = opened.chmaps()
            return _ask(opened, maps, resample=not (raw or opened.is_hardware))
    except AlsaError as error:
        return Side(error=_why(error, direction))


def _ask(pcm: Pcm, maps: list[tuple[int, ...]], *, resample: bool) -> Side:
    pcm.any(resample=False)
    access = _narrow_access(pcm)
    known = {number for number in range(formats.LAST + 1) if pcm.has_format(number)}
    offered = tuple(text for number, text in formats.ENCODINGS.items() if number in known)
    refused = tuple(formats.refusal(number) for number in sorted(known - formats.ENCODINGS.keys()))
    if resample:  # the library converts: what comes out of that is what can be had
        pcm.any(resample=True)
        _narrow_access(pcm)
    least, most = pcm.channels()
    channels = tuple(n for n in range(least, min(most, NCHAN_MAX) + 1) if pcm.has_channels(n))
    slow, fast = max(pcm.rates()[0], RATE_MIN), min(pcm.rates()[1], RATE_MAX)
    rates = tuple(rate for rate in RATES if slow <= rate <= fast and pcm.has_rate(rate))
    rate = _choose_rate(rates, slow, fast)
    error = _unusable(offered, channels, rate)
    sizes = None if error else _sizes(pcm, known, channels, rate)
    layouts = chmap.told(maps)
    return Side(
        error=error,
        probed=True,
        access=access,
        formats=offered,
        refused=refused,
        rates=rates,
        rate_range=Span(slow, fast) if slow <= fast else None,
        channels=channels,
        chmaps=layouts or chmap.usual(channels),
        chmaps_known=bool(layouts),
        rate=rate if sizes else 0,
        round=sizes[0] if sizes else None,
        bufsz=sizes[1] if sizes else None,
    )


def _narrow_access(pcm: Pcm) -> str:
    for number, text in ACCESS.items():
        try:
            pcm.set_access(number)
        except AlsaError:
            continue
        return text
    raise AlsaError(errno.EINVAL, "its samples cannot be reached in any way that audiod has")


def _choose_rate(rates: tuple[int, ...], slow: int, fast: int) -> int:
    """What audiod would run it at: 48 kHz, else what is nearest; 0: nothing plausible."""
    if rates:
        return min(rates, key=lambda rate: abs(rate - RATE))
    return 0 if slow > fast else min(max(RATE, slow), fast)


def _unusable(offered: tuple[str, ...], channels: tuple[int, ...], rate: int) -> str | None:
    if not offered:
        return "it has no encoding that audiod has"
    if not channels:
        return f"it has no number of channels in 1..{NCHAN_MAX}"
    if not rate:
        return f"it has no rate in {RATE_MIN}..{RATE_MAX} Hz"
    return None


def _sizes(pcm: Pcm, known: set[int], channels: tuple[int, ...], rate: int) -> tuple[Span, Span] | None:
    """Frames of a block and of the buffer as audiod would run it; None if it does not say."""
    try:
        pcm.set_format(next(number for number in formats.ENCODINGS if number in known))
        pcm.set_channels(min(channels, key=lambda count: abs(count - NCHAN)))
        pcm.set_rate(rate)
    except AlsaError:
        pass  # it cannot combine these: what it says is of all that it can
    try:
        return _span(pcm.period_sizes()), _span(pcm.buffer_sizes())
    except AlsaError:
        return None


def _span(sizes: tuple[int, int]) -> Span:
    least, most = (min(size, FRAMES_MAX) for size in sizes)
    return Span(least, most)


def _why(error: AlsaError, direction: str) -> str:
    what = "playback" if direction == "play" else "recording"
    match error.errno:
        case errno.EBUSY:
            return f"{what} is busy, a program has it open"
        case errno.EACCES | errno.EPERM:
            return f"{what} is not permitted: audiod's user must be in the card's group, audio"
        case errno.ENOENT | errno.ENODEV | errno.ENXIO:
            return f"there is no such card or PCM for {what}"
    return f"{what} cannot be asked: {error}"


# ---- the process ---------------------------------------------------------------------------


class Prober:
    """Answers requests; `load` gives the library."""

    def __init__(self, load: Callable[[], Library] = Library) -> None:
        self._load = load
        self._library: Library | None = None
        self._asks: dict[str, Callable[..., Any]] = {
            "hints": self._hints,
            "cards": lambda: self._known.cards(),
            "card": self._card,
            "side": lambda **given: asdict(probe_side(self._known, **given)),
        }

    @property
    def _known(self) -> Library:
        if self._library is None:
            self._library = self._load()
        return self._library

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """`{"result": ...}` or `{"error": text}`."""
        try:
            return {"result": self._asks[request.pop("ask")](**request)}
        except (AlsaError, NoLibraryError) as error:
            return {"error": str(error)}

    def _hints(self) -> list[dict[str, Any]]:
        self._known.reread()
        return [asdict(hint) for hint in self._known.hints()]

    def _card(self, number: int) -> dict[str, Any]:
        ident, name, devices = self._known.card(number)
        return {"id": ident, "name": name, "devices": [asdict(device) for device in devices]}


def main() -> None:
    """Answer until the end of standard input."""
    _limit()
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # a plug-in that prints does not answer for us
    prober = Prober()
    print(json.dumps({"result": "ready"}), file=answers, flush=True)
    for line in sys.stdin:
        signal.alarm(ALARM)
        print(json.dumps(prober.answer(json.loads(line))), file=answers, flush=True)
        signal.alarm(0)


def _limit() -> None:
    os.nice(NICE)
    for what, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, FILE_MAX),
        (resource.RLIMIT_AS, MEMORY_MAX),
    ):
        hard = resource.getrlimit(what)[1]
        resource.setrlimit(what, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


if __name__ == "__main__":
    main()
