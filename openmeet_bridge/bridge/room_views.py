"""Room views: both sides of a portal's plan, read from the database."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from ..core.directory import Member, Override, Portal
from ..core.events import CREATE, MEMBER
from ..core.ids import Mxid, PortalKind, PortalRef, RoomId, UserSlug
from ..core.naming import direct_pair
from ..core.room_plan import Applied, Presence, Present
from ..core.room_power import creators
from ..core.room_state import AVATAR, POWER, Content, Key, Wanted, is_read_only
from ..core.rules import Aspect, Place, Rules
from ..matrix.homeserver import Homeserver
from ..storage import directory, pictures, portals, rooms
from ..storage.database import Connection, Database
from ..storage.portals import Room

Picture = Callable[[str | None], Awaitable[str | None]]
"""From a picture's address on OpenMeet to the ``mxc://`` address of its copy, if there is one."""

_EMPTY = Applied()
_applied = msgspec.json.Decoder(Applied)


@dataclass(frozen=True, slots=True)
class Listed:
    """A portal's people as the directory has them.

    Attributes:
        members: What active users are in it.
        overrides: What operators have said.
        unsettled: Whose row the room has not followed yet.
        ghosts: The users' Matrix ids.
    """

    members: Mapping[UserSlug, Member]
    overrides: Mapping[UserSlug, Override]
    unsettled: frozenset[UserSlug]
    ghosts: Mapping[UserSlug, Mxid]

    @property
    def slugs(self) -> frozenset[UserSlug]:
        """Everybody of whom anything is said."""
        return frozenset(self.members.keys() | self.overrides.keys())

    @property
    def nameless(self) -> list[UserSlug]:
        """Those for whom no ghost is written down."""
        return sorted(self.slugs - self.ghosts.keys())


@dataclass(frozen=True, slots=True)
class Entry:
    """What the directory says of a portal, and the room that it has."""

    portal: Portal | None
    people: Listed
    former_aliases: tuple[str, ...]
    blocked: bool
    room: Room | None


