"""Rows: cards and endpoints as clients see them.  Pure."""

from __future__ import annotations

from audiod.cards.inventory import Card, Endpoint, Side, Span

PAGE = 8  # endpoints of one answer: each as wordy as can be, it still fits the protocol's ANSWER_MAX

Row = dict[str, object]


def card_row(card: Card) -> Row:
    return {
        "number": card.number,
        "id": card.id,
        "name": card.name,
        "identity": card.identity,
        "bus": card.bus,
        "port": card.port,
        "usb_id": card.usb_id,
        "serial": card.serial,
        "driver": card.driver,
        "error": card.error,
    }


def endpoint_row(one: Endpoint) -> Row:
    return {
        "pcm": one.pcm,
        "name": one.name,
        "spec": one.spec,
        "card": one.card or None,
        "device": one.device,
        "raw": one.raw,
        "mode": one.mode,
        "play": None if one.play is None else _side_row(one.play),
        "rec": None if one.rec is None else _side_row(one.rec),
        "error": one.error,
    }


def _side_row(side: Side) -> Row:
    return {
        "error": side.error,
        "probed": side.probed,
        "default": side.default,
        "access": side.access or None,
        "encodings": list(side.formats),
        "refused": [{"format": name, "reason": reason} for name, reason in side.refused],
        "rates": list(side.rates),
        "rate_range": _span(side.rate_range),
        "channels": list(side.channels),
        "maps": [list(layout) for layout in side.chmaps],
        "maps_known": side.chmaps_known,
        "rate": side.rate or None,
        "round": _span(side.round),
        "bufsz": _span(side.bufsz),
    }


def _span(span: Span | None) -> list[int] | None:
    return None if span is None else [span.min, span.max]
