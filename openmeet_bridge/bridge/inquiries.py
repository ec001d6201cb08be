"""Inquiries: what the homeserver asks, and how it reaches us.

Asked for an alias, the bridge makes the room for it, if the alias is of something that is on
OpenMeet: the homeserver waits for the answer, and so does whoever wants to come in.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

import msgspec
import structlog

from ..core.directory import Portal
from ..core.errors import NotFound
from ..core.events import name_problem
from ..core.ids import Mxid, RoomId
from ..core.naming import Naming
from ..matrix.errors import HomeserverError, Refused
from ..matrix.homeserver import Homeserver
from ..storage import directory, ghosts, jobs, rooms
from ..storage.database import Database
from ..stream.broadcast import Broadcast
from ..stream.bus import EVERYBODY
from ..stream.signals import Pinged

log = structlog.get_logger(__name__)

_REMEMBERED = 64
_POLL = 0.1
_PATIENCE = 20.0
"""Seconds in which a room is made for who waits; Synapse itself gives up after a minute."""


class _Ping(msgspec.Struct):
    transaction_id: str | None = None


class _CanonicalAlias(msgspec.Struct):
    alias: str | None = None


class Inquiries:
    """Answers whether users and rooms exist, makes rooms on demand, and remembers pings.

    Args:
        database: The directory.
        naming: Reads the names.
        homeserver: Where an alias is put back that somebody has removed.
        wake: Called when the job for a room is wanted.
        broadcast: Leads to the other processes: a ping comes to any, and is asked for at any.
        patience: Longest time for which an answer waits for a room, in seconds.
    """

    def __init__(
        self,
        database: Database,
        naming: Naming,
        homeserver: Homeserver,
        wake: Callable[[], None],
        broadcast: Broadcast,
        patience: float = _PATIENCE,
    ) -> None:
        self._database = database
        self._naming = naming
        self._homeserver = homeserver
        self._wake = wake
        self._patience = patience
        self._pings: deque[str] = deque(maxlen=_REMEMBERED)
        self._broadcast = broadcast
        broadcast.on(Pinged, lambda said: self._pings.append(said.transaction_id))

    async def user(self, mxid: str) -> None:
        """Return if a ghost stands for somebody.

        Raises:
            NotFound: It stands for nobody.
        """
        if not name_problem(mxid):
            async with self._database.connection() as connection:
                ghost = await ghosts.of_mxid(connection, Mxid(mxid))
                if ghost is not None and await directory.user(connection, ghost.tenant, ghost.slug):
                    return
        if mxid != self._naming.bot:
            raise NotFound(f"No OpenMeet user is behind {Mxid(mxid)}.")

    async def alias(self, alias: str) -> None:
        """Return when a portal's room has this alias, now or formerly the portal's.

        Raises:
            NotFound: There is no such portal, or its room could not be made in time.
        """
        if name_problem(alias):
            raise NotFound("Nothing on OpenMeet is behind this alias.")
        async with self._database.connection() as connection:
            portal = await directory.portal_by_alias(connection, alias)
            room_id = await rooms.room_of(connection, portal.ref) if portal else None
        if portal is None:
            raise NotFound(f"Nothing on OpenMeet is behind {alias}.")
        if room_id is None:
            room_id = await self._made(portal)
            if alias == portal.alias:
                return
        # The homeserver asks because it does not know the alias.
        await self._point(alias, room_id)

    async def _made(self, portal: Portal) -> RoomId:
        """Return a portal's room once it is there, under its alias."""
        async with self._database.connection() as connection:
            await jobs.want(connection, portal.ref.tenant, portal.ref.kind.value, portal.ref.slug)
        self._wake()
        deadline = asyncio.get_running_loop().time() + self._patience
        while asyncio.get_running_loop().time() < deadline:
            room_id = await self._named(portal)
            if room_id is not None:
                return room_id
            await asyncio.sleep(_POLL)
        raise NotFound(f"The room of {portal.alias} is not ready yet.")

    async def _named(self, portal: Portal) -> RoomId | None:
        """Return a portal's room where the log shows its alias: then the homeserver has it too.

        To ask the homeserver would make it ask us again.
        """
        async with self._database.connection() as connection:
            room_id = await rooms.room_of(connection, portal.ref)
            content = room_id and await rooms.state(connection, room_id, "m.room.canonical_alias")
        if not content:
            return None
        try:
            named = msgspec.json.decode(content, type=_CanonicalAlias).alias == portal.alias
        except (msgspec.DecodeError, msgspec.ValidationError):
            return None
        return room_id if named else None

    async def _point(self, alias: str, room_id: RoomId) -> None:
        try:
            await self._homeserver.create_alias(alias, room_id, self._naming.bot)
        except HomeserverError as error:
            if isinstance(error, Refused) and error.status == 409:  # meanwhile
                return
            log.warning("alias.not_put_back", alias=alias, room=room_id, error=str(error))
            raise NotFound(f"The alias {alias} cannot be put back at present.") from error

    def pinged(self, body: bytes) -> None:
        """Remember a ping: the proof that the homeserver reaches us."""
        try:
            transaction_id = msgspec.json.decode(body or b"{}", type=_Ping).transaction_id
        except (msgspec.DecodeError, UnicodeDecodeError):
            return
        if transaction_id is not None:
            self._pings.append(transaction_id)
            self._broadcast.say(EVERYBODY, Pinged(transaction_id))

    def was_pinged(self, transaction_id: str) -> bool:
        """Whether a ping with this id has arrived."""
        return transaction_id in self._pings

    def no_protocol(self, protocol: str) -> NotFound:
        """Return the answer to a question about a third-party protocol."""
        return NotFound(f"This bridge has no third-party protocol {protocol!r}.")
