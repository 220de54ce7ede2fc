"""Which key/value calls change nothing, so that a client gives them no identity and may ask again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from oncerpc.wire.reads import READS

__all__ = ["is_read_txn"]


def is_read_txn(params: Mapping[str, Any]) -> bool:
    """A transaction of gets alone."""
    ops = params.get("ops")
    return isinstance(ops, list) and all(isinstance(op, dict) and op.get("op") == "get" for op in ops)


READS.update({"kv.get": lambda _params: True, "kv.list": lambda _params: True, "kv.txn": is_read_txn})
