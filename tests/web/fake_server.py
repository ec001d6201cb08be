"""A server that speaks the Web API with made-up data, to develop and test the page alone.

Run it: ``python -m tests.web.fake_server --port 8000``. Tests drive it through `/control/…`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import secrets
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

from aiohttp import WSMsgType, web

from tests.support.loop_thread import accept_no_more, loop_thread
from tests.web.fake_api import FakeApi
from tests.web.fake_data import PEOPLE, SILENT, TENANT, FakeRoom, Json, Line, person
from tests.web.fake_world import Fault, Frame

WEB = Path(__file__).parents[2] / "openmeet_bridge" / "web"
CSP = (
    "default-src 'self'; img-src 'self' https: data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; object-src 'none'"
)
TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Fake(FakeApi):
    """The page, sessions, streams, and the strings that tests pull."""

    def __init__(self) -> None:
        """A community with some history, and nobody connected."""
        super().__init__()
        self.tickets: dict[str, str] = {}
        self.demo = True
        self.refuse_streams = False
        self.refuse_ws = False
        self.heartbeat_ms = 20_000
        self.silent = False
        self.answers = False
        self.calls: list[str] = []
        self.tasks: set[asyncio.Task[None]] = set()

    def app(self) -> web.Application:
        """The routes."""
        app = web.Application(middlewares=[self._errors])
        add = app.router.add_route
        add("GET", "/", self.index)
        add("GET", "/web/{path:.+}", self.asset)
        add("POST", "/control/{name}", self.control)
        add("GET", "/tests/{name}.mjs", self.test_module)
        api = "/api/v1"
        add("GET", f"{api}/demo", self.demo_users)
        add("POST", f"{api}/session", self.open_session)
        add("DELETE", f"{api}/session", self.close_session)
        add("POST", f"{api}/stream/tickets", self.ticket)
        add("GET", f"{api}/ws", self.ws)
        add("GET", f"{api}/stream", self.sse)
        self.add_routes(app)
        return app

    @web.middleware
    async def _errors(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self.calls.append(f"{request.method} {request.rel_url}")
        try:
            return await handler(request)
        except Fault as fault:
            body: Frame = {"errcode": fault.errcode, "error": str(fault)}
            if fault.fields:
                body["fields"] = fault.fields
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

    async def test_module(self, request: web.Request) -> web.Response:
        """What is tested in Node, for a browser that tests it as well."""
        file = Path(__file__).parent / f"{request.match_info['name']}.mjs"
        return web.Response(text=file.read_text(), content_type="text/javascript")

    # Sessions

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

    # What happens

    def _take(self, room: FakeRoom, slug: str, txn: str, draft: Json) -> Json:
        taken = super()._take(room, slug, txn, draft)
        if self.answers:
            self.spawn(self._answer(room, slug))
        return taken

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
        self.say(room, other, text="Sounds good to me.")

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

    def do_say(self, room_id: str, slug: str, body: str, **more: Any) -> Frame:
        """Somebody writes."""
        room = self.community.rooms[room_id]
        return room.show(self.say(room, slug, text=body, **more))

    def do_entry(self, room_id: str, slug: str, **entry: Any) -> Frame:
        """Any entry: kind, text, type, and what else is to be set."""
        room = self.community.rooms[room_id]
        return room.show(self.say(room, slug, **entry))

    def do_edit(self, room_id: str, event_id: str, text: str, html: str | None = None) -> None:
        """A message gets other words."""
        self.edit(*self._found(room_id, event_id), text, html)

    def do_react(
        self, room_id: str, event_id: str, slug: str, key: str, *, on: bool = True
    ) -> None:
        """Somebody reacts."""
        self.react(*self._found(room_id, event_id), slug, key, on=on)

    def do_delete(self, room_id: str, event_id: str, slug: str, reason: str | None = None) -> None:
        """A message goes blank."""
        self.delete(*self._found(room_id, event_id), slug, reason)

    def do_read(self, room_id: str, slug: str, event_id: str) -> None:
        """Somebody has read a room up to there."""
        room, line = self._found(room_id, event_id)
        self.read(room, slug, line.entry["order"])

    def do_be(self, slug: str, state: str) -> None:
        """Somebody is online, idle or offline."""
        self.be(slug, state)

    def do_release(self) -> None:
        """What was held back is sent."""
        held, self.held = self.held, []
        for room, slug, more in held:
            line = self.say(room, slug, **more)
            status = {"status": "sent", "event_id": line.entry["event_id"]}
            self.sent[slug, more["client_txn_id"]] = status

    def _found(self, room_id: str, event_id: str) -> tuple[FakeRoom, Line]:
        room = self.community.rooms[room_id]
        line = room.line(event_id)
        if line is None:
            raise Fault(404, "M_NOT_FOUND", "There is no such entry.")
        return room, line

    def do_type(self, room_id: str, slugs: list[str]) -> None:
        """These are typing now."""
        data = {"room_id": room_id, "users": [person(slug) for slug in slugs]}
        self.ephemeral(self.community.rooms[room_id], {"type": "typing", "data": data})

    def do_fail_send(
        self,
        status: int,
        errcode: str,
        message: str,
        times: int = 1,
        fields: dict[str, str] | None = None,
    ) -> None:
        """What is sent, edited, reacted or deleted next gets this answer."""
        self.send_faults += [Fault(status, errcode, message, fields)] * times

    def do_calls(self) -> list[str]:
        """All requests so far."""
        return self.calls

    def do_bodies(self, room_id: str) -> list[str]:
        """Everything that was said in a room, as it stands now."""
        room = self.community.rooms[room_id]
        return [entry["text"] for entry in room.ordered() if entry["kind"] not in SILENT]


@contextlib.contextmanager
def running() -> Iterator[str]:
    """The fake server in a thread of its own; gives its address."""
    runner = web.AppRunner(Fake().app(), shutdown_timeout=0.1)
    listening = socket.create_server(("127.0.0.1", 0))

    async def start() -> None:
        await runner.setup()
        await web.SockSite(runner, listening).start()

    async def end() -> None:
        await accept_no_more([listening])
        await runner.cleanup()

    with loop_thread() as thread:
        thread.run(start())
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            thread.run(end())


def main() -> None:
    """Serves until it is stopped."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--port", type=int, default=8000)
    fake = Fake()
    fake.answers = True
    web.run_app(fake.app(), host="127.0.0.1", port=parser.parse_args().port)


if __name__ == "__main__":
    main()
