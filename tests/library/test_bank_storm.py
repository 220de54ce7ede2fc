"""A storm at the bank: clients retry and send twice, while its workers, and all of it, are killed and started again."""

from __future__ import annotations

import collections
import json
import random
import threading
import time
from typing import Any

import pytest

import oncerpc
from oncerpc import Failed, Ok
from tests.support.caller import LOST, Caller
from tests.support.seed import SEED
from tests.support.waiting import at_once, until
from tests.support.wsgi_server import WsgiServer

ACCOUNTS = [f"account{number}" for number in range(6)]
START = 300
KILLS = 20
CLIENTS = 8  # half of them by key, half by session
SEEDS = [SEED, *(pytest.param(SEED + number, marks=pytest.mark.long) for number in range(1, 6))]


class Told:
    """What the clients were told of each transfer, by its token."""

    def __init__(self) -> None:
        self.ok: list[tuple[str, dict[str, Any]]] = []
        self.no: list[str] = []
        self.marked = 0
        self.lost = 0

    @property
    def count(self) -> int:
        return len(self.ok) + len(self.no)


def order_of(rng, token):
    """A transfer; some are more than there is."""
    source, target = rng.sample(ACCOUNTS, 2)
    return {"source": source, "target": target, "amount": rng.choice([1, 5, 20, 5000]), "token": token}


def by_key(url, number, seed, told, over):
    """A plain HTTP client: the same request until a reply comes, at times twice at once, or again after the reply."""
    rng = random.Random(f"{seed}/{number}")
    turn = 0
    while not over.is_set():
        turn += 1
        token = f"key-{number}-{turn}"
        body = json.dumps(order_of(rng, token)).encode()
        headers = {"Content-Type": "application/json", "Idempotency-Key": f'"{token}"'}

        def send(body=body, headers=headers):
            with Caller(url, timeout_s=20) as caller:
                return caller.fetch("POST", "/transfers", body, headers)

        twice = rng.random() < 0.3
        replies: list[Any] = []
        while not replies:
            got = at_once([lambda: attempt(send)] * 2, 60) if twice else [attempt(send)]
            told.lost += got.count(None)
            replies = [reply for reply in got if reply is not None and is_reply_of_the_bank(reply)]
            if not replies:
                time.sleep(0.1)
        if rng.random() < 0.2 and (late := attempt(send)) is not None and is_reply_of_the_bank(late):
            assert late.headers.get("Idempotent-Replayed") == "true", "a late duplicate ran again"
            replies.append(late)
        assert len({(reply.status, reply.body) for reply in replies}) == 1, replies
        told.marked += sum(reply.headers.get("Idempotent-Replayed") == "true" for reply in replies)
        if replies[0].status == 201:
            told.ok.append((token, replies[0].json))
        else:
            told.no.append(token)


def attempt(send):
    """One attempt; None without a reply."""
    try:
        return send()
    except LOST:
        return None


def is_reply_of_the_bank(reply) -> bool:
    """Whether it is a reply of the view; refusals of the library that may be retried are not."""
    if reply.status in (500, 503) or (
        reply.status == 409 and reply.headers["Content-Type"] == "application/problem+json"
    ):
        return False
    assert reply.status in (201, 409), (reply.status, reply.body)
    return True


def by_session(url, number, seed, told, over):
    """OnceRPC's own client, and at times a stranger that sends the same call a second time."""
    rng = random.Random(f"{seed}/{number}")
    turn = 0
    with oncerpc.connect(url, timeout_s=60) as bank:
        while not over.is_set():
            turn += 1
            token = f"session-{number}-{turn}"
            outcome = bank.outcome("bank.transfer", order_of(rng, token))
            told.lost += len(outcome.attempts) - 1
            if isinstance(outcome, Ok):
                told.marked += outcome.replayed
                told.ok.append((token, outcome.result))
            else:
                assert isinstance(outcome, Failed), outcome
                assert outcome.error.code == 2001, outcome
                told.no.append(token)


