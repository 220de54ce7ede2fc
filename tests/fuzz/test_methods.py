"""Every method of `rpc.discover`, called with what its schema allows and with what it does not: the answer is a result
of the published form, or an error of the registry that the method lists; never a failure of the server's own.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.fuzz.replies import STATUSES, faults
from tests.support.caller import Caller, request
from tests.support.seed import SEED
from tests.support.server import Node

Json = dict[str, Any]
FAILURES = {-32603}
"""What no input may lead to."""
_scalars = (
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
)  # fmt: skip
_junk = st.recursive(
    _scalars,
    lambda them: st.lists(them, max_size=3) | st.dictionaries(st.text(max_size=4), them, max_size=3),
    max_leaves=6,
)
_strings = st.text(max_size=12) | st.sampled_from(["k", "", "\0", "é", "\U0001f600", "k" * 1025])


def _values(schema: Json, document: Json) -> st.SearchStrategy[Any]:
    """Mostly what the schema allows."""
    if "$ref" in schema:
        return _values(document["components"]["schemas"][schema["$ref"].rpartition("/")[2]], document)
    if "anyOf" in schema:
        return st.one_of([_values(one, document) for one in schema["anyOf"]])
    if "enum" in schema or "const" in schema:
        return st.sampled_from(schema.get("enum") or [schema["const"]])
    kinds: dict[str, Callable[[], st.SearchStrategy[Any]]] = {
        "string": lambda: _strings,
        "integer": lambda: st.integers(schema.get("minimum", -(2**63)), schema.get("maximum", 2**63 - 1)) | st.just(1),
        "boolean": st.booleans,
        "null": st.none,
        "array": lambda: st.lists(_values(schema.get("items", {}), document), max_size=4),
        "object": lambda: _objects(schema, document),
    }
    return kinds[schema["type"]]() if schema.get("type") in kinds else _junk


def _objects(schema: Json, document: Json) -> st.SearchStrategy[Json]:
    needed = set(schema.get("required", ()))
    members = {name: _values(one, document) for name, one in schema.get("properties", {}).items()}
    must = {name: one for name, one in members.items() if name in needed}
    return st.fixed_dictionaries(must, optional={n: one for n, one in members.items() if n not in needed})


def _metas(session: str) -> st.SearchStrategy[Any]:
    """Of a session that is open, of none, and nonsense."""
    numbers = st.integers(-1, 5) | st.just(2**63) | st.none()
    names = st.sampled_from([session, session, "unknown", ""])
    fields = {"session": names, "seq": numbers, "acked": numbers, "timeout_ms": st.sampled_from([0, 1, 60_000, None])}
    return st.fixed_dictionaries({}, optional=fields) | _junk


@st.composite
def _params(draw: st.DrawFn, method: Json, document: Json, session: str) -> Any:
    """By name or by position, with a member too many, too few or of another kind now and then."""
    made = {
        one["name"]: draw(_values(one["schema"], document))
        for one in method["params"]
        if one["required"] or draw(st.booleans())
    }
    if made and draw(st.integers(0, 3)) == 0:
        made[draw(st.sampled_from(sorted(made)))] = draw(_junk)
    if draw(st.integers(0, 9)) == 0:
        return draw(_junk)
    if draw(st.integers(0, 4)) == 0:
        return list(made.values())
    if draw(st.integers(0, 9)) == 0:
        made[draw(st.text(max_size=5))] = draw(_junk)
    if draw(st.booleans()):
        made["_meta"] = draw(_metas(session))
    return made


def _check(kv: Caller, document: Json, method: Json, params: Any) -> None:
    reply = kv.send(request(method["name"], params, id=1))
    assert reply.status in STATUSES, reply
    assert faults(reply.json) == []
    if "result" in reply.json:
        schema = {**method["result"]["schema"], "components": document["components"]}
        jsonschema.validate(reply.json["result"], schema)
        return
    code = reply.json["error"]["code"]
    assert code not in FAILURES, reply
    listed = {document["components"]["errors"][it["$ref"].rpartition("/")[2]]["code"] for it in method["errors"]}
    assert code in listed, f"{method['name']} does not list {reply.json}"


def _explore(kv: Caller, document: Json, method: Json, session: str, examples: int) -> None:
    @seed(SEED)
    @settings(
        max_examples=examples, database=None, deadline=None, phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(params=_params(method, document, session))
    def explore(params: Any) -> None:
        _check(kv, document, method, params)

    explore()


@pytest.mark.parametrize("examples", [60, pytest.param(300, marks=pytest.mark.long)])
def test_every_method_answers_as_its_document_says(fresh: Callable[..., Node], examples: int) -> None:
    """Whatever it is asked."""
    kv = fresh().kv
    document = kv.ok("rpc.discover")
    session = kv.ok("session.open", lease_ms=86_400_000)["session"]
    for method in document["methods"]:
        _explore(kv, document, method, session, examples)
    assert kv.fetch("GET", "/readyz").status == 200


def test_what_is_no_answer_is_found() -> None:
    """The judge of answers is not blind."""
    right = {"jsonrpc": "2.0", "id": 1, "error": {"code": 1005, "message": "m", "data": {"name": "expired"}}}
    right["error"]["data"]["definite"] = True  # type: ignore[index]
    assert faults(right) == []
    lies: list[Any] = [
        {**right, "jsonrpc": "1.0"},
        {**right, "result": {}},
        json.loads(json.dumps(right).replace("1005", "1007")),
        json.loads(json.dumps(right).replace("expired", "overloaded")),
        json.loads(json.dumps(right).replace("true", "false")),
        [],
    ]
    for lie in lies:
        assert faults(lie) != []
