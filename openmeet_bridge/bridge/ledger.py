"""The ledger of a transaction: what is different, which jobs that asks for, and what it ends."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields

from ..core.changes import Difference
from ..core.directory import Portal
from ..core.ids import Mxid, PortalKind, PortalRef, RoomId, TenantId, UserSlug
from ..core.naming import Naming
from ..core.rules import Rules
from ..storage import directory, jobs, outbox, rooms
from ..storage.database import Connection
from .endings import Ending

USER = "user"
"""Kind of the job for a ghost; the jobs of portals have the portal's kind."""

SPACE = "space"
"""Kind of the job for a space; its slug is the group's, or empty for the tenant's own space."""

Job = tuple[str, str]

_NO_ACCOUNT = "The account was ended before this could be sent."


class Ledger:
    """What follows from the changes that one SQL transaction makes of a tenant's directory.

    Args:
        connection: The transaction.
        tenant: Whose directory.
        naming: Makes names.
        rules: The tenant's.
        ending: Where it is written what ends with these changes.
        bulk: Let jobs of single changes go before these.

    Attributes:
        differences: What has really changed, in its order.
    """

    def __init__(
        self,
        connection: Connection,
        tenant: TenantId,
        naming: Naming,
        rules: Rules,
        ending: Ending,
        *,
        bulk: bool,
    ) -> None:
        self.connection = connection
        self.tenant = tenant
        self.naming = naming
        self.rules = rules
        self.differences: list[Difference] = []
        self._ending = ending
        self._bulk = bulk
        self._wanted: dict[Job, bool] = {}
        self._barred: set[tuple[RoomId, Mxid]] = set()

    def note(self, kind: str, slug: str, what: str, fields: tuple[str, ...] = ()) -> None:
        """Note that a user or a portal is different, which asks for its job."""
        self.differences.append(Difference(kind, slug, what, fields=fields))
        self.want(kind, slug)

    def note_member(
        self, ref: PortalRef, member: UserSlug, what: str, fields: tuple[str, ...] = ()
    ) -> None:
        """Note that a portal is different in one member."""
        self.differences.append(Difference(ref.kind.value, ref.slug, what, member, fields))
        self.want(ref.kind.value, ref.slug)

    def want(self, kind: str, slug: str, *, different: bool = True) -> None:
        """Ask for a job; where nothing is different, only to try again what had failed."""
        self._wanted[kind, slug] = self._wanted.get((kind, slug), False) or different

    def want_spaces(self, portal: Portal) -> None:
        """Ask for the jobs of the spaces that a portal belongs to."""
        if not self.rules.spaces or portal.ref.kind is PortalKind.DIRECT:
            return
        self.want(SPACE, "")
        group = portal.ref.slug if portal.ref.kind is PortalKind.GROUP else portal.group
        if group:
            self.want(SPACE, group)

    def forget(self, kind: str, slug: str) -> None:
        """Ask no more for the job of a name that has just become another."""
        self._wanted.pop((kind, slug), None)

    async def bar(self, ref: PortalRef, mxid: Mxid) -> None:
        """Take a portal's room from a ghost at once."""
        # The room, not the portal: a later change may give the portal another name.
        room_id = await rooms.room_of(self.connection, ref)
        if room_id is not None:
            self._barred.add((room_id, mxid))

    async def end_user(self, mxid: Mxid, slug: UserSlug) -> None:
        """End all that a user has open: streams, messages on their way, rooms."""
        self._ending.users.append(mxid)
        self._ending.messages += await outbox.fail_all_of(
            self.connection, self.tenant, slug, "M_USER_DEACTIVATED", _NO_ACCOUNT
        )
        for ref in await directory.portals_of(self.connection, self.tenant, slug):
            await self.bar(ref, mxid)

    async def finish(self) -> None:
        """Take rooms from who is out, and write the jobs that were asked for: each once.

        Rows are locked last, and in one order, so that who reads the log never waits for somebody
        who waits for them.
        """
        self._ending.memberships = await rooms.bar(self.connection, sorted(self._barred))
        for (kind, slug), different in sorted(self._wanted.items()):
            if different:
                await jobs.want(self.connection, self.tenant, kind, slug, bulk=self._bulk)
            elif not self._bulk:
                # Nothing is new; but who says it again may want what failed to be tried again.
                await jobs.revive(self.connection, self.tenant, kind, slug)


def unlike(one: object, other: object) -> tuple[str, ...]:
    """Return the names of the fields in which two values of a dataclass differ."""
    names: Iterable[str] = (item.name for item in fields(one))  # type: ignore[arg-type]
    return tuple(name for name in names if getattr(one, name) != getattr(other, name))
