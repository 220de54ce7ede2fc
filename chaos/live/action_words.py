"""The words of an action: its name and its facts, as JSON, and what is checked before the world is looked at."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta, Struct

from chaos.live.callers import METHODS

__all__ = ["Action", "Call", "EndScene", "LateCopy", "LinkTo", "Lose", "PlayScene", "Reset", "ServerDo", "SetPace",
           "SetSemantics", "Step", "Workload", "read_action"]  # fmt: skip

Name = Annotated[str, Meta(min_length=1, max_length=80)]
Text = Annotated[str, Meta(max_length=60, pattern=r"^[\w ./:-]*\Z")]


class Lose(Struct, frozen=True, forbid_unknown_fields=True, tag_field="action", tag="lose"):
    message: Name


class LateCopy(Struct, frozen=True, forbid_unknown_fields=True, tag_field="action", tag="late-copy"):
    message: Name | None = None
    call: Name | None = None


class LinkTo(Struct, frozen=True, forbid_unknown_fields=True, tag_field="action", tag="link"):
    link: Name
    state: str


class ServerDo(Struct, frozen=True, forbid_unknown_fields=True, tag_field="action", tag="server"):
    server: Name
    do: str


class SetSemantics(Struct, frozen=True, forbid_unknown_fields=True, tag_field="action", tag="semantics"):
    semantics: str


class SetPace(Struct, frozen=True, forbid_unknown_fields=True, tag_field="action", tag="pace"):
    mode: str
    travel_ms: Annotated[int, Meta(ge=0, le=10_000)] | None = None


class Step(Struct, frozen=True, forbid_unknown_fields=True, tag_field="action", tag="step"):
    pass


class Call(Struct, frozen=True, forbid_unknown_fields=True, tag_field="action", tag="call"):
    client: Name
    method: str = METHODS[0]
    key: Text = ""
    value: Text = ""


class Workload(Struct, frozen=True, forbid_unknown_fields=True, tag_field="action", tag="workload"):
    state: Literal["running", "stopped"]
    rate: Annotated[float, Meta(gt=0, le=100)] | None = None


class PlayScene(Struct, frozen=True, forbid_unknown_fields=True, tag_field="action", tag="scene"):
    id: Name


class EndScene(Struct, frozen=True, forbid_unknown_fields=True, tag_field="action", tag="end-scene"):
    pass


class Reset(Struct, frozen=True, forbid_unknown_fields=True, tag_field="action", tag="reset"):
    pass


Action: TypeAlias = (
    Lose | LateCopy | LinkTo | ServerDo | SetSemantics | SetPace | Step | Call | Workload | PlayScene | EndScene | Reset
)
_decode = msgspec.json.Decoder(Action).decode


def read_action(body: bytes) -> Action:
    """Raises ValueError, in words."""
    try:
        found: Action = _decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ValueError(f"that is no action: {error}") from None
    return found
