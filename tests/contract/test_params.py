"""Sections 3 to 5: bad params are invalid_params with the bad member's name, and nothing runs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.replies import expect
from tests.support.seed import unique

pytestmark = pytest.mark.wire

GOOD: dict[str, dict[str, Any]] = {
    "kv.get": {"key": "k"},
    "kv.put": {"key": "k", "value": "v"},
    "kv.append": {"key": "k", "value": "v"},
    "kv.increment": {"key": "k"},
    "kv.delete": {"key": "k"},
    "kv.txn": {"checks": [], "ops": [{"op": "get", "key": "k"}]},
    "kv.list": {},
    "session.open": {},
    "server.info": {},
    "rpc.discover": {},
}
REQUIRED = [(method, name) for method, params in GOOD.items() for name in params if name != "checks"]


def refused(kv, method, params, member):
    """The call is invalid_params, and the error names the member."""
    answer = kv.call(method, **params)
    expect(answer, -32602)
    assert member in json.dumps(answer.error)


@pytest.mark.parametrize("method", GOOD)
def test_an_unknown_param_is_refused(kv, method):
    """An unknown by-name param is invalid_params in every method, and named."""
    refused(kv, method, {**GOOD[method], "bogus": 1}, "bogus")


@pytest.mark.parametrize(("method", "member"), REQUIRED)
def test_a_missing_param_is_refused(kv, method, member):
    """A missing required param is invalid_params, and named."""
    refused(kv, method, {name: value for name, value in GOOD[method].items() if name != member}, member)


@pytest.mark.parametrize(("method", "member"), REQUIRED)
@pytest.mark.parametrize("value", [None, 1, True, {"a": 1}], ids=repr)
def test_a_param_of_another_type_is_refused(kv, method, member, value):
    """A param of another type is invalid_params, and named."""
    refused(kv, method, {**GOOD[method], member: value}, member)


@pytest.mark.parametrize(
    ("method", "member"),
    [
        ("kv.put", "if_version"),
        ("kv.delete", "if_version"),
        ("kv.list", "prefix"),
        ("kv.list", "after"),
        ("kv.list", "limit"),
        ("session.open", "lease_ms"),
    ],
)
@pytest.mark.parametrize("value", [[], {}, 1.5, True], ids=repr)
def test_an_optional_param_of_another_type_is_refused(kv, method, member, value):
    """An optional param of another type is invalid_params, and named."""
    refused(kv, method, {**GOOD[method], member: value}, member)


@pytest.mark.parametrize("op", [{"op": "put", "key": "k"}, {"op": "put", "key": "k", "value": 7}])
def test_a_bad_member_deep_inside_is_named(kv, op):
    """The path of a bad member leads into the ops."""
    refused(kv, "kv.txn", {"checks": [], "ops": [{"op": "get", "key": "k"}, op]}, "value")


def test_a_refused_write_has_no_effect(kv):
    """What is invalid does not run: a put with one param too many leaves nothing."""
    key = unique()
    refused(kv, "kv.put", {"key": key, "value": "x", "bogus": None}, "bogus")
    assert kv.get(key) == (None, 0)
