"""Changing members: who is in a portal by OpenMeet's word, and by an operator's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..core.changes import (
    DeleteMember,
    DeleteOverride,
    PutMember,
    PutOverride,
    ReplaceMembers,
)
from ..core.directory import Member
from ..core.ids import PortalRef, UserSlug
from ..core.rules import Place
from ..storage import directory
from .known import check_members, known_portal, known_user
from .ledger import Ledger, unlike


class ChangingMembers:
    """Changes members, and what an operator has said of them.

    Args:
        ledger: Where it is written what follows.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._connection = ledger.connection
        self._tenant = ledger.tenant

    async def put(self, change: PutMember) -> None:
        """Write one member."""
        ref = change.ref
        await known_portal(self._ledger, ref)
        await known_user(self._ledger, change.member.user)
        present = await directory.member(self._connection, ref, change.member.user)
        self._ledger.want(ref.kind.value, ref.slug, different=False)
        there = {} if present is None else {present.user: present}
        await self.settle(ref, there, [change.member])

    async def delete(self, change: DeleteMember) -> None:
        """Take one member out."""
        ref = change.ref
        if await directory.portal(self._connection, ref) is not None:
            self._ledger.want(ref.kind.value, ref.slug, different=False)
        await self._remove(ref, change.user)

    async def replace(self, change: ReplaceMembers) -> None:
        """Write all members: who is not among them is out."""
        ref = change.ref
        await known_portal(self._ledger, ref)
        self._ledger.want(ref.kind.value, ref.slug, different=False)
        wanted = {member.user: member for member in change.members}
        await check_members(self._ledger, change.members)
        present = await directory.all_members(self._connection, ref)
        for slug in sorted(present.keys() - wanted.keys()):
            await self._remove(ref, slug)
        await self.settle(ref, present, wanted.values())

    async def settle(
        self, ref: PortalRef, there: Mapping[UserSlug, Member], wanted: Iterable[Member]
    ) -> None:
        """Write those who are not there yet as they should be."""
        different = [member for member in wanted if there.get(member.user) != member]
        await directory.put_members(self._connection, ref, different)
        for new in different:
            old = there.get(new.user)
            what = "added" if old is None else "changed"
            self._ledger.note_member(ref, new.user, what, () if old is None else unlike(old, new))
            if self._ledger.rules.standing(ref.kind, new).place is not Place.IN:
                await self._bar(ref, new.user)

    async def put_override(self, change: PutOverride) -> None:
        """Write an operator's word, which goes before OpenMeet's."""
        ref, user = change.ref, change.override.user
        await known_portal(self._ledger, ref)
        await known_user(self._ledger, user)
        present = await directory.overrides(self._connection, ref)
        if present.get(user) == change.override:
            return
        await directory.put_override(self._connection, ref, change.override)
        self._ledger.note_member(ref, user, "changed", ("override",))
        if not change.override.inside:
            await self._bar(ref, user)

    async def delete_override(self, change: DeleteOverride) -> None:
        """Take an operator's word back: OpenMeet's counts again."""
        ref = change.ref
        if not await directory.delete_override(self._connection, ref, change.user):
            return
        self._ledger.note_member(ref, change.user, "changed", ("override",))
        members = await directory.members(self._connection, ref)
        standing = self._ledger.rules.standing(ref.kind, members.get(change.user))
        if standing.place is not Place.IN:
            await self._bar(ref, change.user)

    async def _remove(self, ref: PortalRef, slug: UserSlug) -> None:
        if await directory.delete_member(self._connection, ref, slug):
            self._ledger.note_member(ref, slug, "removed")
            await self._bar(ref, slug)

    async def _bar(self, ref: PortalRef, slug: UserSlug) -> None:
        """Take a room from a user at once, unless an operator has said that the user is in."""
        override = (await directory.overrides(self._connection, ref)).get(slug)
        user = await directory.user(self._connection, self._tenant, slug)
        if user is not None and user.mxid is not None and not (override and override.inside):
            await self._ledger.bar(ref, user.mxid)
