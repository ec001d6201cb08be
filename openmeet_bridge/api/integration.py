"""Integration API: how OpenMeet's backend says what there should be."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from ..bridge.directory import Directory, Status
from ..core.changes import (
    Change,
    DeleteMember,
    DeletePortal,
    DeleteUser,
    PutDirect,
    PutMember,
    PutPortal,
    PutUser,
)
from ..core.directory import Member, Portal, User, Visibility
from ..core.errors import InvalidParam, NotFound
from ..core.ids import PortalKind, PortalRef, RoomId, TenantId, UserSlug
from ..core.naming import Naming, direct_slug
from ..openmeet.tenants import Tenant
from .endpoint import Call, Endpoints

ENDPOINTS = Endpoints(tag="Integration", auth="service")

_BASE = "/api/integration/v1/tenants/{tenant}"
_SLUG = Annotated[str, Meta(min_length=1, max_length=255)]
_NAME = Annotated[str, Meta(min_length=1, max_length=255)]
_URL = Annotated[str, Meta(max_length=2000, pattern=r"^https?://")]


class UserPath(msgspec.Struct):
    """A user of a tenant."""

    tenant: str
    user: _SLUG


class PortalPath(msgspec.Struct):
    """A group or a meetup of a tenant."""

    tenant: str
    kind: Literal["groups", "meetups"]
    slug: _SLUG


class MemberPath(msgspec.Struct):
    """A user in a group or a meetup."""

    tenant: str
    kind: Literal["groups", "meetups"]
    slug: _SLUG
    user: _SLUG


class DirectPath(msgspec.Struct):
    """Two users of a tenant, in any order."""

    tenant: str
    first: _SLUG
    second: _SLUG


class UserDetails(msgspec.Struct, forbid_unknown_fields=True):
    """A user. `id` is OpenMeet's number, by which tokens name the user; the name is shown."""

    name: _NAME
    id: Annotated[int, Meta(ge=1)] | None = None
    avatar_url: _URL | None = None


class PortalDetails(msgspec.Struct, forbid_unknown_fields=True):
    """A group or a meetup.

    With `visibility` `public`, people of Matrix may join its room by themselves.
    """

    name: _NAME
    topic: Annotated[str, Meta(max_length=2000)] = ""
    avatar_url: _URL | None = None
    url: _URL | None = None
    visibility: Literal["public", "authenticated", "private"] = "private"


class MemberDetails(msgspec.Struct, forbid_unknown_fields=True):
    """What a user is in a group or a meetup: `owner`, `admin`, `moderator`, `host`, `member` …"""

    role: Annotated[str, Meta(min_length=1, max_length=64)] = "member"


class Following(msgspec.Struct, omit_defaults=True):
    """How far Matrix follows.

    `settled`: all is done. `pending`: it is being done, and tried again where it fails. `failed`:
    the homeserver refuses for good; `error` says why; the next change tries again.
    """

    state: Literal["settled", "pending", "failed"]
    attempts: int
    error: str | None = None
    room_id: RoomId | None = None


