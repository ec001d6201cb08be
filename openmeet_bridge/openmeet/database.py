"""OpenMeet's own PostgreSQL database, only ever read.

Each reading is one moment (REPEATABLE READ), in sessions that cannot write. Rows come in batches;
only what they say is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from ..core.comparison import Problem
from ..core.directory import Snapshot
from ..core.hints import GROUP, MEETUP, USER, Subject
from ..core.ids import PortalKind, TenantId
from . import queries
from .connections import Connections
from .gathering import Gathering
from .rows import Reader, Row
from .schema import Schema

if TYPE_CHECKING:
    from .connections import Connection

OVERLAP = timedelta(minutes=2)
"""How long OpenMeet's transactions may take, and clocks differ, without a change being missed."""

_CONNECTIONS = 4
_BATCH = 1000
_CHANGED = (
    (USER, "users", "id"),
    (GROUP, "groups", "id"),
    (MEETUP, "events", "id"),
    (GROUP, "groupMembers", "groupId"),
    (MEETUP, "eventAttendees", "eventId"),
)


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read, all at one moment.

    Attributes:
        snapshot: What OpenMeet says.
        problems: Rows that cannot be used.
        up_to: The newest change of any row; None where only some rows were read.
        unknown: Fields of users and portals of which nothing was read, as where files and pages
            are is not configured.
    """

    snapshot: Snapshot
    problems: list[Problem]
    up_to: datetime | None
    unknown: frozenset[str]


@dataclass(frozen=True, slots=True)
class Changed:
    """What changed after a moment; deletions are not seen.

    Attributes:
        subjects: Users, and groups and meetups, also by who is in them.
        up_to: The newest change of any row.
    """

    subjects: frozenset[Subject]
    up_to: datetime


class Counts(NamedTuple):
    """How many users, and how many groups and meetups, OpenMeet has."""

    users: int
    portals: int


class OpenMeetDatabase:
    """Reads OpenMeet's database.

    Args:
        dsn: ``postgresql://`` address.
        sites: The tenants that may be read, and the address of each one's site.
        files_url: What stands before the paths of files.
        patience: Longest wait for a connection and longest time of one statement, in seconds.
    """

    def __init__(
        self,
        dsn: str,
        sites: Mapping[TenantId, str | None],
        files_url: str | None = None,
        *,
        patience: float = 60.0,
    ) -> None:
        self._sites = sites
        self._files_url = files_url
        self._connections = Connections(dsn, sites, patience=patience, size=_CONNECTIONS)

    async def close(self) -> None:
        """Close all connections."""
        await self._connections.close()

    async def snapshot(self, tenant: TenantId) -> Reading:
        """Read everything of a tenant.

        Raises:
            Unavailable: The database is away, or (:class:`UnusableSchema`) lacks what is needed.
            NotFound: There is no such tenant.
            InvalidParam: The tenant's id cannot be part of a schema's name.
        """
        self._connections.forget(tenant)
        async with self._connections.session(tenant) as (connection, schema):
            reader = self._reader(tenant)
            found = Gathering(reader)
            await self._portals(connection, schema, found)
            await _each(connection, found.user, queries.users(schema))
            await _members(connection, schema, found)
            directs = queries.direct_chats(schema)
            if directs is not None:
                await _each(connection, found.direct, directs)
            up_to = await connection.fetchval(queries.newest(schema))
        return Reading(found.snapshot, found.problems, up_to, reader.unknown)

    async def read(self, tenant: TenantId, subjects: Collection[Subject]) -> Reading:
        """Read some users, groups and meetups, and all who are anything in these.

        What is not in the result does not exist. Raises as :meth:`snapshot` does.
        """
        async with self._connections.session(tenant) as (connection, schema):
            reader = self._reader(tenant)
            found = Gathering(reader)
            await self._portals(connection, schema, found, subjects)
            groups, events = (found.ids(kind) for kind in (PortalKind.GROUP, PortalKind.MEETUP))
            where = queries.chosen_or_members(schema)
            chosen = _chosen(subjects, USER)
            statement = queries.users(schema, where)
            await _each(connection, found.user, statement, *chosen, groups, events)
            await _members(connection, schema, found, groups, events)
        return Reading(found.snapshot, found.problems, None, reader.unknown)

    async def read_one(self, tenant: TenantId, kind: str, id_or_slug: int | str) -> Reading:
        """Read one user, group or meetup; see :meth:`read`."""
        if isinstance(id_or_slug, int):
            return await self.read(tenant, [Subject(kind, id_or_slug)])
        return await self.read(tenant, [Subject(kind, None, id_or_slug)])

    async def changed_since(self, tenant: TenantId, moment: datetime) -> Changed:
        """Return what changed after a moment or a little before. Raises as :meth:`snapshot`."""
        subjects: set[Subject] = set()
        async with self._connections.session(tenant) as (connection, schema):
            for kind, table, column in _CHANGED:
                statement = queries.changed(schema, table, column)
                if statement is not None:
                    rows = await connection.fetch(statement, moment - OVERLAP)
                    subjects.update(Subject(kind, row["id"]) for row in rows)
            up_to = await connection.fetchval(queries.newest(schema))
        return Changed(frozenset(subjects), up_to)

    async def portals_of(self, tenant: TenantId, users: Collection[int]) -> frozenset[Subject]:
        """Return the groups and meetups in which users are anything. Raises as :meth:`snapshot`."""
        async with self._connections.session(tenant) as (connection, schema):
            rows = await connection.fetch(queries.portals_of(schema), list(users))
        return frozenset(Subject(row["kind"], row["id"]) for row in rows)

    async def counts(self, tenant: TenantId) -> Counts:
        """Count the users, and the groups and meetups. Raises as :meth:`snapshot`."""
        async with self._connections.session(tenant) as (connection, schema):
            row = await connection.fetchrow(queries.counts(schema))
        return Counts(**dict(row or {}))

    async def may_write(self, tenant: TenantId) -> bool:
        """Whether the database's user has rights that it does not need: to write."""
        async with self._connections.session(tenant) as (connection, schema):
            return bool(await connection.fetchval(queries.MAY_WRITE, schema.name))

    async def _portals(
        self,
        connection: Connection,
        schema: Schema,
        found: Gathering,
        subjects: Collection[Subject] | None = None,
    ) -> None:
        for kind, statement in (
            (PortalKind.GROUP, queries.groups),
            (PortalKind.MEETUP, queries.events),
        ):
            take = _taking(found.portal, kind)
            if subjects is None:
                await _each(connection, take, statement(schema))
            else:
                chosen = _chosen(subjects, kind.value)
                await _each(connection, take, statement(schema, queries.CHOSEN), *chosen)

    def _reader(self, tenant: TenantId) -> Reader:
        return Reader(tenant, self._sites[tenant], self._files_url)


