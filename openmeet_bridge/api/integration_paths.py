"""What stands in the paths of the integration API."""

from __future__ import annotations

from typing import Literal

import msgspec

from ..core.ids import PortalKind, PortalRef, TenantId
from .descriptions import Slug

BASE = "/api/integration/v1/tenants/{tenant}"

Kind = Literal["groups", "meetups"]


class TenantPath(msgspec.Struct):
    """A tenant."""

    tenant: str


class UserPath(msgspec.Struct):
    """A user of a tenant."""

    tenant: str
    user: Slug


class PortalPath(msgspec.Struct):
    """A group or a meetup of a tenant."""

    tenant: str
    kind: Kind
    slug: Slug


class MemberPath(msgspec.Struct):
    """A user in a group or a meetup."""

    tenant: str
    kind: Kind
    slug: Slug
    user: Slug


_KINDS = {"groups": PortalKind.GROUP, "meetups": PortalKind.MEETUP}


def portal_ref(tenant: TenantId, path: PortalPath | MemberPath) -> PortalRef:
    """Return the group or meetup that a path names."""
    return PortalRef(tenant, _KINDS[path.kind], path.slug)
