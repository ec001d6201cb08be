"""Saying, editing, reacting and deleting: once, in order, whatever is repeated or lost."""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import pytest_asyncio
from aiohttp import web

from openmeet_bridge.api import entries, messages, presence, read_state, rooms, timeline
from openmeet_bridge.api.endpoint import Endpoint
from openmeet_bridge.bridge import reacting

from ..support.chat import Chat, chat_at, held_until, is_sent
from ..support.databases import Databases
from ..support.fault_proxy import Exchange, lose_answer, pass_on
from ..support.openmeet import Answer, message_path
from ..support.waiting import eventually

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

LIKE, HEART = "👍", "❤️"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chat(
    databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Chat]:
    async with chat_at(tmp_path_factory.mktemp("chat"), databases.create()) as chat:
        yield chat


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def healthy(chat: Chat) -> None:
    """Every test begins on a good day."""
    chat.simulated.proxy.rule = pass_on
    await chat.quiet()


def live(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The events without redactions, and without what those have blanked."""
    gone = {one["content"].get("redacts") for one in events}
    kept = [one for one in events if one["type"] != "m.room.redaction"]
    return [one for one in kept if one["event_id"] not in gone]


async def told_or_tired(request: asyncio.Task[Answer]) -> None:
    """Checks that who waits for something is told that it was taken back, if they still wait."""
    answer = await request
    assert (answer.status, answer.errcode) in ((409, "ORG_OPENMEET_WITHDRAWN"), (202, None))


BODIES: dict[str, dict[str, Any]] = {
    "send": {"body": "x"},
    "edit": {"body": "x"},
    "read": {"event_id": "$x"},
    "mark_unread": {"unread": True},
    "type_in": {"typing": True},
}


def paths_with(chat: Chat, bad: str) -> Iterator[tuple[str, Endpoint, str]]:
    """Every path below a room with one name in it that is bad, and which."""
    good = {"room_id": chat.room.room_id, "event_id": "$x", "client_txn_id": "t.1", "key": LIKE}
    tables = (entries, messages, presence, read_state, rooms, timeline)
    for endpoint in (one for table in tables for one in table.ENDPOINTS):
        for name in (one for one in good if f"{{{one}}}" in endpoint.path):
            path = endpoint.path.removeprefix("/api/v1")
            for other, value in good.items():
                named = bad if other == name else quote(value, safe="")
                path = path.replace(f"{{{other}}}", named)
            yield name, endpoint, path


@pytest.mark.parametrize("bad", ["%00", "a%00b", "%ED%A0%80", "x%FF"])
async def test_names_that_cannot_be_are_named(chat: Chat, bad: str) -> None:
    asked = list(paths_with(chat, bad))
    assert len(asked) > 30
    for name, endpoint, path in asked:
        answer = await chat.ann.ask(endpoint.method, path, BODIES.get(endpoint.name))
        assert answer.status == 400, (endpoint.name, answer)
        assert list(answer.body["fields"]) == [f"path.{name}"]
    for name in ("before", "after", "around", "at", "limit"):
        answer = await chat.ann.ask("GET", f"{chat.path('timeline')}?{name}={bad}")
        assert list(answer.body["fields"]) == [f"query.{name}"], answer
        assert answer.status in (400, 404)  # what is no text is read as text that is unknown


@pytest.mark.parametrize("bad", ["\x00", "a\x00b", "\ud800", "x\udc00"])
async def test_names_in_bodies_that_cannot_be_are_named(chat: Chat, bad: str) -> None:
    edits = chat.path("entries", "$x", "edits", "t.1")
    for method, path, field, value in (
        ("PUT", chat.path("messages", "t.1"), "body", bad),
        ("PUT", chat.path("messages", "t.1"), "reply_to", bad),
        ("PUT", chat.path("messages", "t.1"), "thread", bad),
        ("PUT", chat.path("messages", "t.1"), "mentions", [chat.ben.mxid, bad]),
        ("PUT", edits, "body", bad),
        ("PUT", edits, "mentions", [chat.ben.mxid, bad]),
        ("POST", chat.path("read"), "event_id", bad),
    ):
        rest = {} if field == "event_id" else {"body": "x"}
        answer = await chat.ann.ask(method, path, {**rest, field: value})
        assert (answer.status, answer.errcode) == (400, "M_BAD_JSON"), (path, field, answer)
        assert list(answer.body["fields"]) == [f"body.{field}" + "[1]" * (field == "mentions")]


async def test_a_reaction_is_there_or_not_however_often_it_is_said(chat: Chat) -> None:
    said = await chat.says(chat.ann)
    path = chat.path("entries", said, "reactions", LIKE)
    answers = await asyncio.gather(*(chat.sure(chat.ben, "PUT", path) for _ in range(5)))
    (reaction,) = chat.about(said)
    assert reaction["content"]["m.relates_to"] == {
        "rel_type": "m.annotation",
        "event_id": said,
        "key": LIKE,
    }
    wanted = {"status": "sent", "event_id": reaction["event_id"]}
    assert answers == [wanted] * 5
    await chat.quiet()
    assert await chat.sure(chat.ben, "PUT", path) == wanted  # now from the log
    await chat.sure(chat.ann, "PUT", path)
    await chat.sure(chat.ann, "PUT", chat.path("entries", said, "reactions", HEART))
    await chat.quiet()
    entry = await chat.entry(said)
    assert [(one["key"], one["count"]) for one in entry["reactions"]] == [(LIKE, 2), (HEART, 1)]
    answers = await asyncio.gather(*(chat.sure(chat.ben, "DELETE", path) for _ in range(5)))
    assert len({answer["event_id"] for answer in answers}) == 1
    await chat.quiet()
    assert await chat.sure(chat.ben, "DELETE", path) == answers[0]
    assert [one["sender"] for one in live(chat.about_all(said))] == [chat.ann.mxid] * 2
    # What was never there is not there.
    nothing = await chat.ben.ask("DELETE", chat.path("entries", said, "reactions", HEART))
    assert nothing == Answer(200, {"status": "sent"})


@pytest.mark.parametrize("turns", [2, 5, 6])
async def test_a_change_of_mind_ends_in_the_last_one(chat: Chat, turns: int) -> None:
    said = await chat.says(chat.ann)
    path = chat.path("entries", said, "reactions", LIKE)
    # The first one is on its way and nobody knows whether it has arrived.
    came = chat.simulated.proxy.once(lose_answer, is_sent)
    for turn in range(turns):
        await chat.ann.do("DELETE" if turn % 2 else "PUT", path)
        await came.wait()
    await chat.quiet()
    there = bool(turns % 2)
    assert len(live(chat.about_all(said))) == there
    entry = await chat.entry(said)
    assert bool(entry.get("reactions")) == there
    await chat.ann.do("DELETE", path)


async def test_reactions_that_wait_are_taken_back_unsent(chat: Chat) -> None:
    said = await chat.says(chat.ann)
    path = chat.path("entries", said, "reactions", LIKE)
    free = asyncio.Event()
    came = chat.simulated.proxy.once(held_until(free), is_sent)
    await chat.ann.do("PUT", chat.path("entries", said, "reactions", HEART))
    await came.wait()
    waiting = asyncio.create_task(chat.ann.ask("PUT", path))
    await eventually(lambda: chat.waits("key = $1", LIKE), "it waits")
    assert await chat.ann.ask("DELETE", path) == Answer(200, {"status": "sent"})
    await told_or_tired(waiting)
    free.set()
    await chat.quiet()
    assert [one["content"]["m.relates_to"]["key"] for one in chat.about(said)] == [HEART]
    await chat.sure(chat.ann, "PUT", path)


async def test_a_reaction_given_with_another_client_is_the_same(chat: Chat) -> None:
    said = await chat.says(chat.ann)
    relation = {"rel_type": "m.annotation", "event_id": said, "key": LIKE}
    rooms = chat.simulated.homeserver.rooms
    there = rooms.send(chat.room, chat.ann.mxid, "m.reaction", {"m.relates_to": relation})
    path = chat.path("entries", said, "reactions", LIKE)
    assert (await chat.ann.ask("PUT", path)).status == 202
    chat.simulated.homeserver.push()
    await chat.quiet()
    assert await chat.ann.ask("PUT", path) == Answer(200, {"status": "sent", "event_id": there})
    assert len(chat.about(said)) == 1


async def test_an_edit_is_one_however_often_it_is_sent(chat: Chat) -> None:
    said = await chat.says(chat.ann, "Hello", kind="emote")
    path = chat.path("entries", said, "edits", secrets.token_hex(8))
    chat.simulated.proxy.once(lose_answer, is_sent)
    answers = await asyncio.gather(
        *(chat.ann.ask("PUT", path, {"body": "Bye", "format": "markdown"}) for _ in range(4))
    )
    assert {answer.status for answer in answers} <= {200, 202}
    await chat.quiet()
    (edit,) = chat.about(said)
    assert edit["content"]["m.relates_to"] == {"rel_type": "m.replace", "event_id": said}
    assert edit["content"]["m.new_content"]["msgtype"] == "m.emote"
    entry = await chat.entry(said)
    assert (entry["kind"], entry["text"]) == ("emote", "Bye")
    again = await chat.ann.ask("PUT", path, {"body": "Something else"})
    assert again == Answer(200, {"status": "sent", "event_id": edit["event_id"]})
    txn_id = path.rpartition("/")[2]
    status = await chat.ann.do("GET", message_path(chat.room.room_id, txn_id))
    assert status == again.body
    elsewhere = await chat.ann.ask("PUT", message_path(chat.room.room_id, txn_id), {"body": "x"})
    assert elsewhere.status == 409


async def test_a_message_is_deleted_with_all_that_it_came_to_say(chat: Chat) -> None:
    said = await chat.says(chat.ann, "secret")
    for number in range(3):
        edit = chat.path("entries", said, "edits", secrets.token_hex(8))
        await chat.ann.do("PUT", edit, {"body": f"secret {number}"})
    free = asyncio.Event()
    came = chat.simulated.proxy.once(held_until(free), is_sent)
    await chat.ben.send(chat.room.room_id, "meanwhile")
    await came.wait()
    late = asyncio.create_task(
        chat.ann.ask("PUT", chat.path("entries", said, "edits", "late"), {"body": "secret 3"})
    )
    await eventually(lambda: chat.waits("about = $1", said), "the last edit waits")
    path = chat.path("entries", said)
    first = await chat.ann.ask("DELETE", path, params={"reason": "No."})
    assert first.status == 202
    await told_or_tired(late)
    status = await chat.ann.do("GET", message_path(chat.room.room_id, "late"))
    assert status["errcode"] == "ORG_OPENMEET_WITHDRAWN"
    refused = await chat.ann.ask("PUT", chat.path("entries", said, "edits", "x"), {"body": "y"})
    assert refused.status == 409
    free.set()
    await chat.quiet()
    edits = [one["event_id"] for one in chat.about(said) if one["type"] == "m.room.message"]
    assert len(edits) == 3
    assert {said, *edits} <= chat.room.redacted
    done = [one for one in chat.about(said) if one["type"] == "m.room.redaction"]
    assert [one["content"]["reason"] for one in done] == ["No."]
    wanted = Answer(200, {"status": "sent", "event_id": done[0]["event_id"]})
    for user in (chat.ann, chat.mia, chat.ben):
        assert await user.ask("DELETE", path) == wanted
    entry = await chat.entry(said)
    assert (entry["kind"], entry["deletion"]["reason"]) == ("deleted", "No.")
    assert len(chat.about(said)) == 4
    for change in (("PUT", chat.path("entries", said, "reactions", LIKE), None),):
        assert (await chat.ann.ask(*change)).status == 409


async def test_what_was_just_sent_can_be_changed_at_once(chat: Chat) -> None:
    room_id = chat.room.room_id
    for _ in range(3):
        done = await chat.sure(chat.ann, "PUT", message_path(room_id), {"body": "a"})
        path = chat.path("entries", done["event_id"])
        await chat.ann.do("PUT", f"{path}/reactions/{quote(LIKE)}")
        await chat.ben.do("PUT", message_path(room_id), {"body": "b", "reply_to": done["event_id"]})
        await chat.ann.do("DELETE", path)


async def test_moderators_delete_what_others_have_said(chat: Chat) -> None:
    said = await chat.says(chat.ann)
    path = chat.path("entries", said)
    refused = await chat.ben.ask("DELETE", path)
    assert (refused.status, refused.errcode) == (403, "M_FORBIDDEN")
    await chat.mia.do("DELETE", path, params={"reason": "Rude."})
    await chat.quiet()
    entry = await chat.entry(said)
    assert entry["deletion"]["by"]["mxid"] == chat.mia.mxid
    assert entry["deletion"]["reason"] == "Rude."


async def test_messages_are_taken_back(chat: Chat) -> None:
    free = asyncio.Event()
    came = chat.simulated.proxy.once(held_until(free), is_sent)
    room_id = chat.room.room_id
    first, second = (message_path(room_id, secrets.token_hex(8)) for _ in range(2))
    assert (await chat.ann.ask("PUT", first, {"body": "regretted"})).status == 202
    await came.wait()
    waiting = asyncio.create_task(chat.ann.ask("PUT", second, {"body": "never said"}))
    await eventually(
        lambda: chat.waits("client_txn_id = $1", second.rpartition("/")[2]), "it waits"
    )
    for _ in range(2):
        assert await chat.ann.ask("DELETE", second) == Answer(200, {"status": "sent"})
        assert await chat.ann.ask("DELETE", first) == Answer(202, {"status": "pending"})
    await told_or_tired(waiting)
    assert (await chat.ann.do("GET", second))["errcode"] == "ORG_OPENMEET_WITHDRAWN"
    assert (await chat.ann.ask("PUT", second, {"body": "never said"})).status == 409
    free.set()
    await chat.quiet()
    sent = [one for one in chat.events("m.room.message") if one["content"]["body"] == "regretted"]
    assert [one["event_id"] in chat.room.redacted for one in sent] == [True]
    assert (await chat.ann.do("DELETE", first))["event_id"] == chat.about(sent[0]["event_id"])[0][
        "event_id"
    ]
    assert not [
        one for one in chat.events("m.room.message") if one["content"]["body"] == "never said"
    ]
    # Sent and seen long ago, and known by the log alone.
    txn_id = secrets.token_hex(8)
    third = message_path(room_id, txn_id)
    event_id = (await chat.sure(chat.ann, "PUT", third, {"body": "old"}))["event_id"]
    await chat.logged(event_id)
    await chat.forget()
    assert await chat.ann.ask("PUT", third, {"body": "old"}) == Answer(
        200, {"status": "sent", "event_id": event_id}
    )
    assert (await chat.ann.do("GET", third))["event_id"] == event_id
    assert (await chat.eve.ask("GET", third)).status == 404
    assert (await chat.ben.ask("DELETE", third)).status == 404
    await chat.ann.do("DELETE", third)
    await chat.quiet()
    assert event_id in chat.room.redacted
    assert (
        len([one for one in chat.events("m.room.message") if one["content"]["body"] == "old"]) == 1
    )


async def test_all_of_it_goes_in_order_whatever_is_lost(chat: Chat) -> None:
    said, other = await chat.says(chat.ann), await chat.says(chat.ann)
    before, number = len(chat.room.timeline), 0

    async def moody(exchange: Exchange) -> web.StreamResponse:
        nonlocal number
        number += is_sent(exchange)
        if not is_sent(exchange) or number % 4 == 0:
            return await exchange.forward()
        if number % 4 == 1:
            return await lose_answer(exchange)
        body = {"errcode": "M_LIMIT_EXCEEDED", "error": "slow", "retry_after_ms": 1}
        return web.json_response(body, status=429 if number % 4 == 2 else 500)

    chat.simulated.proxy.rule = moody
    entry = chat.path("entries", said)
    changes = [
        ("PUT", f"{entry}/reactions/{quote(LIKE)}", None, "m.reaction"),
        ("PUT", f"{entry}/edits/{secrets.token_hex(8)}", {"body": "B"}, "m.room.message"),
        ("DELETE", chat.path("entries", other), None, "m.room.redaction"),
        ("PUT", f"{entry}/reactions/{quote(HEART)}", None, "m.reaction"),
        ("PUT", message_path(chat.room.room_id), {"body": "C"}, "m.room.message"),
    ]
    for method, path, body, _ in changes:
        await chat.ann.do(method, path, body)
    await chat.quiet()
    done = [event["type"] for _, event in chat.room.timeline[before:]]
    assert done == [kind for _, _, _, kind in changes]


async def test_what_can_never_be_done_is_told_to_its_sender(chat: Chat) -> None:
    said = await chat.says(chat.ann)
    proxy = chat.simulated.proxy

    free = asyncio.Event()

    async def refuse_late(exchange: Exchange) -> web.StreamResponse:
        await free.wait()
        return web.json_response({"errcode": "M_FORBIDDEN", "error": "No."}, status=403)

    edit, like = (
        chat.path("entries", said, "edits", "e-7"),
        chat.path("entries", said, "reactions", LIKE),
    )
    async with chat.ann.stream() as stream:
        await stream.wait("hello")
        more: dict[str, Any]
        for method, path, body, more in (
            ("PUT", like, None, {"action": "react", "key": LIKE}),
            ("PUT", edit, {"body": "x"}, {"action": "edit", "client_txn_id": "e-7"}),
            ("DELETE", chat.path("entries", said), None, {"action": "delete"}),
        ):
            free.clear()
            proxy.once(refuse_late, is_sent)
            assert (await chat.ann.ask(method, path, body)).status == 202
            free.set()
            frame = await stream.wait("send.failed", seconds=60, **more)
            assert frame.data == {
                "room_id": chat.room.room_id,
                "errcode": "M_FORBIDDEN",
                "error": "No.",
                "event_id": said,
                **more,
            }
        assert (await chat.ann.ask("PUT", edit, {"body": "x"})).status == 403
        # What is a matter of state may be tried anew.
        await chat.sure(chat.ann, "PUT", like)
        await chat.sure(chat.ann, "DELETE", chat.path("entries", said))


async def test_only_what_could_be_doubled_is_given_up_after_a_day(chat: Chat) -> None:
    said = await chat.says(chat.ann)
    message = message_path(chat.room.room_id)
    like = chat.path("entries", said, "reactions", LIKE)
    for path, body in ((message, {"body": "perhaps"}), (like, None)):
        free = asyncio.Event()

        async def fail(exchange: Exchange, free: asyncio.Event = free) -> web.StreamResponse:
            await free.wait()
            return web.Response(status=502)

        came = chat.simulated.proxy.once(fail, is_sent)
        assert (await chat.ann.ask("PUT", path, body)).status == 202
        await came.wait()
        await chat.world.sql(
            "UPDATE outbox SET first_attempt_at = now() - interval '21 h' WHERE state = 'pending'"
        )
        free.set()
        await chat.quiet()
    assert (await chat.ann.do("GET", message))["errcode"] == "ORG_OPENMEET_UNCERTAIN"
    assert len(chat.about(said)) == 1


LONG, UNKNOWN = "x" * 32_769, "$unknown"
MESSAGE, ENTRY = "messages/{txn}", "entries/{said}"
EDIT, REACTIONS = "entries/{said}/edits/{txn}", "entries/{said}/reactions"
REFUSALS: list[tuple[str, str, str, dict[str, Any] | None, int, str]] = [
    # Who is not in the room is told that there is none.
    ("eve", "PUT", MESSAGE, {"body": "x"}, 404, ""),
    ("eve", "PUT", EDIT, {"body": "x"}, 404, ""),
    ("eve", "PUT", f"{REACTIONS}/x", None, 404, ""),
    ("eve", "DELETE", f"{REACTIONS}/x", None, 404, ""),
    ("eve", "DELETE", ENTRY, None, 404, ""),
    ("eve", "DELETE", MESSAGE, None, 404, ""),
    # What is not there.
    ("ann", "PUT", "entries/{unknown}/edits/{txn}", {"body": "x"}, 404, "path.event_id"),
    ("ann", "PUT", "entries/{unknown}/reactions/x", None, 404, "path.event_id"),
    ("ann", "DELETE", "entries/{unknown}/reactions/x", None, 404, "path.event_id"),
    ("ann", "DELETE", "entries/{unknown}", None, 404, "path.event_id"),
    ("ann", "DELETE", "entries/{elsewhere}", None, 404, "path.event_id"),
    ("ann", "PUT", MESSAGE, {"body": "x", "reply_to": UNKNOWN}, 400, "body.reply_to"),
    ("ann", "PUT", MESSAGE, {"body": "x", "reply_to": "{elsewhere}"}, 400, "body.reply_to"),
    ("ann", "PUT", MESSAGE, {"body": "x", "thread": UNKNOWN}, 400, "body.thread"),
    ("ann", "PUT", MESSAGE, {"body": "x", "thread": "{threaded}"}, 400, "body.thread"),
    ("ann", "PUT", MESSAGE, {"body": "x", "mentions": ["{ben}", "no"]}, 400, "body.mentions[1]"),
    ("ann", "PUT", MESSAGE, {"body": "x", "mentions": ["{eve}"]}, 400, "body.mentions[0]"),
    ("ann", "PUT", EDIT, {"body": "x", "mentions": ["@no:one"]}, 400, "body.mentions[0]"),
    # What may not be.
    ("ann", "PUT", MESSAGE, {"body": "x", "mention_room": True}, 403, "body.mention_room"),
    ("ben", "PUT", EDIT, {"body": "x"}, 403, ""),
    ("mia", "PUT", EDIT, {"body": "x"}, 403, ""),
    ("ben", "DELETE", ENTRY, None, 403, ""),
    ("mia", "PUT", "entries/{came}/edits/{txn}", {"body": "x"}, 403, ""),
    ("mia", "DELETE", "entries/{came}", None, 400, "path.event_id"),
    # What cannot be.
    ("ann", "PUT", MESSAGE, {"body": LONG}, 413, "body.body"),
    ("ann", "PUT", EDIT, {"body": LONG}, 413, "body.body"),
    ("ann", "PUT", MESSAGE, {"body": "\x01" * 32_000}, 413, "body.body"),
    ("ann", "PUT", MESSAGE, {"body": ""}, 400, "body.body"),
    ("ann", "PUT", MESSAGE, {"body": " \n\u200b"}, 400, "body.body"),
    ("ann", "PUT", MESSAGE, {"body": "<p></p>", "format": "html"}, 400, "body.body"),
    ("ann", "PUT", MESSAGE, {"body": "a\0b"}, 400, "body.body"),
    ("ann", "PUT", MESSAGE, {"body": "x", "format": "rtf"}, 400, "body.format"),
    ("ann", "PUT", MESSAGE, {"body": "x", "kind": "image"}, 400, "body.kind"),
    ("ann", "PUT", MESSAGE, {"body": "x", "mentions": ["x"] * 51}, 400, "body.mentions"),
    ("ann", "PUT", MESSAGE, {"body": "x", "colour": "red"}, 400, "body.colour"),
    ("ann", "PUT", EDIT, {"body": "x", "kind": "emote"}, 400, "body.kind"),
    ("ann", "PUT", "messages/a b", {"body": "x"}, 400, "path.client_txn_id"),
    ("ann", "PUT", f"{REACTIONS}/%20", None, 400, "path.key"),
    ("ann", "PUT", f"{REACTIONS}/a%00b", None, 400, "path.key"),
    ("ann", "PUT", f"{REACTIONS}/a%0Ab", None, 400, "path.key"),
    ("ann", "PUT", f"{REACTIONS}/{'👍' * 26}", None, 400, "path.key"),
    ("ann", "DELETE", f"{ENTRY}?reason={'x' * 501}", None, 400, "query.reason"),
    ("ann", "DELETE", f"{ENTRY}?reason=a%00b", None, 400, "query.reason"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def names(chat: Chat) -> dict[str, str]:
    """What the paths and bodies of requests may name."""
    said = await chat.says(chat.ann)
    other = await chat.world.here.group(f"other-{secrets.token_hex(4)}", [chat.ann])
    done = await chat.ann.send(other, "elsewhere")
    timeline = await chat.ann.timeline(chat.room.room_id)
    return {
        "said": said,
        "threaded": await chat.says(chat.ben, thread=said),
        "elsewhere": await chat.logged(done["event_id"]),
        "came": next(one["event_id"] for one in timeline if one["kind"] == "member"),
        "unknown": UNKNOWN,
        "ben": chat.ben.slug,
        "eve": chat.eve.mxid,
    }


def filled(value: Any, names: dict[str, str]) -> Any:
    """A body with the names in their places."""
    if isinstance(value, dict):
        return {key: filled(one, names) for key, one in value.items()}
    if isinstance(value, list):
        return [filled(one, names) for one in value]
    return value.format(**names) if isinstance(value, str) and "{" in value else value


@pytest.mark.parametrize(
    ("who", "method", "path", "body", "status", "field"),
    REFUSALS,
    ids=lambda one: one[:40] if isinstance(one, str) else "",
)
async def test_what_is_refused_says_why(
    chat: Chat,
    names: dict[str, str],
    who: str,
    method: str,
    path: str,
    body: dict[str, Any] | None,
    status: int,
    field: str,
) -> None:
    before = len(chat.room.timeline)
    path = path.format(**names, txn=secrets.token_hex(4))
    user = getattr(chat, who)
    answer = await user.ask(method, f"{chat.path()}/{path}", filled(body, names))
    assert answer.status == status, answer
    assert answer.body["error"]
    assert field in answer.body.get("fields", {}) or not field, answer
    assert len(chat.room.timeline) == before


async def test_an_entry_has_so_many_different_reactions(
    chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reacting, "MOST_KEYS", 2)
    said = await chat.says(chat.ann)
    path = chat.path("entries", said, "reactions")
    for key in ("1", "2"):
        await chat.ann.do("PUT", f"{path}/{key}")
    await chat.quiet()
    assert (await chat.ann.ask("PUT", f"{path}/3")).status == 400
    await chat.ben.do("PUT", f"{path}/2")
    await chat.ann.do("DELETE", f"{path}/1")
    await chat.quiet()
    await chat.ann.do("PUT", f"{path}/3")


async def test_who_may_only_read(chat: Chat) -> None:
    said = await chat.says(chat.ben)
    levels = chat.room.content("m.room.power_levels")
    rooms = chat.simulated.homeserver.rooms

    async def set_levels(content: dict[str, Any]) -> None:
        creator = chat.room.creator
        done = rooms.set_state(chat.room, creator, "m.room.power_levels", content, "")
        chat.simulated.homeserver.push()
        await chat.logged(done)

    try:
        await set_levels(levels | {"events_default": 50})
        for method, path, body in (
            ("PUT", message_path(chat.room.room_id), {"body": "x"}),
            ("PUT", chat.path("entries", said, "edits", "muted"), {"body": "x"}),
            ("PUT", chat.path("entries", said, "reactions", LIKE), None),
            ("DELETE", chat.path("entries", said), None),
        ):
            answer = await chat.ben.ask(method, path, body)
            assert (answer.status, answer.errcode) == (403, "M_FORBIDDEN"), path
            assert "You may read this room" in answer.body["error"]
        await chat.says(chat.mia, "all of you", mention_room=True)
        await set_levels(levels | {"events": levels["events"] | {"m.reaction": 50}})
        answer = await chat.ben.ask("PUT", chat.path("entries", said, "reactions", LIKE))
        assert answer.status == 403
        await chat.says(chat.ben)
    finally:
        await set_levels(levels)


TEXTS = ["", "\0", "a\0", ".", "..", "/", "%", "{", "x" * 255, "x" * 256, "\u202eevil", "😀" * 30]
VALUES: list[Any] = [None, True, 0, -1, 1.5, 2**70, 1e300, [], {}, [[[]]], {"a": None}, *TEXTS]


async def test_nothing_breaks_it(chat: Chat, names: dict[str, str]) -> None:
    chance = random.Random(4)
    whole = {
        "body": "**x**",
        "format": "markdown",
        "kind": "text",
        "reply_to": names["said"],
        "thread": names["said"],
        "mentions": [names["ben"]],
        "mention_room": False,
    }
    for _ in range(120):
        body = dict(whole)
        for key in chance.sample(sorted(whole), 2):
            body[key] = chance.choice(VALUES)
        parts = [chance.choice([names["said"], *TEXTS[1:]]) for _ in range(2)]
        method, path = chance.choice(
            [
                ("PUT", chat.path("messages", parts[0])),
                ("DELETE", chat.path("messages", parts[0])),
                ("PUT", chat.path("entries", parts[0], "edits", parts[1])),
                ("PUT", chat.path("entries", parts[0], "reactions", parts[1])),
                ("DELETE", chat.path("entries", parts[0], "reactions", parts[1])),
                ("PUT", chat.path("messages", secrets.token_hex(8))),
                ("DELETE", chat.path("entries", parts[1])),
            ]
        )
        has_body = "messages" in path or "edits" in path
        params = {"reason": str(chance.choice(VALUES))} if method == "DELETE" else {}
        sent = body if method == "PUT" and has_body else None
        answer = await chat.eve.ask(method, path, sent, params)
        assert answer.status < 500, (method, path, sent, answer)
        answer = await chat.ben.ask(method, path, sent, params)
        assert answer.status < 500, (method, path, sent, answer)
        if answer.status == 400 and answer.errcode != "M_NOT_JSON":
            assert answer.body["fields"], (method, path, sent, answer)
    await chat.quiet()


async def test_every_call_of_the_guide(chat: Chat) -> None:
    """The guide to the API does what it says, from its first line to its last."""
    page = (Path(__file__).parents[2] / "docs/how-to/talk-through-the-api.md").read_text("utf-8")
    blocks = re.findall(r"^```bash\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    script = "set -euo pipefail\n" + "\n".join(blocks)
    token = chat.mia.headers()["Authorization"].removeprefix("Bearer ")
    shell = await asyncio.create_subprocess_exec(
        "bash",
        "-c",
        script.replace("http://127.0.0.1:8480", chat.world.settings.api_url),
        env={**os.environ, "TOKEN": token},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said = (await shell.communicate())[0].decode()
    assert shell.returncode == 0, said
    answers = [json.loads(line) for line in said.splitlines()]
    assert len(answers) == script.count("\nask ")
    (edited,) = [one for one in answers if "edited" in one]
    assert edited["html"] == "Who brings map <em>and</em> compass?"
    assert answers[-1] == {"presence": False, "receipts": False}
    await chat.sure(chat.mia, "PUT", "/me/preferences", {"presence": True, "receipts": True})
