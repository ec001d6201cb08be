"""Power levels: the specification's defaults, and no surprise from odd content."""

from __future__ import annotations

import pytest

from openmeet_bridge.core.ids import Mxid
from openmeet_bridge.core.permissions import (
    ABOVE_ALL,
    Permissions,
    PowerLevels,
    creators_of,
    full_power,
    needed_to_keep,
    power_levels,
)

ANN, BEN = Mxid("@ann:test"), Mxid("@ben:test")


@pytest.mark.parametrize("content", [None, b"", b"[]", b'{"users": 5}', b"{"])
def test_without_readable_levels_everybody_may_write(content: bytes | None) -> None:
    assert power_levels(content).may_send(ANN, "m.room.message")


def test_levels_decide() -> None:
    levels = power_levels(b'{"events_default": 10, "users": {"@ann:test": 10}, "users_default": 5}')
    assert levels.may_send(ANN, "m.room.message")
    assert not levels.may_send(Mxid("@ben:test"), "m.room.message")


def test_a_type_of_its_own_decides_before_the_default() -> None:
    levels = power_levels(b'{"events": {"m.room.message": 50}}')
    assert not levels.may_send(ANN, "m.room.message")
    assert levels.may_send(ANN, "m.reaction")


def test_old_rooms_have_levels_as_text() -> None:
    assert power_levels(b'{"users": {"@ann:test": "50"}}').level(ANN) == 50


def test_creators_are_above_all() -> None:
    levels = {"users": {"@a:x": 50, "@b:x": "odd"}, "users_default": 10}
    assert full_power(levels, [Mxid("@c:x")]) == {"": 10, "@a:x": 50, "@b:x": 0, "@c:x": ABOVE_ALL}
    assert full_power({"users": "odd"}, []) == {"": 0}


def test_what_it_takes_to_keep_a_room() -> None:
    assert needed_to_keep({}) == 50
    assert needed_to_keep({"events": {"m.room.power_levels": 100, "m.room.tombstone": 150}}) == 100
    assert needed_to_keep({"kick": 75, "state_default": 0}) == 75
    assert needed_to_keep({"events": None, "ban": "odd"}) == 50


def test_what_somebody_may_do() -> None:
    assert power_levels(None).permissions(ANN) == Permissions(True, True, False, False)
    moderator = power_levels(b'{"users": {"@ann:test": 50}}')
    assert moderator.permissions(ANN) == Permissions(True, True, True, True)
    content = b"""
    {"users": {"@ann:test": 60}, "redact": 70, "notifications": {"room": 10}, "users_default": 10,
     "events_default": 20, "events": {"m.room.message": 0, "m.reaction": 61}}
    """
    assert power_levels(content).permissions(ANN) == Permissions(True, False, False, True)
    assert power_levels(content).permissions(BEN) == Permissions(True, False, False, True)
    # Also what one may do to others is sent as an event.
    content = b'{"users_default": 50, "events": {"m.room.redaction": 51}}'
    assert not power_levels(content).may_redact_others(ANN)


def test_one_odd_part_spoils_no_other() -> None:
    content = b"""
    {"users": {"@ann:test": null, "@ben:test": [7]}, "users_default": 1.5, "events_default": 30,
     "events": "odd", "redact": {}, "notifications": []}
    """
    levels = power_levels(content)
    assert (levels.level(ANN), levels.level(BEN)) == (0, 0)
    assert levels.permissions(ANN) == Permissions(False, False, False, False)
    assert (levels.redact, levels.notify_room) == (50, 50)
    assert power_levels(b'{"users_default": 1%s}' % (b"0" * 30)).level(ANN) == ABOVE_ALL
    assert power_levels(b"[" * 5000) == PowerLevels()


def test_who_made_a_room_is_above_all_since_version_12() -> None:
    twelve = b'{"room_version": "12", "additional_creators": ["@ben:test", 5]}'
    levels = power_levels(b'{"events_default": 100}', creators_of(ANN, twelve))
    assert levels.level(ANN) == levels.level(BEN) == ABOVE_ALL
    assert levels.permissions(BEN) == Permissions(True, True, True, True)
    assert not levels.may_send(Mxid("@cleo:test"), "m.room.message")
    for older in (b'{"room_version": "11"}', b"{}", b"[]", b'{"room_version": 12.5}'):
        assert creators_of(ANN, older) == frozenset()
