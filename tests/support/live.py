"""A live page for tests: a real `python -m chaos live` on a free port, and somebody who sits before it.

One process serves many tests; each begins with `begin()`, which puts the world back to what a new one is.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

from chaos.runtime.ports import KeptPort
from tests.support.browser import Browser
from tests.support.waiting import until

__all__ = ["LiveProcess", "Person"]

REPO = Path(__file__).parents[2]
PICTURES = REPO / "out" / "live"
START_MAX_S = 60.0
END_MAX_S = 60.0


class LiveProcess:
    """`python -m chaos live` with those words, on a port that stays when it is started again; up within the `with`."""

    def __init__(self, folder: Path, *words: str, start_max_s: float = START_MAX_S) -> None:
        self._port = KeptPort()
        self.port = self._port.number
        self.origin = f"http://127.0.0.1:{self.port}"
        self._folder, self._words, self._start_max_s = folder, words, start_max_s
        self._runs = 0
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def start(self) -> None:
        """Until it has printed its address."""
        self._runs += 1
        printed = self._folder / f"printed-{self._runs}"
        folder = self._folder / f"out-{self._runs}"
        command = [sys.executable, "-m", "chaos", "live", "--port", str(self.port), "--out", str(folder), *self._words]
        environment = {
            **os.environ,
            "PYTHONFAULTHANDLER": "1",
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        }
        with printed.open("wb") as out:
            self._process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, cwd=REPO, env=environment)
        process = self._process

        def is_up() -> bool:
            assert process.poll() is None, f"it has ended: {printed.read_text()}"
            return f"{self.origin}/" in printed.read_text()

        until(is_up, self._start_max_s, "the address of the live page")

    @property
    def pid(self) -> int | None:
        """While it runs."""
        return self._process.pid if self._process else None

    def stop(self) -> None:
        """Ctrl-C, and it ends."""
        if self._process is not None:
            self.end(signal.SIGINT)

    def end(self, number: signal.Signals, max_s: float = END_MAX_S) -> int:
        """By that signal; its exit code."""
        assert self._process is not None
        self._process.send_signal(number)
        try:
            return self._process.wait(max_s)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGABRT)  # faulthandler then says where each thread stands
            self._process.wait(END_MAX_S)
            printed = self._folder / f"printed-{self._runs}"
            raise AssertionError(f"the live page has not ended within {max_s:g} s: {printed.read_text()}") from None
        finally:
            self._process = None


class Person:
    """Who sits at the page. What it shows is read from the document; what is done, with mouse, keys and controls."""

    def __init__(self, browser: Browser, live: LiveProcess) -> None:
        self.browser, self.live = browser, live

    def begin(self, semantics: str = "at-least-once", travel_ms: int = 500, rate: float = 1.0) -> None:
        """An empty world that runs, seen at a desk."""
        self.browser.size(1280, 860)
        self.open()
        self._calm()
        self.act("reset")
        self.act("semantics", semantics=semantics)
        self.act("pace", mode="run", travel_ms=travel_ms)
        self.act("workload", state="running", rate=rate)
        self.browser.complaints.clear()

    def open(self, more: str = "") -> None:
        """The page, with all that has happened."""
        self.browser.open(f"{self.live.origin}/{more}")
        self.browser.wait_for("document.getElementById('connection').textContent === 'live'")

    def _calm(self) -> None:
        """Let the calls of the test before come to their ends: whole links, a server, and no way to go."""
        self.act("workload", state="stopped")
        for link in self.ids("link"):
            self.act("link", link=link, state="open")
        for server in self.ids("server"):
            if self.text(f"[data-server='{server}'] .state") != "● up":
                self.act("server", server=server, do="restart")
        self.act("pace", mode="run", travel_ms=0)
        self.browser.wait_for("!document.querySelector('.told[data-told=waiting] b[data-call]')")

    def act(self, action: str, **facts: Any) -> None:
        """Not as a person: straight to the server, to set a scene."""
        body = json.dumps({"action": action, **facts})
        token = "document.querySelector('meta[name=live-token]').content"
        answer = self.browser.ask(
            f"fetch('/actions', {{method: 'POST', headers: {{'X-Live-Token': {token}}}, body: {json.dumps(body)}}})"
            ".then(answer => answer.text())"
        )
        assert json.loads(answer) == {"ok": True}, (action, facts, answer)

    def ids(self, what: str) -> list[str]:
        """Of the messages, links, servers or clients that are drawn."""
        found: list[str] = self.browser.ask(
            f"[...document.querySelectorAll('[data-{what}]')].map(one => one.dataset.{what})"
        )
        return found

    def text(self, selector: str) -> str:
        """What stands there."""
        found: str = self.browser.ask(f"document.querySelector({json.dumps(selector)}).textContent.trim()")
        return found

    def number(self, selector: str) -> int:
        """The figure that stands there."""
        return int(self.text(selector))

    def sees(self, selector: str, text: str = "") -> None:
        """Wait until it is there, and says that somewhere."""
        there = f"[...document.querySelectorAll({json.dumps(selector)})]"
        self.browser.wait_for(
            f"{there}.some(one => one.checkVisibility() && one.textContent.includes({json.dumps(text)}))"
        )

    def chooses(self, selector: str, value: str) -> None:
        """Of a list, as its menu does."""
        self.browser.ask(
            f"(list => {{ list.focus(); list.value = {json.dumps(value)}; list.dispatchEvent(new Event('change')); }})"
            f"(document.querySelector({json.dumps(selector)}))"
        )

    def loses(self, kind: str) -> str:
        """Click a request or reply away while it travels; its call. A click that comes too late may be refused."""
        under_way = f".message.{kind}:not(.copy)[tabindex]"
        for _ in range(20):
            self.browser.wait_for(f"document.querySelector('{under_way}')")
            message = self.browser.ask(f"document.querySelector('{under_way}')?.dataset.message")
            if message is None:
                continue
            self.browser.click(f"[data-message='{message}']")
            one = f"document.querySelector('[data-message=\"{message}\"]')"
            self.browser.wait_for(f"!{one}?.hasAttribute('tabindex')")
            end, call = self.browser.ask(f"['end', 'name'].map(part => {one}?.querySelector('.' + part).textContent)")
            if end == "lost by you":
                return str(call)
            refused = [words for words in self.browser.complaints if "409 (CONFLICT)" in words and "/actions" in words]
            self.browser.complaints = [words for words in self.browser.complaints if words not in refused]
        raise AssertionError("no message was slow enough to be clicked")

    def reads(self, number: int) -> str:
        """The scene's sentence of that number, once it stands there to be read and Next may be pressed."""
        self.sees("#scene-title", f" · {number} of ")
        self.browser.wait_for("document.getElementById('scene-next').ariaDisabled === 'false'")
        return self.text("#sentence")

    def stutters(self, for_s: float) -> tuple[int, int]:
        """Look on for so long: how many frames took more than 50 ms, and how many there were.

        The better of two looks: a page that stutters by itself does so in both, a busy machine seldom.
        """
        return min((self._look_on(for_s) for _ in range(2)), key=lambda look: look[0] / max(1, look[1]))

    def _look_on(self, for_s: float) -> tuple[int, int]:
        counts = "(({longFrames, frames}) => [performance.now(), Number(longFrames), Number(frames)])"
        began_ms, *before = self.browser.ask(f"{counts}(document.documentElement.dataset)")
        self.browser.wait_for(f"performance.now() > {began_ms + for_s * 1000}")
        _, *after = self.browser.ask(f"{counts}(document.documentElement.dataset)")
        long, frames = (late - early for late, early in zip(after, before, strict=True))
        print(f"{long} of {frames} frames in {for_s} s took more than 50 ms")
        return long, frames

    def picture(self, name: str, *, whole: bool = False) -> None:
        """What is seen now, in out/live/."""
        PICTURES.mkdir(parents=True, exist_ok=True)
        self.browser.picture(PICTURES / f"{name}.png", whole=whole)
