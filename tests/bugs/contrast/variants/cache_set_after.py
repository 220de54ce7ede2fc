"""The key in a cache, set after the transfer ran. People do this because then the cache never says "done" of something
that did not happen: a crash leaves no key behind, and the retry simply runs.

Between the commit and the set there is a moment, and before the set every duplicate finds nothing.
"""

from __future__ import annotations

from typing import Any

from flask import Flask

from tests.bugs.contrast.variants.base import Order, Service, make_app

ORDER = 3
TITLE = "key in a cache, set after"


def make() -> Flask:
    """The application."""
    service = Service()

    def handle(order: Order) -> dict[str, Any]:
        found: dict[str, Any] | None = service.cache.get(order.key)
        if found is not None:
            return found
        service.hit("before_execute", order)
        with service.engine.begin() as tx:
            made = service.transfer(tx, order)
        service.hit("after_commit", order)
        service.cache.set(order.key, made)
        return made

    return make_app(service, handle)
