"""A Python function as a JSON-RPC method: its params and result from the annotations, validated both ways."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping
from typing import Any, get_type_hints

import msgspec

from oncerpc.server.rpc.method import RESULT_BYTES_MAX, DeclaredError, Method, MethodKind, Params
from oncerpc.wire.errors import SERVICE_CODE_MIN, TooLarge
from oncerpc.wire.structs import build_structs

__all__ = ["ResultUnlike", "method_of"]

Call = Callable[..., Any]


class ResultUnlike(TypeError):
    """A method's result is not what its annotation says, or cannot be sent."""


def method_of(
    name: str,
    function: Call,
    call: Call,
    *,
    reads: bool,
    errors: Mapping[int, str],
    names: Mapping[str, Any] | None = None,
) -> Method:
    """The method that calls `function`, by way of `call`; `names` are those that its annotations may use besides.

    Raises ValueError for a function that cannot be one: without a first parameter for the transaction, with *args, with
    annotations that JSON cannot carry, with an error code below 2000.
    """
    for code in errors:
        if code < SERVICE_CODE_MIN:
            raise ValueError(f"{name}: error code {code}: those below {SERVICE_CODE_MIN} are the protocol's own")
    hints = _hints(name, function, names or {})
    params = _params(name, function, hints)
    result = hints.get("return", Any)
    check = _decoder(name, result)
    fields = params.__struct_fields__

    def run(holder: Any, given: Any) -> Any:
        values = {field: getattr(given, field) for field in fields}
        answer = holder.run(lambda tx: call(tx, **values)) if reads else call(holder, **values)
        return _encoded(name, answer, check, reads=reads)

    summary = inspect.getdoc(function) or name
    return Method(
        name,
        summary.split("\n\n")[0],
        MethodKind.READ if reads else MethodKind.WRITE,
        params,
        Any if result is type(None) else result,
        run,
        errors=tuple(DeclaredError(code, word, word.replace("_", " ")) for code, word in errors.items()),
        keys=lambda given: tuple(value for field in fields if isinstance(value := getattr(given, field), str)),
    )


def _hints(name: str, function: Call, names: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return get_type_hints(function, localns=dict(names), include_extras=True)
    except NameError as error:
        raise ValueError(f"{name}: an annotation of {function.__qualname__} cannot be resolved: {error}") from None


def _params(name: str, function: Call, hints: Mapping[str, Any]) -> type[msgspec.Struct]:
    parameters = list(inspect.signature(function).parameters.values())
    if not parameters:
        raise ValueError(f"{name}: {function.__qualname__} needs a first parameter, tx, for the transaction")
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
    for parameter in parameters[1:]:
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY) or parameter.name == "_meta":
            raise ValueError(f"{name}: the parameter {parameter} of {function.__qualname__} has no place in JSON-RPC")
        hint = hints.get(parameter.name, Any)
        if parameter.default is parameter.empty:
            fields.append((parameter.name, hint))
        else:
            fields.append((parameter.name, hint, _default(parameter.default)))
    title = "".join(part.capitalize() for part in name.replace("_", ".").split("."))
    plain = {parameter.name: parameter.default for parameter in parameters[1:] if _is_plain(parameter.default)}

    def recognise_defaults(self: Any) -> None:
        """msgspec leaves a default out of the fingerprint if it is the very object, and not if it is equal."""
        for field, default in plain.items():
            value = getattr(self, field)
            if value is not default and type(value) is type(default) and value == default:
                setattr(self, field, default)

    struct = msgspec.defstruct(
        f"{title}Params",
        fields,
        bases=(Params,),
        namespace={"__post_init__": recognise_defaults},
        kw_only=True,
        forbid_unknown_fields=True,
        omit_defaults=True,
    )
    build_structs([struct])
    _check_is_json(f"{name}: the parameters of {function.__qualname__}", struct)
    return struct


def _check_is_json(what: str, shape: Any) -> None:
    """Raises ValueError for a type that JSON cannot carry: `rpc.discover` could not describe it either."""
    try:
        msgspec.json.schema(shape)
    except TypeError as error:
        raise ValueError(f"{what} cannot go as JSON: {error}") from None


def _is_plain(default: Any) -> bool:
    return isinstance(default, str | int | float)


def _default(value: Any) -> Any:
    if isinstance(value, list | dict | set | bytearray):
        return msgspec.field(default_factory=lambda: copy.deepcopy(value))
    return value


def _decoder(name: str, result: Any) -> Callable[[bytes], Any] | None:
    if result is Any or result is type(None):
        return None
    _check_is_json(f"{name}: the result's annotation", result)
    return msgspec.json.Decoder(result).decode


def _encoded(name: str, answer: Any, check: Callable[[bytes], Any] | None, *, reads: bool) -> msgspec.Raw:
    """The result as JSON. Raises ResultUnlike, or TooLarge."""
    if answer is None and not reads:
        return msgspec.Raw(b"{}")
    try:
        body = msgspec.json.encode(answer)
        if check is not None:
            check(body)
    except (TypeError, ValueError, msgspec.MsgspecError) as error:
        raise ResultUnlike(f"the result of {name} is not what its annotation says: {error}") from error
    if not reads and not body.startswith(b"{"):
        raise ResultUnlike(f"the result of {name} is recorded, so it must be an object (dict, dataclass, Struct)")
    if not reads and isinstance(answer, dict) and "_meta" in answer:
        raise ResultUnlike(f"the result of {name} has a member _meta, which is where a replay is marked")
    if len(body) > RESULT_BYTES_MAX:
        raise TooLarge(f"a result may have {RESULT_BYTES_MAX} bytes", bytes_max=RESULT_BYTES_MAX)
    return msgspec.Raw(body)
