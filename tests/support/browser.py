"""A real Chromium for tests, spoken to over its debugging pipe: one page, no network, nothing to install beside it.

The DevTools protocol over two pipes (`--remote-debugging-pipe`: descriptors 3 and 4, JSON objects ended by NUL) needs
neither a port nor a library. Every wait has a deadline.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

__all__ = ["Browser", "chromium_or_skip"]

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
ANSWER_MAX_S = 30.0
OPENS_MAX = 5
# `--no-sandbox`: tests may run as root in a container. The proxy that nobody listens on is the missing network.
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--proxy-server=127.0.0.1:9",
    "--remote-debugging-pipe",
]

# The pipes must be descriptors 3 and 4, whatever they are here; moved out of each other's way first.
LAUNCH = """
import fcntl, os, sys
for fd, to in [(fcntl.fcntl(int(fd), fcntl.F_DUPFD, 10), to) for fd, to in zip(sys.argv[1:3], (3, 4))]:
    os.dup2(fd, to)
os.execvp(sys.argv[3], sys.argv[3:])
"""


def chromium_or_skip(untried: str, profile: Path, origin: str = "") -> Browser:
    """The machine's Chromium, or the one that ONCEKV_CHROMIUM names; without one, skip and say what is `untried`."""
    named = os.environ.get("ONCEKV_CHROMIUM")
    program = named or next((found for name in NAMES if (found := shutil.which(name))), None)
    if program is None:
        pytest.skip(f"NO CHROMIUM: {untried} (apt-get install chromium)")
    return Browser(program, profile, origin)


