"""Sizes and durations as people write them: ``64 MiB``, ``20 s``."""

from __future__ import annotations

import re
from typing import Final

_SIZES: Final = {"B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
_TIMES: Final = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_QUANTITY: Final = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>[A-Za-z]*)")


def parse_size(text: str) -> int:
    """Reads ``64 MiB`` as a number of bytes.

    Raises:
        ValueError: When the text is not a number with B, KiB, MiB or GiB.
    """
    number, unit = _split(text, _SIZES, default="B")
    return int(number * _SIZES[unit])


def parse_duration(text: str) -> float:
    """Reads ``20 s`` as a number of seconds.

    Raises:
        ValueError: When the text is not a number with ms, s, min, h or d.
    """
    number, unit = _split(text, _TIMES, default="s")
    return number * _TIMES[unit]


def format_size(size: int) -> str:
    """Writes a number of bytes with the largest unit that divides it."""
    for unit in ("GiB", "MiB", "KiB"):
        if size and size % _SIZES[unit] == 0:
            return f"{size // _SIZES[unit]} {unit}"
    return f"{size} B"


def format_duration(seconds: float) -> str:
    """Writes a number of seconds with the largest unit that divides it, from two hours on."""
    for unit, length in (("d", 86_400), ("h", 3600)):
        if seconds >= 2 * length and seconds % length == 0:
            return f"{seconds / length:g} {unit}"
    return f"{seconds:g} s"


def _split(text: str, units: dict[str, int] | dict[str, float], default: str) -> tuple[float, str]:
    match = _QUANTITY.fullmatch(text.strip())
    unit = (match["unit"] or default) if match else ""
    if match is None or unit not in units:
        known = ", ".join(units)
        raise ValueError(f"expected a number with one of the units {known}, not {text!r}")
    return float(match["number"]), unit
