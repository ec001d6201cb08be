"""Who is anything in a group, whether Matrix shows them in its room, and why not."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from openmeet_bridge.bridge.directory import Directory
from openmeet_bridge.bridge.roster import Roster, Seat
from openmeet_bridge.core.changes import PutOverride, PutPortal, PutUser, ReplaceMembers
from openmeet_bridge.core.directory import Member, Override, Portal, User
from openmeet_bridge.core.errors import NotFound
from openmeet_bridge.core.ids import PortalKind, PortalRef, UserSlug
from openmeet_bridge.core.rules import Place, Rules
from openmeet_bridge.storage.database import Database

from ..support.house import LAKE, NAMING, House, ghost

HIKERS = PortalRef(LAKE, PortalKind.GROUP, "hikers")
ANN, BEN, CEM, DAN = (UserSlug(name) for name in ("ann", "ben", "cem", "dan"))


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    made = Database(database_url)
    yield made
    await made.close()


async def seats(database: Database) -> dict[UserSlug, Seat]:
    roster = Roster(database, lambda _: Rules())
    return {seat.user: seat for seat in await roster.seats(HIKERS)}


async def test_what_an_operator_says_is_shown(database: Database) -> None:
    directory = Directory(
        database, NAMING, lambda _: Rules(), lambda: None, lambda _: None, lambda *_: None
    )
    people = [PutUser(User(LAKE, slug, None, slug.title(), None)) for slug in (ANN, BEN, CEM, DAN)]
    everybody = [Member(slug) for slug in (ANN, BEN, DAN)]
    group = PutPortal(Portal(HIKERS, "", "Hikers"))
    await directory.apply(LAKE, [*people, group, ReplaceMembers(HIKERS, everybody)])
    await House(database).room(ghost(ANN), ghost(BEN))
    out, inside = Override(BEN, False, "noise"), Override(CEM, True, "guest")
    await directory.apply(LAKE, [group, PutOverride(HIKERS, out), PutOverride(HIKERS, inside)])
    found = await seats(database)
    shown = {slug: (one.place, one.in_room, one.why) for slug, one in found.items()}
    assert shown == {
        ANN: (Place.IN, True, None),
        # Out at once, though the homeserver does not know yet.
        BEN: (Place.OUT, False, "override"),
        CEM: (Place.IN, False, "pending"),
        DAN: (Place.IN, False, "pending"),
    }
    assert (found[BEN].override, found[CEM].member) == (out, None)
    async with database.connection() as connection:
        await connection.execute("UPDATE job SET permanent = true WHERE kind = 'group'")
    assert (await seats(database))[DAN].why == "failed"


async def test_what_is_not_there_has_no_seats(database: Database) -> None:
    with pytest.raises(NotFound):
        await seats(database)