class RoomViews:
    """Reads what plans are made of.

    Args:
        database: The directory and the projections of the log.
        homeserver: Asked only for a room of which the log does not have the beginning.
        bot: The bridge's bot.
        picture: Finds the avatars of rooms; None: they are left alone.
    """

    def __init__(
        self, database: Database, homeserver: Homeserver, bot: Mxid, picture: Picture | None
    ) -> None:
        self._database = database
        self._homeserver = homeserver
        self._bot = bot
        self._picture = picture

    async def entry(self, ref: PortalRef) -> Entry:
        """Return what the directory says of a portal."""
        async with self._database.connection() as connection:
            members = await directory.members(connection, ref)
            overrides = await directory.overrides(connection, ref)
            slugs = members.keys() | overrides.keys()
            return Entry(
                await directory.portal(connection, ref),
                Listed(
                    members,
                    overrides,
                    frozenset(await directory.unsettled_members(connection, ref)),
                    await portals.ghosts_of(connection, ref.tenant, slugs),
                ),
                tuple(await directory.former_aliases(connection, ref)),
                await _is_blocked(connection, ref),
                await portals.room(connection, ref),
            )

    async def room_of(self, ref: PortalRef) -> RoomId | None:
        """Return the room that a portal has."""
        async with self._database.connection() as connection:
            return await rooms.room_of(connection, ref)

    async def wanted(
        self, entry: Entry, portal: Portal, rules: Rules, now: datetime, *, look: bool
    ) -> Wanted:
        """Return what a portal's room should be.

        Args:
            entry: What the directory says.
            portal: Of the entry.
            rules: Of the tenant.
            now: Decides what is archived.
            look: Copy the picture that is the avatar if need be; else one that is new is unknown.
        """
        kind, people = portal.ref.kind, entry.people
        places = {
            people.ghosts[slug]: rules.standing(
                kind, people.members.get(slug), people.overrides.get(slug)
            )
            for slug in people.slugs
            if slug in people.ghosts
        }
        firm = people.unsettled | {slug for slug, one in people.overrides.items() if one.inside}
        return Wanted(
            portal=portal,
            bot=self._bot,
            people={one: how for one, how in places.items() if how.place is not Place.OUT},
            firm=frozenset(people.ghosts[slug] for slug in firm & people.ghosts.keys()),
            former_aliases=tuple(one for one in entry.former_aliases if one != portal.alias),
            avatar=await self._avatar(entry, portal, look=look),
            read_only=entry.blocked or is_read_only(portal, rules, now),
            exposure=rules.exposed(portal),
            accepted=frozenset(one for one in Aspect if rules.accepts(kind, one)),
        )

    async def _avatar(self, entry: Entry, portal: Portal, *, look: bool) -> str | None:
        if not portal.avatar_url:
            return ""
        if self._picture is None:
            return None
        if look:
            return await self._picture(portal.avatar_url)
        known = decoded(entry.room.applied) if entry.room else _EMPTY
        return known.texts.get(AVATAR[0]) if known.picture == portal.avatar_url else None

    async def picture_waits(self, entry: Entry, portal: Portal) -> bool:
        """Whether there is a picture that the room does not have, and that may be had now."""
        if not portal.avatar_url or self._picture is None:
            return False
        if entry.room and decoded(entry.room.applied).picture == portal.avatar_url:
            return False
        async with self._database.connection() as connection:
            source = await pictures.source(connection, portal.avatar_url)
        return source is None or source.due

    async def present(self, room: Room, wanted: Iterable[Mxid] = ()) -> Present:
        """Return a room as the log shows it; where that knows nothing, as the homeserver says."""
        return await self.logged(room, wanted) or await self._asked(room)

    async def logged(self, room: Room, wanted: Iterable[Mxid] = ()) -> Present | None:
        """Return a room as the log shows it; None where it does not have the room's beginning."""
        async with self._database.connection() as connection:
            kept = await portals.states(connection, room.room_id)
            people = await rooms.room_members(connection, room.room_id)
            state = {(one.type, one.state_key): _content(one.content) for one in kept}
            named = {*_powerful(state), *(one.mxid for one in people), *wanted}
            ghosts = await portals.ghosts_among(connection, named)
        create = next((one for one in kept if one.type == CREATE), None)
        if create is None:
            return None
        return Present(
            creators=_creators(create.sender, state[CREATE, ""]),
            state=state,
            members={one.mxid: Presence(one.membership, one.barred) for one in people},
            ghosts=frozenset(ghosts),
            listed=room.listed,
            applied=decoded(room.applied),
        )

    async def _asked(self, room: Room) -> Present:
        """Return a room as the homeserver has it: nothing of it has come to the log yet."""
        raws = await self._homeserver.room_state(room.room_id, self._bot)
        events = [msgspec.json.decode(raw, type=_StateEvent) for raw in raws]
        state = {(one.type, one.state_key): one.content for one in events if one.type != MEMBER}
        members = {
            Mxid(one.state_key): Presence(str(one.content.get("membership", "leave")))
            for one in events
            if one.type == MEMBER
        }
        sender = next((one.sender for one in events if one.type == CREATE), self._bot)
        async with self._database.connection() as connection:
            named = {*_powerful(state), *members}
            ghosts = await portals.ghosts_among(connection, named)
        return Present(
            creators=_creators(sender, state.get((CREATE, ""), {})),
            state=state,
            members=members,
            ghosts=frozenset(ghosts),
            listed=room.listed,
            applied=decoded(room.applied),
        )


class _StateEvent(msgspec.Struct):
    type: str
    sender: Mxid
    state_key: str = ""
    content: dict[str, Any] = {}


def decoded(applied: str) -> Applied:
    """Return what was noted of a room; what another version has noted otherwise is forgotten."""
    try:
        return _applied.decode(applied)
    except msgspec.ValidationError:
        return _EMPTY


async def _is_blocked(connection: Connection, ref: PortalRef) -> bool:
    if ref.kind is not PortalKind.DIRECT:
        return False
    return await directory.is_blocked(connection, ref.tenant, *direct_pair(ref.slug))


def _creators(sender: Mxid, create: Content) -> frozenset[Mxid]:
    # A room whose beginning names no version is of the first (Matrix, "Room versions").
    return creators(str(create.get("room_version", "1")), sender, create)


def _content(raw: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(raw, type=dict[str, Any])
    except (msgspec.DecodeError, msgspec.ValidationError):
        return {}


def _powerful(state: Mapping[Key, Content]) -> list[Mxid]:
    users = state.get(POWER, {}).get("users")
    return [Mxid(one) for one in users] if isinstance(users, dict) else []
