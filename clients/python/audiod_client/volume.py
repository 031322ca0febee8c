"""Volume as people write it (70%, 0.7, -6dB, +5%, +2dB, 2dB-) and as the control has it (0..127).

Percent and fractions are linear on the control; dB follow the volume formula:
18 steps are a factor of 2, 127 is 0 dB, 0 is silence.  A sign makes a step of a
number, but `-6dB` is a level: nothing is louder than 0 dB, so levels are what
people write with a minus there.  Pure functions.
"""

from __future__ import annotations

import math
import re

from audiod_client.errors import StreamError

__all__ = ["VOL_MAX", "parse_volume", "show_volume", "vol_to_db"]

VOL_MAX = 127
STEPS_PER_DB = 18 / (20 * math.log10(2))

_NUMBER = r"[0-9]{1,3}(?:\.[0-9]{1,6})?"
_VOLUME = re.compile(
    rf"(?P<before>[+-]?)(?P<number>{_NUMBER})(?:%|(?P<db>\s?[dD][bB]))(?P<after>[+-]?)"
    r"|(?P<fraction>[01]|[01]?\.[0-9]{1,6}|1\.|0\.)",
    re.ASCII,
)
_HINT = "write 70%, 0.7, -6dB, or a step: +5%, -5%, +2dB, 2dB-"


def _bad(text: str, why: str, hint: str = _HINT) -> StreamError:
    return StreamError("EINVAL", f"volume {text[:40]!r} {why}", hint)


def parse_volume(text: str, present: int) -> int:
    """The control's value 0..127 that `text` asks for.

    `present` is what steps start from: `+5%`, `-5%`, `+2dB`, and with the sign
    behind, `5%-`, `2dB-`.  They stop at the ends, and one that is not 0 moves by
    at least 1.  `-6dB` is a level, 6 dB below full.  Raises StreamError(EINVAL).
    """
    match = _VOLUME.fullmatch(text)
    if match is None or (match["before"] and match["after"]):
        if re.fullmatch(r"[+-]?[0-9]+", text, re.ASCII):
            raise _bad(text, "may be percent or a control's 0..127", f"add the unit: {text}%")
        raise _bad(text, "is not a volume")
    if match["fraction"]:
        share = float(match["fraction"])
        if share > 1:
            raise _bad(text, "is above full volume", "1.0 is the loudest")
        return round(share * VOL_MAX)
    number, sign = float(match["number"]), match["before"] or match["after"]
    if match["db"]:
        steps = number * STEPS_PER_DB
        if match["before"] == "-":
            return max(0, round(VOL_MAX - steps))
        if not sign and number:
            raise _bad(text, "is above full volume", f"0dB is the loudest; a step up is +{text}")
    else:
        steps = number / 100 * VOL_MAX
        if not sign and number > 100:
            raise _bad(text, "is above full volume", "100% is the loudest")
    if not sign:
        return VOL_MAX if match["db"] else round(steps)
    step = max(1, round(steps)) if number else 0
    return max(0, present - step) if sign == "-" else min(VOL_MAX, present + step)


def vol_to_db(vol: int) -> float:
    """Gain in dB of the control's value; -inf at 0."""
    return (vol - VOL_MAX) / STEPS_PER_DB if vol > 0 else -math.inf


def show_volume(vol: int) -> str:
    """For people: `70% (-12.7 dB)`."""
    level = f"{vol_to_db(vol):.1f} dB" if vol else "silent"
    return f"{round(100 * vol / VOL_MAX)}% ({level})"
