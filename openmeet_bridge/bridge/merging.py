"""Merging: a duplicate of a portal's room is given up in favour of the portal's own.

People of Matrix are invited to the portal's room, and the duplicate says where it has gone; then
the ghosts leave it, and the bot last. Users of OpenMeet need nothing: the directory alone decides
who of them is in the portal's room.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field

import msgspec
import structlog

from ..core.errors import Conflict, NotFound
from ..core.events import CREATE, MESSAGE, POWER_LEVELS, TOMBSTONE
from ..core.ids import Mxid, PortalRef, RoomId
from ..core.naming import Naming
from ..core.permissions import full_power
from ..core.room_power import creators
from ..matrix.errors import Refused, TokenRefused
from ..matrix.homeserver import Homeserver
from ..storage import portals, rooms
from ..storage.database import Database

log = structlog.get_logger(__name__)

_NOTICE = "This room is a duplicate of another one, which goes on. Please use that one."


@dataclass(slots=True)
class Merged:
    """What was done.

    Attributes:
        room_id: The portal's room.
        invited: People of Matrix who were invited to it.
        not_invited: Who could not be, and why.
        tombstone: Whether the duplicate says where it has gone: the bot needs the power for it.
        left: Ghosts that left the duplicate.
    """

    room_id: RoomId
    invited: list[Mxid] = field(default_factory=list)
    not_invited: dict[Mxid, str] = field(default_factory=dict)
    tombstone: bool = False
    left: list[Mxid] = field(default_factory=list)


class _State(msgspec.Struct):
    type: str
    sender: Mxid
    state_key: str = ""
    content: dict[str, object] = {}


class Merging:
    """Merges rooms.

    Args:
        database: Knows the portals' rooms.
        homeserver: Where the rooms are.
        naming: The bot.
    """

    def __init__(self, database: Database, homeserver: Homeserver, naming: Naming) -> None:
        self._database = database
        self._homeserver = homeserver
        self._bot = naming.bot

    async def merge(self, ref: PortalRef, duplicate: RoomId) -> Merged:
        """Give up a duplicate; a second time does what the first could not.

        Raises:
            NotFound: The portal has no room.
            Conflict: The room is a portal's own, or the bot cannot come into it.
            HomeserverError: A step failed; what was done stays.
            Unavailable: The database is away.
        """
        merged = Merged(await self._check(ref, duplicate))
        events = await self._enter(duplicate)
        members = {
            Mxid(one.state_key)
            for one in events
            if one.type == "m.room.member" and one.content.get("membership") == "join"
        } - {self._bot}
        async with self._database.connection() as connection:
            ghosts = set(await portals.ghosts_among(connection, members))
        await self._invite(merged, members - ghosts)
        await self._say_where(merged, duplicate, events)
        for ghost in sorted(ghosts):
            await self._homeserver.leave(duplicate, ghost)
            merged.left.append(ghost)
        async with self._database.connection() as connection:
            await rooms.retire(connection, duplicate, ref, "merged", merged.room_id)
        await self._homeserver.leave(duplicate, self._bot)
        log.info("room.merged", tenant=ref.tenant, slug=ref.slug, room=duplicate,
                 into=merged.room_id, invited=len(merged.invited))  # fmt: skip
        return merged

    async def _check(self, ref: PortalRef, duplicate: RoomId) -> RoomId:
        async with self._database.connection() as connection:
            room_id = await rooms.room_of(connection, ref)
            owner = await rooms.owner(connection, duplicate)
        if room_id is None:
            raise NotFound(f"The {ref.kind} {ref.slug!r} has no room yet.")
        if owner is not None:
            raise Conflict(f"{duplicate} is the room of the {owner.kind} {owner.slug!r}.")
        return room_id

    async def _enter(self, duplicate: RoomId) -> list[_State]:
        try:
            await self._homeserver.join(duplicate, self._bot)
            raws = await self._homeserver.room_state(duplicate, self._bot)
        except TokenRefused:
            raise
        except Refused as error:
            raise Conflict(
                f"The bot cannot come into {duplicate} ({error}): invite {self._bot} there."
            ) from error
        return [msgspec.json.decode(raw, type=_State) for raw in raws]

    async def _invite(self, merged: Merged, people: set[Mxid]) -> None:
        async with self._database.connection() as connection:
            pairs = [(merged.room_id, one) for one in people]
            known = await rooms.members(connection, pairs)
        for mxid in sorted(people):
            there = known.get((merged.room_id, mxid))
            if there is not None and there.membership in ("join", "invite", "ban"):
                continue
            try:
                await self._homeserver.invite(merged.room_id, mxid, self._bot)
            except TokenRefused:
                raise
            except Refused as error:
                merged.not_invited[mxid] = str(error)
            else:
                merged.invited.append(mxid)

    async def _say_where(self, merged: Merged, duplicate: RoomId, events: list[_State]) -> None:
        state = {(one.type, one.state_key): one for one in events}
        if self._may_end(state):
            content = {"body": _NOTICE, "replacement_room": merged.room_id}
            notice = {"msgtype": "m.notice", "body": _NOTICE}
            txn_id = f"ommerge{uuid.uuid4().hex}"
            await self._homeserver.send_event(duplicate, MESSAGE, txn_id, notice, self._bot)
            await self._homeserver.send_state(duplicate, TOMBSTONE, "", content, self._bot)
            merged.tombstone = True

    def _may_end(self, state: dict[tuple[str, str], _State]) -> bool:
        create = state.get((CREATE, ""))
        if create is None:
            return False
        version = str(create.content.get("room_version", "1"))
        above_all = creators(version, create.sender, create.content)
        levels = state.get((POWER_LEVELS, ""))
        content = levels.content if levels else {}
        users = full_power(content, above_all)
        events = content.get("events")
        needed = events.get(TOMBSTONE) if isinstance(events, dict) else None
        if not isinstance(needed, int):
            default = content.get("state_default")
            needed = default if isinstance(default, int) else 50
        return users.get(self._bot, users[""]) >= needed
