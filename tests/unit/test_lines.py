"""NDJSON: every line is checked, and complaints name line and field."""

from __future__ import annotations

import json
from typing import Any

import pytest

from openmeet_bridge.app.lines import Lines
from openmeet_bridge.core.ids import PortalKind, PortalRef, TenantId, UserSlug
from openmeet_bridge.core.naming import Naming

LAKE = TenantId("lake")
ANN: dict[str, Any] = {"type": "user", "slug": "ann", "name": "Ann", "id": 1}
BOB: dict[str, Any] = {"type": "user", "slug": "bob", "name": "Bob"}


def read(*lines: dict[str, Any] | bytes, known: tuple[str, ...] = ()) -> Lines:
    found = Lines(LAKE, Naming("test"))
    raw = (line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines)
    found.read(raw, [UserSlug(slug) for slug in known])
    return found


def test_what_is_said() -> None:
    members = [{"user": "ann", "role": "owner"}, {"user": "bob"}]
    hikers = {"type": "group", "slug": "hikers", "name": "Hikers", "members": members}
    picnic = {"type": "meetup", "slug": "picnic", "name": "Picnic", "group": "hikers"}
    direct = {"type": "direct", "first": "bob", "second": "ann"}
    found = read(hikers, b"", ANN, BOB, picnic, b" \r\n", direct)
    assert found.complaints == []
    said = found.snapshot
    assert sorted(said.users) == ["ann", "bob"]
    group, meetup, chat = said.portals
    assert (group.kind, meetup.kind, chat.slug) == ("group", "meetup", "ann+bob")
    assert said.members[group][UserSlug("ann")].role == "owner"
    assert meetup not in said.members
    assert said.portals[PortalRef(LAKE, PortalKind.MEETUP, "picnic")].group == "hikers"


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (b"{", "line 1: is not JSON: Input data was truncated"),
        (b'{"type": "user", "slug": "\xff"}', "line 1: is not JSON"),
        (b"[]", "line 1: Expected `object`, got `array`"),
        (ANN | {"name": 7}, "line 1: name: Expected `str`, got `int`"),
        ({"type": "user", "slug": "ann"}, "line 1: Object missing required field `name`"),
        (ANN | {"type": "cat"}, "line 1: type: Invalid value 'cat'"),
        (ANN | {"colour": "red"}, "line 1: Object contains unknown field `colour`"),
        (ANN | {"slug": "\u00fc" * 120}, "line 1: slug: The slug is too long"),
        (
            {"type": "group", "slug": "g", "name": "G", "members": [{"user": 1}]},
            "line 1: members[0].user: Expected `str`, got `int`",
        ),
        (
            {"type": "group", "slug": "g", "name": "G", "members": [{"user": "zoe"}]},
            "line 1: members[0].user: no user 'zoe'",
        ),
        (
            {"type": "group", "slug": "g", "name": "G", "members": [{"user": "x"}] * 2},
            "line 1: `members` has 'x' twice",
        ),
        ({"type": "direct", "first": "x", "second": "x"}, "line 1: second: is the first user"),
        ({"type": "direct", "first": "x", "second": "zoe"}, "line 1: second: no user 'zoe'"),
    ],
)
def test_complaints_name_line_and_field(line: dict[str, Any] | bytes, complaint: str) -> None:
    (found,) = read(line, known=("x",)).complaints
    assert str(found).startswith(complaint)


def test_twice_is_once_too_often() -> None:
    found = read(ANN, BOB | {"id": 1}, ANN | {"id": 2}, b"x")
    assert [str(one) for one in found.complaints] == [
        "line 2: id: 1 is in line 1 already",
        "line 3: slug: 'ann' is in line 1 already",
        "line 4: is not JSON: JSON is malformed: invalid character (byte 0)",
    ]
