"""Sections 2 and 7: with a token file, only callers with one of its tokens are served."""

from __future__ import annotations

import json

import pytest

from tests.support.caller import Caller, request
from tests.support.seed import unique
from tests.support.server import server_on


@pytest.fixture(scope="module")
def url(tmp_path_factory, model):
    """A server with three tokens, one a line, an empty line among them."""
    root = tmp_path_factory.mktemp("tokens")
    tokens = root / "tokens"
    tokens.write_text("first-token\n\nsecond-token\nthird-token")
    with server_on(model, root / "data", ["--token-file", str(tokens)]) as server:
        yield server.url


@pytest.mark.parametrize("token", ["first-token", "second-token", "third-token"])
def test_every_token_of_the_file_is_accepted(url, token):
    """Each line is a token, the last one too when no newline follows it."""
    with Caller(url, token) as kv:
        assert kv.ok("kv.put", key=unique(), value="x") == {"version": 1}


@pytest.mark.parametrize("authorization", [
    None, "", "Bearer", "Bearer ", "Bearer wrong", "Bearer first-toke", "Bearer first-tokenx", "Bearer FIRST-TOKEN",
    "first-token", "Basic first-token", "Bearer first-token second-token", "Bearer first-token, second-token",
    "Bearerfirst-token",
])  # fmt: skip
def test_anything_else_is_401(url, authorization):
    """A missing, empty, wrong or cut token is 401, and nothing runs."""
    key = unique()
    headers = {
        "Content-Type": "application/json",
        **({} if authorization is None else {"Authorization": authorization}),
    }
    body = json.dumps(request("kv.put", {"key": key, "value": "x"}, id=1)).encode()
    with Caller(url) as stranger, Caller(url, "first-token") as kv:
        assert stranger.fetch("POST", "/rpc", body, headers).status == 401
        assert kv.get(key) == (None, 0)


def test_without_a_file_no_token_is_asked_for(kv):
    """Tokens are compared only where some are configured."""
    with Caller(kv.url, "any") as other:
        assert other.ok("kv.put", key=unique(), value="x") == {"version": 1}
