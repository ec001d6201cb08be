"""Integration API: OpenMeet's domain events, as hints what to look at in its database."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Protocol

import msgspec
from msgspec import Meta

from ..core.errors import BadRequest, Conflict, Forbidden
from ..core.hints import EVENTS
from ..core.ids import TenantId
from ..openmeet.tenants import Tenant
from .endpoint import Call, Endpoints, Reply
from .integration_paths import BASE, TenantPath
from .signed_events import HEADERS

ENDPOINTS = Endpoints(tag="Integration", auth="signature")


class Hints(Protocol):
    """Takes hints, and looks into OpenMeet's database for what they are about."""

    async def hint(self, tenant: TenantId, event: str, payload: Mapping[str, Any]) -> list[str]:
        """Keep a hint for good; return what will be looked at."""


class DomainEvent(msgspec.Struct, forbid_unknown_fields=True):
    """An event of OpenMeet's.

    `event` is its name, for example `event.attendee.added`; `payload` what OpenMeet emits with it.
    Of that only numbers and slugs are read: what is true is read in OpenMeet's database.
    """

    event: Annotated[str, Meta(min_length=1, max_length=200)]
    payload: dict[str, Any] = {}


class Scheduled(msgspec.Struct, omit_defaults=True):
    """What will be looked at in OpenMeet's database; why nothing, where it is `ignored`."""

    scheduled: list[str]
    ignored: str | None = None


class IntegrationEvents:
    """The handler of domain events.

    Args:
        hints: Takes them; None where OpenMeet's database is not configured.
    """

    def __init__(self, hints: Hints | None) -> None:
        self._hints = hints

    @ENDPOINTS.post(
        BASE + "/events",
        success={202: "It is kept, and looked at soon."},
        headers=HEADERS,
        errors=(Forbidden, Conflict),
    )
    async def take_event(
        self, call: Call[Tenant, TenantPath, None, DomainEvent]
    ) -> Reply[Scheduled]:
        """Take a domain event, signed as Standard Webhooks says with the tenant's secret.

        It is a hint: the bridge reads in OpenMeet's database how the thing stands, so events may
        be lost, doubled or late. 202 is answered when the hint is kept for good. 401: the
        signature is wrong, or more than five minutes old. 403: the tenant has no
        `webhook_secret`. 409: OpenMeet's database (`openmeet.database`) is not configured, so
        that nothing could be looked at: write what is new with the other routes.
        """
        if self._hints is None:
            raise Conflict(
                "OpenMeet's database is not configured (openmeet.database), so a hint says "
                "nothing: write what is new with the other routes of this API."
            )
        event, tenant = call.body, call.caller.id
        if event.payload.get("tenantId") not in (None, tenant):
            raise BadRequest(
                "The event is another tenant's.",
                fields={"body.payload.tenantId": "is not the tenant in the path"},
            )
        scheduled = await self._hints.hint(tenant, event.event, event.payload)
        return Reply(202, Scheduled(scheduled, None if scheduled else _why(event.event)))


def _why(event: str) -> str:
    if event not in EVENTS:
        return "The bridge does not know this event."
    return (
        "The payload names nothing that the bridge could look at, or the tenant is deprovisioned."
    )
