"""What every answer must be, whatever was asked: one of the documented statuses, and a result or a registered error."""

from __future__ import annotations

from typing import Any

from tests.support.replies import ERRORS

__all__ = ["STATUSES", "faults"]

STATUSES = frozenset({200, 204, 400, 401, 404, 405, 411, 413, 415, 417, 422, 431, 503, 505})
"""Of docs/protocol.md, "Transport". 500 is that of a page that failed, and none may."""


def faults(response: Any) -> list[str]:
    """What is wrong with one response object."""
    if not isinstance(response, dict):
        return [f"no object: {response!r}"]
    found = [] if response.get("jsonrpc") == "2.0" and "id" in response else ["no response of JSON-RPC 2.0"]
    if ("result" in response) == ("error" in response):
        return [*found, "not exactly one of result and error"]
    if "error" not in response:
        return found
    error = response["error"]
    data = error.get("data", {})
    if not isinstance(error.get("message"), str):
        found.append("an error without a message")
    if ERRORS.get(error.get("code")) != (data.get("name"), data.get("definite")):
        found.append(f"an error that the registry does not have: {error}")
    return found
