"""The profiles `postgres` and `etcd`: any one container of a store is killed, and any two servers; each call runs once.

A client of the profile works all the while, and its tokens are judged at the end; beside it, orders go in through a
person's own links, each under an Idempotency-Key, and are sent again after every kill.
"""

from __future__ import annotations

import itertools
import json
import os
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import requests

from chaos.runtime.docker import docker
from oncekv.client import connect
from tests.support.caller import request
from tests.support.engine import assert_hardened, is_healthy, need_images
from tests.support.waiting import in_background, until

TOOK_MAX_S = 60
ATTEMPT_MAX_S = 3
TOLD_OK = re.compile(r"^\S*\s*\| (?P<token>[a-z]1-\d+) kv\.append .*: ok, ", re.MULTILINE)


class Stack:
    """One profile, up: three servers on one store, its client, and your links on 127.0.0.1. other: services beside."""

    def __init__(self, profile: str, prefix: str, first_port: int, *other: str) -> None:
        self._profile, self.client, self.other = profile, f"{prefix}-client", other
        self.project = f"oncekv-{profile}-{os.getpid()}"
        self._environment = {
            "COMPOSE_PROJECT_NAME": self.project,
            "ONCEKV_ADMIN_PORT": "28476",
            "ONCEKV_LINK_PORTS": f"{first_port}-{first_port + 3}",
            "ONCEKV_CLIENT_OPTIONS": "--pace-ms 200",
        }
        self.servers = [f"{prefix}-kv-{number}" for number in (1, 2, 3)]
        self.links = dict(zip(self.servers, [f"http://127.0.0.1:{first_port + n}" for n in range(3)], strict=True))
        self.attempts = 0
        self._orders: dict[str, object] = {}
        self._numbers = itertools.count(1)

    def compose(self, *words: str) -> str:
        return docker("compose", "--profile", self._profile, *words, environment=self._environment, timeout_s=240)

    def container(self, service: str) -> str:
        return f"{self.project}-{service}-1"

    def kill(self, *services: str) -> None:
        for service in services:
            docker("kill", "--signal", "KILL", self.container(service))

    def start(self, *services: str) -> None:
        for service in services:
            docker("start", self.container(service))
        for service in services:
            until(partial(is_healthy, self.container(service)), timeout_s=TOOK_MAX_S, what=f"{service} is healthy")

    def order(self, server: str) -> str:
        """A new order, sent again until that server has settled it; its key."""
        key = f"order-{next(self._numbers)}"
        reply = until(lambda: self._send(key, server), timeout_s=TOOK_MAX_S, what=f"an answer of {server} to {key}")
        assert reply is not None
        self._orders[key] = _without_meta(reply)
        return key

    def expect_replay(self, key: str, server: str) -> None:
        """The same order at that server: what it was answered first, marked as a replay."""
        reply = until(lambda: self._send(key, server), timeout_s=TOOK_MAX_S, what=f"an answer of {server} to {key}")
        assert reply is not None
        assert reply.headers.get("Idempotent-Replayed") == "true"
        assert _without_meta(reply) == self._orders[key]

    def _send(self, key: str, server: str) -> requests.Response | None:
        """The reply, if there is one and it settles the order."""
        self.attempts += 1
        call = request("kv.append", {"key": "orders", "value": f"{key};"}, id=1)
        try:
            url, headers = f"{self.links[server]}/rpc", {"Idempotency-Key": key}
            reply = requests.post(url, json=call, headers=headers, timeout=ATTEMPT_MAX_S)
        except requests.RequestException:
            return None
        return reply if reply.ok and "result" in reply.json() else None

    def expect_client_goes_on(self) -> None:
        """It is told of further calls."""
        before = len(self._told())
        until(lambda: len(self._told()) > before, timeout_s=TOOK_MAX_S, what="a further call of the client")

    def _told(self) -> set[str]:
        return set(TOLD_OK.findall(self.compose("logs", "--no-color", self.client)))

    def judge(self) -> None:
        """Each token that somebody was told of stands in the store exactly once, and no other one twice."""
        self.compose("stop", self.client)
        told = self._told() | set(self._orders)
        with connect(list(self.links.values())) as kv:
            kept = Counter(
                token
                for item in [*kv.list("log/").items, *kv.list("orders").items]
                for token in (kv.get(item.key).value or "").split(";")
                if token
            )
        assert told - set(kept) == set(), "lost"
        assert [token for token, count in kept.items() if count > 1] == [], "doubled"
        assert len(told) > len(self._orders) > 0


def _without_meta(reply: requests.Response) -> object:
    return {name: value for name, value in reply.json()["result"].items() if name != "_meta"}