def _taking(take: Callable[[PortalKind, Row], None], kind: PortalKind) -> Callable[[Row], None]:
    return lambda row: take(kind, row)


async def _members(
    connection: Connection,
    schema: Schema,
    found: Gathering,
    groups: list[int] | None = None,
    events: list[int] | None = None,
) -> None:
    """Read who is in what; with numbers, only of these groups and meetups."""
    for kind, statement, some, numbers in (
        (PortalKind.GROUP, queries.group_members, queries.OF_GROUPS, groups),
        (PortalKind.MEETUP, queries.event_attendees, queries.OF_EVENTS, events),
    ):
        take = _taking(found.member, kind)
        if numbers is None:
            await _each(connection, take, statement(schema))
        else:
            await _each(connection, take, statement(schema, some), numbers)


async def _each(
    connection: Connection, take: Callable[[Row], None], statement: str, *arguments: Any
) -> None:
    async for row in connection.cursor(statement, *arguments, prefetch=_BATCH):
        take(cast(Row, row))


def _chosen(subjects: Collection[Subject], kind: str) -> tuple[list[int], list[str]]:
    of_kind = [subject for subject in subjects if subject.kind == kind]
    numbers = [subject.number for subject in of_kind if subject.number is not None]
    return numbers, [subject.slug for subject in of_kind if subject.slug is not None]
