"""Integration API: many things at once."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from ..bridge.directory import Directory
from ..bridge.roster import Roster, Seat
from ..bridge.snapshots import Snapshots
from ..core.changes import ReplaceMembers
from ..core.errors import BridgeError, Conflict, NotFound
from ..core.naming import Naming
from ..openmeet.tenants import Tenant
from .batch import Batch
from .descriptions import Members, check_unique
from .endpoint import Call, Endpoints
from .following import Follower, Following, Outcome, Subject, Write, outcome
from .integration_paths import BASE, PortalPath, TenantPath, portal_ref
from .snapshot import WholeDirectory

ENDPOINTS = Endpoints(tag="Integration", auth="service")

_MEMBERS = BASE + "/{kind:groups|meetups}/{slug}/members"


class AllMembers(msgspec.Struct, forbid_unknown_fields=True):
    """All who are anything in a group or a meetup."""

    members: Members

    def __post_init__(self) -> None:
        check_unique(self.members)


class ShownOverride(msgspec.Struct):
    """What an operator of the bridge has said of somebody, against OpenMeet."""

    inside: bool
    reason: str


class ShownMember(msgspec.Struct, omit_defaults=True, kw_only=True):
    """What somebody is in a group or a meetup, and what Matrix shows of it.

    `should_be` is what the tenant's rules make of it. Who is not in the room is told `why`: the
    `role` or the `status` is not in by the rules, `banned`, the user is `inactive`, an operator
    said so (`override`); or the user should be in it, which is `pending` or has `failed`.
    """

    user: str
    role: str | None = None
    status: str | None = None
    matrix_user_id: str
    should_be: Literal["in", "out", "banned"]
    in_room: bool
    why: Literal["role", "status", "banned", "inactive", "override", "pending", "failed"] | None = (
        None
    )
    override: ShownOverride | None = None


class ShownMembers(msgspec.Struct):
    """Everybody who is anything in a group or a meetup, by slug."""

    members: list[ShownMember]


class SnapshotWrite(Write):
    """How a whole directory is to be written."""

    allow_removals: Annotated[
        bool, Meta(description="Also if more is removed than `openmeet.max_removals`.")
    ] = False


class IntegrationBulk:
    """The handlers for many things at once.

    Args:
        directory: Keeps what there should be.
        roster: Tells who is in a room.
        snapshots: Compares whole directories.
        naming: Knows which slugs can be Matrix names.
    """

    def __init__(
        self, directory: Directory, roster: Roster, snapshots: Snapshots, naming: Naming
    ) -> None:
        self._directory = directory
        self._follower = Follower(directory)
        self._roster = roster
        self._snapshots = snapshots
        self._naming = naming

    @ENDPOINTS.put(_MEMBERS, errors=(NotFound, Conflict))
    async def replace_members(self, call: Call[Tenant, PortalPath, Write, AllMembers]) -> Following:
        """Say who all is anything in a group or a meetup.

        Only what is different is changed. Whoever is not in the list goes out at once.
        """
        ref = portal_ref(call.caller.id, call.path)
        change = ReplaceMembers(ref, [one.to_member() for one in call.body.members])
        subject = Subject(ref.kind.value, ref.slug, {"slug": "path.slug"})
        return await self._follower.make(ref.tenant, change, subject, call.query)

    @ENDPOINTS.get(_MEMBERS, errors=(NotFound,))
    async def portal_members(self, call: Call[Tenant, PortalPath, None, None]) -> ShownMembers:
        """Who is anything in a group or a meetup, and whether Matrix shows them in the room."""
        seats = await self._roster.seats(portal_ref(call.caller.id, call.path))
        return ShownMembers([_shown(seat) for seat in seats])

    @ENDPOINTS.post(BASE + "/batch", errors=(NotFound, Conflict))
    async def batch(self, call: Call[Tenant, TenantPath, Write, Batch]) -> Outcome:
        """Make up to 1000 changes in their order, all or none.

        An error names the change that is refused: `body.changes[17].user`. What is so already is
        no difference. The body may have `limits.snapshot_bytes`.
        """
        planned = [one.to_change(call.caller.id) for one in call.body.changes]
        try:
            applied = await self._directory.apply(
                call.caller.id,
                planned,
                dry_run=call.query.dry_run,
                if_revision=call.query.if_revision,
                unless_suspended=True,
            )
        except BridgeError as error:
            _name_change(error)
            raise
        return outcome(applied)

    @ENDPOINTS.put(BASE + "/snapshot", errors=(Conflict,))
    async def put_snapshot(
        self, call: Call[Tenant, TenantPath, SnapshotWrite, WholeDirectory]
    ) -> Outcome:
        """Say all that there is: the directory is compared with it and changed, all or nothing.

        Users, groups and meetups that it does not name are removed; an `id` that comes with
        another slug is a rename. Direct chats and blocks that it does not name stay. If it would
        remove or deactivate a larger part of the users, groups and meetups, or memberships than
        `openmeet.max_removals`, it is refused with 409 unless `allow_removals` is true. The body
        may have `limits.snapshot_bytes`.
        """
        call.body.check(call.caller.id, self._naming)
        applied = await self._snapshots.replace(
            call.caller.id,
            call.body.to_snapshot(call.caller.id),
            dry_run=call.query.dry_run,
            if_revision=call.query.if_revision,
            allow_removals=call.query.allow_removals,
        )
        return outcome(applied)


def _name_change(error: BridgeError) -> None:
    """Let an error say which change of a batch it is about."""
    if error.position is None:
        return
    place = f"body.changes[{error.position}]"
    error.fields = {f"{place}.{key}": text for key, text in error.fields.items()} or {
        place: "is refused"
    }


def _shown(seat: Seat) -> ShownMember:
    member, override = seat.member, seat.override
    return msgspec.convert(
        {
            "user": seat.user,
            "role": None if member is None else member.role,
            "status": None if member is None else member.status,
            "matrix_user_id": seat.mxid,
            "should_be": seat.place.value,
            "in_room": seat.in_room,
            "why": seat.why,
            "override": None
            if override is None
            else {"inside": override.inside, "reason": override.reason},
        },
        ShownMember,
    )
