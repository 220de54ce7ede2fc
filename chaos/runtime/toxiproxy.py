"""The real Toxiproxy server: found or provisioned, and run as a child process.

Place: under every link of the local runtime. `python -m chaos.runtime.toxiproxy` prints the path of the binary.

Guarantee: `provision` returns a binary that has just said its version, or raises `ToxiproxyMissing` with one
line that says how to get it; several processes may ask at once, one of them fetches, and nobody sees half a
file. Every wait is bounded. Limit: what is on PATH is taken even when it is another version, with a warning.
"""

import fcntl
import http.client
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Self

from oncekv import console

__all__ = ["VERSION", "Toxiproxy", "ToxiproxyFailed", "ToxiproxyMissing", "provision"]

VERSION = "2.12.0"
_MODULE = "github.com/Shopify/toxiproxy/v2"
_RELEASE = f"https://github.com/Shopify/toxiproxy/releases/tag/v{VERSION}"
_IMAGE = f"ghcr.io/shopify/toxiproxy:{VERSION}"
_TOOLS = Path(__file__).resolve().parents[2] / ".tools"
_NAME = "toxiproxy-server"

_BUILD_TIMEOUT_S = 600.0
_PULL_TIMEOUT_S = 300.0
_COMMAND_TIMEOUT_S = 20.0
_START_TIMEOUT_S = 5.0
_POLL_S = 0.02
_START_ATTEMPTS_MAX = 3
_STOP_TIMEOUT_S = 5.0

# PR_SET_PDEATHSIG is 1; the parent may have died before the call, so it is compared afterwards. A program in
# between and not `preexec_fn`, because Python code between fork and exec can deadlock when there are threads.
_DIE_WITH_PARENT = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() != int(sys.argv[1]):
    sys.exit(1)
