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

__all__ = ["Browser", "executable"]

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
ANSWER_MAX_S = 30.0
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


def executable() -> str | None:
    """Where this machine's Chromium is; ONCEKV_CHROMIUM names another."""
    named = os.environ.get("ONCEKV_CHROMIUM")
    return named or next((found for name in NAMES if (found := shutil.which(name))), None)


class Browser:
    """One page. `complaints` grows with errors of the console, uncaught exceptions and requests that were made."""

    def __init__(self, program: str, profile: Path) -> None:
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
        self._number = 0
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
        self.tell("Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=0, uploadThroughput=0)

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

    def size(self, width: int, height: int, *, dark: bool = False, scale: int = 1) -> None:
        """The window of a device; below 640 pixels one that is held in a hand."""
        self.tell(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=scale,
            mobile=width < 640,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.tell("Emulation.setEmulatedMedia", features=[scheme])

    def open(self, url: str) -> None:
        """Go there, and wait until it is loaded."""
        self.tell("Page.navigate", url=url)
        self.wait_for(f"location.href === {json.dumps(url)} && document.readyState === 'complete'")

    def ask(self, expression: str) -> Any:
        """The value of a JavaScript expression, promises awaited."""
        answer = self.tell("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait_for(self, expression: str) -> None:
        """Until the expression is true."""
        deadline_s = time.monotonic() + ANSWER_MAX_S
        while not self.ask(f"new Promise(done => setTimeout(() => done(Boolean({expression})), 20))"):
            assert time.monotonic() < deadline_s, f"never true: {expression}"

    def press(self, key: str) -> None:
        """A key of the keyboard, down and up."""
        text = {"Enter": "\r"}.get(key, "")
        code = {"Enter": 13, "Tab": 9}[key]
        for kind in ("keyDown", "keyUp"):
            self.tell("Input.dispatchKeyEvent", type=kind, key=key, code=key, text=text, windowsVirtualKeyCode=code)

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
            case "Log.entryAdded" if params["entry"]["level"] in ("error", "warning"):
                self.complaints.append(str(params["entry"]))
            case "Network.requestWillBeSent":
                url = params["request"]["url"]
                if not url.startswith(("file:", "data:", "about:", "blob:")):
                    self.complaints.append(f"a request was made: {url}")
