"""One view twice: with a transaction of its own, and retry-safe by the library. `/ordinary` and `/retry-safe`.

It takes an order as a small shop does: reads what there is, takes the pieces away, and writes the order down.
"""

from __future__ import annotations

from typing import Any

from flask import Flask, request
from sqlalchemy import Connection, create_engine, event, text

from oncerpc.flask import OnceRPC

__all__ = ["ITEMS", "library_app"]

ITEMS = 1_000
POOL = 32
_STOCK = text("SELECT stock FROM item WHERE id = :item")
_TAKE = text("UPDATE item SET stock = stock - :pieces WHERE id = :item")
_ORDER = text("INSERT INTO orders (item, pieces) VALUES (:item, :pieces) RETURNING id")
_IDS = {"sqlite": "INTEGER PRIMARY KEY", "postgresql": "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY"}


def library_app(url: str) -> Flask:
    """The app, with its tables in that database."""
    app = Flask("shop")
    engine = create_engine(url, pool_size=POOL)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _log_ahead)
    once = OnceRPC(app, engine=engine)
    with once.exclusive(app) as tx:
        tx.execute(text("CREATE TABLE item (id INTEGER PRIMARY KEY, stock BIGINT NOT NULL)"))
        tx.execute(text(f"CREATE TABLE orders (id {_IDS[engine.dialect.name]}, item INTEGER, pieces INTEGER)"))
        tx.execute(text("INSERT INTO item VALUES (:id, 1000000000)"), [{"id": number} for number in range(ITEMS)])

    @app.post("/ordinary")
    def ordinary() -> dict[str, Any]:
        order = request.get_json()
        with engine.begin() as tx:
            return place(tx, order)

    @app.post("/retry-safe")
    @once.idempotent(required=True)
    def retry_safe() -> dict[str, Any]:
        return place(once.tx, request.get_json())

    return app


def place(tx: Connection, order: dict[str, Any]) -> dict[str, Any]:
    """One order, in the transaction that it is given."""
    item = {"item": order["item"]}
    stock = tx.execute(_STOCK, item).scalar_one()
    wanted = {**item, "pieces": order["pieces"]}
    tx.execute(_TAKE, wanted)
    number = tx.execute(_ORDER, wanted).scalar_one()
    return {"id": order["id"], "order": number, "left": stock - order["pieces"]}


def _log_ahead(connection: Any, _record: Any) -> None:
    """As whoever serves from SQLite sets it; both views have it."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
