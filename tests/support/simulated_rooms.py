"""The rooms of a simulated homeserver: who is in them, what they say, who may change it.

As much of Matrix' rules as the bridge meets: membership, power levels (with the creators of room
version 12 above all), state that stays the same when it is set to what it is, and aliases.
"""

from __future__ import annotations

import itertools
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]
Key = tuple[str, str]

ABOVE_ALL = 2**53
_CREATION_LEVELS: Json = {
    "users_default": 0,
    "events_default": 0,
    "state_default": 50,
    "invite": 0,
    "kick": 50,
    "ban": 50,
    "redact": 50,
    "events": {
        "m.room.name": 50,
        "m.room.power_levels": 100,
        "m.room.history_visibility": 100,
        "m.room.canonical_alias": 50,
        "m.room.avatar": 50,
        "m.room.tombstone": 100,
        "m.room.server_acl": 100,
        "m.room.encryption": 100,
    },
}


class No(Exception):
    """The homeserver's no, as the specification words it."""

    def __init__(self, status: int, errcode: str, error: str, **more: Any) -> None:
        super().__init__(error)
        self.status = status
        self.body = {"errcode": errcode, "error": error, **more}


@dataclass(slots=True)
class Room:
    """One room."""

    room_id: str
    version: str
    creator: str
    state: dict[Key, Json] = field(default_factory=dict)
    timeline: list[tuple[int, Json]] = field(default_factory=list)
    redacted: set[str] = field(default_factory=set)

    def membership(self, user: str) -> str:
        """What somebody is in the room; ``leave`` for who never was there."""
        event = self.state.get(("m.room.member", user))
        return str(event["content"]["membership"]) if event else "leave"

    def content(self, event_type: str, key: str = "") -> Json:
        """Content of a state event; empty where there is none."""
        event = self.state.get((event_type, key))
        return event["content"] if event else {}

    def members(self, membership: str | None = None) -> list[Json]:
        """The member events."""
        return [
            event
            for (kind, _), event in self.state.items()
            if kind == "m.room.member"
            and (membership is None or event["content"]["membership"] == membership)
        ]

    def level(self, user: str) -> int:
        """Somebody's power."""
        creators = {self.creator, *self.content("m.room.create").get("additional_creators", [])}
        if int(self.version) >= 12 and user in creators:
            return ABOVE_ALL
        levels = self.content("m.room.power_levels")
        if not levels:
            return 100 if user == self.creator else 0
        return int(levels.get("users", {}).get(user, levels.get("users_default", 0)))

    def needed(self, action: str, default: int = 50) -> int:
        """The power for an action: ``invite``, ``kick`` …"""
        return int(self.content("m.room.power_levels").get(action, default))

    def needed_to_send(self, event_type: str, *, state: bool) -> int:
        """The power to send an event of a type."""
        levels = self.content("m.room.power_levels")
        default = levels.get("state_default", 50) if state else levels.get("events_default", 0)
        return int(levels.get("events", {}).get(event_type, default))


