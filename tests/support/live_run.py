"""A live page without a browser: what a page asks, asked by a test, and the journal as it stands."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import requests

from tests.support.live import LiveProcess
from tests.support.waiting import until

__all__ = ["Event", "LiveRun"]

Event = dict[str, Any]
ASK_MAX_S = 60.0
COME_MAX_S = 60.0


class LiveRun:
    """One `python -m chaos live`, from outside."""

    def __init__(self, live: LiveProcess) -> None:
        self.live = live
        self._http = requests.Session()
        self._http.trust_env = False
        page = self._http.get(f"{live.origin}/", timeout=ASK_MAX_S).text
        self._token = page.partition('name="live-token" content="')[2].partition('"')[0]

    def close(self) -> None:
        self._http.close()

    def events(self, after: int = 0) -> list[Event]:
        """All that the journal has after that number."""
        text = self._http.get(f"{self.live.origin}/journal", timeout=ASK_MAX_S).text
        return [event for event in map(json.loads, text.splitlines()) if event["n"] > after]

    @property
    def last(self) -> int:
        """The number of the last event."""
        return int(self.events()[-1]["n"])

    def post(self, action: str, **facts: Any) -> requests.Response:
        """An action, whatever is said to it."""
        body = {"action": action, **facts}
        headers = {"X-Live-Token": self._token}
        return self._http.post(f"{self.live.origin}/actions", json=body, headers=headers, timeout=ASK_MAX_S)

    def do(self, action: str, **facts: Any) -> int:
        """An action that must be done; the number of the last event before it."""
        before = self.last
        reply = self.post(action, **facts)
        assert reply.status_code == 200, reply.text
        return before

    def begin(self, semantics: str) -> int:
        """An empty world in which nobody calls by himself; the number of its event."""
        self.post("end-scene")
        self.do("workload", state="stopped")
        self.do("pace", mode="run")
        self.do("semantics", semantics=semantics)
        before = self.do("reset")
        return int(self.come(before, lambda event: event["type"] == "world")["n"])

    def come(self, after: int, wanted: Callable[[Event], bool], timeout_s: float = COME_MAX_S) -> Event:
        """The first such event after that number, as soon as it is there."""
        found: list[Event] = []

        def is_there() -> bool:
            found[:] = [event for event in self.events(after) if wanted(event)]
            return bool(found)

        until(is_there, timeout_s, "the event")
        return found[0]

    def call(self, client: str = "c0") -> str:
        """Let a client make a call; its name."""
        before = self.do("call", client=client)
        return str(self.come(before, lambda event: event["type"] == "call" and event["client"] == client)["call"])

    def message(self, call: str, kind: str, attempt: int = 1) -> Event:
        """A message of it that has set out."""
        return self.come(
            0,
            lambda event: (
                event["type"] == "message"
                and (event["call"], event["kind"], event["attempt"], event["copy"]) == (call, kind, attempt, False)
            ),
        )

    def told(self, call: str) -> Event:
        """What its caller was told."""
        return self.come(0, lambda event: event["type"] == "told" and event["call"] == call)

    def end_of(self, message: Event) -> str:
        """What became of a message."""
        return str(self.come(0, lambda event: event["type"] == "message-end" and event["id"] == message["id"])["end"])

    def totals(self, **wanted: int) -> Event:
        """The sums, once they are those."""
        return self.come(
            0, lambda event: event["type"] == "totals" and all(event[name] == count for name, count in wanted.items())
        )
