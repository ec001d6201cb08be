"""Frames in brief: no more is left of people than their ids, with who they are beside it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import msgspec
from msgspec import inspect

from ..core.entry import Person
from ..core.ids import Mxid
from .frames import Frame, Hello, People

_encode = msgspec.json.Encoder().encode


class Reference(msgspec.Struct, frozen=True):
    """What is left of a person."""

    mxid: Mxid


def briefly(frame: Frame) -> tuple[Frame, Sequence[Person]]:
    """Return a frame with no more of people than their ids, and these people.

    It is made once, and its bytes are then shared as those of the frame. As it is stays what
    introduces people itself, and what has no source: it is of a bridge of another version.
    """
    if frame.brief is None:
        source = frame.source
        if isinstance(source, People):
            return frame, source.people
        if source is None or isinstance(source, Hello):
            return frame, ()
        found: dict[Mxid, Person] = {}
        brief = _brief(source, found)
        if not found:
            return frame, ()
        frame.brief = Frame(frame.type, _encode(brief), frame.cursor), tuple(found.values())
    return frame.brief


def _brief(value: Any, found: dict[Mxid, Person]) -> Any:
    if isinstance(value, Person):
        # Of one with two names in the same frame, the second stays there whole.
        known = found.setdefault(value.mxid, value) == value
        return Reference(value.mxid) if known else value
    if isinstance(value, msgspec.Struct):
        places = people_in(type(value))
        changes = {name: _brief(getattr(value, name), found) for name in places}
        return msgspec.structs.replace(value, **changes) if changes else value
    if isinstance(value, list | tuple):
        return [_brief(one, found) for one in value]
    return value


@cache
def people_in(kind: type[msgspec.Struct]) -> Sequence[str]:
    """Return the fields in which people may be, or what holds people."""
    info = inspect.type_info(kind)
    fields = info.fields if isinstance(info, inspect.StructType) else ()
    return [field.name for field in fields if _holds_people(field.type)]


def _holds_people(kind: inspect.Type) -> bool:
    match kind:
        case inspect.StructType(cls=cls):
            return cls is Person or bool(people_in(cls))
        case inspect.UnionType(types=types):
            return any(map(_holds_people, types))
        case inspect.ListType(item_type=item) | inspect.VarTupleType(item_type=item):
            return _holds_people(item)
    return False
