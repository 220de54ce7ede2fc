"""Which methods of a service change nothing, told by whoever knows the service.

The client gives such a call no identity and may ask again (`client/semantics.py`). It stands apart from the client so
that a server, which knows its service as well, need not import one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["READS"]

READS: dict[str, Callable[[Mapping[str, Any]], bool]] = {}
"""By method: whether a call with these params changes nothing."""
