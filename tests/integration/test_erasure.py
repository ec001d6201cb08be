"""Erasure: nothing of the person is left with us, whatever stops it on the way."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any

import pytest

from openmeet_bridge.bridge import erasure as erasure_module
from openmeet_bridge.bridge import redacting
from openmeet_bridge.bridge.data_export import DataExport
from openmeet_bridge.bridge.directory import Directory
from openmeet_bridge.bridge.erasure import Erasures
from openmeet_bridge.core.changes import PutDirect, PutMember, PutPortal, PutUser
from openmeet_bridge.core.directory import Member, Portal, User
from openmeet_bridge.core.errors import Conflict, NotFound
from openmeet_bridge.core.ids import (
    ClientTxnId,
    EventId,
    Mxid,
    PortalKind,
    PortalRef,
    RoomId,
    UserSlug,
)
from openmeet_bridge.core.naming import direct_slug
from openmeet_bridge.core.rules import Rules
from openmeet_bridge.matrix.errors import HomeserverUnavailable, RateLimited, Refused
from openmeet_bridge.storage import (
    ghosts,
    jobs,
    outbox,
    pictures,
    preferences,
    presence,
    quarantine,
    read_marks,
)
from openmeet_bridge.storage.database import Database
from openmeet_bridge.storage.preferences import Preferences
from openmeet_bridge.storage.presence import Seen
from openmeet_bridge.storage.read_marks import ReadMark

from ..support.ghost_matrix import GhostMatrix
from ..support.house import LAKE, NAMING, ROOM, House, ghost

ANN, BEN = UserSlug("ann"), UserSlug("ben")
SECRET = "lives in the blue house"
PICTURE = "https://files.test/ann.png"
PAIR = PortalRef(LAKE, PortalKind.DIRECT, direct_slug(ANN, BEN))
PAIR_ROOM = RoomId("!pair")


class World:
    def __init__(self, database: Database) -> None:
        self.database = database
        self.house = House(database)
        self.matrix = GhostMatrix()
        self.gone: list[Mxid] = []
        self.directory = Directory(
            database, NAMING, lambda _: Rules(), lambda: None, self.gone.append, lambda *_: None
        )
        self.erasures = Erasures(
            database,
            self.matrix.as_homeserver(),
            NAMING,
            self.directory,
            lambda: None,
            self.gone.append,
            self._note_end,
        )
        self.ended = 0

    def _note_end(self) -> None:
        self.ended += 1

    async def sql(self, statement: str, *arguments: object) -> list[Any]:
        async with self.database.connection() as connection:
            return list(await connection.fetch(statement, *arguments))

    async def said(self, *texts: str, room_id: RoomId = ROOM) -> list[EventId]:
        """Let Ann say something."""
        contents = [{"msgtype": "m.text", "body": f"{text}: {SECRET}"} for text in texts]
        return await self.house._push(room_id, "m.room.message", ghost("ann"), contents, None)

    async def run(self) -> None:
        """Run the job until it is done, as the reconciler does."""
        for _ in range(50):
            await self.erasures.work(LAKE, ANN)
            if (await self.erasures.report(LAKE, ANN)).state == "done":
                return
        raise AssertionError("not done")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody sends the log the echoes of what the homeserver is told here."""
    monkeypatch.setattr(erasure_module, "_ECHO_PATIENCE", 0.0)


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        database = Database(database_url)
        stack.push_async_callback(database.close)
        world = World(database)
        await people(world)
        yield world


