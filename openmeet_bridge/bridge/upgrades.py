"""Upgrades: a portal follows its room where a room upgrade leads, if that is legitimate.

A tombstone says where. It is followed only where the new room says that it comes from ours, where
the bot can come in, and where it has the power to keep the room as OpenMeet says. Otherwise the
portal stays where it is, and says why; when the bot is let in later, it is looked at again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import structlog

from ..core.events import CREATE, POWER_LEVELS, TOMBSTONE, Event
from ..core.ids import Mxid, PortalRef, RoomId
from ..core.naming import Naming
from ..core.permissions import full_power, needed_to_keep
from ..core.room_power import creators
from ..matrix.errors import Refused, TokenRefused
from ..matrix.homeserver import Homeserver
from ..matrix.transactions import decode_events
from ..storage import event_log, portals, rooms
from ..storage.database import Database
from .drift import replacement
from .ingest import Grown, Ingest

log = structlog.get_logger(__name__)

_PREFIX = "Room upgrade not followed: "
_PAGE = 100
_LONGEST_HISTORY = 2000
_LONGEST_CHAIN = 5


class _State(msgspec.Struct):
    type: str
    sender: Mxid
    state_key: str = ""
    content: dict[str, Any] = {}


class _NotLegitimate(Exception):
    """Why an upgrade is not followed."""


class Upgrades:
    """Follows room upgrades.

    Args:
        database: Knows which room a portal has.
        homeserver: Where the rooms are.
        ingest: Takes the beginning of a new room into the log.
        naming: The bot.
        grown: Called with the new end of the log, for everybody: streams hear that the old room
            is gone, and who was in the new one before it was ours.
    """

    def __init__(
        self,
        database: Database,
        homeserver: Homeserver,
        ingest: Ingest,
        naming: Naming,
        grown: Grown,
    ) -> None:
        self._database = database
        self._homeserver = homeserver
        self._ingest = ingest
        self._bot = naming.bot
        self._grown = grown

    async def waits(self, ref: PortalRef) -> bool:
        """Whether a portal's room has a tombstone that nobody has looked at yet."""
        async with self._database.connection() as connection:
            room = await portals.room(connection, ref)
            if room is None or await rooms.state(connection, room.room_id, TOMBSTONE) is None:
                return False
        return not (room.problem or "").startswith(_PREFIX)

    async def follow(self, ref: PortalRef) -> str | None:
        """Let a portal follow its room; return why it does not, where it should look like it.

        Without a tombstone this costs no request.

        Raises:
            HomeserverError: The homeserver does not answer; to be tried again.
            Unavailable: The database is away.
        """
        for _ in range(_LONGEST_CHAIN):
            async with self._database.connection() as connection:
                old = await rooms.room_of(connection, ref)
                tombstone = old and await rooms.state(connection, old, TOMBSTONE)
            if old is None or not tombstone:
                return None
            new = replacement(tombstone)
            try:
                if new is None:
                    raise _NotLegitimate("the tombstone names no new room.")
                await self._enter(old, new)
                await self._move(ref, old, new)
            except _NotLegitimate as reason:
                log.warning("upgrade.not_followed", tenant=ref.tenant, slug=ref.slug, room=old,
                            to=new, reason=str(reason))  # fmt: skip
                return f"{_PREFIX}{reason}"
            log.info("upgrade.followed", tenant=ref.tenant, slug=ref.slug, room=old, to=new)
        return None

    async def note(self, ref: PortalRef, problem: str | None) -> None:
        """Write beside a portal's other problems why an upgrade is not followed."""
        if problem is None:
            return
        async with self._database.connection() as connection:
            room = await portals.room(connection, ref)
            if room is None or (room.problem or "").startswith(problem):
                return
            others = room.problem if room.problem and not room.problem.startswith(_PREFIX) else ""
            await portals.note_problem(connection, room.room_id, f"{problem} {others}".strip())

    # Whether it is legitimate

    async def _enter(self, old: RoomId, new: RoomId) -> None:
        """Come into the new room, if it is what it says.

        Raises:
            _NotLegitimate: It is not.
        """
        async with self._database.connection() as connection:
            if await rooms.is_taken(connection, new):
                raise _NotLegitimate(f"{new} is or was the room of a portal already.")
        try:
            await self._homeserver.join(new, self._bot)
        except TokenRefused:
            raise
        except Refused as error:
            raise _NotLegitimate(
                f"the bot may not enter {new} ({error.errcode}): invite {self._bot} there."
            ) from error
        state = await self._state(new)
        create = state.get((CREATE, ""))
        predecessor = create.content.get("predecessor") if create else None
        if not isinstance(predecessor, dict) or predecessor.get("room_id") != old:
            await self._homeserver.leave(new, self._bot)
            raise _NotLegitimate(f"{new} does not say that it comes from this room.")
        await self._take_power(new, state)

    async def _state(self, room_id: RoomId) -> Mapping[tuple[str, str], _State]:
        raws = await self._homeserver.room_state(room_id, self._bot)
        events = [msgspec.json.decode(raw, type=_State) for raw in raws]
        return {(one.type, one.state_key): one for one in events}

    async def _take_power(self, room_id: RoomId, state: Mapping[tuple[str, str], _State]) -> None:
        """See that the bot has the power to keep the room; else let a ghost that has it give it."""
        create = state[CREATE, ""]
        version = str(create.content.get("room_version", "1"))
        above_all = creators(version, create.sender, create.content)
        content = state[POWER_LEVELS, ""].content if (POWER_LEVELS, "") in state else {}
        users = full_power(content, above_all)
        needed = needed_to_keep(content)
        default = users.get("", 0)
        if users.get(self._bot, default) >= needed:
            return
        async with self._database.connection() as connection:
            ghosts = await portals.ghosts_among(connection, [Mxid(one) for one in users])
        for ghost in sorted(ghosts):
            inside = state.get(("m.room.member", ghost))
            if users[ghost] >= needed and inside and inside.content.get("membership") == "join":
                levels = {**content.get("users", {}), self._bot: needed}
                changed = {**content, "users": levels}
                await self._homeserver.send_state(room_id, POWER_LEVELS, "", changed, ghost)
                return
        raise _NotLegitimate(
            f"the bot needs power level {needed} in {room_id}: give it to {self._bot}."
        )

    # Moving

    async def _move(self, ref: PortalRef, old: RoomId, new: RoomId) -> None:
        async with self._database.connection() as connection:
            fetched_at = (await event_log.head(connection)).position
        # What happened there before the bot came in was never pushed.
        await self._ingest.repair(new, await self._history(new), fetched_at)
        async with self._database.transaction() as connection:
            await event_log.part(connection, old)
            await rooms.unbind(connection, old, "upgraded", new)
            if not await rooms.bind(connection, new, ref):
                raise _NotLegitimate(f"{new} became the room of another portal meanwhile.")
            end = await event_log.adopt(connection, new, ref.tenant)
        self._grown(end, ())

    async def _history(self, room_id: RoomId) -> list[Event]:
        newest_first: list[Event] = []
        at: str | None = None
        while len(newest_first) < _LONGEST_HISTORY:
            page = await self._homeserver.messages(room_id, self._bot, "b", at, limit=_PAGE)
            newest_first += decode_events(page.chunk, room_id).events
            at = page.end if page.chunk else None
            if at is None:
                break
        return list(reversed(newest_first))
