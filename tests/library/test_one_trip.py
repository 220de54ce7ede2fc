"""PostgreSQL: the claim and its savepoint are one message, the record and COMMIT another; what may come between."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import create_engine, event, text

from oncerpc.server.sql.postgresql_one_trip import OneTrip
from tests.support.shop import Shop

pytestmark = pytest.mark.parametrize("database", ["postgresql"], indirect=True)


@pytest.fixture
def messages(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What goes as one message, in order."""
    sent: list[bytes] = []
    send = OneTrip._send

    def note(self: OneTrip, tx: Any, message: bytes) -> Any:
        sent.append(message)
        return send(self, tx, message)

    monkeypatch.setattr(OneTrip, "_send", note)
    return sent


def _told(messages: list[bytes]) -> list[str]:
    """The kinds of the messages."""
    kinds = {b"claim_": "claim", b"put_": "put", b"pg_prepared": "ask"}
    return [next(kind for part, kind in kinds.items() if part in message) for message in messages]


def _buy(shop: Shop) -> None:
    shop.view(lambda: shop.sell("thing"))


def test_a_request_says_two_messages_beside_its_own(shop: Shop, messages: list[bytes]) -> None:
    """On a connection that is known; what it needs is prepared once."""
    _buy(shop)
    assert [shop.post(f"key {number}".replace(" ", "")).status for number in range(3)] == [200] * 3
    assert _told(messages) == ["ask", *["claim", "put"] * 3]
    assert [b"PREPARE" in message for message in messages] == [False, True, False, False, False, False, False]
    assert shop.post("key1").replayed
    assert shop.sold() == ["thing"] * 3


def test_a_session_s_calls_go_the_same_way(shop: Shop, messages: list[bytes]) -> None:
    """By `seq` as by key."""

    @shop.once.method("sell")
    def sell(tx: Any) -> dict[str, Any]:
        tx.execute(text("INSERT INTO sold (thing) VALUES ('one')"))
        return {}

    name = shop.session()
    for _ in range(2):
        shop.call("sell", session=name, seq=1)
    assert _told(messages).count("put") == 1
    assert shop.sold() == ["one"]


def test_whoever_rolls_back_on_the_connection_does_not_hurt(new_shop: Callable[..., Shop], database: str) -> None:
    """Psycopg forgets then what is prepared, and sometimes does not: what is there is asked for."""
    shop = new_shop(engine=create_engine(database, pool_size=1, max_overflow=0))
    _buy(shop)
    for number in range(12):
        assert shop.post(f"k{number}").status == 200
        for _ in range(number % 8):  # from the sixth on psycopg has something to forget
            assert shop.sold()
    assert len(shop.sold()) == 12


def test_a_handler_s_savepoint_makes_psycopg_forget(shop: Shop, messages: list[bytes]) -> None:
    """The record goes by itself then, in the same transaction; nothing runs twice."""
    ran = []

    def view() -> str:
        ran.append(1)
        for _ in range(7):  # so often that psycopg has something to forget
            shop.sell("kept")
        point = shop.once.tx.begin_nested()
        shop.sell("dropped")
        point.rollback()
        return "done"

    shop.view(view)
    assert [shop.post(key).status for key in ("a", "b", "a")] == [200] * 3
    assert len(ran) == 2
    assert "put" not in _told(messages)
    assert shop.sold() == ["kept"] * 14


def test_a_refusal_is_recorded_by_itself(shop: Shop, messages: list[bytes]) -> None:
    """What was written goes by a rollback to the savepoint, after which psycopg forgets as well."""

    def view() -> tuple[str, int]:
        return shop.sell("dropped"), 409

    shop.view(view)
    assert [(reply.status, reply.replayed) for reply in (shop.post(), shop.post())] == [(409, False), (409, True)]
    assert "put" not in _told(messages)
    assert shop.sold() == []


@pytest.mark.parametrize("end", ["commit", "rollback"])
@pytest.mark.parametrize("writes", [1, 8], ids=["nothing prepared", "psycopg has something to forget"])
def test_a_handler_that_ends_it_by_the_driver_runs_once(shop: Shop, end: str, writes: int) -> None:
    """As its last act: libpq knows that nothing is open, so the record is not even sent. It is told clearly."""
    ran = []

    def view() -> str:
        ran.append(1)
        for _ in range(writes):
            shop.sell("thing")
        driver: Any = shop.once.tx.connection.dbapi_connection
        getattr(driver, end)()
        return "done"

    shop.view(view)
    assert shop.post().status == 500
    assert len(ran) == 1
    assert len(shop.sold()) == (writes if end == "commit" else 0)


