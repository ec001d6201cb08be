"""A homeserver in the test's own process: as quick, slow or unwilling as a test wants it.

It speaks as much of the client-server API as the bridge uses, keeps rooms as
:mod:`.simulated_rooms` says, and pushes what happens to the bridge in transactions, as Synapse
does: one at a time, at most a hundred events in each, again and again until it is taken. Its moods
(delays, 429s) come from a seed. What it must have in common with Synapse is in
``tests/integration/test_homeserver_contract.py``.
"""

from __future__ import annotations

import asyncio
import random
import re
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote

import msgspec
from aiohttp import web

from openmeet_bridge.matrix.registration import Registration

from .simulated_push import Push
from .simulated_rooms import Json, No, Room, Rooms

HOST = "127.0.0.1"
_V3 = "/_matrix/client/v3"


@dataclass(frozen=True, slots=True)
class Mood:
    """How a homeserver feels.

    Attributes:
        delay: Shortest and longest time of a usual answer, in seconds.
        heavy: Times as long takes what makes rooms.
        limited: Share of the requests that are answered with 429.
        retry_after_ms: Longest wait that such an answer asks for.
        seed: Of all chance.
    """

    delay: tuple[float, float] = (0.0, 0.0)
    heavy: float = 5.0
    limited: float = 0.0
    retry_after_ms: int = 200
    seed: int = 1


@dataclass(slots=True)
class _Call:
    """One request that was understood."""

    user: str
    names: dict[str, str]
    query: dict[str, str]
    body: Json
    raw: bytes
    device: str | None

    def room(self, rooms: Rooms) -> Room:
        return rooms.room(self.names["room"])


