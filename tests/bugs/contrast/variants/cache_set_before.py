"""The key in a cache, set before the transfer runs (SET NX). People do this because set-if-absent is atomic: of two
requests with one key only one can win, so nothing is ever paid twice, and that is what they were afraid of.

It is at most once by giving up "at least": if the winner dies, the key says that somebody is at it, nobody is, and
every retry is turned away until the key expires, a day later. And when it died after its commit, the money has moved.
"""

from __future__ import annotations

from typing import Any

from flask import Flask

from tests.bugs.contrast.variants.base import Order, Service, make_app

ORDER = 2
TITLE = "key in a cache, set before"
RUNNING = "running"


def make() -> Flask:
    """The application."""
    service = Service()

    def handle(order: Order) -> dict[str, Any] | None:
        if not service.cache.set_if_absent(order.key, RUNNING):
            found: dict[str, Any] | str = service.cache.get(order.key)
            return None if isinstance(found, str) or found is None else found
        service.hit("before_execute", order)
        with service.engine.begin() as tx:
            made = service.transfer(tx, order)
        service.hit("after_commit", order)
        service.cache.set(order.key, made)
        return made

    return make_app(service, handle)
