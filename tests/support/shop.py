"""A small Flask service with retry-safe methods and views: what the library's contract is tested on.

It has one table, `sold`, and whatever a test adds by `view` and `once.method` before the first request.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

from flask import Flask
from sqlalchemy import create_engine, text
from werkzeug.test import TestResponse

from oncerpc.flask import OnceRPC

__all__ = ["INSERT", "Reply", "Shop"]

INSERT = text("INSERT INTO sold (thing) VALUES (:thing)")


class Reply(NamedTuple):
    """What an attempt was told."""

    status: int
    body: Any
    replayed: bool


class Shop:
    """The service and its callers. `app`, `once` and `engine` are as any user of the library has them."""

    def __init__(self, url: str, *, engine: Any = None, **options: Any) -> None:
        self.engine = engine if engine is not None else create_engine(url)
        with self.engine.begin() as connection:
            connection.execute(text("CREATE TABLE IF NOT EXISTS sold (thing TEXT)"))
        self.app = Flask("shop")
        self.once = OnceRPC(self.app, engine=self.engine, **options)
        self._numbers = itertools.count(1)

    def sold(self) -> list[str]:
        """Every effect that is in the database."""
        with self.engine.connect() as connection:
            return sorted(connection.execute(text("SELECT thing FROM sold")).scalars())

    def sell(self, thing: str) -> str:
        """What a view does: one effect."""
        self.once.tx.execute(INSERT, {"thing": thing})
        return thing

    def view(self, function: Callable[..., Any], rule: str = "/buy", **policy: Any) -> None:
        """A retry-safe view of that function, for all verbs that change something."""
        methods = ["POST", "PUT", "PATCH", "DELETE", "GET"]
        decorated = self.once.idempotent(**policy)(function)
        self.app.add_url_rule(rule, f"view{next(self._numbers)}", decorated, methods=methods)

    def post(self, key: str | None = "k", rule: str = "/buy", verb: str = "POST", **more: Any) -> Reply:
        """One attempt with this key."""
        response = self.response(key, rule, verb, **more)
        body = (
            response.get_json(silent=True)
            if response.is_json or "problem" in (response.mimetype or "")
            else response.text
        )
        return Reply(response.status_code, body, response.headers.get("Idempotent-Replayed") == "true")

    def response(self, key: str | None = "k", rule: str = "/buy", verb: str = "POST", **more: Any) -> TestResponse:
        """The same, as Flask's test client has it."""
        headers = {**({} if key is None else {"Idempotency-Key": key}), **more.pop("headers", {})}
        return self.app.test_client().open(rule, method=verb, headers=headers, **more)

    def call(self, method: str, params: Any = None, *, key: str | None = None, **meta: Any) -> Any:
        """A JSON-RPC call at /rpc: its `result` or `error` member. `meta` goes as `_meta`."""
        params = params if isinstance(params, list) else {**(params or {}), **({"_meta": meta} if meta else {})}
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        reply = self.rpc(body, key=key).get_json()
        return reply.get("result", reply.get("error"))

    def rpc(self, body: Any, *, key: str | None = None) -> TestResponse:
        """Any body at /rpc."""
        return self.app.test_client().post("/rpc", json=body, headers={} if key is None else {"Idempotency-Key": key})

    def session(self, **params: Any) -> str:
        """A new session's name."""
        name: str = self.call("session.open", params)["session"]
        return name
