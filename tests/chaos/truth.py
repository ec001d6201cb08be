"""What is true in the end: what Synapse has, what the log has, and what people may read."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from random import Random
from typing import Any

import asyncpg
import msgspec

from openmeet_bridge.core.cursor import order_text

from ..support.openmeet import User
from .asking import AWAY
from .crowd import Crowd, Room
from .journal import Journal
from .pages import whole_timeline
from .stage import Stage

_QUIET = 120.0
_LOOK = 0.5
_WRITTEN = "SELECT event_id FROM log WHERE room_id = $1"
_LINES = """
SELECT room_id, event_id, sort_key, greatest(revision, position) AS revision, source
FROM log WHERE line
"""
_NEWEST = """
SELECT mxid, max(position) AS last FROM room_member JOIN log USING (room_id)
WHERE membership = 'join' AND (log.about IS NOT NULL OR (line AND type = 'm.room.message'))
GROUP BY mxid
"""
_VERSIONS = "SELECT * FROM chaos.version ORDER BY position"
_UNDONE = """
SELECT (SELECT count(*) FROM outbox WHERE state = 'pending') AS outbox,
       (SELECT count(*) FROM quarantine) AS quarantine
"""
_FAILED = """
SELECT sender, client_txn_id, errcode, error FROM outbox
WHERE state = 'failed' AND errcode <> 'ORG_OPENMEET_WITHDRAWN'
"""


class Truth:
    """Waits until all is quiet, and writes down what is true.

    Args:
        stage: With everything up.
        crowd: Who has stopped speaking.
        journal: Gets it.
    """

    def __init__(self, stage: Stage, crowd: Crowd, journal: Journal) -> None:
        self._stage = stage
        self._crowd = crowd
        self._journal = journal
        self._chance = Random(0)

    async def settle(self) -> None:
        """Wait until nothing is under way any more, or as long as anybody would wait.

        What is missing after that is lost, and is found by the comparison.
        """
        end = asyncio.get_running_loop().time() + _QUIET
        why = "nothing"
        while asyncio.get_running_loop().time() < end:
            try:
                why = await self._under_way()
            except (*AWAY, asyncpg.PostgresError) as error:
                why = repr(error)
            if not why:
                break
            await asyncio.sleep(_LOOK)
        self._journal.note("quiet", why=why)

    async def _under_way(self) -> str:
        """Return what is under way, empty when nothing is."""
        (undone,) = await self._stage.sql(_UNDONE)
        if undone["outbox"]:
            return f"{undone['outbox']} in the outbox"
        for room in self._crowd.rooms:
            known = {row["event_id"] for row in await self._stage.sql(_WRITTEN, room.room_id)}
            missing = [one for one in await self._events(room) if one["event"] not in known]
            if missing:
                return f"{len(missing)} events of {room.name} are not in the log"
        newest = {row["mxid"]: row["last"] for row in await self._stage.sql(_NEWEST)}
        behind = [
            one.name
            for one in self._crowd.readers
            if not one.live or one.position < newest.get(one.user.mxid, 0)
        ]
        return f"behind: {', '.join(behind)}" if behind else ""

    async def write(self) -> None:
        """Write down what is true."""
        (undone,) = await self._stage.sql(_UNDONE)
        self._journal.note("undone", **dict(undone))
        for row in await self._stage.sql(_FAILED):
            answer = f"{row['errcode']}: {row['error']}"
            self._journal.note("refused", who=row["sender"], to=row["client_txn_id"], answer=answer)
        for room in self._crowd.rooms:
            events = await self._events(room)
            self._journal.note("truth", room=room.room_id, events=events)
        for row in await self._stage.sql(_LINES):
            self._journal.note(
                "line",
                room=row["room_id"],
                event=row["event_id"],
                order=order_text(row["sort_key"]),
                revision=row["revision"],
                repaired=row["source"] == "repair",
            )
        for row in await self._stage.sql(_VERSIONS):
            self._journal.note("version", **{**dict(row), "sort_key": order_text(row["sort_key"])})
        for reader in self._crowd.readers:
            await self._pages(reader.name, reader.user)
            reader.hushed()

    async def _pages(self, who: str, user: User) -> None:
        for room in self._crowd.rooms:
            if room.backend.tenant is user.tenant:
                shown = await whole_timeline(user, room.room_id, self._chance)
                self._journal.note("page", who=who, room=room.room_id, entries=shown or [])

    async def _events(self, room: Room) -> list[dict[str, Any]]:
        """Return a room's events in the homeserver's order, in short."""
        found: list[dict[str, Any]] = []
        place: str | None = None
        while True:
            page = await self._stage.homeserver.messages(
                room.room_id, self._stage.bot, "b", place, limit=500
            )
            found += [_short(msgspec.json.decode(raw)) for raw in page.chunk]
            if page.end is None or not page.chunk:
                return found[::-1]
            place = page.end


def _short(event: Mapping[str, Any]) -> dict[str, Any]:
    content = event["content"]
    relation = content.get("m.relates_to") or {}
    short = {"event": event["event_id"], "type": event["type"], "sender": event["sender"]}
    if event["type"] == "m.room.member":
        short |= {"user": event["state_key"], "membership": content["membership"]}
    if "redacted_because" in event.get("unsigned", {}):
        short["redacted"] = True
    elif relation.get("rel_type") == "m.replace":
        short |= {"edits": relation["event_id"], "text": content["m.new_content"]["body"]}
    elif event["type"] == "m.reaction":
        short["reacts"] = relation["event_id"]
    elif event["type"] == "m.room.redaction":
        short["redacts"] = content.get("redacts") or event.get("redacts")
    elif "body" in content:
        short["body"] = content["body"]
    return short
