"""No key at all. People do this because the framework's tutorial does it, and because a POST that fails is rare: the
client shows an error, and the user presses the button again.

The retry of a transfer whose reply was lost is a second transfer.
"""

from __future__ import annotations

from typing import Any

from flask import Flask

from tests.bugs.contrast.variants.base import Order, Service, make_app

ORDER = 1
TITLE = "no key"


def make() -> Flask:
    """The application."""
    service = Service()

    def handle(order: Order) -> dict[str, Any]:
        service.hit("before_execute", order)
        with service.engine.begin() as tx:
            made = service.transfer(tx, order)
        service.hit("after_commit", order)
        return made

    return make_app(service, handle)
