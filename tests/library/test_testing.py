"""`oncerpc.testing`: a retry-safe view passes; each mistake is caught, with the advice that mends it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import g
from sqlalchemy import create_engine, text
from werkzeug.test import EnvironBuilder

from oncerpc.testing import Crashed, ReplyLost, assert_retry_safe, crash_at, lost_reply, sent_twice
from tests.support.shop import INSERT, Shop

POST: dict[str, Any] = {"method": "POST", "path": "/buy", "json": {"a": 1}}


@pytest.fixture
def tea(shop: Shop) -> Shop:
    """A shop whose view and method sell tea."""
    shop.view(lambda: (shop.sell("tea"), {"ok": 1})[1])

    @shop.once.method("shop.order")
    def order(tx) -> None:
        tx.execute(INSERT, {"thing": "tea"})

    return shop


RPC = {"method": "POST", "path": "/rpc", "json": {"jsonrpc": "2.0", "id": 1, "method": "shop.order"}}


@pytest.mark.parametrize(
    "request_",
    [POST, RPC, lambda client: client.post("/buy"), EnvironBuilder(path="/buy", method="POST", data={"a": "1"})],
    ids=["mapping", "method", "function", "builder"],
)
def test_what_is_retry_safe_passes(tea: Shop, request_: Any) -> None:
    """A view or a method, however the request is given; each trial had its own key."""
    assert_retry_safe(tea.app, request_, effects=tea.sold)
    assert len(tea.sold()) == 6


def test_a_database_in_memory_will_do() -> None:
    """As many applications have it in their tests."""
    shop = Shop("", engine=create_engine("sqlite://"))
    shop.view(lambda: (shop.sell("tea"), {"ok": 1})[1])
    assert_retry_safe(shop.app, POST, effects=lambda: len(shop.sold()))
    shop.engine.dispose()


class Mail:
    """A provider outside of the database."""

    def __init__(self) -> None:
        self.sent: list[str] = []


def undecorated(shop: Shop, _mail: Mail) -> Callable[[], Any]:
    """It writes by itself, and nobody knows its requests."""

    def view() -> dict[str, int]:
        with shop.engine.begin() as connection:
            connection.execute(INSERT, {"thing": "tea"})
        return {"ok": 1}

    shop.app.add_url_rule("/buy", "bare", view, methods=["POST"])
    return shop.sold


def own_connection(shop: Shop, _mail: Mail) -> Callable[[], Any]:
    """Decorated, but it writes in a transaction of its own."""
    other = create_engine("sqlite://")
    with other.begin() as connection:
        connection.execute(text("CREATE TABLE sold (thing TEXT)"))

    def view() -> dict[str, int]:
        with other.begin() as connection:
            connection.execute(INSERT, {"thing": "tea"})
        return {"ok": 1}

    def count() -> int:
        with other.connect() as connection:
            return int(connection.execute(text("SELECT count(*) FROM sold")).scalar_one())

    shop.view(view)
    return count


def calls_out(shop: Shop, mail: Mail) -> Callable[[], Any]:
    """It sends a mail before the commit."""
    shop.view(lambda: (shop.sell("tea"), mail.sent.append("tea"), {"ok": 1})[2])  # type: ignore[func-returns-value]
    return lambda: list(mail.sent)


def in_a_hook(shop: Shop, mail: Mail) -> Callable[[], Any]:
    """Something is done before the view begins."""
    shop.app.before_request(lambda: mail.sent.append("hook"))
    shop.view(lambda: (shop.sell("tea"), {"ok": 1})[1])
    return lambda: shop.sold() + mail.sent


def reply_by_a_hook(shop: Shop, _mail: Mail) -> Callable[[], Any]:
    """The reply is changed after it was recorded, and differently each time."""

    @shop.app.after_request
    def number(response):
        g.n = shop.app.config["N"] = shop.app.config.get("N", 0) + 1
        response.set_data(f"{g.n}")
        return response

    shop.view(lambda: (shop.sell("tea"), {"ok": 1})[1])
    return shop.sold


def fails(shop: Shop, _mail: Mail) -> Callable[[], Any]:
    """It never succeeds."""
    shop.view(lambda: ("no", 409))
    return shop.sold


def does_nothing(shop: Shop, _mail: Mail) -> Callable[[], Any]:
    """What it does is not what is counted."""
    shop.view(lambda: {"ok": 1})
    return shop.sold


def ends_it(shop: Shop, _mail: Mail) -> Callable[[], Any]:
    """It commits by itself, by the driver."""

    def view() -> dict[str, int]:
        shop.sell("tea")
        shop.once.tx.connection.commit()
        return {"ok": 1}

    shop.view(view)
    return shop.sold


@pytest.mark.parametrize(
    ("make", "what", "advice"),
    [
        (undecorated, "sent twice: it ran twice", "@once.idempotent"),
        (own_connection, "crash at after_execute", "once.tx"),
        (calls_out, "crash at after_execute", "outbox table"),
        (in_a_hook, "sent twice: it ran twice", "@once.idempotent"),
        (reply_by_a_hook, "the replay differs", "in the view"),
        (fails, "409", "succeeds"),
        (does_nothing, "effects() did not change", "count"),
        (ends_it, "500", "succeeds"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_each_mistake_is_caught_with_its_advice(
    shop: Shop, make: Callable[[Shop, Mail], Callable[[], Any]], what: str, advice: str
) -> None:
    """The message says under which fault, what happened, and what to change."""
    effects = make(shop, Mail())
    with pytest.raises(AssertionError) as raised:
        assert_retry_safe(shop.app, POST, effects=effects)
    assert what in str(raised.value)
    assert advice in str(raised.value)


def test_without_the_library_it_says_so() -> None:
    """An application that was never set up."""
    from flask import Flask

    with pytest.raises(AssertionError, match="OnceRPC"):
        assert_retry_safe(Flask("bare"), POST, effects=int)


def test_the_faults_by_themselves(tea: Shop) -> None:
    """A lost reply leaves the effect, a crash before the commit none; the next request is served."""
    client = tea.app.test_client()
    headers = {"Idempotency-Key": "k"}
    with crash_at(tea.app, "after_execute"), pytest.raises(Crashed):
        client.post("/buy", headers=headers)
    assert tea.sold() == []
    with lost_reply(tea.app), pytest.raises(ReplyLost):
        client.post("/buy", headers=headers)
    assert tea.sold() == ["tea"]
    with crash_at(tea.app, "after_commit"), pytest.raises(Crashed):
        client.post("/buy", headers={"Idempotency-Key": "other"})
    assert tea.sold() == ["tea"] * 2
    assert client.post("/buy", headers=headers).headers["Idempotent-Replayed"] == "true"
    with pytest.raises(ValueError, match="before_execute"), crash_at(tea.app, "somewhere"):  # type: ignore[arg-type]
        pass


def test_a_client_that_sends_everything_twice(tea: Shop) -> None:
    """The second response is returned, the first beside it; a key is made where none is given."""
    with sent_twice(tea.app.test_client()) as twice:
        reply = twice.post("/buy", json={})
        assert reply.headers["Idempotent-Replayed"] == "true"
        assert reply.first.json == reply.json  # type: ignore[attr-defined]
        assert "Idempotent-Replayed" not in reply.first.headers  # type: ignore[attr-defined]
        twice.put("/buy", headers={"idempotency-key": "k"})
    assert tea.sold() == ["tea"] * 2


PLUGIN = """
def test_it(assert_retry_safe, sent_twice, lost_reply, crash_at):
    import oncerpc.testing
    assert assert_retry_safe is oncerpc.testing.assert_retry_safe
    assert (sent_twice, lost_reply, crash_at) == (
        oncerpc.testing.sent_twice, oncerpc.testing.lost_reply, oncerpc.testing.crash_at)
"""


def test_the_plugin_offers_them_as_fixtures(tmp_path, run_pytest) -> None:
    """In any pytest where the package is installed, without a line of set-up."""
    (tmp_path / "test_it.py").write_text(PLUGIN)
    assert "1 passed" in run_pytest(tmp_path)


@pytest.fixture
def run_pytest():
    """Runs pytest in a folder; its output."""
    import subprocess
    import sys

    def run(folder) -> str:
        words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "."]
        return subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=120, check=False).stdout

    return run
