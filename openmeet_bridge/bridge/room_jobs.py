"""Room jobs: all that is done about a portal's room, in its order, and what is left to do."""

from __future__ import annotations

from ..core.ids import PortalKind, PortalRef, TenantId
from .portals import Portals
from .reconciler import Work
from .spaces import Spaces
from .sweep import Look
from .upgrades import Upgrades


class RoomJobs:
    """Settles portals: their room, wherever it was upgraded to, and its place in the spaces.

    Args:
        portals: Make rooms as the directory says.
        upgrades: Follow rooms that were upgraded.
        spaces: Hold the rooms.
    """

    def __init__(self, portals: Portals, upgrades: Upgrades, spaces: Spaces) -> None:
        self._portals = portals
        self._upgrades = upgrades
        self._spaces = spaces

    def settle(self, kind: PortalKind) -> Work:
        """Return what does the jobs of a kind of portals."""

        async def settle(tenant: TenantId, slug: str) -> None:
            ref = PortalRef(tenant, kind, slug)
            problem = await self._upgrades.follow(ref)
            await self._portals.settle(ref)
            await self._upgrades.note(ref, problem)
            await self._spaces.follow(ref)

        return settle

    def look(self, kind: PortalKind) -> Look:
        """Return what sees whether such a job would do anything; it asks the database alone."""

        async def look(tenant: TenantId, slug: str) -> bool:
            ref = PortalRef(tenant, kind, slug)
            return bool(await self._portals.plan(ref)) or await self._upgrades.waits(ref)

        return look
