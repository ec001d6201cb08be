"""The directory as OpenMeet writes it: whatever the feed, every change comes through here.

Changes, the jobs that they ask for and the revision that they make are one SQL transaction: a
change is never kept without its job. Who loses a room by a change loses it in the same moment,
before the homeserver knows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass

from ..core.changes import Change, Difference
from ..core.errors import BridgeError, Conflict, NotFound
from ..core.ids import Mxid, RoomId, TenantId
from ..core.naming import Naming
from ..core.rules import Rules
from ..storage import directory, following, ghosts, jobs
from ..storage.database import Connection, Database
from ..storage.directory import Head
from .changing import Changing
from .endings import Ending, Endings
from .ledger import Ledger


@dataclass(frozen=True, slots=True)
class Status:
    """How far Matrix follows the directory for one thing.

    Attributes:
        state: ``settled``, ``pending`` or ``failed``.
        attempts: How often it was tried since something changed.
        error: What went wrong at the last attempt.
        room_id: Of a portal.
        alias: Of a portal.
        problem: What could not be done and does not stop the rest.
        mxid: Of a user.
    """

    state: str
    attempts: int
    error: str | None
    room_id: RoomId | None
    alias: str | None = None
    problem: str | None = None
    mxid: Mxid | None = None


@dataclass(frozen=True, slots=True)
class Applied:
    """What came of changes.

    Attributes:
        revision: The tenant's revision afterwards; with a dry run, the one that is.
        differences: What really changed, or would.
    """

    revision: int
    differences: Sequence[Difference]


class _DryRun(Exception):
    """Ends a transaction whose only use was to see what it would do."""


class Directory:
    """What OpenMeet says there should be.

    Args:
        database: Where it is kept.
        naming: Makes names, and refuses those that Matrix cannot have before they are kept.
        rules: Of each tenant.
        wake: Called after each change: there are jobs.
        user_gone: Called with a ghost whose user was deleted or deactivated: its streams end.
        member_gone: Called with a ghost and a room that it is out of: its streams leave the room.
        message_gone: Called with the id of a message that was given up with its user.
        streaming: Tells whose streams are open in this process.
        signed_out: Called with a ghost whose user was signed out: its streams end.
    """

    def __init__(
        self,
        database: Database,
        naming: Naming,
        rules: Callable[[TenantId], Rules],
        wake: Callable[[], None],
        user_gone: Callable[[Mxid], None],
        member_gone: Callable[[Mxid, RoomId], None],
        message_gone: Callable[[int], None] = lambda _: None,
        *,
        streaming: Callable[[], Iterable[Mxid]] = lambda: (),
        signed_out: Callable[[Mxid], None] = lambda _: None,
    ) -> None:
        self._database = database
        self._naming = naming
        self._rules = rules
        self._wake = wake
        self.endings = Endings(
            database,
            user_gone,
            member_gone,
            message_gone,
            wake=wake,
            streaming=streaming,
            signed_out=signed_out,
        )

    async def apply(
        self,
        tenant: TenantId,
        changes: Sequence[Change],
        *,
        dry_run: bool = False,
        if_revision: int | None = None,
        bulk: bool = False,
        unless_suspended: bool = False,
    ) -> Applied:
        """Make changes, all or none, in their order.

        Args:
            tenant: Whose directory.
            changes: What is new. What is so already is no difference, and costs no job.
            dry_run: Only tell what would change.
            if_revision: Only if the directory is still at this revision.
            bulk: Let jobs of single changes go before these.
            unless_suspended: Not while the tenant is deprovisioned.

        Raises:
            Conflict: The directory has another revision, a new name is taken, or the tenant is
                suspended.
            NotFound: A change names something that is not there.
            InvalidParam: A name cannot be a Matrix name.
            Unavailable: The database is away; nothing was changed.
        """
        ending = Ending()
        try:
            async with self._database.transaction() as connection:
                head = await self._locked(connection, tenant, if_revision, unless_suspended)
                applied = await self._apply(connection, tenant, changes, head, bulk, ending)
                if dry_run:
                    raise _DryRun
        except _DryRun:
            return Applied(applied.revision - bool(applied.differences), applied.differences)
        self.endings.carry_out(ending)
        self._wake()
        return applied

    async def _locked(
        self,
        connection: Connection,
        tenant: TenantId,
        if_revision: int | None,
        unless_suspended: bool,
    ) -> Head:
        head = await directory.lock(connection, tenant)
        if if_revision is not None and head.revision != if_revision:
            raise Conflict(
                f"The directory is at revision {head.revision}, not at {if_revision}: "
                "something changed in between. Look again, then repeat."
            )
        if unless_suspended and head.suspended:
            raise Conflict(
                "The tenant is deprovisioned and takes no changes, until an operator provisions "
                "it again (openmeet-bridge provision)."
            )
        return head

    async def _apply(
        self,
        connection: Connection,
        tenant: TenantId,
        changes: Sequence[Change],
        head: Head,
        bulk: bool,
        ending: Ending,
    ) -> Applied:
        rules = self._rules(tenant)
        ledger = Ledger(connection, tenant, self._naming, rules, ending, bulk=bulk)
        changing = Changing(ledger)
        for position, change in enumerate(changes):
            try:
                await changing.make(change)
            except BridgeError as error:
                error.position = position
                raise
        await ledger.finish()
        revision = head.revision
        if ledger.differences:
            revision = await directory.advance(connection, tenant)
            await self.endings.announce(connection, ending)
        return Applied(revision, ledger.differences)

    async def head(self, tenant: TenantId) -> Head:
        """Return how a tenant's directory stands."""
        async with self._database.connection() as connection:
            return await directory.head(connection, tenant)

    async def status(self, tenant: TenantId, kind: str, slug: str) -> Status:
        """Return how far Matrix follows for a user or a portal.

        Raises:
            NotFound: Nothing of this name was ever written.
        """
        async with self._database.connection() as connection:
            found = await following.of(connection, tenant, kind, slug)
        if found is None:
            raise NotFound(f"No {kind} {slug!r} is known in this tenant.")
        return Status(**asdict(found))

    async def ask_again(self, tenant: TenantId, kind: str, slug: str) -> None:
        """Ask for the job of a user or a portal, also where all seems to be done."""
        async with self._database.connection() as connection:
            await jobs.want(connection, tenant, kind, slug)
            await self.endings.announce(connection, Ending())
        self._wake()

    async def name_ghosts(self, tenant: TenantId) -> None:
        """Give every user a ghost's name who was written before users had one."""
        async with self._database.transaction() as connection:
            for slug in await ghosts.nameless(connection, tenant):
                await ghosts.ensure(connection, self._naming.ghost(tenant, slug), tenant, slug)
