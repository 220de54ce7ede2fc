"""The transaction that a handler is given: what it may do with it, and what it may not."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from flask import abort
from sqlalchemy import String, text
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from oncerpc import RpcError
from tests.support.shop import INSERT, Shop


class Base(DeclarativeBase):
    """An application's own metadata."""


class Order(Base):
    """An ORM table."""

    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    thing: Mapped[str] = mapped_column(String(20), unique=True)


@pytest.fixture
def orm(shop: Shop) -> Shop:
    """A shop with an ORM table."""
    Base.metadata.create_all(shop.engine)
    return shop


def rows(shop: Shop) -> int:
    """How many orders the ORM's table has."""
    with Session(shop.engine) as session:
        return session.query(Order).count()


def flushed(tx: Any) -> None:
    """Flush alone."""
    session = Session(tx)
    session.add(Order(thing="tea"))
    session.flush()


def closed(tx: Any) -> None:
    """Flush, and close."""
    with Session(tx) as session:
        session.add(Order(thing="tea"))
        session.flush()


def committed(tx: Any) -> None:
    """Commit."""
    with Session(tx) as session:
        session.add(Order(thing="tea"))
        session.commit()


def begun(tx: Any) -> None:
    """A block that commits at its end."""
    with Session(tx) as session, session.begin():
        session.add(Order(thing="tea"))


def nested(tx: Any) -> None:
    """A savepoint, then commit."""
    with Session(tx) as session:
        with session.begin_nested():
            session.add(Order(thing="tea"))
        session.commit()


@pytest.mark.parametrize("write", [flushed, closed, committed, begun, nested])
def test_what_a_session_has_flushed_or_committed_stays_with_its_record(orm: Shop, write: Callable[[Any], None]) -> None:
    """Its commit ends nothing: effect and record are committed together when the handler returns."""
    orm.view(lambda: ({"written": str(write(orm.once.tx))}))  # type: ignore[func-returns-value]
    orm.once.method("shop.order")(lambda tx: {"written": str(write(tx))})  # type: ignore[func-returns-value]
    assert [orm.post().replayed for _ in range(2)] == [False, True]
    assert rows(orm) == 1


@pytest.mark.parametrize("write", [flushed, closed, committed, begun, nested])
def test_what_a_session_has_committed_goes_where_the_handler_says_no(orm: Shop, write: Callable[[Any], None]) -> None:
    """400 to 499, an RpcError, an exception: nothing of it stays."""

    def no() -> None:
        write(orm.once.tx)
        abort(409)

    orm.view(no)

    @orm.once.method("shop.no")
    def method(tx) -> None:
        write(tx)
        raise RpcError(2001, "no", "no")

    assert [orm.post().replayed for _ in range(2)] == [False, True]
    assert orm.call("shop.no", key="k2")["code"] == 2001
    assert rows(orm) == 0


def test_a_savepoint_is_the_handlers_own(orm: Shop) -> None:
    """Rolled back to, it takes only what came after it."""

    def view() -> dict[str, int]:
        orm.sell("tea")
        savepoint = orm.once.tx.begin_nested()
        orm.sell("milk")
        savepoint.rollback()
        with contextlib.suppress(ZeroDivisionError), orm.once.tx.begin_nested():
            orm.sell("sugar")
            _ = 1 / 0
        return {"ok": 1}

    orm.view(view)
    assert orm.post().status == 200
    assert orm.sold() == ["tea"]


def used(session: Session) -> Session:
    """A session that has begun."""
    session.execute(text("SELECT 1"))
    return session


ENDS: dict[str, Callable[[Any], Any]] = {
    "tx.commit": lambda tx: tx.commit(),
    "tx.rollback": lambda tx: tx.rollback(),
    "tx.close": lambda tx: tx.close(),
    "root.commit": lambda tx: tx.get_transaction().commit(),
    "root.rollback": lambda tx: tx.get_transaction().rollback(),
    "session.rollback": lambda tx: used(Session(tx)).rollback(),
    "text COMMIT": lambda tx: tx.execute(text("COMMIT")),
    "text rollback": lambda tx: tx.execute(text(" rollback ")),
    "driver BEGIN": lambda tx: tx.exec_driver_sql("BEGIN"),
    "control_fully": lambda tx: used(Session(tx, join_transaction_mode="control_fully")).commit(),
}


