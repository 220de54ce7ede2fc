"""The profile `bank` as a person uses it: healthy, hardened, and a transfer that is safe to send again after a kill."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import requests

from chaos.runtime.docker import docker
from tests.support.engine import assert_hardened, is_healthy, need_images
from tests.support.waiting import until

PROJECT = f"oncekv-bank-{os.getpid()}"
ENVIRONMENT = {"COMPOSE_PROJECT_NAME": PROJECT, "ONCEKV_ADMIN_PORT": "28475", "ONCEKV_LINK_PORTS": "21004-21004"}
LINK = "http://127.0.0.1:21004"
TOTAL = 3000


def _compose(*words: str) -> str:
    return docker("compose", "--profile", "bank", *words, environment=ENVIRONMENT, timeout_s=240)


@pytest.fixture(scope="module")
def up() -> Iterator[list[str]]:
    """The bank, its database, its client and Toxiproxy; the names of their containers."""
    need_images("bank")
    try:
        _compose("up", "--detach", "--no-build", "--wait", "--wait-timeout", "180", "bank-client")
        yield _compose("ps", "--format", "{{.Name}}").split()
    finally:
        _compose("down", "--volumes", "--timeout", "2")


def _ask(method: str) -> Any:
    call = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {}}
    return requests.post(f"{LINK}/rpc", json=call, timeout=10).json()["result"]


def _transfer(key: str) -> requests.Response:
    order = {"source": "ann", "target": "bob", "amount": 1, "token": key}
    return requests.post(f"{LINK}/transfers", json=order, headers={"Idempotency-Key": key}, timeout=10)


def test_the_client_transfers_through_its_link(up: list[str]) -> None:
    """PostgreSQL, two processes of the bank, a link and a client; whoever follows its lines sees what it was told."""
    assert {name.removeprefix(f"{PROJECT}-") for name in up} == {
        "bank-db-1", "bank-1", "bank-client-1", "toxiproxy-1",
    }  # fmt: skip
    until(lambda: ": ok, " in _compose("logs", "bank-client"), what="a transfer")
    assert docker("top", f"{PROJECT}-bank-1").count("gunicorn") >= 3


def test_no_service_of_the_bank_runs_as_root(up: list[str]) -> None:
    """Non-root, read-only, without capabilities or new privileges; the database is on no network but the bank's."""
    for name in up:
        assert_hardened(name)
    networks = json.loads(docker("inspect", "-f", "{{json .NetworkSettings.Networks}}", f"{PROJECT}-bank-db-1"))
    assert list(networks) == [f"{PROJECT}_bank-data"]


def test_a_killed_bank_answers_the_same_key_with_the_replay(up: list[str]) -> None:
    """SIGKILL to the bank, then to its database, the same request again: the first reply, and one transfer."""
    until(lambda: len(_ask("bank.accounts")["accounts"]) == 3, what="the client has opened its accounts")
    first = _transfer("order-17")
    assert first.status_code == 201
    for name in ("bank", "bank-db"):
        docker("kill", "--signal", "KILL", f"{PROJECT}-{name}-1")
        docker("start", f"{PROJECT}-{name}-1")
        until(partial(is_healthy, f"{PROJECT}-{name}-1"), what=f"{name} is healthy")
        again = until(lambda: _answered("order-17"), what="an answer")
        assert again is not None
        assert again.headers["Idempotent-Replayed"] == "true"
        assert again.json() == first.json()
    assert [row["token"] for row in _ask("bank.ledger")["transfers"]].count("order-17") == 1
    assert sum(_ask("bank.accounts")["accounts"].values()) == TOTAL


def _answered(key: str) -> requests.Response | None:
    """The reply, once there is one that settles the request."""
    try:
        reply = _transfer(key)
    except requests.RequestException:
        return None
    return reply if reply.status_code == 201 else None
