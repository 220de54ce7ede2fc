"""One view twice: with a transaction of its own, and retry-safe by the library.

It takes an order as a small shop does: reads what there is, takes the pieces away, and writes the order down. By an ORM
session, as most services are written (`/orm/ordinary`, `/orm/retry-safe`), and by the same statements as text, which is
the least that a view can be (`/core/…`).
"""

from __future__ import annotations

from typing import Any

from flask import Flask, request
from sqlalchemy import BigInteger, Connection, create_engine, event, text, update
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from oncerpc.flask import OnceRPC

__all__ = ["ITEMS", "library_app"]

ITEMS = 1_000
POOL = 32
_STOCK = text("SELECT stock FROM item WHERE id = :item")
_TAKE = text("UPDATE item SET stock = stock - :pieces WHERE id = :item")
_ORDER = text("INSERT INTO orders (item, pieces) VALUES (:item, :pieces) RETURNING id")


class Base(DeclarativeBase):
    """The shop's tables."""


class Item(Base):
    """What there is."""

    __tablename__ = "item"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    stock: Mapped[int] = mapped_column(BigInteger)


class Order(Base):
    """What was taken."""

    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    item: Mapped[int]
    pieces: Mapped[int]


def library_app(url: str) -> Flask:
    """The app, with its tables in that database."""
    app = Flask("shop")
    engine = create_engine(url, pool_size=POOL)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _log_ahead)
    once = OnceRPC(app, engine=engine)
    with once.exclusive(app) as tx:
        Base.metadata.create_all(tx)
        tx.execute(text("INSERT INTO item VALUES (:id, 1000000000)"), [{"id": number} for number in range(ITEMS)])

    @app.post("/core/ordinary")
    def core_ordinary() -> dict[str, Any]:
        order = request.get_json()
        with engine.begin() as tx:
            return place(tx, order)

    @app.post("/core/retry-safe")
    @once.idempotent(required=True)
    def core_retry_safe() -> dict[str, Any]:
        return place(once.tx, request.get_json())

    @app.post("/orm/ordinary")
    def orm_ordinary() -> dict[str, Any]:
        order = request.get_json()
        with Session(engine) as session, session.begin():
            return place_by_session(session, order)

    @app.post("/orm/retry-safe")
    @once.idempotent(required=True)
    def orm_retry_safe() -> dict[str, Any]:
        with Session(once.tx) as session:
            return place_by_session(session, request.get_json())

    return app


def place(tx: Connection, order: dict[str, Any]) -> dict[str, Any]:
    """One order, in the transaction that it is given."""
    item = {"item": order["item"]}
    stock = tx.execute(_STOCK, item).scalar_one()
    wanted = {**item, "pieces": order["pieces"]}
    tx.execute(_TAKE, wanted)
    number = tx.execute(_ORDER, wanted).scalar_one()
    return {"id": order["id"], "order": number, "left": stock - order["pieces"]}


def place_by_session(session: Session, order: dict[str, Any]) -> dict[str, Any]:
    """The same, by the objects."""
    item = session.get_one(Item, order["item"])
    stock = item.stock
    session.execute(update(Item).where(Item.id == item.id).values(stock=Item.stock - order["pieces"]))
    placed = Order(item=item.id, pieces=order["pieces"])
    session.add(placed)
    session.flush()
    return {"id": order["id"], "order": placed.id, "left": stock - order["pieces"]}


def _log_ahead(connection: Any, _record: Any) -> None:
    """As whoever serves from SQLite sets it; both views have it."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
