"""Known: the users and portals that a change names must be there."""

from __future__ import annotations

from collections.abc import Sequence

from ..core.directory import Member, Portal, User
from ..core.errors import NotFound
from ..core.ids import PortalRef, UserSlug
from ..storage import directory
from .ledger import Ledger


async def known_user(ledger: Ledger, slug: UserSlug, field: str = "user") -> User:
    """Return a user.

    Raises:
        NotFound: There is none; the error names the field.
    """
    user = await directory.user(ledger.connection, ledger.tenant, slug)
    if user is None:
        raise _unknown_user(slug, field)
    return user


async def check_members(ledger: Ledger, members: Sequence[Member]) -> None:
    """Make sure that all members are users.

    Raises:
        NotFound: One is not; the error says which.
    """
    slugs = [member.user for member in members]
    known = await directory.known_users(ledger.connection, ledger.tenant, slugs)
    for number, slug in enumerate(slugs):
        if slug not in known:
            raise _unknown_user(slug, f"members[{number}].user")


async def known_portal(ledger: Ledger, ref: PortalRef) -> Portal:
    """Return a portal that is not deleted.

    Raises:
        NotFound: There is none.
    """
    portal = await directory.portal(ledger.connection, ref)
    if portal is None or portal.deleted:
        raise NotFound(
            f"No {ref.kind} {ref.slug!r} is known: PUT the {ref.kind} first.",
            fields={"slug": "is not known"},
        )
    return portal


def _unknown_user(slug: UserSlug, field: str) -> NotFound:
    return NotFound(
        f"No user {slug!r} is known in this tenant: PUT the user first.",
        fields={field: "is not known"},
    )
