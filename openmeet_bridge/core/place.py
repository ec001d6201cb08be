"""Places (client-server API, "m.location"; MSC3488 and MSC3489; RFC 5870)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from .entry import Place
from .extensible import first_of
from .shown import Names, Shown
from .words import line, name

Content = Mapping[str, Any]

BEACON_INFO: Final = frozenset({"m.beacon_info", "org.matrix.msc3672.beacon_info"})
BEACON: Final = frozenset({"m.beacon", "org.matrix.msc3672.beacon"})

_URI = re.compile(r"geo:(-?[0-9]{1,3}(?:\.[0-9]{1,15})?),(-?[0-9]{1,3}(?:\.[0-9]{1,15})?)(?![0-9])")
_MOST_DESCRIPTION = 500


def place_of(content: Content) -> Place | None:
    """Return the place that a content names; None where it names none on the earth."""
    block = first_of(content, "m.location", "org.matrix.msc3488.location") or {}
    for uri in (block.get("uri"), content.get("geo_uri")):
        found = _URI.match(uri) if isinstance(uri, str) else None
        if found is None:
            continue
        latitude, longitude = float(found[1]), float(found[2])
        if abs(latitude) <= 90 and abs(longitude) <= 180:
            return Place(latitude, longitude, line(block.get("description"), _MOST_DESCRIPTION))
    return None


def shown_beacon(_event_type: str, content: Content, names: Names) -> Shown:
    """Return what is shown when somebody begins or ends to tell where they are."""
    who = name(names.sender)
    if content.get("live") is not True:
        return Shown("location", f"{who} stopped sharing where they are")
    said = line(content.get("description"))
    return Shown("location", f"{who} shares where they are{f': {said}' if said else ''}")


def shown_update(_event_type: str, content: Content, names: Names, _edit: Content | None) -> Shown:
    """Return what is shown when somebody tells where they are now."""
    return Shown("location", f"{name(names.sender)} is somewhere else now", place=place_of(content))
