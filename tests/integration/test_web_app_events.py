"""The web app's event stream: who may open it, what comes over it, and going on from an id."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
import pytest_asyncio

from ..support.chat import Chat, chat_at
from ..support.databases import Databases
from ..support.openmeet import User
from ..support.streams import Stream, sse

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

EVENTS = "/api/matrix/events"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chat(
    databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Chat]:
    async with chat_at(tmp_path_factory.mktemp("chat"), databases.create()) as chat:
        yield chat


def opened(
    chat: Chat, headers: Mapping[str, str], params: Mapping[str, str] = {}
) -> AbstractAsyncContextManager[Stream]:
    """Opens the stream as somebody."""
    url = chat.world.settings.api_url
    return sse(chat.world.session, url, headers=headers, params=params, path=EVENTS)


def cookie(user: User) -> dict[str, str]:
    """What a browser sends along by itself."""
    return {"Cookie": f"openmeet_token={user.tenant.token(user.number, user.slug)}"}


def told(stream: Stream, kind: str, **data: Any) -> dict[str, Any]:
    """The one event of a type with these values."""
    (frame,) = stream.of(kind, **data)
    return frame.data


async def test_what_happens_comes_named_as_matrix_names_it(chat: Chat) -> None:
    room_id = chat.room.room_id
    async with opened(chat, chat.ann.headers()) as stream:
        hello = await stream.wait("connection_confirmed", matrixUserId=chat.ann.mxid)
        assert hello.cursor == hello.data["_cursor"]
        said = await chat.says(chat.ben, "<b>Hi</b>")
        message = await stream.wait("m.room.message", event_id=said)
        assert message.cursor == message.data["_cursor"]
        assert message.data["sender"] == chat.ben.mxid
        assert message.data["sender_name"] == "Ben"
        assert message.data["content"] == {"msgtype": "m.text", "body": "&lt;b>Hi&lt;/b>"}
        assert message.data["room_id"] == message.data["roomId"] == room_id
        await chat.ben.do("PUT", chat.path("typing"), {"typing": True})
        await stream.wait("m.typing", typing=[chat.ben.mxid], user_ids=[chat.ben.mxid])
        await chat.mia.do("POST", chat.path("read"), {"event_id": said})
        receipt = await stream.wait("m.receipt", room_id=room_id)
        assert list(receipt.data["content"][said]["m.read"]) == [chat.mia.mxid]
        await chat.sure(chat.ben, "PUT", chat.path("entries", said, "reactions", "👍"))
        reacted = await stream.wait("m.room.message.changed", event_id=said)
        assert reacted.data["content"]["reactions"] == {"👍": [chat.ben.mxid]}
        await chat.sure(chat.ben, "DELETE", chat.path("entries", said))
        gone = await stream.wait("m.room.redaction", redacts=said)
    ids = [frame.data["_broadcastId"] for frame in stream.frames]
    assert len(set(ids)) == len(ids)
    assert gone.data["sender"] == chat.ben.mxid


async def test_a_browser_goes_on_from_the_last_id(chat: Chat) -> None:
    here = cookie(chat.ann) | {"X-Tenant-Id": "here"}
    async with opened(chat, here) as stream:
        first = await stream.wait("connection_confirmed")
    assert first.cursor is not None
    said = [await chat.says(chat.ben, text) for text in ("one", "two")]
    query = {"tenantId": "here", "cursor": "1-00000000-1"}
    async with opened(chat, cookie(chat.ann) | {"Last-Event-ID": first.cursor}, query) as again:
        await again.wait("m.room.message", event_id=said[1])
    assert [one.data["event_id"] for one in again.of("m.room.message")] == said
    # The same event is the same, whenever it is sent.
    async with opened(chat, here, {"cursor": first.cursor}) as once_more:
        await once_more.wait("m.room.message", event_id=said[1])
    ids = [
        told(one, "m.room.message", event_id=said[0])["_broadcastId"] for one in (again, once_more)
    ]
    assert ids[0] == ids[1]
    async with opened(chat, here, {"cursor": "1-00000000-1"}) as lost:
        reset = await lost.wait("reset", reason="unknown_cursor")
    assert reset.cursor == reset.data["_cursor"]


async def test_a_ticket_opens_one_stream(chat: Chat) -> None:
    ticket = (await chat.ann.do("POST", "/stream/tickets"))["ticket"]
    async with opened(chat, {}, {"ticket": ticket}) as stream:
        await stream.wait("connection_confirmed", matrixUserId=chat.ann.mxid)
    async with opened(chat, {}, {"ticket": ticket}) as again:
        assert again.status == 401


@pytest.mark.parametrize(
    ("headers", "query", "message"),
    [
        ({}, "", "Tenant ID is required"),
        ({"Cookie": "openmeet_token="}, "?tenantId=+", "Tenant ID is required"),
        ({}, "?tenantId=here", "Authentication required"),
        ({"X-Tenant-Id": "here"}, "", "Authentication required"),
        ({"X-Tenant-Id": "here", "Cookie": "openmeet_token=x"}, "", "Invalid token"),
        ({"X-Tenant-Id": "here", "Authorization": "Bearer x"}, "", "Invalid token"),
        ({}, "?ticket=spent", "Invalid token"),
    ],
)
async def test_strangers_are_told_so_before_the_stream_begins(
    chat: Chat, headers: dict[str, str], query: str, message: str
) -> None:
    url = chat.world.settings.api_url + EVENTS + query
    async with chat.world.session.get(url, headers=headers) as answer:
        body = await answer.json()
    assert (answer.status, answer.content_type) == (401, "application/json")
    assert (body["statusCode"], body["message"], body["path"]) == (401, message, EVENTS)


async def test_the_token_of_another_tenant_opens_nothing(chat: Chat) -> None:
    foreign = cookie(chat.ann) | {"X-Tenant-Id": "there"}
    async with opened(chat, foreign) as stream:
        assert stream.status == 401


async def test_who_is_put_out_learns_it_and_hears_no_more(chat: Chat) -> None:
    room_id = chat.room.room_id
    async with opened(chat, chat.ben.headers()) as stream, opened(chat, chat.ann.headers()) as anns:
        await stream.wait("connection_confirmed")
        await anns.wait("connection_confirmed")
        name = (await chat.ben.rooms())[room_id]["slug"]
        await chat.world.here.do("DELETE", f"/groups/{name}/members/{chat.ben.slug}")
        await stream.wait("m.room.member", room_id=room_id, state_key=chat.ben.mxid)
        said = await chat.says(chat.ann, "Is he gone?")
        await anns.wait("m.room.message", event_id=said)
        left = await anns.wait("m.room.member", room_id=room_id, state_key=chat.ben.mxid)
    assert left.data["content"]["membership"] == "leave"
    own = stream.of("m.room.member", room_id=room_id)
    assert {one.data["content"]["membership"] for one in own} == {"leave"}
    assert not stream.of("m.room.message", event_id=said)


async def test_the_end_says_why(chat: Chat) -> None:
    async with opened(chat, chat.eve.headers(lifetime=2.0)) as stream:
        bye = await stream.wait("bye")
        await stream.until(lambda one: one.ended, "the end")
    assert (bye.data["reason"], bye.data["reconnect"]) == ("token_expired", True)
