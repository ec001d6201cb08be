"""The configuration of what the bridge reads of OpenMeet, and what it tells OpenMeet."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, field

from .section import Section, about, duration

WebhookEvent = Literal["portal.ready", "membership.failed", "message.created"]


class WebhookSection(Section, frozen=True, kw_only=True):
    """One address that is told what has happened."""

    url: Annotated[
        str,
        about("Where events are posted.", example="https://meet.example.org/api/bridge-events"),
    ]
    secret: Annotated[
        str,
        about(
            "With what they are signed (Standard Webhooks), at least 24 characters.",
            secret=True,
            file=True,
            example="${OPENMEET_WEBHOOK_SECRET}",
        ),
    ]
    events: Annotated[
        list[WebhookEvent],
        about("Which: any of `portal.ready`, `membership.failed`, `message.created`."),
    ] = field(default_factory=lambda: ["portal.ready", "membership.failed"])


class OpenMeetSection(Section, frozen=True, kw_only=True):
    """OpenMeet's own database, read only: what lost calls have left wrong is put right from it."""

    database: Annotated[
        str | None,
        about(
            "A `postgresql://user:password@host/name` address; a user that may only read is "
            "enough.",
            secret=True,
            file=True,
            shown="not read",
        ),
    ] = None
    interval: Annotated[
        float, duration("Time between two looks for rows that changed (`updatedAt`).")
    ] = 30.0
    full_interval: Annotated[
        float, duration("Time between two comparisons of everything, which also see deletions.")
    ] = 900.0
    max_removals: Annotated[
        float,
        Meta(
            description="A comparison that would remove more than this part of a tenant's users, "
            "rooms or memberships (and more than five) changes nothing, and waits for an operator "
            "(`openmeet-bridge sync`).",
            ge=0,
            le=1,
        ),
    ] = 0.2
    files_url: Annotated[
        str | None,
        about(
            "What stands before the `path` of OpenMeet's files in their addresses, for example "
            "`https://cdn.example.org/`.",
            shown="pictures are not taken from the database",
        ),
    ] = None
    write_matrix_user_id: Annotated[
        bool,
        about(
            "Write each user's Matrix id into `users.matrixUserId`, where OpenMeet's web app reads "
            "who it is. It is the one column that the bridge ever writes, and only where it is "
            "empty; the user of `database` must be allowed to."
        ),
    ] = False


class WebAppSection(Section, frozen=True, kw_only=True):
    """OpenMeet's own web app, served as by its own backend: REST and Socket.IO."""

    enabled: Annotated[bool, about("Serve these routes on the public listener.")] = True
    endpoint: Annotated[
        str | None,
        about(
            "Origin at which browsers reach Socket.IO, as the app is told it: no path behind it.",
            shown="that of `public_url`, else the one at which a request comes in",
        ),
    ] = None
    transports: Annotated[
        list[Literal["websocket", "polling"]],
        about(
            "How Socket.IO may be spoken. Polling needs a load balancer that keeps each client on "
            "one bridge."
        ),
    ] = field(default_factory=lambda: ["websocket", "polling"])
    arrival_wait: Annotated[
        float,
        duration(
            "How long a request of somebody new waits until their room lets them in, or their "
            "Matrix user is made."
        ),
    ] = 10.0
