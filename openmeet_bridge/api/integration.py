"""Integration API: how OpenMeet's backend says what there should be, one thing at a time."""

from __future__ import annotations

import msgspec

from ..bridge.directory import Directory
from ..core.changes import (
    DeleteMember,
    DeletePortal,
    DeleteUser,
    PutDirect,
    PutMember,
    PutPortal,
    PutUser,
    RenamePortal,
    RenameUser,
)
from ..core.errors import Conflict, InvalidParam, NotFound
from ..core.ids import PortalKind, PortalRef, TenantId, UserSlug
from ..core.naming import direct_slug
from ..openmeet.tenants import Tenant
from .descriptions import GroupDetails, MeetupDetails, MemberDetails, Slug, UserDetails
from .endpoint import Call, Endpoints
from .following import Follower, Following, Subject, Write
from .integration_paths import BASE, MemberPath, PortalPath, UserPath, portal_ref

ENDPOINTS = Endpoints(tag="Integration", auth="service")

_PORTALS = BASE + "/{kind:groups|meetups}/{slug}"
_DIRECT = BASE + "/direct-chats/{first}/{second}"


class GroupPath(msgspec.Struct):
    """A group of a tenant."""

    tenant: str
    slug: Slug


class MeetupPath(msgspec.Struct):
    """A meetup of a tenant."""

    tenant: str
    slug: Slug


class DirectPath(msgspec.Struct):
    """Two users of a tenant, in any order."""

    tenant: str
    first: Slug
    second: Slug


class NewName(msgspec.Struct, forbid_unknown_fields=True):
    """The new slug."""

    to: Slug


