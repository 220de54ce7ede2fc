"""The URL of a PostgreSQL store (step 10): as libpq has it, checked before anybody connects, and never shown.

What libpq says of a URL may quote a part of it, and a password that was not percent-encoded ends up in the parts where
nobody expects it. So nothing of a URL that cannot be understood is repeated.
"""

from __future__ import annotations

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from oncekv.server.config import UsageError

__all__ = ["connection_string", "scrub"]

FORM = "a PostgreSQL store is given as postgresql://USER[:PASSWORD]@HOST[:PORT][,HOST[:PORT]…]/DATABASE[?OPTION=VALUE…]"
CONNECT_TIMEOUT_S = 2  # libpq's least, for each host
_TARGETS = ("read-write", "primary", "any", "prefer-standby")
_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_OURS: dict[str, str | int] = {
    "connect_timeout": CONNECT_TIMEOUT_S,
    "application_name": "oncekv",
    "target_session_attrs": "read-write",
    # A host that vanishes is noticed by the kernel within seconds, not hours.
    "keepalives_idle": 3,
    "keepalives_interval": 1,
    "keepalives_count": 3,
    "tcp_user_timeout": 5000,
}


def connection_string(location: str) -> str:
    """For libpq: what follows `postgresql://`, and our own defaults where it says nothing. Raises UsageError."""
    try:
        options = conninfo_to_dict(f"postgresql://{location}")
    except ProgrammingError:
        raise UsageError(f"{FORM}; in a name or password %, /, ?, @ and : are percent-encoded") from None
    hosts, ports = (str(options.get(name, "")).split(",") for name in ("host", "port"))
    database = str(options.get("dbname", ""))
    if any(not _is_port(port) for port in ports) or len(ports) not in (1, len(hosts)):
        raise UsageError(f"{FORM}; a port is a number from 1 to 65535, and a password's : is written %3A")
    if not database or set("/@") & {*database} or any("@" in host for host in hosts):
        raise UsageError(f"{FORM}; it must name one database, and a password's / and @ are written %2F and %40")
    if options.get("target_session_attrs", _TARGETS[0]) not in _TARGETS:
        raise UsageError(f"{FORM}; a store is written, so target_session_attrs is one of {', '.join(_TARGETS)}")
    if options.get("sslmode", _SSL_MODES[0]) not in _SSL_MODES:
        raise UsageError(f"{FORM}; sslmode is one of {', '.join(_SSL_MODES)}")
    given: dict[str, str | int] = {name: str(text) for name, text in options.items()}
    return make_conninfo("", **(_OURS | given | {"client_encoding": "UTF8"}))


def scrub(text: str, conninfo: str) -> str:
    """What a driver or the database says, on one line and without the password."""
    options = conninfo_to_dict(conninfo)
    line = " ".join(text.split())
    for secret in (options.get("password"), options.get("sslpassword")):
        line = line.replace(str(secret), "***") if secret else line
    return line


def _is_port(text: str) -> bool:
    return not text or (text.isascii() and text.isdecimal() and len(text) <= 5 and 1 <= int(text) <= 65535)
