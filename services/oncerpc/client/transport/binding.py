"""From a server's name to the links that lead to it.

    "http://127.0.0.1:8001"             one link, named after its URL: calls go to http://127.0.0.1:8001/rpc
    "https://host/prefix"               behind a proxy that puts the server there: calls go to https://host/prefix/rpc
    "kv-1=http://127.0.0.1:8001"        one link with a name of its own
    ["http://…:21001", "http://…:21002"]  links to ONE server, or to servers of ONE store: a retry takes the next
    "kv-1"                              a service, looked up in a links file: every link to it, or those of one client

A links file is `services/toxiproxy/links.json`, or one of its form, which is Toxiproxy's own with two members more:
`[{"name": "c1-kv-1", "client": "c1", "server": "kv-1", "listen": "0.0.0.0:21101", …}, …]`. Its path is given, or stands
in the environment as ONCEKV_LINKS. A link that listens on every address (0.0.0.0) is reached on ONCEKV_LINKS_HOST,
127.0.0.1 if that is not set.

Place on the way: once, when the stub (1) is made; what comes out is what the transport (3) connects to (4).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec
import requests

__all__ = ["HOST_VARIABLE", "LINKS_VARIABLE", "BindingError", "Link", "bind"]

LINKS_VARIABLE = "ONCEKV_LINKS"
HOST_VARIABLE = "ONCEKV_LINKS_HOST"
_EVERYWHERE = ("0.0.0.0", "[::]", "")  # noqa: S104 what a file says, not what we bind
_NAMED_URL = re.compile(r"([\w.-]+)=(https?://.*)", re.DOTALL)


class BindingError(ValueError):
    """The server cannot be found; the message names the cause and the way out."""


class Link(NamedTuple):
    """One way to the server."""

    name: str
    url: str


def bind(
    server: str | Sequence[str],
    links: str | Path | None = None,
    client: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> tuple[Link, ...]:
    """The links to `server`, in order of preference, at least one. Raises BindingError."""
    if not isinstance(server, str):
        if not server:
            raise BindingError("the list of links to the server is empty")
        return tuple(link for one in server for link in bind(one, links, client, environment))
    named = _NAMED_URL.fullmatch(server)
    if named:
        return (Link(named[1], _rpc_url(named[2])),)
    if "://" in server:
        url = _rpc_url(server)
        return (Link(url, url),)
    return _look_up(server, links, client, os.environ if environment is None else environment)


def _rpc_url(url: str) -> str:
    """Where calls go: /rpc below the URL, unless it ends in that already."""
    if "@" in url.partition("://")[2].partition("/")[0]:  # not shown: it may hold a password
        raise BindingError("the URL has a user or a password before its host; leave them out, and give a token instead")
    try:
        parts = urlsplit(url)
        has_host = bool(parts.hostname) and parts.port != 0
    except ValueError as error:
        raise BindingError(f"{url!r} is not a URL: {error}") from None
    if parts.scheme not in ("http", "https") or not has_host or any(letter.isspace() for letter in url):
        raise BindingError(f"{url!r} is not an http:// or https:// URL with a host")
    if "?" in url or "#" in url:
        raise BindingError(f"{url!r} has a query or a fragment; give the address alone")
    return _checked(f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/').removesuffix('/rpc')}/rpc")


def _checked(url: str) -> str:
    """A URL that the transport takes: a host such as .b would else be an error of the first call."""
    try:
        requests.Request("POST", url).prepare()
    except (requests.RequestException, ValueError) as error:
        raise BindingError(f"{url!r} is not a URL: {error}") from None
    return url


def _look_up(
    server: str, links: str | Path | None, client: str | None, environment: Mapping[str, str]
) -> tuple[Link, ...]:
    path = links or environment.get(LINKS_VARIABLE)
    if not path:
        raise BindingError(
            f"{server!r} is not a URL; to use a service's name, give a links file or set {LINKS_VARIABLE}"
        )
    table = _read(Path(path))
    found = [
        Link(str(row["name"]), _rpc_url(f"http://{_reached(row['listen'], environment)}"))
        for row in table
        if server in (row["server"], row["name"]) and client in (None, row.get("client"))
    ]
    if not found:
        known = ", ".join(sorted({str(row["server"]) for row in table})) or "none"
        of_client = f" for client {client!r}" if client is not None else ""
        raise BindingError(f"{path} has no link to {server!r}{of_client}; it knows the servers: {known}")
    return tuple(found)


def _reached(listen: str, environment: Mapping[str, str]) -> str:
    host, _, port = listen.rpartition(":")
    return f"{environment.get(HOST_VARIABLE, '127.0.0.1')}:{port}" if host in _EVERYWHERE else listen


def _read(path: Path) -> list[dict[str, Any]]:
    try:
        rows = msgspec.json.decode(path.read_bytes())
        if not rows or not all(isinstance(row[member], str) for row in rows for member in ("name", "server", "listen")):
            raise TypeError
    except OSError as error:
        raise BindingError(f"cannot read the links file {path}: {error.strerror}") from None
    except (msgspec.MsgspecError, KeyError, TypeError):
        raise BindingError(f"{path} is not a links file: each of its links needs name, server and listen") from None
    return list(rows)
