"""Portals: rooms that are as the directory says, whatever they were before.

Every step compares what should be with what the log says is, and does only the difference. So a
step can be repeated at any moment, after a crash as after somebody's change from a Matrix client.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec
import structlog

from ..core.directory import Portal
from ..core.events import CREATE, PORTAL_KEY, POWER_LEVELS
from ..core.ids import Mxid, PortalKind, PortalRef, RoomId, TenantId, UserSlug
from ..core.naming import Naming
from ..core.rules import Exposure, Place, Rules
from ..matrix.errors import HomeserverUnavailable, Refused
from ..matrix.homeserver import Homeserver
from ..storage import directory, event_log, rooms
from ..storage.database import Database
from .ghosts import Ghosts

log = structlog.get_logger(__name__)

_AT_ONCE = 5
_ECHO_PATIENCE = 5.0
_ECHO_POLL = 0.05
_BOT_LEVEL = 100


class NotSettled(Exception):
    """All was done, but the log does not show it yet. To be looked at again."""


class Portals:
    """Makes rooms equal to the directory.

    Args:
        database: The directory and the projections.
        homeserver: Where the rooms are.
        ghosts: Makes the members.
        naming: Tells ghosts from people of Matrix, whose membership is not the directory's.
        rules: Of each tenant.
        room_version: Version of new rooms; never the homeserver's default.
    """

    def __init__(
        self,
        database: Database,
        homeserver: Homeserver,
        ghosts: Ghosts,
        naming: Naming,
        rules: Callable[[TenantId], Rules],
        room_version: str,
    ) -> None:
        self._database = database
        self._homeserver = homeserver
        self._ghosts = ghosts
        self._naming = naming
        self._rules = rules
        self._room_version = room_version

    async def settle(self, ref: PortalRef) -> None:
        """Make a portal's room what it should be.

        Raises:
            HomeserverError: A step failed; what was done stays, and the rest can be tried again.
            NotSettled: The homeserver has accepted all, but its echo has not come in yet.
            Unavailable: The database is away.
        """
        async with self._database.connection() as connection:
            wanted = await directory.portal(connection, ref)
            members_wanted = await directory.members(connection, ref)
            overrides = await directory.overrides(connection, ref)
            room_id = await rooms.room_of(connection, ref)
        if wanted is None or wanted.deleted or wanted.reborn:
            await self._close(ref, room_id)
            room_id = None
        if wanted is None or wanted.deleted:
            return
        rules = self._rules(ref.tenant)
        roles = {}
        for slug in members_wanted.keys() | overrides.keys():
            standing = rules.standing(ref.kind, members_wanted.get(slug), overrides.get(slug))
            if standing.place is Place.IN:
                roles[slug] = standing.level
        members = await self._ghosts_of(ref, roles)
        if room_id is None:
            room_id = await self._create(wanted, members)
        await self._settle_state(wanted, room_id, members)
        await self._settle_members(room_id, members)
        await self._echoed(room_id, set(members))

    async def _ghosts_of(self, ref: PortalRef, roles: Mapping[UserSlug, int]) -> dict[Mxid, int]:
        limit = asyncio.Semaphore(_AT_ONCE)

        async def ensure(slug: UserSlug) -> Mxid:
            async with limit:
                await self._ghosts.refresh(ref.tenant, slug)
                return await self._ghosts.ensure(ref.tenant, slug)

        made = await _all(*(ensure(slug) for slug in roles))
        return dict(zip(made, roles.values(), strict=True))

    # The room

    async def _create(self, wanted: Portal, members: Mapping[Mxid, int]) -> RoomId:
        body = self._creation(wanted, members)
        try:
            room_id = await self._homeserver.create_room(self._naming.bot, body)
        except Refused as error:
            # The alias is the lock: whoever comes second takes the room of who came first.
            if error.status != 409 and error.errcode != "M_ROOM_IN_USE":
                raise
            room_id = await self._adopt(wanted, error)
        await self._bind(room_id, wanted.ref)
        log.info("portal.created", tenant=wanted.ref.tenant, slug=wanted.ref.slug, room=room_id)
        return room_id

    def _creation(self, wanted: Portal, members: Mapping[Mxid, int]) -> dict[str, Any]:
        tenant, kind, slug = wanted.ref
        return {
            "room_version": self._room_version,
            "room_alias_name": self._naming.alias_localpart(wanted.ref),
            "preset": "private_chat",
            "visibility": "private",
            "name": wanted.name,
            "topic": wanted.topic,
            "is_direct": kind is PortalKind.DIRECT,
            "invite": list(members),
            "creation_content": {PORTAL_KEY: {"tenant": tenant, "kind": kind.value, "slug": slug}},
            "power_level_content_override": self._power_levels(members),
            "initial_state": [
                _state("m.room.history_visibility", {"history_visibility": "shared"}),
                _state("m.room.guest_access", {"guest_access": "forbidden"}),
                _state(
                    "m.room.join_rules",
                    {"join_rule": self._exposure(wanted).join},
                ),
            ],
        }

    async def _adopt(self, wanted: Portal, refusal: Refused) -> RoomId:
        room_id = await self._homeserver.resolve_alias(wanted.alias)
        if room_id is None:
            # Somebody else is between taking the alias and making the room.
            raise HomeserverUnavailable(f"the alias {wanted.alias} is being taken") from refusal
        create = await self._homeserver.get_state(room_id, CREATE, "", self._naming.bot)
        tenant, kind, slug = wanted.ref
        mark = {"tenant": tenant, "kind": kind.value, "slug": slug}
        if create is None or create.get(PORTAL_KEY) != mark:
            raise refusal
        return room_id

    async def _bind(self, room_id: RoomId, ref: PortalRef) -> None:
        async with self._database.transaction() as connection:
            await rooms.bind(connection, room_id, ref)
            await event_log.adopt(connection, room_id, ref.tenant)

    async def _close(self, ref: PortalRef, room_id: RoomId | None) -> None:
        if room_id is not None:
            await self._empty(room_id)
            # The alias goes too: a new group of this name must not come into the old history.
            await self._homeserver.delete_alias(self._naming.alias(ref), self._naming.bot)
        async with self._database.transaction() as connection:
            if room_id is not None:
                await rooms.unbind(connection, room_id, "closed")
            await directory.buried(connection, ref)
        log.info("portal.closed", tenant=ref.tenant, slug=ref.slug, room=room_id)

    async def _empty(self, room_id: RoomId) -> None:
        """Let nobody stay but the bot: people of Matrix go as well, and stay out."""
        closed = {"join_rule": "invite"}
        await self._homeserver.send_state(
            room_id, "m.room.join_rules", "", closed, self._naming.bot
        )
        async with self._database.connection() as connection:
            present = await rooms.room_members(connection, room_id)
        inside = [one.mxid for one in present if one.membership in ("join", "invite")]
        await self._take_out(room_id, [mxid for mxid in inside if mxid != self._naming.bot])
        await self._echoed(room_id, set())

    # Its state

    async def _settle_state(
        self, wanted: Portal, room_id: RoomId, members: Mapping[Mxid, int]
    ) -> None:
        for event_type, content in (
            ("m.room.name", {"name": wanted.name}),
            ("m.room.topic", {"topic": wanted.topic}),
            (
                "m.room.join_rules",
                {"join_rule": self._exposure(wanted).join},
            ),
        ):
            if not _holds(await self._present(room_id, event_type), content):
                await self._homeserver.send_state(
                    room_id, event_type, "", content, self._naming.bot
                )
        await self._settle_power(room_id, members)

    async def _settle_power(self, room_id: RoomId, members: Mapping[Mxid, int]) -> None:
        present = await self._present(room_id, POWER_LEVELS)
        if present is None:  # just made: the creation has set them
            return
        wanted = self._power_levels(members)["users"]
        users = present.get("users", {})
        kept = {mxid: level for mxid, level in users.items() if not self._is_ours(mxid)}
        if users != kept | wanted:
            content = present | {"users": kept | wanted}
            await self._homeserver.send_state(room_id, POWER_LEVELS, "", content, self._naming.bot)

    def _power_levels(self, members: Mapping[Mxid, int]) -> dict[str, Any]:
        users = {mxid: level for mxid, level in members.items() if level}
        if not self._creator_is_above_all:
            users[self._naming.bot] = _BOT_LEVEL
        return {
            "users": users,
            "users_default": 0,
            "events_default": 0,
            "state_default": 50,
            "invite": 50,
            "kick": 50,
            "ban": 50,
            "redact": 50,
            "events": {
                "m.room.power_levels": _BOT_LEVEL,
                "m.room.encryption": _BOT_LEVEL,
                "m.room.history_visibility": _BOT_LEVEL,
                "m.room.join_rules": _BOT_LEVEL,
                "m.room.server_acl": _BOT_LEVEL,
                "m.room.tombstone": 150 if self._creator_is_above_all else _BOT_LEVEL,
            },
        }

    @property
    def _creator_is_above_all(self) -> bool:
        # Since room version 12 the creator's power has no bound and must not be listed.
        return self._room_version.isdigit() and int(self._room_version) >= 12

    def _exposure(self, wanted: Portal) -> Exposure:
        return self._rules(wanted.ref.tenant).exposed(wanted)

    async def _present(self, room_id: RoomId, event_type: str) -> dict[str, Any] | None:
        async with self._database.connection() as connection:
            content = await rooms.state(connection, room_id, event_type)
        if content is None:
            return None
        try:
            return msgspec.json.decode(content, type=dict[str, Any])
        except (msgspec.DecodeError, msgspec.ValidationError):
            return {}

    # Its members

    async def _settle_members(self, room_id: RoomId, wanted: Mapping[Mxid, int]) -> None:
        present = await self._ghosts_in(room_id)
        limit = asyncio.Semaphore(_AT_ONCE)

        async def bring_in(mxid: Mxid) -> None:
            async with limit:
                await self._bring_in(room_id, mxid, present.get(mxid))

        missing = [mxid for mxid in wanted if present.get(mxid) != "join"]
        extra = [
            mxid
            for mxid, membership in present.items()
            if membership in ("join", "invite") and mxid not in wanted
        ]
        await self._take_out(room_id, extra)
        await _all(*map(bring_in, missing))

    async def _take_out(self, room_id: RoomId, mxids: Iterable[Mxid]) -> None:
        limit = asyncio.Semaphore(_AT_ONCE)

        async def take_out(mxid: Mxid) -> None:
            async with limit:
                await self._homeserver.kick(
                    room_id, mxid, "no longer a member on OpenMeet", self._naming.bot
                )

        await _all(*map(take_out, mxids))

    async def _bring_in(self, room_id: RoomId, mxid: Mxid, membership: str | None) -> None:
        if membership == "invite":
            await self._homeserver.join(room_id, mxid)
            return
        try:
            # Most often the creation has invited already, and the log does not show it yet.
            await self._homeserver.join(room_id, mxid)
        except Refused:
            await self._homeserver.invite(room_id, mxid, self._naming.bot)
            await self._homeserver.join(room_id, mxid)

    async def _ghosts_in(self, room_id: RoomId) -> dict[Mxid, str]:
        async with self._database.connection() as connection:
            members = await rooms.room_members(connection, room_id)
        return {one.mxid: one.membership for one in members if self._naming.parse_ghost(one.mxid)}

    def _is_ours(self, mxid: str) -> bool:
        return mxid == self._naming.bot or self._naming.parse_ghost(mxid) is not None

    async def _echoed(self, room_id: RoomId, wanted: set[Mxid]) -> None:
        """Wait until the log shows the members that were asked for."""
        deadline = asyncio.get_running_loop().time() + _ECHO_PATIENCE
        while True:
            present = await self._ghosts_in(room_id)
            inside = {mxid for mxid, membership in present.items() if membership == "join"}
            if inside == wanted:
                return
            if asyncio.get_running_loop().time() > deadline:
                raise NotSettled("the homeserver has accepted all, but has not sent it to us yet")
            await asyncio.sleep(_ECHO_POLL)


async def _all(*work: Any) -> list[Any]:
    """Run side by side; let all end before the first failure is raised."""
    results = await asyncio.gather(*work, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results


def _state(event_type: str, content: dict[str, str]) -> dict[str, Any]:
    return {"type": event_type, "state_key": "", "content": content}


def _holds(present: Mapping[str, Any] | None, wanted: Mapping[str, Any]) -> bool:
    return present is not None and all(present.get(key) == wanted[key] for key in wanted)