def _transfer(key: str) -> requests.Response | None:
    """At the bank that is on the store's PostgreSQL; None without an answer that settles it."""
    try:
        with requests.Session() as http:
            for name in ("ann", "bob"):
                opened = request("bank.open", {"name": name, "balance": 1000}, id=1)
                http.post("http://127.0.0.1:21014/rpc", json=opened, timeout=ATTEMPT_MAX_S)
            order = {"source": "ann", "target": "bob", "amount": 1, "token": key}
            headers = {"Idempotency-Key": key}
            done = http.post("http://127.0.0.1:21014/transfers", json=order, headers=headers, timeout=ATTEMPT_MAX_S)
    except requests.RequestException:
        return None
    return done if done.status_code == 201 else None


@contextmanager
def _up(profile: str, prefix: str, first_port: int, *other: str) -> Iterator[Stack]:
    need_images(profile)
    stack = Stack(profile, prefix, first_port, *other)
    try:
        stack.compose("up", "--detach", "--no-build", "--wait", "--wait-timeout", "180", stack.client, *other)
        yield stack
    finally:
        stack.compose("down", "--volumes", "--timeout", "2")


def _expect_hardened(stack: Stack, store: set[str]) -> None:
    """Every container; and the store is on no network but its own, where no server and no client is."""
    names = stack.compose("ps", "--format", "{{.Service}}").split()
    assert set(names) == {*stack.servers, *store, stack.client, "toxiproxy", *stack.other}
    for name in names:
        assert_hardened(stack.container(name))
        networks = json.loads(docker("inspect", "-f", "{{json .NetworkSettings.Networks}}", stack.container(name)))
        own = "stores" if name in store else "clients" if name == stack.client else "servers"
        assert name == "toxiproxy" or list(networks) == [f"{stack.project}_{own}"]


def _expect_the_third_server_goes_on(stack: Stack) -> None:
    """Any two servers die: what was settled at one of them is replayed at the one that is left, and it takes more."""
    first, second, third = stack.servers
    dead: tuple[str, ...] = ()
    for next_dead, left in (((first, second), third), ((second, third), first)):
        stack.start(*dead)
        dead = next_dead
        key = stack.order(dead[0])
        stack.kill(*dead)
        stack.expect_replay(key, left)
        stack.order(left)
        stack.expect_client_goes_on()


def test_etcd_goes_on_without_any_one_member_and_any_two_servers() -> None:
    """SIGKILL to each member, then to two servers: calls go on, orders are replayed, nothing is lost or doubled."""
    members = [f"etcd-{number}" for number in (1, 2, 3)]
    with _up("etcd", "etcd", 21021) as stack:
        _expect_hardened(stack, set(members))
        one, two, three = stack.servers
        for member in members:
            key = stack.order(one)
            stack.kill(member)
            stack.expect_replay(key, two)
            stack.order(three)
            stack.expect_client_goes_on()
            stack.start(member)
        _expect_the_third_server_goes_on(stack)
        stack.judge()


def _expect_writes_wait_for_the_standby(stack: Stack) -> None:
    """Without it a write waits, and is not lost."""
    one, two, three = stack.servers
    before = stack.order(one)
    stack.kill("pg-2")
    attempts = stack.attempts
    waiting = in_background(lambda: stack.order(one))
    until(lambda: stack.attempts >= attempts + 2, timeout_s=TOOK_MAX_S, what="an attempt is given up")
    assert not waiting.done()
    stack.start("pg-2")
    stack.expect_replay(waiting.result(TOOK_MAX_S), two)
    stack.expect_replay(before, three)
    stack.expect_client_goes_on()


def test_postgresql_waits_for_its_standby_and_goes_on_where_that_is_promoted() -> None:
    """Without its primary, calls go on once the standby is promoted: those of the servers, and those of the bank."""
    with _up("postgres", "pg", 21011, "pg-bank") as stack:
        _expect_hardened(stack, {"pg-1", "pg-2"})
        one, two, three = stack.servers
        until(lambda: _transfer("paid-before"), timeout_s=TOOK_MAX_S, what="the bank's first transfer")
        _expect_writes_wait_for_the_standby(stack)

        before = stack.order(two)
        stack.kill("pg-1")
        stack.compose("exec", "pg-2", "psql", "--username", "oncekv", "--command", "SELECT pg_promote()", "oncekv")
        stack.expect_replay(before, three)
        stack.order(one)
        stack.expect_client_goes_on()
        again = until(lambda: _transfer("paid-before"), timeout_s=TOOK_MAX_S, what="an answer of the bank")
        assert again is not None
        assert again.headers["Idempotent-Replayed"] == "true"
        until(lambda: _transfer("paid-after"), timeout_s=TOOK_MAX_S, what="a further transfer")

        _expect_the_third_server_goes_on(stack)
        stack.judge()