class Rooms:
    """All rooms, their aliases, and everything that happened, in one order."""

    def __init__(self, server_name: str) -> None:
        self.server_name = server_name
        self.rooms: dict[str, Room] = {}
        self.aliases: dict[str, str] = {}
        self.listed: set[str] = set()
        self.joined: dict[str, set[str]] = {}
        self.stream: list[Json] = []
        self.profiles: dict[str, Json] = {}
        self._numbers = itertools.count(1)

    # What is done

    def create(self, user: str, body: Json) -> Room:
        """Creates a room."""
        alias = self._alias(body)
        room = Room("!" + secrets.token_urlsafe(32), str(body.get("room_version", "12")), user)
        self.rooms[room.room_id] = room
        content = {"room_version": room.version, **body.get("creation_content", {})}
        self.add(room, user, "m.room.create", content, "")
        self.set_member(room, user, user, "join")
        self.add(room, user, "m.room.power_levels", self._levels(room, body), "")
        if alias is not None:
            self.aliases[alias] = room.room_id
            self.add(room, user, "m.room.canonical_alias", {"alias": alias}, "")
        for key, event in self._initial(body).items():
            self.add(room, user, key[0], event, key[1])
        for invited in body.get("invite", []):
            self.set_member(room, user, invited, "invite")
        if body.get("visibility") == "public":
            self.listed.add(room.room_id)
        return room

    def _alias(self, body: Json) -> str | None:
        localpart = body.get("room_alias_name")
        if localpart is None:
            return None
        alias = f"#{localpart}:{self.server_name}"
        if alias in self.aliases:
            raise No(400, "M_ROOM_IN_USE", "Room alias already taken")
        return alias

    def _levels(self, room: Room, body: Json) -> Json:
        levels = {**_CREATION_LEVELS, **body.get("power_level_content_override", {})}
        if int(room.version) < 12:
            levels.setdefault("users", {room.creator: 100})
        elif room.creator in levels.get("users", {}):
            raise No(400, "M_BAD_JSON", "Creators cannot be in the power levels")
        return levels

    def _initial(self, body: Json) -> dict[Key, Json]:
        public = body.get("preset") == "public_chat"
        state: dict[Key, Json] = {
            ("m.room.join_rules", ""): {"join_rule": "public" if public else "invite"},
            ("m.room.history_visibility", ""): {"history_visibility": "shared"},
        }
        if not public:
            state["m.room.guest_access", ""] = {"guest_access": "can_join"}
        for event in body.get("initial_state", []):
            state[event["type"], event.get("state_key", "")] = event["content"]
        if body.get("name"):
            state["m.room.name", ""] = {"name": body["name"]}
        if body.get("topic"):
            state["m.room.topic", ""] = {"topic": body["topic"]}
        return state

    def join(self, room: Room, user: str) -> None:
        """Lets somebody in who may come in."""
        membership = room.membership(user)
        if membership == "join":
            return
        if membership == "ban":
            raise No(403, "M_BAD_STATE", "You are banned from this room")
        public = room.content("m.room.join_rules").get("join_rule") == "public"
        if membership != "invite" and not public:
            raise No(403, "M_FORBIDDEN", "You are not invited to this room.")
        self.set_member(room, user, user, "join")

    def leave(self, room: Room, user: str) -> None:
        """Lets somebody go."""
        if room.membership(user) not in ("join", "invite", "knock"):
            raise No(403, "M_FORBIDDEN", f"User {user} not in room {room.room_id}")
        self.set_member(room, user, user, "leave")

    def invite(self, room: Room, sender: str, user: str) -> None:
        """Invites."""
        self._allow(room, sender, room.needed("invite", 0), user, outranks=False)
        if room.membership(user) in ("join", "ban"):
            raise No(403, "M_FORBIDDEN", f"{user} is already in the room.")
        self.set_member(room, sender, user, "invite")

    def kick(self, room: Room, sender: str, user: str, reason: str | None) -> None:
        """Puts somebody out."""
        self._allow(room, sender, room.needed("kick"), user)
        if room.membership(user) not in ("join", "invite", "knock"):
            raise No(403, "M_NOT_JOINED", "The target user is not in the room")
        self.set_member(room, sender, user, "leave", reason)

    def ban(self, room: Room, sender: str, user: str, reason: str | None) -> None:
        """Puts somebody out for good."""
        self._allow(room, sender, room.needed("ban"), user)
        self.set_member(room, sender, user, "ban", reason)

    def unban(self, room: Room, sender: str, user: str) -> None:
        """Lets somebody be invited again."""
        self._allow(room, sender, room.needed("ban"), user, outranks=False)
        if room.membership(user) != "ban":
            raise No(403, "M_BAD_STATE", "Cannot unban user who was not banned")
        self.set_member(room, sender, user, "leave")

    def _allow(
        self, room: Room, sender: str, needed: int, user: str, *, outranks: bool = True
    ) -> None:
        self.must_be_in(room, sender)
        mine = room.level(sender)
        if mine < needed or (outranks and user != sender and room.level(user) >= mine):
            raise No(403, "M_FORBIDDEN", "You don't have permission to do this")

    def must_be_in(self, room: Room, user: str) -> None:
        """Raises for who is not in the room."""
        if room.membership(user) != "join":
            raise No(403, "M_FORBIDDEN", f"User {user} not in room {room.room_id}")

    def set_member(
        self, room: Room, sender: str, user: str, membership: str, reason: str | None = None
    ) -> None:
        """Writes a member event."""
        profile = self.profiles.get(user, {}) if membership in ("join", "invite") else {}
        content = {"membership": membership, **{k: v for k, v in profile.items() if v}}
        if reason:
            content["reason"] = reason
        self.put(room, sender, "m.room.member", content, user)
        rooms = self.joined.setdefault(user, set())
        (rooms.add if membership == "join" else rooms.discard)(room.room_id)

    def set_state(self, room: Room, sender: str, kind: str, content: Json, key: str) -> str:
        """Sets state as somebody who may."""
        self.must_be_in(room, sender)
        if room.level(sender) < room.needed_to_send(kind, state=True):
            raise No(403, "M_FORBIDDEN", f"You don't have permission to post {kind}")
        if kind == "m.room.power_levels":
            self._check_levels(room, sender, content)
        return self.put(room, sender, kind, content, key)

    def _check_levels(self, room: Room, sender: str, content: Json) -> None:
        users = content.get("users", {})
        if int(room.version) >= 12 and room.creator in users:
            raise No(400, "M_BAD_JSON", "Creators cannot be in the power levels")
        mine, before = room.level(sender), room.content("m.room.power_levels").get("users", {})
        for user in users.keys() | before.keys():
            old, new = before.get(user, 0), users.get(user, 0)
            if old != new and (new > mine or (old >= mine and user != sender)):
                raise No(403, "M_FORBIDDEN", "You don't have permission to change that")

    def send(self, room: Room, sender: str, kind: str, content: Json) -> str:
        """Sends a message event."""
        self.must_be_in(room, sender)
        if room.level(sender) < room.needed_to_send(kind, state=False):
            raise No(403, "M_FORBIDDEN", f"You don't have permission to post {kind}")
        if kind == "m.reaction":
            self._check_reaction(room, sender, content["m.relates_to"])
        return str(self.add(room, sender, kind, content, None)["event_id"])

    def _check_reaction(self, room: Room, sender: str, relation: Json) -> None:
        for _, event in room.timeline:
            same = event["content"].get("m.relates_to") == relation and event["sender"] == sender
            if same and event["type"] == "m.reaction" and event["event_id"] not in room.redacted:
                raise No(400, "M_DUPLICATE_ANNOTATION", "Can't send same reaction twice")

    def redact(self, room: Room, sender: str, content: Json) -> str:
        """Redacts what is one's own, or for who has the power, what is another's.

        The events stay as they are: what was pushed before cannot be taken back.
        """
        event_id = content["redacts"]
        target = next((one for _, one in room.timeline if one["event_id"] == event_id), None)
        if room.level(sender) < room.needed("redact"):
            if target is None:
                raise No(404, "M_NOT_FOUND", f"Could not find event {event_id}")
            if target["sender"] != sender:
                raise No(403, "M_FORBIDDEN", "You don't have permission to redact events")
        done = self.send(room, sender, "m.room.redaction", content)
        room.redacted.add(event_id)
        return done

    def take_back(self, room: Room, kind: str, key: str) -> None:
        """Let the event before hold again, and tell nobody: as where a fork of the room merges."""
        lost = room.state.pop((kind, key))
        for _, event in room.timeline:
            if event is lost:
                break
            if event["type"] == kind and event.get("state_key") == key:
                room.state[kind, key] = event
        if kind == "m.room.member":
            is_in = room.membership(key) == "join"
            rooms = self.joined.setdefault(key, set())
            (rooms.add if is_in else rooms.discard)(room.room_id)

    def put(self, room: Room, sender: str, kind: str, content: Json, key: str) -> str:
        """Sets state; what it is already makes no new event."""
        present = room.state.get((kind, key))
        if present is not None and present["content"] == content and present["sender"] == sender:
            return str(present["event_id"])
        return str(self.add(room, sender, kind, content, key)["event_id"])

    def add(self, room: Room, sender: str, kind: str, content: Json, key: str | None) -> Json:
        """Writes an event, whoever may."""
        event: Json = {
            "event_id": f"${next(self._numbers)}-{secrets.token_urlsafe(24)}",
            "room_id": room.room_id,
            "type": kind,
            "sender": sender,
            "origin_server_ts": int(time.time() * 1000),
            "content": content,
            "unsigned": {"age": 1},
        }
        if key is not None:
            event["state_key"] = key
            if before := room.state.get((kind, key)):
                event["unsigned"] |= {
                    "replaces_state": before["event_id"],
                    "prev_content": before["content"],
                }
            room.state[kind, key] = event
        self.stream.append(event)
        room.timeline.append((len(self.stream), event))
        return event

    # What is asked

    def room(self, room_id: str) -> Room:
        """A room; for who may not know it, it does not exist."""
        try:
            return self.rooms[room_id]
        except KeyError:
            raise No(404, "M_NOT_FOUND", "Unknown room") from None

    def moment(self, room: Room, event_id: str) -> tuple[int, list[Json]]:
        """The place of an event in the stream, and the room's state there."""
        state: dict[Key, Json] = {}
        for place, event in room.timeline:
            if "state_key" in event:
                state[event["type"], event["state_key"]] = event
            if event["event_id"] == event_id:
                return place, list(state.values())
        raise No(404, "M_NOT_FOUND", "Event not found.")

    def page(
        self, room: Room, start: int, stop: int, limit: int, *, backwards: bool
    ) -> tuple[list[Json], int | None]:
        """Events of a room between two places of the stream, and where to go on."""
        chosen: Iterator[tuple[int, Json]]
        if backwards:
            chosen = (one for one in reversed(room.timeline) if stop < one[0] <= start)
        else:
            chosen = (one for one in room.timeline if start < one[0] <= (stop or 2**60))
        page = list(itertools.islice(chosen, limit + 1))
        more = len(page) > limit
        page = page[:limit]
        if not more:
            return [event for _, event in page], None
        return [event for _, event in page], page[-1][0] - (1 if backwards else 0)
