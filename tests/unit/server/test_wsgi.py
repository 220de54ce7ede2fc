"""The endpoint as WSGI, by Flask's test client: it refuses what WSGI cannot tell apart."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from oncekv.server.config import Config
from oncekv.server.engine.storage.sqlite import open_store
from oncekv.server.http.app import create_app

APPEND = {"jsonrpc": "2.0", "id": 1, "method": "kv.append", "params": {"key": "k", "value": "x"}}
GET = {"jsonrpc": "2.0", "id": 2, "method": "kv.get", "params": {"key": "k"}}


@pytest.fixture
def client(tmp_path: Path) -> Iterator[FlaskClient]:
    """Flask's test client of an empty store."""
    app = create_app(Config(store_url=f"sqlite:///{tmp_path}/kv.db"), open_store(f"/{tmp_path}/kv.db"))
    yield app.test_client()
    app.extensions["oncekv"].close()


@pytest.mark.parametrize(
    "headers",
    [
        [("Idempotency-Key", "a"), ("Idempotency-Key", "a")],
        [("Idempotency-Key", "a"), ("Idempotency-Key", "")],
        [("Idempotency-Key", ""), ("Idempotency-Key", "a")],
        [("Idempotency-Key", "a"), ("Idempotency_Key", "a")],
        [("Authorization", "Bearer a"), ("Authorization", "Bearer a")],
        [("Host", "a"), ("Host", "b")],
    ],
)
def test_a_header_that_came_twice_is_refused(client: FlaskClient, headers: list[tuple[str, str]]) -> None:
    """WSGI joins two headers to one by a comma: what may have been two is 400, and nothing runs."""
    reply = client.post("/rpc", json=APPEND, headers=headers)
    assert reply.status_code == 400
    assert reply.get_json()["error"]["data"]["definite"] is True
    assert client.post("/rpc", json=GET).get_json()["result"]["version"] == 0


def test_one_header_is_taken(client: FlaskClient) -> None:
    """A key that came once is honoured over WSGI too."""
    for replayed in (None, "true"):
        reply = client.post("/rpc", json=APPEND, headers={"Idempotency-Key": "a"})
        assert reply.headers.get("Idempotent-Replayed") == replayed
    assert client.post("/rpc", json=GET).get_json()["result"]["version"] == 1


@pytest.mark.parametrize(("verb", "path", "status"), [("GET", "/nothing", 404), ("DELETE", "/healthz", 405)])
def test_a_missing_page_is_a_jsonrpc_error(client: FlaskClient, verb: str, path: str, status: int) -> None:
    """Flask's own refusals have the body that those of `/rpc` have."""
    reply = client.open(path, method=verb)
    assert (reply.status_code, reply.content_type) == (status, "application/json")
    assert reply.get_json()["error"]["data"] == {"name": "invalid_request", "definite": True, "http_status": status}
    assert ("Allow" in reply.headers) is (status == 405)


@pytest.mark.parametrize("raised_by", ["a view", "Flask"])
def test_a_page_that_fails_is_an_internal_error(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch, raised_by: str
) -> None:
    """HTTP 500 with a JSON-RPC error that is indefinite: a failure of the server is not taken for a refusal."""
    server = client.application.extensions["oncekv"]

    def fail(*_: object) -> None:
        raise RuntimeError("planted")

    if raised_by == "a view":
        monkeypatch.setattr(server.metrics, "text", fail)
    else:
        monkeypatch.setattr(server, "pages", fail)
    reply = server.page("GET", "/metrics")
    assert reply.status.lower() == "500 internal server error"
    error = json.loads(reply.body)["error"]
    assert (error["code"], error["data"]) == (-32603, {"name": "internal_error", "definite": False})
