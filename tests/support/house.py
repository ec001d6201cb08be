"""A bridge's database with people, rooms and talk in it, written as ingest and OpenMeet do."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from openmeet_bridge.bridge.ingest import Ingest
from openmeet_bridge.core.directory import Portal, User
from openmeet_bridge.core.events import PORTAL_KEY, Event
from openmeet_bridge.core.ids import (
    EventId,
    Mxid,
    PortalKind,
    PortalRef,
    Position,
    RoomId,
    TenantId,
    UserSlug,
)
from openmeet_bridge.core.naming import Naming
from openmeet_bridge.storage import directory, ghosts
from openmeet_bridge.storage.database import Database

NAMING = Naming("test")
LAKE, SEA = TenantId("lake"), TenantId("sea")
ROOM = RoomId("!room")


def ghost(slug: str, tenant: TenantId = LAKE) -> Mxid:
    """The ghost of a user."""
    return NAMING.ghost(tenant, UserSlug(slug))


class House:
    """One bridge's data.

    Args:
        database: A migrated database.

    Attributes:
        began: What the events' timestamps count from, in milliseconds.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self.began = 0
        self.grown: list[Position] = []
        self._ingest = Ingest(
            database, NAMING, lambda position, _: self.grown.append(position), lambda _: None
        )
        self._numbers = itertools.count(1)

    async def user(self, slug: str, avatar: str | None = None, tenant: TenantId = LAKE) -> Mxid:
        """Write a user and the ghost."""
        user = User(tenant, UserSlug(slug), None, slug.title(), avatar)
        async with self.database.transaction() as connection:
            await directory.put_user(connection, user)
            await ghosts.ensure(connection, ghost(slug, tenant), tenant, user.slug)
        return ghost(slug, tenant)

    async def room(
        self,
        *members: Mxid,
        room_id: RoomId = ROOM,
        kind: PortalKind = PortalKind.GROUP,
        slug: str = "hikers",
        tenant: TenantId = LAKE,
    ) -> RoomId:
        """Write a portal, make its room, and let people come in."""
        ref = PortalRef(tenant, kind, slug)
        portal = Portal(ref, NAMING.alias(ref), "Hikers", "Up!")
        async with self.database.transaction() as connection:
            await directory.put_portal(connection, portal)
        mark = {"tenant": tenant, "kind": kind.value, "slug": slug}
        await self.state(NAMING.bot, "m.room.create", "", {PORTAL_KEY: mark}, room_id)
        for mxid in (NAMING.bot, *members):
            await self.member(mxid, "join", room_id)
        return room_id

    async def member(self, mxid: Mxid, membership: str, room_id: RoomId = ROOM) -> EventId:
        """Let somebody come or go."""
        return await self.state(mxid, "m.room.member", mxid, {"membership": membership}, room_id)

    async def state(
        self, sender: Mxid, kind: str, key: str, content: Any, room_id: RoomId = ROOM
    ) -> EventId:
        """Change a room's state."""
        (event_id,) = await self._push(room_id, kind, sender, [content], key)
        return event_id

    async def says(self, sender: Mxid, count: int = 1, room_id: RoomId = ROOM) -> list[EventId]:
        """Say something, ``count`` times."""
        contents = [{"msgtype": "m.text", "body": f"{n}"} for n in range(count)]
        return await self._push(room_id, "m.room.message", sender, contents, None)

    async def sends(
        self, sender: Mxid, content: Any, room_id: RoomId = ROOM, kind: str = "m.room.message"
    ) -> EventId:
        """Send an event of any kind that is not state."""
        (event_id,) = await self._push(room_id, kind, sender, [content], None)
        return event_id

    async def pushes(self, events: list[Event]) -> None:
        """Let the homeserver push these events."""
        await self._ingest.push(str(next(self._numbers)), events, [])

    async def _push(
        self, room_id: RoomId, kind: str, sender: Mxid, contents: list[Any], key: str | None
    ) -> list[EventId]:
        events = []
        for content in contents:
            number = next(self._numbers)
            raw = msgspec.Raw(msgspec.json.encode(content))
            event_id = EventId(f"$e{number}")
            events.append(
                Event(
                    event_id=event_id,
                    room_id=room_id,
                    type=kind,
                    sender=sender,
                    origin_server_ts=self.began + number,
                    content=raw,
                    state_key=key,
                )
            )
        await self.pushes(events)
        return [event.event_id for event in events]


@asynccontextmanager
async def house_at(database_url: str) -> AsyncIterator[House]:
    """Open a house on a database."""
    database = Database(database_url)
    try:
        yield House(database)
    finally:
        await database.close()
