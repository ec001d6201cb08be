"""People who say one thing after another, each seen through until it is accepted."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from random import Random
from typing import Any
from urllib.parse import quote

import aiohttp

from ..support.openmeet import Json, User, call, message_path
from .asking import AWAY, persist
from .journal import Journal
from .wires import SocketIo, StreamRefused

_ANSWER = 6.0
"""Longer than the bridge waits for the homeserver before it answers."""


class Speaker(ABC):
    """Somebody who speaks in one room.

    Args:
        name: With what all that they say begins.
        sender: Their Matrix id.
        room_id: Where.
        journal: Gets what was accepted.
        chance: What they do next, and when.
        pause: Seconds between two messages, on average.
    """

    way: str

    def __init__(
        self,
        name: str,
        sender: str,
        room_id: str,
        journal: Journal,
        chance: Random,
        pause: float,
    ) -> None:
        self.name = name
        self.sender = sender
        self.room_id = room_id
        self.said = 0
        self._journal = journal
        self._chance = chance
        self._pause = pause
        self._stop = asyncio.Event()
        self._own: list[str] = []

    async def run(self) -> None:
        """Speak until :meth:`hush`, and say one thing more: nothing that is lost goes unseen."""
        while not self._stop.is_set():
            await self.say()
            if self._own and self._chance.random() < 0.2:
                await self._change(self._chance.choice(self._own[-5:]))
            pause = self._chance.uniform(0.5, 1.5) * self._pause
            try:
                async with asyncio.timeout(pause):
                    await self._stop.wait()
            except TimeoutError:
                continue
        await self.say()

    def hush(self) -> None:
        """Let what is said next be the last."""
        self._stop.set()

    async def say(self) -> None:
        """Say the next thing; return when it is accepted."""
        body = f"{self.name} {self.said}"
        began = round(self._journal.now, 3)
        event_id = await self._say(body, f"{self.name}-{self.said}")
        if event_id is not None:
            self._own.append(event_id)
        self.said += 1
        self._journal.note(
            "said",
            way=self.way,
            who=self.name,
            sender=self.sender,
            room=self.room_id,
            body=body,
            began=began,
            event=event_id,
        )

    @abstractmethod
    async def _say(self, body: str, txn_id: str) -> str | None:
        """Say something once; return the event's id where it is known."""

    async def _change(self, event_id: str) -> None:
        """Change something of one's own, where there is a way to."""
        self._own.remove(event_id)

    def _refused(self, what: str, answer: object) -> None:
        self._journal.note("refused", who=self.name, to=what, answer=str(answer)[:300])


class WebSpeaker(Speaker):
    """Speaks by the web API; edits, deletes and reacts to what they have said.

    Args:
        user: Who.
    """

    way = "web"

    def __init__(
        self, name: str, user: User, room_id: str, journal: Journal, chance: Random, pause: float
    ) -> None:
        super().__init__(name, user.mxid, room_id, journal, chance, pause)
        self._user = user
        self._changes = 0

    async def _say(self, body: str, txn_id: str) -> str | None:
        path = message_path(self.room_id, txn_id)
        answer = await persist(
            lambda: self._user.ask("PUT", path, {"body": body}), body, self._chance
        )
        if answer.status not in (200, 202):
            self._refused(body, answer)
        event_id: str | None = answer.body.get("event_id")
        return event_id

    async def _change(self, event_id: str) -> None:
        self._changes += 1
        kind = self._chance.choice(("edit", "edit", "react", "delete"))
        entry = f"/rooms/{quote(self.room_id)}/entries/{quote(event_id, safe='')}"
        text = f"{self.name} changed {self._changes}"
        method, path, body = {
            "edit": ("PUT", f"{entry}/edits/{self.name}-c{self._changes}", {"body": text}),
            "react": ("PUT", f"{entry}/reactions/{quote('👍')}", None),
            "delete": ("DELETE", entry, None),
        }[kind]
        if kind == "delete":
            self._own.remove(event_id)
        answer = await persist(lambda: self._user.ask(method, path, body), path, self._chance)
        # What has not come back from the homeserver yet cannot be changed yet: 404.
        done = answer.status in (200, 202)
        if not done and answer.status != 404:
            self._refused(f"{kind} {event_id}", answer)
        self._journal.note(
            "changed", who=self.name, kind=kind, event=event_id, text=text, done=done
        )


