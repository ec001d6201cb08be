"""Slugs that changed: which renames make the directory's slugs OpenMeet's, and in which order.

A slug may be taken by something that has itself another slug now, or is gone; what stands in the
way moves first. Where slugs went round in a circle, one of them steps aside for a moment.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from .changes import Change, DeletePortal, DeleteUser, RenamePortal, RenameUser
from .directory import Member, Portal, Snapshot, User
from .ids import PortalKind, PortalRef, UserSlug
from .naming import direct_pair, direct_slug

K = TypeVar("K", bound=Hashable)
_KINDS = (PortalKind.GROUP, PortalKind.MEETUP)


def renames_of_users(present: Snapshot, wanted: Snapshot) -> list[Change]:
    """Return the renames of users, and the removals of those who stand in the way."""
    there = {slug: user.openmeet_id for slug, user in present.users.items()}
    should = {slug: user.openmeet_id for slug, user in wanted.users.items()}
    return [
        DeleteUser(old) if new is None else RenameUser(old, new)
        for old, new in _moves(there, should, lambda slug: UserSlug(f"{slug}=moving"))
    ]


def renames_of_portals(present: Snapshot, wanted: Snapshot) -> list[Change]:
    """Return the renames of groups and meetups, and the removals of what stands in the way."""
    found: list[Change] = []
    for kind in _KINDS:
        there = {one.ref: one.openmeet_id for one in present.of_kind(kind)}
        should = {one.ref: one.openmeet_id for one in wanted.of_kind(kind)}
        for old, new in _moves(there, should, _aside):
            found.append(DeletePortal(old) if new is None else RenamePortal(old, new.slug))
    return found


def _aside(ref: PortalRef) -> PortalRef:
    return ref._replace(slug=f"{ref.slug}=moving")


def _moves(
    there: Mapping[K, int | None], should: Mapping[K, int | None], aside: Callable[[K], K]
) -> Iterator[tuple[K, K | None]]:
    """Yield (from, to) in an order in which each ``to`` is free; ``to`` None: it must go."""
    place = {number: key for key, number in there.items() if number is not None}
    targets = {number: key for key, number in should.items() if number is not None}
    taken = set(there)
    # Another thing has the name now, and this one is nowhere: it is gone.
    for key, number in there.items():
        if number is not None and number not in targets and should.get(key) is not None:
            taken.discard(key)
            yield key, None
    waiting = {
        number: key for number, key in targets.items() if number in place and place[number] != key
    }
    while waiting:
        free = [number for number, key in waiting.items() if key not in taken]
        for number in free:
            to = waiting.pop(number)
            yield place[number], to
            taken.discard(place[number])
            taken.add(to)
        if not free:
            step = _make_way(waiting, place, aside)
            yield step
            taken.discard(step[0])


def _make_way(
    waiting: dict[int, K], place: dict[int, K], aside: Callable[[K], K]
) -> tuple[K, K | None]:
    """Return the step that lets the others go on when none of them has a free name."""
    holders = {place[number] for number in waiting}
    for number, key in waiting.items():
        if key not in holders:
            # What has the name has no number, and takes this one's; so this one is gone.
            del waiting[number]
            return place[number], None
    number = next(iter(waiting))  # a circle: one of it steps aside
    old, to = place[number], aside(place[number])
    place[number] = to
    return old, to


def with_changes(snapshot: Snapshot, renames: Sequence[Change]) -> Snapshot:
    """Return a directory as it is after renames and removals."""
    users, portals = dict(snapshot.users), dict(snapshot.portals)
    members = {ref: dict(found) for ref, found in snapshot.members.items()}
    blocks = set(snapshot.blocks)
    for change in renames:
        if isinstance(change, DeleteUser):
            _forget_user(users, members, change.slug)
            blocks = {pair for pair in blocks if change.slug not in pair}
        elif isinstance(change, RenameUser):
            _rename_user(users, portals, members, change)
            swap = {change.slug: change.to}
            blocks = {(swap.get(one, one), swap.get(other, other)) for one, other in blocks}
        elif isinstance(change, DeletePortal):
            portals.pop(change.ref, None)
            members.pop(change.ref, None)
        elif isinstance(change, RenamePortal):
            _rename_portal(portals, members, change.ref, change.to)
    return Snapshot(users, portals, members, frozenset(blocks))


def _forget_user(
    users: dict[UserSlug, User], members: dict[PortalRef, dict[UserSlug, Member]], slug: UserSlug
) -> None:
    users.pop(slug, None)
    for found in members.values():
        found.pop(slug, None)


def _rename_user(
    users: dict[UserSlug, User],
    portals: dict[PortalRef, Portal],
    members: dict[PortalRef, dict[UserSlug, Member]],
    change: RenameUser,
) -> None:
    users[change.to] = replace(users.pop(change.slug), slug=change.to)
    for found in members.values():
        if change.slug in found:
            found[change.to] = replace(found.pop(change.slug), user=change.to)
    for ref in [one for one in portals if one.kind is PortalKind.DIRECT]:
        pair = direct_pair(ref.slug)
        if change.slug in pair:
            other = pair[1] if pair[0] == change.slug else pair[0]
            _rename_portal(portals, members, ref, direct_slug(change.to, other))


def _rename_portal(
    portals: dict[PortalRef, Portal],
    members: dict[PortalRef, dict[UserSlug, Member]],
    ref: PortalRef,
    to: str,
) -> None:
    renamed = ref._replace(slug=to)
    portals[renamed] = replace(portals.pop(ref), ref=renamed)
    if ref in members:
        members[renamed] = members.pop(ref)
    if ref.kind is PortalKind.GROUP:
        for other, portal in portals.items():
            if portal.group == ref.slug:
                portals[other] = replace(portal, group=to)