@dataclass
class SimulatedHomeserver:
    """One homeserver; run it with :meth:`running`.

    Attributes:
        registration: Of the bridge; pushes go to its ``url``.
        mood: How it answers; may be changed at any time.
        counts: Requests by verb, the refused ones included. Pings and ``/sync`` count too.
        url: Where it listens.
    """

    registration: Registration
    mood: Mood = field(default_factory=Mood)
    counts: Counter[str] = field(default_factory=Counter)
    url: str = ""
    users: set[str] = field(default_factory=set)
    devices: dict[tuple[str, str], str] = field(default_factory=dict)
    account_data: dict[tuple[str, str], Json] = field(default_factory=dict)
    media: dict[str, bytes] = field(default_factory=dict)
    presence: dict[str, str] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)
    admins: set[str] = field(default_factory=set)
    passwords: dict[str, str] = field(default_factory=dict)
    rooms: Rooms = field(init=False)

    def __post_init__(self) -> None:
        self.rooms = Rooms(self.registration.server_name)
        self.sender = f"@{self.registration.sender_localpart}:{self.registration.server_name}"
        self._users = re.compile(self.registration.users_regex)
        self._aliases = re.compile(self.registration.aliases_regex)
        self._random = random.Random(self.mood.seed)
        self._sent: dict[tuple[str | None, ...], str] = {}
        self._push: Push

    # For tests

    @property
    def requests(self) -> int:
        """All requests so far."""
        return sum(self.counts.values())

    def person(self, name: str) -> tuple[str, str]:
        """Makes somebody who is not of the bridge; returns Matrix id and access token."""
        user, token = f"@{name}:{self.registration.server_name}", secrets.token_hex(8)
        self.users.add(user)
        self.tokens[token] = user
        return user, token

    def appoint(self, token: str) -> None:
        """Makes an administrator with an access token."""
        user, _ = self.person(f"admin-{secrets.token_hex(4)}")
        self.tokens[token] = user
        self.admins.add(user)

    async def tell(self, *ephemeral: Json) -> int:
        """Pushes ephemeral events; returns the bridge's status."""
        body = {"events": [], "ephemeral": list(ephemeral)}
        return await self._push.tell("PUT", f"transactions/e{secrets.token_hex(4)}", body)

    def push(self) -> None:
        """Pushes what a test has done to the rooms by its own hand."""
        self._push.grown()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[SimulatedHomeserver]:
        """Runs it."""
        app = web.Application(client_max_size=64 << 20)
        app.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await runner.setup()
        await web.TCPSite(runner, HOST, 0).start()
        self.url = f"http://{HOST}:{runner.addresses[0][1]}"
        self._push = Push(self.registration, self.rooms)
        pushing = asyncio.create_task(self._push.run())
        try:
            yield self
        finally:
            pushing.cancel()
            with suppress(asyncio.CancelledError):
                await pushing
            await self._push.close()
            await runner.cleanup()

    # Requests

    async def _handle(self, request: web.Request) -> web.Response:
        for method, pattern, verb, handler in _ROUTES:
            match = pattern.fullmatch(request.rel_url.raw_path)
            if match is not None and method == request.method:
                self.counts[verb] += 1
                names = {name: unquote(text or "") for name, text in match.groupdict().items()}
                try:
                    await self._weather(verb)
                    answer = handler(self, await self._call(request, names, verb))
                    body = await answer if isinstance(answer, Awaitable) else answer
                except No as no:
                    return web.json_response(no.body, status=no.status)
                self._push.grown()
                return web.Response(
                    body=msgspec.json.encode({} if body is None else body),
                    content_type="application/json",
                )
        return web.json_response(
            {"errcode": "M_UNRECOGNIZED", "error": "Unrecognized request"}, status=404
        )

    async def _weather(self, verb: str) -> None:
        low, high = self.mood.delay
        if high:
            factor = self.mood.heavy if verb == "create_room" else 1.0
            await asyncio.sleep(factor * self._random.uniform(low, high))
        if self.mood.limited and self._random.random() < self.mood.limited:
            wait = self._random.randint(1, self.mood.retry_after_ms)
            raise No(429, "M_LIMIT_EXCEEDED", "Too Many Requests", retry_after_ms=wait)

    async def _call(self, request: web.Request, names: dict[str, str], verb: str) -> _Call:
        query = dict(request.query)
        raw = await request.read()
        is_json = request.content_type == "application/json" and raw
        try:
            body = msgspec.json.decode(raw, type=dict[str, Any]) if is_json else {}
        except msgspec.MsgspecError:
            raise No(400, "M_NOT_JSON", "Content not JSON.") from None
        user, device = self._who(request, query, verb), query.get("device_id")
        if device is not None and (user, device) not in self.devices:
            raise No(400, "M_UNKNOWN_DEVICE", "Application service trying to use a device")
        return _Call(user, names, query, body, raw, device)

    def _who(self, request: web.Request, query: dict[str, str], verb: str) -> str:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if verb == "versions":
            return ""
        if token in self.tokens:
            return self.tokens[token]
        if token != self.registration.as_token:
            raise No(401, "M_UNKNOWN_TOKEN", "Invalid access token passed.")
        user = query.get("user_id", self.sender)
        if user != self.sender and not self._users.fullmatch(user):
            raise No(403, "M_FORBIDDEN", "Application service cannot masquerade as this user")
        if user != self.sender and user not in self.users:
            raise No(403, "M_FORBIDDEN", "Application service has not registered this user")
        return user

    # Who is there

    def _versions(self, call: _Call) -> Json:
        return {"versions": ["v1.11", "v1.15"]}

    def _whoami(self, call: _Call) -> Json:
        return {"user_id": call.user} | ({"device_id": call.device} if call.device else {})

    def _register(self, call: _Call) -> Json:
        user = f"@{call.body['username']}:{self.registration.server_name}"
        if not self._users.fullmatch(user):
            raise No(400, "M_EXCLUSIVE", "Invalid user localpart for this application service.")
        if user in self.users:
            raise No(400, "M_USER_IN_USE", "User ID already taken.")
        self.users.add(user)
        return {"user_id": user}

    def _deactivate(self, call: _Call) -> Json:
        for room_id in list(self.rooms.joined.get(call.user, ())):
            self.rooms.leave(self.rooms.room(room_id), call.user)
        return {"id_server_unbind_result": "success"}

    def _put_device(self, call: _Call) -> None:
        self.devices[call.user, call.names["device"]] = call.body.get("display_name", "")

    def _get_profile(self, call: _Call) -> Json:
        profile = self.rooms.profiles.get(call.names["user"])
        if profile is None:
            raise No(404, "M_NOT_FOUND", "Profile was not found")
        return profile

    def _put_profile(self, call: _Call) -> None:
        field_name = call.names["field"]
        profile = self.rooms.profiles.setdefault(call.user, {})
        profile[field_name] = call.body[field_name]
        for room_id in list(self.rooms.joined.get(call.user, ())):
            self.rooms.set_member(self.rooms.room(room_id), call.user, call.user, "join")

    def _get_account_data(self, call: _Call) -> Json:
        found = self.account_data.get((call.user, call.names["type"]))
        if found is None:
            raise No(404, "M_NOT_FOUND", "Account data not found")
        return found

    def _put_account_data(self, call: _Call) -> None:
        self.account_data[call.user, call.names["type"]] = call.body

    def _get_presence(self, call: _Call) -> Json:
        return {"presence": self.presence.get(call.names["user"], "offline")}

    def _put_presence(self, call: _Call) -> None:
        self.presence[call.user] = call.body["presence"]

    def _upload(self, call: _Call) -> Json:
        uri = f"mxc://{self.registration.server_name}/{secrets.token_hex(12)}"
        self.media[uri] = call.raw
        return {"content_uri": uri}

    async def _ping(self, call: _Call) -> Json:
        if call.names["id"] != self.registration.id:
            raise No(403, "M_FORBIDDEN", "Mismatching application service ID in path")
        status = await self._push.tell("POST", "ping", call.body)
        if status == 0:
            raise No(502, "M_CONNECTION_FAILED", "Unable to connect")
        if status >= 300:
            raise No(502, "M_BAD_STATUS", f"HTTP {status}")
        return {"duration_ms": 1}

    # What administrators do

    def _reset_password(self, call: _Call) -> None:
        self._must_be_admin(call)
        if call.names["target"] not in self.users:
            raise No(404, "M_NOT_FOUND", "User not found")
        assert call.body["logout_devices"] is False
        self.passwords[call.names["target"]] = call.body["new_password"]

    def _delete_room(self, call: _Call) -> Json:
        self._must_be_admin(call)
        self.rooms.rooms.pop(call.names["room"], None)
        return {"delete_id": secrets.token_hex(8)}

    def _must_be_admin(self, call: _Call) -> None:
        if call.user not in self.admins:
            raise No(403, "M_FORBIDDEN", "You are not a server admin")

    # Rooms

    def _create_room(self, call: _Call) -> Json:
        alias = call.body.get("room_alias_name")
        if alias is not None:
            self._check_alias(f"#{alias}:{self.registration.server_name}", call.user)
        return {"room_id": self.rooms.create(call.user, call.body).room_id}

    def _check_alias(self, alias: str, user: str) -> None:
        ours = self._users.fullmatch(user) is not None or user == self.sender
        if (self._aliases.fullmatch(alias) is not None) != ours:
            raise No(400, "M_EXCLUSIVE", "This application service has not reserved this alias.")

    async def _resolve(self, call: _Call) -> Json:
        alias = call.names["alias"]
        if alias not in self.rooms.aliases and self._aliases.fullmatch(alias):
            await self._push.tell("GET", f"rooms/{quote(alias, safe='')}", None)
        if alias not in self.rooms.aliases:
            raise No(404, "M_NOT_FOUND", f"Room alias {alias} not found")
        return {"room_id": self.rooms.aliases[alias], "servers": [self.registration.server_name]}

    def _put_alias(self, call: _Call) -> None:
        alias = call.names["alias"]
        self._check_alias(alias, call.user)
        if alias in self.rooms.aliases:
            raise No(409, "M_UNKNOWN", f"Room alias {alias} already exists")
        self.rooms.aliases[alias] = self.rooms.room(call.body["room_id"]).room_id

    def _delete_alias(self, call: _Call) -> None:
        if self.rooms.aliases.pop(call.names["alias"], None) is None:
            raise No(404, "M_NOT_FOUND", "Unknown room alias")

    def _set_listed(self, call: _Call) -> None:
        room = call.room(self.rooms)
        wanted = call.body["visibility"] == "public"
        (self.rooms.listed.add if wanted else self.rooms.listed.discard)(room.room_id)

    def _membership(self, call: _Call) -> Json:
        room, target = call.room(self.rooms), call.body.get("user_id", "")
        reason = call.body.get("reason")
        match call.names["verb"]:
            case "join":
                self.rooms.join(room, call.user)
            case "leave":
                self.rooms.leave(room, call.user)
            case "invite":
                self.rooms.invite(room, call.user, target)
            case "kick":
                self.rooms.kick(room, call.user, target, reason)
            case "ban":
                self.rooms.ban(room, call.user, target, reason)
            case "unban":
                self.rooms.unban(room, call.user, target)
        return {"room_id": room.room_id} if call.names["verb"] == "join" else {}

    def _joined_rooms(self, call: _Call) -> Json:
        return {"joined_rooms": sorted(self.rooms.joined.get(call.user, ()))}

    # Events

    def _send(self, call: _Call) -> Json:
        key = (call.user if call.device else "", call.device, *call.names.values())
        if key not in self._sent:
            room = call.room(self.rooms)
            self._sent[key] = self.rooms.send(room, call.user, call.names["type"], call.body)
        return {"event_id": self._sent[key]}

    def _redact(self, call: _Call) -> Json:
        key = (call.user if call.device else "", call.device, *call.names.values())
        if key not in self._sent:
            content = {**call.body, "redacts": call.names["event"]}
            self._sent[key] = self.rooms.redact(call.room(self.rooms), call.user, content)
        return {"event_id": self._sent[key]}

    def _put_state(self, call: _Call) -> Json:
        room, kind, key = call.room(self.rooms), call.names["type"], call.names["key"]
        return {"event_id": self.rooms.set_state(room, call.user, kind, call.body, key)}

    def _get_state(self, call: _Call) -> Json:
        room = call.room(self.rooms)
        self.rooms.must_be_in(room, call.user)
        event = room.state.get((call.names["type"], call.names["key"]))
        if event is None:
            raise No(404, "M_NOT_FOUND", "Event not found.")
        return dict(event if call.query.get("format") == "event" else event["content"])

    def _all_state(self, call: _Call) -> list[Json]:
        room = call.room(self.rooms)
        self.rooms.must_be_in(room, call.user)
        return list(room.state.values())

    def _members(self, call: _Call) -> Json:
        room = call.room(self.rooms)
        self.rooms.must_be_in(room, call.user)
        return {"chunk": room.members(call.query.get("membership"))}

    def _nothing(self, call: _Call) -> None:
        call.room(self.rooms)

    def _messages(self, call: _Call) -> Json:
        room, backwards = call.room(self.rooms), call.query["dir"] == "b"
        self.rooms.must_be_in(room, call.user)
        end = len(self.rooms.stream) if backwards else 0
        start, stop = _place(call.query.get("from"), end), _place(call.query.get("to"), 0)
        limit = int(call.query.get("limit", "10"))
        chunk, at = self.rooms.page(room, start, stop, limit, backwards=backwards)
        answer: Json = {"start": f"s{start}", "chunk": chunk}
        return answer if at is None else answer | {"end": f"s{at}"}

    def _context(self, call: _Call) -> Json:
        room = call.room(self.rooms)
        self.rooms.must_be_in(room, call.user)
        place, state = self.rooms.moment(room, call.names["event"])
        here = f"s{place - 1}"
        return {"start": here, "end": here, "state": state}

    def _sync(self, call: _Call) -> Json:
        since, here = _place(call.query.get("since"), 0), len(self.rooms.stream)
        asked = call.query.get("filter", "")
        limit = msgspec.json.decode(asked).get("room", {}) if asked.startswith("{") else {}
        most = limit.get("timeline", {}).get("limit", 10)
        joined = {}
        for room_id in self.rooms.joined.get(call.user, ()):
            room = self.rooms.room(room_id)
            if not room.timeline or room.timeline[-1][0] <= since:
                continue
            chunk, at = self.rooms.page(room, here, since, most, backwards=True)
            events = [{k: v for k, v in one.items() if k != "room_id"} for one in reversed(chunk)]
            timeline: Json = {"events": events, "limited": at is not None}
            if at is not None:
                timeline["prev_batch"] = f"s{at}"
            joined[room_id] = {"timeline": timeline, "state": {"events": []}}
        return {"next_batch": f"s{here}", "rooms": {"join": joined}}


