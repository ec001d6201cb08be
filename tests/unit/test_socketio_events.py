"""Events of Socket.IO that cannot be answered as they should: they are answered all the same."""

from __future__ import annotations

from typing import Any, cast

import pytest

from openmeet_bridge.api.web_app import socketio_client
from openmeet_bridge.api.web_app.socketio_client import Client
from openmeet_bridge.api.web_app.socketio_doings import Doings
from openmeet_bridge.api.web_app.socketio_events import EVENTS, Events
from openmeet_bridge.api.web_app.socketio_said import Said
from openmeet_bridge.api.web_app.socketio_socket import Common, EngineSocket
from openmeet_bridge.core.entry import Person
from openmeet_bridge.core.errors import Unavailable
from openmeet_bridge.core.ids import Mxid, TenantId, UserSlug
from openmeet_bridge.stream.socketio_wire import SOCKETIO
from openmeet_bridge.stream.subscriber import Subscriber

NOW = 1_715_000_000.5
ROOM = {"roomId": "!room", "isTyping": True, "message": "hi", "userId": "ann"}


class Broken:
    """Every service at once, none of which works."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def find(self, *_: Any) -> Any:
        raise self._error

    by_name = find


def events(error: Exception) -> Events:
    broken = cast(Any, Broken(error))
    return Events(broken, broken, broken, broken, broken, broken, broken, lambda: NOW)


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Client:
    monkeypatch.setattr(socketio_client, "_LIVE_SECONDS", 0.0)
    common = cast(Common, None)  # nothing is ever written to it
    socket = EngineSocket("sid", Said(), common)
    ann = Person(Mxid("@ann:test"), "Ann", None, UserSlug("ann"))
    subscriber = Subscriber(TenantId("lake"), ann, socket, SOCKETIO)
    return Client(subscriber, 1, socket)


@pytest.mark.parametrize("name", EVENTS)
async def test_a_mistake_of_ours_is_answered_and_told_to_nobody(name: str, client: Client) -> None:
    answer = await events(RuntimeError("secret")).answer(client, name, ROOM)
    assert answer["success"] is False
    assert "secret" not in answer["error"]
    assert client.socket.buffered() == 0  # nothing is emitted


@pytest.mark.parametrize("name", EVENTS)
async def test_while_the_database_is_away_it_is_said_so(name: str, client: Client) -> None:
    answer = await events(Unavailable("Away.")).answer(client, name, ROOM)
    if name == "typing":
        warning = "Typing notification failed but continuing"
        assert answer == {"success": True, "warning": warning}
    elif name == "leave-room":
        assert answer["error"].startswith("Error leaving room: What you have missed")
    else:
        assert answer["error"].endswith(": Away.")
    dated = name in ("send-message", "subscribe", "subscribe-room")
    assert answer.get("timestamp") == (1_715_000_000_500 if dated else None)


async def test_nobody_asks_for_more_than_can_be_answered() -> None:
    doings = Doings(lambda: 0.0)
    assert [doings.begins() for _ in range(17)] == [True] * 16 + [False]
    for _ in range(16):
        doings.ends()
    began = 0
    while doings.begins():
        doings.ends()
        began += 1
    assert began == 60 - 16


async def test_what_was_said_of_typing_is_remembered_for_a_few_rooms() -> None:
    doings = Doings(lambda: 0.0)
    for number in range(101):
        doings.says(f"!{number}", typing=True)
    assert not doings.has_said("!0", typing=True)
    assert doings.has_said("!100", typing=True)
    assert not doings.has_said("!100", typing=False)
    doings.has_sent("!100")
    assert not doings.has_said("!100", typing=True)
