"""Reads from a handler's annotations what it takes and what it gives."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec
from aiohttp import web

Caller = TypeVar("Caller")
Path = TypeVar("Path")
Query = TypeVar("Query")
Body = TypeVar("Body")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Call(Generic[Caller, Path, Query, Body]):
    """One authenticated, decoded request. ``None`` stands for a part the endpoint does not have.

    Attributes:
        request: The request itself, for streams and headers.
        caller: What the authenticator made of the credentials.
        path: The path's parameters.
        query: The query's parameters.
        body: The JSON body.
    """

    request: web.Request
    caller: Caller
    path: Path
    query: Query
    body: Body


@dataclass(frozen=True, slots=True)
class Reply(Generic[Result]):
    """An answer whose status or headers are not the usual ones.

    Attributes:
        status: One of the statuses that the endpoint documents as a success.
        body: The struct to send; ``None`` sends ``{}``.
        headers: Further headers; a name may occur more than once (``Set-Cookie``).
    """

    status: int
    body: Result
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Signature:
    """The types of a handler.

    Attributes:
        path: Struct of the path's parameters, or None.
        query: Struct of the query's parameters, or None.
        body: Struct of the JSON body, or None.
        result: Struct of the answer; None where the answer is ``{}`` or raw.
        raw: Whether the handler builds the response itself (streams, pages).
        bound: Whether the handler is a method and needs its surface.
    """

    path: type[msgspec.Struct] | None
    query: type[msgspec.Struct] | None
    body: type[msgspec.Struct] | None
    result: type[msgspec.Struct] | None
    raw: bool
    bound: bool


def read_signature(handler: Callable[..., Any]) -> Signature:
    """Returns the types of ``async def handler(self?, call: Call[...]) -> Struct | Reply[Struct]``.

    Raises:
        TypeError: The annotations are missing, or something else than documented structs.
    """
    where = handler.__qualname__
    if not inspect.iscoroutinefunction(handler):
        raise TypeError(f"{where} must be a coroutine function")
    hints = typing.get_type_hints(handler)
    parameters = list(inspect.signature(handler).parameters)
    call = hints.get(parameters[-1]) if parameters else None
    if typing.get_origin(call) is not Call or len(parameters) > 2:
        raise TypeError(f"{where} must take one annotated Call[Caller, Path, Query, Body]")
    path, query, body = (_struct_or_none(where, part) for part in typing.get_args(call)[1:])
    if "return" not in hints:
        raise TypeError(f"{where} must say what it returns")
    result, raw = _result(where, hints["return"])
    return Signature(path, query, body, result, raw, bound=len(parameters) == 2)


def _result(where: str, annotation: Any) -> tuple[type[msgspec.Struct] | None, bool]:
    alternatives = {_unwrapped(part) for part in _union(annotation)}
    if len(alternatives) != 1:
        raise TypeError(f"{where} must return one kind of struct")
    (only,) = alternatives
    if isinstance(only, type) and issubclass(only, web.StreamResponse):
        return None, True
    return _struct_or_none(where, only), False


def _unwrapped(annotation: Any) -> Any:
    return typing.get_args(annotation)[0] if typing.get_origin(annotation) is Reply else annotation


def _union(annotation: Any) -> tuple[Any, ...]:
    is_union = typing.get_origin(annotation) in (typing.Union, types.UnionType)
    return typing.get_args(annotation) if is_union else (annotation,)


def _struct_or_none(where: str, annotation: Any) -> type[msgspec.Struct] | None:
    if annotation in (None, type(None)):
        return None
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return annotation
    raise TypeError(f"{where}: {annotation!r} is neither a msgspec Struct nor None")
