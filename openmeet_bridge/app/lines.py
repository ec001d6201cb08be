"""Files with one JSON object a line: what OpenMeet says of one tenant, all checked before use."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

import msgspec

from ..api.descriptions import DirectLine, GroupLine, Line, MeetupLine, UserLine
from ..core.changes import PutPortal, PutUser, ReplaceMembers
from ..core.directory import Member, Portal, Snapshot, User
from ..core.errors import InvalidParam
from ..core.ids import PortalKind, PortalRef, TenantId, UserSlug
from ..core.naming import Naming, direct_slug

_PLACE = re.compile(r"^(?P<reason>.*?)(?: - at `\$\.?(?P<field>.*)`)?$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Complaint:
    """What is wrong with a line.

    Attributes:
        line: Its number, from 1.
        field: Where in it, for example ``members[2].role``; empty: the line itself.
    """

    line: int
    field: str
    reason: str

    def __str__(self) -> str:
        place = f"line {self.line}" + (f": {self.field}" if self.field else "")
        return f"{place}: {self.reason}"


@dataclass(slots=True)
class _Reading:
    """What the lines have said until now."""

    users: dict[UserSlug, User] = field(default_factory=dict)
    portals: dict[PortalRef, Portal] = field(default_factory=dict)
    members: dict[PortalRef, dict[UserSlug, Member]] = field(default_factory=dict)
    mentioned: list[tuple[int, str, UserSlug]] = field(default_factory=list)
    seen: dict[tuple[str, str, str | int], int] = field(default_factory=dict)


class Lines:
    """Reads lines of one tenant.

    Args:
        tenant: Whose.
        naming: Says which slugs can be names on Matrix.
    """

    def __init__(self, tenant: TenantId, naming: Naming) -> None:
        self.complaints: list[Complaint] = []
        self._tenant = tenant
        self._naming = naming
        self._decode: Callable[[bytes], Line] = msgspec.json.Decoder(Line).decode
        self._said = _Reading()
        self._number = 0

    @property
    def snapshot(self) -> Snapshot:
        """What the lines say. Of a portal whose line names no members, nothing is said of them."""
        return Snapshot(self._said.users, self._said.portals, self._said.members)

    def read(self, lines: Iterable[bytes], known: Collection[UserSlug] = ()) -> None:
        """Read all lines; what is wrong is added to :attr:`complaints`.

        Args:
            lines: One JSON object each; empty ones are skipped.
            known: Users who are in the directory already, and whom lines may name.
        """
        for self._number, raw in enumerate(lines, 1):
            if raw.strip():
                self._line(raw)
        for number, where, slug in self._said.mentioned:
            if slug not in self._said.users and slug not in known:
                text = f"no user {slug!r}, neither in a line nor in the directory"
                self.complaints.append(Complaint(number, where, text))
        self.complaints.sort(key=lambda one: one.line)

    def _line(self, raw: bytes) -> None:
        try:
            line = self._decode(raw)
        except msgspec.ValidationError as error:
            found = _PLACE.match(str(error))
            groups = found.groupdict() if found else {}
            self._complain(groups.get("field") or "", groups.get("reason") or str(error))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            self._complain("", f"is not JSON: {error}")
        else:
            self._take(line)

    def _take(self, line: Line) -> None:
        match line:
            case UserLine():
                self._user(line)
            case GroupLine() | MeetupLine():
                self._portal(line)
            case DirectLine():
                self._direct(line)

    def _user(self, line: UserLine) -> None:
        slug = UserSlug(line.slug)
        try:
            self._naming.ghost(self._tenant, slug)
        except InvalidParam as error:
            self._complain("slug", error.message)
        self._once("user", "slug", slug)
        if line.id is not None:
            self._once("user", "id", line.id)
        for change in line.to_changes(self._tenant):
            if isinstance(change, PutUser):
                self._said.users[slug] = change.user

    def _portal(self, line: GroupLine | MeetupLine) -> None:
        kind = "meetup" if isinstance(line, MeetupLine) else "group"
        self._once(kind, "slug", line.slug)
        if line.id is not None:
            self._once(kind, "id", line.id)
        for change in line.to_changes(self._tenant):
            match change:
                case PutPortal(portal):
                    self._said.portals[portal.ref] = portal
                case ReplaceMembers(ref, members):
                    self._members(ref, members)

    def _members(self, ref: PortalRef, members: Collection[Member]) -> None:
        self._said.members[ref] = {member.user: member for member in members}
        self._said.mentioned += [
            (self._number, f"members[{index}].user", member.user)
            for index, member in enumerate(members)
        ]

    def _direct(self, line: DirectLine) -> None:
        first, second = UserSlug(line.first), UserSlug(line.second)
        if first == second:
            self._complain("second", "is the first user: a direct chat needs two")
            return
        slug = direct_slug(first, second)
        self._once("direct", "second", slug)
        ref = PortalRef(self._tenant, PortalKind.DIRECT, slug)
        self._said.portals[ref] = Portal(ref, "", "")
        self._said.members[ref] = {one: Member(one) for one in (first, second)}
        for name, user in (("first", first), ("second", second)):
            self._said.mentioned.append((self._number, name, user))

    def _once(self, kind: str, name: str, value: str | int) -> None:
        before = self._said.seen.setdefault((kind, name, value), self._number)
        if before != self._number:
            self._complain(name, f"{value!r} is in line {before} already")

    def _complain(self, where: str, reason: str) -> None:
        self.complaints.append(Complaint(self._number, where, reason))
