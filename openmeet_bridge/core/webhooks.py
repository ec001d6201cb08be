"""Webhooks to OpenMeet: who is told what."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from typing import Final

from .ids import TenantId

PORTAL_READY: Final = "portal.ready"
MEMBERSHIP_FAILED: Final = "membership.failed"
MESSAGE_CREATED: Final = "message.created"

_PREFIX: Final = "whsec_"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address of OpenMeet's that is told what has happened.

    Attributes:
        tenant: Whose events.
        url: Where they are posted; unique within the tenant.
        secret: With what they are signed.
        events: Types of events that are told.
    """

    tenant: TenantId
    url: str
    secret: str = field(repr=False)
    events: frozenset[str]


def signing_key(secret: str) -> bytes:
    """Return the bytes that sign webhooks.

    A secret that begins with ``whsec_`` is base64 behind it, as Standard Webhooks has it; any
    other is taken byte for byte as it is written.

    Raises:
        ValueError: What follows ``whsec_`` is not base64.
    """
    if not secret.startswith(_PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret[len(_PREFIX) :], validate=True)
    except binascii.Error:
        raise ValueError("what follows whsec_ is not base64") from None
