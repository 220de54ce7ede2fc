"""The errors of the key/value service: a call ran and said no; recorded and replayed."""

from __future__ import annotations

from oncerpc.wire.errors import ApplicationError

__all__ = ["NotAnInteger", "VersionMismatch"]


class VersionMismatch(ApplicationError):
    code, name, when = 22, "version_mismatch", "the key is at another version"


class NotAnInteger(ApplicationError):
    code, name, when = 23, "not_an_integer", "the value is not an integer of 64 bits, or would leave them"
