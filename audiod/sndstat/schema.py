"""Schema: the names under which a listing's devices are told, in the final form and in the draft's flat one.

"final" is that of sndstat(4), `info_play` and `provider_info` included, and like
the kernel's it has the draft's flat keys of directions beside them.  "draft" is
the API as it was proposed: all of it flat, no channels.  Pure.
"""

from __future__ import annotations

from typing import Any, Literal

from audiod_protocol.nvlist import Nvlist, NvType, Pair, boolean, nested, number, string

from audiod.sndstat.model import EngineDevice, Fixed, Head, Info, Now, Snapshot, UserDevice

DSPS = "dsps"
CHANNELS = "channel_info"
CHANNEL_KEYS = (*Fixed._fields, *Now._fields)

Form = Literal["final", "draft"]


def head_pairs(head: Head, form: Form) -> list[Pair]:
    """A device of the engine, in the final form without its channels."""
    draft = form == "draft"
    pairs = [boolean("from_user", False)]
    if draft:
        pairs.append(number("unit", head.unit))
    pairs += [
        string("nameunit", head.nameunit),
        string("devnode", head.devnode),
        string("desc", head.desc),
        number("pchan", head.pchan),
        number("rchan", head.rchan),
    ]
    if draft:
        pairs += [number("pvchan", head.pvchan), number("rvchan", head.rvchan)]
    pairs += _directions(head.play, head.rec, form)
    if draft:
        return [*pairs, boolean("bitperfect", head.bitperfect)]
    info = [
        number("unit", head.unit),
        string("status", head.status),
        boolean("bitperfect", head.bitperfect),
        number("pvchan", head.pvchan),
        number("pvchanrate", head.pvchanrate),
        number("pvchanformat", head.pvchanformat),
        number("rvchan", head.rvchan),
        number("rvchanrate", head.rvchanrate),
        number("rvchanformat", head.rvchanformat),
    ]
    return [*pairs, nested("provider_info", info), string("provider", head.provider)]


def user_pairs(user: UserDevice, form: Form) -> list[Pair]:
    """A device that a program provides."""
    pairs = [
        boolean("from_user", True),
        number("pchan", user.pchan),
        number("rchan", user.rchan),
        string("nameunit", user.nameunit),
        string("devnode", user.devnode),
        string("desc", user.desc),
        *_directions(user.play, user.rec, form),
    ]
    if form == "draft":
        return pairs
    pairs.append(string("provider", user.provider))
    if user.provider_info is not None:
        pairs.append(Pair("provider_info", NvType.NVLIST, user.provider_info))
    if user.socket:
        pairs.append(string("socket", user.socket))
    return pairs


def _directions(play: Info | None, rec: Info | None, form: Form) -> list[Pair]:
    pairs = []
    for letter, name, info in (("p", "info_play", play), ("r", "info_rec", rec)):
        if info is not None:
            pairs += [
                number(f"{letter}minrate", info.min_rate),
                number(f"{letter}maxrate", info.max_rate),
                number(f"{letter}fmts", info.formats),
            ]
            if form == "final":
                pairs.append(nested(name, [number(key, value) for key, value in info._asdict().items()]))
    return pairs


def channel_pairs(fixed: Fixed, now: Now | tuple[()]) -> list[Pair]:
    """A channel, or with `now` empty what it is alone."""
    return [
        string(key, value) if isinstance(value, str) else number(key, value)
        for key, value in zip(CHANNEL_KEYS, (*fixed, *now), strict=False)
    ]


def device_pairs(device: EngineDevice, form: Form) -> Nvlist:
    """A device of the engine, with its channels in the final form."""
    pairs = head_pairs(device.head, form)
    if form == "final" and device.now:
        at = next(i for i, pair in enumerate(pairs) if pair.name == "provider_info")
        lists = (channel_pairs(*both) for both in zip(device.fixed, device.now, strict=True))
        channels = Pair(CHANNELS, NvType.NVLIST_ARRAY, tuple(map(Nvlist, lists)))
        pairs[at] = nested("provider_info", [*pairs[at].value, channels])
    return Nvlist(pairs)


def tree(snapshot: Snapshot, form: Form) -> Nvlist:
    """The whole listing; without `dsps` where there is no device, for an array cannot be empty."""
    lists = [device_pairs(device, form) for device in snapshot.devices]
    lists += [Nvlist(user_pairs(user, form)) for user in snapshot.users]
    return Nvlist([Pair(DSPS, NvType.NVLIST_ARRAY, tuple(lists))] if lists else [])


# ---- as plain maps, for MessagePack ------------------------------------------------------------

Row = dict[str, Any]


def plain(pairs: Nvlist | list[Pair]) -> Row:
    """Names and values; text that is no UTF-8 with its bytes replaced."""
    return {_text(pair.name): _plain(pair.value) for pair in pairs}


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Nvlist):
        return plain(value)
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return value


def _text(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def channel_row(fixed: Fixed, now: Now) -> Row:
    """A channel: a copy of what was made before, with what has changed put in its place."""
    try:
        row = fixed.row.copy()
    except AttributeError:
        fixed.row = dict(zip(CHANNEL_KEYS, fixed + now, strict=True))
        return fixed.row.copy()
    (
        row["unit"],
        row["interrupts"],
        row["feedcount"],
        row["xruns"],
        row["hwbuf_free"],
        row["hwbuf_ready"],
        row["swbuf_free"],
        row["swbuf_ready"],
    ) = now
    return row
