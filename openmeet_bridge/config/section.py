"""What every block of the configuration is made of: keys that describe themselves."""

from __future__ import annotations

from typing import Any

from msgspec import Meta, Struct
from msgspec.structs import fields


def about(text: str, *, ge: int | None = None, gt: float | None = None, **extra: object) -> Meta:
    """Describes one key.

    Args:
        text: One line for the person who fills it in.
        ge: Smallest value.
        gt: Value that must be exceeded.
        **extra: ``unit`` ("bytes" or "seconds"), ``example`` (shown in the example file),
            ``shown`` (the default in words), ``secret`` (never printed), ``file`` (the key may be
            given as ``KEY_file`` too), ``optional`` (a required block that is filled in from
            elsewhere; its value shows how it is written).
    """
    if ge is not None:
        return Meta(description=text, ge=ge, extra=dict(extra))
    return Meta(description=text, gt=gt, extra=dict(extra))


def size(text: str, *, least: int = 1) -> Meta:
    """Describes a number of bytes."""
    return about(text, ge=least, unit="bytes")


def duration(text: str) -> Meta:
    """Describes a number of seconds."""
    return about(text, gt=0, unit="seconds")


class Section(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A block of the configuration. Its ``repr`` never shows a secret."""

    def __repr__(self) -> str:
        shown = (f"{item.name}={_masked(self, item.name, item.type)}" for item in fields(self))
        return f"{type(self).__name__}({', '.join(shown)})"


def _masked(section: Section, name: str, hint: Any) -> str:
    value = getattr(section, name)
    marks = [mark for mark in getattr(hint, "__metadata__", ()) if isinstance(mark, Meta)]
    hidden = value and any((mark.extra or {}).get("secret") for mark in marks)
    return "'***'" if hidden else repr(value)
