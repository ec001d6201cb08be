"""Timelines as people fetch them by the web API."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any
from urllib.parse import quote

from ..support.openmeet import User
from .asking import persist
from .journal import Record

_PAGE = "1000"


async def whole_timeline(user: User, room_id: str, chance: Random) -> list[Record] | None:
    """Return the whole timeline of a room, oldest entry first; None for who is not in it."""
    path = f"/rooms/{quote(room_id)}/timeline"
    params = {"limit": _PAGE}
    entries: list[Record] = []
    while True:
        answer = await persist(lambda: user.ask("GET", path, params=params), path, chance)
        assert answer.status in (200, 404), (path, answer)
        if answer.status == 404:
            return None
        page = answer.body
        entries = [entry_of(entry) for entry in page["entries"]] + entries
        if not page["has_before"] or not page["entries"]:
            return entries
        params["before"] = page["entries"][0]["order"]


def entry_of(data: Mapping[str, Any]) -> Record:
    """Return an entry as journals have it."""
    entry = {
        "event": data["event_id"],
        "order": data.get("order"),
        "revision": data.get("revision"),
        "text": data.get("text", ""),
    }
    if data.get("deletion") is not None:
        entry["deleted"] = True
    if data.get("reactions"):
        entry["reactions"] = sum(one["count"] for one in data["reactions"])
    return entry
