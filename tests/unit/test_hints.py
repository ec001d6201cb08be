"""Hints: every event that OpenMeet sends, or has sent, names what it is about."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmeet_bridge.core.errors import InvalidParam
from openmeet_bridge.core.hints import EVENTS, Subject, is_early, subjects

MEETUP = {"eventId": 12, "slug": "walk-x1", "userId": 3, "tenantId": "lake"}
ATTENDEE = {"eventId": 12, "userId": 3, "status": "confirmed", "tenantId": "lake"}
CHAT_MEETUP = {"eventSlug": "walk-x1", "userSlug": "ann", "tenantId": "lake"}
CHAT_GROUP = {"groupSlug": "hikers", "userSlug": "ann", "tenantId": "lake"}
ENTITY = {"id": 5, "slug": "ann-x1", "email": "ann@example.org", "role": {"id": 2}}

CASES: list[tuple[str, dict[str, Any], list[str]]] = [
    ("event.created", MEETUP, ["meetup/12"]),
    ("event.created", {"id": 12, "slug": "walk-x1", "group": {"id": 4}}, ["meetup/12"]),
    ("event.updated", {"event": {"id": 12, "slug": "walk-x1"}}, ["meetup/12"]),
    ("event.updated", MEETUP, ["meetup/12"]),
    ("event.deleted", {"id": 12, "slug": "walk-x1"}, ["meetup/12", "meetup/@walk-x1"]),
    ("event.deleted", {"slug": "walk-x1", "name": "Walk"}, ["meetup/@walk-x1"]),
    (
        "event.before_delete",
        {"eventId": 12, "eventSlug": "walk-x1", "skipChatCleanup": True},
        ["meetup/12", "meetup/@walk-x1"],
    ),
    ("event.attendee.added", {**ATTENDEE, "eventSlug": "walk-x1"}, ["meetup/12"]),
    ("event.attendee.cancelled", ATTENDEE, ["meetup/12"]),
    ("event.attendee.status.changed", {**ATTENDEE, "newStatus": "maybe"}, ["meetup/12"]),
    ("event.attendee.created", ATTENDEE, ["meetup/12"]),
    ("event.attendee.updated", ATTENDEE, ["meetup/12"]),
    ("event.attendee.deleted", ATTENDEE, ["meetup/12"]),
    ("chat.event.created", {"eventSlug": "walk-x1", "eventName": "12"}, ["meetup/@walk-x1"]),
    ("chat.event.member.add", CHAT_MEETUP, ["meetup/@walk-x1"]),
    ("chat.event.member.remove", CHAT_MEETUP, ["meetup/@walk-x1"]),
    ("matrix.sync.event.attendees", {"eventSlug": "walk-x1"}, ["meetup/@walk-x1"]),
    ("group.created", {"id": 4, "slug": "hikers"}, ["group/4"]),
    ("group.updated", {"id": 4, "slug": "hikers"}, ["group/4"]),
    ("group.deleted", {"id": 4, "slug": "hikers"}, ["group/4", "group/@hikers"]),
    (
        "group.before_delete",
        {"groupId": 4, "groupSlug": "hikers", "groupName": "Hikers"},
        ["group/4", "group/@hikers"],
    ),
    (
        "group.slug.changed",
        {"groupId": 4, "oldSlug": "hikers", "newSlug": "walkers"},
        ["group/4", "group/@walkers", "group/@hikers"],
    ),
    ("chat.group.member.add", CHAT_GROUP, ["group/@hikers"]),
    ("chat.group.member.add", {"groupId": 4, "userId": 3}, ["group/4"]),
    ("chat.group.member.remove", CHAT_GROUP, ["group/@hikers"]),
    ("chat.group.member.role.update", {**CHAT_GROUP, "newRole": "admin"}, ["group/@hikers"]),
    ("user.created", ENTITY, ["user/5"]),
    ("user.updated", ENTITY, ["user/5"]),
    ("user.updated", {"user": ENTITY}, ["user/5"]),
    ("user.deleted", ENTITY, ["user/5", "user/@ann-x1"]),
    ("matrix.handle.registered", {"userId": "5", "handle": "ann"}, ["user/5"]),
]


@pytest.mark.parametrize(("event", "payload", "expected"), CASES)
def test_an_event_names_its_subject(
    event: str, payload: dict[str, Any], expected: list[str]
) -> None:
    assert [str(one) for one in subjects(event, payload)] == expected


def test_every_event_has_a_case() -> None:
    assert {event for event, _, _ in CASES} == EVENTS


def test_what_says_nothing_is_about_nothing() -> None:
    assert subjects("event.exploded", MEETUP) == []
    assert subjects("event.attendee.added", {}) == []
    assert subjects("event.attendee.added", {"id": 12, "slug": "of the attendee"}) == []
    for nonsense in (0, -1, 2**63, True, 1.5, "12x", "", None, [12], {"id": 1}, "9" * 30):
        assert subjects("event.attendee.added", {"eventId": nonsense}) == []
    for nonsense in ("", "x" * 256, "a\0b", 5, None):
        assert subjects("chat.event.created", {"eventSlug": nonsense}) == []


def test_before_a_deletion_it_is_too_early_to_look() -> None:
    assert is_early("group.before_delete")
    assert not is_early("group.deleted")


@given(
    st.sampled_from(["user", "group", "meetup"]),
    st.integers(1, 2**63 - 1) | st.text(min_size=1, max_size=255).filter(lambda t: "\0" not in t),
)
def test_a_subject_survives_being_written(kind: str, name: int | str) -> None:
    subject = Subject(kind, name) if isinstance(name, int) else Subject(kind, None, name)
    assert Subject.parse(str(subject)) == subject


@pytest.mark.parametrize(
    "text", ["", "meetup", "meetup/", "meetup/@", "event/1", "meetup/x", "meetup/0", "user/-1"]
)
def test_what_is_no_subject_is_refused(text: str) -> None:
    with pytest.raises(InvalidParam):
        Subject.parse(text)


@given(st.sampled_from(sorted(EVENTS)), st.dictionaries(st.text(), st.integers() | st.text()))
def test_no_payload_is_too_strange(event: str, payload: dict[str, Any]) -> None:
    for subject in subjects(event, payload):
        assert Subject.parse(str(subject)) == subject
