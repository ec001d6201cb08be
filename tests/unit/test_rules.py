"""Rules: from what OpenMeet says of somebody to where they are in Matrix."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from openmeet_bridge.core.directory import BANNED, Member, Override, Portal, Visibility, shown_name
from openmeet_bridge.core.ids import PortalKind, PortalRef, TenantId, UserSlug
from openmeet_bridge.core.rules import Aspect, Exposure, Place, Rules, Standing

ANN = UserSlug("ann")
GROUP, MEETUP, DIRECT = PortalKind.GROUP, PortalKind.MEETUP, PortalKind.DIRECT
RULES = Rules()
START = datetime(2026, 5, 1, 18, tzinfo=UTC)


def portal(kind: PortalKind = MEETUP, **facts: object) -> Portal:
    ref = PortalRef(TenantId("lake"), kind, "walk")
    return Portal(ref, "#walk:test", "Walk", **facts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "role", "status", "standing"),
    [
        (GROUP, "owner", "confirmed", Standing(Place.IN, 90)),
        (GROUP, "admin", "confirmed", Standing(Place.IN, 75)),
        (GROUP, "moderator", "confirmed", Standing(Place.IN, 50)),
        (GROUP, "member", "confirmed", Standing(Place.IN, 0)),
        (GROUP, "guest", "confirmed", Standing(Place.OUT)),
        (GROUP, "wizard", "confirmed", Standing(Place.OUT)),
        (GROUP, "owner", BANNED, Standing(Place.BANNED)),
        (MEETUP, "host", "confirmed", Standing(Place.IN, 90)),
        (MEETUP, "speaker", "attended", Standing(Place.IN, 25)),
        (MEETUP, "guest", "confirmed", Standing(Place.IN, 0)),
        (MEETUP, "host", "cancelled", Standing(Place.OUT)),
        (MEETUP, "participant", "pending", Standing(Place.OUT)),
        (MEETUP, "participant", "waitlist", Standing(Place.OUT)),
        (MEETUP, "participant", "invited", Standing(Place.OUT)),
        (MEETUP, "participant", "maybe", Standing(Place.OUT)),
        (MEETUP, "participant", "rejected", Standing(Place.OUT)),
        (MEETUP, "participant", "none", Standing(Place.OUT)),
        (DIRECT, "anything", "whatever", Standing(Place.IN, 0)),
        (DIRECT, "anything", BANNED, Standing(Place.BANNED)),
    ],
)
def test_openmeets_rules_are_the_default(
    kind: PortalKind, role: str, status: str, standing: Standing
) -> None:
    assert RULES.standing(kind, Member(ANN, role, status)) == standing


def test_who_is_nothing_is_out() -> None:
    assert RULES.standing(GROUP, None) == Standing(Place.OUT)


def test_an_operators_word_goes_before_openmeets() -> None:
    owner, banned = Member(ANN, "owner"), Member(ANN, "member", BANNED)
    brought, kept_out = Override(ANN, True, "helps"), Override(ANN, False, "spam")
    assert RULES.standing(GROUP, owner, kept_out) == Standing(Place.OUT)
    assert RULES.standing(GROUP, owner, brought) == Standing(Place.IN, 90)
    assert RULES.standing(GROUP, None, brought) == Standing(Place.IN, 0)
    assert RULES.standing(GROUP, banned, brought) == Standing(Place.IN, 0)


def test_rooms_are_as_open_as_their_page() -> None:
    public = portal(visibility=Visibility.PUBLIC)
    assert RULES.exposed(public) == Exposure("public", listed=True, history="shared")
    assert RULES.exposed(portal()) == Exposure("invite", listed=False)
    secret = portal(DIRECT, visibility=Visibility.PUBLIC)
    assert RULES.exposed(secret) == Exposure("invite", listed=False)


def test_only_what_is_listed_is_accepted() -> None:
    rules = Rules(accepted={GROUP: frozenset({Aspect.NAME})})
    assert rules.accepts(GROUP, Aspect.NAME)
    assert not rules.accepts(GROUP, Aspect.TOPIC)
    assert not rules.accepts(MEETUP, Aspect.NAME)


def test_a_meetup_is_archived_some_time_after_its_end() -> None:
    month, week, end = timedelta(days=30), timedelta(days=7), START + timedelta(hours=3)
    assert RULES.archived_at(portal(starts_at=START, ends_at=end)) == end + month
    assert RULES.archived_at(portal(starts_at=START)) == START + month
    cancelled = portal(starts_at=START, ends_at=end, status="cancelled")
    assert RULES.archived_at(cancelled) == START + week
    assert RULES.archived_at(portal()) is None
    assert RULES.archived_at(portal(GROUP, starts_at=START)) is None
    never = Rules(archive_after=None, archive_cancelled_after=None)
    assert never.archived_at(portal(starts_at=START)) is None
    assert never.archived_at(cancelled) is None


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("Ann Larsen", "Ann Larsen"),
        ("  Ann \n Larsen ", "Ann Larsen"),
        ("ann@example.org", "OpenMeet user"),
        ("Ann (ann@example.org)", "OpenMeet user"),
        ("@ann", "@ann"),
        ("Ann @ work", "Ann @ work"),
        ("", "OpenMeet user"),
        ("   ", "OpenMeet user"),
    ],
)
def test_nobody_is_shown_by_their_email_address(given: str, shown: str) -> None:
    assert shown_name(given) == shown
