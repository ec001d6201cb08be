"""Changing direct chats: who talks with whom alone, and who wants that no more."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ..core.changes import DeleteBlock, PutBlock, PutDirect, PutPortal
from ..core.directory import NAMELESS, Member, Portal
from ..core.errors import Conflict, InvalidParam
from ..core.ids import PortalKind, PortalRef, UserSlug
from ..core.naming import direct_pair, direct_slug
from ..storage import directory
from .changing_members import ChangingMembers
from .changing_portals import ChangingPortals
from .known import known_user
from .ledger import USER, Ledger


class ChangingDirects:
    """Changes direct chats and blocks.

    Args:
        ledger: Where it is written what follows.
        portals: A direct chat is one of them.
        members: Its two people.
    """

    def __init__(self, ledger: Ledger, portals: ChangingPortals, members: ChangingMembers) -> None:
        self._ledger = ledger
        self._connection = ledger.connection
        self._tenant = ledger.tenant
        self._portals = portals
        self._members = members

    async def put(self, change: PutDirect) -> None:
        """Write the direct chat of two users."""
        first, second = change.first, change.second
        if first == second:
            raise InvalidParam(
                "A direct chat needs two users.", fields={"second": "is the first user"}
            )
        await known_user(self._ledger, first, "first")
        await known_user(self._ledger, second, "second")
        ref = self._ref(first, second)
        present = await directory.portal(self._connection, ref)
        if present is None or present.deleted:
            if await directory.is_blocked(self._connection, self._tenant, first, second):
                raise Conflict("One of the two users blocks the other.")
            portal = Portal(ref, self._ledger.naming.alias(ref), await self._name(ref))
            await self._portals.put(PutPortal(portal))
        self._ledger.want(ref.kind.value, ref.slug, different=False)
        members = await directory.all_members(self._connection, ref)
        await self._members.settle(ref, members, [Member(first), Member(second)])

    async def name_anew(self, refs: Iterable[PortalRef]) -> None:
        """Let direct chats be named after their two people as they are called now."""
        for ref in refs:
            present = await directory.portal(self._connection, ref)
            if ref.kind is PortalKind.DIRECT and present is not None and not present.deleted:
                named = replace(present, name=await self._name(ref))
                await self._portals.put(PutPortal(named))

    async def rename(self, refs: Iterable[PortalRef], old: UserSlug, new: UserSlug) -> None:
        """Let direct chats follow the new slug of one of their people."""
        for ref in refs:
            if ref.kind is PortalKind.DIRECT:
                other = next(slug for slug in direct_pair(ref.slug) if slug != old)
                await self._portals.move(ref, direct_slug(new, other))

    async def put_block(self, change: PutBlock) -> None:
        """Let one user be spared another."""
        blocker, blocked = change.blocker, change.blocked
        await known_user(self._ledger, blocker, "blocker")
        await known_user(self._ledger, blocked, "blocked")
        if blocker == blocked:
            raise InvalidParam("Nobody blocks themselves.", fields={"blocked": "is the user"})
        if await directory.put_block(self._connection, self._tenant, blocker, blocked):
            await self._blocks_changed(blocker, blocked)

    async def delete_block(self, change: DeleteBlock) -> None:
        """Take a block back."""
        blocker, blocked = change.blocker, change.blocked
        if await directory.delete_block(self._connection, self._tenant, blocker, blocked):
            await self._blocks_changed(blocker, blocked)

    async def _blocks_changed(self, blocker: UserSlug, blocked: UserSlug) -> None:
        self._ledger.note(USER, blocker, "changed", ("blocks",))
        ref = self._ref(blocker, blocked)
        present = await directory.portal(self._connection, ref)
        if present is not None and not present.deleted:
            self._ledger.want(ref.kind.value, ref.slug)

    def _ref(self, first: UserSlug, second: UserSlug) -> PortalRef:
        return PortalRef(self._tenant, PortalKind.DIRECT, direct_slug(first, second))

    async def _name(self, ref: PortalRef) -> str:
        pair = [
            await directory.user(self._connection, self._tenant, slug)
            for slug in direct_pair(ref.slug)
        ]
        return " & ".join(NAMELESS if user is None else user.name for user in pair)
