"""Writing in slices: what is refused takes along what depends on it, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import pytest

from openmeet_bridge.bridge.directory import Applied, Directory
from openmeet_bridge.bridge.slices import SLICE, Moved, Outcome, Slices
from openmeet_bridge.core.changes import (
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
from openmeet_bridge.core.directory import Member, Portal, User
from openmeet_bridge.core.errors import Conflict, Unavailable
from openmeet_bridge.core.hints import Subject
from openmeet_bridge.core.ids import PortalKind, PortalRef, TenantId, UserSlug

LAKE = TenantId("lake")
ANN, BEN, CLEO = UserSlug("ann"), UserSlug("ben"), UserSlug("cleo")
HIKERS, WALKERS, RUNNERS = (
    PortalRef(LAKE, PortalKind.GROUP, slug) for slug in ("hikers", "walkers", "runners")
)


class Picky:
    """A directory that refuses some changes."""

    def __init__(self, refuses: Callable[[Change], Exception | None]) -> None:
        self.made: list[Change] = []
        self.largest = 0
        self.revision = 7
        self._refuses = refuses

    async def apply(
        self, tenant: TenantId, changes: Sequence[Change], *, if_revision: int | None, bulk: bool
    ) -> Applied:
        assert (tenant, bulk) == (LAKE, True)
        if if_revision not in (None, self.revision):
            raise Conflict("Another revision.")
        for position, change in enumerate(changes):
            error = self._refuses(change)
            if isinstance(error, Conflict):
                error.position = position
            if error is not None:
                raise error
        self.made += changes
        self.largest = max(self.largest, len(changes))
        self.revision += 1
        return Applied(self.revision, [Difference("user", "x", "changed")])


async def write(picky: Picky, changes: Sequence[Change], revision: int | None = 7) -> Outcome:
    outcome = Outcome()
    await Slices(cast(Directory, picky), LAKE, revision).write(changes, outcome)
    return outcome


def user(slug: UserSlug) -> User:
    return User(LAKE, slug, None, slug, None)


def portal(ref: PortalRef) -> Portal:
    return Portal(ref, "", ref.slug)


def refusing(*refused: Change, retry_after_ms: int | None = None) -> Picky:
    def refuses(change: Change) -> Exception | None:
        return Conflict("No.", retry_after_ms=retry_after_ms) if change in refused else None

    return Picky(refuses)


async def test_many_changes_are_written_in_slices() -> None:
    picky = refusing()
    changes = [PutUser(user(UserSlug(str(number)))) for number in range(2 * SLICE + 1)]
    outcome = await write(picky, changes)
    assert (picky.made, picky.largest, len(outcome.differences)) == (changes, SLICE, 3)


@pytest.mark.parametrize(
    ("bad", "subject", "lost"),
    [
        (PutUser(user(BEN)), ("user", "ben"), {1, 2, 4, 6}),
        (RenameUser(CLEO, BEN), ("user", "ben"), {1, 2, 4, 6}),
        (RenamePortal(HIKERS, "walkers"), ("group", "walkers"), {3, 4}),
        (PutPortal(portal(WALKERS)), ("group", "walkers"), {3, 4}),
        (DeletePortal(RUNNERS), ("group", "runners"), set()),
        (DeleteUser(CLEO), ("user", "cleo"), set()),
        (PutDirect(ANN, CLEO), ("direct", "ann+cleo"), set()),
        (DeleteMember(RUNNERS, ANN), ("group", "runners"), set()),
    ],
)
async def test_what_is_refused_takes_along_what_depends_on_it(
    bad: Change, subject: tuple[str, str], lost: set[int]
) -> None:
    rest: list[Change] = [
        PutUser(user(ANN)),
        PutUser(user(BEN)),
        PutMember(RUNNERS, Member(BEN)),
        PutPortal(portal(WALKERS)),
        PutMember(WALKERS, Member(BEN)),
        ReplaceMembers(RUNNERS, [Member(ANN)]),
        PutDirect(ANN, BEN),
    ]
    picky = refusing(bad, retry_after_ms=1000)
    outcome = await write(picky, [bad, *rest])
    assert [(one.table, one.id) for one in outcome.problems] == [subject]
    kept = [change for place, change in enumerate(rest) if place not in lost]
    assert picky.made == kept
    named = {Subject(subject[0], None, subject[1])} if subject[0] != "direct" else set()
    assert outcome.later == named


async def test_members_lose_only_who_was_refused() -> None:
    picky = refusing(PutUser(user(BEN)))
    both = ReplaceMembers(HIKERS, [Member(ANN), Member(BEN)])
    outcome = await write(picky, [PutUser(user(BEN)), both])
    assert picky.made == [ReplaceMembers(HIKERS, [Member(ANN)])]
    assert outcome.later == set()


async def test_another_revision_is_told() -> None:
    picky = refusing()
    with pytest.raises(Moved):
        await write(picky, [PutUser(user(ANN))], revision=6)
    assert picky.made == []
    await write(picky, [PutUser(user(ANN))], revision=None)
    assert picky.made == [PutUser(user(ANN))]


async def test_a_database_that_is_away_ends_it() -> None:
    with pytest.raises(Unavailable):
        await write(Picky(lambda _: Unavailable("Away.")), [PutUser(user(ANN))])
