"""Which rooms are in which space: nothing is shown to more people than may see it."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime

import pytest

from openmeet_bridge.core.directory import Portal, Visibility
from openmeet_bridge.core.ids import Mxid, PortalKind, PortalRef, RoomId, TenantId
from openmeet_bridge.core.naming import MAX_ID_BYTES, Naming
from openmeet_bridge.core.room_steps import Invite, Join, Kick, List, SetState
from openmeet_bridge.core.rules import Exposure
from openmeet_bridge.core.spaces import (
    Child,
    Present,
    Room,
    Wanted,
    children_of_group,
    children_of_tenant,
    contents,
    plan,
)

LAKE = TenantId("lake")
SPACE, HIKERS = RoomId("!space"), RoomId("!hikers")
ANN = Mxid("@om_lake_ann:test")
PUBLIC, AUTHENTICATED, PRIVATE = Visibility


def portal(
    slug: str,
    visibility: Visibility = PUBLIC,
    *,
    kind: PortalKind = PortalKind.MEETUP,
    group: str | None = None,
    day: int | None = None,
    status: str | None = None,
) -> Portal:
    starts_at = None if day is None else datetime(2099, 1, day, tzinfo=UTC)
    ref = PortalRef(LAKE, kind, slug)
    return Portal(
        ref, "", slug, visibility=visibility, group=group, starts_at=starts_at, status=status
    )


def room(one: Portal, *, space: bool = False) -> Room:
    return Room(RoomId(f"!{one.ref.slug}"), one, space)


@pytest.mark.parametrize(("group", "meetup"), list(itertools.product(Visibility, Visibility)))
def test_a_space_shows_only_what_all_who_see_it_may_see(
    group: Visibility, meetup: Visibility
) -> None:
    order = list(Visibility)
    owner = portal("hikers", group, kind=PortalKind.GROUP)
    children = children_of_group([room(portal("walk", meetup, group="hikers"))], owner)
    assert bool(children) == (order.index(meetup) <= order.index(group))
    # The room names the space only where whoever knows the room may know the space.
    assert all(child.belongs == (meetup is group) for child in children)


@pytest.mark.parametrize("visibility", [AUTHENTICATED, PRIVATE])
def test_outsiders_see_only_what_is_public(visibility: Visibility) -> None:
    rooms = [
        room(portal("walk", visibility)),
        room(portal("hikers", visibility, kind=PortalKind.GROUP), space=True),
        room(portal("open")),
    ]
    assert [child.room_id for child in children_of_tenant(rooms, [])] == ["!open"]


def test_what_is_in_the_space_of_a_group_is_not_in_the_tenants_too() -> None:
    rooms = [room(portal("walk", group="hikers")), room(portal("swim", group="secret"))]
    assert [child.room_id for child in children_of_tenant(rooms, ["hikers"])] == ["!swim"]


@pytest.mark.parametrize("status", ["draft", "pending"])
def test_what_openmeet_does_not_show_yet_is_in_no_space(status: str) -> None:
    rooms = [room(portal("walk", status=status))]
    assert children_of_tenant(rooms, []) == []
    assert children_of_group(rooms, portal("hikers", kind=PortalKind.GROUP)) == []


def test_the_group_comes_first_and_then_its_meetups_by_date() -> None:
    group = portal("hikers", kind=PortalKind.GROUP)
    late, early, some_day = portal("a", day=20), portal("b", day=10), portal("c")
    children = children_of_group([room(one) for one in (late, some_day, early, group)], group)
    ordered = sorted(children, key=lambda child: child.order)
    assert [child.room_id for child in ordered] == ["!hikers", "!b", "!a", "!c"]


@pytest.mark.parametrize("name", ["Ärzte", "日本語" * 40, "", "z" * 300])
def test_orders_are_short_and_ascii(name: str) -> None:
    ref = PortalRef(LAKE, PortalKind.GROUP, "hikers")
    (child,) = children_of_group([Room(HIKERS, Portal(ref, "", name))], Portal(ref, "", name))
    assert len(child.order) <= 50
    assert child.order.isascii()
    assert child.order.isprintable()


def wanted(**more: object) -> Wanted:
    return Wanted(alias="#s:test", name="Lake", server_name="test", **more)  # type: ignore[arg-type]


def present(space: Wanted, **more: object) -> Present:
    state = contents(space) | {("m.room.canonical_alias", ""): {"alias": space.alias}}
    known: dict[str, object] = {"state": state, "members": {}, "parents": {}} | more
    return Present(room_id=SPACE, **known)  # type: ignore[arg-type]


def test_a_space_that_is_right_needs_nothing() -> None:
    assert plan(wanted(), present(wanted())) == []


def test_both_sides_of_a_link_are_made_and_taken_back() -> None:
    with_room = wanted(children=[Child(HIKERS, "1", belongs=True)])
    steps = plan(with_room, present(with_room))
    child = {"via": ["test"], "order": "1"}
    parent = {"via": ["test"], "canonical": True}
    assert [(step.room_id, step.do) for step in steps] == [
        (SPACE, SetState("m.space.child", HIKERS, child)),
        (HIKERS, SetState("m.space.parent", SPACE, parent)),
    ]
    linked = present(wanted(), parents={HIKERS: parent})
    state = {**linked.state, ("m.space.child", HIKERS): child}
    steps = plan(wanted(), present(wanted(), parents={HIKERS: parent}, state=state))
    assert [step.do for step in steps] == [
        SetState("m.space.child", HIKERS, {}),
        SetState("m.space.parent", SPACE, {}),
    ]


def test_members_come_and_go() -> None:
    inside = wanted(members=frozenset({ANN}))
    assert [step.do for step in plan(inside, present(inside))] == [Invite(ANN), Join(ANN)]
    public = wanted(members=frozenset({ANN}), exposure=Exposure("public", listed=True))
    assert [step.do for step in plan(public, present(public))] == [List(), Join(ANN)]
    for membership, gone in (("join", 1), ("invite", 1), ("leave", 0), ("ban", 0)):
        steps = plan(wanted(), present(wanted(), members={ANN: membership}))
        assert len(steps) == gone
        assert all(isinstance(step.do, Kick) for step in steps)


@pytest.mark.parametrize("tenant", ["", "lake", "space", "group", "a_b", "nudge"])
@pytest.mark.parametrize("group", ["", "hikers", "community", "group_hikers", "ü" * 200])
def test_the_alias_of_a_space_is_never_that_of_a_portal(tenant: str, group: str) -> None:
    naming = Naming("test")
    alias = naming.space_alias(TenantId(tenant), group)
    assert alias != naming.nudge_alias
    for other in (tenant, "lake", "space", ""):
        for kind in PortalKind:
            for slug in (group or "x", "community", f"space_{group}", "hikers"):
                assert alias != naming.alias(PortalRef(TenantId(other), kind, slug))
    assert len(alias) <= MAX_ID_BYTES
