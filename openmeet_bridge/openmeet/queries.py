"""The statements with which OpenMeet's tables are read, fitted to the columns that there are.

Only what is needed is named: no password, token or e-mail address is ever asked for. OpenMeet's
moments have no time zone and mean UTC, as does the session that reads them.
"""

# ruff: noqa: S608  (names come from the schema, quoted; values are parameters)

from __future__ import annotations

from .schema import Schema

ALL = "true"

_INACTIVE = 2
_NEVER = "NULL::timestamptz"
_TABLES = ("users", "groups", "events", "groupMembers", "eventAttendees")


def users(schema: Schema, where: str = ALL) -> str:
    """Users who exist, without the placeholders for people of Bluesky who never signed in."""
    picture, join = _picture(schema, "users", "photoId")
    return f"""
        SELECT t."id", t."slug", t."firstName" AS first_name, t."lastName" AS last_name,
               {schema.column("t", "users", "matrixUserId")} AS mxid,
               {schema.column("t", "users", "statusId")} IS DISTINCT FROM {_INACTIVE} AS active,
               {picture} AS picture, {_moment(schema, "users")} AS updated_at
        FROM {schema.table("users")} AS t {join}
        WHERE ({where}) AND {existing_user(schema, "t")} ORDER BY t."id"
    """


def existing_user(schema: Schema, alias: str) -> str:
    """The condition that a row of ``users`` is a person."""
    deleted = schema.column(alias, "users", "deletedAt")
    shadow = schema.column(alias, "users", "isShadowAccount", "false")
    return f"{deleted} IS NULL AND {shadow} IS NOT TRUE"


def groups(schema: Schema, where: str = ALL) -> str:
    """Groups."""
    return _entities(schema, "groups", where, "NULL::timestamptz", "NULL::timestamptz", "NULL", "")


def events(schema: Schema, where: str = ALL) -> str:
    """Meetups, with the slug of their group."""
    join = ""
    group = "NULL"
    if schema.has("events", "groupId"):
        join = f'LEFT JOIN {schema.table("groups")} AS g ON g."id" = t."groupId"'
        deleted = schema.column("g", "groups", "deletedAt")
        group = f'CASE WHEN {deleted} IS NULL THEN g."slug" END'
    return _entities(
        schema,
        "events",
        where,
        _date(schema.column("t", "events", "startDate")),
        _date(schema.column("t", "events", "endDate")),
        group,
        join,
    )


def _entities(
    schema: Schema, table: str, where: str, starts: str, ends: str, group: str, join: str
) -> str:
    picture, picture_join = _picture(schema, table, "imageId")
    return f"""
        SELECT t."id", t."slug", t."name",
               {schema.column("t", table, "description")}::text AS topic,
               {schema.column("t", table, "status")}::text AS status,
               {schema.column("t", table, "visibility")}::text AS visibility,
               {starts} AS starts_at, {ends} AS ends_at, {group} AS "group",
               {picture} AS picture, {_moment(schema, table)} AS updated_at
        FROM {schema.table(table)} AS t {join} {picture_join}
        WHERE ({where}) AND {schema.column("t", table, "deletedAt")} IS NULL ORDER BY t."id"
    """


def group_members(schema: Schema, where: str = ALL) -> str:
    """Who is what in which group."""
    return f"""
        SELECT t."id", t."groupId" AS entity, t."userId" AS person, r."name"::text AS role,
               'confirmed' AS status, {_moment(schema, "groupMembers")} AS updated_at
        FROM {schema.table("groupMembers")} AS t
        LEFT JOIN {schema.table("groupRoles")} AS r ON r."id" = t."groupRoleId"
        WHERE ({where}) AND t."groupId" IS NOT NULL AND t."userId" IS NOT NULL ORDER BY t."id"
    """


def event_attendees(schema: Schema, where: str = ALL) -> str:
    """Who is what in which meetup."""
    return f"""
        SELECT t."id", t."eventId" AS entity, t."userId" AS person, r."name"::text AS role,
               t."status"::text AS status, {_moment(schema, "eventAttendees")} AS updated_at
        FROM {schema.table("eventAttendees")} AS t
        LEFT JOIN {schema.table("eventRoles")} AS r ON r."id" = t."roleId"
        WHERE ({where}) AND t."eventId" IS NOT NULL AND t."userId" IS NOT NULL ORDER BY t."id"
    """


