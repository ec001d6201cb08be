"""The changes of a batch as JSON: one struct for each, told apart by ``op``."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from ..core import changes
from ..core.changes import Change
from ..core.ids import PortalKind, PortalRef, TenantId, UserSlug
from ..core.naming import direct_slug
from .descriptions import (
    GroupDetails,
    MeetupDetails,
    MemberDetails,
    Members,
    Slug,
    UserDetails,
    check_unique,
)

MOST_CHANGES = 1000

_Kind = Annotated[Literal["group", "meetup"], Meta(description="What `slug` is the slug of.")]


class _Change(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, tag_field="op"):
    """One change of a batch."""


class PutUser(UserDetails, kw_only=True, tag_field="op", tag="put_user"):
    """Write a user."""

    slug: Slug

    def to_change(self, tenant: TenantId) -> Change:
        """Return it as the directory takes it."""
        return changes.PutUser(self.to_user(tenant, self.slug))


class DeleteUser(_Change, kw_only=True, tag="delete_user"):
    """Remove a user; nothing, where there is none."""

    slug: Slug

    def to_change(self, tenant: TenantId) -> Change:
        """Return it as the directory takes it."""
        return changes.DeleteUser(UserSlug(self.slug))


class RenameUser(_Change, kw_only=True, tag="rename_user"):
    """Give a user another slug."""

    slug: Slug
    to: Slug

    def to_change(self, tenant: TenantId) -> Change:
        """Return it as the directory takes it."""
        return changes.RenameUser(UserSlug(self.slug), UserSlug(self.to))


class PutGroup(GroupDetails, kw_only=True, tag_field="op", tag="put_group"):
    """Write a group."""

    slug: Slug

    def to_change(self, tenant: TenantId) -> Change:
        """Return it as the directory takes it."""
        return changes.PutPortal(self.to_portal(PortalRef(tenant, PortalKind.GROUP, self.slug)))


class PutMeetup(MeetupDetails, kw_only=True, tag_field="op", tag="put_meetup"):
    """Write a meetup."""

    slug: Slug

    def to_change(self, tenant: TenantId) -> Change:
        """Return it as the directory takes it."""
        return changes.PutPortal(self.to_portal(PortalRef(tenant, PortalKind.MEETUP, self.slug)))


class _PortalChange(_Change, kw_only=True):
    kind: _Kind
    slug: Slug

    def ref(self, tenant: TenantId) -> PortalRef:
        """Return the group or meetup that is meant."""
        return PortalRef(tenant, PortalKind(self.kind), self.slug)


class DeletePortal(_PortalChange, kw_only=True, tag="delete"):
    """Remove a group or a meetup; nothing, where there is none."""

    def to_change(self, tenant: TenantId) -> Change:
        """Return it as the directory takes it."""
        return changes.DeletePortal(self.ref(tenant))


class RenamePortal(_PortalChange, kw_only=True, tag="rename"):
    """Give a group or a meetup another slug."""

    to: Slug

    def to_change(self, tenant: TenantId) -> Change:
        """Return it as the directory takes it."""
        return changes.RenamePortal(self.ref(tenant), self.to)


class PutMember(MemberDetails, kw_only=True, tag_field="op", tag="put_member"):
    """Write what a user is in a group or a meetup."""

    kind: _Kind
    slug: Slug
    user: Slug

    def to_change(self, tenant: TenantId) -> Change:
        """Return it as the directory takes it."""
        ref = PortalRef(tenant, PortalKind(self.kind), self.slug)
        return changes.PutMember(ref, self.as_member(self.user))


class DeleteMember(_PortalChange, kw_only=True, tag="delete_member"):
    """Remove a user from a group or a meetup; nothing, where the user is not in it."""

    user: Slug

    def to_change(self, tenant: TenantId) -> Change:
        """Return it as the directory takes it."""
        return changes.DeleteMember(self.ref(tenant), UserSlug(self.user))


class ReplaceMembers(_PortalChange, kw_only=True, tag="replace_members"):
    """Say who all is anything in a group or a meetup."""

    members: Members

    def __post_init__(self) -> None:
        check_unique(self.members)

    def to_change(self, tenant: TenantId) -> Change:
        """Return it as the directory takes it."""
        members = [member.to_member() for member in self.members]
        return changes.ReplaceMembers(self.ref(tenant), members)


class _PairChange(_Change, kw_only=True):
    first: Slug
    second: Slug


class PutDirect(_PairChange, kw_only=True, tag="put_direct"):
    """Write that two users have a direct chat."""

    def to_change(self, tenant: TenantId) -> Change:
        """Return it as the directory takes it."""
        return changes.PutDirect(UserSlug(self.first), UserSlug(self.second))


class DeleteDirect(_PairChange, kw_only=True, tag="delete_direct"):
    """Remove a direct chat; nothing, where there is none."""

    def to_change(self, tenant: TenantId) -> Change:
        """Return it as the directory takes it."""
        slug = direct_slug(UserSlug(self.first), UserSlug(self.second))
        return changes.DeletePortal(PortalRef(tenant, PortalKind.DIRECT, slug))


class _BlockChange(_Change, kw_only=True):
    blocker: Slug
    blocked: Slug


class PutBlock(_BlockChange, kw_only=True, tag="put_block"):
    """Write that a user blocks another."""

    def to_change(self, tenant: TenantId) -> Change:
        """Return it as the directory takes it."""
        return changes.PutBlock(UserSlug(self.blocker), UserSlug(self.blocked))


class DeleteBlock(_BlockChange, kw_only=True, tag="delete_block"):
    """Write that a user no longer blocks another."""

    def to_change(self, tenant: TenantId) -> Change:
        """Return it as the directory takes it."""
        return changes.DeleteBlock(UserSlug(self.blocker), UserSlug(self.blocked))


BatchChange = (
    PutUser
    | DeleteUser
    | RenameUser
    | PutGroup
    | PutMeetup
    | DeletePortal
    | RenamePortal
    | PutMember
    | DeleteMember
    | ReplaceMembers
    | PutDirect
    | DeleteDirect
    | PutBlock
    | DeleteBlock
)


class Batch(msgspec.Struct, forbid_unknown_fields=True):
    """Changes that are made in their order, all or none."""

    changes: Annotated[list[BatchChange], Meta(max_length=MOST_CHANGES)]
