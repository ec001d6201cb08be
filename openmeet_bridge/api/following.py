"""What the integration API answers to a change: how far Matrix follows, and what is different."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from ..bridge.directory import Applied, Directory, Status
from ..core.changes import Change, Difference
from ..core.errors import BridgeError, NotFound
from ..core.ids import Mxid, RoomId, TenantId

SHOWN_DIFFERENCES = 1000

_Revision = Annotated[
    int, Meta(ge=0, description="The tenant's directory after this; each real change counts one.")
]


class Write(msgspec.Struct):
    """How a change is to be made."""

    dry_run: Annotated[
        bool, Meta(description="Only tell what would change, and change nothing.")
    ] = False
    if_revision: (
        Annotated[
            int,
            Meta(
                ge=0,
                le=2**63 - 1,
                description="Only if the directory is still at this revision; 409 otherwise.",
            ),
        ]
        | None
    ) = None


class Changed(msgspec.Struct, omit_defaults=True, kw_only=True):
    """One difference that a change made, or would make.

    `kind` and `slug` name the thing; `member` is the user of the group, meetup or direct chat that
    is concerned; `fields` are the details that are different.
    """

    kind: str
    slug: str
    what: Literal["added", "changed", "removed", "renamed"]
    member: str | None = None
    fields: list[str] = []


class Following(msgspec.Struct, omit_defaults=True, kw_only=True):
    """How far Matrix follows.

    `settled`: all is done. `pending`: it is being done, and tried again where it fails. `failed`:
    the homeserver refuses for good; `error` says why; the next change tries again. `absent`: there
    is no such thing (only after a dry run). `problem` is what could not be done and does not stop
    the rest. `differences` are what the change really changed: nothing, where all was so already.
    """

    state: Literal["settled", "pending", "failed", "absent"]
    attempts: int
    error: str | None = None
    problem: str | None = None
    room_id: RoomId | None = None
    alias: str | None = None
    matrix_user_id: Mxid | None = None
    revision: _Revision
    differences: list[Changed] | msgspec.UnsetType = msgspec.UNSET


class Outcome(msgspec.Struct, kw_only=True):
    """What came of many changes at once.

    `counts` says how many differences there are of each sort, for example `user.added` or
    `group.member.removed`. `differences` are the first thousand of them.
    """

    revision: _Revision
    counts: dict[str, int]
    differences: list[Changed]


@dataclass(frozen=True, slots=True)
class Subject:
    """The thing that a route is about.

    Attributes:
        kind: ``user``, ``group``, ``meetup`` or ``direct``.
        slug: Its slug, after the change.
        fields: Where in the request the fields of the change stand that are not in the body.
    """

    kind: str
    slug: str
    fields: Mapping[str, str]


class Follower:
    """Makes changes and tells how far Matrix follows.

    Args:
        directory: Keeps what there should be.
    """

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    async def make(
        self, tenant: TenantId, change: Change, subject: Subject, write: Write
    ) -> Following:
        """Make one change.

        Raises:
            BridgeError: As :meth:`Directory.apply`, with the places in the request.
        """
        try:
            applied = await self._directory.apply(
                tenant,
                [change],
                dry_run=write.dry_run,
                if_revision=write.if_revision,
                unless_suspended=True,
            )
        except BridgeError as error:
            named = {_place(subject, key): text for key, text in error.fields.items()}
            error.fields = named
            raise
        status = await self._status(tenant, subject, absent=write.dry_run)
        return following(status, applied.revision, applied.differences)

    async def look(self, tenant: TenantId, kind: str, slug: str) -> Following:
        """Return how far Matrix follows for a thing.

        Raises:
            NotFound: Nothing of this name was ever written.
        """
        status = await self._directory.status(tenant, kind, slug)
        head = await self._directory.head(tenant)
        return following(status, head.revision)

    async def _status(self, tenant: TenantId, subject: Subject, *, absent: bool) -> Status:
        try:
            return await self._directory.status(tenant, subject.kind, subject.slug)
        except NotFound:
            if not absent:
                raise
            return Status("absent", 0, None, None)


def _place(subject: Subject, field: str) -> str:
    return subject.fields.get(field, f"body.{field}")


def following(
    status: Status, revision: int, differences: Sequence[Difference] | None = None
) -> Following:
    """Return a status as it is answered."""
    shown = msgspec.UNSET if differences is None else [changed(one) for one in differences]
    return msgspec.convert(
        {
            "state": status.state,
            "attempts": status.attempts,
            "error": status.error,
            "problem": status.problem,
            "room_id": status.room_id,
            "alias": status.alias,
            "matrix_user_id": status.mxid,
            "revision": revision,
        }
        | ({} if shown is msgspec.UNSET else {"differences": shown}),
        Following,
    )


def milliseconds(moment: datetime) -> int:
    """Return a moment as the API writes it: in milliseconds since the epoch."""
    return int(moment.timestamp() * 1000)


def changed(difference: Difference) -> Changed:
    """Return a difference as it is answered."""
    return msgspec.convert(difference, Changed, from_attributes=True)


def outcome(applied: Applied) -> Outcome:
    """Return the differences of many changes as they are answered."""
    sorts = Counter(
        f"{one.kind}.{'' if one.member is None else 'member.'}{one.what}"
        for one in applied.differences
    )
    shown = [changed(one) for one in applied.differences[:SHOWN_DIFFERENCES]]
    return Outcome(revision=applied.revision, counts=dict(sorted(sorts.items())), differences=shown)