def direct_chats(schema: Schema, where: str = ALL) -> str | None:
    """Pairs of users with a direct chat; None: this OpenMeet keeps none."""
    if not schema.has("chatRooms", "id", "type", "user1Id", "user2Id"):
        return None
    return f"""
        SELECT t."id", t."user1Id" AS first, t."user2Id" AS second
        FROM {schema.table("chatRooms")} AS t
        WHERE ({where}) AND t."type"::text = 'direct'
              AND t."user1Id" IS NOT NULL AND t."user2Id" IS NOT NULL ORDER BY t."id"
    """


CHOSEN = """t."id" = ANY($1::bigint[]) OR t."slug" = ANY($2::text[])"""
"""Rows with these numbers or these slugs."""

OF_GROUPS = """t."groupId" = ANY($1::bigint[])"""
OF_EVENTS = """t."eventId" = ANY($1::bigint[])"""


def chosen_or_members(schema: Schema) -> str:
    """The condition for users: those, and whoever is anything in these groups and meetups."""
    return f"""
        {CHOSEN}
        OR t."id" IN (SELECT m."userId" FROM {schema.table("groupMembers")} AS m
                      WHERE m."groupId" = ANY($3::bigint[]))
        OR t."id" IN (SELECT m."userId" FROM {schema.table("eventAttendees")} AS m
                      WHERE m."eventId" = ANY($4::bigint[]))
    """


def portals_of(schema: Schema) -> str:
    """In which groups and meetups the users $1 are anything."""
    return f"""
        SELECT DISTINCT 'group' AS kind, t."groupId" AS id
        FROM {schema.table("groupMembers")} AS t
        WHERE t."userId" = ANY($1::bigint[]) AND t."groupId" IS NOT NULL
        UNION
        SELECT DISTINCT 'meetup' AS kind, t."eventId" AS id
        FROM {schema.table("eventAttendees")} AS t
        WHERE t."userId" = ANY($1::bigint[]) AND t."eventId" IS NOT NULL
    """


MAY_WRITE = """
    SELECT coalesce(bool_or(has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE')), false)
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = $1 AND c.relkind IN ('r', 'p')
"""
"""Whether the session's user could write, if the session let it."""


def changed(schema: Schema, table: str, column: str = "id") -> str | None:
    """Which rows, by a column, changed after $1; None: the table does not say when."""
    moment = _moment(schema, table)
    if moment == _NEVER:
        return None
    name = f't."{column}"'
    return f"""
        SELECT DISTINCT {name} AS id FROM {schema.table(table)} AS t
        WHERE {moment} > $1 AND {name} IS NOT NULL
    """


def newest(schema: Schema) -> str:
    """The newest change of any row, never in the future; long ago where there is none."""
    parts = [
        f"(SELECT max({_moment(schema, table)}) FROM {schema.table(table)} AS t)"
        for table in _TABLES
    ]
    return f"SELECT coalesce(least(now(), greatest({', '.join(parts)})), 'epoch'::timestamptz)"


def counts(schema: Schema) -> str:
    """How many people, and how many groups and meetups there are."""
    return f"""
        SELECT (SELECT count(*) FROM {schema.table("users")} AS t
                WHERE {existing_user(schema, "t")}) AS users,
               (SELECT count(*) FROM {schema.table("groups")} AS t
                WHERE {schema.column("t", "groups", "deletedAt")} IS NULL)
               + (SELECT count(*) FROM {schema.table("events")} AS t
                  WHERE {schema.column("t", "events", "deletedAt")} IS NULL) AS portals
    """


def _moment(schema: Schema, table: str) -> str:
    """When a row changed last: also by being deleted softly, or by being made."""
    names = [name for name in ("createdAt", "updatedAt", "deletedAt") if schema.has(table, name)]
    if not names:
        return _NEVER
    columns = [_utc(schema.column("t", table, name)) for name in names]
    return f"greatest({', '.join(columns)})"


def _utc(column: str) -> str:
    return f"{column}::timestamptz"


def _date(column: str) -> str:
    # What is not within living memory was typed wrongly, and may be no moment for Python at all.
    moment = _utc(column)
    return f"CASE WHEN {moment} BETWEEN '1900-01-02' AND '8999-12-30' THEN {moment} END"


def _picture(schema: Schema, table: str, column: str) -> tuple[str, str]:
    if not (schema.has(table, column) and schema.has("files", "id", "path")):
        return "NULL", ""
    return 'f."path"', f'LEFT JOIN {schema.table("files")} AS f ON f."id" = t."{column}"'
