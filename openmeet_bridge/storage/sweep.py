"""Everything that could differ from the directory, one page after the other."""

from __future__ import annotations

from collections.abc import Sequence

from ..core.ids import TenantId
from .database import Connection
from .drift import Subject

FIRST = Subject(TenantId(""), "", "")

# What the directory has deleted is looked at as well: it should not be. A room of which the
# directory has never said a word is left alone: after the loss of a database all rooms are such,
# until OpenMeet has said everything again. What waits for its job already needs no look.
_SUBJECTS = """
    SELECT tenant, kind, slug FROM (
        SELECT tenant, kind, slug FROM directory_portal
        UNION SELECT tenant, 'user', slug FROM directory_user
        UNION SELECT tenant, 'space', "group" FROM space
        UNION SELECT tenant, 'space', slug FROM directory_portal WHERE kind = 'group'
        UNION SELECT tenant, 'space', '' FROM directory_portal WHERE kind <> 'direct'
    ) AS subject
    WHERE tenant = ANY($1::text[]) AND NOT EXISTS (
        SELECT FROM job
        WHERE job.tenant = subject.tenant AND job.kind = subject.kind AND job.slug = subject.slug
              AND job.wanted > job.done AND NOT job.permanent
    )
"""


async def count(connection: Connection, tenants: Sequence[TenantId]) -> int:
    """Return how many there are."""
    number: int = await connection.fetchval(
        f"SELECT count(*) FROM ({_SUBJECTS}) AS found",  # noqa: S608  (constants only)
        tenants,
    )
    return number


async def page(
    connection: Connection, tenants: Sequence[TenantId], after: Subject, limit: int
) -> list[Subject]:
    """Return what follows in the order of tenant, kind and slug."""
    rows = await connection.fetch(
        f"""
        SELECT * FROM ({_SUBJECTS}) AS found
        WHERE (tenant, kind, slug) > ($2, $3, $4) ORDER BY tenant, kind, slug LIMIT $5
        """,  # noqa: S608
        tenants,
        *after,
        limit,
    )
    return [Subject(row["tenant"], row["kind"], row["slug"]) for row in rows]
