"""Power levels: the specification's defaults, and no surprise from odd content."""

from __future__ import annotations

import pytest

from openmeet_bridge.core.ids import Mxid
from openmeet_bridge.core.permissions import (
    ABOVE_ALL,
    full_power,
    needed_to_keep,
    power_levels,
)

ANN = Mxid("@ann:test")


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
