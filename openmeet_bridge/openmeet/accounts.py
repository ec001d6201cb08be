"""What OpenMeet's database says of accounts: open sessions, roles, and their Matrix ids.

Asked for somebody who waits, hence on connections of their own, which no comparison holds. The
Matrix id is the one thing of OpenMeet's that the bridge ever writes, and only where there is none.
"""

# ruff: noqa: S608  (names come from the schema, quoted; values are parameters)

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from ..core.ids import Mxid, TenantId, UserSlug
from .connections import Connections
from .queries import existing_user
from .schema import Schema, UnusableSchema

_PATIENCE = 5.0
_CONNECTIONS = 3
_EMPTY = r"""coalesce(t."matrixUserId", '') !~ '\S'"""


class Nameless(NamedTuple):
    """A user of OpenMeet's without a Matrix id."""

    number: int
    slug: UserSlug


class Named(NamedTuple):
    """A user of OpenMeet's, and the Matrix id to write down."""

    number: int
    slug: UserSlug
    mxid: Mxid


class OpenMeetAccounts:
    """Reads of accounts in OpenMeet's database.

    Args:
        dsn: ``postgresql://`` address.
        tenants: Whose accounts may be read.
        patience: Longest wait for a connection and longest time of one statement, in seconds.

    Every method raises ``Unavailable`` where the database is away or (``UnusableSchema``) lacks
    what is needed, and ``NotFound`` where there is no such tenant.
    """

    def __init__(
        self, dsn: str, tenants: Collection[TenantId], *, patience: float = _PATIENCE
    ) -> None:
        self._connections = Connections(dsn, tenants, patience=patience, size=_CONNECTIONS)

    async def close(self) -> None:
        """Close all connections."""
        await self._connections.close()

    async def has_session(self, tenant: TenantId, session: int, user: int) -> bool:
        """Whether a user has, or had, a session with a number.

        Ended ones count: OpenMeet stamps ``deletedAt`` on the wrong rows when somebody logs out.
        """
        async with self._connections.session(tenant) as (connection, schema):
            statement = f"""
                SELECT true FROM {_sessions(schema)} AS t
                WHERE t."id" = $1::bigint AND t."userId" = $2::bigint
            """
            return bool(await connection.fetchval(statement, session, user))

    async def check_sessions(self, tenant: TenantId) -> None:
        """Raise ``UnusableSchema`` where sessions cannot be read."""
        await self.has_session(tenant, 0, 0)

    async def role(self, tenant: TenantId, user: int) -> str | None:
        """Return the name of a user's role; None where there is none, or no such user."""
        async with self._connections.session(tenant) as (connection, schema):
            _require(schema, "users", "roleId", of="roles of users")
            _require(schema, "roles", "id", "name", of="roles of users")
            statement = f"""
                SELECT r."name"::text FROM {schema.table("users")} AS t
                JOIN {schema.table("roles")} AS r ON r."id" = t."roleId"
                WHERE t."id" = $1::bigint AND {existing_user(schema, "t")}
            """
            found: str | None = await connection.fetchval(statement, user)
            return found


class MatrixIds:
    """The column ``matrixUserId`` of OpenMeet's users, where it is empty.

    Args:
        dsn: ``postgresql://`` address.
        tenants: Whose.
        patience: Longest wait for a connection and longest time of one statement, in seconds.

    Every method raises as those of :class:`OpenMeetAccounts`.
    """

    def __init__(
        self, dsn: str, tenants: Collection[TenantId], *, patience: float = _PATIENCE
    ) -> None:
        self._connections = Connections(dsn, tenants, patience=patience, size=1, writing=True)

    async def close(self) -> None:
        """Close the connection."""
        await self._connections.close()

    async def check(self, tenant: TenantId) -> None:
        """Raise ``UnusableSchema`` where the column may not be written."""
        async with self._connections.session(tenant) as (connection, schema):
            _require_column(schema)
            statement = "SELECT has_column_privilege($1, 'matrixUserId', 'UPDATE')"
            if not await connection.fetchval(statement, schema.table("users")):
                raise UnusableSchema(
                    f"openmeet.write_matrix_user_id: in the schema {schema.name!r} of OpenMeet's "
                    "database this user may not update the column 'matrixUserId' of 'users'."
                )

    async def missing(self, tenant: TenantId, after: int, limit: int) -> list[Nameless]:
        """Return users without a Matrix id, by number.

        Args:
            tenant: Whose.
            after: Only those with a larger number.
            limit: How many at most.
        """
        async with self._connections.session(tenant) as (connection, schema):
            _require_column(schema)
            statement = f"""
                SELECT t."id", t."slug" FROM {schema.table("users")} AS t
                WHERE t."id" > $1::bigint AND {_EMPTY} AND {existing_user(schema, "t")}
                      AND t."slug" IS NOT NULL
                ORDER BY t."id" LIMIT $2
            """
            rows = await connection.fetch(statement, after, limit)
        return [Nameless(row["id"], UserSlug(row["slug"])) for row in rows]

    async def write(self, tenant: TenantId, named: Sequence[Named]) -> int:
        """Write Matrix ids down, each only where there is none; return how many were written.

        Nothing else of a row changes, ``updatedAt`` neither.
        """
        async with self._connections.session(tenant) as (connection, schema):
            _require_column(schema)
            statement = f"""
                UPDATE {schema.table("users")} AS t SET "matrixUserId" = given.mxid
                FROM unnest($1::bigint[], $2::text[], $3::text[]) AS given (id, slug, mxid)
                WHERE t."id" = given.id AND t."slug" = given.slug AND {_EMPTY}
            """
            columns = list(zip(*named, strict=True)) or [(), (), ()]
            done = await connection.execute(statement, *map(list, columns))
        return int(done.rpartition(" ")[2])


def _sessions(schema: Schema) -> str:
    _require(schema, "sessions", "id", "userId", of="sessions (jwt.tenant_claim: session)")
    return schema.table("sessions")


def _require_column(schema: Schema) -> None:
    _require(schema, "users", "matrixUserId", of="Matrix ids of users")


def _require(schema: Schema, table: str, *columns: str, of: str) -> None:
    if not schema.has(table, *columns):
        names = ", ".join(repr(column) for column in columns)
        raise UnusableSchema(
            f"The {of} cannot be read: in the schema {schema.name!r} of OpenMeet's database there "
            f"is no table {table!r} with {names} that this user may read."
        )