async def people(world: World) -> None:
    """Ann and Ben, in a group and in a direct chat, with all that is kept of them."""
    ref = PortalRef(LAKE, PortalKind.GROUP, "hikers")
    await world.directory.apply(
        LAKE,
        [
            PutUser(User(LAKE, ANN, 1, "Ann Secret", PICTURE)),
            PutUser(User(LAKE, BEN, 2, "Ben", None)),
            PutPortal(Portal(ref, NAMING.alias(ref), "Hikers")),
            PutMember(ref, Member(ANN)),
            PutDirect(ANN, BEN),
        ],
    )
    ann, ben = ghost("ann"), ghost("ben")
    await world.house.room(ben)
    shown = {"membership": "join", "displayname": "Ann Secret", "avatar_url": "mxc://test/ann"}
    invited = {"membership": "invite", "displayname": "Ann Secret"}
    await world.house.state(NAMING.bot, "m.room.member", ann, invited)
    await world.house.state(ann, "m.room.member", ann, shown)
    await world.house.room(ben, room_id=PAIR_ROOM, kind=PortalKind.DIRECT, slug=PAIR.slug)
    await world.house.state(ann, "m.room.member", ann, shown, PAIR_ROOM)
    name = {"name": "Ann Secret & Ben"}
    await world.house.state(NAMING.bot, "m.room.name", "", name, PAIR_ROOM)
    await world.house.state(ann, "m.room.topic", "", {"topic": "Ann's topic"})
    async with world.database.transaction() as connection:
        await pictures.put(connection, "digest", "mxc://test/ann", 9)
        await pictures.found(connection, PICTURE, "digest", None, 9)
        await ghosts.mark_registered(connection, ann)
        await ghosts.mark_name(connection, ann, "Ann Secret")
        await ghosts.mark_avatar(connection, ann, PICTURE, "mxc://test/ann")
        await outbox.put(connection, LAKE, ANN, ClientTxnId("t"), ROOM, ann, SECRET.encode())
        raw = b'{"sender":"' + ann.encode() + b'","body":"Ann Secret"}'
        await quarantine.put(connection, "1", [(raw, "odd"), (b"of somebody else", "odd")])
    (said, *_) = await world.said("hello", "again")
    await world.said("to you", room_id=PAIR_ROOM)
    liked = {"rel_type": "m.annotation", "event_id": said, "key": SECRET}
    await world.house.sends(ann, {"m.relates_to": liked}, kind="m.reaction")
    edited = {"rel_type": "m.replace", "event_id": said}
    new = {"msgtype": "m.text", "body": SECRET}
    await world.house.sends(ann, {**new, "m.new_content": new, "m.relates_to": edited})
    file = {"msgtype": "m.image", "body": SECRET, "url": "mxc://test/photo"}
    await world.house._push(ROOM, "m.room.message", ann, [file], None)
    await world.house.says(ben, 2)
    async with world.database.transaction() as connection:
        await read_marks.raise_marks(connection, [ReadMark(ROOM, ann, said, 5)])
        await presence.save(connection, [Seen(ann, "offline", datetime(2026, 5, 1, tzinfo=UTC))])
        await preferences.put(connection, LAKE, ANN, Preferences(receipts=False))
    world.matrix.rooms[ann] = {"!hidden"}


async def everything(world: World) -> str:
    """All that the database holds, as text."""
    tables = await world.sql(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
    )
    found = []
    for (table,) in tables:
        for row in await world.sql(f'SELECT * FROM "{table}"'):  # noqa: S608
            found += [str(value) for value in row.values()]
    return "\n".join(found)


async def test_nothing_of_the_person_is_left(world: World) -> None:
    assert SECRET in await everything(world)
    report = await world.erasures.request(LAKE, ANN)
    assert report.state == "running"
    assert world.gone == [ghost("ann")]
    assert world.ended == 0
    await world.run()
    assert world.ended == 1  # now whatever is held in memory is read anew
    left = await everything(world)
    for trace in (SECRET, "Ann Secret", PICTURE, "mxc://test/ann"):
        assert trace not in left
    assert "of somebody else" in left
    assert len(await world.sql("SELECT FROM log WHERE sender = $1 AND counted", ghost("ben"))) == 2


async def test_the_homeserver_is_rid_of_the_person_too(world: World) -> None:
    await world.erasures.request(LAKE, ANN)
    await world.run()
    texts = await world.sql(
        """
        SELECT event_id FROM log WHERE sender = $1 AND type IN ('m.room.message', 'm.reaction')
            OR type = 'm.room.member' AND state_key = $1 OR type = 'm.room.name'
        """,
        ghost("ann"),
    )
    assert world.matrix.redacted.keys() == {row["event_id"] for row in texts}
    assert world.matrix.names[ghost("ann")] == ""
    assert world.matrix.avatars[ghost("ann")] == ""
    assert world.matrix.did("deactivate") == [ghost("ann")]
    assert {"!hidden", ROOM, PAIR_ROOM} <= set(world.matrix.did("leave"))
    assert set(world.matrix.did("delete_media")) == {"mxc://test/ann", "mxc://test/photo"}


async def test_the_report_says_what_was_done_and_what_stays(world: World) -> None:
    world.matrix.always["delete_media", ""] = Refused(403, "M_FORBIDDEN", "You are not an admin")
    await world.erasures.request(LAKE, ANN)
    await world.run()
    report = await world.erasures.report(LAKE, ANN)
    assert (report.state, report.mxid, report.error) == ("done", ghost("ann"), None)
    assert report.finished_at is not None
    assert report.erased == {
        "messages": 5,
        "reactions": 1,
        "memberships": 3,
        "names of direct chats": 1,
        "rooms left": 3,
        "profile": 1,
        "account": 1,
        "names in rooms": 2,
        "read marks": 2,
        "edits and reactions": 2,
        "messages in the outbox": 1,
        "events in quarantine": 1,
        "jobs": 1,
    }
    topic, avatar, photo = report.left
    assert topic.what.startswith("m.room.topic")
    assert "_synapse/admin/v1/media/test/ann" in (avatar.do or "")
    assert "You are not an admin" in photo.why


async def test_what_was_begun_goes_on_after_every_failure(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redacting, "_BATCH", 2)
    away = HomeserverUnavailable("away")
    calls = ("device", "redact", "joined_rooms", "leave", "name", "avatar", "deactivate")
    world.matrix.failures = {call: [away] for call in (*calls, "delete_media")}
    world.matrix.failures["redact"] = [away, RateLimited("slow", retry_after_ms=1), away]
    await world.erasures.request(LAKE, ANN)
    failed = 0
    while (await world.erasures.report(LAKE, ANN)).state != "done":
        try:
            await world.erasures.work(LAKE, ANN)
        except HomeserverUnavailable:
            failed += 1
        assert failed < 20
    assert failed >= len(calls)
    assert SECRET not in await everything(world)
    report = await world.erasures.report(LAKE, ANN)
    assert report.erased["messages"] == 5


