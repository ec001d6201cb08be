"""Planning a provisioning: what must be written so that a directory holds what was said.

What was said only adds and corrects. What it does not mention stays: to take away is the business
of a comparison.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from .changes import (
    Change,
    DeleteMember,
    DeletePortal,
    DeleteUser,
    Difference,
    PutDirect,
    PutMember,
    PutPortal,
    PutUser,
    RenamePortal,
    RenameUser,
    ReplaceMembers,
)
from .comparison import changes
from .differences import differences
from .directory import Override, Snapshot
from .ids import PortalKind, PortalRef, UserSlug
from .naming import direct_slug
from .renaming import renames_of_portals, renames_of_users, with_changes
from .rules import Place, Rules

USER = "user"


@dataclass(frozen=True, slots=True)
class Unit:
    """Changes that are written together: a user, or a room with who is in it.

    Attributes:
        kind: ``user``, ``group``, ``meetup`` or ``direct``.
        slug: Which.
    """

    kind: str
    slug: str
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Tally:
    """How much of one kind a plan writes, and how much is as it should be."""

    make: int = 0
    change: int = 0
    remove: int = 0
    there: int = 0


@dataclass(frozen=True, slots=True)
class Work:
    """What Matrix lacks when the directory is as planned."""

    ghosts: int = 0
    rooms: int = 0
    joins: int = 0


@dataclass(frozen=True, slots=True)
class Present:
    """What is already.

    Attributes:
        directory: What the directory holds.
        overrides: What operators have said.
        registered: Users whose ghosts the homeserver knows.
        joined: Portals that have a room, with how many ghosts are in it.
    """

    directory: Snapshot
    overrides: Mapping[PortalRef, Mapping[UserSlug, Override]] = field(default_factory=dict)
    registered: Collection[UserSlug] = frozenset()
    joined: Mapping[PortalRef, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a provisioning would do.

    Attributes:
        units: What is written, in a workable order.
        tallies: By kind: ``user``, ``group``, ``meetup``, ``direct``, and ``member``.
        work: What Matrix lacks afterwards.
    """

    units: Sequence[Unit]
    tallies: Mapping[str, Tally]
    work: Work


def plan(
    present: Present, said: Snapshot, rules: Rules, *, kept: Collection[str] = frozenset()
) -> Plan:
    """Return how a directory comes to hold what was said.

    Args:
        present: What is already.
        said: What should be there. Of portals that its ``members`` do not name, members stay.
        rules: The tenant's.
        kept: Names of fields of users and portals of which ``said`` says nothing.
    """
    wanted = overlaid(present.directory, said)
    planned = changes(present.directory, wanted, kept=kept)
    return Plan(
        units_of(planned),
        _tallies(differences(present.directory, planned), said),
        _work(present, wanted, rules),
    )


def overlaid(present: Snapshot, said: Snapshot) -> Snapshot:
    """Return a directory that holds what was said, and what it held before of all else."""
    renames = [*renames_of_users(present, said), *renames_of_portals(present, said)]
    base = with_changes(present, renames)
    return Snapshot(
        {**base.users, **said.users},
        {**base.portals, **said.portals},
        {**base.members, **said.members},
        base.blocks,
    )


def units_of(planned: Iterable[Change]) -> list[Unit]:
    """Return changes in units: a portal with its members, everything else by itself."""
    units: list[Unit] = []
    portals: dict[PortalRef, list[Change]] = {}
    directs: list[Unit] = []
    for change in planned:
        match change:
            case PutPortal(portal):
                portals.setdefault(portal.ref, []).append(change)
            case PutMember(ref, _) | DeleteMember(ref, _) | ReplaceMembers(ref, _):
                portals.setdefault(ref, []).append(change)
            case PutDirect(first, second):
                directs.append(Unit("direct", direct_slug(first, second), (change,)))
            case _:
                units.append(_single(change))
    rooms = [Unit(ref.kind.value, ref.slug, tuple(found)) for ref, found in portals.items()]
    return [*units, *rooms, *directs]


def _single(change: Change) -> Unit:
    match change:
        case PutUser(user):
            return Unit(USER, user.slug, (change,))
        case DeleteUser(slug):
            return Unit(USER, slug, (change,))
        case RenameUser(_, to):
            return Unit(USER, to, (change,))
        case RenamePortal(ref, to):
            return Unit(ref.kind.value, to, (change,))
        case DeletePortal(ref):
            return Unit(ref.kind.value, ref.slug, (change,))
        case _:
            raise ValueError(f"no comparison plans {type(change).__name__}")


def _tallies(found: Sequence[Difference], said: Snapshot) -> dict[str, Tally]:
    counts = Counter(("member" if one.member else one.kind, one.what) for one in found)
    told = Counter(ref.kind.value for ref in said.portals)
    told[USER] = len(said.users)
    told["member"] = sum(map(len, said.members.values()))
    tallies = {}
    for kind in (USER, *PortalKind, "member"):
        make = counts[kind, "added"]
        change = len(
            {one.slug for one in found if _is(one, kind) and one.what in ("changed", "renamed")}
        )
        if kind == "member":
            change = counts[kind, "changed"]
        there = max(0, told[kind] - make - change)
        tallies[str(kind)] = Tally(make, change, counts[kind, "removed"], there)
    return tallies


def _is(difference: Difference, kind: str) -> bool:
    return difference.member is None and difference.kind == kind


def _work(present: Present, wanted: Snapshot, rules: Rules) -> Work:
    ghosts = sum(
        user.active and slug not in present.registered for slug, user in wanted.users.items()
    )
    joins = 0
    for ref in wanted.portals:
        inside = _inside(ref, wanted, present.overrides.get(ref, {}), rules)
        joins += max(0, inside - present.joined.get(ref, 0))
    rooms = sum(ref not in present.joined for ref in wanted.portals)
    return Work(ghosts, rooms, joins)


def _inside(
    ref: PortalRef, wanted: Snapshot, overrides: Mapping[UserSlug, Override], rules: Rules
) -> int:
    """Return how many people should be in a portal's room."""
    members = wanted.members.get(ref, {})
    people = [slug for slug in {*members, *overrides} if slug in wanted.users]
    return sum(
        wanted.users[slug].active
        and rules.standing(ref.kind, members.get(slug), overrides.get(slug)).place is Place.IN
        for slug in people
    )
