"""Who asks that somebody be out of a discussion, and what OpenMeet has to say to it."""

from __future__ import annotations

from typing import Any, cast

import pytest

from openmeet_bridge.bridge.attending import Attending
from openmeet_bridge.bridge.roster import Seat
from openmeet_bridge.core.directory import User
from openmeet_bridge.core.errors import Conflict, Unavailable
from openmeet_bridge.core.ids import Mxid, PortalKind, PortalRef, TenantId, UserSlug
from openmeet_bridge.core.rules import Place

LAKE = TenantId("lake")
HIKERS = PortalRef(LAKE, PortalKind.GROUP, "hikers")
ANN = User(LAKE, UserSlug("ann"), 7, "Ann", None)
MXID = Mxid("@ann:test")


class OpenMeet:
    """What OpenMeet says, what the bridge has heard of it, and the jobs that are asked for.

    Attributes:
        says: Where Ann is.
        heard: What the bridge has heard of that.
        away: Whether OpenMeet's database is.
        readable: Whether there is one that can be read.
    """

    def __init__(self, says: Place, heard: Place, *, away: bool = False) -> None:
        self.says = says
        self.heard = heard
        self.away = away
        self.readable = True
        self.asked: list[PortalRef] = []
        self.jobs: list[tuple[str, ...]] = []

    async def seat(self, ref: PortalRef, user: UserSlug) -> Seat:
        assert (ref, user) == (HIKERS, ANN.slug)
        return Seat(user, MXID, None, None, self.heard, True, None)

    async def user(self, tenant: TenantId, slug: UserSlug) -> User:
        assert (tenant, slug) == (LAKE, ANN.slug)
        return ANN

    async def look_anew(self, ref: PortalRef) -> None:
        if not self.readable:
            return
        self.asked.append(ref)
        if self.away:
            raise Unavailable("OpenMeet's database is away.")
        self.heard = self.says

    async def ask_again(self, *what: str) -> None:
        self.jobs.append(what)

    async def remove(self, *, readable: bool = True) -> None:
        """Lets Ann ask to be out."""
        fake: Any = self
        self.readable = readable
        attending = Attending(cast(Any, None), fake, fake, fake, fake)
        await attending.remove(ANN, MXID, ANN.slug, HIKERS)


async def test_openmeet_is_asked_before_anybody_is_told_that_they_are_a_member() -> None:
    just_left = OpenMeet(Place.OUT, heard=Place.IN)
    await just_left.remove()
    assert just_left.asked == [HIKERS]
    assert just_left.jobs == [(LAKE, "group", "hikers")]
    known = OpenMeet(Place.OUT, heard=Place.BANNED)
    await known.remove()
    assert (known.asked, len(known.jobs)) == ([], 1)


async def test_a_member_stays_in() -> None:
    member = OpenMeet(Place.IN, heard=Place.IN)
    for readable in (True, False):
        with pytest.raises(Conflict, match="Ann is a member"):
            await member.remove(readable=readable)
    unsure = OpenMeet(Place.OUT, heard=Place.IN, away=True)
    with pytest.raises(Unavailable):
        await unsure.remove()
    assert len(member.asked) == len(unsure.asked) == 1
    assert member.jobs == unsure.jobs == []
