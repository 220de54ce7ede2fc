"""What the variants share: the bank's own tables and its transfer, failpoints at the same three moments, a way to arm
them, and a cache as one has it beside a database.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from flask import Flask, Response, request
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from bank.transfers import move
from oncerpc.server.failpoints import Arming, Failpoints

__all__ = ["Cache", "Order", "Service", "make_app"]

VIEW = "POST /transfers"
KEPT_S = 24 * 3600.0
DDL_TRIES = 10


class Order(NamedTuple):
    """A request for a transfer."""

    key: str
    body: dict[str, Any]


class Service:
    """One variant's world."""

    def __init__(self, tables: str = "") -> None:
        database = os.environ["BANK_DATABASE"]
        self.engine: Engine = create_engine(database)
        self.failpoints = Failpoints(os.environ["ONCERPC_FAILPOINTS"])
        self.cache = Cache(Path(os.environ["ONCERPC_FAILPOINTS"]).with_name("cache"))
        if tables:
            self._make(tables)

    def hit(self, moment: str, order: Order) -> None:
        """A request passes before_execute, after_execute or after_commit."""
        self.failpoints.hit_any(moment, VIEW, (order.key,))

    def transfer(self, tx: Connection, order: Order) -> dict[str, Any]:
        """The effect, in a transaction that somebody else begins and commits."""
        body = order.body
        made = move(tx, body["source"], body["target"], int(body["amount"]), body["token"])
        self.hit("after_execute", order)
        return made

    def _make(self, tables: str) -> None:
        """Both processes do it when they start, and either may be the first."""
        for left in reversed(range(DDL_TRIES)):
            try:
                with self.engine.begin() as tx:
                    tx.execute(text(tables))
                return
            except SQLAlchemyError:
                if not left:
                    raise
                time.sleep(0.1)


class Cache:
    """What Redis is to most services: shared by all processes, with an atomic set-if-absent and a time to live, and
    outside of the database's transactions. Here a folder with a file for each key.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self._folder = folder

    def set_if_absent(self, key: str, value: Any) -> bool:
        """SET key value NX EX 86400."""
        try:
            with (self._folder / key).open("x", encoding="utf-8") as file:
                file.write(json.dumps([time.time() + KEPT_S, value]))
        except FileExistsError:
            return False
        return True

    def set(self, key: str, value: Any) -> None:
        """SET key value EX 86400."""
        written = self._folder / f"{key}.{os.getpid()}"
        written.write_text(json.dumps([time.time() + KEPT_S, value]), encoding="utf-8")
        written.replace(self._folder / key)

    def get(self, key: str) -> Any:
        """GET key."""
        with contextlib.suppress(FileNotFoundError, ValueError):
            until_s, value = json.loads((self._folder / key).read_text(encoding="utf-8"))
            return value if until_s > time.time() else None
        return None


def make_app(service: Service, handle: Callable[[Order], dict[str, Any] | None]) -> Flask:
    """The application around a variant's handler, which returns the reply, or None where it says: ask again later."""
    app = Flask("bank")

    @app.post("/transfers")
    def post_transfer() -> Response:
        order = Order(request.headers["Idempotency-Key"].strip('"'), request.get_json())
        reply = handle(order)
        if reply is None:
            body = json.dumps({"title": "a request with this Idempotency-Key is still running", "status": 409})
            return Response(body, 409, {"Retry-After": "1"}, content_type="application/problem+json")
        return Response(json.dumps(reply), 201, mimetype="application/json")

    @app.post("/rpc")
    def rpc() -> dict[str, Any]:
        """server.info and debug.failpoint, as far as the trials ask for them."""
        call = request.get_json()
        if call["method"] == "debug.failpoint":
            from msgspec import convert

            service.failpoints.arm(convert(call["params"], Arming))
        return {"jsonrpc": "2.0", "id": call["id"], "result": {"boot": 1}}

    return app