os.execv(sys.argv[2], sys.argv[2:])
"""


class ToxiproxyMissing(Exception):
    """No server was found and none could be provisioned; the message is one line with the way out."""


class ToxiproxyFailed(Exception):
    """The server was there but did not start to answer; the message is one line with the reason."""


class _WayBlocked(Exception):
    """One way of provisioning does not work here; the next may."""


def provision(tools_dir: Path = _TOOLS) -> Path:
    """The path of a server: from PATH, else cached, else built with Go, else out of the Docker image."""
    found = _on_path()
    if found is not None:
        return found
    target = tools_dir / _NAME
    try:
        if _version(target) == VERSION:
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        with _exclusive(target.parent / "toxiproxy.lock"):
            if _version(target) != VERSION:  # nobody else fetched it while we waited
                _fetch(target)
    except OSError as error:
        raise ToxiproxyMissing(f"Toxiproxy {VERSION} cannot be kept in {target.parent}: {error}") from error
    return target


def _on_path() -> Path | None:
    found = shutil.which(_NAME)
    version = None if found is None else _version(Path(found))
    if found is None or version is None:
        return None
    if version != VERSION:
        _say(f"warning: {found} is version {version}; the scenarios were tried with {VERSION}")
    return Path(found)


def _version(binary: Path) -> str | None:
    """What the binary reports ("git" when it was built without a version), None when it does not run."""
    try:
        output = _run([str(binary), "-version"], _COMMAND_TIMEOUT_S)
    except _WayBlocked:
        return None
    return output.split()[-1] if output.strip() else None


def _fetch(target: Path) -> None:
    """Fetch into a temporary directory, try the binary, and only then move it to its place in one step."""
    blocked = []
    for name, way in (("go", _build_with_go), ("docker", _copy_from_image)):
        with tempfile.TemporaryDirectory(prefix="toxiproxy-", dir=target.parent) as scratch:
            try:
                binary = way(Path(scratch))
                if _version(binary) != VERSION:
                    raise _WayBlocked("what came does not run or is another version")
            except _WayBlocked as error:
                blocked.append(f"{name}: {error}")
                continue
            binary.replace(target)
            return
    raise ToxiproxyMissing(
        f"Toxiproxy {VERSION} is missing ({'; '.join(blocked)}): install Go 1.23 or newer, or start Docker,"
        f" and try again; or put the server of {_RELEASE} on PATH as {_NAME}"
    )


def _build_with_go(scratch: Path) -> Path:
    if shutil.which("go") is None:
        raise _WayBlocked("not on PATH")
    _say(f"building {VERSION} with Go (about 40 seconds)")
    # A cross-compiling environment would give a binary that does not run here, and refuses GOBIN anyway.
    environment = {name: value for name, value in os.environ.items() if name not in ("GOOS", "GOARCH")}
    # Without -X the binary calls itself "git", and the cache could not tell one version from another.
    flags = f"-ldflags=-X {_MODULE}.Version={VERSION}"
    command = ["go", "install", flags, f"{_MODULE}/cmd/server@v{VERSION}"]
    _run(command, _BUILD_TIMEOUT_S, environment | {"GOBIN": str(scratch)})
    return scratch / "server"


def _copy_from_image(scratch: Path) -> Path:
    try:
        _run(["docker", "version", "--format", "{{.Server.Version}}"], _COMMAND_TIMEOUT_S)
    except _WayBlocked as error:
        raise _WayBlocked("no engine answers") from error
    image = os.environ.get("TOXIPROXY_IMAGE", _IMAGE)
    _say(f"taking {VERSION} out of the image {image}")
    name = f"oncekv-toxiproxy-{os.getpid()}-{time.monotonic_ns()}"
    try:
        _run(["docker", "create", "--name", name, image], _PULL_TIMEOUT_S)
        _run(["docker", "cp", f"{name}:/toxiproxy", str(scratch / _NAME)], _COMMAND_TIMEOUT_S)
    finally:
        with suppress(_WayBlocked):  # it was never created, or the engine went away: nothing to clean up
            _run(["docker", "rm", "--force", name], _COMMAND_TIMEOUT_S)
    return scratch / _NAME


def _run(command: list[str], timeout_s: float, environment: dict[str, str] | None = None) -> str:
    """The output of a command; `_WayBlocked` with the reason when it fails, is missing or takes too long."""
    try:
        done = subprocess.run(command, env=environment, capture_output=True, timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired as error:
        raise _WayBlocked(f"gave up after {timeout_s:.0f} s") from error
    except OSError as error:
        raise _WayBlocked(f"does not run: {error.strerror}") from error
    if done.returncode != 0:
        lines = done.stderr.decode(errors="replace").split("\n")
        reason = next((line.strip() for line in reversed(lines) if line.strip()), "no message")
        raise _WayBlocked(f"exit code {done.returncode}: {reason}")
    return done.stdout.decode(errors="replace")


@contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    """One process at a time. The kernel lets go of the lock when its holder dies, so none is ever stale."""
    deadline_s = time.monotonic() + _BUILD_TIMEOUT_S + _PULL_TIMEOUT_S
    with path.open("w") as lock:
        while not _locked(lock):
            if time.monotonic() > deadline_s:
                raise ToxiproxyMissing(f"another process holds {path}; end it and try again")
            time.sleep(_POLL_S)
        yield


def _locked(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _say(line: str) -> None:
    print(f"toxiproxy: {line}", file=sys.stderr, flush=True)


class Toxiproxy:
    """A server of our own on a free loopback port, running from construction to `stop()`.

    Guarantee: once constructed, its API answers; it dies with us, even when we are killed (Linux).
    Limit: to the kernel, "us" is the thread that constructs it; let that be one that outlives the server.
    Raises ToxiproxyMissing or ToxiproxyFailed. The log, if asked for, is appended to.
    """

    def __init__(self, log_path: Path | None = None, binary: Path | None = None) -> None:
        self._binary = binary or provision()
        self._log_path = log_path or Path(os.devnull)
        for _ in range(_START_ATTEMPTS_MAX):
            self.port = _free_port()
            mark = f"mark-{secrets.token_hex(8)}"
            self._process = self._spawn(mark)
            try:
                if self._answers(mark):
                    return
            except BaseException:
                self.stop()
                raise
            self.stop()
        raise ToxiproxyFailed(f"{self._binary} does not start to answer; its log: {self._log_path}")

    @property
    def api_url(self) -> str:
        """Where its HTTP API answers, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        """End it and all its links; SIGKILL when SIGTERM takes too long. Harmless when it has ended."""
        self._process.terminate()
        try:
            self._process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(_STOP_TIMEOUT_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def _spawn(self, mark: str) -> subprocess.Popen[bytes]:
        address = ["-host", "127.0.0.1", "-port", str(self.port)]
        command = [str(self._binary), *address, "-config", "/dev/stdin"]
        if sys.platform == "linux":
            command = [sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, str(os.getpid()), *command]
        with self._log_path.open("ab") as log:
            # A group of its own: Ctrl-C is for us, and we end it in our order.
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT, process_group=0
            )
        marked = {"name": mark, "listen": "127.0.0.1:0", "upstream": "127.0.0.1:1", "enabled": False}
        assert process.stdin is not None
        with suppress(BrokenPipeError), process.stdin:  # it has exited already: `_answers` will see
            process.stdin.write(json.dumps([marked]).encode())
        return process

    def _answers(self, mark: str) -> bool:
        """Wait until the API on our port answers; whether it is ours.

        Somebody may listen on the port before Toxiproxy does, and Toxiproxy stays alive when that happens. If
        it is another Toxiproxy, its API would answer, and we would break a stranger's links. So ours starts
        with a disabled proxy of a random name, and the one that can remove it is ours.
        """
        deadline_s = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < deadline_s and self._process.poll() is None:
            status = _ask(self.port, "DELETE", f"/proxies/{mark}")
            if status is not None:
                return status == http.client.NO_CONTENT
            time.sleep(_POLL_S)
        return False


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _ask(port: int, method: str, path: str) -> int | None:
    """The status of an answer, None without one. http.client, because it asks no proxy of the environment."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1.0)
    try:
        connection.request(method, path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def main() -> int:
    """Print the path; exit code 1 and one line on stderr when there is none."""
    try:
        print(provision())
    except ToxiproxyMissing as error:
        _say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    # SIGTERM ends it as an exception does, so that the temporary directory is removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(console.run("toxiproxy", main))
