"""Arguments of every method, and what a refusal says."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import Any, get_type_hints

import audiod_protocol
import msgspec
import pytest
from audiod_protocol import Code, FaultError, Par
from audiod_protocol.validate import METHODS, SetparArgs, validate
from hypothesis import given, settings
from hypothesis import strategies as st

ROOM = Path(audiod_protocol.__file__).parent


def test_arguments(argument_case: dict[str, Any]) -> None:
    method, args = argument_case["method"], argument_case["args"]
    if "code" not in argument_case:
        struct = validate(method, args)
        assert type(struct) is METHODS[method].args
        for key, value in (argument_case["ok"] or {}).items():
            assert getattr(struct, key) == value
        return
    with pytest.raises(FaultError) as caught:
        validate(method, args)
    fault = caught.value.fault
    assert fault.code == argument_case["code"]
    assert argument_case["says"] in fault.message
    assert fault.hint and argument_case["hint"] in fault.hint


def test_every_method_has_good_and_bad_vectors(vectors: Any) -> None:
    cases = vectors("arguments.json", "arguments")
    assert {case["method"] for case in cases if "code" not in case} == set(METHODS)
    needs = {name for name, m in METHODS.items() if any(f.required for f in msgspec.structs.fields(m.args))}
    assert needs <= {case["method"] for case in cases if case.get("code") == Code.EINVAL}


def test_setpar_gives_a_par() -> None:
    args = validate("setpar", {"stream": 1, "par": {"enc": "u8", "rate": 8000}})
    assert isinstance(args, SetparArgs)
    assert isinstance(args.par, Par) and str(args.par.enc) == "u8" and args.par.rate == 8000
    assert METHODS["setpar"].args is SetparArgs
    assert get_type_hints(SetparArgs)["par"] is Par


def test_open_says_its_directions() -> None:
    args: Any = validate("open", {"mode": "rec,play"})
    assert str(args.directions) == "play,rec"


def test_structs_are_frozen() -> None:
    args: Any = validate("start", {"stream": 1})
    with pytest.raises(AttributeError):
        args.stream = 2


JSONISH = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)
ARGUMENTS = sorted({f.name for m in METHODS.values() for f in msgspec.structs.fields(m.args)})


@given(
    st.sampled_from(sorted(METHODS)),
    st.dictionaries(st.sampled_from(ARGUMENTS) | st.text(max_size=9), JSONISH),
)
@settings(max_examples=300, deadline=None, derandomize=True)
def test_any_arguments_are_understood_or_refused(method: str, args: dict[str, Any]) -> None:
    try:
        struct = validate(method, args)
    except FaultError as error:
        assert error.fault.code in (Code.EINVAL, Code.EPROTO)
        assert error.fault.message.startswith(
            (method, "par", "mode", "encoding", "xrun", "bits", "no float")
        ) or ("bits do not go" in error.fault.message)
        assert error.fault.hint
        assert len(error.fault.message) < 400
    else:
        assert type(struct) is METHODS[method].args


@given(st.sampled_from(["enc", "bits", "bps", "sig", "le", "msb", "rate", "pchan", "xrun", "zap"]), JSONISH)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_any_par_is_understood_or_refused(key: str, value: Any) -> None:
    try:
        Par.from_wire({key: value})
    except FaultError as error:
        assert error.fault.code == Code.EINVAL


def test_long_names_are_not_repeated_in_full() -> None:
    for args in ({"m" * 60_000: 1}, {"mode": "m" * 60_000}, {"mode": "play", "name": "m" * 60_000}):
        with pytest.raises(FaultError) as caught:
            validate("open", args)
        assert len(str(caught.value)) < 400
    with pytest.raises(FaultError) as caught:
        validate("m" * 60_000, {})
    assert len(caught.value.fault.message) < 400


# ---- the rule of the room: who imports what ----

ALLOWED = {"validate.py": {"msgspec"}, "framing.py": {"msgpack"}}


@pytest.mark.parametrize("path", sorted(ROOM.glob("*.py")), ids=lambda path: path.name)
def test_imports(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    roots = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            roots |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            roots.add((node.module or "").split(".")[0])
    foreign = {root for root in roots if root != "audiod_protocol" and root not in sys.stdlib_module_names}
    assert foreign <= ALLOWED.get(path.name, set())
    assert not roots & {"socket", "threading", "time", "asyncio", "select", "os", "subprocess"}
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


def test_msgspec_is_loaded_by_validate_alone() -> None:
    code = "import sys, audiod_protocol; assert 'msgpack' in sys.modules; sys.exit('msgspec' in sys.modules)"
    path = str(ROOM.parent)
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {path!r}); {code}"], check=False
    )
    assert done.returncode == 0


def test_all_is_exact() -> None:
    names = {name for name in vars(audiod_protocol) if not name.startswith("_")}
    modules = {path.stem for path in (*ROOM.glob("*.py"), *ROOM.glob("*/"))}
    assert names - modules == set(audiod_protocol.__all__)
    assert audiod_protocol.PROTOCOL_VERSION == 1
