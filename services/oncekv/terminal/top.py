"""`oncekv top`: what servers do right now, out of their `/metrics`, every second until Ctrl-C.

On a terminal the table is drawn over the last one; into a pipe each stands below it, or with `--json` is one object a
line. It asks once an interval and changes nothing on the server.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Any

import requests

from oncekv.terminal.figures import Figures, Look, figures, look
from oncekv.terminal.paint import Paint
from oncerpc.client.api.command_words import seconds
from oncerpc.client.transport.binding import BindingError, Link, bind

__all__ = ["configure", "run"]

OK, UNREACHED, USAGE = 0, 1, 2
ANSWER_MAX_S = 5.0
HOME_AND_CLEAR = "\x1b[H\x1b[J"
COLUMNS = (
    "server",
    "calls/s",
    "effects/s",
    "replays/s",
    "refused/s",
    "p50 ms",
    "p99 ms",
    "per commit",
    "sessions",
    "records",
)

EXAMPLES = """\
examples:
  oncekv top --server http://127.0.0.1:8000 --server kv-2=http://127.0.0.1:8001
  oncekv top --server http://127.0.0.1:8000 --once --json | jq '.servers[].replays_per_s'

Servers on one store count the same sessions and records. Latency: from the request to its reply on the server, of a
sample. exit: 0; with --once 1 if a server did not answer.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.description = "Live figures of servers: calls, effects, replays, refusals, latency, sessions."
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EXAMPLES
    add = parser.add_argument
    add(
        "--server",
        metavar="URL",
        action="append",
        required=True,
        help="URL, name=URL or service; again: another server",
    )
    add("--links", metavar="FILE", help="where a service's name is looked up (default: $ONCEKV_LINKS)")
    add("--client", metavar="NAME", help="only this client's links to the service")
    add("--interval", metavar="SECONDS", type=seconds, default=1.0, help="from one look to the next (default: 1)")
    add("--once", action="store_true", help="one interval, then end")
    add("--json", action="store_true", help="one JSON object an interval, for machines")


def run(args: argparse.Namespace) -> int:
    """Look until it is enough; the exit code."""
    try:
        found = bind(args.server, args.links, args.client)
    except BindingError as error:
        print(f"oncekv top: {error}", file=sys.stderr)
        return USAGE
    links = [Link(*(part.removesuffix("/rpc") for part in link)) for link in found]
    with ThreadPoolExecutor(len(links)) as pool, requests.Session() as session:
        session.trust_env = False  # as the client: no proxy, no .netrc
        try:
            return _watch(args, links, lambda: list(pool.map(lambda link: _look(session, link), links)))
        except KeyboardInterrupt:
            return OK


def _watch(args: argparse.Namespace, links: Sequence[Link], look_at_all: Any) -> int:
    before: list[Look | str] = look_at_all()
    while True:
        time.sleep(args.interval)
        after: list[Look | str] = look_at_all()
        found = [(link, _between(*pair)) for link, pair in zip(links, zip(before, after, strict=True), strict=True)]
        print(_json(found) if args.json else _table(found, is_over=sys.stdout.isatty() and not args.once), flush=True)
        if args.once:
            return UNREACHED if any(isinstance(one, str) for _, one in found) else OK
        before = after


def _look(session: requests.Session, link: Link) -> Look | str:
    """One look, or why there is none."""
    try:
        reply = session.get(f"{link.url}/metrics", timeout=ANSWER_MAX_S, allow_redirects=False)
        if reply.status_code != requests.codes.ok:
            return f"HTTP {reply.status_code}"
        return look(reply.text, time.monotonic())
    except requests.RequestException as error:
        return "no answer in time" if isinstance(error, requests.Timeout) else "no connection"
    except ValueError:
        return "what it says are no metrics"


def _between(before: Look | str, after: Look | str) -> Figures | str:
    if isinstance(after, str):
        return after
    return figures(before, after) if isinstance(before, Look) else "it is back"


def _json(found: Sequence[tuple[Link, Figures | str]]) -> str:
    servers = [
        {"server": link.name, "up": False, "why": one}
        if isinstance(one, str)
        else {"server": link.name, "up": True, **asdict(one)}
        for link, one in found
    ]
    return json.dumps({"time": round(time.time(), 3), "servers": servers})


def _table(found: Sequence[tuple[Link, Figures | str]], *, is_over: bool) -> str:
    paint = Paint(sys.stdout)
    width = max(len(COLUMNS[0]), *(len(link.name) for link, _ in found))
    lines = [paint("bold", f"{COLUMNS[0]:<{width}}  " + "  ".join(f"{name:>10}" for name in COLUMNS[1:]))]
    for link, one in found:
        if isinstance(one, str):
            lines.append(f"{link.name:<{width}}  {paint('red', one)}")
            continue
        cells = [
            f"{one.calls_per_s:>10.1f}",
            f"{one.effects_per_s:>10.1f}",
            _marked(paint, "cyan", one.replays_per_s),
            _marked(paint, "yellow", one.refusals_per_s),
            *(_or_dash(value, ".2f") for value in (one.p50_ms, one.p99_ms)),
            _or_dash(one.calls_per_commit, ".1f"),
            *(_or_dash(value, "d") for value in (one.sessions, one.records)),
        ]
        lines.append(f"{link.name:<{width}}  " + "  ".join(cells))
        lines += [f"  {name:<28} {rate:>10.1f}/s" for name, rate in sorted(one.methods.items())]
        lines += [
            f"  {paint('yellow', f'refused: {name:<19}')} {rate:>10.1f}/s"
            for name, rate in sorted(one.refusals.items())
        ]
    return (HOME_AND_CLEAR if is_over else "") + "\n".join(lines)


def _marked(paint: Paint, colour: str, rate: float) -> str:
    text = f"{rate:>10.1f}"
    return paint(colour, text) if rate else text


def _or_dash(value: float | None, form: str) -> str:
    return f"{'-':>10}" if value is None else f"{value:>10{form}}"
