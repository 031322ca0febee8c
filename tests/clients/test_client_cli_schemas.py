"""What `--json` prints is as the schemas shipped with the program say."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from clients.audioctl import Cli
from clients.fake_desk import device_row, endpoint_row
from clients.rows import DUCKING, MPV, NEWS, WAITS
from clients.schema import SCHEMAS, problems

ANSWERS = [
    ("status", ["status"]),
    ("channel", ["status", "mpv"]),
    ("devices", ["devices"]),
    ("sndstat", ["devices", "--sndstat"]),
    ("streams", ["streams"]),
    ("ducking", ["ducking"]),
    ("volume", ["volume"]),
    ("volume", ["volume", "7"]),
    ("volume", ["volume", "snd/1/input"]),
    ("set", ["volume", "mpv", "50%"]),
    ("set", ["volume", "!"]),
    ("set", ["mute", "input"]),
    ("default", ["default"]),
    ("default", ["default", "snd/1"]),
    ("move", ["move", "mpv", "snd/rear"]),
    ("config-show", ["config", "show"]),
    ("config-changes", ["config", "check"]),
    ("config-changes", ["config", "diff"]),
    ("config-changes", ["config", "reload"]),
    ("export", ["export", "state"]),
    ("export", ["export", "config"]),
    ("play", ["play", "-q", "a.wav"]),
    ("play", ["record", "-q", "b.wav", "--duration", "0.01"]),
]


def answer(cli: Cli, words: list[str]) -> Any:
    cli.server.desk.devices.append(device_row(1, "null", default=False))
    cli.server.desk.endpoints = [endpoint_row()]
    cli.server.desk.ducking = DUCKING
    cli.server.rows = [{**MPV, "ducking": WAITS}]
    cli.file("a.wav")
    return cli.json(*words, "--json")


@pytest.mark.parametrize(("name", "words"), ANSWERS)
def test_answers(name: str, words: list[str], cli: Cli) -> None:
    assert problems(answer(cli, words), SCHEMAS[name]) == []


@pytest.mark.parametrize(("name", "words"), [("monitor", ["monitor"]), ("events", ["events"])])
def test_lines(name: str, words: list[str], cli: Cli) -> None:
    cli.server.desk.news = NEWS
    done = cli.until_gone(*words, "--json")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == sum(topic == ("controls" if name == "monitor" else "events") for topic, _ in NEWS)
    assert [problem for line in lines for problem in problems(line, SCHEMAS[name])] == []


def test_every_schema_is_used() -> None:
    assert {name for name, _ in ANSWERS} | {"monitor", "events"} == set(SCHEMAS)
    assert len({schema["title"] for schema in SCHEMAS.values()}) == len(SCHEMAS)


def breaches(value: Any, schema: dict[str, Any]) -> Iterator[Any]:
    """Values that differ from `value` in one place where the schema says something."""
    yield object()
    if isinstance(value, dict):
        for key, item in schema.get("properties", {}).items():
            if key in schema["required"]:
                yield {name: value[name] for name in value if name != key}
            if key in value and "type" in item:
                for bad in breaches(value[key], item):
                    yield {**copy.copy(value), key: bad}
    if isinstance(value, list) and value and "type" in schema.get("items", {}):
        yield from ([bad, *value[1:]] for bad in breaches(value[0], schema["items"]))


@pytest.mark.parametrize("name", ["status", "channel", "devices", "streams", "config-show"])
def test_the_schemas_refuse_what_is_missing_or_of_another_type(name: str, cli: Cli) -> None:
    value = answer(cli, next(words for schema, words in ANSWERS if schema == name))
    bad = list(breaches(value, SCHEMAS[name]))
    assert len(bad) > 10
    assert all(problems(each, SCHEMAS[name]) for each in bad)
