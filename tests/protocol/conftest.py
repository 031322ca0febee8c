"""The one loader of the test vectors: tests take a case of a file as an argument.

`message_case`, `garbage_case`, `argument_case`, `encoding_case`, `negotiation_case`,
`refusal_case` and `session_case` are parametrised from `protocol/vectors/*.json`;
`event_of` turns a vector's event into the package's.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from audiod_protocol import Event, Fault, Notification, Request, Response

PROTOCOL = Path(__file__).resolve().parents[2] / "protocol"

CASES = {
    "message_case": ("messages.json", "messages"),
    "garbage_case": ("garbage.json", "garbage"),
    "argument_case": ("arguments.json", "arguments"),
    "encoding_case": ("parameters.json", "encodings"),
    "no_encoding_case": ("parameters.json", "no_encodings"),
    "negotiation_case": ("parameters.json", "negotiations"),
    "refusal_case": ("parameters.json", "refusals"),
    "session_case": ("sessions.json", "sessions"),
}


def load(file: str, key: str) -> list[Any]:
    items = json.loads((PROTOCOL / "vectors" / file).read_text(encoding="utf-8"))[key]
    assert items, f"{file} holds no {key}"
    return list(items)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    for name, (file, key) in CASES.items():
        if name in metafunc.fixturenames:
            items = load(file, key)
            ids = [
                str(item.get("name") or i) if isinstance(item, dict) else repr(item)
                for i, item in enumerate(items)
            ]
            metafunc.parametrize(name, items, ids=ids)


def plain(value: Any) -> Any:
    """A vector's value: {"$bin": hex} are samples, {"$float": "nan"} a float."""
    if isinstance(value, dict):
        if "$bin" in value:
            return bytes.fromhex(value["$bin"])
        if "$float" in value:
            return float(value["$float"])
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def _event_of(vector: dict[str, Any]) -> Event:
    fields = {key: plain(value) for key, value in vector.items() if key != "type"}
    if vector["type"] == "request":
        return Request(**fields)
    if vector["type"] == "response":
        error = fields["error"]
        return Response(fields["id"], None if error is None else Fault(**error), fields["result"])
    return Notification(**fields)


@pytest.fixture(scope="session")
def event_of() -> Callable[[dict[str, Any]], Event]:
    return _event_of


@pytest.fixture(scope="session")
def vectors() -> Callable[[str, str], list[Any]]:
    return load


@pytest.fixture(scope="session")
def readme() -> str:
    return (PROTOCOL / "README.md").read_text(encoding="utf-8")
