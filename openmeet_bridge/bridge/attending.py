"""Attending: that people come into discussions and go out of them when the web app asks for it.

The app asks, and OpenMeet decides: what is asked for here only makes happen at once what OpenMeet
says anyway.
"""

from __future__ import annotations

from ..core.directory import User
from ..core.errors import Conflict, Forbidden, NotFound
from ..core.ids import Mxid, PortalRef, RoomId, UserSlug
from ..core.rules import Place
from ..storage import rooms
from ..storage.database import Database
from .arrivals import Arrivals
from .directory import Directory
from .discussions import Discussions, unknown
from .powers import levels_in
from .roster import Roster, Seat

_MODERATES = 50


class Attending:
    """Lets people in and shows them out.

    Args:
        database: What the log says of rooms.
        discussions: Finds rooms and people.
        roster: Knows who should be where.
        directory: Asks for jobs.
        arrivals: Asks OpenMeet's database, where there is one.
    """

    def __init__(
        self,
        database: Database,
        discussions: Discussions,
        roster: Roster,
        directory: Directory,
        arrivals: Arrivals,
    ) -> None:
        self._database = database
        self._discussions = discussions
        self._roster = roster
        self._directory = directory
        self._arrivals = arrivals

    async def add(self, caller: User, slug: UserSlug, ref: PortalRef) -> RoomId:
        """See to it that somebody is in a room who may be there; return the room.

        People ask that for themselves; for others only who is in the room. Nobody comes in of
        whom OpenMeet does not say so.

        Raises:
            NotFound: There is no such group, meetup or user.
            Forbidden: The caller, or the user, may not be in it.
            Unavailable: It takes longer than one can wait.
        """
        room_id = await self._discussions.room(caller, ref)
        if slug == caller.slug:
            return room_id
        user = await self._discussions.user(caller.tenant, slug)
        try:
            return await self._discussions.room(user, ref)
        except Forbidden as error:
            raise Forbidden(f"{user.name} is not a member, by what OpenMeet says.") from error

    async def remove(self, caller: User, mxid: Mxid, slug: UserSlug, ref: PortalRef) -> None:
        """See to it that somebody is out of a room who is no longer a member.

        People ask that for themselves, and who moderates the room, for others. OpenMeet is looked
        at anew, where its database can be asked; whoever is no member by then has lost the room
        when this returns, and the homeserver follows.

        Args:
            caller: Who asks.
            mxid: Who that is on Matrix.
            slug: Who is to be out.
            ref: Of what.

        Raises:
            NotFound: There is no such group, meetup or user.
            Forbidden: The caller does not moderate the room.
            Conflict: By what OpenMeet says, the user is a member still: that has to end first.
            Unavailable: A database is away.
        """
        # Of the caller first: a stranger learns nothing of who is in a group.
        seat = await self._seat(ref, caller.slug)
        user = caller
        if slug != caller.slug:
            if not await self._moderates(mxid, ref):
                raise Forbidden("Only who moderates this room may remove others from it.")
            user = await self._discussions.user(caller.tenant, slug)
            seat = await self._seat(ref, slug)
        if seat.place is Place.IN:
            await self._arrivals.look_anew(ref)
            seat = await self._seat(ref, slug)
        if seat.place is Place.IN:
            raise Conflict(
                f"By what OpenMeet says, {user.name} is a member. End that on OpenMeet; the room "
                "follows."
            )
        await self._directory.ask_again(ref.tenant, ref.kind.value, ref.slug)

    async def _seat(self, ref: PortalRef, slug: UserSlug) -> Seat:
        try:
            return await self._roster.seat(ref, slug)
        except NotFound as error:
            raise unknown(ref) from error

    async def _moderates(self, mxid: Mxid, ref: PortalRef) -> bool:
        async with self._database.connection() as connection:
            room_id = await rooms.room_of(connection, ref)
            if room_id is None or not await rooms.is_joined(connection, ref.tenant, room_id, mxid):
                return False
            return (await levels_in(connection, room_id)).level(mxid) >= _MODERATES
