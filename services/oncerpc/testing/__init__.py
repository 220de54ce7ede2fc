"""Proving in an application's own tests that a view or method is retry-safe.

    assert_retry_safe(app, {"method": "POST", "path": "/orders", "json": {…}}, effects=count_orders)

and the faults by themselves: `sent_twice(client)`, `lost_reply(app)`, `crash_at(app, "after_commit")`. A pytest plugin
offers each as a fixture of its name.
"""

from __future__ import annotations

from oncerpc.testing.faults import Crashed, ReplyLost, SentTwice, crash_at, lost_reply, sent_twice
from oncerpc.testing.retry_safety import assert_retry_safe

__all__ = ["Crashed", "ReplyLost", "SentTwice", "assert_retry_safe", "crash_at", "lost_reply", "sent_twice"]