class Browser:
    """One page. `complaints` grows with errors of the console, uncaught exceptions and requests that were made.

    It has no network; with an `origin`, such as http://127.0.0.1:8000, it has, and requests to there are no complaint.
    """

    def __init__(self, program: str, profile: Path, origin: str = "") -> None:
        command_out, self._write = os.pipe()
        self._read, answer_in = os.pipe()
        launch = [sys.executable, "-I", "-S", "-c", LAUNCH, str(command_out), str(answer_in)]
        self._process = subprocess.Popen(
            [*launch, program, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            pass_fds=(command_out, answer_in),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(command_out)
        os.close(answer_in)
        self._buffer = b""
        self._origin = origin
        self._number = 0
        self._network_changes = 0
        self._session: str | None = None
        self.complaints: list[str] = []
        try:
            self._attach()
        except BaseException:
            self.close()
            raise

    def _attach(self) -> None:
        target = self.tell("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.tell("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.tell(f"{domain}.enable")
        if not self._origin:
            nothing = {"latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
            self.tell("Network.emulateNetworkConditions", offline=True, **nothing)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the browser."""
        with contextlib.suppress(OSError, AssertionError):
            self._session = None
            self.tell("Browser.close")
        try:
            self._process.wait(ANSWER_MAX_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(ANSWER_MAX_S)
        os.close(self._write)
        os.close(self._read)

    def tell(self, method: str, **params: Any) -> dict[str, Any]:
        """Give a command and return its result; what happens meanwhile is noted."""
        self._number += 1
        command = {"id": self._number, "method": method, "params": params}
        if self._session:
            command["sessionId"] = self._session
        os.write(self._write, json.dumps(command).encode() + b"\0")
        deadline_s = time.monotonic() + ANSWER_MAX_S
        while (message := self._message(deadline_s)).get("id") != self._number:
            self._note(message)
        assert "error" not in message, f"{method}: {message['error']}"
        result: dict[str, Any] = message["result"]
        return result

    def size(self, width: int, height: int, *, dark: bool = False, scale: int = 1, still: bool = False) -> None:
        """The window of a device, below 640 pixels one that is held in a hand; `still`: of one who wants no motion."""
        self.tell(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=scale,
            mobile=width < 640,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        motion = {"name": "prefers-reduced-motion", "value": "reduce" if still else "no-preference"}
        self.tell("Emulation.setEmulatedMedia", features=[scheme, motion])

    def open(self, url: str) -> None:
        """Go there, and wait until it is loaded; again where the machine got another network meanwhile, as beside tests
        in containers: Chromium then breaks off what it loads.
        """
        for _ in range(OPENS_MAX):
            before = self._network_changes
            self.tell("Page.navigate", url=url)
            self.wait_for(f"location.href === {json.dumps(url)} && document.readyState === 'complete'")
            if self._network_changes == before:
                return
        raise AssertionError(f"the network changes all the time: {url}")

    def ask(self, expression: str) -> Any:
        """The value of a JavaScript expression, promises awaited."""
        answer = self.tell("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait_for(self, expression: str) -> None:
        """Until the expression is true."""
        deadline_s = time.monotonic() + ANSWER_MAX_S
        while not self.ask(f"new Promise(done => setTimeout(() => done(Boolean({expression})), 20))"):
            assert time.monotonic() < deadline_s, f"never true: {expression}; complaints: {self.complaints}"

    def press(self, key: str, *, shift: bool = False) -> None:
        """A key of the keyboard, down and up."""
        text = {"Enter": "\r", " ": " "}.get(key, "")
        code = {"Enter": 13, "Tab": 9, " ": 32, "End": 35, "Home": 36, "ArrowLeft": 37}[key]
        more = {"modifiers": 8 if shift else 0, "windowsVirtualKeyCode": code}
        for kind in ("keyDown", "keyUp"):
            self.tell(
                "Input.dispatchKeyEvent", type=kind, key=key, code={" ": "Space"}.get(key, key), text=text, **more
            )

    def click(self, selector: str) -> None:
        """The left button of the mouse on the middle of what is there, wherever it has moved to."""
        place = self.ask(
            f"(one => {{ one?.scrollIntoView({{block: 'nearest'}}); const r = one?.getBoundingClientRect();"
            f" return r && [r.x + r.width / 2, r.y + r.height / 2]; }})(document.querySelector({json.dumps(selector)}))"
        )
        if place is None:
            return  # it is gone: whoever waits for what the click does will say so
        x, y = place
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self.tell("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def choose_file(self, selector: str, path: Path) -> None:
        """Put a file into an `<input type=file>`, as its chooser does."""
        root = self.tell("DOM.getDocument")["root"]["nodeId"]
        node = self.tell("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.tell("DOM.setFileInputFiles", nodeId=node, files=[str(path)])

    def picture(self, path: Path, *, whole: bool = False) -> None:
        """A PNG of what is seen, or of the whole page."""
        data = self.tell("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"]
        path.write_bytes(base64.b64decode(data))

    def _message(self, deadline_s: float) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read], [], [], max(0.0, deadline_s - time.monotonic()))
            assert ready, "the browser does not answer"
            chunk = os.read(self._read, 1 << 20)
            assert chunk, "the browser has ended"
            self._buffer += chunk
        line, self._buffer = self._buffer.split(b"\0", 1)
        message: dict[str, Any] = json.loads(line)
        return message

    def _note(self, message: dict[str, Any]) -> None:
        params = message.get("params", {})
        match message.get("method"):
            case "Runtime.exceptionThrown":
                self.complaints.append(str(params["exceptionDetails"]))
            case "Runtime.consoleAPICalled" if params["type"] in ("error", "warning", "assert"):
                self.complaints.append(str(params["args"]))
            case "Log.entryAdded" if "ERR_NETWORK_CHANGED" in params["entry"]["text"]:
                self._network_changes += 1
            case "Log.entryAdded" if params["entry"]["level"] in ("error", "warning"):
                self.complaints.append(str(params["entry"]))
            case "Network.requestWillBeSent":
                url = params["request"]["url"]
                own = (f"{self._origin}/",) if self._origin else ()
                if not url.startswith(("file:", "data:", "about:", "blob:", *own)):
                    self.complaints.append(f"a request was made: {url}")
