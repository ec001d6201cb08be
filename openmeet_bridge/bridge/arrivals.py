"""Arrivals: people who come before the bridge has heard of them, or before their room lets them in.

OpenMeet's web app knows at once that somebody has joined a group; the bridge hears of it a moment
later. Whoever asks for a room here waits that moment, instead of being sent away. OpenMeet's word
decides as ever: where its database can be read it is asked before anybody is refused.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from ..core.directory import User
from ..core.errors import Conflict, Forbidden, InvalidParam, NotFound, Unavailable
from ..core.hints import USER, Subject
from ..core.ids import Mxid, PortalKind, PortalRef, RoomId, TenantId
from ..core.rules import CANCELLED, Place
from ..storage import directory, jobs, rooms
from ..storage.database import Database
from .comparison import Comparison
from .ghosts import Ghosts
from .looks import Looks
from .roster import Roster, Seat

log = structlog.get_logger(__name__)

_FIRST_POLL = 0.05
_LONGEST_POLL = 0.4
_WIDER = 1.5
_NOUNS: Final = {
    PortalKind.GROUP: "group",
    PortalKind.MEETUP: "event",
    PortalKind.DIRECT: "direct chat",
}
_STRANGER: Final = {
    PortalKind.GROUP: "You are not a member of this group.",
    PortalKind.MEETUP: "You do not attend this event.",
    PortalKind.DIRECT: "You are not part of this direct chat.",
}
_REASONS: Final = {
    "inactive": "Your account is not active.",
    "override": "An administrator has decided that you are not in this {noun}'s chat.",
    "banned": "You are banned from this {noun}.",
}
_ATTENDANCE: Final = {
    "pending": "Your attendance is waiting for approval.",
    "waitlist": "You are on the waiting list of this event.",
    CANCELLED: "You have cancelled your attendance.",
    "rejected": "Your attendance was rejected.",
    "invited": "You are invited to this event, but do not attend it yet.",
}


class Arrivals:
    """Brings people to where they may be.

    Args:
        database: The directory.
        ghosts: Makes users of Matrix.
        roster: Knows who should be where.
        comparison: Asks OpenMeet's database; None where there is none.
        wake: Called when a job is wanted.
        patience: Longest time for which somebody waits, in seconds.
        rest: Seconds between two questions to OpenMeet's database about one group or meetup.
        forget: Seconds after which it is asked anew about one user.
    """

    def __init__(
        self,
        database: Database,
        ghosts: Ghosts,
        roster: Roster,
        comparison: Comparison | None,
        wake: Callable[[], None],
        patience: float,
        *,
        rest: float = 3.0,
        forget: float = 10.0,
    ) -> None:
        self._database = database
        self._ghosts = ghosts
        self._roster = roster
        self._comparison = comparison
        self._wake = wake
        self._patience = patience
        self._portals = Looks(rest)
        self._users = Looks(forget)

    async def user(self, tenant: TenantId, openmeet_id: int) -> User | None:
        """Return a user of whom the bridge has not heard, where OpenMeet's database has one.

        Raises:
            Unavailable: A database is away.
        """
        comparison = self._comparison
        if comparison is None or not 0 < openmeet_id < 1 << 63:
            return None
        await self._users.lately(
            (tenant, openmeet_id),
            lambda: _ask(comparison, tenant, Subject(USER, openmeet_id)),
        )
        async with self._database.connection() as connection:
            user = await directory.user_by_openmeet_id(connection, tenant, openmeet_id)
        return user if user is not None and user.active else None

    async def matrix_user(self, user: User) -> Mxid:
        """Return somebody's Matrix user, which exists from now on.

        Raises:
            HomeserverError: It could not be made.
            Unavailable: The database is away.
        """
        return await self._ghosts.ensure(user.tenant, user.slug)

    async def room(self, user: User, ref: PortalRef) -> RoomId:
        """Return the room of a group, meetup or direct chat, in which the user is by then.

        Raises:
            NotFound: OpenMeet has no such thing.
            Forbidden: By what OpenMeet says of them, they are not in it.
            Unavailable: They may be in it, but it takes longer than one can wait.
        """
        deadline = self._deadline()
        mxid = user.mxid or await self._ghosts.mxid(user.tenant, user.slug)
        room_id = await self._room_of(ref, mxid)
        if room_id is not None:
            return room_id
        seat = await self._seat(ref, user)
        if seat is None or seat.place is not Place.IN:
            await self._compare(ref, deadline)
            seat = await self._seat(ref, user)
        if seat is None or seat.place is not Place.IN:
            raise _refusal(ref, seat)
        return await self._wait(ref, lambda: self._room_of(ref, mxid), deadline)

    async def made(self, ref: PortalRef) -> RoomId:
        """Return the room of a group or meetup, whoever is in it.

        Raises:
            NotFound: OpenMeet has no such thing.
            Unavailable: It takes longer than one can wait.
        """
        deadline = self._deadline()
        if not await self._is_known(ref):
            await self._compare(ref, deadline)
            if not await self._is_known(ref):
                raise not_found(ref)
        room_id = await self._any_room_of(ref)
        return room_id or await self._wait(ref, lambda: self._any_room_of(ref), deadline)

    async def look_anew(self, ref: PortalRef) -> None:
        """Let OpenMeet's database say again who is in a group or meetup, where it can be asked.

        Raises:
            Unavailable: A database is away, or it takes longer than one can wait.
        """
        await self._compare(ref, self._deadline())

    def _deadline(self) -> float:
        return asyncio.get_running_loop().time() + self._patience

    async def _compare(self, ref: PortalRef, deadline: float) -> None:
        """Let OpenMeet's database say what there is, where it can."""
        comparison = self._comparison
        if comparison is None or ref.kind is PortalKind.DIRECT:
            return
        subject = Subject(ref.kind.value, None, ref.slug)
        try:
            async with asyncio.timeout_at(deadline):
                await self._portals.anew(ref, lambda: _ask(comparison, ref.tenant, subject))
        except TimeoutError:
            raise _too_slow(ref) from None

    async def _wait(
        self, ref: PortalRef, look: Callable[[], Awaitable[RoomId | None]], deadline: float
    ) -> RoomId:
        async with self._database.connection() as connection:
            await jobs.want(connection, ref.tenant, ref.kind.value, ref.slug)
        self._wake()
        pause = _FIRST_POLL
        while asyncio.get_running_loop().time() + pause < deadline:
            await asyncio.sleep(pause * random.uniform(0.8, 1.2))  # noqa: S311  (jitter)
            room_id = await look()
            if room_id is not None:
                return room_id
            pause = min(pause * _WIDER, _LONGEST_POLL)
        raise _too_slow(ref)

    async def _room_of(self, ref: PortalRef, mxid: Mxid) -> RoomId | None:
        """Return a portal's room, if somebody is in it now."""
        async with self._database.connection() as connection:
            room_id = await rooms.room_of(connection, ref)
            if room_id and await rooms.is_joined(connection, ref.tenant, room_id, mxid):
                return room_id
        return None

    async def _any_room_of(self, ref: PortalRef) -> RoomId | None:
        async with self._database.connection() as connection:
            portal = await directory.portal(connection, ref)
            # The room of a former life is being closed.
            former = portal is None or portal.reborn
            return None if former else await rooms.room_of(connection, ref)

    async def _is_known(self, ref: PortalRef) -> bool:
        async with self._database.connection() as connection:
            portal = await directory.portal(connection, ref)
        return portal is not None and not portal.deleted

    async def _seat(self, ref: PortalRef, user: User) -> Seat | None:
        try:
            return await self._roster.seat(ref, user.slug)
        except NotFound:
            return None