def test_a_handler_that_goes_on_after_its_end_runs_once(shop: Shop) -> None:
    """What it commits by itself is there once, whatever it is told."""
    ran = []

    def view() -> str:
        ran.append(1)
        driver: Any = shop.once.tx.connection.dbapi_connection
        driver.rollback()
        driver.execute("INSERT INTO sold (thing) VALUES ('by hand')")
        driver.commit()
        return "done"

    shop.view(view)
    assert shop.post().status == 500
    assert len(ran) == 1
    assert shop.sold() == ["by hand"]


def test_a_listener_of_commit_is_in_the_transaction(new_shop: Callable[..., Shop], database: str) -> None:
    """What it writes is committed with the effect; where it says no, nothing is."""
    engine = create_engine(database)
    says_no = [False]

    @event.listens_for(engine, "commit")
    def audit(connection: Any) -> None:
        if says_no[0]:
            raise RuntimeError("no")
        connection.exec_driver_sql("INSERT INTO sold (thing) VALUES ('audit')")

    shop = new_shop(engine=engine)
    _buy(shop)
    audits = shop.sold().count("audit")
    assert shop.post("a").status == 200
    assert shop.sold().count("audit") == audits + 1
    says_no[0] = True
    shop.post("b")
    says_no[0] = False
    assert shop.sold().count("thing") == 1
    assert not shop.post("b").replayed


def test_the_usual_lock_timeout_holds_for_the_handler_and_after_it(
    new_shop: Callable[..., Shop], database: str
) -> None:
    """That of the claim is the claim's alone; after a rollback to the savepoint too."""
    shop = new_shop(engine=create_engine(database, connect_args={"options": "-c lock_timeout=7s"}), wait_max_s=3)
    seen = []

    def view() -> tuple[str, int]:
        seen.append(shop.once.tx.exec_driver_sql("SHOW lock_timeout").scalar())
        point = shop.once.tx.begin_nested()
        point.rollback()
        seen.append(shop.once.tx.exec_driver_sql("SHOW lock_timeout").scalar())
        driver: Any = shop.once.tx.connection.dbapi_connection
        driver.pgconn.exec_(b"ROLLBACK TO SAVEPOINT oncerpc_attempt")
        seen.append(shop.once.tx.exec_driver_sql("SHOW lock_timeout").scalar())
        return "no", 409

    shop.view(view)
    assert shop.post().status == 409
    assert seen == ["7s"] * 3


def test_an_expired_key_that_another_takes_is_waited_for_in_bounds(
    new_shop: Callable[..., Shop], database: str, messages: list[bytes]
) -> None:
    """Whoever found a row goes on with the bound, for it may have to wait for whoever takes the row's place."""
    shop = new_shop(key_ttl_s=0.05, wait_max_s=0.3)
    _buy(shop)
    shop.post()
    time.sleep(0.1)
    other = create_engine(database)
    with other.connect() as connection:
        connection.execute(text("SELECT * FROM once_key FOR UPDATE"))
        began_s = time.monotonic()
        assert shop.post().status == 409
        assert time.monotonic() - began_s < 30
    other.dispose()


def test_what_the_server_says_at_commit_is_no_unclear_commit(shop: Shop) -> None:
    """A deferred constraint: the server itself says that nothing was committed, so it is not run again."""
    with shop.engine.begin() as connection:
        connection.execute(text("ALTER TABLE sold ADD UNIQUE (thing) DEFERRABLE INITIALLY DEFERRED"))
    ran = []

    def view() -> str:
        ran.append(1)
        shop.sell("thing")
        return shop.sell("thing")

    shop.view(view)
    assert shop.post().status == 500
    assert len(ran) == 1
    assert shop.sold() == []


def test_statements_that_do_not_stay_are_given_up(new_shop: Callable[..., Shop], database: str) -> None:
    """As behind a pooler: prepared again a few times, then one statement at a time; every effect once."""
    engine = create_engine(database)

    @event.listens_for(engine, "checkout")
    def forget(connection: Any, *_: Any) -> None:
        for name in (b"once_claim_key", b"once_put_key"):
            connection.pgconn.exec_(b"DEALLOCATE " + name)

    shop = new_shop(engine=engine)
    _buy(shop)
    assert [shop.post(f"k{number}").status for number in range(12)] == [200] * 12
    assert shop.sold() == ["thing"] * 12


