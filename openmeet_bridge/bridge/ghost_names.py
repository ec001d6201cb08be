"""Ghost names: which Matrix id stands for a user."""

from __future__ import annotations

import structlog

from ..core.directory import User
from ..core.errors import Conflict
from ..core.ids import Mxid, TenantId
from ..core.naming import Naming
from ..storage import ghosts
from ..storage.database import Connection

log = structlog.get_logger(__name__)


class GhostNames:
    """Finds the Matrix ids of one tenant's users inside a transaction.

    Args:
        connection: The transaction.
        tenant: Whose users.
        naming: Makes names.
    """

    def __init__(self, connection: Connection, tenant: TenantId, naming: Naming) -> None:
        self._connection = connection
        self._tenant = tenant
        self._naming = naming

    async def part_from_former(self, user: User) -> None:
        """Let a new user not be who had the slug before, and was another person."""
        former = await ghosts.of_user(self._connection, self._tenant, user.slug)
        if former is None or former.erased_at is not None:
            return
        if None not in (former.openmeet_id, user.openmeet_id) and (
            former.openmeet_id != user.openmeet_id
        ):
            await ghosts.give_up_name(self._connection, self._tenant, user.slug)

    async def name(self, user: User) -> Mxid:
        """Return a user's Matrix id: that of the ghost, OpenMeet's own, or one made of the slug.

        Raises:
            Conflict: The slug is that of a person who was erased.
            InvalidParam: The slug cannot be part of a Matrix id.
        """
        made = self._naming.ghost(self._tenant, user.slug)
        ghost = await ghosts.of_user(self._connection, self._tenant, user.slug)
        if ghost is None:
            mxid = await self._adopted(user) or await self._free(made)
            ghost = await ghosts.ensure(self._connection, mxid, self._tenant, user.slug)
            if user.mxid is not None and user.mxid != ghost.mxid:
                log.warning("ghost.not_adopted", mxid=user.mxid, instead=ghost.mxid)
        if ghost.erased_at is not None:
            raise Conflict(
                f"The user {user.slug!r} was erased; Matrix cannot have the same user again. "
                "Give the person another slug."
            )
        claimed = user.mxid if user.mxid != ghost.mxid else None
        await ghosts.mark_person(self._connection, ghost.mxid, user.openmeet_id, claimed)
        return ghost.mxid

    async def _adopted(self, user: User) -> Mxid | None:
        """Return the Matrix id that OpenMeet holds for a user, where it can be the ghost's."""
        if user.mxid is None or not self._naming.is_adoptable(user.mxid, self._tenant):
            return None
        taken = await ghosts.of_mxid(self._connection, user.mxid) is not None
        return None if taken else user.mxid

    async def _free(self, mxid: Mxid) -> Mxid:
        """Return a Matrix id that stands for nobody: of who had the slug before, it is taken."""
        candidate, number = mxid, 1
        while await ghosts.of_mxid(self._connection, candidate) is not None:
            number += 1
            candidate = self._naming.another(mxid, number)
        return candidate
