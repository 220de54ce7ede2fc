"""The scope is ignored: keys are kept for all callers together. "Keys are UUIDs, two callers never choose the same."
It looks right, for the documentation asks for UUIDs.

It breaks rule 7: callers number their orders, two have an order 17, and the second is given the first one's reply.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

from oncerpc.flask import extension
from oncerpc.flask.setup import Settings
from tests.bugs.base import Bug, replaced


def scope(settings: Settings) -> str:
    """Everybody's."""
    return ""


def plant() -> AbstractContextManager[None]:
    """One namespace for all."""
    return replaced(extension, _scope=scope)


BUG = Bug(
    number=29,
    name="library-scope-ignored",
    side="library",
    breaks="what one caller sends can neither read nor disturb another's records",
    caught_by=(("healthy", "idempotency-key"),),
    plant=plant,
)