class Integration:
    """The handlers for single users, groups, meetups, members and direct chats.

    Args:
        directory: Keeps what there should be.
    """

    def __init__(self, directory: Directory) -> None:
        self._follower = Follower(directory)

    @ENDPOINTS.put(BASE + "/users/{user}", errors=(Conflict,))
    async def put_user(self, call: Call[Tenant, UserPath, Write, UserDetails]) -> Following:
        """Write a user. The same again changes nothing.

        An `id` that another user of the tenant had moves to this one.
        """
        tenant, slug = call.caller.id, call.path.user
        user = call.body.to_user(tenant, slug)
        return await self._follower.make(tenant, PutUser(user), _user(slug), call.query)

    @ENDPOINTS.delete(BASE + "/users/{user}", errors=(NotFound, Conflict))
    async def delete_user(self, call: Call[Tenant, UserPath, Write, None]) -> Following:
        """Remove a user: out of every room, every stream ended at once.

        What the user said stays; see the route that erases. 404 where there never was one.
        """
        tenant, slug = call.caller.id, UserSlug(call.path.user)
        return await self._follower.make(tenant, DeleteUser(slug), _user(slug), call.query)

    @ENDPOINTS.post(BASE + "/users/{user}/rename", errors=(NotFound, Conflict))
    async def rename_user(self, call: Call[Tenant, UserPath, Write, NewName]) -> Following:
        """Give a user another slug.

        Matrix id, rooms, direct chats and messages stay. 409 where another user has the new slug.
        Said again, it changes nothing.
        """
        tenant, to = call.caller.id, UserSlug(call.body.to)
        subject = Subject("user", to, {"slug": "path.user"})
        change = RenameUser(UserSlug(call.path.user), to)
        return await self._follower.make(tenant, change, subject, call.query)

    @ENDPOINTS.get(BASE + "/users/{user}/status", errors=(NotFound,))
    async def user_status(self, call: Call[Tenant, UserPath, None, None]) -> Following:
        """How far Matrix follows for a user."""
        return await self._follower.look(call.caller.id, "user", call.path.user)

    @ENDPOINTS.put(BASE + "/groups/{slug}", errors=(Conflict,))
    async def put_group(self, call: Call[Tenant, GroupPath, Write, GroupDetails]) -> Following:
        """Write a group; its room is made. The same again changes nothing."""
        ref = PortalRef(call.caller.id, PortalKind.GROUP, call.path.slug)
        return await self._put(ref, call.body, call.query)

    @ENDPOINTS.put(BASE + "/meetups/{slug}", errors=(Conflict,))
    async def put_meetup(self, call: Call[Tenant, MeetupPath, Write, MeetupDetails]) -> Following:
        """Write a meetup (OpenMeet's event); its room is made. The same again changes nothing.

        When a meetup is over or cancelled, its room becomes read-only after the time that the
        tenant's rules say.
        """
        ref = PortalRef(call.caller.id, PortalKind.MEETUP, call.path.slug)
        return await self._put(ref, call.body, call.query)

    @ENDPOINTS.delete(_PORTALS, errors=(NotFound, Conflict))
    async def delete_portal(self, call: Call[Tenant, PortalPath, Write, None]) -> Following:
        """Remove a group or a meetup: everybody goes out of its room, and it is closed.

        404 where there is none, or where its room is closed already.
        """
        ref = portal_ref(call.caller.id, call.path)
        return await self._follower.make(ref.tenant, DeletePortal(ref), _portal(ref), call.query)

    @ENDPOINTS.post(_PORTALS + "/rename", errors=(NotFound, Conflict))
    async def rename_portal(self, call: Call[Tenant, PortalPath, Write, NewName]) -> Following:
        """Give a group or a meetup another slug.

        The room stays and gets the new alias; the old one still leads to it. 409 where there is
        another of the new name. Said again, it changes nothing.
        """
        ref = portal_ref(call.caller.id, call.path)
        subject = Subject(ref.kind.value, call.body.to, {"slug": "path.slug"})
        change = RenamePortal(ref, call.body.to)
        return await self._follower.make(ref.tenant, change, subject, call.query)

    @ENDPOINTS.get(_PORTALS + "/status", errors=(NotFound,))
    async def portal_status(self, call: Call[Tenant, PortalPath, None, None]) -> Following:
        """How far Matrix follows for a group or a meetup, its members included."""
        return await self._follower.look(*portal_ref(call.caller.id, call.path))

    @ENDPOINTS.put(_PORTALS + "/members/{user}", errors=(NotFound, Conflict))
    async def put_member(self, call: Call[Tenant, MemberPath, Write, MemberDetails]) -> Following:
        """Write what a user is in a group or a meetup.

        With a role or a status that is not in the room, the user is out of it at once.
        """
        ref = portal_ref(call.caller.id, call.path)
        change = PutMember(ref, call.body.as_member(call.path.user))
        return await self._follower.make(ref.tenant, change, _portal(ref), call.query)

    @ENDPOINTS.delete(_PORTALS + "/members/{user}", errors=(NotFound, Conflict))
    async def delete_member(self, call: Call[Tenant, MemberPath, Write, None]) -> Following:
        """Remove a user from a group or a meetup: out of the room and its streams at once."""
        ref = portal_ref(call.caller.id, call.path)
        change = DeleteMember(ref, UserSlug(call.path.user))
        return await self._follower.make(ref.tenant, change, _portal(ref), call.query)

    @ENDPOINTS.put(_DIRECT, errors=(NotFound, Conflict))
    async def put_direct(self, call: Call[Tenant, DirectPath, Write, None]) -> Following:
        """Write that two users have a direct chat. There is one for each pair.

        409 where one of them blocks the other.
        """
        ref = _pair(call.caller.id, call.path)
        change = PutDirect(UserSlug(call.path.first), UserSlug(call.path.second))
        return await self._follower.make(ref.tenant, change, _portal(ref), call.query)

    @ENDPOINTS.delete(_DIRECT, errors=(NotFound, Conflict))
    async def delete_direct(self, call: Call[Tenant, DirectPath, Write, None]) -> Following:
        """Remove a direct chat."""
        ref = _pair(call.caller.id, call.path)
        return await self._follower.make(ref.tenant, DeletePortal(ref), _portal(ref), call.query)

    @ENDPOINTS.get(_DIRECT + "/status", errors=(NotFound,))
    async def direct_status(self, call: Call[Tenant, DirectPath, None, None]) -> Following:
        """How far Matrix follows for a direct chat."""
        return await self._follower.look(*_pair(call.caller.id, call.path))

    async def _put(self, ref: PortalRef, details: GroupDetails, write: Write) -> Following:
        change = PutPortal(details.to_portal(ref))
        return await self._follower.make(ref.tenant, change, _portal(ref), write)


def _pair(tenant: TenantId, path: DirectPath) -> PortalRef:
    if path.first == path.second:
        raise InvalidParam(
            "A direct chat needs two users.", fields={"path.second": "is the first user"}
        )
    slug = direct_slug(UserSlug(path.first), UserSlug(path.second))
    return PortalRef(tenant, PortalKind.DIRECT, slug)


def _user(slug: str) -> Subject:
    return Subject("user", slug, {"slug": "path.user"})


def _portal(ref: PortalRef) -> Subject:
    places = {name: f"path.{name}" for name in ("slug", "user", "first", "second")}
    return Subject(ref.kind.value, ref.slug, places)
