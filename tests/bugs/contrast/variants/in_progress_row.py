"""A row "in progress" in the database, with an expiry after which a retry may take it over. People do this because it
mends what SET NX breaks: a crash leaves a row that expires, and the retry goes on. The row is marked as done in the
transfer's own transaction, as it should be.

But the expiry is a guess at how long a transfer can take. One that takes longer (a slow disk, a lock, a pause of the
process) is still running when its retry takes the row over, and nothing tells it that it has lost the row: both commit.
The expiry is LEASE_S here, where people have a minute; the slow attempt is scaled down with it.
"""

from __future__ import annotations

import json
import time
from typing import Any

from flask import Flask
from sqlalchemy import text

from tests.bugs.contrast.variants.base import Order, Service, make_app

ORDER = 4
TITLE = '"in progress" row with expiry and reclaim'
LEASE_S = 1.0
TABLE = """
CREATE TABLE IF NOT EXISTS idempotency (key VARCHAR(128) PRIMARY KEY, expires DOUBLE PRECISION NOT NULL, reply TEXT)
"""
CLAIM = text("INSERT INTO idempotency (key, expires) VALUES (:key, :expires) ON CONFLICT DO NOTHING")
RECLAIM = text("UPDATE idempotency SET expires = :expires WHERE key = :key AND reply IS NULL AND expires < :now")
FIND = text("SELECT reply FROM idempotency WHERE key = :key")
DONE = text("UPDATE idempotency SET reply = :reply WHERE key = :key")


def make() -> Flask:
    """The application."""
    service = Service(TABLE)

    def claim(order: Order) -> bool:
        """Whether it is ours to run: a transaction of its own, so that others see the row."""
        now = time.time()
        values = {"key": order.key, "expires": now + LEASE_S, "now": now}
        with service.engine.begin() as tx:
            return bool(tx.execute(CLAIM, values).rowcount or tx.execute(RECLAIM, values).rowcount)

    def handle(order: Order) -> dict[str, Any] | None:
        if not claim(order):
            with service.engine.begin() as tx:
                reply = tx.execute(FIND, {"key": order.key}).scalar()
            found: dict[str, Any] | None = json.loads(reply) if reply else None
            return found
        service.hit("before_execute", order)
        with service.engine.begin() as tx:
            made = service.transfer(tx, order)
            tx.execute(DONE, {"key": order.key, "reply": json.dumps(made)})
        service.hit("after_commit", order)
        return made

    return make_app(service, handle)