@pytest.mark.parametrize("swallows", [False, True], ids=["raises", "swallowed"])
@pytest.mark.parametrize("how", ENDS)
def test_whoever_ends_the_transaction_gets_an_error_and_nothing_stays(
    shop: Shop, how: str, swallows: bool, caplog
) -> None:
    """500, not recorded, and a line in the log that names the handler and the rule; also where the error is caught."""

    def end(tx: Any) -> None:
        tx.execute(INSERT, {"thing": "before"})
        try:
            ENDS[how](tx)
        except RuntimeError:
            if not swallows:
                raise
        tx.execute(INSERT, {"thing": "after"})

    def ends_it() -> dict[str, int]:
        end(shop.once.tx)
        return {"ok": 1}

    shop.view(ends_it)
    shop.once.method("shop.end")(lambda tx: end(tx))
    for _ in range(2):
        reply = shop.post()
        assert (reply.status, reply.replayed) == (500, False)
    assert "ends_it" in caplog.text
    assert "ends the transaction" in caplog.text
    assert shop.call("shop.end", key="k2")["code"] == -32603
    assert shop.sold() == []


def test_a_session_that_rolls_back_on_the_way_of_an_exception_is_no_fault(orm: Shop) -> None:
    """`with Session(tx) as s, s.begin()` rolls back by itself; the exception says what becomes of the call."""

    def view() -> None:
        with Session(orm.once.tx) as session, session.begin():
            session.add(Order(thing="tea"))
            session.flush()
            abort(404)

    orm.view(view)

    @orm.once.method("shop.no")
    def no(tx) -> None:
        with Session(tx) as session:
            try:
                session.add_all([Order(thing="tea"), Order(thing="tea")])
                session.flush()
            except Exception:
                session.rollback()
                raise RpcError(2001, "twice", "there is one") from None

    assert [orm.post() for _ in range(2)] == [(404, orm.post().body, False), (404, orm.post().body, True)]
    assert [orm.call("shop.no", key="k2")["code"] for _ in range(2)] == [2001, 2001]
    assert rows(orm) == 0


def test_a_handler_that_goes_on_after_its_session_was_rolled_back_is_refused(orm: Shop, caplog) -> None:
    """What it wrote before is gone, so a reply below 400 would be a lie."""

    def view() -> dict[str, int]:
        with Session(orm.once.tx) as session:
            session.add(Order(thing="tea"))
            session.flush()
            try:
                session.add(Order(thing="tea"))
                session.flush()
            except Exception:
                session.rollback()
            session.add(Order(thing="milk"))
            session.flush()
        return {"ok": 1}

    orm.view(view)
    assert orm.post().status == 500
    assert "ends the transaction" in caplog.text
    assert rows(orm) == 0
    orm.engine.dispose()


def test_the_transaction_is_a_sqlalchemy_connection(shop: Shop) -> None:
    """Whatever takes one takes it; outside of a view, and in a GET that passes through, there is none."""
    from sqlalchemy import Connection

    def view() -> dict[str, bool]:
        return {"is": isinstance(shop.once.tx, Connection)}

    shop.view(view)
    assert shop.post().body == {"is": True}
    with pytest.raises(RuntimeError, match=r"once\.tx"):
        _ = shop.once.tx


def test_a_get_passes_through_untouched(shop: Shop, caplog) -> None:
    """Whatever key it has; and it has no transaction."""
    shop.view(lambda: {"ok": 1})
    shop.view(lambda: {"tx": str(shop.once.tx)}, "/tx")
    for _ in range(2):
        assert shop.post("k", verb="GET") == (200, {"ok": 1}, False)
    assert shop.post("k", "/tx", "GET").status == 500
    assert "once.tx" in caplog.text
