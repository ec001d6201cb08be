"""What people have decided about themselves: what others may see of them."""

from __future__ import annotations

from dataclasses import dataclass

from ..core.ids import TenantId, UserSlug
from .database import Connection


@dataclass(frozen=True, slots=True)
class Preferences:
    """What one person lets others see.

    Attributes:
        presence: Whether the person is there, and when they were.
        receipts: How far the person has read.
    """

    presence: bool = True
    receipts: bool = True


async def of(connection: Connection, tenant: TenantId, slug: UserSlug) -> Preferences:
    """Return a person's preferences; who never decided anything shows everything."""
    row = await connection.fetchrow(
        "SELECT presence, receipts FROM preference WHERE tenant = $1 AND user_slug = $2",
        tenant,
        slug,
    )
    return Preferences() if row is None else Preferences(**dict(row))


async def put(
    connection: Connection, tenant: TenantId, slug: UserSlug, preferences: Preferences
) -> None:
    """Write a person's preferences, unless OpenMeet has removed them meanwhile."""
    await connection.execute(
        """
        INSERT INTO preference (tenant, user_slug, presence, receipts)
        SELECT tenant, slug, $3, $4 FROM directory_user WHERE tenant = $1 AND slug = $2
        ON CONFLICT (tenant, user_slug)
        DO UPDATE SET presence = excluded.presence, receipts = excluded.receipts
        """,
        tenant,
        slug,
        preferences.presence,
        preferences.receipts,
    )
