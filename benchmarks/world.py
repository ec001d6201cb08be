"""The world that is measured: a tenant, its users, its rooms, and events as Synapse pushes them."""

from __future__ import annotations

import itertools
import json
import secrets
import time
from collections.abc import Iterable, Sequence
from typing import Any

from openmeet_bridge.core.directory import User
from openmeet_bridge.core.events import PORTAL_KEY
from openmeet_bridge.core.ids import Mxid, TenantId, UserSlug
from openmeet_bridge.core.naming import Naming
from openmeet_bridge.openmeet.signing import sign
from openmeet_bridge.storage import directory, ghosts
from openmeet_bridge.storage.database import Database

SERVER_NAME = "localhost"
TENANT = TenantId("bench")
JWT_SECRET = secrets.token_urlsafe(32)
SERVICE_KEY = secrets.token_urlsafe(24)
MARK = b"~delivery~"
"""In the text of every message: whoever reads a stream counts it."""

NAMING = Naming(SERVER_NAME)
_TOKEN_LIFETIME = 4 * 3600.0
_TEXT = "Shall we meet at the boat house at nine? I bring the coffee. " * 3
_numbers = itertools.count(1)


def slug(number: int) -> UserSlug:
    """Return the slug of a user by number, from 1."""
    return UserSlug(f"reader-{number:05d}-a1b2c3")


def mxid(number: int) -> Mxid:
    """Return the Matrix id of a user's ghost."""
    return NAMING.ghost(TENANT, slug(number))


def token(number: int) -> str:
    """Return an access token of a user."""
    return sign(JWT_SECRET, TENANT, number, slug(number), time.time(), _TOKEN_LIFETIME)


async def write_users(dsn: str, numbers: Iterable[int]) -> None:
    """Write users into the directory as if OpenMeet had named them and Synapse knew them all."""
    database = Database(dsn)
    try:
        async with database.transaction() as connection:
            for number in numbers:
                user = User(TENANT, slug(number), number, f"Reader {number}", None)
                await directory.put_user(connection, user)
                ghost = await ghosts.ensure(connection, mxid(number), TENANT, user.slug)
                await ghosts.mark_registered(connection, ghost.mxid)
                await ghosts.mark_name(connection, ghost.mxid, user.name)
    finally:
        await database.close()


def room_events(room_id: str, members: Iterable[int]) -> list[dict[str, Any]]:
    """Return the beginning of a group's room, with its members."""
    mark = {"tenant": TENANT, "kind": "group", "slug": room_id[1:].partition(":")[0].lower()}
    create = {"room_version": "12", PORTAL_KEY: mark}
    events = [_event(room_id, NAMING.bot, "m.room.create", create, state_key="")]
    for number in members:
        who = mxid(number)
        content = {"membership": "join", "displayname": f"Reader {number}"}
        events.append(_event(room_id, who, "m.room.member", content, state_key=who))
    return events


def message(room_id: str, sender: str) -> bytes:
    """Return a message of about 700 bytes as Synapse pushes it, with :data:`MARK` in its text."""
    text = f"{MARK.decode()} {_TEXT}"
    return _json(
        _event(room_id, sender, "m.room.message", {"msgtype": "m.text", "body": text}, age=7)
    )


def change(kind: str, room_id: str, sender: str, target: str) -> bytes:
    """Return an ``edit`` of a message, a ``reaction`` to it, or its ``redaction``."""
    if kind == "redaction":
        content: dict[str, Any] = {"redacts": target, "reason": "a slip"}
        return _json(_event(room_id, sender, "m.room.redaction", content, age=7))
    about = {"event_id": target}
    if kind == "reaction":
        content = {"m.relates_to": {**about, "rel_type": "m.annotation", "key": "👍"}}
        return _json(_event(room_id, sender, "m.reaction", content, age=7))
    new = {"msgtype": "m.text", "body": _TEXT}
    edit = {**new, "m.new_content": new, "m.relates_to": {**about, "rel_type": "m.replace"}}
    return _json(_event(room_id, sender, "m.room.message", edit, age=7))


def room_id(number: int) -> str:
    """Return a room id as room version 12 has them: without a server part."""
    return f"!{number:03d}bench{'x' * 35}"


def transaction(events: Sequence[bytes]) -> bytes:
    """Return the body of a transaction."""
    return b'{"events":[%b]}' % b",".join(events)


def encoded(events: Iterable[dict[str, Any]]) -> list[bytes]:
    """Return events as JSON."""
    return [_json(event) for event in events]


def _event(
    room: str, sender: str, kind: str, content: dict[str, Any], *, age: int = 1, **more: str
) -> dict[str, Any]:
    return {
        "content": content,
        "event_id": f"${next(_numbers):012d}{secrets.token_hex(15)}",
        "origin_server_ts": int(time.time() * 1000),
        "room_id": room,
        "sender": sender,
        "type": kind,
        "unsigned": {"age": age},
        "user_id": sender,
        "age": age,
        **more,
    }


def _json(event: dict[str, Any]) -> bytes:
    return json.dumps(event, separators=(",", ":")).encode()
