"""OpenMeet at work: its database, and people who use its sites.

:class:`OpenMeet` does to the tables what OpenMeet's own code does, and says what should come of it:
the expected rooms are computed by SQL of its own, straight from the tables.
"""

# ruff: noqa: S608  (names of tables are the tests' own)

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from openmeet_bridge.core.ids import TenantId
from openmeet_bridge.core.rules import Rules
from openmeet_bridge.openmeet.schema import quoted

from .openmeet_life import STEPS, fill
from .openmeet_site import Site


@dataclass(frozen=True, slots=True)
class Expected:
    """What the bridge should make of one portal.

    Attributes:
        name: Of the room.
        visibility: ``public``, ``authenticated`` or ``private``.
        levels: Power level of everybody who should be in the room, by slug.
    """

    name: str
    visibility: str
    levels: dict[str, int]


class OpenMeet:
    """OpenMeet with two sites.

    Args:
        sites: By tenant.
    """

    def __init__(self, sites: Mapping[TenantId, Site]) -> None:
        self.sites = sites

    @classmethod
    async def build(cls, dsn: str, tenants: Sequence[TenantId], *, rows: bool = True) -> OpenMeet:
        """Build the schemas in an empty database; with rows, let there be a life already."""
        sites = {tenant: await Site.open(dsn, tenant) for tenant in tenants}
        for site in sites.values():
            await site.build()
            if rows:
                await fill(site)
        return cls(sites)

    async def close(self) -> None:
        """Hang up."""
        for site in self.sites.values():
            await site.close()

    def site(self, tenant: TenantId) -> Site:
        """A tenant's site."""
        return self.sites[tenant]

    async def random_step(self, chance: random.Random) -> str:
        """Let somebody do something on one of the sites; returns what it was."""
        while True:
            site = self.sites[chance.choice(sorted(self.sites))]
            name = chance.choice(sorted(STEPS))
            done = await STEPS[name](site, chance)
            if done is not None:
                return f"{site.tenant}: {name} {done}"

    async def expected(self, tenant: TenantId, rules: Rules) -> dict[tuple[str, str], Expected]:
        """What the bridge should make of a tenant: by kind and slug of each group and meetup."""
        site = self.sites[tenant]
        found: dict[tuple[str, str], Expected] = {}
        for kind, table in (("group", "groups"), ("meetup", "events")):
            for row in await site.rows(
                f"""
                SELECT "slug", "name", CASE
                    WHEN "status"::text IN ('published', 'cancelled')
                    THEN coalesce("visibility"::text, 'private') ELSE 'private' END AS seen
                FROM {quoted(table)}
                """
            ):
                found[kind, row["slug"]] = Expected(row["name"], row["seen"], {})
        roles, statuses = list(rules.group_roles.items()), sorted(rules.meetup_statuses)
        for row in await site.rows(
            _GROUP_LEVELS, [role for role, _ in roles], [level for _, level in roles]
        ):
            found["group", row["portal"]].levels[row["person"]] = row["level"]
        roles = list(rules.meetup_roles.items())
        for row in await site.rows(
            _MEETUP_LEVELS, [role for role, _ in roles], [level for _, level in roles], statuses
        ):
            found["meetup", row["portal"]].levels[row["person"]] = row["level"]
        return found

    async def expected_names(self, tenant: TenantId) -> dict[str, str]:
        """The names under which a tenant's users should be shown, deactivated ones included."""
        rows = await self.sites[tenant].rows(
            """
            SELECT "slug", trim(regexp_replace(
                concat_ws(' ', "firstName", "lastName"), '\\s+', ' ', 'g')) AS name
            FROM "users"
            WHERE "deletedAt" IS NULL AND NOT "isShadowAccount" AND coalesce("slug", '') <> ''
            ORDER BY "id" DESC
            """
        )
        names = {row["slug"]: row["name"] for row in rows}
        return {
            slug: "OpenMeet user" if "@" in name else name or "OpenMeet user"
            for slug, name in names.items()
        }


_PERSON = """
    JOIN "users" AS u ON u."id" = m."userId" AND u."deletedAt" IS NULL
         AND NOT u."isShadowAccount" AND u."statusId" IS DISTINCT FROM 2
         AND coalesce(u."slug", '') <> '' AND NOT EXISTS (
             SELECT FROM "users" AS former
             WHERE former."slug" = u."slug" AND former."id" < u."id"
                   AND former."deletedAt" IS NULL AND NOT former."isShadowAccount"
         )
"""
_GROUP_LEVELS = f"""
    SELECT DISTINCT ON (g."slug", u."slug") g."slug" AS portal, u."slug" AS person, l.level
    FROM "groupMembers" AS m JOIN "groups" AS g ON g."id" = m."groupId" {_PERSON}
    JOIN "groupRoles" AS r ON r."id" = m."groupRoleId"
    JOIN unnest($1::text[], $2::int[]) AS l (role, level) ON l.role = r."name"::text
    ORDER BY g."slug", u."slug", l.level DESC
"""
_MEETUP_LEVELS = f"""
    SELECT e."slug" AS portal, u."slug" AS person, l.level
    FROM "eventAttendees" AS m JOIN "events" AS e ON e."id" = m."eventId" {_PERSON}
    JOIN "eventRoles" AS r ON r."id" = m."roleId"
    JOIN unnest($1::text[], $2::int[]) AS l (role, level) ON l.role = r."name"
    WHERE m."status"::text = ANY($3::text[])
"""