async def _ask(comparison: Comparison, tenant: TenantId, subject: Subject) -> None:
    try:
        await comparison.compare_one(tenant, subject)
    except (Conflict, InvalidParam, NotFound):
        # Deprovisioned, or a tenant of which OpenMeet's database has nothing: the directory's word.
        return
    except Unavailable as error:
        log.warning("arrivals.not_asked", tenant=tenant, subject=str(subject), error=error.message)
        # Not the error itself, which may name hosts and tables.
        text = "What OpenMeet says cannot be looked up at present: try again soon."
        raise Unavailable(text, retry_after_ms=5000) from error


def not_found(ref: PortalRef) -> NotFound:
    """Return the error of a group or a meetup that OpenMeet does not have."""
    return NotFound(f"{_NOUNS[ref.kind].capitalize()} with slug {ref.slug} not found")


def _refusal(ref: PortalRef, seat: Seat | None) -> NotFound | Forbidden:
    noun = _NOUNS[ref.kind]
    if seat is None:
        return not_found(ref)
    member, why = seat.member, seat.why
    if why != "inactive" and member is None and seat.override is None:
        return Forbidden(_STRANGER[ref.kind])
    if why in _REASONS:
        return Forbidden(_REASONS[why].format(noun=noun))
    if member is None:
        return Forbidden(_STRANGER[ref.kind])
    if ref.kind is PortalKind.GROUP and member.role == "guest":
        return Forbidden("Your membership is waiting for approval.")
    if why == "status":
        otherwise = f"Your attendance is: {member.status}."
        return Forbidden(_ATTENDANCE.get(member.status, otherwise))
    return Forbidden(f"As {member.role} one is not in this {noun}'s chat.")


def _too_slow(ref: PortalRef) -> Unavailable:
    return Unavailable(
        f"The chat of this {_NOUNS[ref.kind]} is being prepared: try again in a moment.",
        retry_after_ms=2000,
    )
