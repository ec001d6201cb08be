"""Appearances: what the homeserver should say of each ghost, beside what it was told last.

One statement knows what is wanted: a name and a picture, which rooms are direct chats with whom,
whom the person ignores. Lists are ``jsonb`` as text, which PostgreSQL writes in one way only.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..core.ids import Mxid, TenantId, UserSlug
from .database import Connection

NOTHING = "[]"
"""No rooms."""

_APPEARANCE = """
    SELECT u.slug, ghost.mxid, u.name, u.avatar_url, directs.wanted AS directs,
           ignored.wanted AS ignored, ghost.name AS set_name,
           ghost.avatar_source AS set_avatar_url, ghost.avatar_mxc AS set_avatar,
           coalesce(ghost.directs, '{}') AS set_directs,
           coalesce(ghost.ignored, '{}') AS set_ignored,
           ghost.registered AND ghost.device AS exists,
           source.url IS NOT NULL AS known_picture,
           picture.mxc AS picture,
           coalesce(source.problem IS NOT NULL AND source.look_again_at <= now(), false)
               AS picture_due,
           coalesce(source.problem IS NOT NULL AND picture.mxc IS NULL
                    AND source.look_again_at > now()
                    AND source.look_again_at < source.looked_at + interval '1 hour', false)
               AS picture_waits,
           outdated.rooms AS outdated
    FROM directory_user AS u
    JOIN ghost USING (tenant, slug)
    LEFT JOIN picture_source AS source ON source.url = u.avatar_url
    LEFT JOIN picture USING (digest)
    CROSS JOIN LATERAL (
        SELECT coalesce(jsonb_object_agg(pair.mxid, pair.rooms), '{}')::text AS wanted FROM (
            SELECT other_ghost.mxid, jsonb_agg(portal.room_id ORDER BY portal.room_id) AS rooms
            FROM directory_member AS mine
            JOIN portal USING (tenant, kind, slug)
            JOIN directory_member AS other USING (tenant, kind, slug)
            JOIN ghost AS other_ghost
                 ON other_ghost.tenant = other.tenant AND other_ghost.slug = other.user_slug
            WHERE mine.tenant = u.tenant AND mine.user_slug = u.slug AND mine.kind = 'direct'
                  AND other.user_slug <> mine.user_slug
            GROUP BY other_ghost.mxid
        ) AS pair
    ) AS directs
    CROSS JOIN LATERAL (
        SELECT coalesce(jsonb_object_agg(blocked_ghost.mxid, '{}'::jsonb), '{}')::text AS wanted
        FROM directory_block AS block
        JOIN ghost AS blocked_ghost
             ON blocked_ghost.tenant = block.tenant AND blocked_ghost.slug = block.blocked
        WHERE block.tenant = u.tenant AND block.blocker = u.slug
    ) AS ignored
    CROSS JOIN LATERAL (
        SELECT coalesce(
            jsonb_agg(jsonb_build_array(someone.room_id, someone.avatar_url)), '[]'
        )::text AS rooms
        FROM room_member AS someone JOIN portal USING (room_id)
        WHERE someone.mxid = ghost.mxid AND someone.membership = 'join' AND NOT someone.barred
              AND someone.name IS NOT NULL AND ghost.name IS NOT NULL
              AND (someone.name <> ghost.name
                   OR (ghost.avatar_mxc IS NOT NULL
                       AND someone.avatar_url IS DISTINCT FROM ghost.avatar_mxc))
    ) AS outdated
    WHERE u.tenant = $1 AND u.active AND ghost.erased_at IS NULL
"""


@dataclass(frozen=True, slots=True)
class Appearance:
    """How a ghost should look, and how it was made to look last (``set_…``).

    Attributes:
        avatar_url: The picture on OpenMeet.
        directs: ``m.direct``: room ids by the other's Matrix id, as JSON.
        ignored: The ``ignored_users`` of ``m.ignored_user_list``, as JSON.
        exists: The homeserver knows the ghost and its device.
        known_picture: The picture was looked at before.
        picture: Its copy at the homeserver, where there is one.
        picture_due: There was a problem with it, and it is time to try again.
        outdated: Rooms that show another name or picture than the profile, each with the picture
            it shows, as JSON. The homeserver tells rooms of a new profile one after the other, and
            misses those that are joined meanwhile.
        picture_waits: It could not be fetched just now; until the next try all stays as it is.
    """

    slug: UserSlug
    mxid: Mxid
    name: str
    avatar_url: str | None
    directs: str
    ignored: str
    set_name: str | None
    set_avatar_url: str | None
    set_avatar: str | None
    set_directs: str
    set_ignored: str
    exists: bool
    known_picture: bool
    picture: str | None
    picture_due: bool
    picture_waits: bool
    outdated: str

    @property
    def avatar_is_settled(self) -> bool:
        """Whether the ghost has its picture, or there is none to be had at present."""
        if self.avatar_url is None:
            return self.set_avatar is None and self.set_avatar_url is None
        return self.picture_waits or (
            self.known_picture
            and not self.picture_due
            and self.avatar_url == self.set_avatar_url
            and self.picture == self.set_avatar
        )

    def is_settled(self, *, with_avatar: bool) -> bool:
        """Whether there is nothing to be done."""
        return (
            self.exists
            and self.name == self.set_name
            and self.directs == self.set_directs
            and self.ignored == self.set_ignored
            and self.outdated == NOTHING
            and (self.avatar_is_settled or not with_avatar)
        )


async def of_user(connection: Connection, tenant: TenantId, slug: UserSlug) -> Appearance | None:
    """Return how a user's ghost should look; None for who is not there or not active."""
    row = await connection.fetchrow(f"{_APPEARANCE} AND u.slug = $2", tenant, slug)
    return Appearance(**dict(row)) if row else None


async def after(
    connection: Connection, tenant: TenantId, slug: UserSlug, limit: int
) -> list[Appearance]:
    """Return how the ghosts of the users that follow a slug should look, by slug."""
    rows = await connection.fetch(
        f"{_APPEARANCE} AND u.slug > $2 ORDER BY u.slug LIMIT $3", tenant, slug, limit
    )
    return [Appearance(**dict(row)) for row in rows]
