"""Making a portal's room: one, whoever tries it at once and whatever crashed before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import structlog

from ..core.events import CREATE, PORTAL_KEY, PortalContent
from ..core.ids import Mxid, PortalKind, PortalRef, RoomId, TenantId
from ..core.room_plan import Present, made
from ..core.room_power import all_levels, creators
from ..core.room_state import Wanted, contents
from ..matrix.errors import HomeserverUnavailable, Refused, TokenRefused
from ..storage import directory, event_log, portals, rooms
from .room_means import Means

log = structlog.get_logger(__name__)

_INVITED_AT_ONCE = 50
"""How many may be invited with the creation: each costs the homeserver some 40 ms of one call."""


class RoomCreation:
    """Makes rooms.

    Args:
        means: What changes rooms.
        version: Of new rooms; never the homeserver's default.
    """

    def __init__(self, means: Means, version: str) -> None:
        self._database = means.database
        self._homeserver = means.homeserver
        self._naming = means.naming
        self._aliases = means.aliases
        self._half_made = means.half_made
        self._version = version

    def invited(self, wanted: Wanted) -> Sequence[Mxid]:
        """Return who is invited with the creation. Into an open room one comes uninvited."""
        direct = wanted.portal.ref.kind is PortalKind.DIRECT
        if wanted.exposure.join == "public" and not direct:
            return ()
        return wanted.inside[:_INVITED_AT_ONCE]

    async def make(self, wanted: Wanted, invited: Sequence[Mxid]) -> tuple[RoomId, Present | None]:
        """Make a portal's room, or find the one that was made before.

        Returns:
            The room, and how it is where it was made just now.

        Raises:
            HomeserverError: There is no room; it can be tried again.
        """
        try:
            return await self._make(wanted, invited)
        except TokenRefused:
            raise
        except Refused as error:
            if not invited:
                raise
            # Perhaps one of them is the reason: brought in one by one, only that one stays out.
            log.warning("portal.invited_later", slug=wanted.portal.ref.slug, error=str(error))
            return await self._make(wanted, ())

    async def _make(self, wanted: Wanted, invited: Sequence[Mxid]) -> tuple[RoomId, Present | None]:
        above_all = creators(self._version, self._naming.bot, {})
        body = self._body(wanted, invited, above_all)
        present: Present | None = made(wanted, frozenset(invited), above_all)
        try:
            room_id = await self._homeserver.create_room(self._naming.bot, body)
        except Refused as error:
            # The alias is the lock: whoever comes second takes the room of who came first.
            if error.status != 409 and error.errcode != "M_ROOM_IN_USE":
                raise
            async with self._aliases:
                found = await self._adopt(wanted, error)
                if found is None:
                    await self._homeserver.delete_alias(wanted.portal.alias, self._naming.bot)
                    room_id = await self._homeserver.create_room(self._naming.bot, body)
                else:
                    room_id, present = found, None
        await self._bind(room_id, wanted.portal.ref)
        tenant, _, slug = wanted.portal.ref
        log.info("portal.created", tenant=tenant, slug=slug, room=room_id)
        return room_id, present

    def _body(
        self, wanted: Wanted, invited: Sequence[Mxid], above_all: frozenset[Mxid]
    ) -> dict[str, Any]:
        tenant, kind, slug = wanted.portal.ref
        state = contents(wanted)
        return {
            "room_version": self._version,
            "room_alias_name": wanted.portal.alias[1:].partition(":")[0],
            "preset": "private_chat",
            "visibility": "private",
            "is_direct": kind is PortalKind.DIRECT,
            "invite": list(invited),
            "creation_content": {PORTAL_KEY: {"tenant": tenant, "kind": kind.value, "slug": slug}},
            "power_level_content_override": all_levels(wanted, above_all),
            "initial_state": [
                {"type": event_type, "state_key": key, "content": content}
                for (event_type, key), content in state.items()
                # An empty topic or avatar says as much as none, and costs an event.
                if any(content.values())
            ],
        }

    async def _adopt(self, wanted: Wanted, refusal: Refused) -> RoomId | None:
        """Return the room that has the alias, if it was made for this portal.

        Returns:
            None where the alias leads to a room that is of no use: that of a portal that had
            the name before, or one that was never finished.
        """
        room_id = await self._homeserver.resolve_alias(wanted.portal.alias)
        if room_id is None:
            # Somebody else is between taking the alias and making the room.
            text = f"the alias {wanted.portal.alias} is being taken"
            raise HomeserverUnavailable(text) from refusal
        async with self._database.connection() as connection:
            bound = await portals.bound_to(connection, room_id)
            former = await portals.is_former(connection, room_id)
            states = await portals.states(connection, room_id)
        # The homeserver pushes rooms of strangers too, if their alias is one of ours.
        if any(one.type == CREATE and one.sender != self._naming.bot for one in states):
            raise refusal
        if former or bound not in (None, wanted.portal.ref):
            return None
        if await self._half_made.is_given_up(room_id):
            if bound is not None:  # Its first event came just now: the next settling parts them.
                raise HomeserverUnavailable(f"the room {room_id} was never finished") from refusal
            return None
        if bound is not None:
            return room_id
        create = await self._homeserver.get_state(room_id, CREATE, "", self._naming.bot)
        mark = _mark(create or {})
        # A slug may have changed since: what counts is the name that was this portal's then.
        if mark is None or self._naming.alias(mark) not in wanted.aliases:
            raise refusal
        return room_id

    async def _bind(self, room_id: RoomId, ref: PortalRef) -> None:
        async with self._database.transaction() as connection:
            # First the log, as whoever appends the room's first events does: else each waits for
            # the other.
            await event_log.lock(connection)
            heir = await directory.heir(connection, ref, self._naming.alias(ref))
            await rooms.bind(connection, room_id, heir)
            await event_log.adopt(connection, room_id, heir.tenant)
            if await rooms.room_of(connection, heir) != room_id:
                raise HomeserverUnavailable(f"the {ref.kind} has got another room meanwhile")


def _mark(create: dict[str, Any]) -> PortalRef | None:
    try:
        mark = msgspec.convert(create.get(PORTAL_KEY), PortalContent)
        return PortalRef(TenantId(mark.tenant), PortalKind(mark.kind), mark.slug)
    except (msgspec.ValidationError, ValueError):
        return None
