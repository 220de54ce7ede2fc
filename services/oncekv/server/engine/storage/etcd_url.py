"""How an etcd store is named (step 10): `etcd://[USER:PASSWORD@]HOST:PORT[,HOST:PORT…][/PREFIX]`.

All keys of a store begin with its prefix, so several stores, and other programs, share one cluster, and a role of
etcd's can be given the rights to one of them. Limit: plain HTTP between server and etcd; a network that is not trusted
needs a tunnel.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from oncekv.server.config import UsageError

__all__ = ["Endpoint", "EtcdLocation", "parse_location"]

FORM = "an etcd store is given as etcd://HOST:PORT[,HOST:PORT…][/PREFIX], or etcd://USER:PASSWORD@HOST:PORT…"
DEFAULT_PREFIX = b"oncekv"
ENDPOINTS_MAX = 16
PREFIX_BYTES_MAX = 256
_ESCAPED_BADLY = re.compile(r"%(?![0-9A-Fa-f]{2})")
_HOST_PORT = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})")


class Endpoint(NamedTuple):
    """Where one member listens for clients."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True)
class EtcdLocation:
    """Where a store is. It shows no credentials: what is logged is the endpoints and the prefix."""

    endpoints: tuple[Endpoint, ...]
    prefix: bytes
    """With the slash at its beginning and the one at its end."""
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    def __str__(self) -> str:
        return ",".join(map(str, self.endpoints))


def parse_location(location: str) -> EtcdLocation:
    """What stands behind `etcd://`. Raises UsageError, which shows nothing of the URL."""
    authority, _, path = location.partition("/")
    credentials, at, hosts = authority.rpartition("@")
    if "?" in location or "#" in location or _ESCAPED_BADLY.search(location):
        raise UsageError(f"{FORM}; what means something in a URL is written in percent: ? is %3F, # is %23, / is %2F")
    user, password = _credentials(credentials) if at else ("", "")
    return EtcdLocation(_endpoints(hosts), _prefix(path), user, password)


def _credentials(text: str) -> tuple[str, str]:
    user, colon, password = text.partition(":")
    if not user or not colon or not password or "@" in text or ":" in password:
        raise UsageError(f"{FORM}; in a user or a password @ is written %40 and : is %3A")
    try:
        return unquote_to_bytes(user).decode(), unquote_to_bytes(password).decode()
    except UnicodeDecodeError:
        raise UsageError(f"{FORM}, in UTF-8") from None


def _endpoints(text: str) -> tuple[Endpoint, ...]:
    found: list[Endpoint] = []
    for one in text.split(","):
        match = _HOST_PORT.fullmatch(one)
        if match is None or not 0 < int(match[2]) < 65536:
            raise UsageError(f"{FORM}; every endpoint has a host and a port")
        found.append(Endpoint(match[1].strip("[]"), int(match[2])))
    if len(found) > ENDPOINTS_MAX or len(set(found)) < len(found):
        raise UsageError(f"{FORM}; up to {ENDPOINTS_MAX} endpoints, and none twice")
    return tuple(found)


def _prefix(path: str) -> bytes:
    """Slashes at the end do not count: `/a` and `/a/` are one store."""
    name = unquote_to_bytes(path).strip(b"/") or DEFAULT_PREFIX
    if len(name) > PREFIX_BYTES_MAX or b"\xff" in name:
        raise UsageError(f"{FORM}; a prefix has up to {PREFIX_BYTES_MAX} bytes of UTF-8")
    return b"/" + name + b"/"
