"""The fingerprint is of the body alone. "The key is for this request, and the request is what is sent." It looks right,
for a client makes a new key for a new request.

It breaks rule 4: the same key and body at another path, that of another account, is answered with the first one's reply
and does not run, although the client is told that it has.
"""

from __future__ import annotations

import hashlib
from contextlib import AbstractContextManager

from flask import Request

from oncerpc.flask import views
from oncerpc.wire.fingerprint import FINGERPRINT_BYTES
from tests.bugs.base import Bug, replaced


def request_fingerprint(request: Request) -> bytes:
    """What was sent."""
    return hashlib.blake2b(request.get_data(cache=True), digest_size=FINGERPRINT_BYTES).digest()


def plant() -> AbstractContextManager[None]:
    """Nothing of the request line."""
    return replaced(views, request_fingerprint=request_fingerprint)


BUG = Bug(
    number=28,
    name="library-path-not-bound",
    side="library",
    breaks="the same key with another path is refused",
    caught_by=(("healthy", "idempotency-key"),),
    plant=plant,
)
