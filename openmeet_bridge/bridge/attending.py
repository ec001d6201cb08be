"""Attending: that people come into discussions and go out of them when the web app asks for it.

The app asks, and OpenMeet decides: what is asked for here only makes happen at once what OpenMeet
says anyway.
"""

from __future__ import annotations

from ..core.directory import User
from ..core.errors import Conflict, Forbidden, NotFound
from ..core.hints import Subject
from ..core.ids import Mxid, PortalRef, RoomId, UserSlug
from ..core.rules import Place
from ..storage import rooms
from ..storage.database import Database
from .comparison import Comparison
from .directory import Directory
from .discussions import Discussions, unknown
from .looks import Looks
from .powers import levels_in
from .roster import Roster, Seat

_MODERATES = 50
_REST = 3.0
"""Seconds between two questions to OpenMeet's database about one group or meetup."""


class Attending:
    """Lets people in and shows them out.

    Args:
        database: What the log says of rooms.
        discussions: Finds rooms and people.
        roster: Knows who should be where.
        directory: Asks for jobs.
        comparison: Asks OpenMeet's database; None where there is none.
    """

    def __init__(
        self,
        database: Database,
        discussions: Discussions,
        roster: Roster,
        directory: Directory,
        comparison: Comparison | None,
    ) -> None:
        self._database = database
        self._discussions = discussions
        self._roster = roster
        self._directory = directory
        self._comparison = comparison
        self._looks = Looks(_REST)

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
        seats = await self._seats(ref)
        if slug != caller.slug and not await self._moderates(mxid, ref):
            raise Forbidden("Only who moderates this room may remove others from it.")
        user = await self._discussions.user(caller.tenant, slug)
        if _is_in(seats, slug) and self._comparison is not None:
            await self._look_anew(self._comparison, ref)
            seats = await self._seats(ref)
        if _is_in(seats, slug):
            raise Conflict(
                f"By what OpenMeet says, {user.name} is a member. End that on OpenMeet; the room "
                "follows."
            )
        await self._directory.ask_again(ref.tenant, ref.kind.value, ref.slug)

    async def _seats(self, ref: PortalRef) -> list[Seat]:
        try:
            return await self._roster.seats(ref)
        except NotFound as error:
            raise unknown(ref) from error

    async def _look_anew(self, comparison: Comparison, ref: PortalRef) -> None:
        subject = Subject(ref.kind.value, None, ref.slug)
        await self._looks.anew(ref, lambda: comparison.compare_one(ref.tenant, subject))

    async def _moderates(self, mxid: Mxid, ref: PortalRef) -> bool:
        async with self._database.connection() as connection:
            room_id = await rooms.room_of(connection, ref)
            if room_id is None or not await rooms.is_joined(connection, ref.tenant, room_id, mxid):
                return False
            return (await levels_in(connection, room_id)).level(mxid) >= _MODERATES


def _is_in(seats: list[Seat], slug: UserSlug) -> bool:
    return any(seat.user == slug and seat.place is Place.IN for seat in seats)