def by_hand(url, number, seed, told, over):
    """A session spelt by hand: calls are sent again until a reply comes; duplicates come late, after an ack too."""
    rng = random.Random(f"{seed}/{number}")

    def call(method, **params):
        while True:
            with Caller(url, timeout_s=20) as caller:
                got = attempt(lambda: caller.call(method, **params))
            if got is not None and got.code not in (11, -32603):
                return got
            told.lost += 1
            time.sleep(0.1)

    session = call("session.open").ok["session"]
    seq = 0
    while not over.is_set():
        seq += 1
        token = f"hand-{number}-{seq}"
        order = order_of(rng, token)
        meta = {"session": session, "seq": seq, "acked": max(0, seq - 3)}
        send = [lambda order=order, meta=meta: call("bank.transfer", **order, _meta=meta)]
        answers = at_once(send * rng.choice([1, 1, 2]), 60)
        assert len({json.dumps(answer.bare, sort_keys=True) for answer in answers}) == 1
        told.marked += sum(answer.replayed for answer in answers)
        if answers[0].error is None:
            told.ok.append((token, answers[0].bare["result"]))
        else:
            assert answers[0].code == 2001, answers[0].error
            told.no.append(token)
        if seq > 4 and rng.random() < 0.3:
            late = call("bank.transfer", **order_of(rng, "stale"), _meta={"session": session, "seq": seq - 4})
            assert late.code == 1003, late


@pytest.mark.parametrize("seed", SEEDS)
def test_a_storm_at_the_bank(place, tmp_path, seed):
    """Every transfer that was told ok is there once, none twice, no definite failure is, no money is lost or made."""
    environment = {"BANK_DATABASE": place.url}
    told, over, rng = Told(), threading.Event(), random.Random(seed)
    with WsgiServer("gunicorn", "bank.app", environment, tmp_path / "log", workers=2, preloads=False) as server:
        with Caller(server.url) as caller:
            for name in ACCOUNTS:
                caller.keyed(name, "bank.open", name=name, balance=START)
        kinds = [by_key, by_session, by_key, by_hand]
        failures: list[BaseException] = []

        def client(number):
            try:
                kinds[number % len(kinds)](server.url, number, seed, told, over)
            except BaseException as error:
                failures.append(error)
                over.set()

        clients = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
        for thread in clients:
            thread.start()
        for kill in range(KILLS):
            if over.wait(rng.uniform(0.2, 0.8)):
                break
            if kill % 7 == 6:
                server.kill()
                server.start()
            else:
                server.kill_worker(rng.randrange(2))
        until(lambda: told.count >= KILLS * 2 or failures, what="a storm's worth of transfers")
        over.set()
        for thread in clients:
            thread.join(60)
            assert not thread.is_alive()
        assert not failures, failures
    made = collections.Counter(token for (token,) in place.run("SELECT token FROM transfer"))
    numbers = {token: number for number, token in place.run("SELECT id, token FROM transfer")}
    assert [token for token, times in made.items() if times > 1] == [], "done twice"
    assert [token for token, _ in told.ok if token not in made] == [], "told ok, and not there"
    assert [token for token, reply in told.ok if numbers[token] != reply["transfer"]] == [], "told another's number"
    assert [token for token in told.no if token in made] == [], "told no, and there"
    assert set(made) == {token for token, _ in told.ok}, "there, and nobody was told"
    assert place.run("SELECT sum(balance) FROM account") == [(START * len(ACCOUNTS),)]
    assert place.run("SELECT count(*) FROM letter") == [(len(made),)]
    balances = collections.Counter(dict.fromkeys(ACCOUNTS, START))
    for source, target, amount in place.run("SELECT source, target, amount FROM transfer"):
        balances[source] -= amount
        balances[target] += amount
    assert dict(place.run("SELECT name, balance FROM account")) == dict(balances)
    print(f"{told.count} transfers, {len(told.no)} refused, {told.lost} replies lost, {told.marked} replays")
    assert told.lost, "no reply was lost: not much of a storm"
    assert told.marked, "nothing was replayed: not much of a storm"
