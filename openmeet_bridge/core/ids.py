"""Identifiers, each with a type of its own, so that mixing them up is a type error.

All Matrix identifiers are opaque: a room id of room version 12 has no server part.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple, NewType

TenantId = NewType("TenantId", str)
"""One OpenMeet community site. May be the empty string (OpenMeet's public schema)."""

UserSlug = NewType("UserSlug", str)
"""An OpenMeet user, unique within a tenant."""

Mxid = NewType("Mxid", str)
"""A Matrix user id, ``@localpart:server``."""

RoomId = NewType("RoomId", str)
"""A Matrix room id. Opaque."""

EventId = NewType("EventId", str)
"""A Matrix event id. Opaque."""

Position = NewType("Position", int)
"""Place of an entry in the log: strictly increasing in commit order, over all tenants."""

ClientTxnId = NewType("ClientTxnId", str)
"""A browser's own id of one message, unique for its user."""


class PortalKind(StrEnum):
    """What a portal stands for. OpenMeet's "event" is a meetup here."""

    GROUP = "group"
    MEETUP = "meetup"
    DIRECT = "direct"


class PortalRef(NamedTuple):
    """The identity of a portal: one room per tenant, kind and slug.

    The slug of a direct chat is made by :func:`openmeet_bridge.core.naming.direct_slug`.
    """

    tenant: TenantId
    kind: PortalKind
    slug: str
