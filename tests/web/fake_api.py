"""The Web API of the fake server: rooms, timelines, what one does in them, and who is there."""

from __future__ import annotations

import asyncio

from aiohttp import web

from tests.web.fake_data import PEOPLE, TENANT, FakeRoom, Json, Line, formatted, person, slug_of
from tests.web.fake_world import FakeWorld, Fault, now_ms

MOST_BYTES = 32_768


class FakeApi(FakeWorld):
    """The routes."""

    def add_routes(self, app: web.Application) -> None:
        """The routes of rooms and conversations."""
        add = app.router.add_route
        api, room = "/api/v1", "/api/v1/rooms/{room_id}"
        entry = f"{room}/entries/{{event_id}}"
        message = f"{room}/messages/{{txn}}"
        add("GET", f"{api}/me", self.get_me)
        add("GET", f"{api}/me/preferences", self.get_preferences)
        add("PUT", f"{api}/me/preferences", self.put_preferences)
        add("GET", f"{api}/rooms", self.get_rooms)
        add("GET", f"{api}/unread", self.get_unread)
        add("PUT", f"{api}/presence", self.put_presence)
        add("GET", room, self.get_room)
        add("GET", f"{room}/members", self.get_members)
        add("GET", f"{room}/timeline", self.get_timeline)
        add("GET", f"{room}/presence", self.get_presence)
        add("POST", f"{room}/read", self.post_read)
        add("PUT", f"{room}/unread", self.put_unread)
        add("PUT", f"{room}/typing", self.put_typing)
        add("PUT", message, self.put_message)
        add("GET", message, self.get_message)
        add("DELETE", message, self.delete_message)
        add("GET", entry, self.get_entry)
        add("DELETE", entry, self.delete_entry)
        add("GET", f"{entry}/versions", self.get_versions)
        add("GET", f"{entry}/reactions", self.get_reactions)
        add("GET", f"{entry}/readers", self.get_readers)
        add("PUT", f"{entry}/edits/{{txn}}", self.put_edit)
        add("PUT", f"{entry}/reactions/{{key}}", self.put_reaction)
        add("DELETE", f"{entry}/reactions/{{key}}", self.delete_reaction)

    # Who asks, and for what

    def who(self, request: web.Request) -> str:
        """Slug of the user, by bearer token or cookie."""
        header = request.headers.get("Authorization", "")
        token = header.removeprefix("Bearer ") or request.cookies.get("openmeet_token", "")
        guarded = request.headers.get("X-Requested-With") == "openmeet"
        if not header and request.method != "GET" and not guarded:
            raise Fault(403, "M_FORBIDDEN", "X-Requested-With is missing.")
        return self.slug_of(token)

    def slug_of(self, token: str) -> str:
        """The user a token stands for."""
        slug = token.removeprefix("jwt-")
        if not token.startswith("jwt-") or slug not in PEOPLE:
            raise Fault(401, "M_UNKNOWN_TOKEN", "This token is not known.")
        return slug

    def room_of(self, request: web.Request) -> tuple[str, FakeRoom]:
        """User and room of a request."""
        slug = self.who(request)
        found = self.community.rooms.get(request.match_info["room_id"])
        if found is None or slug not in found.members:
            raise Fault(404, "M_NOT_FOUND", "There is no such room.")
        return slug, found

    def line_of(self, request: web.Request) -> tuple[str, FakeRoom, Line]:
        """User, room and entry of a request."""
        slug, room = self.room_of(request)
        line = room.line(request.match_info["event_id"])
        if line is None:
            raise Fault(404, "M_NOT_FOUND", "There is no such entry.")
        return slug, room, line

    async def _may_send(self, room: FakeRoom) -> None:
        await asyncio.sleep(self.send_delay)
        if self.send_faults:
            raise self.send_faults.pop(0)
        if not room.can_send:
            raise Fault(403, "M_FORBIDDEN", "You may only read here.")

    # Reading

    async def get_me(self, request: web.Request) -> web.Response:
        """Who is asking."""
        user = person(self.who(request))
        tenant = {"id": TENANT, "name": "City Cyclists"}
        body = {"tenant": tenant, "user": user, "expires_at": now_ms() + 3_600_000}
        return web.json_response(body)

    async def get_rooms(self, request: web.Request) -> web.Response:
        """The rooms of the user."""
        slug = self.who(request)
        rooms = [room.view(slug) for room in self.community.rooms.values() if slug in room.members]
        return web.json_response(
            {"rooms": rooms, "cursor": str(len(self.log)), "unread": self._totals(slug)}
        )

    async def get_unread(self, request: web.Request) -> web.Response:
        """What is unread in all rooms."""
        return web.json_response(self._totals(self.who(request)))

    def _totals(self, slug: str) -> Json:
        mine = [room.unread(slug) for room in self.community.rooms.values() if slug in room.members]
        return {
            "messages": sum(one["unread_count"] for one in mine),
            "mentions": sum(one["mention_count"] for one in mine),
            "rooms": sum(bool(one["unread_count"] or one["marked_unread"]) for one in mine),
        }

    async def get_room(self, request: web.Request) -> web.Response:
        """One room."""
        slug, room = self.room_of(request)
        return web.json_response(room.view(slug))

    async def get_members(self, request: web.Request) -> web.Response:
        """Who is in a room."""
        _slug, room = self.room_of(request)
        members = [
            {**person(slug), "membership": "join", "power_level": 0, "role": None}
            for slug in room.members
        ]
        return web.json_response({"members": members})

    async def get_timeline(self, request: web.Request) -> web.Response:
        """A page of a room: the newest, or beside an order, around an entry or a time."""
        _slug, room = self.room_of(request)
        ordered = room.ordered()
        start, end = _span(ordered, dict(request.query))
        receipts = [self.receipt(room, slug, order) for slug, order in room.read.items()]
        return web.json_response(
            {
                "entries": ordered[start:end],
                "has_before": start > 0,
                "has_after": end < len(ordered),
                "receipts": receipts if end == len(ordered) else [],
            }
        )

    async def get_entry(self, request: web.Request) -> web.Response:
        """One entry as it is now."""
        _slug, room, line = self.line_of(request)
        return web.json_response(room.show(line))

    async def get_versions(self, request: web.Request) -> web.Response:
        """What an entry has said, the original first."""
        _slug, _room, line = self.line_of(request)
        forms = [] if line.deletion else [line.entry, *line.edits]
        names = ("event_id", "timestamp", "text", "html")
        versions = [{name: form[name] for name in names if name in form} for form in forms]
        return web.json_response({"versions": versions})

    async def get_reactions(self, request: web.Request) -> web.Response:
        """Who has reacted."""
        _slug, _room, line = self.line_of(request)
        return web.json_response({"reactions": line.reacted()})

    async def get_readers(self, request: web.Request) -> web.Response:
        """Who has read an entry."""
        _slug, room, line = self.line_of(request)
        readers = [
            {"user": person(slug), "timestamp": now_ms()}
            for slug, order in room.read.items()
            if order >= line.entry["order"]
        ]
        return web.json_response({"readers": readers})

    # Doing

    async def put_message(self, request: web.Request) -> web.Response:
        """Takes a message, once for each id."""
        slug, room = self.room_of(request)
        key = (slug, request.match_info["txn"])
        await self._may_send(room)
        if key not in self.sent:
            self.sent[key] = self._take(room, slug, key[1], await request.json())
        return web.json_response(self.sent[key])

    def _take(self, room: FakeRoom, slug: str, txn: str, draft: Json) -> Json:
        more = {"client_txn_id": txn, **self._shape(draft)}
        for name in ("reply_to", "thread"):
            if name in draft:
                more[name] = draft[name]
        if self.hold_sends:
            self.held.append((room, slug, more))
            return {"status": "pending"}
        line = self.say(room, slug, **more)
        return {"status": "sent", "event_id": line.entry["event_id"]}

    def _shape(self, draft: Json) -> Json:
        body = draft["body"]
        if len(body.encode()) > MOST_BYTES:
            raise Fault(413, "M_TOO_LARGE", "This is too long.", {"body": "is too long"})
        shape: Json = {"kind": draft.get("kind", "text")}
        people = [person(slug_of(name)) for name in draft.get("mentions", [])]
        if people or draft.get("mention_room"):
            shape["mentions"] = {"people": people, "room": draft.get("mention_room", False)}
        return shape | formatted(body, draft.get("format", "plain"))

    async def get_message(self, request: web.Request) -> web.Response:
        """What became of a message."""
        slug, _room = self.room_of(request)
        found = self.sent.get((slug, request.match_info["txn"]))
        if found is None:
            raise Fault(404, "M_NOT_FOUND", "There is no such message.")
        return web.json_response(found)

    async def delete_message(self, request: web.Request) -> web.Response:
        """Takes a message back."""
        slug, room = self.room_of(request)
        txn = request.match_info["txn"]
        found = self.sent.get((slug, txn))
        if found is None:
            raise Fault(404, "M_NOT_FOUND", "There is no such message.")
        self.held = [one for one in self.held if one[2]["client_txn_id"] != txn]
        line = room.line(found.get("event_id", ""))
        if line is not None:
            self.delete(room, line, slug)
        return web.json_response({"status": "sent"})

    async def put_edit(self, request: web.Request) -> web.Response:
        """Gives one's own message other words."""
        slug, room, line = self.line_of(request)
        key = (slug, request.match_info["txn"])
        await self._may_send(room)
        if line.entry["sender"]["mxid"] != person(slug)["mxid"]:
            raise Fault(403, "M_FORBIDDEN", "This is not your message.")
        if key not in self.sent:
            words = self._shape(await request.json())
            edit = self.edit(room, line, words["text"], words.get("html"))
            self.sent[key] = {"status": "sent", "event_id": edit["event_id"]}
        return web.json_response(self.sent[key])

    async def put_reaction(self, request: web.Request) -> web.Response:
        """Reacts."""
        return await self._react(request, on=True)

    async def delete_reaction(self, request: web.Request) -> web.Response:
        """Takes a reaction back."""
        return await self._react(request, on=False)

    async def _react(self, request: web.Request, *, on: bool) -> web.Response:
        slug, room, line = self.line_of(request)
        await self._may_send(room)
        self.react(room, line, slug, request.match_info["key"], on=on)
        return web.json_response({"status": "sent"})

    async def delete_entry(self, request: web.Request) -> web.Response:
        """Deletes one's own message, or that of another for whoever may."""
        slug, room, line = self.line_of(request)
        await self._may_send(room)
        mine = line.entry["sender"]["mxid"] == person(slug)["mxid"]
        if not mine and slug not in room.moderators:
            raise Fault(403, "M_FORBIDDEN", "You may not delete what others say.")
        self.delete(room, line, slug, request.query.get("reason"))
        return web.json_response({"status": "sent"})

    async def post_read(self, request: web.Request) -> web.Response:
        """Moves the read mark of the user."""
        slug, room = self.room_of(request)
        body = await request.json()
        line = room.line(body["event_id"])
        if line is None:
            raise Fault(404, "M_NOT_FOUND", "There is no such entry.")
        self.read(room, slug, line.entry["order"], private=body.get("private", False))
        return web.json_response({})

    async def put_unread(self, request: web.Request) -> web.Response:
        """Marks a room for later."""
        slug, room = self.room_of(request)
        (
            room.marked_unread.add
            if (await request.json())["unread"]
            else room.marked_unread.discard
        )(slug)
        self.tell_unread(room, slug)
        return web.json_response({})

    async def put_typing(self, request: web.Request) -> web.Response:
        """Tells the others who is typing."""
        slug, room = self.room_of(request)
        users = [person(slug)] if (await request.json())["typing"] else []
        self.ephemeral(room, {"type": "typing", "data": {"room_id": room.room_id, "users": users}})
        return web.json_response({})

    async def get_preferences(self, request: web.Request) -> web.Response:
        """What others may see."""
        default = {"presence": True, "receipts": True}
        return web.json_response(self.preferences.get(self.who(request), default))

    async def put_preferences(self, request: web.Request) -> web.Response:
        """Changes what others may see."""
        found = self.preferences[self.who(request)] = await request.json()
        return web.json_response(found)

    async def put_presence(self, request: web.Request) -> web.Response:
        """Says that one is there, or away."""
        self.be(self.who(request), (await request.json())["state"])
        return web.json_response({})

    async def get_presence(self, request: web.Request) -> web.Response:
        """Who of a room is there."""
        _slug, room = self.room_of(request)
        here = set(self.queues.values())
        people = [
            self.presence.get(slug)
            or {
                "user": person(slug),
                "state": "online" if slug in here else "offline",
                "last_seen": None,
            }
            for slug in room.members
        ]
        return web.json_response({"people": people})


def _span(ordered: list[Json], query: dict[str, str]) -> tuple[int, int]:
    """Which entries are asked for."""
    limit, end = int(query.get("limit", "50")), len(ordered)
    if "before" in query:
        end = sum(one["order"] < query["before"] for one in ordered)
    if "after" in query:
        start = sum(one["order"] <= query["after"] for one in ordered)
        return start, min(start + limit, len(ordered))
    if "around" in query or "at" in query:
        start = max(0, _place(ordered, query) - limit // 2)
        return start, min(start + limit, len(ordered))
    return max(0, end - limit), end


def _place(ordered: list[Json], query: dict[str, str]) -> int:
    """Index of the entry around which a page is asked for."""
    if "around" in query:
        ids = [one["event_id"] for one in ordered]
        if query["around"] not in ids:
            raise Fault(404, "M_NOT_FOUND", "There is no such entry.")
        return ids.index(query["around"])
    later = (i for i, one in enumerate(ordered) if one["timestamp"] >= int(query["at"]))
    return next(later, len(ordered) - 1)
