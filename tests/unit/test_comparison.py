"""Comparing directories: the changes lead from the one to the other, and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from openmeet_bridge.core.changes import (
    Change,
    DeleteMember,
    DeletePortal,
    DeleteUser,
    PutDirect,
    PutMember,
    PutPortal,
    PutUser,
    RenamePortal,
    RenameUser,
    ReplaceMembers,
)
from openmeet_bridge.core.comparison import Removals, changes, removals, without
from openmeet_bridge.core.differences import differences
from openmeet_bridge.core.directory import Member, Portal, Snapshot, User
from openmeet_bridge.core.ids import PortalKind, PortalRef, TenantId, UserSlug
from openmeet_bridge.core.naming import direct_pair, direct_slug
from openmeet_bridge.core.renaming import with_changes

LAKE = TenantId("lake")
ANN, BEN, CLEO = UserSlug("ann"), UserSlug("ben"), UserSlug("cleo")
HIKERS = PortalRef(LAKE, PortalKind.GROUP, "hikers")
WALK = PortalRef(LAKE, PortalKind.MEETUP, "walk")


def user(slug: str, number: int | None = None, name: str = "", active: bool = True) -> User:
    return User(LAKE, UserSlug(slug), number, name or slug.title(), None, active)


def portal(ref: PortalRef, number: int | None = None, group: str | None = None) -> Portal:
    return Portal(ref, "", ref.slug.title(), openmeet_id=number, group=group)


def group(slug: str) -> PortalRef:
    return PortalRef(LAKE, PortalKind.GROUP, slug)


def direct(first: UserSlug, second: UserSlug) -> PortalRef:
    return PortalRef(LAKE, PortalKind.DIRECT, direct_slug(first, second))


def snapshot(
    users: Sequence[User] = (),
    portals: Sequence[Portal] = (),
    members: Mapping[PortalRef, Sequence[Member]] | None = None,
    blocks: Sequence[tuple[UserSlug, UserSlug]] = (),
) -> Snapshot:
    return Snapshot(
        {one.slug: one for one in users},
        {one.ref: one for one in portals},
        {ref: {one.user: one for one in found} for ref, found in (members or {}).items()},
        frozenset(blocks),
    )


class Model:
    """A directory that refuses what the real one refuses."""

    def __init__(self, present: Snapshot) -> None:
        self.now = present

    def make(self, planned: Sequence[Change]) -> Snapshot:
        for change in planned:
            self._make(change)
        return self.now

    def _make(self, change: Change) -> None:
        users, portals = dict(self.now.users), dict(self.now.portals)
        members = {ref: dict(found) for ref, found in self.now.members.items()}
        match change:
            case RenameUser(old, new):
                assert old in users
                assert new not in users
            case RenamePortal(ref, to):
                assert ref in portals
                assert ref._replace(slug=to) not in portals
            case PutUser(one):
                users[one.slug] = one
            case PutPortal(one):
                portals[one.ref] = one
            case PutMember(ref, member):
                assert ref in portals
                assert member.user in users
                members.setdefault(ref, {})[member.user] = member
            case DeleteMember(ref, slug):
                del members[ref][slug]
            case ReplaceMembers(ref, found):
                assert ref in portals
                assert {one.user for one in found} <= users.keys()
                members[ref] = {one.user: one for one in found}
            case PutDirect(first, second):
                assert {first, second} <= users.keys()
                ref = direct(first, second)
                portals[ref] = Portal(ref, "", "")
            case _:
                pass
        self.now = with_changes(Snapshot(users, portals, members, self.now.blocks), [change])


NAMES = ["a", "b", "c", "d", "e"]
NUMBERS = st.none() | st.integers(1, 5)


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    users = _numbered(draw, [user(name) for name in draw(_some(NAMES))])
    refs = [group(name) for name in draw(_some(NAMES))]
    walks = [PortalRef(LAKE, PortalKind.MEETUP, name) for name in draw(_some(NAMES))]
    groups = _numbered(draw, [portal(ref) for ref in refs])
    meetups = [
        replace(one, group=draw(st.none() | st.sampled_from(NAMES)))
        for one in _numbered(draw, [portal(ref) for ref in walks])
    ]
    members = {
        one.ref: [
            Member(UserSlug(name), draw(st.sampled_from(["member", "guest"])))
            for name in draw(_some([each.slug for each in users]))
        ]
        for one in (*groups, *meetups)
    }
    return snapshot(users, [*groups, *meetups], members)


def _some(names: Sequence[str]) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(names), unique=True) if names else st.just([])


def _numbered(draw: st.DrawFn, things: Sequence[User | Portal]) -> list:  # type: ignore[type-arg]
    numbers = draw(st.permutations(range(1, 8)))
    return [
        replace(one, openmeet_id=draw(st.sampled_from([number, number, number, None])))
        for one, number in zip(things, numbers, strict=False)
    ]


def bare(found: Snapshot) -> tuple[object, ...]:
    """What counts: without empty lists of members."""
    return (
        {slug: replace(one, mxid=None) for slug, one in found.users.items()},
        {ref: replace(one, alias="") for ref, one in found.portals.items()},
        {ref: dict(members) for ref, members in found.members.items() if members},
    )


@given(snapshots(), snapshots())
@settings(max_examples=120, deadline=None)
def test_the_changes_make_the_one_the_other(present: Snapshot, wanted: Snapshot) -> None:
    planned = changes(present, wanted)
    result = Model(present).make(planned)
    assert bare(result) == bare(wanted)
    assert changes(result, wanted) == []
    assert bool(differences(present, planned)) == bool(planned)


@given(snapshots())
@settings(max_examples=30, deadline=None)
def test_equal_directories_need_nothing(present: Snapshot) -> None:
    assert changes(present, present) == []
    gone = removals(present, present)
    assert (gone.users, gone.portals, gone.members) == (0, 0, 0)
    assert not gone.exceeds(0)


@given(snapshots(), snapshots())
@settings(max_examples=60, deadline=None)
def test_a_number_keeps_what_it_had(present: Snapshot, wanted: Snapshot) -> None:
    """Who or what is still there under another slug is renamed, not made anew."""
    planned = changes(present, wanted)
    gone = {change.slug for change in planned if isinstance(change, DeleteUser)}
    nameless = {slug for slug, one in present.users.items() if one.openmeet_id is None}
    staying = {one.openmeet_id: one.slug for one in wanted.users.values() if one.openmeet_id}
    for slug, one in present.users.items():
        if one.openmeet_id in staying and staying[one.openmeet_id] not in nameless:
            assert slug not in gone or slug in nameless


def test_slugs_that_changed_places_go_round() -> None:
    present = snapshot([user("ann", 1), user("ben", 2)])
    wanted = snapshot([user("ann", 2, "Ben"), user("ben", 1, "Ann")])
    planned = changes(present, wanted)
    assert planned == [
        RenameUser(BEN, UserSlug("ben=moving")),
        RenameUser(ANN, BEN),
        RenameUser(UserSlug("ben=moving"), ANN),
    ]


def test_a_slug_of_somebody_else_gives_nothing_of_the_former() -> None:
    present = snapshot([user("ann", 1)], [portal(HIKERS, 1)], {HIKERS: [Member(ANN)]})
    wanted = snapshot([user("ann", 9)], [portal(HIKERS, 8)], {HIKERS: [Member(ANN)]})
    assert changes(present, wanted) == [
        DeleteUser(ANN),
        DeletePortal(HIKERS),
        PutUser(user("ann", 9)),
        PutPortal(portal(HIKERS, 8)),
        PutMember(HIKERS, Member(ANN)),
    ]


def test_a_group_keeps_its_meetups_and_members_when_its_slug_changes() -> None:
    walkers = group("walkers")
    present = snapshot(
        [user("ann", 1)], [portal(HIKERS, 1), portal(WALK, 1, "hikers")], {HIKERS: [Member(ANN)]}
    )
    renamed = replace(portal(walkers, 1), name="Hikers")
    wanted = snapshot(
        [user("ann", 1)], [renamed, portal(WALK, 1, "walkers")], {walkers: [Member(ANN)]}
    )
    planned = changes(present, wanted)
    assert planned == [RenamePortal(HIKERS, "walkers")]
    assert [one.what for one in differences(present, planned)] == ["renamed"]


def test_direct_chats_are_added_and_never_removed() -> None:
    people = [user("ann", 1), user("ben", 2), user("cleo", 3)]
    chats = [portal(direct(ANN, BEN)), portal(direct(ANN, CLEO))]
    present = snapshot(people, [portal(direct(BEN, CLEO))], blocks=[(CLEO, ANN)])
    assert changes(present, snapshot(people, chats)) == [PutDirect(ANN, BEN)]
    assert changes(present, snapshot(people)) == []
    without_ben = snapshot([people[0], people[2]], chats)
    assert changes(snapshot(), without_ben)[-1] == PutDirect(ANN, CLEO)


def test_members_whom_nobody_knows_are_left_out() -> None:
    wanted = snapshot([user("ann")], [portal(HIKERS)], {HIKERS: [Member(ANN), Member(BEN)]})
    assert changes(snapshot(), wanted)[-1] == PutMember(HIKERS, Member(ANN))


def test_an_email_address_is_no_name_and_no_difference() -> None:
    nameless = user("ann", name="ann@example.org")
    present = Model(snapshot()).make(changes(snapshot(), snapshot([nameless])))
    assert present.users[ANN].name == "OpenMeet user"
    assert changes(present, snapshot([nameless])) == []


def test_what_is_kept_is_no_difference() -> None:
    there = replace(user("ann", 1), avatar_url="https://cdn/ann.png")
    plan = changes(snapshot([there]), snapshot([user("ann", 1)]), kept={"avatar_url", "url"})
    assert plan == []
    renamed = changes(snapshot([there]), snapshot([user("ann", 1, "Anna")]), kept={"avatar_url"})
    assert renamed == [PutUser(replace(there, name="Anna"))]


def test_many_new_members_are_written_at_once() -> None:
    people = [user(f"u{number}", number) for number in range(1, 6)]
    members = {HIKERS: [Member(one.slug) for one in people]}
    planned = changes(
        snapshot(people, [portal(HIKERS)]), snapshot(people, [portal(HIKERS)], members)
    )
    assert planned == [ReplaceMembers(HIKERS, members[HIKERS])]
    assert len(differences(snapshot(people, [portal(HIKERS)]), planned)) == 5


def test_what_would_go_is_counted() -> None:
    people = [user(f"u{number}", number) for number in range(10)]
    there = snapshot(people, [portal(HIKERS, 1)], {HIKERS: [Member(one.slug) for one in people]})
    resting = [replace(one, active=False) for one in people[:2]]
    wanted = snapshot(
        [*resting, *people[2:9]], [portal(HIKERS, 1)], {HIKERS: [Member(people[0].slug)]}
    )
    gone = removals(there, wanted)
    assert gone == Removals(3, 0, 10, 1, members=8, of_members=10)
    assert gone.exceeds(0.5)
    assert not replace(gone, members=2).exceeds(0.2)
    assert removals(there, snapshot()) == Removals(10, 1, 10, 1, members=0, of_members=10)
    assert removals(there, snapshot()).exceeds(0.9)


def test_a_few_may_always_go_but_not_all() -> None:
    assert not Removals(1, 1, 1, 1).exceeds(0.2)
    assert not Removals(4, 0, 5, 5).exceeds(0.2)
    assert Removals(3, 0, 3, 3).exceeds(0.2)
    assert Removals(0, 30, 9, 100).exceeds(0.2)
    assert not Removals(0, 20, 9, 100).exceeds(0.2)
    assert not Removals(0, 100, 9, 100).exceeds(1.0)


def test_what_could_not_be_put_is_left_out_of_the_rest() -> None:
    out, shut = {BEN}, {WALK}
    assert without(PutUser(user("ben")), out, shut) is None
    assert without(PutUser(user("ann")), out, shut) == PutUser(user("ann"))
    assert without(PutPortal(portal(WALK)), out, shut) is None
    assert without(PutMember(HIKERS, Member(BEN)), out, shut) is None
    assert without(PutMember(WALK, Member(ANN)), out, shut) is None
    assert without(DeleteMember(WALK, ANN), out, shut) is None
    assert without(PutDirect(ANN, BEN), out, shut) is None
    both = ReplaceMembers(HIKERS, [Member(ANN), Member(BEN)])
    assert without(both, out, shut) == ReplaceMembers(HIKERS, [Member(ANN)])
    assert without(ReplaceMembers(WALK, [Member(ANN)]), out, shut) is None
    assert without(DeleteUser(BEN), out, shut) == DeleteUser(BEN)


def test_a_direct_chat_follows_a_renamed_user() -> None:
    present = snapshot([user("ann", 1), user("ben", 2)], [portal(direct(ANN, BEN))])
    moved = with_changes(present, [RenameUser(ANN, CLEO)])
    assert [direct_pair(ref.slug) for ref in moved.portals] == [(BEN, CLEO)]
