"""Planning a provisioning: only what is different is written, and only what is missing counted."""

from __future__ import annotations

from dataclasses import replace

from openmeet_bridge.core.changes import PutPortal, PutUser, RenameUser, ReplaceMembers
from openmeet_bridge.core.directory import Member, Override, Portal, Snapshot, User
from openmeet_bridge.core.ids import PortalKind, PortalRef, TenantId, UserSlug
from openmeet_bridge.core.provision_plan import Plan, Present, Tally, Work, plan
from openmeet_bridge.core.rules import Rules

LAKE = TenantId("lake")
HIKERS = PortalRef(LAKE, PortalKind.GROUP, "hikers")
CHAT = PortalRef(LAKE, PortalKind.DIRECT, "ann+bob")
NAMES = ("ann", "bob", "cid", "dan")


def user(slug: str, number: int | None = None) -> User:
    return User(LAKE, UserSlug(slug), number, slug.title(), None)


def said(*names: str, members: tuple[str, ...] = (), role: str = "member") -> Snapshot:
    users = {UserSlug(name): user(name, index) for index, name in enumerate(names, 1)}
    inside = {UserSlug(name): Member(UserSlug(name), role) for name in members}
    portals = {HIKERS: Portal(HIKERS, "", "Hikers")} if members else {}
    return Snapshot(users, portals, {HIKERS: inside} if members else {})


def planned(present: Present, wanted: Snapshot) -> Plan:
    return plan(present, wanted, Rules())


def test_from_nothing() -> None:
    found = planned(Present(Snapshot()), said(*NAMES, members=NAMES))
    assert [(unit.kind, unit.slug) for unit in found.units] == [
        *(("user", name) for name in NAMES),
        ("group", "hikers"),
    ]
    assert [type(change) for change in found.units[-1].changes] == [PutPortal, ReplaceMembers]
    assert found.tallies["user"] == Tally(make=4)
    assert found.tallies["group"] == Tally(make=1)
    assert found.tallies["member"] == Tally(make=4)
    assert found.work == Work(ghosts=4, rooms=1, joins=4)


def test_what_is_there_is_not_written_again() -> None:
    wanted = said(*NAMES, members=NAMES)
    there = Present(wanted, registered=[UserSlug("ann")], joined={HIKERS: 3})
    found = planned(there, wanted)
    assert found.units == []
    assert (found.tallies["user"], found.tallies["member"]) == (Tally(there=4), Tally(there=4))
    assert found.work == Work(ghosts=3, rooms=0, joins=1)


def test_what_is_not_mentioned_stays() -> None:
    before = said(*NAMES, members=NAMES)
    found = planned(Present(before), said("ann"))
    assert (found.units, found.tallies["group"]) == ([], Tally())
    # A portal whose line names no members keeps them.
    portal = Portal(HIKERS, "", "Walkers")
    found = planned(Present(before), Snapshot({}, {HIKERS: portal}, {}))
    (unit,) = found.units
    assert unit.changes == (PutPortal(portal),)
    assert found.tallies["group"] == Tally(change=1)


def test_another_slug_is_a_rename_and_others_are_changed() -> None:
    before = said("ann", "bob")
    users = {UserSlug("anna"): user("anna", 1), UserSlug("bob"): replace(user("bob", 2), name="B")}
    found = planned(Present(before), Snapshot(users))
    rename, *puts = [change for unit in found.units for change in unit.changes]
    assert rename == RenameUser(UserSlug("ann"), UserSlug("anna"))
    assert sorted(one.user.slug for one in puts if isinstance(one, PutUser)) == ["anna", "bob"]
    assert found.tallies["user"] == Tally(change=2)


def test_joins_are_as_the_rules_and_the_operators_say() -> None:
    wanted = said(*NAMES, members=("ann", "bob", "cid"))
    inside, outside = UserSlug("dan"), UserSlug("bob")
    overrides = {
        HIKERS: {inside: Override(inside, True, "x"), outside: Override(outside, False, "x")}
    }
    assert planned(Present(Snapshot(), overrides), wanted).work.joins == 3
    guests = said(*NAMES, members=NAMES, role="guest")
    assert planned(Present(Snapshot()), guests).work == Work(4, 1, 0)


def test_direct_chats_are_made_last() -> None:
    wanted = said("ann", "bob")
    pair = {UserSlug(name): Member(UserSlug(name)) for name in ("ann", "bob")}
    wanted = Snapshot(wanted.users, {CHAT: Portal(CHAT, "", "")}, {CHAT: pair})
    found = planned(Present(Snapshot()), wanted)
    assert found.units[-1].kind == "direct"
    assert found.work == Work(2, 1, 2)
    assert found.tallies["direct"] == Tally(make=1)
