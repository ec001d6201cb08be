"""OpenMeet's web app: names of direct chats, filled pages, and which texts are one message."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from openmeet_bridge.api.web_app.direct_shapes import chat
from openmeet_bridge.api.web_app.discussion import PageQuery
from openmeet_bridge.bridge.direct_lists import DirectChat
from openmeet_bridge.bridge.pages import Place
from openmeet_bridge.bridge.sending import Actor, Message, Outcome, Sending
from openmeet_bridge.bridge.timeline import Page, Timeline
from openmeet_bridge.bridge.web_sending import WebSending
from openmeet_bridge.bridge.web_timeline import WebTimeline
from openmeet_bridge.core.allowance import Allowance
from openmeet_bridge.core.composing import Format
from openmeet_bridge.core.cursor import order_text
from openmeet_bridge.core.directory import User
from openmeet_bridge.core.entry import Entry, Person
from openmeet_bridge.core.errors import Conflict, Forbidden, InvalidParam, NotFound, Unavailable
from openmeet_bridge.core.ids import (
    EventId,
    Mxid,
    PortalKind,
    PortalRef,
    RoomId,
    TenantId,
    UserSlug,
)
from openmeet_bridge.core.naming import direct_slug
from openmeet_bridge.core.web_chat import chat_number, chat_of, chat_ulid
from openmeet_bridge.storage import outbox_repeats
from openmeet_bridge.storage.database import Database

LAKE, SEA = TenantId("lake"), TenantId("sea")
ANN, BEN = UserSlug("ann_lee--x1"), UserSlug("Bén+1")
ROOM = RoomId("!room")
MXID = Mxid("@ann:test")
ANNS = Person(MXID, "Ann", None, ANN)


def direct(tenant: TenantId, one: UserSlug, other: UserSlug) -> PortalRef:
    return PortalRef(tenant, PortalKind.DIRECT, direct_slug(one, other))


# Names of direct chats


def test_a_chat_is_found_again_by_its_word_and_by_its_two_people_only() -> None:
    ref = direct(LAKE, ANN, BEN)
    ulid = chat_ulid(ref)
    assert ulid.isascii()
    assert ulid.isalnum()
    assert ulid == ulid.lower() == chat_ulid(direct(LAKE, BEN, ANN))
    assert chat_of(LAKE, ANN, ulid) == chat_of(LAKE, BEN, ulid) == ref
    assert chat_of(SEA, ANN, ulid) == direct(SEA, ANN, BEN)
    for user, word in (
        (UserSlug("eve"), ulid),
        (UserSlug(""), ulid),
        (ANN, ulid.upper()),
        (ANN, ulid[:-1]),
        (ANN, ulid + "a"),
        (ANN, f"{ulid}="),
        (ANN, ""),
        (ANN, "a"),
        (ANN, "77777777"),
        (ANN, chat_ulid(PortalRef(LAKE, PortalKind.DIRECT, f"{ANN}"))),
        (ANN, chat_ulid(PortalRef(LAKE, PortalKind.DIRECT, f"zoe+{ANN}"))),
        (ANN, "a" * 5000),
    ):
        assert chat_of(LAKE, user, word) is None, word


def test_a_chat_has_a_number_that_javascript_can_hold() -> None:
    pairs = [direct(tenant, ANN, UserSlug(f"u{n}")) for tenant in (LAKE, SEA) for n in range(500)]
    numbers = {chat_number(ref) for ref in pairs}
    assert len(numbers) == len(pairs)
    assert all(0 < number < 1 << 53 for number in numbers)
    assert chat_number(pairs[0]) == chat_number(direct(LAKE, UserSlug("u0"), ANN))


def test_whoever_is_gone_has_no_name_and_nobody_an_address() -> None:
    me = User(LAKE, ANN, 7, "Ann  Maria Lee", "https://x/ann.png")
    shown = chat(me, DirectChat(direct(LAKE, ANN, BEN), ROOM, None, [], 0))
    assert (shown.user.firstName, shown.user.lastName) == ("Ann", "Maria Lee")
    assert shown.user.photo is not None
    assert shown.user.photo.path == "https://x/ann.png"
    assert (shown.participant.id, shown.participant.slug) == (0, "")
    assert shown.participant.name == "OpenMeet user"
    assert {one.email for one in shown.participants} == {None}
    unknown = User(LAKE, BEN, None, "\u202e \n", None)
    shown = chat(me, DirectChat(direct(LAKE, ANN, BEN), ROOM, unknown, [], 0))
    assert (shown.participant.id, shown.participant.name) == (0, "OpenMeet user")


def test_an_allowance_comes_back() -> None:
    allowance = Allowance(60, kept=2)
    assert [allowance.take("ann", 2, now) for now in (0, 10, 20, 59)] == [0, 0, 40, 1]
    assert allowance.take("ben", 2, 20) == 0
    assert allowance.take("ann", 2, 60) == 0
    assert allowance.take("ann", 2, 61) == 9
    assert allowance.take("ann", 1, 61) == 59
    assert allowance.take("eve", 1, 61) == 0  # Ben is forgotten, who waited longest
    assert allowance.take("ann", 2, 61) == 9


# Pages


@pytest.mark.parametrize(
    ("given", "size"),
    [
        (None, 50),
        ("", 50),
        ("NaN", 50),
        ("10 years", 50),
        ("٣", 50),
        ("7", 7),
        (" +7.9 ", 7),
        ("0", 1),
        ("-5", 1),
        ("201", 200),
        ("999999999", 200),
    ],
)
def test_any_limit_is_one(given: str | None, size: int) -> None:
    assert PageQuery(limit=given).size == size


class Past:
    """A timeline of so many lines, in which every so many is a message.

    Attributes:
        away: Below this line the homeserver would have to be asked, and is away.
    """

    def __init__(self, lines: int, every: int = 1, *, away: int = 0) -> None:
        self.away = away
        self.asked = 0
        self._entries = [entry(n, "text" if n % every == 0 else "member") for n in range(lines)]

    async def page(
        self, tenant: TenantId, mxid: Mxid, room_id: RoomId, place: Place, *, limit: int
    ) -> Page:
        self.asked += 1
        assert limit <= 201
        if room_id != ROOM:
            raise NotFound("You are in no such room.")
        older = [one for one in self._entries if place.before is None or one.order < place.before]
        older = older[self.away :]
        if self.away and not older:
            raise Unavailable("away")
        return Page(older[-limit:], len(older) > limit or self.away > 0, False, [])

    def web(self) -> WebTimeline:
        return WebTimeline(cast(Timeline, self))


def entry(number: int, kind: str) -> Entry:
    event_id = EventId(f"${number}")
    return Entry(event_id, ROOM, order_text(number), 1, "m.room.message", kind, ANNS, number, "Hi")


async def read(past: Past, limit: int) -> list[list[int]]:
    """Reads all there is, page by page."""
    pages: list[list[int]] = []
    before = None
    while before != "":
        page = await past.web().page(LAKE, MXID, ROOM, limit=limit, before=before)
        pages.append([one.timestamp for one in page.messages])
        before = page.end
    return pages


async def test_pages_are_full_and_the_last_one_says_so() -> None:
    assert await read(Past(6), 3) == [[5, 4, 3], [2, 1, 0]]
    assert await read(Past(7), 3) == [[6, 5, 4], [3, 2, 1], [0]]
    assert await read(Past(0), 3) == [[]]
    assert await read(Past(500, 100), 3) == [[400, 300, 200], [100, 0]]
    assert [len(page) for page in await read(Past(450), 9999)] == [200, 200, 50]
    assert [len(page) for page in await read(Past(3), 0)] == [1, 1, 1]


async def test_a_page_ends_where_looking_on_would_cost_too_much() -> None:
    past = Past(5000, 4999)
    pages = await read(past, 50)
    assert [one for page in pages for one in page] == [4999, 0]
    assert len(pages) > 2
    assert past.asked <= 30


async def test_what_is_there_is_shown_while_the_homeserver_is_away() -> None:
    past = Past(10, away=6)
    page = await past.web().page(LAKE, MXID, ROOM, limit=5, before=None)
    assert [one.timestamp for one in page.messages] == [9, 8, 7, 6]
    assert page.end == order_text(6)
    with pytest.raises(Unavailable):
        await past.web().page(LAKE, MXID, ROOM, limit=5, before=page.end)
    with pytest.raises(Forbidden):
        await past.web().page(LAKE, MXID, RoomId("!other"), limit=5, before=None)
    with pytest.raises(InvalidParam):
        await past.web().page(LAKE, MXID, ROOM, limit=5, before="t1-2")


# Which texts are one message


class Post:
    """Accepts messages; each is answered with what ``answers`` has next, once it is ``free``."""

    def __init__(self, *answers: Outcome) -> None:
        self.ids: list[str] = []
        self.formats: list[Format] = []
        self.waiting: list[tuple[str, bytes]] = []
        self.free = asyncio.Event()
        self.free.set()
        self._answers = list(answers)

    async def send(self, actor: Actor, txn_id: str, message: Message) -> Outcome:
        self.ids.append(txn_id)
        self.formats.append(message.format)
        await self.free.wait()
        return self._answers.pop(0)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[None]:
        yield None

    async def wait(self, *_: object) -> list[tuple[str, bytes]]:
        return self.waiting


ACTOR = Actor(LAKE, ANN, MXID, ROOM)
PENDING = Outcome("pending")


def sent(number: int) -> Outcome:
    return Outcome("sent", EventId(f"${number}"))


class Desk(WebSending):
    """The sending of a bridge on a post, with a clock."""

    def __init__(self, post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock = 100.0
        monkeypatch.setattr(outbox_repeats, "waiting", post.wait)
        fake: Any = post
        super().__init__(cast(Database, fake), cast(Sending, fake), lambda: self.clock)


async def test_a_text_is_another_message_once_it_was_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    post = Post(sent(1), sent(2), sent(3))
    desk = Desk(post, monkeypatch)
    post.free.clear()
    first, same = (asyncio.create_task(desk.send(ACTOR, "ok")) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()  # who asked first has hung up
    await asyncio.sleep(0)
    post.free.set()
    assert await same == "$1"
    assert await desk.send(ACTOR, "ok") == "$2"
    assert await desk.send(ACTOR, "*ok*") == "$3"
    assert len(set(post.ids)) == len(post.ids) == 3
    assert post.formats == [Format.PLAIN, Format.PLAIN, Format.MARKDOWN]


async def test_a_text_is_the_same_message_while_nobody_knows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    post = Post(PENDING, PENDING, sent(1), PENDING, sent(2), sent(3), sent(4))
    desk = Desk(post, monkeypatch)
    for _ in range(2):
        with pytest.raises(Unavailable, match="will be sent"):
            await desk.send(ACTOR, "ok")
        desk.clock += 29
    assert await desk.send(ACTOR, "ok") == "$1"
    assert len(set(post.ids)) == 1
    # Told, and then nothing for a while: that is another one, unless it still waits.
    with pytest.raises(Unavailable):
        await desk.send(ACTOR, "ok")
    desk.clock += 31
    post.waiting = [("web.other", b'{"body": "oh"}'), (post.ids[-1], b'{"body": "ok"}')]
    assert await desk.send(ACTOR, "ok") == "$2"
    post.waiting = []
    assert await desk.send(ACTOR, "ok") == "$3"
    assert await desk.send(Actor(SEA, ANN, MXID, ROOM), "ok") == "$4"
    assert post.ids[3] == post.ids[4]
    assert len(set(post.ids)) == 4


async def test_a_clients_own_id_makes_it_the_same_message_for_good(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    post = Post(*map(sent, range(4)))
    desk = Desk(post, monkeypatch)
    other = Actor(LAKE, ANN, MXID, RoomId("!other"))
    for actor, own_id in ((ACTOR, "1"), (ACTOR, "1"), (ACTOR, "2"), (other, "1")):
        await desk.send(actor, "ok", own_id)
    assert post.ids[0] == post.ids[1]
    assert len(set(post.ids)) == 3


@pytest.mark.parametrize(
    ("errcode", "error"),
    [("M_FORBIDDEN", Forbidden), ("M_TOO_LARGE", InvalidParam), ("M_BAD_STATE", Conflict)],
)
async def test_the_homeservers_no_is_an_answer(
    monkeypatch: pytest.MonkeyPatch, errcode: str, error: type[Exception]
) -> None:
    post = Post(Outcome("failed", None, errcode, "No."), sent(1))
    desk = Desk(post, monkeypatch)
    with pytest.raises(error):
        await desk.send(ACTOR, "ok")
    assert await desk.send(ACTOR, "ok") == "$1"
    assert len(set(post.ids)) == 2
