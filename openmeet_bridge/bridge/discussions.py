"""Discussions: the rooms of groups and meetups, as OpenMeet's web app comes to them by slug."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ..core.directory import User, Visibility
from ..core.errors import Forbidden, NotFound
from ..core.ids import PortalKind, PortalRef, RoomId, TenantId, UserSlug
from ..storage import directory, rooms
from ..storage.database import Database
from .arrivals import Arrivals

_WORDS: Final[Mapping[PortalKind, str]] = {PortalKind.GROUP: "Group", PortalKind.MEETUP: "Event"}
"""What the web app calls them."""


class Discussions:
    """Finds rooms for people of the web app.

    Args:
        database: The directory.
        arrivals: Brings people into the rooms where they may be.
    """

    def __init__(self, database: Database, arrivals: Arrivals) -> None:
        self._database = database
        self._arrivals = arrivals

    async def room(self, user: User, ref: PortalRef) -> RoomId:
        """Return the room of a group or meetup, in which the user is by then.

        Raises:
            NotFound: There is no such group or meetup.
            Forbidden: By what OpenMeet says of them, they are not in it.
            Unavailable: They may be in it, but it takes longer than one can wait.
        """
        try:
            return await self._arrivals.room(user, ref)
        except NotFound as error:
            raise unknown(ref) from error

    async def for_guest(self, ref: PortalRef) -> RoomId | None:
        """Return the room of a group or meetup for somebody who has not logged in; None: none yet.

        They may know that it is there, and read nothing of it.

        Raises:
            NotFound: There is no such group or meetup.
            Forbidden: It is private.
        """
        async with self._database.connection() as connection:
            portal = await directory.portal(connection, ref)
            if portal is None or portal.deleted:
                raise unknown(ref)
            if portal.visibility is Visibility.PRIVATE:
                raise Forbidden(
                    f"Authentication required to access private {_WORDS[ref.kind].lower()} "
                    "discussions"
                )
            return await rooms.room_of(connection, ref)

    async def user(self, tenant: TenantId, slug: UserSlug) -> User:
        """Return a user.

        Raises:
            NotFound: There is none.
        """
        async with self._database.connection() as connection:
            found = await directory.user(connection, tenant, slug)
        if found is None or not found.active:
            raise NotFound(f"User with slug {slug} not found")
        return found


def unknown(ref: PortalRef) -> NotFound:
    """Return the error of a group or meetup that is not there, in the web app's words."""
    return NotFound(f"{_WORDS[ref.kind]} with slug {ref.slug} not found")
