"""Plans: whatever a room is, the plan's steps make it what is wanted, and then there is no plan."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some

from openmeet_bridge.core.directory import Portal, Visibility
from openmeet_bridge.core.ids import Mxid, PortalKind, PortalRef, TenantId
from openmeet_bridge.core.room_plan import (
    ASK_AGAIN_AFTER,
    Applied,
    Presence,
    Present,
    closing,
    made,
    plan,
)
from openmeet_bridge.core.room_power import creators
from openmeet_bridge.core.room_state import (
    AVATAR,
    CANONICAL_ALIAS,
    HISTORY,
    JOIN_RULES,
    NAME,
    POWER,
    TOPIC,
    Wanted,
    contents,
    is_read_only,
)
from openmeet_bridge.core.room_steps import (
    Ban,
    Close,
    CreateAlias,
    DeleteAlias,
    Invite,
    Join,
    Kick,
    List,
    Notice,
    SetState,
    Step,
    Unban,
    Unlist,
)
from openmeet_bridge.core.rules import Aspect, Exposure, Place, Rules, Standing

BOT = Mxid("@om_bot:test")
ANN, BEN, CYD = GHOSTS = tuple(Mxid(f"@om_{name}:test") for name in ("ann", "ben", "cyd"))
HUMAN, OTHER = HUMANS = (Mxid("@human:test"), Mxid("@other:test"))
REF = PortalRef(TenantId("lake"), PortalKind.GROUP, "hikers")
PORTAL = Portal(REF, "#hikers:test", "Hikers", "Up!", url="https://lake.test/groups/hikers")
NOW = datetime(2026, 5, 1, 18, tzinfo=UTC)
ALL = frozenset(Aspect)
IN, MODERATOR = Standing(Place.IN), Standing(Place.IN, 50)
OUT, BANNED = Standing(Place.OUT), Standing(Place.BANNED)
V12 = creators("12", BOT, {})


class Model:
    """A room to which steps can be done, as a homeserver would.

    Args:
        present: How it is at first.
    """

    def __init__(self, present: Present) -> None:
        self.creators = present.creators
        self.state: dict[tuple[str, str], Any] = dict(present.state)
        self.members = dict(present.members)
        self.ghosts = present.ghosts
        self.listed = present.listed
        self.applied = present.applied
        self.aliases = set(present.applied.aliases)
        self.said: list[str] = []

    @property
    def present(self) -> Present:
        return Present(
            creators=self.creators,
            state=self.state,
            members=self.members,
            ghosts=self.ghosts,
            listed=self.listed,
            applied=self.applied,
        )

    def follow(self, wanted: Wanted) -> tuple[Step, ...]:
        """Plan, and do it."""
        planned = plan(wanted, self.present, NOW)
        for step in planned.steps:
            self.do(step)
        self.applied = planned.applied
        return planned.steps

    def do(self, step: Step) -> None:
        match step:
            case SetState(kind, key, content):
                self._set(kind, key, content)
            case CreateAlias(alias):
                self.aliases.add(alias)
            case DeleteAlias(alias):
                self.aliases.remove(alias)
            case List() | Unlist():
                self.listed = isinstance(step, List)
            case Notice(text):
                self.said.append(text)
            case Invite(mxid):
                assert self.membership(mxid) in ("leave", "knock"), step
                self.members[mxid] = Presence("invite")
            case Join(mxid):
                public = self.state[JOIN_RULES]["join_rule"] == "public"
                assert self.membership(mxid) == "invite" or public, step
                assert self.membership(mxid) != "ban"
                self.members[mxid] = Presence("join")
            case Kick(mxid, _):
                assert self.membership(mxid) in ("join", "invite", "knock"), step
                self.members[mxid] = Presence("leave")
            case Ban(mxid, _):
                self.members[mxid] = Presence("ban")
            case Unban(mxid):
                assert self.membership(mxid) == "ban", step
                self.members[mxid] = Presence("leave")

    def membership(self, mxid: Mxid) -> str:
        return self.members.get(mxid, Presence("leave")).membership

    def _set(self, kind: str, key: str, content: Any) -> None:
        if (kind, key) == CANONICAL_ALIAS:
            named = {content["alias"], *content.get("alt_aliases", [])}
            assert named <= self.aliases, "a canonical alias must lead to the room"
        if (kind, key) == POWER:
            assert not self.creators & content["users"].keys(), "creators must not be listed"
        self.state[kind, key] = content


def wanted(people: dict[Mxid, Standing] | None = None, *accepted: Aspect, **facts: Any) -> Wanted:
    return Wanted(
        portal=facts.pop("portal", PORTAL),
        bot=BOT,
        people={ANN: IN} if people is None else people,
        accepted=frozenset(accepted),
        **facts,
    )


def settled(want: Wanted, above_all: frozenset[Mxid] = V12) -> Model:
    """A room that is as wanted."""
    room = Model(made(want, frozenset(), above_all))
    room.follow(want)
    assert not plan(want, room.present, NOW).steps
    return room


def kinds(steps: tuple[Step, ...] | list[Step]) -> list[str]:
    """Steps in short."""
    names = []
    for step in steps:
        about = getattr(step, "mxid", getattr(step, "type", getattr(step, "alias", "")))
        names.append(f"{type(step).__name__} {about}".strip())
    return names


# Whatever the start

texts = some.sampled_from(["", "Hikers", "Else"])
levels = some.sampled_from([0, 25, 50, 90, 100])
memberships = some.sampled_from(["join", "invite", "knock", "leave", "ban"])
presences = some.builds(Presence, memberships, some.just(False)) | some.just(
    Presence("join", barred=True)
)
rest = some.fixed_dictionaries(
    {},
    optional={
        "events_default": levels,
        "kick": levels,
        "events": some.dictionaries(some.sampled_from(["m.room.message", "x"]), levels),
        "historical": levels,
        "users": some.dictionaries(some.sampled_from([*GHOSTS, *HUMANS]), levels),
    },
)
states = some.fixed_dictionaries(
    {},
    optional={
        NAME: some.builds(lambda text: {"name": text}, texts) | some.just({"name": 7}),
        TOPIC: some.builds(lambda text: {"topic": text}, texts),
        AVATAR: some.just({"url": "mxc://test/old"}) | some.just({}),
        JOIN_RULES: some.sampled_from(["invite", "public"]).map(lambda one: {"join_rule": one}),
        HISTORY: some.just({"history_visibility": "world_readable"}),
        CANONICAL_ALIAS: some.just({"alias": "#x:test", "alt_aliases": ["#y:test"]}),
        POWER: rest,
    },
)
aliases = some.sets(some.sampled_from(["#hikers:test", "#old:test", "#older:test"])).map(
    lambda names: tuple(sorted(names))
)
applieds = some.builds(
    Applied,
    texts=some.dictionaries(some.sampled_from([NAME[0], TOPIC[0], AVATAR[0]]), texts),
    levels=some.none() | some.dictionaries(some.sampled_from(GHOSTS), levels),
    aliases=aliases,
    banned=some.sets(some.sampled_from(GHOSTS)).map(tuple),
    failed=some.just({}),
)
presents = some.builds(
    Present,
    creators=some.sampled_from([V12, frozenset()]),
    state=states,
    members=some.dictionaries(some.sampled_from([*GHOSTS, *HUMANS]), presences),
    ghosts=some.just(frozenset(GHOSTS)),
    listed=some.booleans(),
    applied=applieds,
)
standings = some.sampled_from([IN, MODERATOR, Standing(Place.IN, 90), BANNED])
wanteds = some.builds(
    Wanted,
    portal=some.builds(lambda text, url: replace(PORTAL, topic=text, url=url), texts, texts),
    bot=some.just(BOT),
    people=some.dictionaries(some.sampled_from(GHOSTS), standings),
    firm=some.sets(some.sampled_from(GHOSTS)).map(frozenset),
    former_aliases=some.sampled_from([(), ("#old:test",), ("#old:test", "#older:test")]),
    avatar=some.sampled_from(["", "mxc://test/new", None]),
    read_only=some.booleans(),
    exposure=some.builds(
        Exposure,
        some.sampled_from(["invite", "public", "knock"]),
        some.booleans(),
        some.just("shared"),
    ),
    accepted=some.sets(some.sampled_from(list(Aspect))).map(frozenset),
)


@given(presents, wanteds)
def test_a_plan_that_is_carried_out_leaves_no_plan(present: Present, want: Wanted) -> None:
    room = Model(present)
    room.follow(want)
    assert plan(want, room.present, NOW).steps == ()
    assert room.aliases == set(want.aliases)


@given(presents, wanteds)
def test_what_is_not_accepted_is_as_wanted(present: Present, want: Wanted) -> None:
    want = replace(want, accepted=frozenset())
    room = Model(present)
    room.follow(want)
    for key, content in contents(want).items():
        for name, value in content.items():
            assert room.state.get(key, {}).get(name, "") == value
    for ghost in GHOSTS:
        place = want.people.get(ghost, OUT).place
        if place is Place.OUT:
            assert room.membership(ghost) in ("leave", "ban")
        else:
            assert room.membership(ghost) == ("join" if place is Place.IN else "ban")
            assert not room.members[ghost].barred
    there = room.state[POWER]["users"]
    assert {one: there.get(one, 0) for one in GHOSTS} == {
        one: want.levels.get(one, 0) for one in GHOSTS
    }
    assert room.state[POWER]["events_default"] == (100 if want.read_only else 0)
    assert room.listed == want.exposure.listed


@given(presents, wanteds)
def test_people_of_matrix_are_left_alone(present: Present, want: Wanted) -> None:
    room = Model(present)
    before = present.state.get(POWER, {}).get("users", {})
    steps = room.follow(want)
    assert not any(getattr(step, "mxid", None) in (*HUMANS, BOT) for step in steps)
    after = room.state[POWER]["users"]
    assert {one: after.get(one) for one in HUMANS} == {one: before.get(one) for one in HUMANS}


@given(presents, wanteds, states, some.dictionaries(some.sampled_from(GHOSTS), presences))
def test_what_people_change_stays_where_all_is_accepted(
    present: Present, want: Wanted, changed: Any, moved: dict[Mxid, Presence]
) -> None:
    room = Model(present)
    want = replace(want, accepted=ALL, firm=frozenset())
    room.follow(want)
    for key in (NAME, TOPIC, AVATAR):
        room.state[key] = changed.get(key, {})
    users = dict.fromkeys(want.inside, 10) | ({} if room.creators else {BOT: 100})
    room.state[POWER] = {**room.state[POWER], "users": users}
    inside = {one: how for one, how in moved.items() if one in want.inside and not how.barred}
    room.members |= inside
    assert plan(want, room.present, NOW).steps == ()


@given(presents, wanteds)
def test_nobody_stays_in_a_closed_room(present: Present, want: Wanted) -> None:
    room = Model(replace(present, members={**present.members, BOT: Presence("join")}))
    steps = closing(REF, BOT, room.present, room.aliases | {"#hikers:test"})
    room.aliases.add("#hikers:test")
    for step in steps:
        room.do(step)
    assert room.present.inside() == [BOT]
    assert (room.aliases, room.listed) == (set(), False)
    assert room.state[JOIN_RULES]["join_rule"] == "invite"
    assert steps[-1] == Close(REF)


# One by one


def test_a_new_room_needs_only_its_people() -> None:
    want = wanted({ANN: MODERATOR, BEN: IN})
    room = Model(made(want, frozenset({ANN, BEN}), V12))
    assert kinds(room.follow(want)) == [f"Join {ANN}", f"Join {BEN}"]
    assert room.state[POWER]["users"] == {ANN: 50}


def test_into_an_open_room_one_comes_uninvited() -> None:
    want = wanted({ANN: IN}, exposure=Exposure("public", listed=True))
    room = Model(made(want, frozenset(), V12))
    assert kinds(room.follow(want)) == [f"Join {ANN}", "List"]


def test_into_another_room_by_invitation() -> None:
    room = settled(wanted({ANN: IN}))
    assert kinds(room.follow(wanted({ANN: IN, BEN: IN}))) == [f"Invite {BEN}", f"Join {BEN}"]


@pytest.mark.parametrize("accepted", [frozenset(), ALL])
def test_who_was_barred_comes_in_by_a_new_membership_only(accepted: frozenset[Aspect]) -> None:
    want = wanted({ANN: IN}, *accepted)
    room = settled(replace(want, firm=frozenset({ANN})))
    room.members[ANN] = Presence("join", barred=True)
    assert kinds(room.follow(want)) == [f"Kick {ANN}", f"Invite {ANN}", f"Join {ANN}"]


def test_a_ban_begins_and_ends() -> None:
    room = settled(wanted({ANN: IN}))
    assert kinds(room.follow(wanted({ANN: BANNED}))) == [f"Ban {ANN}"]
    back = room.follow(wanted({ANN: IN}))
    assert kinds(back) == [f"Unban {ANN}", f"Invite {ANN}", f"Join {ANN}"]


def test_a_ban_that_ends_for_who_is_out() -> None:
    room = settled(wanted({ANN: BANNED}))
    assert kinds(room.follow(wanted({}))) == [f"Unban {ANN}"]


def test_a_moderators_ban_of_who_is_out_stays() -> None:
    room = settled(wanted({}))
    room.ghosts |= {ANN}
    room.members[ANN] = Presence("ban")
    assert room.follow(wanted({})) == ()


def test_out_come_before_the_rest_and_in_after_it() -> None:
    room = settled(wanted({ANN: IN}))
    steps = room.follow(wanted({BEN: MODERATOR}))
    assert kinds(steps) == [
        f"Kick {ANN}",
        "SetState m.room.power_levels",
        f"Invite {BEN}",
        f"Join {BEN}",
    ]


def test_promotion_and_demotion() -> None:
    room = settled(wanted({ANN: IN}))
    room.state[POWER] = {**room.state[POWER], "users": {HUMAN: 30}}
    room.follow(wanted({ANN: MODERATOR}))
    assert room.state[POWER]["users"] == {ANN: 50, HUMAN: 30}
    room.follow(wanted({ANN: IN}))
    assert room.state[POWER]["users"] == {HUMAN: 30}


@pytest.mark.parametrize(
    ("version", "listed", "tombstone"), [("11", {BOT: 100}, 100), ("12", {}, 150), ("13", {}, 150)]
)
def test_the_bots_power(version: str, listed: dict[Mxid, int], tombstone: int) -> None:
    room = settled(wanted({ANN: IN}), creators(version, BOT, {}))
    assert room.state[POWER]["users"] == listed
    assert room.state[POWER]["events"]["m.room.tombstone"] == tombstone


def test_who_else_made_a_room_is_not_listed_and_the_bot_is() -> None:
    above = creators("12", HUMAN, {"additional_creators": [OTHER, 7]})
    assert above == {HUMAN, OTHER}
    assert settled(wanted(), above).state[POWER]["users"] == {BOT: 100}


def test_levels_that_somebody_changed_are_put_back() -> None:
    want = wanted({ANN: MODERATOR})
    room = settled(want)
    right = room.state[POWER]
    room.state[POWER] = right | {
        "users": {ANN: 50, BEN: 90, HUMAN: 60},
        "kick": 0,
        "events": {"m.room.name": 0},
        "notifications": {"room": 20},
    }
    room.ghosts |= {BEN}
    room.follow(want)
    assert room.state[POWER] == right | {
        "users": {ANN: 50, HUMAN: 60},
        "notifications": {"room": 20},
    }


def test_an_accepted_name_stays_until_openmeet_says_a_new_one() -> None:
    want = wanted(None, Aspect.NAME)
    room = settled(want)
    room.state[NAME] = {"name": "By hand"}
    assert room.follow(want) == ()
    assert room.follow(replace(want, portal=replace(PORTAL, topic="Down!")))
    assert room.state[NAME] == {"name": "By hand"}
    room.follow(replace(want, portal=replace(PORTAL, name="Climbers")))
    assert room.state[NAME] == {"name": "Climbers"}


def test_accepted_power_stays_until_openmeet_says_something_of_that_person() -> None:
    want = wanted({ANN: IN, BEN: IN}, Aspect.POWER_LEVELS)
    room = settled(want)
    room.state[POWER] = room.state[POWER] | {"users": {ANN: 20, BEN: 20}, "kick": 10}
    assert room.follow(want) == ()
    room.follow(replace(want, people={ANN: MODERATOR, BEN: IN}))
    assert room.state[POWER]["users"] == {ANN: 50, BEN: 20}
    assert room.state[POWER]["kick"] == 10


def test_who_was_put_out_stays_out_where_that_is_accepted() -> None:
    want = wanted({ANN: IN}, Aspect.MEMBERSHIP)
    room = settled(replace(want, firm=frozenset({ANN})))
    room.members[ANN] = Presence("ban")
    assert room.follow(want) == ()
    steps = room.follow(replace(want, firm=frozenset({ANN})))
    assert kinds(steps) == [f"Unban {ANN}", f"Invite {ANN}", f"Join {ANN}"]


def test_a_new_slug_moves_the_alias_and_keeps_the_old_one() -> None:
    room = settled(wanted())
    renamed = wanted(
        portal=replace(PORTAL, ref=REF._replace(slug="trekkers"), alias="#trekkers:test"),
        former_aliases=("#hikers:test",),
    )
    assert kinds(room.follow(renamed))[:1] == ["CreateAlias #trekkers:test"]
    assert room.state[CANONICAL_ALIAS] == {
        "alias": "#trekkers:test",
        "alt_aliases": ["#hikers:test"],
    }
    # Another group has taken the old name.
    steps = kinds(room.follow(replace(renamed, former_aliases=())))
    assert steps == ["SetState m.room.canonical_alias", "DeleteAlias #hikers:test"]


def test_the_page_is_in_the_topic_and_in_the_bridge_event() -> None:
    state = contents(wanted())
    assert state[TOPIC] == {"topic": "Up!\nhttps://lake.test/groups/hikers"}
    (bridge,) = (content for (kind, _), content in state.items() if kind == "m.bridge")
    assert bridge["channel"] == {"id": "hikers", "external_url": PORTAL.url}
    direct = Portal(REF._replace(kind=PortalKind.DIRECT), "#x:test", "Ann & Ben")
    state = contents(wanted(portal=direct))
    assert state[TOPIC] == {"topic": ""}
    assert "m.bridge" not in {kind for kind, _ in state}


def test_a_picture_that_is_not_known_changes_nothing() -> None:
    portal = replace(PORTAL, avatar_url="https://lake.test/hikers.jpg")
    room = settled(wanted(portal=portal, avatar="mxc://test/one"))
    assert room.follow(wanted(portal=portal, avatar=None)) == ()
    assert room.applied.picture == portal.avatar_url
    assert kinds(room.follow(wanted(avatar=""))) == ["SetState m.room.avatar"]
    assert room.state[AVATAR] == {}


def test_a_read_only_room_and_back() -> None:
    room = settled(wanted({ANN: Standing(Place.IN, 90)}))
    before = room.state[POWER]
    room.follow(wanted({ANN: Standing(Place.IN, 90)}, read_only=True))
    power = room.state[POWER]
    assert (power["events_default"], power["state_default"], power["invite"]) == (100, 100, 100)
    assert power["users"] == {ANN: 90}
    room.follow(wanted({ANN: Standing(Place.IN, 90)}))
    assert room.state[POWER] == before


def test_a_refused_listing_is_asked_for_again_after_a_while() -> None:
    want = wanted(exposure=Exposure("public", listed=True))
    room = settled(want)
    room.listed = False
    room.applied = msgspec.structs.replace(room.applied, unlisted="no", unlisted_at=NOW)
    assert plan(want, room.present, NOW).steps == ()
    later = NOW + ASK_AGAIN_AFTER + timedelta(seconds=1)
    assert plan(want, room.present, later).steps == (List(),)


def test_archives_begin_when_their_time_has_come() -> None:
    rules = Rules(archive_after=timedelta(days=3), archive_cancelled_after=timedelta(days=1))
    meetup = Portal(REF._replace(kind=PortalKind.MEETUP), "#x:test", "Walk", ends_at=NOW)
    begins = NOW + timedelta(days=3)
    assert not is_read_only(meetup, rules, begins - timedelta(seconds=1))
    assert is_read_only(meetup, rules, begins)
    assert not is_read_only(replace(meetup, ends_at=begins), rules, begins)
    cancelled = replace(meetup, status="cancelled", visibility=Visibility.PUBLIC)
    assert is_read_only(cancelled, rules, NOW + timedelta(days=1))
    assert not is_read_only(Portal(REF, "#x:test", "Group", ends_at=NOW), rules, begins)


def test_a_room_is_closed_once_and_says_so_once() -> None:
    room = settled(wanted({ANN: IN}, exposure=Exposure("public", listed=True)))
    room.members[HUMAN] = Presence("join")
    steps = closing(REF, BOT, room.present, {"#hikers:test"})
    assert kinds(steps) == [
        "SetState m.room.join_rules",
        "Notice",
        f"Kick {HUMAN}",
        f"Kick {ANN}",
        "Unlist",
        "DeleteAlias #hikers:test",
        "Close",
    ]
    assert steps[1] == Notice("This group was deleted on OpenMeet. The room is closed.")
    room.applied = msgspec.structs.replace(room.applied, closing=True)
    again = closing(REF, BOT, room.present, {"#hikers:test"})
    assert not any(isinstance(step, Notice) for step in again)


def test_what_was_applied_can_be_kept() -> None:
    applied = settled(wanted({ANN: MODERATOR, BEN: BANNED})).applied
    assert msgspec.json.decode(msgspec.json.encode(applied), type=Applied) == applied
    assert applied.levels == {ANN: 50}
    assert applied.banned == (BEN,)
