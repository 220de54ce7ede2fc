"""The record in a second transaction, after the first. People do this because the record is written by a middleware or
a decorator, which knows nothing of the session in which the view works and which has committed when it returns.

A crash between the two commits leaves a transfer that nobody remembers; and until the second, duplicates find nothing.
"""

from __future__ import annotations

import json
from typing import Any

from flask import Flask
from sqlalchemy import text

from tests.bugs.contrast.variants.base import Order, Service, make_app

ORDER = 5
TITLE = "record in a second transaction"
TABLE = "CREATE TABLE IF NOT EXISTS idempotency (key VARCHAR(128) PRIMARY KEY, reply TEXT NOT NULL)"
FIND = text("SELECT reply FROM idempotency WHERE key = :key")
KEEP = text("INSERT INTO idempotency (key, reply) VALUES (:key, :reply) ON CONFLICT DO NOTHING")


def make() -> Flask:
    """The application."""
    service = Service(TABLE)

    def handle(order: Order) -> dict[str, Any]:
        with service.engine.begin() as tx:
            found = tx.execute(FIND, {"key": order.key}).scalar()
        if found is not None:
            reply: dict[str, Any] = json.loads(found)
            return reply
        service.hit("before_execute", order)
        with service.engine.begin() as tx:
            made = service.transfer(tx, order)
        service.hit("after_commit", order)
        with service.engine.begin() as tx:
            tx.execute(KEEP, {"key": order.key, "reply": json.dumps(made)})
        return made

    return make_app(service, handle)