def test_a_handler_that_makes_it_forget_unseen_runs_again(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    """By the driver itself: nothing was committed, it runs again, and from then on one statement goes at a time."""
    ran = []

    def view() -> str:
        ran.append(1)
        driver: Any = shop.once.tx.connection.dbapi_connection
        driver.pgconn.exec_(b"DEALLOCATE ALL")
        return shop.sell("thing")

    shop.view(view)
    assert [shop.post(key).status for key in ("a", "b")] == [200, 200]
    assert len(ran) == 3
    assert shop.sold() == ["thing"] * 2
    assert sum("forget what was prepared" in record.message for record in caplog.records) == 1


def test_a_record_that_cannot_be_put_is_no_unclear_commit(shop: Shop) -> None:
    """The database says no before COMMIT: it is known, and not looked for."""
    with shop.engine.begin() as connection:
        connection.execute(text("ALTER TABLE once_key ADD CHECK (reply IS NULL)"))
    ran = []

    def view() -> str:
        ran.append(1)
        return shop.sell("thing")

    shop.view(view)
    assert shop.post().status == 500
    assert len(ran) == 1
    assert shop.sold() == []


@pytest.mark.parametrize(
    "whose", ["it's", "back\\slash", "q\\'uote", 'dou"ble', "ünï", "a'); DROP TABLE sold; --", "%s"]
)
def test_whatever_a_scope_is_it_is_no_sql(new_shop: Callable[..., Shop], whose: str) -> None:
    """Escaped by libpq, for this connection."""
    shop = new_shop(scope=lambda _request: whose)
    _buy(shop)
    assert [shop.post("it's\\'k").replayed for _ in range(2)] == [False, True]
    other = new_shop(scope=lambda _request: whose + "'")
    _buy(other)
    assert not other.post("it's\\'k").replayed
    assert shop.sold() == ["thing"] * 2


def test_a_scope_with_a_zero_is_refused(new_shop: Callable[..., Shop]) -> None:
    """PostgreSQL's text has none, and libpq would cut there: two callers would be one."""
    shop = new_shop(scope=lambda _request: "a\0b")
    _buy(shop)
    assert shop.post().status == 500
    assert shop.sold() == []


def test_prefixes_have_statements_of_their_own(new_shop: Callable[..., Shop], database: str) -> None:
    """On one connection, even if only the case differs."""
    engine = create_engine(database, pool_size=1, max_overflow=0)
    shops = [new_shop(engine=engine, table_prefix=prefix) for prefix in ("once_", "Once_", "other_")]
    for shop in shops:
        _buy(shop)
        assert [shop.post("same").replayed for _ in range(2)] == [False, True]
    assert shops[0].sold() == ["thing"] * 3


@pytest.mark.parametrize(
    "options",
    [
        {"connect_args": {"prepare_threshold": None}},
        {"isolation_level": "REPEATABLE READ"},
        {"isolation_level": "SERIALIZABLE"},
        {"connect_args": {"options": "-c default_transaction_isolation=serializable"}},
        {"connect_args": {"client_encoding": "latin1"}},
    ],
    ids=["as behind PgBouncer", "repeatable read", "serializable", "serializable by default", "latin1"],
)
def test_where_it_does_not_fit_one_statement_goes_at_a_time(
    new_shop: Callable[..., Shop], database: str, messages: list[bytes], options: dict[str, Any]
) -> None:
    """The same effects, by more trips."""
    shop = new_shop(engine=create_engine(database, **options))
    _buy(shop)
    assert [shop.post().replayed for _ in range(2)] == [False, True]
    assert shop.sold() == ["thing"]
    assert messages == []


def test_an_error_does_not_show_the_reply(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    """The message has the caller's reply in it; the log has the database's words alone."""
    with shop.engine.begin() as connection:
        connection.execute(text("ALTER TABLE once_key ADD CHECK (reply IS NULL)"))
    shop.view(lambda: (shop.sell("thing"), "a secret")[1])
    shop.post()
    assert "check constraint" in caplog.text
    assert b"a secret".hex() not in caplog.text
    assert "EXECUTE" not in caplog.text
