"""Spaces: a Matrix space for each tenant and each group, with their rooms inside, kept as orderly.

What is wanted comes from the directory, what is there from the log; only the difference is done.
A space is no portal: OpenMeet's room lists and streams never show it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import structlog

from ..core import spaces as planning
from ..core.directory import Visibility
from ..core.events import CREATE, SPACE_KEY
from ..core.ids import Mxid, PortalKind, PortalRef, RoomId, TenantId
from ..core.naming import Naming
from ..core.room_steps import Invite, Join, Kick, List, SetState, Unlist
from ..core.rules import Rules
from ..core.spaces import Present, Step, Wanted
from ..matrix.errors import HomeserverUnavailable, Refused
from ..matrix.homeserver import Homeserver
from ..matrix.transactions import decode_events
from ..storage import directory, event_log, ghosts, jobs, spaces
from ..storage.database import Database
from ..storage.spaces import Space
from .echo import NotSettled
from .ghosts import Ghosts
from .half_made import HalfMade
from .ingest import Ingest
from .ledger import SPACE
from .restating import Restating
from .space_views import SpaceViews

log = structlog.get_logger(__name__)

MAKE, CLOSE = "make", "close"
_PATIENCE = 5.0
_POLL = 0.05
_TOGETHER = 2.0
"""Seconds in which several rooms that come into a space are one job."""


class Spaces:
    """Makes spaces as they should be.

    Args:
        database: The directory and the log.
        homeserver: Where the spaces are.
        ingest: Takes the state of a space into the log that another database has known.
        ghosts: Makes those that become members.
        naming: Makes aliases.
        rules: Of each tenant.
        views: Reads what is wanted, and what is there.
        wake: Called when a job is wanted.
        room_version: Version of new rooms.
    """

    def __init__(
        self,
        database: Database,
        homeserver: Homeserver,
        ingest: Ingest,
        ghosts: Ghosts,
        naming: Naming,
        rules: Callable[[TenantId], Rules],
        views: SpaceViews,
        wake: Callable[[], None],
        room_version: str,
    ) -> None:
        self._database = database
        self._homeserver = homeserver
        self._ingest = ingest
        self._ghosts = ghosts
        self._naming = naming
        self._rules = rules
        self._views = views
        self._wake = wake
        self._room_version = room_version
        self._half_made = HalfMade(homeserver, naming.bot)
        self._restating = Restating(database, homeserver, naming.bot)

    async def plan(self, tenant: TenantId, group: str) -> Sequence[Step | str]:
        """Return what is missing; costs no request to the homeserver.

        Args:
            tenant: Whose.
            group: Slug of the group; empty for the space of the whole tenant.

        Returns:
            The steps; :data:`MAKE` or :data:`CLOSE` alone where the space is not there yet, or
            should not be.

        Raises:
            Unavailable: The database is away.
        """
        wanted, present = await self._views.look(tenant, group)
        if wanted is None:
            return [CLOSE] if present else []
        return planning.plan(wanted, present) if present else [MAKE]

    async def settle(self, tenant: TenantId, group: str) -> None:
        """Make a space what it should be, and wait until the log shows it.

        Raises:
            HomeserverError: A step failed; what was done stays.
            NotSettled: The homeserver has accepted all, but its echo has not come in yet.
            Unavailable: The database is away.
        """
        done: list[Step] = []
        deadline = asyncio.get_running_loop().time() + _PATIENCE
        while True:
            wanted, present = await self._views.look(tenant, group)
            if wanted is None:
                if present is not None:
                    await self._close(tenant, group, present)
                return
            if present is None:
                await self._make(tenant, group, wanted)
                await self._shown(tenant, group)
                continue
            missing = planning.plan(wanted, present)
            if not missing:
                return
            fresh = [step for step in missing if step not in done]
            for step in fresh:
                await self._do(tenant, group, step)
            done += fresh
            if not fresh and asyncio.get_running_loop().time() > deadline:
                await self._restating.restate(missing)
                raise NotSettled("the homeserver has not sent us the space's state yet")
            await asyncio.sleep(_POLL)

    async def follow(self, ref: PortalRef) -> None:
        """Want the spaces' jobs where a portal's room is not in them as it should be.

        Called when a portal's room was settled. Costs no request to the homeserver.
        """
        if ref.kind is PortalKind.DIRECT or not self._rules(ref.tenant).spaces:
            return
        async with self._database.connection() as connection:
            portal = await directory.portal(connection, ref)
        if portal is None or portal.deleted:
            return
        group = ref.slug if ref.kind is PortalKind.GROUP else portal.group
        concerned = {group} if group else set()
        if portal.visibility is Visibility.PUBLIC:
            concerned.add("")
        for slug in sorted(concerned):
            if not await self._is_waiting(ref.tenant, slug) and await self.plan(ref.tenant, slug):
                await self._want(ref.tenant, slug)

    async def _is_waiting(self, tenant: TenantId, group: str) -> bool:
        async with self._database.connection() as connection:
            job = await jobs.status(connection, tenant, SPACE, group)
        return job is not None and job.wanted > job.done and not job.permanent

    async def _want(self, tenant: TenantId, group: str) -> None:
        async with self._database.connection() as connection:
            await jobs.want(connection, tenant, SPACE, group, bulk=True, delay=_TOGETHER)
        asyncio.get_running_loop().call_later(_TOGETHER, self._wake)

    # Doing

    async def _make(self, tenant: TenantId, group: str, wanted: Wanted) -> None:
        body = self._creation(tenant, group, wanted)
        try:
            room_id = await self._homeserver.create_room(self._naming.bot, body)
        except Refused as error:
            # The alias is the lock: whoever comes second takes the room of who came first.
            if error.status != 409 and error.errcode != "M_ROOM_IN_USE":
                raise
            room_id = await self._adopt(tenant, group, wanted, error)
        async with self._database.connection() as connection:
            await spaces.put(connection, Space(tenant, group, room_id))
        log.info("space.made", tenant=tenant, group=group, room=room_id)
        if group:
            await self._want(tenant, "")

    def _creation(self, tenant: TenantId, group: str, wanted: Wanted) -> dict[str, Any]:
        creator = self._room_version.isdigit() and int(self._room_version) >= 12
        return {
            "room_version": self._room_version,
            "room_alias_name": self._naming.space_alias_localpart(tenant, group),
            "preset": "private_chat",
            "visibility": "private",
            "creation_content": {
                "type": "m.space",
                SPACE_KEY: {"tenant": tenant, "group": group},
            },
            "power_level_content_override": planning.power_levels(
                bot=self._naming.bot, bot_is_creator=creator
            ),
            "initial_state": [
                {"type": kind, "state_key": key, "content": content}
                for (kind, key), content in planning.contents(wanted).items()
                if any(content.values())
            ],
        }

    async def _adopt(
        self, tenant: TenantId, group: str, wanted: Wanted, refusal: Refused
    ) -> RoomId:
        room_id = await self._homeserver.resolve_alias(wanted.alias)
        if room_id is None:
            raise HomeserverUnavailable(f"the alias {wanted.alias} is being taken") from refusal
        async with self._database.connection() as connection:
            bound = await spaces.of_room(connection, room_id)
        if bound is not None:
            # The space of a group that had this slug before, and has another alias by now.
            await self._homeserver.delete_alias(wanted.alias, self._naming.bot)
            raise HomeserverUnavailable(f"the alias {wanted.alias} was given up") from refusal
        if await self._half_made.is_given_up(room_id):
            await self._homeserver.delete_alias(wanted.alias, self._naming.bot)
            raise HomeserverUnavailable(f"the space {wanted.alias} was never finished")
        create = await self._homeserver.get_state(room_id, CREATE, "", self._naming.bot)
        if create is None or create.get(SPACE_KEY) != {"tenant": tenant, "group": group}:
            raise refusal
        await self._take_in(room_id)
        return room_id

    async def _take_in(self, room_id: RoomId) -> None:
        """Let the log have the state of a room that was made before the log began."""
        async with self._database.connection() as connection:
            fetched_at = (await event_log.head(connection)).position
        raws = await self._homeserver.room_state(room_id, self._naming.bot)
        events = decode_events(raws, room_id).events
        span = sorted(events, key=lambda event: event.origin_server_ts)
        await self._ingest.repair(room_id, span, fetched_at)

    async def _shown(self, tenant: TenantId, group: str) -> None:
        """Wait until the log shows a new space: its alias is the last that the creation says."""
        deadline = asyncio.get_running_loop().time() + _PATIENCE
        while asyncio.get_running_loop().time() < deadline:
            _, present = await self._views.look(tenant, group)
            if present and ("m.room.canonical_alias", "") in present.state:
                return
            await asyncio.sleep(_POLL)
        raise NotSettled("the homeserver has made the space, but has not sent it to us yet")

    async def _do(self, tenant: TenantId, group: str, step: Step) -> None:
        room_id, do = step
        bot = self._naming.bot
        match do:
            case SetState("m.room.canonical_alias", _, content):
                await self._name(room_id, str(content["alias"]))
                await self._homeserver.send_state(room_id, do.type, do.key, content, bot)
            case SetState(kind, key, content):
                await self._homeserver.send_state(room_id, kind, key, content, bot)
            case List() | Unlist():
                await self._list(Space(tenant, group, room_id, isinstance(do, List)))
            case Invite(mxid):
                await self._ready(mxid)
                await self._homeserver.invite(room_id, mxid, bot)
            case Join(mxid):
                await self._ready(mxid)
                await self._homeserver.join(room_id, mxid)
            case Kick(mxid, reason):
                await self._kick(room_id, mxid, reason)

    async def _kick(self, room_id: RoomId, mxid: Mxid, reason: str) -> None:
        try:
            await self._homeserver.kick(room_id, mxid, reason, self._naming.bot)
        except Refused:
            await self._restating.restate([(room_id, Kick(mxid, reason))])
            raise

    async def _name(self, room_id: RoomId, alias: str) -> None:
        try:
            await self._homeserver.create_alias(alias, room_id, self._naming.bot)
        except Refused as error:
            if error.status != 409:
                raise
            if await self._homeserver.resolve_alias(alias) != room_id:
                await self._homeserver.delete_alias(alias, self._naming.bot)
                await self._homeserver.create_alias(alias, room_id, self._naming.bot)

    async def _ready(self, mxid: Mxid) -> None:
        async with self._database.connection() as connection:
            ghost = await ghosts.of_mxid(connection, mxid)
        if ghost is not None:
            await self._ghosts.ensure(ghost.tenant, ghost.slug)

    async def _list(self, space: Space) -> None:
        try:
            await self._homeserver.set_listed(space.room_id, space.listed, self._naming.bot)
        except Refused as error:
            # The homeserver's own rules for its public directory. It was asked, and is not
            # asked again: rooms are found through the space's alias all the same.
            log.warning("space.not_listed", room=space.room_id, error=str(error))
        async with self._database.connection() as connection:
            await spaces.put(connection, space)

    async def _close(self, tenant: TenantId, group: str, present: Present) -> None:
        """Empty a space that should not be, and forget it. Its rooms stay as they are."""
        room_id, bot = present.room_id, self._naming.bot
        nothing = Wanted(alias="", name="", server_name="")
        for step in planning.plan(nothing, present):
            if isinstance(step.do, SetState) and step.do.type in planning.LINKS:
                await self._do(tenant, group, step)
        await self._homeserver.send_state(
            room_id, "m.room.join_rules", "", {"join_rule": "invite"}, bot
        )
        if present.listed:
            await self._list(Space(tenant, group, room_id, listed=False))
        async with self._database.connection() as connection:
            people = await spaces.people_in(connection, room_id, bot)
        for mxid in people:
            await self._kick(room_id, mxid, "this space is closed")
        await self._homeserver.delete_alias(self._naming.space_alias(tenant, group), bot)
        async with self._database.connection() as connection:
            await spaces.delete(connection, room_id)
        log.info("space.closed", tenant=tenant, group=group, room=room_id)
        if group:
            await self._want(tenant, "")
