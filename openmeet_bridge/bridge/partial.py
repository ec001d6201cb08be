"""Reading a part of OpenMeet's database and of the directory, so that the two can be compared."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..core.directory import Snapshot
from ..core.hints import USER, Subject
from ..core.ids import PortalKind, PortalRef, TenantId
from ..openmeet.database import OpenMeetDatabase, Reading
from ..storage import directory, directory_part
from ..storage.database import Database
from ..storage.directory import Head
from ..storage.directory_part import Names

_KINDS = (PortalKind.GROUP, PortalKind.MEETUP)
_ROUNDS = 4


@dataclass(frozen=True, slots=True)
class Part:
    """The same things on both sides.

    Attributes:
        head: How the directory stood.
        present: What the directory has of them.
        reading: What OpenMeet has of them.
    """

    head: Head
    present: Snapshot
    reading: Reading


class Partial:
    """Reads parts.

    Args:
        database: Where the directory is.
        source: OpenMeet's database.
    """

    def __init__(self, database: Database, source: OpenMeetDatabase) -> None:
        self._database = database
        self._source = source

    async def read(self, tenant: TenantId, subjects: frozenset[Subject]) -> Part:
        """Read some things, and whatever must be known with them to compare them rightly.

        Things with whom they have changed names are looked at too, and so is everything in which
        somebody takes part who is new: what OpenMeet had noted of a placeholder counts at once
        when there is a person.
        """
        for _ in range(_ROUNDS):
            reading = await self._source.read(tenant, subjects)
            head, present = await self._present(tenant, subjects, reading.snapshot)
            more = _strangers(present, reading.snapshot)
            more |= await self._of_newcomers(tenant, present, reading.snapshot)
            if more <= subjects:
                break
            subjects |= more
        return Part(head, present, reading)

    async def _present(
        self, tenant: TenantId, subjects: frozenset[Subject], wanted: Snapshot
    ) -> tuple[Head, Snapshot]:
        people = _names(subjects, USER)
        for user in wanted.users.values():
            _add(people, user.openmeet_id, user.slug)
        portals = {kind: _names(subjects, kind.value) for kind in _KINDS}
        for portal in wanted.portals.values():
            _add(portals[portal.ref.kind], portal.openmeet_id, portal.ref.slug)
        async with self._database.snapshot() as connection:
            head = await directory.head(connection, tenant)
            return head, await directory_part.part(connection, tenant, people, portals)

    async def _of_newcomers(
        self, tenant: TenantId, present: Snapshot, wanted: Snapshot
    ) -> set[Subject]:
        known = {user.openmeet_id for user in present.users.values()}
        new = [
            user.openmeet_id
            for slug, user in wanted.users.items()
            if user.openmeet_id is not None
            and user.openmeet_id not in known
            and slug not in present.users
        ]
        return set(await self._source.portals_of(tenant, new)) if new else set()


def _names(subjects: Iterable[Subject], kind: str) -> Names:
    names = Names()
    for subject in subjects:
        if subject.kind == kind:
            _add(names, subject.number, subject.slug)
    return names


def _add(names: Names, number: int | None, slug: str | None) -> None:
    if number is not None:
        names.numbers.add(number)
    if slug is not None:
        names.slugs.add(slug)


def _strangers(present: Snapshot, wanted: Snapshot) -> set[Subject]:
    """Return what is in the directory under a name that OpenMeet now has for something else."""
    people = {user.openmeet_id for user in wanted.users.values()}
    things = {_key(ref, portal.openmeet_id) for ref, portal in wanted.portals.items()}
    found = {
        Subject(USER, user.openmeet_id)
        for user in present.users.values()
        if user.openmeet_id is not None and user.openmeet_id not in people
    }
    return found | {
        Subject(ref.kind.value, portal.openmeet_id)
        for ref, portal in present.portals.items()
        if portal.openmeet_id is not None and _key(ref, portal.openmeet_id) not in things
    }


def _key(ref: PortalRef, number: int | None) -> tuple[PortalKind, int | None]:
    return ref.kind, number
