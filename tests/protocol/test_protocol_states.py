"""The table of a stream's life, and the specification's pictures of it and of all other tables."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import audiod_protocol.limits
import msgspec
import pytest
from audiod_protocol import NOTIFICATIONS, Act, Code, Connection, FaultError, State, allowed
from audiod_protocol.errors import _BREACHES
from audiod_protocol.states import REFUSALS, TRANSITIONS, advance, render_mermaid, render_table
from audiod_protocol.validate import METHODS

SERVER = {Act.MOVE, Act.ANSWER, Act.DIE}


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("act", list(Act))
def test_every_pair_is_decided(state: State, act: Act) -> None:
    if (state, act) in TRANSITIONS:
        assert advance(state, act) is TRANSITIONS[state, act]
        assert allowed(state, act) and (state, act) not in REFUSALS
    elif act in SERVER:
        with pytest.raises(ValueError, match="cannot"):
            advance(state, act)
        assert not allowed(state, act)
    else:
        with pytest.raises(FaultError) as caught:
            advance(state, act, 12)
        fault = caught.value.fault
        assert fault.code == REFUSALS[state, act][0]
        assert fault.message.startswith(f"{act}: stream 12 ") and fault.hint
        with pytest.raises(FaultError, match=f"{act}: the stream "):
            advance(state, act)


@pytest.mark.parametrize(
    ("acts", "states"),
    [
        (
            "open setpar start write move write stop answer",
            "ready ready priming priming running running draining ready",
        ),
        ("open start stop answer start", "ready priming draining ready priming"),
        ("open start move flush answer close answer", "ready priming running draining ready closing closed"),
        ("open start move stop stop flush answer", "ready priming running draining draining draining ready"),
        ("open start move close answer open", "ready priming running closing closed ready"),
        ("open start stop close answer", "ready priming draining closing closed"),
        ("open start move die write close open", "ready priming running dead dead closed ready"),
        ("open die close", "ready dead closed"),
        (
            "open start setvol getpar getcap move setvol",
            "ready priming priming priming priming running running",
        ),
        ("open start close die answer", "ready priming closing closing closed"),
    ],
)
def test_lives(acts: str, states: str) -> None:
    state, seen = State.CLOSED, []
    for act in acts.split():
        state = advance(state, Act(act))
        seen.append(str(state))
    assert seen == states.split()


@pytest.mark.parametrize(
    ("state", "act", "code"),
    [
        (State.CLOSED, Act.START, Code.EBADF),
        (State.CLOSED, Act.CLOSE, Code.EBADF),
        (State.READY, Act.STOP, Code.EINVAL),
        (State.READY, Act.FLUSH, Code.EINVAL),
        (State.RUNNING, Act.START, Code.EBUSY),
        (State.PRIMING, Act.SETPAR, Code.EBUSY),
        (State.DRAINING, Act.SETPAR, Code.EBUSY),
        (State.DRAINING, Act.START, Code.EBUSY),
        (State.CLOSING, Act.CLOSE, Code.EBADF),
        (State.DEAD, Act.GETPAR, Code.EPIPE),
    ],
)
def test_refusals(state: State, act: Act, code: Code) -> None:
    assert REFUSALS[state, act][0] is code


def test_every_state_can_be_reached_and_left() -> None:
    for state in State:
        assert any(new is state and old is not state for (old, _), new in TRANSITIONS.items())
        assert any(old is state and new is not state for (old, _), new in TRANSITIONS.items())


# ---- README.md says what the code does ----


def part(readme: str, name: str) -> str:
    found = re.search(rf"<!-- {name} -->\n(.*?)<!-- /{name} -->", readme, re.DOTALL)
    assert found, f"README.md has no part {name}"
    return found[1]


def test_readme_diagram_and_table(readme: str) -> None:
    assert part(readme, "states diagram") == f"```mermaid\n{render_mermaid()}```\n"
    assert part(readme, "states table") == render_table()


def rows(table: str) -> dict[str, list[str]]:
    lines = [line for line in table.splitlines() if line.startswith("|")][2:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {row[0].strip("`"): row[1:] for row in cells}


def test_readme_limits(readme: str) -> None:
    table = rows(part(readme, "limits"))
    values = {name: value for name, value in vars(audiod_protocol.limits).items() if name.isupper()}
    assert {name: int(row[0].replace(",", "")) for name, row in table.items()} == values
    assert all(len(row[1]) > 20 for row in table.values()), "each has its reason"


def test_readme_methods(readme: str) -> None:
    for name, method in METHODS.items():
        found = re.search(rf"^### {re.escape(name)}\n(.*?)(?=^##)", readme, re.MULTILINE | re.DOTALL)
        assert found, f"README.md does not explain {name}"
        fields = msgspec.structs.fields(method.args)
        signature = "{" + ", ".join(f.name + ("" if f.required else "?") for f in fields) + "}"
        result = "{" + ", ".join(method.result) + "}"
        assert f"`{signature}` → `{result}`" in found[1], name
        errors = ", ".join(f"`{code}`" for code in method.errors) or "none of its own"
        assert f"Refused with: {errors}." in found[1], name
        for f in fields:
            assert f.name in ("stream", "handle") or f"`{f.name}`" in found[1].split("Refused with")[0], (
                name,
                f.name,
            )
    headings = set(re.findall(r"^### ([a-z._]+)$", readme, re.MULTILINE))
    assert headings == set(METHODS) | set(NOTIFICATIONS)


def test_readme_notifications(readme: str) -> None:
    for name, note in NOTIFICATIONS.items():
        found = re.search(rf"^### {name}\n(.*?)(?=^##)", readme, re.MULTILINE | re.DOTALL)
        assert found, f"README.md does not explain {name}"
        way = "client → server" if note.to_server else "server → client"
        assert f"`{note}`, {way}." in found[1]


def test_readme_codes_and_breaches(readme: str) -> None:
    assert set(rows(part(readme, "codes"))) == {str(code) for code in Code}
    table = rows(part(readme, "breaches"))
    assert {message for message, _ in _BREACHES.values()} <= {row.strip("`") for row in table}


def test_readme_session_is_the_vector(readme: str, vectors: Callable[[str, str], list[Any]]) -> None:
    session = next(s for s in vectors("sessions.json", "sessions") if s["name"] == "play")
    lines = [line for line in part(readme, "session").splitlines() if line[:2] in ("C ", "S ")]
    assert len(lines) == len(session["steps"])
    for line, step in zip(lines, session["steps"], strict=True):
        who, hexes, more = re.fullmatch(r"([CS]) ([0-9a-f ]+?)(?: … \+ (\d+) bytes)?", line).groups()  # type: ignore[union-attr]
        head = bytes.fromhex(hexes)
        assert who == step["from"][0].upper()
        whole = bytes.fromhex(step["hex"])
        assert whole.startswith(head)
        assert len(whole) == len(head) + int(more or 0), line


def test_readme_examples_are_messages(readme: str) -> None:
    found = re.findall(r"^    ([0-9a-f ]{8,})$", readme, re.MULTILINE)
    assert len(found) >= 4
    for hexed in found:
        data = bytes.fromhex(hexed)
        role = "server" if data[1] in (0,) or b"write" in data else "client"
        wire = Connection(role)
        if data[1] == 1:
            wire._waiting[data[2]] = "open"
        wire.decode(data)


def test_vectors_are_json_with_an_about(readme: str) -> None:
    from pathlib import Path

    import audiod_protocol

    folder = Path(audiod_protocol.__file__).parents[1] / "vectors"
    files = sorted(folder.glob("*.json"))
    assert len(files) == 7
    sndio = (folder.parent / "SNDIO.md").read_text(encoding="utf-8")
    for file in files:
        assert json.loads(file.read_text(encoding="utf-8"))["about"]
        assert f"`vectors/{file.name}`" in (sndio if file.stem == "sndio" else readme)
