"""What ends when the directory changes ends in every process, also in one that was deaf."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import asyncpg
import pytest

from openmeet_bridge.bridge.directory import Directory
from openmeet_bridge.bridge.identity import Identity
from openmeet_bridge.bridge.signing_out import SigningOut
from openmeet_bridge.core.changes import Change, DeleteMember, PutMember, PutPortal, PutUser
from openmeet_bridge.core.directory import Member, Portal, User
from openmeet_bridge.core.errors import NotFound, UnknownToken
from openmeet_bridge.core.ids import Mxid, PortalKind, PortalRef, RoomId, UserSlug
from openmeet_bridge.core.rules import Rules
from openmeet_bridge.storage import announcements
from openmeet_bridge.storage.announcements import Announcements
from openmeet_bridge.storage.database import Database

from ..support.house import LAKE, NAMING, ROOM, House, ghost
from ..support.waiting import eventually

HIKERS = PortalRef(LAKE, PortalKind.GROUP, "hikers")
ANN = User(LAKE, UserSlug("ann"), 1, "Ann", None)
BEN = User(LAKE, UserSlug("ben"), 2, "Ben", None)
MANY = 60


@dataclass
class Process:
    """A process that works on the database, with what it was told to end."""

    database: Database
    users: list[Mxid] = field(default_factory=list)
    memberships: list[tuple[Mxid, RoomId]] = field(default_factory=list)
    signed_out: list[Mxid] = field(default_factory=list)
    woken: int = 0

    def __post_init__(self) -> None:
        self.directory = Directory(
            self.database,
            NAMING,
            lambda _: Rules(spaces=False),
            self.wake,
            user_gone=self.users.append,
            member_gone=lambda mxid, room_id: self.memberships.append((mxid, room_id)),
            streaming=lambda: [ghost("ann"), ghost("ben")],
            signed_out=self.signed_out.append,
        )

    def wake(self) -> None:
        self.woken += 1

    async def apply(self, *changes: Change) -> None:
        await self.directory.apply(LAKE, changes)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        began, endings = asyncio.Event(), self.directory.endings

        async def look() -> None:
            await endings.look()
            began.set()

        listener = Announcements(self.database.dsn, endings.heard, look)
        task = asyncio.create_task(listener.run())
        await began.wait()
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    made = Database(database_url)
    yield made
    await made.close()


@pytest.fixture
async def processes(database: Database) -> tuple[Process, Process]:
    """An operator's command and the bridge; Ann and Ben are in a room."""
    command, bridge = Process(database), Process(database)
    await command.apply(PutUser(ANN), PutUser(BEN), PutPortal(Portal(HIKERS, "", "Hikers")))
    await command.apply(*(PutMember(HIKERS, Member(one.slug)) for one in (ANN, BEN)))
    await House(database).room(ghost("ann"), ghost("ben"))
    return command, bridge


async def test_what_one_process_ends_the_other_ends(processes: tuple[Process, Process]) -> None:
    command, bridge = processes
    async with bridge.listening():
        await command.apply(DeleteMember(HIKERS, ANN.slug), PutUser(replace(BEN, active=False)))

        async def heard() -> bool:
            return bool(bridge.users) and len(bridge.memberships) == 2

        await eventually(heard, "the bridge hears it")
    assert bridge.users == command.users == [ghost("ben")]
    out = {(ghost("ann"), ROOM), (ghost("ben"), ROOM)}
    assert set(bridge.memberships) == set(command.memberships) == out
    assert bridge.woken


async def test_who_is_signed_out_is_so_everywhere(processes: tuple[Process, Process]) -> None:
    command, bridge = processes
    identity = Identity(bridge.database, ticket_lifetime=60.0)
    ticket = await identity.issue_ticket(ANN, 1)
    signing_out = SigningOut(command.database, command.directory.endings)
    async with bridge.listening():
        moment = await signing_out.sign_out(LAKE, ANN.slug)

        async def heard() -> bool:
            return bool(bridge.signed_out)

        await eventually(heard, "the bridge hears it")
    assert command.signed_out == bridge.signed_out == [ghost("ann")]
    assert bridge.users == []
    assert await identity.spend_ticket(ticket) is None
    for issued_at in (moment.timestamp() - 5, int(moment.timestamp())):
        for slug in ("ann", None):
            with pytest.raises(UnknownToken):
                await identity.user(LAKE, 1, slug, issued_at)
    for later in (moment.timestamp() + 1, None):
        assert await identity.user(LAKE, 1, "ann", later)
    # A process that was deaf meanwhile, and a user who is not there.
    deaf = Process(command.database)
    await deaf.directory.endings.look()
    assert (deaf.signed_out, deaf.users) == ([ghost("ann")], [])
    with pytest.raises(NotFound):
        await signing_out.sign_out(LAKE, UserSlug("nobody"))


async def test_who_ends_something_does_it_once(processes: tuple[Process, Process]) -> None:
    command, other = processes
    async with command.listening(), other.listening():
        await command.apply(DeleteMember(HIKERS, ANN.slug))
        await other.apply(DeleteMember(HIKERS, BEN.slug))

        async def heard() -> bool:
            return len(command.memberships) == len(other.memberships) == 2

        await eventually(heard, "both hear it")
    assert sorted(set(command.memberships)) == sorted(command.memberships)


async def test_who_was_deaf_looks_at_the_tables(
    processes: tuple[Process, Process], database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(announcements, "_CHECK", 0.2)
    monkeypatch.setattr(announcements, "_PAUSE", 0.1)
    command, bridge = processes
    async with bridge.listening():
        async with database.connection() as connection:
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE query LIKE 'LISTEN%' OR query = 'SELECT 1'"
            )
        await command.apply(DeleteMember(HIKERS, ANN.slug))

        async def looked() -> bool:
            return bridge.memberships == [(ghost("ann"), ROOM)]

        await eventually(looked, "the bridge looks")


async def test_a_dry_run_is_not_announced(processes: tuple[Process, Process]) -> None:
    command, bridge = processes
    async with bridge.listening():
        await command.directory.apply(LAKE, [DeleteMember(HIKERS, ANN.slug)], dry_run=True)
        await command.apply(DeleteMember(HIKERS, BEN.slug))

        async def heard() -> bool:
            return bool(bridge.memberships)

        await eventually(heard, "the bridge hears of Ben")
    assert bridge.memberships == [(ghost("ben"), ROOM)]


async def test_many_at_once_fit(processes: tuple[Process, Process], database: Database) -> None:
    command, bridge = processes
    users = [User(LAKE, UserSlug(f"{'ü' * 30}{n}"), 100 + n, "X", None) for n in range(MANY)]
    await command.apply(*map(PutUser, users))
    async with bridge.listening():
        await command.apply(*(PutUser(replace(one, active=False)) for one in users))

        async def heard() -> bool:
            return len(bridge.users) == MANY

        await eventually(heard, "the bridge hears of all")


async def test_what_is_no_announcement_is_passed_over(
    processes: tuple[Process, Process], database_url: str
) -> None:
    command, bridge = processes
    connection = await asyncpg.connect(database_url)
    async with bridge.listening():
        for payload in ("", "no json", "[]", '{"users": 1}'):
            await connection.execute("SELECT pg_notify('openmeet_bridge', $1)", payload)
        await command.apply(DeleteMember(HIKERS, ANN.slug))

        async def heard() -> bool:
            return bool(bridge.memberships)

        await eventually(heard, "the bridge still hears")
    await connection.close()
