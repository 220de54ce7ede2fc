"""A client over a network that does what a script says, attempt by attempt."""

import json
import random
from typing import Any

from oncekv.client import Environment, RetryPolicy, connect
from oncerpc.client.transport.attempt_result import Lost, NotSent

from .simulation import ModelServer, Network

__all__ = ["EXACTLY", "LOST", "NO_JITTER", "REFUSED", "Scripted", "append", "client"]

NO_JITTER = RetryPolicy(first_delay_s=0.1, delay_max_s=0.4, attempt_timeout_s=1.0)
EXACTLY: dict[str, Any] = {"semantics": "exactly-once", "timeout_s": 1.0}
"""A client whose call one lost attempt ends as unknown, and kept."""
LOST, REFUSED = Lost("timed out"), NotSent("connection refused")


class Scripted(Network):
    """A perfect network, but for the `script`: a result, or a fate, for each attempt from the first on."""

    def __init__(self, *script, server=None):
        super().__init__(server or ModelServer(), random.Random(1), {"ok": 1})
        self.script = list(script)
        self.seen: list[tuple[str, Any, dict[str, str]]] = []
        self.pauses: list[float] = []

    def post(self, url, body, headers, timeout_s):
        """Notes the request; answers from the script, then as the server does."""
        self.seen.append((url, json.loads(body), dict(headers)))
        result = self.script.pop(0) if self.script else "ok"
        if result is LOST:
            self.now_s += timeout_s
        return getattr(self, f"_{result}")(body, headers, timeout_s) if isinstance(result, str) else result

    @property
    def environment(self):
        """Waits are noted, and always as long as may be."""
        return Environment(self, lambda: self.now_s, self.wait, lambda low, high: high)

    def wait(self, seconds):
        """Notes the wait."""
        self.pauses.append(seconds)
        self.pause(seconds)

    @property
    def metas(self):
        """`_meta` of each request for a kv method."""
        return [one["params"].get("_meta", {}) for _, one, _ in self.seen if one["method"].startswith("kv.")]


def client(network, **choices):
    """A client on that network."""
    return connect("kv=http://kv", retry=NO_JITTER, environment=network.environment, **choices)


def append(kv, value="x", **choices):
    """One append, its outcome."""
    return kv.outcome("kv.append", {"key": "k", "value": value}, **choices)
