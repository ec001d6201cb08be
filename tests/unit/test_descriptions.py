"""How OpenMeet's things are written as JSON, and what becomes of them."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from openmeet_bridge.api.descriptions import (
    DirectLine,
    GroupLine,
    Line,
    MeetupLine,
    MemberLine,
    UserLine,
)
from openmeet_bridge.core.changes import PutDirect, PutPortal, PutUser, ReplaceMembers
from openmeet_bridge.core.directory import Member, Portal, User, Visibility
from openmeet_bridge.core.ids import Mxid, PortalKind, PortalRef, TenantId, UserSlug

LAKE = TenantId("lake")
WALK = PortalRef(LAKE, PortalKind.MEETUP, "walk")


def line(**values: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(values), type=Line)


def test_a_user() -> None:
    whole = {
        "type": "user",
        "slug": "ann",
        "name": "Ann",
        "id": 3,
        "avatar_url": "https://x.example/a.png",
        "active": False,
        "matrix_user_id": "@ann:x.example",
    }
    picture, mxid = "https://x.example/a.png", Mxid("@ann:x.example")
    user = User(LAKE, UserSlug("ann"), 3, "Ann", picture, False, mxid)
    assert line(**whole).to_changes(LAKE) == [PutUser(user)]
    (short,) = line(type="user", slug="ann", name="").to_changes(LAKE)
    assert short.user == User(LAKE, UserSlug("ann"), None, "", None)


def test_a_meetup_with_its_members() -> None:
    read = line(
        type="meetup",
        slug="walk",
        name="Walk",
        id=4,
        topic="Up",
        url="https://x.example/walk",
        visibility="authenticated",
        status="cancelled",
        starts_at="2026-05-01T18:30:00+02:00",
        group="hikers",
        members=[{"user": "ann", "role": "host"}, {"user": "ben", "status": "pending"}],
    )
    portal = Portal(
        WALK,
        "",
        "Walk",
        "Up",
        url="https://x.example/walk",
        visibility=Visibility.AUTHENTICATED,
        openmeet_id=4,
        status="cancelled",
        starts_at=datetime(2026, 5, 1, 16, 30, tzinfo=UTC),
        group="hikers",
    )
    members = [Member(UserSlug("ann"), "host"), Member(UserSlug("ben"), "member", "pending")]
    assert read.to_changes(LAKE) == [PutPortal(portal), ReplaceMembers(WALK, members)]


def test_without_members_whoever_is_in_it_stays() -> None:
    (only,) = line(type="group", slug="g", name="G").to_changes(LAKE)
    assert isinstance(only, PutPortal)
    _, nobody = line(type="group", slug="g", name="G", members=[]).to_changes(LAKE)
    assert nobody == ReplaceMembers(PortalRef(LAKE, PortalKind.GROUP, "g"), [])


def test_a_direct_chat() -> None:
    changes = line(type="direct", first="b", second="a").to_changes(LAKE)
    assert changes == [PutDirect(UserSlug("b"), UserSlug("a"))]


@pytest.mark.parametrize(
    "written",
    [
        UserLine(slug="ann", name="Ann", active=False),
        GroupLine(slug="g", name="G", members=[MemberLine(user="ann", role="owner")]),
        MeetupLine(slug="m", name="M", ends_at=datetime(2026, 5, 1, tzinfo=UTC)),
        DirectLine(first="a", second="b"),
    ],
    ids=lambda written: type(written).__name__,
)
def test_what_is_written_is_read(written: Any) -> None:
    raw = msgspec.json.encode(written)
    assert msgspec.json.decode(raw, type=Line) == written
    assert b"null" not in raw


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"type": "user", "slug": "a", "name": "A", "nick": "x"}, "unknown field `nick`"),
        ({"type": "user", "name": "A"}, "required field `slug`"),
        ({"type": "person"}, "person"),
        ({"type": "group", "slug": "g", "name": "G", "starts_at": None}, "unknown field"),
        ({"type": "meetup", "slug": "m", "name": "M", "starts_at": "2026-05-01"}, "datetime"),
        ({"type": "meetup", "slug": "m", "name": "M", "ends_at": "9999-01-01T00:00:00Z"}, "9999"),
        (
            {"type": "group", "slug": "g", "name": "G", "members": [{"user": "a"}] * 2},
            "`members` has 'a' twice",
        ),
    ],
    ids=str,
)
def test_what_cannot_be(values: dict[str, Any], says: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=says):
        line(**values)


def test_it_needs_no_server() -> None:
    program = "import sys, openmeet_bridge.api.descriptions; sys.exit('aiohttp' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
