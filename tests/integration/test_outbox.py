"""The outbox: one row a message, in order, confirmed by whoever says so first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from openmeet_bridge.bridge.own_echoes import OwnEchoes
from openmeet_bridge.core.actions import Action
from openmeet_bridge.core.ids import ClientTxnId, EventId, RoomId, TenantId, UserSlug
from openmeet_bridge.storage import outbox, room_turns
from openmeet_bridge.storage.database import Database
from openmeet_bridge.storage.outbox import Message
from openmeet_bridge.storage.room_turns import Attempt

from ..support.house import LAKE, ROOM, SEA, ghost, house_at
from ..support.workers import enter

ME = "this worker"
OTHER = RoomId("!other")
EVENT = EventId("$sent")


class Outbox:
    def __init__(self, database: Database) -> None:
        self.database = database

    async def put(
        self,
        client_txn_id: str,
        room_id: RoomId = ROOM,
        slug: str = "ann",
        tenant: TenantId = LAKE,
        content: bytes = b"{}",
        **more: Any,
    ) -> tuple[Message, bool]:
        async with self.database.transaction() as connection:
            return await outbox.put(
                connection,
                tenant,
                UserSlug(slug),
                ClientTxnId(client_txn_id),
                room_id,
                ghost(slug, tenant),
                content,
                **more,
            )

    async def get(self, message: Message) -> Message:
        async with self.database.connection() as connection:
            found = await outbox.by_id(connection, message.id)
        assert found is not None
        return found


@pytest.fixture
async def box(database_url: str) -> AsyncIterator[Outbox]:
    database = Database(database_url)
    yield Outbox(database)
    await database.close()


async def test_a_message_that_is_repeated_is_one(box: Outbox) -> None:
    first, new = await box.put("1", content=b'{"body":"first"}')
    assert (new, first.state, first.attempts, first.event_id) == (True, "pending", 0, None)
    again, new = await box.put("1", OTHER, content=b'{"body":"other"}')
    assert not new
    assert again == first


async def test_a_message_that_is_repeated_at_once_is_one(box: Outbox) -> None:
    results = await asyncio.gather(*(box.put("1") for _ in range(8)))
    assert sum(new for _, new in results) == 1
    assert len({message.id for message, _ in results}) == 1


async def test_an_id_is_its_users_own(box: Outbox) -> None:
    for slug, tenant in (("ann", LAKE), ("ben", LAKE), ("ann", SEA)):
        assert (await box.put("1", slug=slug, tenant=tenant))[1]
    async with box.database.connection() as connection:
        nobody = UserSlug("cleo")
        assert await outbox.get(connection, LAKE, nobody, ClientTxnId("1")) is None
        mine = await outbox.get(connection, SEA, UserSlug("ann"), ClientTxnId("1"))
        assert mine is not None
        assert mine.sender == ghost("ann", SEA)


async def test_messages_of_a_room_go_in_order(box: Outbox) -> None:
    sent = [(await box.put(name))[0] for name in ("b", "a", "c")]
    await box.put("z", OTHER)
    async with box.database.connection() as connection:
        assert await outbox.pending_count(connection, ROOM) == 3
        assert await outbox.pending_total(connection) == 4
        assert set(await room_turns.pending_rooms(connection, ME)) == {ROOM, OTHER}
        for message in sent:
            found = await room_turns.next_pending(connection, ROOM, ME)
            assert found.message == message
            await outbox.mark_sent(connection, message.id, EventId(f"${message.id}"))
        assert (await room_turns.next_pending(connection, ROOM, ME)).message is None
        assert await room_turns.pending_rooms(connection, ME) == [OTHER]


async def test_the_first_attempt_is_remembered(box: Outbox) -> None:
    message, _ = await box.put("1")
    async with box.database.connection() as connection:
        await enter(connection, ME)
        await room_turns.attempt(connection, message, ME)
        first = await box.get(message)
        await room_turns.attempt(connection, message, ME)
    second = await box.get(message)
    assert first.first_attempt_at is not None
    assert (first.attempts, second.attempts) == (1, 2)
    assert second.first_attempt_at == first.first_attempt_at


async def test_a_message_that_failed_says_why(box: Outbox) -> None:
    message, _ = await box.put("1")
    async with box.database.connection() as connection:
        await outbox.mark_failed(connection, message.id, "M_FORBIDDEN", "No.")
        assert (await room_turns.next_pending(connection, ROOM, ME)).message is None
    failed = await box.get(message)
    assert (failed.state, failed.errcode, failed.error) == ("failed", "M_FORBIDDEN", "No.")
    assert (await box.put("1"))[0] == failed


async def test_what_is_sent_cannot_fail_any_more(box: Outbox) -> None:
    message, _ = await box.put("1")
    async with box.database.connection() as connection:
        await outbox.mark_sent(connection, message.id, EVENT)
        await outbox.mark_failed(connection, message.id, "M_FORBIDDEN", "No.")
    assert (await box.get(message)).state == "sent"


@pytest.mark.parametrize("failed", [False, True])
async def test_an_echo_is_proof_even_of_what_seemed_to_have_failed(
    box: Outbox, failed: bool
) -> None:
    message, _ = await box.put("1")
    async with box.database.connection() as connection:
        if failed:
            await outbox.mark_failed(connection, message.id, "M_FORBIDDEN", "No.")
        (sent,) = await outbox.confirm(connection, [(message.sender, "1", EVENT)])
        assert (sent.id, sent.event_id) == (message.id, EVENT)
        assert await outbox.confirm(connection, [(message.sender, "1", EventId("$2"))]) == []
    now = await box.get(message)
    assert (now.state, now.event_id, now.errcode, now.error) == ("sent", EVENT, None, None)


async def test_only_the_senders_own_echo_is_proof(box: Outbox) -> None:
    message, _ = await box.put("1")
    strangers = [ghost("ben"), ghost("ann", SEA)]
    async with box.database.connection() as connection:
        echoes = [(stranger, "1", EVENT) for stranger in strangers]
        assert await outbox.confirm(connection, [*echoes, (message.sender, None, EVENT)]) == []
        assert await outbox.confirm(connection, []) == []
    assert (await box.get(message)).state == "pending"


async def test_sends_whose_echo_is_overdue(database_url: str) -> None:
    async with house_at(database_url) as house:
        await house.room(ghost("ann"))
        (seen,) = await house.says(ghost("ann"))
        box = Outbox(house.database)
        for name, room, event_id in (("1", ROOM, seen), ("2", OTHER, EVENT)):
            message, _ = await box.put(name, room)
            async with house.database.connection() as connection:
                await outbox.mark_sent(connection, message.id, event_id)
        async with house.database.connection() as connection:
            assert await outbox.sent_without_echo(connection, 600, 10) == []
            assert await outbox.sent_without_echo(connection, -1, 10) == [OTHER]
            assert await outbox.sent_without_echo(connection, -1, 0) == []
            await connection.execute("UPDATE outbox SET sent_at = now() - interval '2 hours'")
            assert await outbox.sent_without_echo(connection, -1, 10) == []


async def test_what_one_has_just_said_is_waited_for(database_url: str) -> None:
    async with house_at(database_url) as house:
        ann = await house.user("ann")
        await house.room(ann)
        message, _ = await Outbox(house.database).put("1")
        echoes = OwnEchoes(house.database)
        await asyncio.wait_for(echoes.wait(LAKE, ann, ROOM), 1)  # it waits itself
        async with house.database.connection() as connection:
            await outbox.mark_sent(connection, message.id, EVENT)
        others = (SEA, ann, ROOM), (LAKE, ghost("ben"), ROOM), (LAKE, ann, OTHER)
        for tenant, who, room_id in others:
            await asyncio.wait_for(echoes.wait(tenant, who, room_id), 1)
        waiting = asyncio.create_task(echoes.wait(LAKE, ann, ROOM))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        (seen,) = await house.says(ann)
        async with house.database.connection() as connection:
            await connection.execute("UPDATE outbox SET event_id = $1", seen)
        await waiting
        async with house.database.connection() as connection:
            assert not await outbox.awaits_echo(connection, LAKE, ann, ROOM, 600)


async def test_what_nobody_has_tried_to_send_can_be_withdrawn(box: Outbox) -> None:
    tried, waiting, sent = [(await box.put(name))[0] for name in ("1", "2", "3")]
    async with box.database.connection() as connection:
        await enter(connection, ME)
        assert await room_turns.attempt(connection, tried, ME) is Attempt.MADE
        await outbox.mark_sent(connection, sent.id, EVENT)
        ids = [tried.id, waiting.id, sent.id]
        assert await outbox.withdraw(connection, ids) == [waiting.id]
        assert await outbox.withdraw(connection, ids) == []
        # Whoever is about to send it is told not to.
        assert await room_turns.attempt(connection, waiting, ME) is Attempt.NEEDLESS
        await outbox.mark_failed(connection, waiting.id, "M_FORBIDDEN", "No.")
    assert (await box.get(waiting)).errcode == outbox.WITHDRAWN
    assert [(await box.get(one)).state for one in (tried, sent)] == ["pending", "sent"]


@pytest.mark.parametrize(("action", "about"), [(Action.SEND, EVENT), (Action.EDIT, None)])
async def test_a_redaction_finds_its_target_once_that_is_sent(
    box: Outbox, action: Action, about: EventId | None
) -> None:
    message, _ = await box.put("1", action=action)
    gone, _ = await box.put("2")
    redactions = [
        (await box.put(f"/{one.id}", action=Action.DELETE, target_row=one.id))[0]
        for one in (message, gone)
    ]
    async with box.database.connection() as connection:
        assert await outbox.aim(connection, redactions[0].id) is None
        await outbox.mark_sent(connection, message.id, EVENT)
        await outbox.mark_failed(connection, gone.id, "M_FORBIDDEN", "No.")
        assert await outbox.aim(connection, redactions[0].id) == EVENT
        assert await outbox.aim(connection, redactions[1].id) is None
    aimed = await box.get(redactions[0])
    assert (aimed.target, aimed.about, aimed.own_id) == (EVENT, about, None)


async def test_what_was_settled_long_ago_is_forgotten(box: Outbox) -> None:
    names = ("sent", "failed", "wanted", "pending", "new")
    rows = {name: (await box.put(name))[0] for name in names}
    await box.put("/", action=Action.DELETE, target_row=rows["wanted"].id)
    async with box.database.connection() as connection:
        for name in ("sent", "wanted", "new"):
            await outbox.mark_sent(connection, rows[name].id, EVENT)
        await outbox.mark_failed(connection, rows["failed"].id, "M_FORBIDDEN", "No.")
        await connection.execute(
            """
            UPDATE outbox SET created_at = now() - interval '9 days',
                              sent_at = sent_at - interval '9 days',
                              failed_at = failed_at - interval '9 days'
            WHERE client_txn_id <> 'new'
            """
        )
        assert await outbox.forget(connection, 8 * 86_400, 1) == 1
        assert await outbox.forget(connection, 8 * 86_400, 10) == 1
        left = await connection.fetch("SELECT client_txn_id FROM outbox ORDER BY id")
    assert [row["client_txn_id"] for row in left] == ["wanted", "pending", "new", "/"]
