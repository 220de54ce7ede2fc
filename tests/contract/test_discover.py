"""Section 3: rpc.discover is the OpenRPC document of all methods, error codes included."""

from __future__ import annotations

import copy

import pytest

from tests.support import openrpc
from tests.support.caller import request
from tests.support.replies import ERRORS

pytestmark = pytest.mark.wire

PARAMS = {
    "kv.get": ["key"],
    "kv.put": ["key", "value", "if_version"],
    "kv.append": ["key", "value"],
    "kv.increment": ["key", "by"],
    "kv.delete": ["key", "if_version"],
    "kv.txn": ["checks", "ops"],
    "kv.list": ["prefix", "limit", "after"],
    "session.open": ["lease_ms"],
    "session.renew": [],
    "session.close": [],
    "server.info": [],
    "rpc.discover": [],
}


@pytest.fixture(scope="module")
def document(kv):
    """The document."""
    return kv.ok("rpc.discover")


def resolve(document, node):
    """Follow one `$ref` within the document."""
    while isinstance(node, dict) and "$ref" in node:
        path, node = node["$ref"], document
        for part in path.removeprefix("#/").split("/"):
            node = node[part.replace("~1", "/").replace("~0", "~")]
    return node


def errors_in(document, node):
    """All error objects anywhere: code -> message."""
    if isinstance(node, list):
        return {code: message for item in node for code, message in errors_in(document, item).items()}
    if not isinstance(node, dict):
        return {}
    found = {node["code"]: node["message"]} if isinstance(node.get("code"), int) and "message" in node else {}
    return found | errors_in(document, list(node.values()))


def test_it_is_an_openrpc_document(document):
    """It has what OpenRPC demands: a version, a title, and methods with name and params."""
    assert document["openrpc"].startswith("1.")
    assert isinstance(document["info"]["title"], str)
    assert isinstance(document["info"]["version"], str)
    assert all(isinstance(method["params"], list) for method in document["methods"])


@pytest.mark.skipif(not openrpc.can_judge(), reason="NO NPM: rpc.discover is not judged by the OpenRPC meta-schema")
def test_the_meta_schema_has_nothing_against_it(armed):
    """It is valid by OpenRPC's own schema, the methods of failpoints included, and every reference leads somewhere."""
    document = armed.kv.ok("rpc.discover")
    assert openrpc.faults(document) == []
    assert all(resolve(document, {"$ref": target}) is not None for target in references(document))


def references(node):
    """The target of every `$ref` anywhere."""
    if isinstance(node, list):
        return [target for item in node for target in references(item)]
    if not isinstance(node, dict):
        return []
    own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
    return own + references(list(node.values()))


@pytest.mark.skipif(not openrpc.can_judge(), reason="NO NPM: the OpenRPC meta-schema is not here")
@pytest.mark.parametrize(
    "spoil",
    [
        lambda document: document["methods"][0].pop("params"),
        lambda document: document["methods"][0].update(kind="write"),
        lambda document: document["components"]["schemas"]["Row"].update(type="text"),
        lambda document: document["components"]["errors"]["expired"].pop("code"),
    ],
    ids=["a method without params", "a member of our own", "a type that JSON lacks", "an error without a code"],
)
def test_the_meta_schema_would_tell(document, spoil):
    """The known-bad twins: a document with one thing wrong does not pass."""
    spoilt = copy.deepcopy(document)
    spoil(spoilt)
    assert openrpc.faults(spoilt)


def test_every_method_is_listed_with_its_params(document):
    """All methods of the table stand in it, with their params in by-position order, and no others."""
    listed = {
        method["name"]: [resolve(document, param)["name"] for param in method["params"]]
        for method in document["methods"]
    }
    assert {name: [param for param in params if param != "_meta"] for name, params in listed.items()} == PARAMS


def test_required_params_are_marked(document):
    """What has no default is marked as required, and what has one is not."""
    required = {}
    for method in document["methods"]:
        params = [resolve(document, param) for param in method["params"]]
        required[method["name"]] = {param["name"] for param in params if param.get("required")}
    assert required["kv.put"] == {"key", "value"}
    assert required["kv.increment"] == {"key"}
    assert required["kv.list"] == required["session.open"] == set()


def test_every_error_code_is_listed(document):
    """Every code of section 5 stands in it."""
    assert errors_in(document, document).keys() >= ERRORS.keys()


def test_every_method_listed_exists(kv, document):
    """A method that is listed is not method_not_found."""
    for method in document["methods"]:
        assert kv.send(request(method["name"], [None] * 9, id=1)).answer.code == -32602
