"""Many texts as one parameter of a statement.

asyncpg looks at every element of a list, which takes longer than most statements that are given a
few hundred ids. One text is copied as it is, and PostgreSQL takes it apart.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

_SEPARATOR: Final = "\x1f"
"""The unit separator: no id or slug that a homeserver or OpenMeet makes has one."""

UNPACKED: Final = r"string_to_array(${}, E'\x1f')"
"""The array in SQL, of the parameter with this number."""


def packed(texts: Iterable[str]) -> str:
    """Return texts as the parameter for :data:`UNPACKED`. What cannot be in it is left out."""
    return _SEPARATOR.join([text for text in texts if _SEPARATOR not in text])
