"""Somebody with a stock Matrix client, for tests that are not asynchronous themselves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import nio  # type: ignore[import-untyped]

from tests.support.loop_thread import LoopThread, loop_thread
from tests.support.matrix_user import MatrixUser, Seen


class MatrixFriend:
    """A person in a Matrix client. Make one with :func:`matrix_friend`."""

    def __init__(self, client: Any, user: MatrixUser, thread: LoopThread) -> None:
        self._client = client
        self._user = user
        self._thread = thread

    def call_me(self, name: str) -> None:
        """Sets the name that others see."""
        self._thread.run(self._client.set_displayname(name))

    def join(self, alias: str) -> str:
        """Joins a room by its alias; returns its id."""
        return self._thread.run(self._user.join(alias))

    def send(self, room_id: str, body: str) -> str:
        """Sends a text; returns the event's id."""
        return self._thread.run(self._user.send(room_id, body))

    def send_event(self, room_id: str, kind: str, content: dict[str, Any]) -> str:
        """Sends any message event; returns its id."""
        return self._thread.run(self._user.send_event(room_id, kind, content))

    def redact(self, room_id: str, event_id: str) -> str:
        """Deletes a message."""
        return self._thread.run(self._user.redact(room_id, event_id))

    def type(self, room_id: str, typing: bool = True) -> None:
        """Starts to type, or stops."""
        self._thread.run(self._user.type(room_id, typing))

    def read(self, room_id: str, event_id: str) -> None:
        """Has read up to an event."""
        self._thread.run(self._user.read(room_id, event_id))

    def wait_for(self, room_id: str, body: str) -> Seen:
        """Waits until a message is there; returns it."""
        return self._thread.run(self._user.wait_for(room_id, body), 60)

    def bodies(self, room_id: str) -> list[str]:
        """What was said in a room, from the server's history."""
        return [seen.body for seen in self._thread.run(self._user.messages(room_id))]

    def typists(self, room_id: str) -> list[str]:
        """Who types, as far as the client knows after asking."""
        self._thread.run(self._user.sync(1000))
        return self._user.typing.get(room_id, [])


@contextmanager
def matrix_friend(homeserver_url: str, username: str, password: str) -> Iterator[MatrixFriend]:
    """Somebody who has logged in, for the length of the block."""
    with loop_thread() as thread:
        client = thread.run(_client(homeserver_url, username))
        try:
            login = thread.run(client.login(password))
            assert isinstance(login, nio.LoginResponse), login
            yield MatrixFriend(client, MatrixUser(client, login.access_token), thread)
        finally:
            thread.run(client.close())


async def _client(homeserver_url: str, username: str) -> Any:
    return nio.AsyncClient(homeserver_url, username)
