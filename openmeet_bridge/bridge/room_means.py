"""Means: what the settling and the closing of rooms have in common."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

import msgspec

from ..core.directory import Portal
from ..core.ids import Mxid, PortalRef, RoomId, TenantId, UserSlug
from ..core.naming import Naming
from ..core.room_plan import Applied
from ..core.rules import Place, Rules
from ..matrix.homeserver import Homeserver
from ..storage import directory, portals, rooms
from ..storage.database import Connection, Database
from ..storage.portals import Room
from .echo import Overtaken
from .ghosts import Ghosts
from .half_made import HalfMade
from .restating import Restating
from .room_steps import Outcome, Prepare, RoomSteps
from .room_views import RoomViews


@dataclass(frozen=True, kw_only=True)
class Means:
    """Everything that changes rooms.

    Attributes:
        rules: Of each tenant.
        aliases: Held while an alias moves from one room to another.
        now: Tells the time.
    """

    database: Database
    homeserver: Homeserver
    ghosts: Ghosts
    naming: Naming
    views: RoomViews
    half_made: HalfMade
    restating: Restating
    rules: Callable[[TenantId], Rules]
    now: Callable[[], datetime]
    aliases: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def abandon(self, room_id: RoomId, portal: Portal | None) -> None:
        """Part a portal from a room that was never finished, so that it gets another."""
        if portal is not None:
            # Not resolved before: for an alias that is not there the homeserver would ask us.
            async with self.aliases:
                await self.homeserver.delete_alias(portal.alias, self.naming.bot)
        async with self.database.transaction() as connection:
            await rooms.unbind(connection, room_id, "closed")

    def steps(self, ref: PortalRef, room_id: RoomId, prepare: Prepare) -> RoomSteps:
        """Return what carries out steps in a room."""
        return RoomSteps(
            self.database, self.homeserver, self.naming.bot, self.aliases, ref, room_id, prepare
        )

    def preparing(self, ref: PortalRef, slugs: Mapping[Mxid, UserSlug]) -> Prepare:
        """Return what makes these ghosts exist, each once, before they are brought in.

        It looks each time whether they may still be: to bring many in takes long, and who is
        taken out meanwhile must not come in.
        """
        ready: set[Mxid] = set()

        async def prepare(mxid: Mxid) -> None:
            if mxid not in slugs:
                return
            async with self.database.connection() as connection:
                member, override = await directory.word_on(connection, ref, mxid)
            standing = self.rules(ref.tenant).standing(ref.kind, member, override)
            if standing.place is not Place.IN:
                raise Overtaken(f"{mxid} is not to be in any more")
            if mxid in ready:
                return
            # The profile first: then the homeserver's first word of a member has the name.
            await self.ghosts.refresh(ref.tenant, slugs[mxid])
            await self.ghosts.ensure(ref.tenant, slugs[mxid])
            ready.add(mxid)

        return prepare


async def record(
    connection: Connection, room: Room, applied: Applied, outcome: Outcome, problem: str | None
) -> Room:
    """Note what a room has been given; return it so."""
    listed = room.listed if outcome.listed is None else outcome.listed
    text = msgspec.json.encode(applied).decode()
    await portals.record(connection, room.room_id, text, listed, problem)
    return replace(room, applied=text, listed=listed, problem=problem)
