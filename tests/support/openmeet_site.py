"""One of OpenMeet's sites: what its code does to the tables when people use it."""

# ruff: noqa: S608  (names of tables and columns are the tests' own)

from __future__ import annotations

import random
from typing import Any

import asyncpg

from openmeet_bridge.core.ids import TenantId
from openmeet_bridge.openmeet.schema import quoted, schema_name

from .openmeet_tables import tables_of


class Site:
    """One tenant's tables, and what OpenMeet's code does to them.

    Args:
        connection: May write, and has the tenant's schema first.
        tenant: Whose.
    """

    def __init__(self, connection: asyncpg.Connection[asyncpg.Record], tenant: TenantId) -> None:
        self.tenant = tenant
        self._connection = connection

    @classmethod
    async def open(cls, dsn: str, tenant: TenantId) -> Site:
        """Connect."""
        settings = {"timezone": "UTC", "search_path": quoted(schema_name(tenant))}
        connection = await asyncpg.connect(dsn, server_settings=settings, statement_cache_size=0)
        return cls(connection, tenant)

    async def build(self) -> None:
        """Make the schema with its tables, empty."""
        await self._connection.execute(tables_of(self.tenant))

    async def close(self) -> None:
        """Hang up."""
        await self._connection.close()

    async def do(self, statement: str, *arguments: Any) -> Any:
        """Run a statement; returns the first value."""
        return await self._connection.fetchval(statement, *arguments)

    async def rows(self, statement: str, *arguments: Any) -> list[asyncpg.Record]:
        """Run a query."""
        return await self._connection.fetch(statement, *arguments)

    # People

    async def register(
        self,
        slug: str | None,
        first: str | None = None,
        last: str | None = None,
        *,
        shadow: bool = False,
        status: int | None = 1,
        mxid: str | None = None,
    ) -> int:
        """Register a user; returns the number."""
        number: int = await self.do(
            """
            INSERT INTO "users" ("slug", "firstName", "lastName", "isShadowAccount", "statusId",
                                 "matrixUserId", "email", "password", "matrixAccessToken")
            VALUES ($1, $2, $3, $4, $5, $6, $7, 'bcrypt', 'syt_secret') RETURNING "id"
            """,
            slug,
            first,
            last,
            shadow,
            status,
            mxid,
            f"{slug}-{random.getrandbits(64)}@example.org",
        )
        return number

    async def log_in(self, user: int) -> int:
        """Open a session; returns its number, which the access token names."""
        session: int = await self.do(
            'INSERT INTO "sessions" ("userId", "hash") VALUES ($1, $2) RETURNING "id"', user, "hash"
        )
        return session

    async def set_role(self, user: int, role: str) -> None:
        """Give somebody another role on the whole site."""
        await self.do(
            """
            UPDATE "users" SET "updatedAt" = now(),
                "roleId" = (SELECT "id" FROM "roles" WHERE "name" = $2)
            WHERE "id" = $1
            """,
            user,
            role,
        )

    async def update_profile(self, user: int, first: str | None, last: str | None) -> None:
        """Change somebody's name."""
        await self.do(
            'UPDATE "users" SET "firstName" = $2, "lastName" = $3, "updatedAt" = now() '
            'WHERE "id" = $1',
            user,
            first,
            last,
        )

    async def set_photo(self, user: int, path: str) -> None:
        """Give somebody a picture."""
        photo = await self.do('INSERT INTO "files" ("path") VALUES ($1) RETURNING "id"', path)
        await self.do(
            'UPDATE "users" SET "photoId" = $2, "updatedAt" = now() WHERE "id" = $1', user, photo
        )

    async def set_status(self, user: int, *, active: bool) -> None:
        """Deactivate or reactivate a user."""
        await self.do(
            'UPDATE "users" SET "statusId" = $2, "updatedAt" = now() WHERE "id" = $1',
            user,
            1 if active else 2,
        )

    async def delete_user(self, user: int) -> None:
        """Delete a user softly, as OpenMeet does."""
        await self.do(
            'UPDATE "users" SET "deletedAt" = now(), "updatedAt" = now() WHERE "id" = $1', user
        )

    async def restore_user(self, user: int) -> None:
        """Take a soft deletion back."""
        await self.do(
            'UPDATE "users" SET "deletedAt" = NULL, "updatedAt" = now() WHERE "id" = $1', user
        )

    async def claim_shadow(self, user: int) -> None:
        """Let the person behind a shadow account sign in for the first time."""
        await self.do(
            'UPDATE "users" SET "isShadowAccount" = false, "updatedAt" = now() WHERE "id" = $1',
            user,
        )

    async def rename_user(self, user: int, slug: str) -> None:
        """Give a user another slug."""
        await self.do(
            'UPDATE "users" SET "slug" = $2, "updatedAt" = now() WHERE "id" = $1', user, slug
        )

    # Groups

    async def create_group(
        self,
        slug: str,
        name: str,
        owner: int,
        *,
        visibility: str | None = "public",
        status: str = "published",
        approval: bool = False,
    ) -> int:
        """Make a group with its owner; returns the number."""
        group: int = await self.do(
            """
            INSERT INTO "groups" ("slug", "name", "description", "status", "visibility",
                                  "requireApproval", "createdById")
            VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING "id"
            """,
            slug,
            name,
            f"About {name}",
            status,
            visibility,
            approval,
            owner,
        )
        await self.add_member(group, owner, "owner")
        return group

    async def add_member(self, group: int, user: int, role: str | None) -> None:
        """Add a row for a member; nothing keeps OpenMeet from adding two."""
        await self.do(
            """
            INSERT INTO "groupMembers" ("userId", "groupId", "groupRoleId")
            VALUES ($1, $2, (SELECT "id" FROM "groupRoles" WHERE "name"::text = $3))
            """,
            user,
            group,
            role,
        )

    async def join_group(self, group: int, user: int) -> None:
        """Join: as a guest where somebody must approve, as a member elsewhere."""
        if await self.do(
            'SELECT true FROM "groupMembers" WHERE "groupId" = $1 AND "userId" = $2 LIMIT 1',
            group,
            user,
        ):
            return
        waits = await self.do(
            """
            SELECT "requireApproval" OR coalesce("visibility" = 'private', false)
            FROM "groups" WHERE "id" = $1
            """,
            group,
        )
        await self.add_member(group, user, "guest" if waits else "member")

    async def set_group_role(self, group: int, user: int, role: str) -> None:
        """Give a member another role; approving is making a guest a member."""
        await self.do(
            """
            UPDATE "groupMembers" SET "updatedAt" = now(),
                "groupRoleId" = (SELECT "id" FROM "groupRoles" WHERE "name"::text = $3)
            WHERE "groupId" = $1 AND "userId" = $2
            """,
            group,
            user,
            role,
        )

    async def leave_group(self, group: int, user: int) -> None:
        """Leave, or be removed: the rows go."""
        await self.do(
            'DELETE FROM "groupMembers" WHERE "groupId" = $1 AND "userId" = $2', group, user
        )

    async def delete_group(self, group: int) -> None:
        """Delete a group with its members; its meetups stay, without a group."""
        await self.do(
            'UPDATE "events" SET "groupId" = NULL, "updatedAt" = now() WHERE "groupId" = $1', group
        )
        await self.do('DELETE FROM "groups" WHERE "id" = $1', group)

    # Meetups

    async def create_event(
        self,
        slug: str,
        name: str,
        host: int,
        *,
        group: int | None = None,
        visibility: str | None = "public",
        status: str | None = "published",
        approval: bool = False,
    ) -> int:
        """Make a meetup with its host; returns the number."""
        event: int = await self.do(
            """
            INSERT INTO "events" ("slug", "name", "description", "status", "visibility",
                                  "startDate", "endDate", "requireApproval", "userId", "groupId")
            VALUES ($1, $2, $3, $4, $5, '2026-12-01 18:00', '2026-12-01 21:00', $6, $7, $8)
            RETURNING "id"
            """,
            slug,
            name,
            f"Come to {name}",
            status,
            visibility,
            approval,
            host,
            group,
        )
        await self.attend(event, host, "confirmed", "host")
        return event

    async def attend(
        self, event: int, user: int, status: str | None, role: str = "participant"
    ) -> None:
        """Attend; who attends again has the row again."""
        await self.do(
            """
            INSERT INTO "eventAttendees" ("eventId", "userId", "roleId", "status")
            VALUES ($1, $2, (SELECT "id" FROM "eventRoles" WHERE "name" = $4), $3)
            ON CONFLICT ("eventId", "userId") DO UPDATE SET
                "status" = excluded."status", "updatedAt" = now()
            """,
            event,
            user,
            status,
            role,
        )

    async def set_attendee(self, event: int, user: int, status: str, role: str) -> None:
        """Change an attendee's status and role, as hosts can."""
        await self.do(
            """
            UPDATE "eventAttendees" SET "status" = $3, "updatedAt" = now(),
                "roleId" = (SELECT "id" FROM "eventRoles" WHERE "name" = $4)
            WHERE "eventId" = $1 AND "userId" = $2
            """,
            event,
            user,
            status,
            role,
        )

    async def drop_attendee(self, event: int, user: int) -> None:
        """Delete an attendee's row."""
        await self.do(
            'DELETE FROM "eventAttendees" WHERE "eventId" = $1 AND "userId" = $2', event, user
        )

    async def delete_event(self, event: int) -> None:
        """Delete a meetup with its attendees."""
        await self.do('DELETE FROM "events" WHERE "id" = $1', event)

    # Both

    async def change(self, table: str, number: int, column: str, value: object) -> None:
        """Set one column of a group or meetup: its name, slug, status or visibility."""
        statement = f"""
            UPDATE {quoted(table)} SET {quoted(column)} = $2, "updatedAt" = now() WHERE "id" = $1
        """
        await self.do(statement, number, value)

    async def open_direct_chat(self, first: int, second: int) -> None:
        """Open a direct chat."""
        await self.do(
            """
            INSERT INTO "chatRooms" ("name", "matrixRoomId", "type", "visibility", "user1Id",
                                     "user2Id")
            VALUES ('direct', '!old:example.org', 'direct', 'private', $1, $2)
            """,
            first,
            second,
        )

    async def some(self, chance: random.Random, table: str) -> int | None:
        """The number of some row."""
        where = 'WHERE "deletedAt" IS NULL' if table == "users" else ""
        found = await self.rows(f'SELECT "id" FROM {quoted(table)} {where} ORDER BY "id"')
        return chance.choice(found)["id"] if found else None

    async def some_pair(
        self, chance: random.Random, table: str, column: str
    ) -> tuple[int, int] | None:
        """Some member: the number of the group or meetup, and of the user."""
        statement = f'SELECT {quoted(column)}, "userId" FROM {quoted(table)} ORDER BY "id"'
        found = await self.rows(statement)
        return tuple(chance.choice(found)) if found else None
