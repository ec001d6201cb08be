"""Changing portals: groups, meetups and direct chats, whoever is in them."""

from __future__ import annotations

from dataclasses import replace

from ..core.changes import DeletePortal, PutPortal, RenamePortal, RenewPortal
from ..core.errors import Conflict
from ..core.ids import PortalKind, PortalRef
from ..storage import directory, rooms
from .known import known_portal
from .ledger import SPACE, Ledger, unlike


class ChangingPortals:
    """Changes portals.

    Args:
        ledger: Where it is written what follows.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._connection = ledger.connection

    async def put(self, change: PutPortal) -> None:
        """Write a portal."""
        alias = self._ledger.naming.alias(change.portal.ref)
        wanted = replace(change.portal, alias=alias, deleted=False)
        ref = wanted.ref
        present = await directory.portal(self._connection, ref)
        new = () if present is None else unlike(present, replace(wanted, reborn=present.reborn))
        self._ledger.want(ref.kind.value, ref.slug, different=False)
        if present is not None and not new:
            return
        await self._take_alias(ref, wanted.alias)
        await directory.put_portal(self._connection, wanted)
        added = present is None or present.deleted
        self._ledger.note(ref.kind.value, ref.slug, "added" if added else "changed", new)
        self._ledger.want_spaces(wanted)
        if present is not None and present.group != wanted.group:
            self._ledger.want_spaces(present)

    async def delete(self, change: DeletePortal) -> None:
        """Take a portal out of the directory, and its room from everybody."""
        ref = change.ref
        present = await directory.portal(self._connection, ref)
        if present is None:
            return
        self._ledger.want(ref.kind.value, ref.slug, different=False)
        if present.deleted:
            return
        # Also those whom only an operator wants in.
        for person in await directory.people(self._connection, ref):
            await self._ledger.bar(ref, person.mxid)
        await directory.delete_portal(self._connection, ref)
        self._ledger.note(ref.kind.value, ref.slug, "removed")
        self._ledger.want_spaces(present)

    async def rename(self, change: RenamePortal) -> None:
        """Give a portal another slug; its room stays."""
        ref, renamed = change.ref, change.ref._replace(slug=change.to)
        if await self._is_there(renamed) and not await self._is_there(ref):
            return  # Said again.
        await known_portal(self._ledger, ref)
        await self.move(ref, change.to)

    async def renew(self, change: RenewPortal) -> None:
        """Take a portal's room from everybody, and let it have a new one."""
        ref = change.ref
        portal = await known_portal(self._ledger, ref)
        room_id = await rooms.room_of(self._connection, ref)
        if room_id is None or portal.reborn:
            self._ledger.want(ref.kind.value, ref.slug, different=False)
            return
        for one in await rooms.room_members(self._connection, room_id):
            await self._ledger.bar(ref, one.mxid)
        await directory.renew_portal(self._connection, ref)
        self._ledger.note(ref.kind.value, ref.slug, "changed", ("room",))

    async def move(self, ref: PortalRef, to: str) -> None:
        """Give a portal that is there another slug.

        Raises:
            Conflict: The slug is another portal's, or that of a room that is still being closed.
        """
        if to == ref.slug:
            return
        renamed = PortalRef(ref.tenant, ref.kind, to)
        await self._check_free(renamed)
        alias = self._ledger.naming.alias(renamed)
        await self._take_alias(ref, alias)
        await directory.rename_portal(self._connection, ref, to, alias)
        self._ledger.forget(ref.kind.value, ref.slug)
        self._ledger.note(ref.kind.value, to, "renamed", ("slug",))
        if ref.kind is PortalKind.GROUP and self._ledger.rules.spaces:
            self._ledger.want(SPACE, to)

    async def _check_free(self, ref: PortalRef) -> None:
        taken = await directory.portal(self._connection, ref)
        if taken is not None and not taken.deleted:
            raise Conflict(f"There is another {ref.kind} {ref.slug!r}.", fields={"to": "is taken"})
        if await directory.is_occupied(self._connection, ref):
            raise Conflict(
                f"The room of a deleted {ref.kind} {ref.slug!r} is still being closed: "
                "try again soon.",
                retry_after_ms=2000,
                fields={"to": "is not free yet"},
            )

    async def _take_alias(self, ref: PortalRef, alias: str) -> None:
        """Take a former alias of another portal: whoever has the name now goes before."""
        former = await directory.release_alias(self._connection, alias)
        if former is not None and former != ref:
            self._ledger.want(former.kind.value, former.slug)

    async def _is_there(self, ref: PortalRef) -> bool:
        portal = await directory.portal(self._connection, ref)
        return portal is not None and not portal.deleted