class Integration:
    """The handlers of the integration API.

    Args:
        directory: Keeps what there should be.
        naming: Makes the aliases of portals.
    """

    def __init__(self, directory: Directory, naming: Naming) -> None:
        self._directory = directory
        self._naming = naming

    @ENDPOINTS.put(_BASE + "/users/{user}", errors=(InvalidParam,))
    async def put_user(self, call: Call[Tenant, UserPath, None, UserDetails]) -> Following:
        """Write a user. The same again changes nothing."""
        details = call.body
        slug = UserSlug(call.path.user)
        user = User(call.caller.id, slug, details.id, details.name, details.avatar_url)
        return await self._made(PutUser(user), call.caller.id, "user", slug)

    @ENDPOINTS.delete(_BASE + "/users/{user}", errors=(NotFound,))
    async def delete_user(self, call: Call[Tenant, UserPath, None, None]) -> Following:
        """Remove a user: out of every room, every stream ended at once."""
        slug = UserSlug(call.path.user)
        return await self._made(DeleteUser(slug), call.caller.id, "user", slug)

    @ENDPOINTS.get(_BASE + "/users/{user}/status", errors=(NotFound,))
    async def user_status(self, call: Call[Tenant, UserPath, None, None]) -> Following:
        """How far Matrix follows for a user."""
        return _following(await self._directory.status(call.caller.id, "user", call.path.user))

    @ENDPOINTS.put(_BASE + "/{kind:groups|meetups}/{slug}", errors=(InvalidParam, NotFound))
    async def put_portal(self, call: Call[Tenant, PortalPath, None, PortalDetails]) -> Following:
        """Write a group or a meetup; its room is made."""
        details, ref = call.body, _ref(call.caller.id, call.path)
        portal = Portal(
            ref,
            self._naming.alias(ref),
            details.name,
            details.topic,
            details.avatar_url,
            details.url,
            Visibility(details.visibility),
        )
        return await self._made(PutPortal(portal), *ref)

    @ENDPOINTS.delete(_BASE + "/{kind:groups|meetups}/{slug}", errors=(NotFound,))
    async def delete_portal(self, call: Call[Tenant, PortalPath, None, None]) -> Following:
        """Remove a group or a meetup: everybody goes out of its room, and it is closed."""
        ref = _ref(call.caller.id, call.path)
        return await self._made(DeletePortal(ref), *ref)

    @ENDPOINTS.get(_BASE + "/{kind:groups|meetups}/{slug}/status", errors=(NotFound,))
    async def portal_status(self, call: Call[Tenant, PortalPath, None, None]) -> Following:
        """How far Matrix follows for a group or a meetup, its members included."""
        return _following(await self._directory.status(*_ref(call.caller.id, call.path)))

    @ENDPOINTS.put(_BASE + "/{kind:groups|meetups}/{slug}/members/{user}", errors=(NotFound,))
    async def put_member(self, call: Call[Tenant, MemberPath, None, MemberDetails]) -> Following:
        """Write that a user is in a group or a meetup, and as what."""
        ref = _ref(call.caller.id, call.path)
        member = Member(UserSlug(call.path.user), call.body.role)
        return await self._made(PutMember(ref, member), *ref)

    @ENDPOINTS.delete(_BASE + "/{kind:groups|meetups}/{slug}/members/{user}", errors=(NotFound,))
    async def delete_member(self, call: Call[Tenant, MemberPath, None, None]) -> Following:
        """Remove a user from a group or a meetup."""
        ref = _ref(call.caller.id, call.path)
        return await self._made(DeleteMember(ref, UserSlug(call.path.user)), *ref)

    @ENDPOINTS.put(_BASE + "/direct-chats/{first}/{second}", errors=(NotFound, InvalidParam))
    async def put_direct(self, call: Call[Tenant, DirectPath, None, None]) -> Following:
        """Write that two users have a direct chat. There is one for each pair."""
        ref = _pair(call.caller.id, call.path)
        pair = UserSlug(call.path.first), UserSlug(call.path.second)
        return await self._made(PutDirect(*pair), *ref)

    @ENDPOINTS.delete(_BASE + "/direct-chats/{first}/{second}", errors=(NotFound,))
    async def delete_direct(self, call: Call[Tenant, DirectPath, None, None]) -> Following:
        """Remove a direct chat."""
        ref = _pair(call.caller.id, call.path)
        return await self._made(DeletePortal(ref), *ref)

    @ENDPOINTS.get(_BASE + "/direct-chats/{first}/{second}/status", errors=(NotFound,))
    async def direct_status(self, call: Call[Tenant, DirectPath, None, None]) -> Following:
        """How far Matrix follows for a direct chat."""
        return _following(await self._directory.status(*_pair(call.caller.id, call.path)))

    async def _made(self, change: Change, tenant: TenantId, kind: str, slug: str) -> Following:
        await self._directory.apply(tenant, [change])
        return _following(await self._directory.status(tenant, kind, slug))


_KINDS = {"groups": PortalKind.GROUP, "meetups": PortalKind.MEETUP}


def _ref(tenant: TenantId, path: PortalPath | MemberPath) -> PortalRef:
    return PortalRef(tenant, _KINDS[path.kind], path.slug)


def _pair(tenant: TenantId, path: DirectPath) -> PortalRef:
    slug = direct_slug(UserSlug(path.first), UserSlug(path.second))
    return PortalRef(tenant, PortalKind.DIRECT, slug)


def _following(status: Status) -> Following:
    return msgspec.convert(status, Following, from_attributes=True)
