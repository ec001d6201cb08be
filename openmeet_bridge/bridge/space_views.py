"""Space views: what a space should be, by the directory, and what the log shows of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from ..core import spaces as planning
from ..core.directory import Portal, Visibility
from ..core.ids import Mxid, PortalKind, PortalRef, TenantId
from ..core.naming import Naming
from ..core.rules import Exposure, Place, Rules
from ..core.spaces import Present, Room, Wanted
from ..storage import directory, spaces
from ..storage.database import Connection, Database
from ..storage.spaces import Space
from .room_views import Picture


class SpaceViews:
    """Reads what the plans of spaces are made of; never asks the homeserver.

    Args:
        database: The directory and the log.
        naming: Makes aliases.
        rules: Of each tenant.
        names: What each tenant is called; who is not named has no space.
        picture: Finds the ``mxc://`` address of a picture; None: leave avatars alone.
    """

    def __init__(
        self,
        database: Database,
        naming: Naming,
        rules: Callable[[TenantId], Rules],
        names: Mapping[TenantId, str],
        picture: Picture | None,
    ) -> None:
        self._database = database
        self._naming = naming
        self._rules = rules
        self._names = names
        self._picture = picture

    async def look(self, tenant: TenantId, group: str) -> tuple[Wanted | None, Present | None]:
        """Return what a space should be, None where it should not, and what it is, if it is.

        Raises:
            Unavailable: The database is away.
        """
        async with self._database.connection() as connection:
            space = await spaces.get(connection, tenant, group)
            present = await self._present(connection, space) if space else None
            if group and await self._group(connection, tenant, group) is None:
                # The directory has never said a word of it: nobody knows what it should be.
                return None, None
            found = await self._wanted(connection, tenant, group)
        if found is None:
            return None, present
        wanted, picture = found
        if picture is not None:
            avatar = await self._picture(picture) if self._picture else None
            wanted = replace(wanted, avatar=avatar)
        return wanted, present

    async def _present(self, connection: Connection, space: Space) -> Present:
        state = await spaces.state(connection, space.room_id)
        parents = await spaces.parents(connection, space.room_id, self._naming.bot)
        return Present(
            room_id=space.room_id,
            state={(kind, key): _decoded(content) for kind, key, content in state},
            members=await spaces.ghosts_in(connection, space.room_id),
            parents={room_id: _decoded(content) for room_id, content in parents},
            listed=space.listed,
        )

    async def _wanted(
        self, connection: Connection, tenant: TenantId, group: str
    ) -> tuple[Wanted, str | None] | None:
        rules = self._rules(tenant)
        if not rules.spaces or tenant not in self._names:
            return None
        if not group:
            return await self._wanted_of_tenant(connection, tenant, rules), None
        portal = await self._group(connection, tenant, group)
        if portal is None or portal.deleted:
            return None
        return await self._wanted_of_group(connection, portal, rules), portal.avatar_url

    async def _group(self, connection: Connection, tenant: TenantId, group: str) -> Portal | None:
        return await directory.portal(connection, PortalRef(tenant, PortalKind.GROUP, group))

    async def _wanted_of_tenant(
        self, connection: Connection, tenant: TenantId, rules: Rules
    ) -> Wanted:
        portals = await directory.visible(connection, tenant, Visibility.PUBLIC)
        groups = {one.ref.slug: one for one in portals if one.ref.kind is PortalKind.GROUP}
        rooms = await self._rooms(
            connection, tenant, [one for one in portals if one.ref.kind is PortalKind.MEETUP]
        )
        rooms += [
            Room(space.room_id, groups[space.group], space=True)
            for space in await spaces.of_groups(connection, tenant)
            if space.group in groups
        ]
        members = await spaces.ghosts_of(connection, tenant) if rules.space_members else {}
        return Wanted(
            alias=self._naming.space_alias(tenant, ""),
            name=self._names[tenant],
            server_name=self._naming.server_name,
            exposure=rules.exposure.get(Visibility.PUBLIC, Exposure()),
            children=planning.children_of_tenant(rooms, groups),
            members=frozenset(members.values()),
        )

    async def _wanted_of_group(self, connection: Connection, group: Portal, rules: Rules) -> Wanted:
        tenant, _, slug = group.ref
        meetups = await directory.meetups_of_group(connection, tenant, slug)
        rooms = await self._rooms(connection, tenant, [group, *meetups])
        members = await self._members(connection, group.ref, rules) if rules.space_members else ()
        return Wanted(
            alias=self._naming.space_alias(tenant, slug),
            name=group.name,
            topic=group.topic,
            server_name=self._naming.server_name,
            exposure=rules.exposed(group),
            children=planning.children_of_group(rooms, group),
            members=frozenset(members),
        )

    async def _rooms(
        self, connection: Connection, tenant: TenantId, portals: Sequence[Portal]
    ) -> list[Room]:
        there = await spaces.rooms(connection, tenant, [one.ref for one in portals])
        return [Room(there[one.ref], one) for one in portals if one.ref in there]

    async def _members(
        self, connection: Connection, ref: PortalRef, rules: Rules
    ) -> Sequence[Mxid]:
        ghosts = await spaces.ghosts_of(connection, ref.tenant)
        members = await directory.members(connection, ref)
        overrides = await directory.overrides(connection, ref)
        return [
            ghosts[slug]
            for slug in members.keys() | overrides.keys()
            if slug in ghosts
            and rules.standing(ref.kind, members.get(slug), overrides.get(slug)).place is Place.IN
        ]


def _decoded(content: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(content, type=dict[str, Any])
    except (msgspec.DecodeError, msgspec.ValidationError):
        return {}
