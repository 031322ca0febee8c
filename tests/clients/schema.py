"""The subset of JSON Schema that the command line's schemas use; a keyword outside of it is an error."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import audiod_client.cli

FOLDER = Path(audiod_client.cli.__file__).parent / "schemas"
SCHEMAS = {path.stem: json.loads(path.read_text()) for path in FOLDER.glob("*.json")}
TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}
WORDS = {
    *("$schema", "title", "description", "type", "enum", "minimum", "maximum"),
    *("properties", "required", "items"),
}


def is_type(value: object, name: str) -> bool:
    return isinstance(value, TYPES[name]) and (name == "boolean" or not isinstance(value, bool))


def problems(value: Any, schema: dict[str, Any], where: str = "$") -> list[str]:
    """What is wrong with a value; empty if it is as the schema says."""
    assert schema.keys() <= WORDS, f"{where}: {schema.keys() - WORDS} is not known here"
    types = schema.get("type", list(TYPES))
    if not any(is_type(value, name) for name in ([types] if isinstance(types, str) else types)):
        return [f"{where}: {value!r} is no {types}"]
    found = []
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{where}: {value!r} is none of {schema['enum']}")
    if "minimum" in schema and value < schema["minimum"]:
        found.append(f"{where}: {value} is too small")
    if "maximum" in schema and value > schema["maximum"]:
        found.append(f"{where}: {value} is too large")
    if isinstance(value, list):
        for place, item in enumerate(value):
            found += problems(item, schema.get("items", {}), f"{where}[{place}]")
    if isinstance(value, dict):
        found += [f"{where}: {key} is missing" for key in schema.get("required", []) if key not in value]
        for key, item in schema.get("properties", {}).items():
            if key in value:
                found += problems(value[key], item, f"{where}.{key}")
    return found
