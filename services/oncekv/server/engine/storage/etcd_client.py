"""A client of etcd's KV service (step 10): failover between the members, credentials, and what an error leaves open.

By plain HTTP to the JSON gateway that every member has. Of the Python clients, `etcd3` and its forks have had no
release for years and pin an old protobuf; `etcd3gw`, OpenStack's, is kept, and is this gateway by `requests` to one
host, without failover, and without telling a lost reply from a refusal.

Guarantee: a read is linearizable (etcd's default) and goes from member to member until one answers; a transaction that
writes is sent at most once: it goes on to another member only while nothing of it was sent. Limit: a member that is cut
off from the others costs an attempt's time before the next one is asked.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import msgspec

from oncekv.server.engine.storage import etcd_api as api
from oncekv.server.engine.storage.etcd_errors import (
    EtcdDenied,
    EtcdError,
    EtcdLost,
    EtcdRefused,
    EtcdUnreachable,
    error_of,
)
from oncekv.server.engine.storage.etcd_http import Member
from oncekv.server.engine.storage.etcd_url import EtcdLocation

__all__ = ["EtcdClient"]

T = TypeVar("T")

READ_MAX_S = 4.0
READ_ATTEMPT_S = 1.0
WRITE_MAX_S = 2.5
AWAY_MAX_S = 0.5
"""How long a read tries where another one has just found no member that answers."""
AWAY_FOR_S = 1.0
PAUSE_S = 0.05


class _Token(msgspec.Struct):
    token: str = ""


class EtcdClient:
    """The members of one cluster. Safe for threads."""

    def __init__(self, location: EtcdLocation) -> None:
        self._members = [Member(endpoint) for endpoint in location.endpoints]
        self._names = list(map(str, location.endpoints))
        self._first = 0
        """The member that is asked first: the last one that answered."""
        self._away_until_s = 0.0
        self._credentials = (location.user, location.password)
        self._token = ""

    def close(self) -> None:
        """Close the connections."""
        for member in self._members:
            member.close()

    def range(self, request: api.Range, max_s: float = READ_MAX_S) -> api.RangeResponse:
        """Read a range. Raises EtcdError."""
        return self._read("/v3/kv/range", api.encode(request), api.decode_range, max_s)

    def read(self, request: api.Txn, max_s: float = READ_MAX_S) -> api.TxnResponse:
        """A transaction that writes nothing: all that it reads is of one moment. Raises EtcdError."""
        return self._read("/v3/kv/txn", api.encode(request), api.decode_txn, max_s)

    def write(self, request: api.Txn, max_s: float = WRITE_MAX_S) -> api.TxnResponse:
        """A transaction. Raises EtcdLost when nobody can tell what became of it, and another EtcdError when it did
        nothing.
        """
        deadline_s = time.monotonic() + max_s
        body = api.encode(request)
        error: EtcdError = EtcdUnreachable("no member was asked")
        for number in self._order():
            try:
                answer = self._post(number, "/v3/kv/txn", body, deadline_s)
                self._first = number
                return api.decode_txn(answer)
            except EtcdUnreachable as unreachable:
                error = unreachable
            except EtcdLost:
                self._first = (number + 1) % len(self._members)
                raise
            except msgspec.DecodeError:
                raise EtcdLost(f"{self._names[number]} answered in other words than etcd's") from None
        raise error

    def _read(self, path: str, body: bytes, decode: Callable[[bytes], T], max_s: float) -> T:
        """Round and round, until one answers or the time is up."""
        began_s = time.monotonic()
        deadline_s = began_s + (min(max_s, AWAY_MAX_S) if began_s < self._away_until_s else max_s)
        attempt_s = min(READ_ATTEMPT_S, (deadline_s - began_s) / len(self._members))
        error: EtcdError = EtcdUnreachable("no member was asked")
        while time.monotonic() < deadline_s:
            for number in self._order():
                try:
                    answer = self._post(number, path, body, min(deadline_s, time.monotonic() + attempt_s))
                    decoded = decode(answer)
                except (EtcdUnreachable, EtcdLost) as lost:
                    error = lost
                except msgspec.DecodeError:
                    error = EtcdLost(f"{self._names[number]} answered in other words than etcd's")
                else:
                    self._first, self._away_until_s = number, 0.0
                    return decoded
            time.sleep(PAUSE_S)  # where all refuse at once, they are not asked at once again
        self._away_until_s = time.monotonic() + AWAY_FOR_S
        raise error

    def _order(self) -> list[int]:
        first, count = self._first, len(self._members)
        return [(first + number) % count for number in range(count)]

    def _post(self, number: int, path: str, body: bytes, deadline_s: float) -> bytes:
        """To one member; a token that has run out is renewed once."""
        if self._credentials[0] and not self._token:
            self._authenticate(number, deadline_s)
        used = self._token
        try:
            return self._send(number, path, body, used, deadline_s)
        except EtcdDenied as error:
            if not used or "permission denied" in str(error):
                raise
        if self._token == used:
            self._authenticate(number, deadline_s)
        return self._send(number, path, body, self._token, deadline_s)

    def _send(self, number: int, path: str, body: bytes, token: str, deadline_s: float) -> bytes:
        headers = {"Content-Type": "application/json"}
        if token:
            headers["Authorization"] = token
        status, answer = self._members[number].post(path, body, headers, deadline_s)
        if status == 200:
            return answer
        error = error_of(status, answer)
        raise type(error)(f"{self._names[number]}: {error}") from None

    def _authenticate(self, number: int, deadline_s: float) -> None:
        """Raises EtcdDenied; a member that does not answer has done nothing that matters."""
        user, password = self._credentials
        request = api.encode({"name": user, "password": password})
        try:
            answer = self._send(number, "/v3/auth/authenticate", request, "", deadline_s)
            self._token = msgspec.json.decode(answer, type=_Token).token
        except EtcdLost as error:
            raise EtcdUnreachable(str(error)) from None
        except EtcdRefused as error:
            if "not enabled" not in str(error):
                raise
            self._token = "none"  # noqa: S105 as etcd's own clients do: who asks for no password is given none
