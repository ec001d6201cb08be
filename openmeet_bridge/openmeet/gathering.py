"""Putting OpenMeet's rows together to a directory, with a list of those that cannot be used."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from ..core.comparison import Problem
from ..core.directory import Member, Portal, Snapshot, User
from ..core.ids import PortalKind, PortalRef, UserSlug
from ..core.naming import direct_slug
from .rows import Reader, Row, member, problem_of_slug, that_counts

_TABLES = {PortalKind.GROUP: "groups", PortalKind.MEETUP: "events"}


@dataclass(slots=True)
class _Numbers:
    """By OpenMeet's numbers: who and what has been gathered."""

    users: dict[int, UserSlug]
    portals: dict[tuple[PortalKind, int], PortalRef]


class Gathering:
    """One reading of a tenant's rows: first groups and meetups, then users, then who is in what.

    Args:
        reader: Makes values of rows.
    """

    def __init__(self, reader: Reader) -> None:
        self.problems: list[Problem] = []
        self._reader = reader
        self._users: dict[UserSlug, User] = {}
        self._portals: dict[PortalRef, Portal] = {}
        self._members: dict[PortalRef, dict[UserSlug, Member]] = {}
        self._numbers = _Numbers({}, {})

    @property
    def snapshot(self) -> Snapshot:
        """What has been gathered."""
        return Snapshot(self._users, self._portals, self._members)

    def ids(self, kind: PortalKind) -> list[int]:
        """Return the numbers of the groups or meetups that have been gathered."""
        return [number for each, number in self._numbers.portals if each is kind]

    def portal(self, kind: PortalKind, row: Row) -> None:
        """Take a row of ``groups`` or ``events``."""
        ref = PortalRef(self._reader.tenant, kind, row["slug"])
        if self._usable(_TABLES[kind], row, ref in self._portals):
            self._portals[ref] = self._reader.portal(kind, row)
            self._members[ref] = {}
            self._numbers.portals[kind, row["id"]] = ref

    def user(self, row: Row) -> None:
        """Take a row of ``users``."""
        if self._usable("users", row, row["slug"] in self._users):
            user = self._reader.user(row)
            self._users[user.slug] = user
            self._numbers.users[row["id"]] = user.slug

    def member(self, kind: PortalKind, row: Row) -> None:
        """Take a row of ``groupMembers`` or ``eventAttendees``; of nobody and nothing: none."""
        ref = self._numbers.portals.get((kind, row["entity"]))
        slug = self._numbers.users.get(row["person"])
        if ref is None or slug is None:
            return
        found = member(slug, row)
        earlier = self._members[ref].get(slug)
        self._members[ref][slug] = that_counts(kind, earlier, found) if earlier else found

    def direct(self, row: Row) -> None:
        """Take a row of ``chatRooms`` for two users."""
        pair = [self._numbers.users.get(row[name]) for name in ("first", "second")]
        first, second = pair
        if first is None or second is None:
            return
        if first == second:
            self._problem("chatRooms", row["id"], "it is the direct chat of a user alone")
            return
        ref = PortalRef(self._reader.tenant, PortalKind.DIRECT, direct_slug(first, second))
        self._portals[ref] = Portal(ref, alias="", name="")

    def _usable(self, table: str, row: Row, taken: bool) -> bool:
        reason = problem_of_slug(row["slug"])
        if reason is None and taken:
            reason = f"another row has the slug {row['slug']!r} too"
        if reason is not None:
            self._problem(table, row["id"], reason)
        return reason is None

    def _problem(self, table: str, number: Hashable, reason: str) -> None:
        self.problems.append(Problem(table, str(number), reason))
