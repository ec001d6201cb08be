"""Writing many changes of a directory: in slices, and without those that it refuses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ..core.changes import (
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
from ..core.comparison import Problem, without
from ..core.errors import BridgeError, Unavailable
from ..core.hints import Subject
from ..core.ids import PortalRef, TenantId, UserSlug
from ..core.naming import direct_slug
from .directory import Directory

SLICE = 500
"""Most changes in one transaction: as long is the directory locked for everybody else."""


class Moved(Exception):
    """Somebody else has changed the directory meanwhile: what was planned may be wrong now."""


@dataclass(slots=True)
class Outcome:
    """What became of changes, over several plans.

    Attributes:
        differences: What really changed.
        problems: What was refused.
        later: What was refused only for the moment.
    """

    differences: list[Difference] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    later: set[Subject] = field(default_factory=set)


class Slices:
    """Writes planned changes of one tenant.

    Args:
        directory: Where.
        tenant: Whose.
        revision: The one for which they were planned; None: it does not matter.
    """

    def __init__(self, directory: Directory, tenant: TenantId, revision: int | None) -> None:
        self._directory = directory
        self._tenant = tenant
        self._revision = revision
        self._users: set[UserSlug] = set()
        self._portals: set[PortalRef] = set()

    async def write(self, changes: Sequence[Change], outcome: Outcome) -> None:
        """Write changes in their order. One that is refused takes along what depends on it.

        Raises:
            Moved: The directory has another revision; what was written before stays.
            Unavailable: The bridge's database is away; what was written before stays.
        """
        outcome.problems.clear()
        start = 0
        while start < len(changes):
            start += await self._write(changes[start : start + SLICE], outcome)

    async def _write(self, changes: Sequence[Change], outcome: Outcome) -> int:
        """Write what can be of a slice up to the first refusal; return how far that is."""
        usable = [without(change, self._users, self._portals) for change in changes]
        places = [place for place, change in enumerate(usable) if change is not None]
        try:
            await self._apply([change for change in usable if change is not None], outcome)
        except Unavailable:
            raise
        except BridgeError as error:
            if error.position is None:
                raise Moved from error
            refused = places[error.position]
            await self._apply([one for one in usable[:refused] if one is not None], outcome)
            self._refuse(changes[refused], error, outcome)
            return refused + 1
        return len(changes)

    async def _apply(self, changes: Sequence[Change], outcome: Outcome) -> None:
        if not changes:
            return
        applied = await self._directory.apply(
            self._tenant, changes, if_revision=self._revision, bulk=True
        )
        outcome.differences.extend(applied.differences)
        if self._revision is not None:
            self._revision = applied.revision

    def _refuse(self, change: Change, error: BridgeError, outcome: Outcome) -> None:
        kind, slug = _thing(change)
        outcome.problems.append(Problem(kind, slug, error.message))
        match change:
            case PutUser(user):
                self._users.add(user.slug)
            case RenameUser(_, to):
                self._users.add(to)
            case PutPortal(portal):
                self._portals.add(portal.ref)
            case RenamePortal(ref, to):
                self._portals.add(ref._replace(slug=to))
        if error.retry_after_ms is not None and kind != "direct":
            outcome.later.add(Subject(kind, None, slug))


def _thing(change: Change) -> tuple[str, str]:
    """Return what a change is about."""
    match change:
        case PutUser(user):
            return "user", user.slug
        case RenameUser(_, slug) | DeleteUser(slug):
            return "user", slug
        case PutPortal(portal):
            return portal.ref.kind.value, portal.ref.slug
        case RenamePortal(ref, to):
            return ref.kind.value, to
        case PutDirect(first, second):
            return "direct", direct_slug(first, second)
        case DeletePortal(ref) | PutMember(ref, _) | DeleteMember(ref, _) | ReplaceMembers(ref, _):
            return ref.kind.value, ref.slug
    raise AssertionError(f"no comparison plans {change}")
