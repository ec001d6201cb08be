"""A server that speaks the Web API with made-up data, to develop and test the page alone.

Run it: ``python -m tests.web.fake_server --port 8000``. Tests drive it through `/control/…`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import secrets
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

from aiohttp import WSMsgType, web

from tests.web.fake_data import PEOPLE, TENANT, Community, FakeRoom, person

WEB = Path(__file__).parents[2] / "openmeet_bridge" / "web"
CSP = (
    "default-src 'self'; img-src 'self' https: data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; object-src 'none'"
)
TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Frame = dict[str, Any]


class Fault(Exception):
    """An error answer."""

    def __init__(self, status: int, errcode: str, message: str) -> None:
        """`status`, `errcode` and text of the answer."""
        super().__init__(message)
        self.status, self.errcode = status, errcode


class Fake:
    """State and routes of the fake server."""

    def __init__(self) -> None:
        """A community with some history, and nobody connected."""
        self.community = Community(int(time.time() * 1000))
        self.log: list[tuple[set[str], Frame]] = []
        self.queues: dict[asyncio.Queue[Frame | None], str] = {}
        self.tickets: dict[str, str] = {}
        self.sent: dict[tuple[str, str], dict[str, Any]] = {}
        self.demo = True
        self.refuse_streams = False
        self.refuse_ws = False
        self.heartbeat_ms = 20_000
        self.silent = False
        self.answers = False
        self.send_faults: list[Fault] = []
        self.send_delay = 0.0
        self.calls: list[str] = []
        self.tasks: set[asyncio.Task[None]] = set()

    def app(self) -> web.Application:
        """The routes."""
        app = web.Application(middlewares=[self._errors])
        add = app.router.add_route
        add("GET", "/", self.index)
        add("GET", "/web/{path:.+}", self.asset)
        add("POST", "/control/{name}", self.control)
        api, room = "/api/v1", "/api/v1/rooms/{room_id}"
        add("GET", f"{api}/demo", self.demo_users)
        add("POST", f"{api}/session", self.open_session)
        add("DELETE", f"{api}/session", self.close_session)
        add("GET", f"{api}/me", self.me)
        add("GET", f"{api}/rooms", self.rooms)
        add("GET", room, self.room)
        add("GET", f"{room}/timeline", self.timeline)
        add("PUT", f"{room}/messages/{{txn}}", self.send)
        add("GET", f"{room}/messages/{{txn}}", self.status)
        add("POST", f"{room}/read", self.read)
        add("PUT", f"{room}/typing", self.typing)
        add("POST", f"{api}/stream/tickets", self.ticket)
        add("GET", f"{api}/ws", self.ws)
        add("GET", f"{api}/stream", self.sse)
        return app

    @web.middleware
    async def _errors(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self.calls.append(f"{request.method} {request.rel_url}")
        try:
            return await handler(request)
        except Fault as fault:
            body = {"errcode": fault.errcode, "error": str(fault)}
            return web.json_response(body, status=fault.status)

    # The page

    async def index(self, _request: web.Request) -> web.Response:
        """The page itself, with the policy that the real server sends."""
        headers = {"Content-Security-Policy": CSP}
        text = (WEB / "index.html").read_text()
        return web.Response(text=text, content_type="text/html", headers=headers)

    async def asset(self, request: web.Request) -> web.Response:
        """A script, a style sheet or the icon."""
        file = WEB / request.match_info["path"]
        if not file.is_file() or WEB not in file.resolve().parents:
            raise web.HTTPNotFound
        return web.Response(text=file.read_text(), content_type=TYPES[file.suffix])

    # The API

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

    async def demo_users(self, _request: web.Request) -> web.Response:
        """Whom one can be."""
        if not self.demo:
            raise Fault(404, "M_UNRECOGNIZED", "This is not a demo.")
        users = [
            {
                "tenant": TENANT,
                "tenant_name": "City Cyclists",
                "slug": slug,
                "name": name,
                "jwt": f"jwt-{slug}",
            }
            for slug, name in PEOPLE.items()
            if slug != "mia"
        ]
        other = {
            "tenant": "bakers",
            "tenant_name": "Home Bakers",
            "slug": "zoe",
            "name": "Zoe Hart",
        }
        return web.json_response({"users": [*users, {**other, "jwt": "jwt-zoe"}]})

    async def open_session(self, request: web.Request) -> web.Response:
        """Sets the cookie."""
        token = (await request.json())["token"]
        self.slug_of(token)
        answer = web.json_response({})
        answer.set_cookie("openmeet_token", token, httponly=True, samesite="Strict")
        return answer

    async def close_session(self, _request: web.Request) -> web.Response:
        """Deletes the cookie."""
        answer = web.json_response({})
        answer.del_cookie("openmeet_token")
        return answer

    async def me(self, request: web.Request) -> web.Response:
        """Who is asking."""
        user = person(self.who(request))
        tenant = {"id": TENANT, "name": "City Cyclists"}
        expires = int(time.time() * 1000) + 3_600_000
        return web.json_response({"tenant": tenant, "user": user, "expires_at": expires})

    async def rooms(self, request: web.Request) -> web.Response:
        """The rooms of the user."""
        slug = self.who(request)
        rooms = [room.view(slug) for room in self.community.rooms.values() if slug in room.members]
        return web.json_response({"rooms": rooms, "cursor": str(len(self.log))})

    async def room(self, request: web.Request) -> web.Response:
        """One room."""
        slug, room = self.room_of(request)
        return web.json_response(room.view(slug))

    async def timeline(self, request: web.Request) -> web.Response:
        """A page of a room, newest or before an order."""
        _slug, room = self.room_of(request)
        before = request.query.get("before")
        limit = int(request.query.get("limit", "50"))
        ordered = sorted(room.entries, key=lambda entry: str(entry["order"]))
        older = [entry for entry in ordered if before is None or entry["order"] < before]
        page = older[-limit:]
        receipts = [self.receipt(room, slug, order) for slug, order in room.read.items()]
        return web.json_response(
            {
                "entries": page,
                "has_before": len(older) > len(page),
                "has_after": before is not None,
                "receipts": receipts if before is None else [],
            }
        )

    def receipt(self, room: FakeRoom, slug: str, order: str) -> dict[str, Any]:
        """A read mark."""
        event = next(entry["event_id"] for entry in room.entries if entry["order"] == order)
        return {
            "room_id": room.room_id,
            "user": person(slug),
            "event_id": event,
            "order": order,
            "timestamp": int(time.time() * 1000),
        }

    async def send(self, request: web.Request) -> web.Response:
        """Takes a message, once for each id."""
        slug, room = self.room_of(request)
        key = (slug, request.match_info["txn"])
        await asyncio.sleep(self.send_delay)
        if self.send_faults:
            raise self.send_faults.pop(0)
        if key not in self.sent:
            body = (await request.json())["body"]
            entry = self.say(room, slug, body, client_txn_id=key[1])
            self.sent[key] = {"status": "sent", "event_id": entry["event_id"]}
            if self.answers:
                self.spawn(self._answer(room, slug))
        return web.json_response(self.sent[key])

    async def status(self, request: web.Request) -> web.Response:
        """What became of a message."""
        slug, _room = self.room_of(request)
        found = self.sent.get((slug, request.match_info["txn"]))
        if found is None:
            raise Fault(404, "M_NOT_FOUND", "There is no such message.")
        return web.json_response(found)

    async def read(self, request: web.Request) -> web.Response:
        """Moves the read mark of the user."""
        slug, room = self.room_of(request)
        event_id = (await request.json())["event_id"]
        order = next(one["order"] for one in room.entries if one["event_id"] == event_id)
        room.read[slug] = max(order, room.read.get(slug, ""))
        self.publish(room, {"type": "receipt", "data": self.receipt(room, slug, order)})
        return web.json_response({})

    async def typing(self, request: web.Request) -> web.Response:
        """Tells the others who is typing."""
        slug, room = self.room_of(request)
        users = [person(slug)] if (await request.json())["typing"] else []
        self.ephemeral(room, {"type": "typing", "data": {"room_id": room.room_id, "users": users}})
        return web.json_response({})

    # What happens

    def say(self, room: FakeRoom, slug: str, body: str, **more: Any) -> dict[str, Any]:
        """A message that everybody in the room gets."""
        content = {"msgtype": "m.text", "body": body}
        now = int(time.time() * 1000)
        entry = self.community.entry(room, slug, content, timestamp=now, **more)
        self.publish(room, {"type": "timeline", "data": entry})
        return entry

    def publish(self, room: FakeRoom, frame: Frame) -> None:
        """Logs a frame and gives it to the members."""
        self.log.append((set(room.members), frame))
        self.ephemeral(room, {**frame, "cursor": str(len(self.log))})

    def ephemeral(self, room: FakeRoom, frame: Frame) -> None:
        """Gives a frame to those members who are here."""
        for queue, slug in self.queues.items():
            if slug in room.members:
                queue.put_nowait(frame)

    def spawn(self, work: Any) -> None:
        """Runs something beside the requests."""
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _answer(self, room: FakeRoom, slug: str) -> None:
        other = next(member for member in room.members if member != slug)
        frame: Frame = {
            "type": "typing",
            "data": {"room_id": room.room_id, "users": [person(other)]},
        }
        await asyncio.sleep(0.5)
        self.ephemeral(room, frame)
        await asyncio.sleep(1.5)
        self.ephemeral(room, {**frame, "data": {**frame["data"], "users": []}})
        self.say(room, other, "Sounds good to me.")

    # Streams

    async def ticket(self, request: web.Request) -> web.Response:
        """A single-use key to a stream."""
        slug = self.who(request)
        if self.refuse_streams:
            raise Fault(503, "ORG_OPENMEET_UNAVAILABLE", "The server is starting.")
        ticket = secrets.token_urlsafe(8)
        self.tickets[ticket] = slug
        return web.json_response({"ticket": ticket, "expires_in_ms": 30_000})

    @contextlib.asynccontextmanager
    async def subscribed(self, request: web.Request) -> AsyncIterator[asyncio.Queue[Frame | None]]:
        """A queue that begins with hello and what was missed."""
        slug = self.tickets.pop(request.query.get("ticket", ""), None)
        if slug is None:
            raise Fault(401, "M_UNKNOWN_TOKEN", "This ticket is not known.")
        cursor = request.query.get("cursor", str(len(self.log)))
        queue: asyncio.Queue[Frame | None] = asyncio.Queue()
        hello = {"user": person(slug), "cursor": cursor, "heartbeat_ms": self.heartbeat_ms}
        queue.put_nowait({"type": "hello", "data": hello})
        for position, (members, frame) in enumerate(self.log[int(cursor) :], int(cursor) + 1):
            if slug in members:
                queue.put_nowait({**frame, "cursor": str(position)})
        self.queues[queue] = slug
        try:
            yield queue
        finally:
            self.queues.pop(queue, None)

    async def frames(self, queue: asyncio.Queue[Frame | None]) -> AsyncIterator[Frame]:
        """Frames until the connection is dropped, with heartbeats between."""
        while True:
            try:
                frame = await asyncio.wait_for(queue.get(), self.heartbeat_ms / 1000)
            except TimeoutError:
                frame = {"type": "heartbeat", "data": {}}
            if frame is None:
                return
            if not self.silent:
                yield frame

    async def ws(self, request: web.Request) -> web.WebSocketResponse:
        """Frames over a WebSocket."""
        if self.refuse_ws:
            raise Fault(403, "M_FORBIDDEN", "No WebSockets here.")
        async with self.subscribed(request) as queue:
            socket = web.WebSocketResponse()
            await socket.prepare(request)
            reader = asyncio.ensure_future(self._until_closed(socket, queue))
            async for frame in self.frames(queue):
                await socket.send_json(frame)
            reader.cancel()
            await socket.close()
            return socket

    async def _until_closed(
        self, socket: web.WebSocketResponse, queue: asyncio.Queue[Frame | None]
    ) -> None:
        async for message in socket:
            if message.type is WSMsgType.ERROR:
                break
        queue.put_nowait(None)

    async def sse(self, request: web.Request) -> web.StreamResponse:
        """Frames as server-sent events."""
        async with self.subscribed(request) as queue:
            answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await answer.prepare(request)
            async for frame in self.frames(queue):
                mark = f"id: {frame['cursor']}\n" if "cursor" in frame else ""
                text = f"event: {frame['type']}\n{mark}data: {json.dumps(frame['data'])}\n\n"
                await answer.write(text.encode())
            return answer

    # Tests pull strings here

    async def control(self, request: web.Request) -> web.Response:
        """Does what a test asks for."""
        action = getattr(self, f"do_{request.match_info['name']}")
        return web.json_response(action(**(await request.json())))

    def do_set(self, **values: Any) -> None:
        """Changes plain settings."""
        for name, value in values.items():
            setattr(self, name, value)

    def do_drop(self) -> None:
        """Cuts all streams without a word."""
        for queue in list(self.queues):
            queue.put_nowait(None)

    def do_frame(self, slug: str, frame: Frame) -> None:
        """Sends one user any frame."""
        for queue, owner in self.queues.items():
            if owner == slug:
                queue.put_nowait(frame)

    def do_reset(self) -> None:
        """Tells all to begin anew."""
        for queue in self.queues:
            data = {"reason": "test", "cursor": str(len(self.log))}
            queue.put_nowait({"type": "reset", "data": data})

    def do_say(self, room_id: str, slug: str, body: str) -> dict[str, Any]:
        """Somebody writes."""
        return self.say(self.community.rooms[room_id], slug, body)

    def do_entry(self, room_id: str, slug: str, **entry: Any) -> dict[str, Any]:
        """Any entry: type, content, and what else is to be set."""
        room, kind = self.community.rooms[room_id], entry.pop("type")
        content, now = entry.pop("content"), int(time.time() * 1000)
        made = self.community.entry(room, slug, content, kind=kind, timestamp=now, **entry)
        self.publish(room, {"type": "timeline", "data": made})
        return made

    def do_type(self, room_id: str, slugs: list[str]) -> None:
        """These are typing now."""
        data = {"room_id": room_id, "users": [person(slug) for slug in slugs]}
        self.ephemeral(self.community.rooms[room_id], {"type": "typing", "data": data})

    def do_fail_send(self, status: int, errcode: str, message: str, times: int = 1) -> None:
        """The next messages get this answer."""
        self.send_faults += [Fault(status, errcode, message)] * times

    def do_calls(self) -> list[str]:
        """All requests so far."""
        return self.calls

    def do_bodies(self, room_id: str) -> list[str]:
        """Everything that was said in a room."""
        entries = self.community.rooms[room_id].entries
        return [entry["content"]["body"] for entry in entries if "body" in entry["content"]]


@contextlib.contextmanager
def running() -> Any:
    """The fake server in a thread of its own; gives its address."""
    loop = asyncio.new_event_loop()
    runner = web.AppRunner(Fake().app(), shutdown_timeout=0.1)
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def start() -> int:
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port: int = runner.addresses[0][1]
        return port

    port = asyncio.run_coroutine_threadsafe(start(), loop).result(10)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        loop.close()


def main() -> None:
    """Serves until it is stopped."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--port", type=int, default=8000)
    fake = Fake()
    fake.answers = True
    web.run_app(fake.app(), host="127.0.0.1", port=parser.parse_args().port)


if __name__ == "__main__":
    main()