async def test_a_long_erasure_takes_turns(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redacting, "_BATCH", 1)
    monkeypatch.setattr(redacting, "_SLICE_SECONDS", -1.0)
    await world.erasures.request(LAKE, ANN)
    async with world.database.connection() as connection:
        before = await jobs.status(connection, LAKE, "erasure", ANN)
    await world.erasures.work(LAKE, ANN)
    async with world.database.connection() as connection:
        after = await jobs.status(connection, LAKE, "erasure", ANN)
    assert before is not None
    assert after is not None
    assert after.wanted == before.wanted + 1
    await world.run()
    assert SECRET not in await everything(world)


async def test_what_the_bot_may_not_redact_the_person_does(world: World) -> None:
    world.matrix.always["redact", NAMING.bot] = Refused(403, "M_FORBIDDEN", "not in the room")
    await world.erasures.request(LAKE, ANN)
    await world.run()
    assert (await world.erasures.report(LAKE, ANN)).erased["messages"] == 5


async def test_what_nobody_may_redact_is_reported_and_gone_with_us(world: World) -> None:
    world.matrix.always["redact", ""] = Refused(404, "M_NOT_FOUND", "no such event")
    await world.erasures.request(LAKE, ANN)
    await world.run()
    left = await everything(world)
    assert SECRET not in left
    report = await world.erasures.report(LAKE, ANN)
    assert report.erased["entries of our log alone"] == 9
    assert any("M_NOT_FOUND" in one.why and one.count == 10 for one in report.left)


async def test_a_picture_that_others_have_too_stays(world: World) -> None:
    await world.directory.apply(LAKE, [PutUser(User(LAKE, BEN, 2, "Ben", PICTURE))])
    await world.erasures.request(LAKE, ANN)
    await world.run()
    async with world.database.connection() as connection:
        found = await pictures.source(connection, PICTURE)
    assert found is not None
    assert found.mxc == "mxc://test/ann"
    assert world.matrix.did("delete_media") == ["mxc://test/photo"]


async def test_a_ghost_that_was_never_made(world: World) -> None:
    never = Refused(403, "M_FORBIDDEN", "Application service has not registered this user")
    for call in ("redact", "joined_rooms", "name", "deactivate"):
        world.matrix.always[call, ""] = never
    await world.erasures.request(LAKE, ANN)
    await world.run()
    report = await world.erasures.report(LAKE, ANN)
    assert not any("account" in one.what for one in report.left)


async def test_asking_again_is_harmless_and_the_slug_is_gone(world: World) -> None:
    with pytest.raises(NotFound):
        await world.erasures.request(LAKE, UserSlug("nobody"))
    with pytest.raises(NotFound):
        await world.erasures.report(LAKE, ANN)
    await world.erasures.request(LAKE, ANN)
    await world.erasures.request(LAKE, ANN)
    await world.run()
    calls = len(world.matrix.calls)
    report = await world.erasures.request(LAKE, ANN)
    await world.erasures.work(LAKE, ANN)
    assert report.state == "done"
    assert len(world.matrix.calls) == calls
    with pytest.raises(Conflict, match="erased"):
        await world.directory.apply(LAKE, [PutUser(User(LAKE, ANN, 1, "Ann", None))])


# Data export: the other thing that a person may ask for


async def exported(world: World, slug: UserSlug) -> list[dict[str, Any]]:
    return [record async for record in DataExport(world.database).records(LAKE, slug)]


async def test_everything_that_is_known_is_exported(world: World) -> None:
    found = await exported(world, ANN)
    kinds = [record["record"] for record in found]
    assert {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)} == {
        "profile": 1,
        "matrix_user": 1,
        "membership_on_openmeet": 2,
        "preferences": 1,
        "job": 1,
        "room": 2,
        "presence": 1,
        "read_up_to": 2,
        "event": 10,
        "sent_message": 1,
    }
    assert found[0]["name"] == "Ann Secret"
    bodies = [one["content"].get("body") for one in found if one["record"] == "event"]
    assert f"hello: {SECRET}" in bodies
    assert not any(one.get("sender") == ghost("ben") for one in found)


async def test_an_export_is_paged_and_of_nobody_else(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = await exported(world, ANN)
    monkeypatch.setattr("openmeet_bridge.bridge.data_export._PAGE", 2)
    assert await exported(world, ANN) == whole
    with pytest.raises(NotFound):
        await exported(world, UserSlug("nobody"))


async def test_after_an_erasure_there_is_little_to_export(world: World) -> None:
    await world.erasures.request(LAKE, ANN)
    await world.run()
    found = await exported(world, ANN)
    assert SECRET not in str(found)
    assert "Ann Secret" not in str(found)
    assert {"matrix_user", "erasure"} <= {one["record"] for one in found}
