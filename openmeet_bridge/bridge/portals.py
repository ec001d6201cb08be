"""Portals: rooms that are as the directory says, whatever they were before.

Every settling compares what should be with what the log says is, and does only the difference. So
it can be repeated at any moment, after a crash as after somebody's change from a Matrix client.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import msgspec

from ..core.directory import Portal
from ..core.ids import PortalRef, TenantId
from ..core.naming import Naming
from ..core.room_plan import Present, plan
from ..core.room_state import Wanted
from ..core.room_steps import CreateRoom, Look, Step
from ..core.rules import Rules
from ..matrix.homeserver import Homeserver
from ..storage.database import Database
from .ghosts import Ghosts
from .half_made import HalfMade
from .restating import Restating
from .room_closing import RoomClosing
from .room_creation import RoomCreation
from .room_means import Means
from .room_settling import Settling
from .room_views import Entry, Picture, RoomViews
from .turns import Turns


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Portals:
    """Makes rooms equal to the directory.

    Args:
        database: The directory and the projections.
        homeserver: Where the rooms are.
        ghosts: Makes the members.
        naming: Names rooms and the bot.
        rules: Of each tenant.
        room_version: Version of new rooms; never the homeserver's default.
        picture: Finds the avatars of rooms; None: they are left alone.
        now: Tells the time, on which archives depend.
    """

    def __init__(
        self,
        database: Database,
        homeserver: Homeserver,
        ghosts: Ghosts,
        naming: Naming,
        rules: Callable[[TenantId], Rules],
        room_version: str,
        picture: Picture | None = None,
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        self._ghosts = ghosts
        self._bot = naming.bot
        self._rules = rules
        self._now = now
        self._views = RoomViews(database, homeserver, naming.bot, picture)
        self._means = Means(
            database=database,
            homeserver=homeserver,
            ghosts=ghosts,
            naming=naming,
            views=self._views,
            half_made=HalfMade(homeserver, naming.bot),
            restating=Restating(database, homeserver, naming.bot),
            rules=rules,
            now=now,
        )
        self._closing = RoomClosing(self._means)
        self._creation = RoomCreation(self._means, room_version)
        self._turns = Turns()  # one at a time changes a room

    async def plan(self, ref: PortalRef) -> Sequence[Step]:
        """Return what must be done for a portal's room; nothing where it is as it should be.

        Looks into the database only: what cannot be known before a room is made, a picture is
        fetched or the log has a room's beginning is left out, or a step to look for it.

        Raises:
            Unavailable: The database is away.
        """
        entry = await self._views.entry(ref)
        portal, steps = entry.portal, list[Step]()
        if entry.room is not None and _must_close(portal):
            present = await self._views.logged(entry.room)
            steps += self._closing.plan(ref, entry, present or Present())
        if portal is None or portal.deleted:
            return steps
        wanted = await self._wanted(entry, portal, look=False)
        if entry.room is None or portal.reborn:
            return [*steps, CreateRoom(portal.alias, wanted.inside)]
        present = await self._views.logged(entry.room, wanted.people)
        if present is None:
            return [Look("the room as the homeserver has it")]
        if await self._views.picture_waits(entry, portal):
            steps.append(Look("the picture on OpenMeet"))
        now = self._now()
        return [*steps, *plan(wanted, _taken_as_said_now(present, now), now).steps]

    async def settle(self, ref: PortalRef) -> None:
        """Make a portal's room what it should be.

        Raises:
            HomeserverError: A step failed; what was done stays, and the rest can be tried again.
            NotSettled: The homeserver has accepted all, but its echo has not come in yet.
            Overtaken: Somebody is not to be in any more; the rest is done.
            Unavailable: The database is away.
        """
        # By its room: while that is settled, the portal may get another name.
        async with self._turns.of(await self._views.room_of(ref) or repr(ref)):
            entry = await self._usable(ref)
            if _must_close(entry.portal):
                await self._closing.run(ref, entry)
                entry = await self._views.entry(ref)
            for slug in entry.people.nameless:
                await self._ghosts.ensure(ref.tenant, slug)
            if entry.people.nameless:
                entry = await self._views.entry(ref)
            if entry.portal is None or _must_close(entry.portal):
                return  # Deleted, or made again: there is a job for that.
            wanted = await self._wanted(entry, entry.portal, look=True)
            await Settling(self._means, self._creation, entry, wanted).run()

    async def _usable(self, ref: PortalRef) -> Entry:
        """Return what the directory says of a portal, parted from a room that is of no use."""
        entry = await self._views.entry(ref)
        if entry.room is None:
            return entry
        present = await self._views.logged(entry.room)
        if present is not None and self._bot in present.members:
            return entry
        room_id = entry.room.room_id
        if not await self._means.half_made.is_given_up(room_id):
            return entry
        await self._means.abandon(room_id, entry.portal)
        return await self._views.entry(ref)

    async def _wanted(self, entry: Entry, portal: Portal, *, look: bool) -> Wanted:
        rules = self._rules(portal.ref.tenant)
        return await self._views.wanted(entry, portal, rules, self._now(), look=look)


def _must_close(portal: Portal | None) -> bool:
    """Whether a room that the portal has is that of a former life."""
    return portal is None or portal.deleted or portal.reborn


def _taken_as_said_now(present: Present, now: datetime) -> Present:
    """Return a room whose refused listing is no reason to look at it again by itself."""
    if present.applied.unlisted_at is None:
        return present
    return replace(present, applied=msgspec.structs.replace(present.applied, unlisted_at=now))
