"""Changing users: who they are, what they are called, and that they go."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ..core.changes import DeleteUser, PutUser, RenameUser
from ..core.directory import shown_name
from ..core.errors import Conflict, InvalidParam
from ..core.ids import PortalRef, UserSlug
from ..storage import directory, ghosts
from .changing_directs import ChangingDirects
from .ghost_names import GhostNames
from .known import known_user
from .ledger import USER, Ledger, unlike


class ChangingUsers:
    """Changes users.

    Args:
        ledger: Where it is written what follows.
        directs: Changes the direct chats that are named after users.
    """

    def __init__(self, ledger: Ledger, directs: ChangingDirects) -> None:
        self._ledger = ledger
        self._connection = ledger.connection
        self._tenant = ledger.tenant
        self._directs = directs
        self._names = GhostNames(ledger.connection, ledger.tenant, ledger.naming)

    async def put(self, change: PutUser) -> None:
        """Write a user, with a ghost of their own."""
        wanted = replace(change.user, name=shown_name(change.user.name))
        present = await directory.user(self._connection, self._tenant, wanted.slug)
        if present is None:
            await self._names.part_from_former(wanted)
        mxid = await self._names.name(wanted)
        self._ledger.want(USER, wanted.slug, different=False)
        # The Matrix id is the ghost's, whatever OpenMeet holds.
        new = () if present is None else unlike(present, replace(wanted, mxid=present.mxid))
        if present is not None and not new:
            return
        await directory.put_user(self._connection, wanted)
        self._ledger.note(USER, wanted.slug, "added" if present is None else "changed", new)
        if present is None or present.active != wanted.active:
            self._want_portals(await self._portals_of(wanted.slug))
        if "name" in new:
            await self._directs.name_anew(await self._portals_of(wanted.slug))
        if not wanted.active:
            await self._ledger.end_user(mxid, wanted.slug)

    async def delete(self, change: DeleteUser) -> None:
        """Take a user out of the directory, and so out of everything."""
        present = await directory.user(self._connection, self._tenant, change.slug)
        if present is None:
            return
        refs = await self._portals_of(change.slug)
        self._want_portals(refs)
        for blocker in await directory.blockers_of(self._connection, self._tenant, change.slug):
            self._ledger.want(USER, blocker)
        if present.mxid is not None:
            await self._ledger.end_user(present.mxid, change.slug)
        await directory.delete_user(self._connection, self._tenant, change.slug)
        self._ledger.note(USER, change.slug, "removed")
        await self._directs.name_anew(refs)

    async def rename(self, change: RenameUser) -> None:
        """Give a user another slug; ghost, memberships and direct chats stay theirs."""
        old, new = change.slug, change.to
        if old == new:
            return
        taken = await directory.user(self._connection, self._tenant, new) is not None
        if taken and await directory.user(self._connection, self._tenant, old) is None:
            return  # Said again.
        await known_user(self._ledger, old, "slug")
        if taken:
            raise Conflict(f"The slug {new!r} belongs to another user.", fields={"to": "is taken"})
        self._check_slug(new, "to")
        refs = await self._portals_of(old)
        await ghosts.give_up_name(self._connection, self._tenant, new)
        await directory.rename_user(self._connection, self._tenant, old, new)
        self._ledger.forget(USER, old)
        self._ledger.note(USER, new, "renamed", ("slug",))
        await self._directs.rename(refs, old, new)

    def _check_slug(self, slug: UserSlug, field: str) -> None:
        try:
            self._ledger.naming.ghost(self._tenant, slug)
        except InvalidParam as error:
            error.fields = {field: "; ".join(error.fields.values())}
            raise

    async def _portals_of(self, slug: UserSlug) -> list[PortalRef]:
        return await directory.portals_of(self._connection, self._tenant, slug)

    def _want_portals(self, refs: Iterable[PortalRef]) -> None:
        for ref in refs:
            self._ledger.want(ref.kind.value, ref.slug)
