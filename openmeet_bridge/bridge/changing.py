"""Changing the directory: each change with the differences and the jobs that follow from it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

import structlog

from ..core.changes import (
    Change,
    DeleteBlock,
    DeleteMember,
    DeleteOverride,
    DeletePortal,
    DeleteUser,
    Difference,
    PutBlock,
    PutDirect,
    PutMember,
    PutOverride,
    PutPortal,
    PutUser,
    RenamePortal,
    RenameUser,
    ReplaceMembers,
)
from ..core.directory import NAMELESS, Member, Portal, User, shown_name
from ..core.errors import Conflict, InvalidParam, NotFound
from ..core.ids import Mxid, PortalKind, PortalRef, RoomId, TenantId, UserSlug
from ..core.naming import Naming, direct_pair, direct_slug
from ..core.rules import Place, Rules
from ..storage import directory, ghosts, jobs, outbox, rooms
from ..storage.database import Connection

log = structlog.get_logger(__name__)

USER = "user"
"""Kind of the job for a ghost; the jobs of portals have the portal's kind."""

SPACE = "space"
"""Kind of the job for a space; its slug is the group's, or empty for the tenant's own space."""

Job = tuple[str, str]

_NO_ACCOUNT = "The account was ended before this could be sent."


class Changing:
    """Changes of one tenant's directory inside one SQL transaction, which holds its lock.

    Args:
        connection: The transaction.
        tenant: Whose directory.
        naming: Makes names.
        rules: The tenant's.
        bulk: Let jobs of single changes go before these.
    """

    def __init__(
        self,
        connection: Connection,
        tenant: TenantId,
        naming: Naming,
        rules: Rules,
        *,
        bulk: bool,
    ) -> None:
        self.differences: list[Difference] = []
        self.users_gone: list[Mxid] = []
        self.messages_gone: list[int] = []
        self.members_gone: list[tuple[Mxid, RoomId]] = []
        self._connection = connection
        self._tenant = tenant
        self._naming = naming
        self._rules = rules
        self._bulk = bulk
        self._wanted: dict[Job, bool] = {}
        self._barred: set[tuple[RoomId, Mxid]] = set()
        self._ways: dict[type[Any], Callable[[Any], Coroutine[Any, Any, None]]] = {
            PutUser: self._put_user,
            DeleteUser: self._delete_user,
            RenameUser: self._rename_user,
            PutPortal: self._put_portal,
            DeletePortal: self._delete_portal,
            RenamePortal: self._rename_portal,
            PutMember: self._put_member,
            DeleteMember: self._delete_member,
            ReplaceMembers: self._replace_members,
            PutDirect: self._put_direct,
            PutBlock: self._put_block,
            DeleteBlock: self._delete_block,
            PutOverride: self._put_override,
            DeleteOverride: self._delete_override,
        }

    async def make(self, change: Change) -> None:
        """Make one change; see :class:`~openmeet_bridge.bridge.directory.Directory`."""
        await self._ways[type(change)](change)

    async def finish(self) -> None:
        """Take rooms from who is out, and write the jobs that the changes ask for: each once.

        Rows are locked last, and in one order, so that who reads the log never waits for somebody
        who waits for them.
        """
        self.members_gone = await rooms.bar(self._connection, sorted(self._barred))
        for (kind, slug), different in sorted(self._wanted.items()):
            if different:
                await jobs.want(self._connection, self._tenant, kind, slug, bulk=self._bulk)
            elif not self._bulk:
                # Nothing is new; but who says it again may want what failed to be tried again.
                await jobs.revive(self._connection, self._tenant, kind, slug)

    # Users

    async def _put_user(self, change: PutUser) -> None:
        wanted = replace(change.user, name=shown_name(change.user.name))
        present = await directory.user(self._connection, self._tenant, wanted.slug)
        if present is None:
            await self._part_from_former(wanted)
        mxid = await self._name_ghost(wanted)
        self._want(USER, wanted.slug, different=False)
        if present is not None and _unlike(present, replace(wanted, mxid=present.mxid)) == ():
            return
        await directory.put_user(self._connection, wanted)
        what = "added" if present is None else "changed"
        unlike = () if present is None else _unlike(present, replace(wanted, mxid=present.mxid))
        self._note(USER, wanted.slug, what, fields=unlike)
        if present is None or present.active != wanted.active:
            await self._want_portals_of(wanted.slug)
        if "name" in unlike:
            await self._name_directs(await self._portals_of(wanted.slug))
        if not wanted.active:
            await self._end_user(mxid, wanted.slug)

    async def _name_directs(self, refs: Iterable[PortalRef]) -> None:
        """Let direct chats be named after their two people as they are called now."""
        for ref in refs:
            present = await directory.portal(self._connection, ref)
            if ref.kind is PortalKind.DIRECT and present is not None and not present.deleted:
                await self._put_portal(
                    PutPortal(replace(present, name=await self._direct_name(ref)))
                )

    async def _direct_name(self, ref: PortalRef) -> str:
        pair = [
            await directory.user(self._connection, self._tenant, slug)
            for slug in direct_pair(ref.slug)
        ]
        return " & ".join(NAMELESS if user is None else user.name for user in pair)

    async def _part_from_former(self, user: User) -> None:
        """Let a new user not be who had the slug before, and was another person."""
        former = await ghosts.of_user(self._connection, self._tenant, user.slug)
        if former is None or former.erased_at is not None:
            return
        if None not in (former.openmeet_id, user.openmeet_id) and (
            former.openmeet_id != user.openmeet_id
        ):
            await ghosts.give_up_name(self._connection, self._tenant, user.slug)

    async def _name_ghost(self, user: User) -> Mxid:
        """Return a user's Matrix id: that of the ghost, OpenMeet's own, or one made of the slug."""
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

    async def _delete_user(self, change: DeleteUser) -> None:
        present = await directory.user(self._connection, self._tenant, change.slug)
        if present is None:
            return
        await self._want_portals_of(change.slug)
        for blocker in await directory.blockers_of(self._connection, self._tenant, change.slug):
            self._want(USER, blocker)
        if present.mxid is not None:
            await self._end_user(present.mxid, change.slug)
        refs = await self._portals_of(change.slug)
        await directory.delete_user(self._connection, self._tenant, change.slug)
        self._note(USER, change.slug, "removed")
        await self._name_directs(refs)

    async def _rename_user(self, change: RenameUser) -> None:
        old, new = change.slug, change.to
        if old == new:
            return
        taken = await directory.user(self._connection, self._tenant, new) is not None
        if taken and await directory.user(self._connection, self._tenant, old) is None:
            return  # Said again.
        await self._user(old, "slug")
        if taken:
            raise Conflict(f"The slug {new!r} belongs to another user.", fields={"to": "is taken"})
        self._check_slug(new, "to")
        refs = await directory.portals_of(self._connection, self._tenant, old)
        await ghosts.give_up_name(self._connection, self._tenant, new)
        await directory.rename_user(self._connection, self._tenant, old, new)
        self._wanted.pop((USER, old), None)
        self._note(USER, new, "renamed", fields=("slug",))
        for ref in refs:
            if ref.kind is PortalKind.DIRECT:
                other = next(slug for slug in direct_pair(ref.slug) if slug != old)
                await self._rename(ref, direct_slug(new, other))

    async def _end_user(self, mxid: Mxid, slug: UserSlug) -> None:
        self.users_gone.append(mxid)
        self.messages_gone += await outbox.fail_all_of(
            self._connection, self._tenant, slug, "M_USER_DEACTIVATED", _NO_ACCOUNT
        )
        for ref in await directory.portals_of(self._connection, self._tenant, slug):
            await self._bar(ref, mxid)

    # Portals

    async def _put_portal(self, change: PutPortal) -> None:
        wanted = replace(change.portal, alias=self._naming.alias(change.portal.ref), deleted=False)
        ref = wanted.ref
        present = await directory.portal(self._connection, ref)
        unlike = () if present is None else _unlike(present, replace(wanted, reborn=present.reborn))
        self._want(ref.kind.value, ref.slug, different=False)
        if present is not None and not unlike:
            return
        await self._take_alias(wanted)
        await directory.put_portal(self._connection, wanted)
        added = present is None or present.deleted
        self._note(ref.kind.value, ref.slug, "added" if added else "changed", fields=unlike)
        self._want_spaces(wanted)
        if present is not None and present.group != wanted.group:
            self._want_spaces(present)

    async def _take_alias(self, portal: Portal) -> None:
        """Take a former alias of another portal: whoever has the name now goes before."""
        former = await directory.release_alias(self._connection, portal.alias)
        if former is not None and former != portal.ref:
            self._want(former.kind.value, former.slug)

    async def _delete_portal(self, change: DeletePortal) -> None:
        ref = change.ref
        present = await directory.portal(self._connection, ref)
        if present is None:
            return
        self._want(ref.kind.value, ref.slug, different=False)
        if present.deleted:
            return
        # Also those whom only an operator wants in.
        for person in await directory.people(self._connection, ref):
            await self._bar(ref, person.mxid)
        await directory.delete_portal(self._connection, ref)
        self._note(ref.kind.value, ref.slug, "removed")
        self._want_spaces(present)

    async def _rename_portal(self, change: RenamePortal) -> None:
        ref, renamed = change.ref, change.ref._replace(slug=change.to)
        if await self._is_there(renamed) and not await self._is_there(ref):
            return  # Said again.
        await self._portal(ref, "slug")
        await self._rename(ref, change.to)

    async def _rename(self, ref: PortalRef, to: str) -> None:
        if to == ref.slug:
            return
        renamed = PortalRef(ref.tenant, ref.kind, to)
        taken = await directory.portal(self._connection, renamed)
        if taken is not None and not taken.deleted:
            raise Conflict(f"There is another {ref.kind} {to!r}.", fields={"to": "is taken"})
        if await directory.is_occupied(self._connection, renamed):
            raise Conflict(
                f"The room of a deleted {ref.kind} {to!r} is still being closed: try again soon.",
                retry_after_ms=2000,
                fields={"to": "is not free yet"},
            )
        alias = self._naming.alias(renamed)
        former = await directory.release_alias(self._connection, alias)
        if former is not None and former != ref:
            self._want(former.kind.value, former.slug)
        await directory.rename_portal(self._connection, ref, to, alias)
        self._wanted.pop((ref.kind.value, ref.slug), None)
        self._note(ref.kind.value, to, "renamed", fields=("slug",))
        if ref.kind is PortalKind.GROUP and self._rules.spaces:
            self._want(SPACE, to)

    # Members

    async def _put_member(self, change: PutMember) -> None:
        await self._portal(change.ref)
        await self._user(change.member.user)
        present = await directory.member(self._connection, change.ref, change.member.user)
        self._want(change.ref.kind.value, change.ref.slug, different=False)
        there = {} if present is None else {present.user: present}
        await self._settle_members(change.ref, there, [change.member])

    async def _settle_members(
        self, ref: PortalRef, there: Mapping[UserSlug, Member], wanted: Iterable[Member]
    ) -> None:
        """Write those who are not there yet as they should be."""
        different = [member for member in wanted if there.get(member.user) != member]
        await directory.put_members(self._connection, ref, different)
        for new in different:
            old = there.get(new.user)
            unlike = () if old is None else _unlike(old, new)
            self._note_member(ref, new.user, "added" if old is None else "changed", unlike)
            if self._rules.standing(ref.kind, new).place is not Place.IN:
                await self._bar_user(ref, new.user)

    async def _delete_member(self, change: DeleteMember) -> None:
        if await directory.portal(self._connection, change.ref) is not None:
            self._want(change.ref.kind.value, change.ref.slug, different=False)
        await self._remove_member(change.ref, change.user)

    async def _remove_member(self, ref: PortalRef, slug: UserSlug) -> None:
        if not await directory.delete_member(self._connection, ref, slug):
            return
        self._note_member(ref, slug, "removed")
        await self._bar_user(ref, slug)

    async def _replace_members(self, change: ReplaceMembers) -> None:
        ref = change.ref
        await self._portal(ref)
        self._want(ref.kind.value, ref.slug, different=False)
        wanted = {member.user: member for member in change.members}
        await self._check_known(change.members)
        present = await directory.all_members(self._connection, ref)
        for slug in sorted(present.keys() - wanted.keys()):
            await self._remove_member(ref, slug)
        await self._settle_members(ref, present, wanted.values())

    async def _check_known(self, members: Sequence[Member]) -> None:
        slugs = [member.user for member in members]
        known = await directory.known_users(self._connection, self._tenant, slugs)
        for number, slug in enumerate(slugs):
            if slug not in known:
                raise _unknown_user(slug, f"members[{number}].user")

    async def _put_direct(self, change: PutDirect) -> None:
        first, second = change.first, change.second
        if first == second:
            raise InvalidParam(
                "A direct chat needs two users.", fields={"second": "is the first user"}
            )
        await self._user(first, "first")
        await self._user(second, "second")
        ref = PortalRef(self._tenant, PortalKind.DIRECT, direct_slug(first, second))
        name = await self._direct_name(ref)
        present = await directory.portal(self._connection, ref)
        if present is None or present.deleted:
            if await directory.is_blocked(self._connection, self._tenant, first, second):
                raise Conflict("One of the two users blocks the other.")
            await self._put_portal(PutPortal(Portal(ref, self._naming.alias(ref), name)))
        self._want(ref.kind.value, ref.slug, different=False)
        members = await directory.all_members(self._connection, ref)
        await self._settle_members(ref, members, [Member(first), Member(second)])

    # Blocks and overrides

    async def _put_block(self, change: PutBlock) -> None:
        await self._user(change.blocker, "blocker")
        await self._user(change.blocked, "blocked")
        if change.blocker == change.blocked:
            raise InvalidParam("Nobody blocks themselves.", fields={"blocked": "is the user"})
        if await directory.put_block(
            self._connection, self._tenant, change.blocker, change.blocked
        ):
            await self._blocks_changed(change.blocker, change.blocked)

    async def _delete_block(self, change: DeleteBlock) -> None:
        if await directory.delete_block(
            self._connection, self._tenant, change.blocker, change.blocked
        ):
            await self._blocks_changed(change.blocker, change.blocked)

    async def _blocks_changed(self, blocker: UserSlug, blocked: UserSlug) -> None:
        self._note(USER, blocker, "changed", fields=("blocks",))
        ref = PortalRef(self._tenant, PortalKind.DIRECT, direct_slug(blocker, blocked))
        present = await directory.portal(self._connection, ref)
        if present is not None and not present.deleted:
            self._want(ref.kind.value, ref.slug)

    async def _put_override(self, change: PutOverride) -> None:
        await self._portal(change.ref)
        await self._user(change.override.user)
        present = await directory.overrides(self._connection, change.ref)
        if present.get(change.override.user) == change.override:
            return
        await directory.put_override(self._connection, change.ref, change.override)
        self._note_member(change.ref, change.override.user, "changed", ("override",))
        if not change.override.inside:
            await self._bar_user(change.ref, change.override.user)

    async def _delete_override(self, change: DeleteOverride) -> None:
        if not await directory.delete_override(self._connection, change.ref, change.user):
            return
        self._note_member(change.ref, change.user, "changed", ("override",))
        members = await directory.members(self._connection, change.ref)
        standing = self._rules.standing(change.ref.kind, members.get(change.user))
        if standing.place is not Place.IN:
            await self._bar_user(change.ref, change.user)

    # What follows

    async def _bar_user(self, ref: PortalRef, slug: UserSlug) -> None:
        """Take a room from a user at once, unless an operator has said that the user is in."""
        override = (await directory.overrides(self._connection, ref)).get(slug)
        user = await directory.user(self._connection, self._tenant, slug)
        if user is not None and user.mxid is not None and not (override and override.inside):
            await self._bar(ref, user.mxid)

    async def _bar(self, ref: PortalRef, mxid: Mxid) -> None:
        # The room, not the portal: a later change may give the portal another name.
        room_id = await rooms.room_of(self._connection, ref)
        if room_id is not None:
            self._barred.add((room_id, mxid))

    def _note(self, kind: str, slug: str, what: str, *, fields: tuple[str, ...] = ()) -> None:
        self.differences.append(Difference(kind, slug, what, fields=fields))
        self._want(kind, slug)

    def _note_member(
        self, ref: PortalRef, member: UserSlug, what: str, fields: tuple[str, ...] = ()
    ) -> None:
        self.differences.append(Difference(ref.kind.value, ref.slug, what, member, fields))
        self._want(ref.kind.value, ref.slug)

    def _want(self, kind: str, slug: str, *, different: bool = True) -> None:
        self._wanted[kind, slug] = self._wanted.get((kind, slug), False) or different

    def _want_spaces(self, portal: Portal) -> None:
        if not self._rules.spaces or portal.ref.kind is PortalKind.DIRECT:
            return
        self._want(SPACE, "")
        group = portal.ref.slug if portal.ref.kind is PortalKind.GROUP else portal.group
        if group:
            self._want(SPACE, group)

    async def _want_portals_of(self, slug: UserSlug) -> None:
        for ref in await directory.portals_of(self._connection, self._tenant, slug):
            self._want(ref.kind.value, ref.slug)

    def _check_slug(self, slug: UserSlug, field: str) -> None:
        try:
            self._naming.ghost(self._tenant, slug)
        except InvalidParam as error:
            error.fields = {field: "; ".join(error.fields.values())}
            raise

    async def _portals_of(self, slug: UserSlug) -> list[PortalRef]:
        return await directory.portals_of(self._connection, self._tenant, slug)

    async def _user(self, slug: UserSlug, field: str = "user") -> User:
        user = await directory.user(self._connection, self._tenant, slug)
        if user is None:
            raise _unknown_user(slug, field)
        return user

    async def _portal(self, ref: PortalRef, field: str = "slug") -> Portal:
        portal = await directory.portal(self._connection, ref)
        if portal is None or portal.deleted:
            raise NotFound(
                f"No {ref.kind} {ref.slug!r} is known: PUT the {ref.kind} first.",
                fields={field: "is not known"},
            )
        return portal

    async def _is_there(self, ref: PortalRef) -> bool:
        portal = await directory.portal(self._connection, ref)
        return portal is not None and not portal.deleted


def _unknown_user(slug: UserSlug, field: str) -> NotFound:
    return NotFound(
        f"No user {slug!r} is known in this tenant: PUT the user first.",
        fields={field: "is not known"},
    )


def _unlike(one: object, other: object) -> tuple[str, ...]:
    """Return the names of the fields in which two values of a dataclass differ."""
    names: Iterable[str] = (item.name for item in fields(one))  # type: ignore[arg-type]
    return tuple(name for name in names if getattr(one, name) != getattr(other, name))