class AppSpeaker(Speaker):
    """Speaks by Socket.IO, as OpenMeet's web app does.

    Args:
        user: Who.
        session: HTTP session.
        url: Where the web app connects.
    """

    way = "socketio"

    def __init__(
        self,
        name: str,
        user: User,
        room_id: str,
        journal: Journal,
        chance: Random,
        pause: float,
        session: aiohttp.ClientSession,
        url: str,
    ) -> None:
        super().__init__(name, user.mxid, room_id, journal, chance, pause)
        self._user = user
        self._session = session
        self._url = url
        self._messages: asyncio.Queue[tuple[str, str, asyncio.Future[str]]] = asyncio.Queue(1)

    async def run(self) -> None:
        """Speak, and keep a socket for it."""
        socket = asyncio.create_task(self._keep_socket())
        try:
            await super().run()
        finally:
            socket.cancel()
            await asyncio.gather(socket, return_exceptions=True)

    async def _say(self, body: str, txn_id: str) -> str | None:
        accepted: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        await self._messages.put((body, txn_id, accepted))
        return await accepted

    async def _keep_socket(self) -> None:
        unsaid: tuple[str, str, asyncio.Future[str]] | None = None
        while True:
            headers = self._user.headers()
            token = headers["Authorization"].removeprefix("Bearer ")
            auth = {"token": token, "tenantId": headers["X-Tenant-Id"]}
            try:
                async with SocketIo(self._session, self._url, auth) as socket:
                    packets = socket.packets()
                    async with asyncio.timeout(_ANSWER):
                        while (await anext(packets))[0] != "open":
                            pass
                    while True:
                        unsaid = unsaid or await self._messages.get()
                        unsaid[2].set_result(await self._send(socket, packets, *unsaid[:2]))
                        unsaid = None
            except (*AWAY, StreamRefused, StopAsyncIteration):
                await asyncio.sleep(self._chance.uniform(0.1, 0.6))

    async def _send(
        self, socket: SocketIo, packets: AsyncIterator[tuple[str, Any]], body: str, txn_id: str
    ) -> str:
        payload = {"roomId": self.room_id, "message": body, "_clientMsgId": txn_id}
        number = await socket.ask("send-message", payload)
        async with asyncio.timeout(_ANSWER):
            async for kind, value in packets:
                if kind == "answer" and value[0] == number:
                    if not value[1]["success"]:
                        raise StreamRefused(value[1]["error"])
                    return str(value[1]["messageId"])
        raise StreamRefused("it ended")


class MatrixSpeaker(Speaker):
    """Speaks with a Matrix client; edits and redacts what they have said.

    Args:
        session: HTTP session.
        url: The homeserver.
        token: Their access token.
    """

    way = "matrix"

    def __init__(
        self,
        name: str,
        sender: str,
        room_id: str,
        journal: Journal,
        chance: Random,
        pause: float,
        session: aiohttp.ClientSession,
        url: str,
        token: str,
    ) -> None:
        super().__init__(name, sender, room_id, journal, chance, pause)
        self._session = session
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}"}
        self._changes = 0

    async def _say(self, body: str, txn_id: str) -> str | None:
        content = {"msgtype": "m.text", "body": body}
        return await self._put(f"send/m.room.message/{txn_id}", content, body)

    async def _change(self, event_id: str) -> None:
        self._changes += 1
        txn_id = f"{self.name}-c{self._changes}"
        text = f"{self.name} changed {self._changes}"
        if self._chance.random() < 0.3:
            self._own.remove(event_id)
            done = await self._put(f"redact/{quote(event_id)}/{txn_id}", {}, txn_id)
            kind = "delete"
        else:
            content: Json = {
                "msgtype": "m.text",
                "body": f"* {text}",
                "m.new_content": {"msgtype": "m.text", "body": text},
                "m.relates_to": {"rel_type": "m.replace", "event_id": event_id},
            }
            done = await self._put(f"send/m.room.message/{txn_id}", content, txn_id)
            kind = "edit"
        self._journal.note(
            "changed", who=self.name, kind=kind, event=event_id, text=text, done=done is not None
        )

    async def _put(self, path: str, body: Mapping[str, object], what: str) -> str | None:
        url = f"{self._url}/_matrix/client/v3/rooms/{quote(self.room_id)}/{path}"
        answer = await persist(
            lambda: call(self._session, "PUT", url, headers=self._headers, body=body),
            what,
            self._chance,
        )
        if answer.status != 200:
            self._refused(what, answer)
            return None
        return str(answer.body["event_id"])