def _place(token: str | None, default: int) -> int:
    if token is None:
        return default
    try:
        return int(token.removeprefix("s"))
    except ValueError:
        raise No(400, "M_UNKNOWN", "Invalid stream token") from None


def _route(
    method: str, path: str, verb: str, handler: Callable[[SimulatedHomeserver, _Call], Any]
) -> tuple[str, re.Pattern[str], str, Callable[[SimulatedHomeserver, _Call], Any]]:
    return method, re.compile(path), verb, handler


_ROOM = f"{_V3}/rooms/(?P<room>[^/]+)"
_S = SimulatedHomeserver
_ROUTES = [
    _route("PUT", rf"{_ROOM}/send/(?P<type>[^/]+)/(?P<txn>[^/]+)", "send_event", _S._send),
    _route("PUT", rf"{_ROOM}/state/(?P<type>[^/]+)(?:/(?P<key>.*))?", "send_state", _S._put_state),
    _route("GET", rf"{_ROOM}/state/(?P<type>[^/]+)(?:/(?P<key>.*))?", "get_state", _S._get_state),
    _route("GET", rf"{_ROOM}/state", "room_state", _S._all_state),
    _route(
        "POST",
        rf"{_ROOM}/(?P<verb>join|leave|invite|kick|ban|unban)",
        "membership",
        _S._membership,
    ),
    _route("GET", rf"{_ROOM}/members", "members", _S._members),
    _route("GET", rf"{_ROOM}/messages", "messages", _S._messages),
    _route("GET", rf"{_ROOM}/context/(?P<event>[^/]+)", "context", _S._context),
    _route("PUT", rf"{_ROOM}/redact/(?P<event>[^/]+)/(?P<txn>[^/]+)", "redact", _S._redact),
    _route("PUT", rf"{_ROOM}/typing/[^/]+", "typing", _S._nothing),
    _route("POST", rf"{_ROOM}/receipt/.*", "receipt", _S._nothing),
    _route("POST", rf"{_V3}/createRoom", "create_room", _S._create_room),
    _route("POST", rf"{_V3}/register", "register", _S._register),
    _route("PUT", rf"{_V3}/devices/(?P<device>[^/]+)", "create_device", _S._put_device),
    _route("GET", rf"{_V3}/profile/(?P<user>[^/]+)", "get_profile", _S._get_profile),
    _route(
        "PUT",
        rf"{_V3}/profile/(?P<user>[^/]+)/(?P<field>displayname|avatar_url)",
        "set_profile",
        _S._put_profile,
    ),
    _route(
        "GET",
        rf"{_V3}/user/[^/]+/account_data/(?P<type>[^/]+)",
        "get_account_data",
        _S._get_account_data,
    ),
    _route(
        "PUT",
        rf"{_V3}/user/[^/]+/account_data/(?P<type>[^/]+)",
        "set_account_data",
        _S._put_account_data,
    ),
    _route("GET", rf"{_V3}/presence/(?P<user>[^/]+)/status", "get_presence", _S._get_presence),
    _route("PUT", rf"{_V3}/presence/(?P<user>[^/]+)/status", "set_presence", _S._put_presence),
    _route("PUT", rf"{_V3}/directory/list/room/(?P<room>[^/]+)", "set_listed", _S._set_listed),
    _route("GET", rf"{_V3}/directory/room/(?P<alias>[^/]+)", "resolve_alias", _S._resolve),
    _route("PUT", rf"{_V3}/directory/room/(?P<alias>[^/]+)", "create_alias", _S._put_alias),
    _route("DELETE", rf"{_V3}/directory/room/(?P<alias>[^/]+)", "delete_alias", _S._delete_alias),
    _route("GET", rf"{_V3}/joined_rooms", "joined_rooms", _S._joined_rooms),
    _route("GET", rf"{_V3}/sync", "sync", _S._sync),
    _route("GET", rf"{_V3}/account/whoami", "whoami", _S._whoami),
    _route("POST", rf"{_V3}/account/deactivate", "deactivate", _S._deactivate),
    _route("POST", r"/_matrix/media/v3/upload", "upload", _S._upload),
    _route("POST", r"/_matrix/client/v1/appservice/(?P<id>[^/]+)/ping", "ping", _S._ping),
    _route("GET", r"/_matrix/client/versions", "versions", _S._versions),
    _route(
        "POST",
        r"/_synapse/admin/v1/reset_password/(?P<target>[^/]+)",
        "admin_set_password",
        _S._reset_password,
    ),
    _route(
        "DELETE",
        r"/_synapse/admin/v2/rooms/(?P<room>[^/]+)",
        "admin_remove_room",
        _S._delete_room,
    ),
]
