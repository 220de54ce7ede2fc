"""`python -m chaos live`: the page, from its first word to Ctrl-C.

One address is printed, once. Ctrl-C, or SIGTERM, ends everything that was started.
"""

from __future__ import annotations

import argparse
import contextlib
import secrets
import socket
import sys
import threading
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from flask import Flask

from chaos.live.actions import Actions, Refused
from chaos.live.app import make_app
from chaos.live.journal import Journal
from chaos.live.options import HOST, Options, command_of, read_options
from chaos.live.saved import Foreign, open_saved
from chaos.live.scene_player import ScenePlayer
from chaos.live.web_server import PortBusy, WebServer, listen
from chaos.live.world import World
from chaos.runtime.base import ServerError
from chaos.runtime.toxiproxy import ToxiproxyFailed, ToxiproxyMissing
from oncekv import console

__all__ = ["run"]

JOURNAL = "journal.jsonl"


def run(args: argparse.Namespace) -> int:
    """Until it is interrupted; the exit code."""
    try:
        options = read_options(args)
        listening = listen(args.host, args.port)
    except (ValueError, PortBusy) as error:
        _say(str(error))
        return console.USAGE
    with contextlib.ExitStack() as stack:
        stack.callback(listening.close)
        try:
            return _serve(args, options, listening, stack)
        except (ToxiproxyMissing, ToxiproxyFailed, ServerError) as error:
            _say(str(error))
            return console.UNAVAILABLE
        except KeyboardInterrupt:
            _say("ended; nothing is left running")
            return 0


def _serve(args: argparse.Namespace, options: Options, listening: socket.socket, stack: contextlib.ExitStack) -> int:
    port = listening.getsockname()[1]
    address = f"http://127.0.0.1:{port}/"
    folder: Path = args.out or Path("out", f"live-{datetime.now():%Y%m%d-%H%M%S}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        token_file, token = folder / "token", secrets.token_urlsafe(24)
        token_file.touch(mode=0o600)
        token_file.write_text(token, encoding="utf-8")
        stack.callback(token_file.unlink, missing_ok=True)
        journal = Journal(None if args.open else folder / JOURNAL)
    except OSError as error:
        _say(f"{folder} cannot be written ({error.strerror}); choose another place with --out")
        return console.USAGE
    if args.open:
        return _show_saved(args, journal, listening, stack, token)
    player = ScenePlayer(options.store, options.runtime)
    about = {"version": _version(), "scenes": player.listed(), "command": command_of(args, options)}
    world = World(options, folder, journal, about)
    stack.callback(world.close)
    world.announce()
    actions = Actions(world, player, address, str(token_file))
    player.world, player.act = world, lambda body: actions.do(body, "scene")
    stack.callback(player.end)
    _start_web(make_app(journal, actions.do, _hosts(args.host, port), token), listening, stack, journal)
    world.set_workload(running=True)
    console.announce("python -m chaos live", f"live: {address}")
    threading.Event().wait()
    return 0


def _show_saved(
    args: argparse.Namespace, journal: Journal, listening: socket.socket, stack: contextlib.ExitStack, token: str
) -> int:
    port = listening.getsockname()[1]
    try:
        open_saved(args.open, journal)
    except Foreign as foreign:
        _say(str(foreign))
        return console.USAGE

    def refuse(_body: bytes) -> None:
        raise Refused("this is an opened file: it can be looked at, and nothing can be done in it")

    _start_web(make_app(journal, refuse, _hosts(args.host, port), token), listening, stack, journal)
    console.announce("python -m chaos live", f"live: http://127.0.0.1:{port}/")
    threading.Event().wait()
    return 0


def _hosts(host: str, port: int) -> frozenset[str]:
    """What a browser may say; in a container the port is another one outside."""
    names = ("127.0.0.1", "localhost")
    return frozenset(f"{name}:{port}" for name in names) if host == HOST else frozenset(names)


def _start_web(app: Flask, listening: socket.socket, stack: contextlib.ExitStack, journal: Journal) -> None:
    web = WebServer(app, listening)
    web.start()
    stack.callback(web.close)
    stack.callback(journal.close)


def _version() -> str:
    try:
        return version("oncekv")
    except PackageNotFoundError:
        return "unknown"


def _say(line: str) -> None:
    print(f"live: {line}", file=sys.stderr, flush=True)  # noqa: T201 what goes on
