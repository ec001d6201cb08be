"""What a section's keys are, read off its struct."""

from __future__ import annotations

import types
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin

from msgspec import NODEFAULT, Meta, Struct
from msgspec.structs import fields


class Key(NamedTuple):
    """One key of a section.

    Attributes:
        name: As written in the file.
        kind: Its type, without ``None`` and without annotations.
        required: Whether it has no default.
        default: The default value; None where there is none.
        text: One line for people.
        extra: See :func:`openmeet_bridge.config.model.about`.
    """

    name: str
    kind: Any
    required: bool
    default: Any
    text: str
    extra: dict[str, Any]

    @property
    def unit(self) -> str | None:
        """ "bytes", "seconds" or None."""
        unit: str | None = self.extra.get("unit")
        return unit

    @property
    def section(self) -> type[Struct] | None:
        """The section that the key holds, when it holds one."""
        return self.kind if isinstance(self.kind, type) and issubclass(self.kind, Struct) else None

    @property
    def item_section(self) -> type[Struct] | None:
        """The section that the key holds a list of, when it does."""
        if get_origin(self.kind) is not list:
            return None
        item = get_args(self.kind)[0]
        return item if isinstance(item, type) and issubclass(item, Struct) else None


def keys(section: type[Struct]) -> list[Key]:
    """The keys of a section in the order of the file."""
    return [
        _key(item.name, item.type, item.default, item.default_factory) for item in fields(section)
    ]


def _key(name: str, hint: Any, default: Any, factory: Any) -> Key:
    meta = next(
        (mark for mark in getattr(hint, "__metadata__", ()) if isinstance(mark, Meta)), None
    )
    kind = _plain(hint)
    required = default is NODEFAULT and factory is NODEFAULT
    if factory is not NODEFAULT:
        default = factory()
    text = meta.description if meta and meta.description else (kind.__doc__ or "").split("\n")[0]
    extra = dict(meta.extra or {}) if meta else {}
    optional = bool(extra.get("optional"))
    return Key(name, kind, required and not optional, None if required else default, text, extra)


def _plain(hint: Any) -> Any:
    if get_origin(hint) is Annotated:
        return _plain(get_args(hint)[0])
    if get_origin(hint) in (Union, types.UnionType):
        return _plain(next(part for part in get_args(hint) if part is not type(None)))
    return getattr(hint, "__supertype__", hint)
