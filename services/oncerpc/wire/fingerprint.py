"""When two calls are the same one: a fingerprint of method and params."""

from __future__ import annotations

import hashlib

import msgspec
from msgspec import Struct

__all__ = ["FINGERPRINT_BYTES", "fingerprint"]

FINGERPRINT_BYTES = 16
_encode = msgspec.json.Encoder(order="deterministic").encode


def fingerprint(method: str, params: Struct) -> bytes:
    """16 bytes that are equal exactly when method and params are (BLAKE2b, RFC 7693).

    `params` is the validated struct: its members come in its order, those of an object in it in the order of their
    names, and what is at its default is left out, so neither the order of members nor a default that was spelled out
    makes another call of it.
    """
    return hashlib.blake2b(_encode((method, params)), digest_size=FINGERPRINT_BYTES).digest()
