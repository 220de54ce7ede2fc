"""Attempts at the same moment, in threads of one process; several processes are in `test_real_servers`."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from tests.support.shop import INSERT, Reply, Shop

THREADS = 8
PAIRS = (("a", "b"), ("b", "a"))


def at_once(calls: Sequence[Callable[[], Any]]) -> list[Any]:
    """All of them, from a common start."""
    start = threading.Barrier(len(calls))

    def run(call: Callable[[], Any]) -> Any:
        start.wait(30)
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result(60) for future in [pool.submit(run, call) for call in calls]]


class Slow:
    """A view that waits until it is let go, and counts how often it has begun."""

    def __init__(self, shop: Shop) -> None:
        self.begun, self.go = threading.Semaphore(0), threading.Event()
        self.status = 200
        self.runs = 0
        self._shop = shop

    def __call__(self) -> tuple[str, int]:
        self._shop.sell("tea")
        self.runs += 1
        self.begun.release()
        assert self.go.wait(30)
        return "sold", self.status


def test_of_many_at_once_one_runs_and_the_others_get_its_reply(shop: Shop) -> None:
    """For each key one unmarked reply; keys do not disturb each other."""
    shop.view(lambda: (shop.sell("tea"), {"at": time.time()})[1])
    keys = [f"k{n % 3}" for n in range(THREADS * 3)]
    replies: list[Reply] = at_once([partial(shop.post, key) for key in keys])
    assert {reply.status for reply in replies} == {200}
    for key in set(keys):
        mine = [reply for reply, asked in zip(replies, keys, strict=True) if asked == key]
        assert [reply.replayed for reply in mine].count(False) == 1
        assert len({str(reply.body) for reply in mine}) == 1
    assert shop.sold() == ["tea"] * 3


def test_of_many_calls_of_a_session_at_once_each_runs_once(shop: Shop) -> None:
    """Two attempts each, with acknowledgements that overtake them."""

    @shop.once.method("shop.order")
    def order(tx, thing: str) -> dict[str, str]:
        tx.execute(INSERT, {"thing": thing})
        return {"thing": thing}

    session = shop.session()
    shop.call("shop.order", ["0"], key="other")
    calls = [
        partial(shop.call, "shop.order", {"thing": str(n)}, session=session, seq=n, acked=acked)
        for n in range(1, 9)
        for acked in (0, max(0, n - 4))
    ]
    replies = at_once(calls)
    ran = {reply["thing"] for reply in replies if "thing" in reply and "_meta" not in reply}
    for reply in replies:  # what is acknowledged before it has run is refused for ever
        assert reply.get("thing") in ran or reply["data"]["name"] == "stale_call", reply
    assert sorted(shop.sold()) == sorted(["0", *ran])
    assert {"5", "6", "7", "8"} <= ran


def test_a_duplicate_waits_for_the_one_that_runs(shop: Shop) -> None:
    """And is answered from its record, without having begun itself."""
    slow = Slow(shop)
    shop.view(slow)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(shop.post)
        assert slow.begun.acquire(timeout=30)
        second = pool.submit(shop.post)
        time.sleep(0.3)
        assert not second.done()
        slow.go.set()
        assert first.result(30) == (200, "sold", False)
        assert second.result(30) == (200, "sold", True)
    assert slow.runs == 1
    assert 'oncekv_waits_total{method="POST /buy"}' in shop.app.test_client().get("/metrics").text


@pytest.mark.parametrize("failure", ["500", "exception"])
def test_where_the_first_fails_the_next_that_waits_runs(shop: Shop, failure: str) -> None:
    """Nothing of the first stays, and nothing is recorded."""
    slow = Slow(shop)

    def view() -> tuple[str, int]:
        is_first = slow.runs == 0
        reply = slow()
        if is_first and failure == "exception":
            raise OSError
        return ("failed", 500) if is_first else reply

    shop.view(view)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(shop.post)
        assert slow.begun.acquire(timeout=30)
        second = pool.submit(shop.post)
        time.sleep(0.2)
        slow.go.set()
        assert first.result(30).status == 500
        assert second.result(30) == (200, "sold", False)
    assert slow.runs == 2
    assert shop.sold() == ["tea"]


def test_a_duplicate_waits_no_longer_than_it_was_told(new_shop: Callable[..., Shop]) -> None:
    """Then 409 with Retry-After; the first is not disturbed, and a later attempt gets its reply."""
    shop = new_shop(wait_max_s=0.5)
    slow = Slow(shop)
    shop.view(slow)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(shop.post)
        assert slow.begun.acquire(timeout=30)
        refused = shop.response()
        assert refused.status_code == 409
        assert refused.mimetype == "application/problem+json"
        assert int(refused.headers["Retry-After"]) >= 1
        slow.go.set()
        assert first.result(30).status == 200
    assert shop.post().replayed


def test_a_duplicate_may_be_refused_at_once(new_shop: Callable[..., Shop]) -> None:
    """on_duplicate="refuse": 409 while the first runs; with SQLite that holds within a process."""
    shop = new_shop(on_duplicate="refuse")
    slow = Slow(shop)
    shop.view(slow)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(shop.post)
        assert slow.begun.acquire(timeout=30)
        began_s = time.monotonic()
        refused = shop.post()
        assert refused.status == 409
        assert time.monotonic() - began_s < 5
        slow.go.set()
        assert first.result(30).status == 200
    assert shop.post().replayed
    assert slow.runs == 1


def test_other_keys_do_not_wait_on_postgresql(new_shop: Callable[..., Shop], database: str) -> None:
    """While one request runs, another with another key runs beside it; SQLite has one writer."""
    if database.startswith("sqlite"):
        return
    shop = new_shop()
    slow = Slow(shop)
    shop.view(slow)
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(shop.post, key) for key in ("a", "b")]
        assert slow.begun.acquire(timeout=30)
        assert slow.begun.acquire(timeout=30)
        slow.go.set()
        assert [one.result(30).replayed for one in both] == [False, False]


@pytest.mark.parametrize("isolation", ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
def test_what_the_database_gives_up_is_run_again(database: str, isolation: str) -> None:
    """Deadlocks and serialization failures: the whole handler in a new transaction; each call has one effect."""
    is_sqlite = database.startswith("sqlite")
    engine = create_engine(database) if is_sqlite else create_engine(database, isolation_level=isolation)
    shop = Shop("", engine=engine)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE account (name TEXT PRIMARY KEY, balance INTEGER)"))
        connection.execute(text("INSERT INTO account VALUES ('a', 1000), ('b', 1000)"))
    runs: list[str] = []

    @shop.once.method("bank.move")
    def move(tx, source: str, target: str) -> dict[str, int]:
        runs.append(source)
        balance = 0
        for name, amount in ((source, -1), (target, 1)):
            balance = tx.execute(text("SELECT balance FROM account WHERE name = :n"), {"n": name}).scalar_one()
            tx.execute(text("UPDATE account SET balance = balance + :a WHERE name = :n"), {"a": amount, "n": name})
            time.sleep(0.02)
        tx.execute(INSERT, {"thing": source})
        return {"balance": balance}

    at_once([partial(_move, shop, PAIRS[n % 2]) for n in range(4)])
    assert Counter(shop.sold()) == Counter({"a": 6, "b": 6})
    with engine.connect() as connection:
        assert dict(connection.execute(text("SELECT name, balance FROM account")).all()) == {"a": 1000, "b": 1000}
    assert is_sqlite or len(runs) > 12, "nothing was given up, so nothing was tried"
    engine.dispose()


def _move(shop: Shop, pair: tuple[str, str]) -> None:
    """Three moves of one client, each again while it is refused."""
    session = shop.session()
    for seq in range(1, 4):
        while "code" in (reply := shop.call("bank.move", [*pair], key=f"{session}-{seq}")):
            assert reply["data"]["name"] == "overloaded", reply


def test_a_late_copy_races_with_its_acknowledgement_and_never_runs_again(shop: Shop) -> None:
    """Whoever comes first: it is the first one's replay, or stale."""

    @shop.once.method("shop.order")
    def order(tx, thing: str) -> dict[str, str]:
        tx.execute(INSERT, {"thing": thing})
        return {"thing": thing}

    session = shop.session()
    for seq in range(1, 21, 2):
        shop.call("shop.order", {"thing": str(seq)}, session=session, seq=seq, acked=max(0, seq - 2))
        late, _ = at_once(
            [
                partial(shop.call, "shop.order", {"thing": str(seq)}, session=session, seq=seq),
                partial(shop.call, "shop.order", {"thing": "next"}, session=session, seq=seq + 1, acked=seq),
            ]
        )
        assert late.get("_meta") or late["data"]["name"] == "stale_call", late
    assert Counter(shop.sold()) == Counter([*map(str, range(1, 21, 2)), *["next"] * 10])


def test_a_pool_that_is_exhausted_refuses_and_nothing_is_lost(database: str) -> None:
    """503 and `overloaded`, both definite; later everything goes on."""
    if database.startswith("sqlite"):
        return
    engine = create_engine(database, pool_size=1, max_overflow=0, pool_timeout=0.3)
    shop = Shop("", engine=engine)
    slow = Slow(shop)
    shop.view(slow)
    shop.once.method("shop.order")(lambda tx: {})
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(shop.post, "a")
        assert slow.begun.acquire(timeout=30)
        assert shop.post("b").status == 503
        assert shop.call("shop.order")["data"]["name"] == "overloaded"
        slow.go.set()
        assert first.result(30).status == 200
    assert shop.post("b").status == 200
    engine.dispose()
