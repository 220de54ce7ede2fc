"""What a view's caller is told where the library refuses: `application/problem+json` (RFC 9457), with a link to the
policy.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec
from flask import Response, request

__all__ = ["PROBLEMS", "Problem", "problem"]


class Problem(NamedTuple):
    """One kind of refusal. `may_retry`: the same request may be sent again, with the same key."""

    status: int
    title: str
    may_retry: bool


PROBLEMS = {
    "key-missing": Problem(400, "An Idempotency-Key is required", False),
    "key-malformed": Problem(400, "The Idempotency-Key is malformed", False),
    "key-reused": Problem(422, "The Idempotency-Key belongs to another request", False),
    "still-running": Problem(409, "A request with this Idempotency-Key is still running", True),
    "busy": Problem(503, "The database is busy; nothing was done", True),
    "database-away": Problem(503, "The database cannot be reached; nothing was done", True),
    "outcome-unknown": Problem(500, "Nobody can tell whether it was done; ask again with the same key", True),
    "failed": Problem(500, "The request failed; nothing was done", True),
}
"""By the last part of `type`."""

RETRY_AFTER_S = 1


def problem(name: str, detail: str, policy_path: str) -> Response:
    """The reply of a refusal; its `type` leads to the paragraph of the policy page."""
    kind = PROBLEMS[name]
    page = f"{request.root_path}{policy_path}"
    body = {"type": f"{page}#{name}", "title": kind.title, "status": kind.status, "detail": detail}
    response = Response(msgspec.json.encode(body), kind.status, mimetype="application/problem+json")
    response.headers["Link"] = f'<{page}>; rel="help"'
    if kind.may_retry:
        response.headers["Retry-After"] = str(RETRY_AFTER_S)
    return response
