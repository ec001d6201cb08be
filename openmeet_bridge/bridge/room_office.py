"""The rooms of groups and meetups, as an administrator of OpenMeet has them made and closed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from ..core.changes import RenewPortal
from ..core.errors import NotFound, Unavailable
from ..core.ids import Mxid, PortalRef, RoomId
from ..matrix.errors import HomeserverError
from ..matrix.homeserver import Homeserver
from ..matrix.homeserver_admin import HomeserverAdmin
from ..storage import rooms
from ..storage.database import Database
from .arrivals import Arrivals, not_found
from .directory import Directory

log = structlog.get_logger(__name__)

PATIENCE: Final = 20.0
"""Seconds for which an administrator waits until a room is closed."""

_POLL = 0.2


class RoomOffice:
    """Makes and closes rooms when an administrator says so.

    Args:
        database: The directory.
        directory: Where it is written.
        arrivals: Waits for rooms.
        homeserver: Lets the bot go from a room that is to be removed.
        bot: The bot.
        admin: Removes closed rooms from the homeserver; None: they stay there, empty.
    """

    def __init__(
        self,
        database: Database,
        directory: Directory,
        arrivals: Arrivals,
        homeserver: Homeserver,
        bot: Mxid,
        admin: HomeserverAdmin | None,
    ) -> None:
        self._database = database
        self._directory = directory
        self._arrivals = arrivals
        self._homeserver = homeserver
        self._bot = bot
        self._admin = admin

    async def make(self, ref: PortalRef) -> RoomId:
        """Return the room of a group or a meetup, once it is there.

        Raises:
            NotFound: OpenMeet has no such thing.
            Unavailable: It takes longer than one can wait.
        """
        return await self._arrivals.made(ref)

    async def close(self, ref: PortalRef) -> str:
        """Close the room of a group or a meetup for good; a new one, empty, takes its place.

        From the moment this is written nobody reads the old one here. Where the homeserver lets
        us, it is removed there too, with all that was said in it.

        Returns:
            What was done, in a sentence.

        Raises:
            NotFound: OpenMeet has no such thing.
            Unavailable: It is closed, but not everybody is out of it yet.
        """
        room_id = await self._give_up(ref)
        if room_id is None:
            return "There was no chat room."
        deadline = asyncio.get_running_loop().time() + PATIENCE
        await self._until(lambda: self._is_parted(ref, room_id), deadline)
        log.info("room.reset", tenant=ref.tenant, kind=ref.kind.value, slug=ref.slug, room=room_id)
        if self._admin is None:
            return "The chat room is closed. It stays on the homeserver, with nobody in it."
        try:
            await self._remove(self._admin, room_id, deadline)
        except (HomeserverError, Unavailable) as error:
            log.warning("room.not_removed", room=room_id, error=str(error))
            return "The chat room is closed, but could not be removed from the homeserver."
        return "The chat room is closed, and removed from the homeserver."

    async def _give_up(self, ref: PortalRef) -> RoomId | None:
        async with self._database.connection() as connection:
            room_id = await rooms.room_of(connection, ref)
        try:
            await self._directory.apply(ref.tenant, [RenewPortal(ref)])
        except NotFound:
            raise not_found(ref) from None
        return room_id

    async def _remove(self, admin: HomeserverAdmin, room_id: RoomId, deadline: float) -> None:
        # The bot goes first, and is seen to be out: else its spaces would still be told to the
        # room, which would not be there any more.
        await self._homeserver.leave(room_id, self._bot)
        await self._until(lambda: self._is_left(room_id), deadline)
        await admin.remove_room(room_id)

    async def _until(self, look: Callable[[], Awaitable[bool]], deadline: float) -> None:
        while not await look():
            if asyncio.get_running_loop().time() > deadline:
                text = "The chat room is being closed, which takes a while: look again soon."
                raise Unavailable(text, retry_after_ms=10_000)
            await asyncio.sleep(_POLL)

    async def _is_parted(self, ref: PortalRef, room_id: RoomId) -> bool:
        async with self._database.connection() as connection:
            return await rooms.room_of(connection, ref) != room_id

    async def _is_left(self, room_id: RoomId) -> bool:
        async with self._database.connection() as connection:
            known = await rooms.members(connection, [(room_id, self._bot)])
        return all(one.membership != "join" for one in known.values())
