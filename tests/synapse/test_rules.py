"""Each rule by which OpenMeet's directory becomes rooms, shown on a real Synapse."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import msgspec
import pytest
import pytest_asyncio
from aiohttp import web

from openmeet_bridge.app.tenants import rules_of
from openmeet_bridge.bridge import reconciler
from openmeet_bridge.bridge.directory import Directory
from openmeet_bridge.bridge.ghosts import Ghosts
from openmeet_bridge.bridge.portals import Portals
from openmeet_bridge.config import load
from openmeet_bridge.core.changes import (
    Change,
    DeleteBlock,
    DeleteMember,
    DeleteOverride,
    DeletePortal,
    PutBlock,
    PutDirect,
    PutMember,
    PutOverride,
    PutPortal,
    PutUser,
    RenamePortal,
)
from openmeet_bridge.core.directory import BANNED, Member, Override, Portal, User, Visibility
from openmeet_bridge.core.ids import Mxid, PortalKind, PortalRef, RoomId, UserSlug
from openmeet_bridge.core.naming import Naming, direct_slug
from openmeet_bridge.demo.synapse import SynapseProcess
from openmeet_bridge.matrix.errors import Refused
from openmeet_bridge.matrix.registration import Registration
from openmeet_bridge.storage.database import Database

from ..support.bridge import HERE, Settings, running_bridge
from ..support.databases import Databases
from ..support.fault_proxy import Exchange, FaultProxy, fault_proxy, pass_on
from ..support.matrix_user import matrix_user
from ..support.waiting import eventually
from ..support.world import World, connected

pytestmark = [pytest.mark.synapse, pytest.mark.asyncio(loop_scope="module")]

NAMING = Naming("localhost")
GROUP, MEETUP = PortalKind.GROUP, PortalKind.MEETUP
ARCHIVED_AFTER = timedelta(days=30)
RULES = {
    # Groups are put back, meetups are left to their people.
    "accept": {"meetup": ["name", "topic", "avatar", "power_levels", "membership"]},
    "spaces": False,
}
READS = ("GET",)


@dataclass
class OpenMeet:
    """OpenMeet's directory of one tenant, with the bridge that follows it.

    Attributes:
        directory: Where changes are made.
        portals: Rooms, for plans; the bridge has its own.
        world: The bridge and Synapse.
        asked: What the bridge has asked of Synapse.
        token: Of the application service.
    """

    directory: Directory
    portals: Portals
    world: World
    asked: FaultProxy
    token: str

    async def apply(self, *changes: Change) -> None:
        await self.directory.apply(HERE.id, changes)

    async def people(self, *names: str) -> list[UserSlug]:
        """Users of whom no other test knows."""
        slugs = [UserSlug(some(name)) for name in names]
        await self.apply(
            *(PutUser(User(HERE.id, slug, None, slug.title(), None)) for slug in slugs)
        )
        return slugs

    async def portal(self, kind: PortalKind, *members: Member, **facts: Any) -> Portal:
        """A group or meetup with its members, settled."""
        ref = PortalRef(HERE.id, kind, some(kind.value))
        made = Portal(ref, NAMING.alias(ref), "Hikers", **facts)
        await self.apply(PutPortal(made), *(PutMember(ref, one) for one in members))
        await self.settled(ref)
        return made

    async def settled(self, ref: PortalRef) -> RoomId:
        """Wait until nothing is left to do; the room."""

        async def look() -> tuple[RoomId]:
            status = await self.directory.status(ref.tenant, ref.kind.value, ref.slug)
            assert status.state == "settled", status
            return (status.room_id or RoomId(""),)

        (room_id,) = await eventually(look, f"{ref.slug} settles")
        assert not await self.portals.plan(ref), "settled, and yet there is a plan"
        return room_id

    async def become(self, ref: PortalRef, *changes: Change) -> RoomId:
        await self.apply(*changes)
        return await self.settled(ref)

    async def again(self, ref: PortalRef) -> RoomId:
        """Let the bridge look at a room again."""
        await self.directory.ask_again(ref.tenant, ref.kind.value, ref.slug)
        return await self.settled(ref)

    async def state(self, room_id: RoomId, kind: str, key: str = "") -> dict[str, Any]:
        found = await self.world.homeserver.get_state(room_id, kind, key, self.world.bot)
        return found or {}

    async def set_as(self, one: UserSlug | Mxid, room_id: RoomId, kind: str, content: Any) -> None:
        """Change a room as somebody would from Element."""
        mxid = one if one.startswith("@") else ghost(UserSlug(one))
        await self.world.homeserver.send_state(room_id, kind, "", content, mxid)

    async def membership(self, room_id: RoomId, slug: UserSlug) -> str | None:
        return (await self.state(room_id, "m.room.member", ghost(slug))).get("membership")

    async def levels(self, room_id: RoomId) -> dict[str, int]:
        return dict((await self.state(room_id, "m.room.power_levels")).get("users", {}))

    async def problem(self, room_id: RoomId) -> str | None:
        rows = await self.world.sql("SELECT problem FROM portal WHERE room_id = $1", room_id)
        return rows[0]["problem"] if rows else None

    async def told(self, kind: str, slug: str) -> list[dict[str, Any]]:
        """What OpenMeet is told of a portal."""
        rows = await self.world.sql(
            "SELECT payload FROM webhook_event WHERE type = $1 ORDER BY id", kind
        )
        events = [msgspec.json.decode(row["payload"]) for row in rows]
        return [event for event in events if event["slug"] == slug]

    async def listed(self) -> set[str]:
        """The rooms in Synapse's public directory."""
        url = f"{self.asked.url}/_matrix/client/v3/publicRooms"
        headers = {"Authorization": f"Bearer {self.token}"}
        async with self.world.session.get(url, headers=headers) as answer:
            return {room["room_id"] for room in (await answer.json())["chunk"]}


def some(name: str) -> str:
    return f"{name}-{secrets.token_hex(4)}"


def ghost(slug: UserSlug) -> Mxid:
    return NAMING.ghost(HERE.id, slug)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def openmeet(
    databases: Databases,
    registration: Registration,
    registration_file: Path,
    session_synapse: SynapseProcess,
    bridge_port: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[OpenMeet]:
    """One bridge for all tests of this module; each makes its own people and rooms."""
    folder, database_url = tmp_path_factory.mktemp("bridge"), databases.create()
    patch = pytest.MonkeyPatch()
    # The test's directory cannot wake the bridge's reconciler.
    patch.setattr(reconciler, "_IDLE", 0.05)
    patch.setattr(reconciler, "_FIRST_PAUSE", 0.1)
    database = Database(database_url)
    async with fault_proxy(session_synapse.base_url) as proxy:
        changes = {"rules": RULES}
        settings = Settings(
            folder, database_url, registration_file, proxy.url, bridge_port, changes
        )
        async with running_bridge(settings), connected(settings, session_synapse.base_url) as world:
            rules = rules_of(load(settings.file, {}))
            directory = Directory(
                database, NAMING, rules.__getitem__, *(lambda *_: None for _ in range(3))
            )
            ghosts = Ghosts(database, world.homeserver, NAMING)
            portals = Portals(database, world.homeserver, ghosts, NAMING, rules.__getitem__, "12")
            yield OpenMeet(directory, portals, world, proxy, registration.as_token)
    await database.close()
    patch.undo()
    databases.drop(database_url)


# Who is in


async def test_role_and_status_say_who_is_in(openmeet: OpenMeet) -> None:
    ann, ben, cyd = await openmeet.people("ann", "ben", "cyd")
    meetup = await openmeet.portal(
        MEETUP, Member(ann, "host"), Member(ben, "participant", "waitlist"), Member(cyd, "speaker")
    )
    room_id = await openmeet.settled(meetup.ref)
    assert [await openmeet.membership(room_id, one) for one in (ann, ben, cyd)] == [
        "join",
        None,
        "join",
    ]
    await openmeet.become(
        meetup.ref,
        PutMember(meetup.ref, Member(ben, "participant")),
        PutMember(meetup.ref, Member(cyd, "speaker", "cancelled")),
    )
    assert await openmeet.membership(room_id, ben) == "join"
    assert await openmeet.membership(room_id, cyd) == "leave"
    group = await openmeet.portal(GROUP, Member(ann, "owner"), Member(ben))
    room_id = await openmeet.settled(group.ref)
    await openmeet.become(group.ref, PutMember(group.ref, Member(ben, "guest")))
    assert await openmeet.membership(room_id, ben) == "leave"


async def test_a_ban_keeps_out_until_it_ends(openmeet: OpenMeet) -> None:
    ann, ben = await openmeet.people("ann", "ben")
    group = await openmeet.portal(GROUP, Member(ann), Member(ben), visibility=Visibility.PUBLIC)
    room_id = await openmeet.become(group.ref, PutMember(group.ref, Member(ben, "member", BANNED)))
    assert await openmeet.membership(room_id, ben) == "ban"
    await openmeet.become(group.ref, PutMember(group.ref, Member(ben)))
    assert await openmeet.membership(room_id, ben) == "join"
    await openmeet.become(group.ref, PutMember(group.ref, Member(ann, "member", BANNED)))
    await openmeet.become(group.ref, DeleteMember(group.ref, ann))
    assert await openmeet.membership(room_id, ann) == "leave"


async def test_an_operators_word_goes_before(openmeet: OpenMeet) -> None:
    ann, ben = await openmeet.people("ann", "ben")
    group = await openmeet.portal(GROUP, Member(ann))
    room_id = await openmeet.become(
        group.ref,
        PutOverride(group.ref, Override(ben, True, "helps")),
        PutOverride(group.ref, Override(ann, False, "spam")),
    )
    assert await openmeet.membership(room_id, ann) == "leave"
    assert await openmeet.membership(room_id, ben) == "join"
    await openmeet.become(group.ref, DeleteOverride(group.ref, ann), DeleteOverride(group.ref, ben))
    assert await openmeet.membership(room_id, ann) == "join"
    assert await openmeet.membership(room_id, ben) == "leave"


async def test_who_goes_and_comes_back_at_once_is_in_anew(openmeet: OpenMeet) -> None:
    (ann,) = await openmeet.people("ann")
    group = await openmeet.portal(GROUP, Member(ann))
    room_id = await openmeet.become(
        group.ref, DeleteMember(group.ref, ann), PutMember(group.ref, Member(ann))
    )
    rows = await openmeet.world.sql(
        "SELECT membership, barred FROM room_member WHERE room_id = $1 AND mxid = $2",
        room_id,
        ghost(ann),
    )
    assert [tuple(row) for row in rows] == [("join", False)]
    left = await openmeet.world.sql(
        "SELECT 1 FROM log WHERE room_id = $1 AND state_key = $2 AND effect < 0",
        room_id,
        ghost(ann),
    )
    assert len(left) == 1


# Power


async def test_power_follows_roles_and_is_put_back(openmeet: OpenMeet) -> None:
    ann, ben = await openmeet.people("ann", "ben")
    group = await openmeet.portal(GROUP, Member(ann, "owner"), Member(ben))
    room_id = await openmeet.settled(group.ref)
    assert await openmeet.levels(room_id) == {ghost(ann): 90}
    await openmeet.become(
        group.ref,
        PutMember(group.ref, Member(ann)),
        PutMember(group.ref, Member(ben, "moderator")),
    )
    assert await openmeet.levels(room_id) == {ghost(ben): 50}
    right = await openmeet.state(room_id, "m.room.power_levels")
    changed = right | {"users": {ghost(ann): 80, "@human:localhost": 30}, "kick": 0, "events": {}}
    await openmeet.set_as(openmeet.world.bot, room_id, "m.room.power_levels", changed)
    await eventually(lambda: openmeet.portals.plan(group.ref), "the log has the change")
    await openmeet.again(group.ref)
    put_back = await openmeet.state(room_id, "m.room.power_levels")
    assert put_back == right | {"users": {ghost(ben): 50, "@human:localhost": 30}}


# How open a room is


async def test_visibility_says_how_open_a_room_is(openmeet: OpenMeet) -> None:
    (ann,) = await openmeet.people("ann")
    group = await openmeet.portal(GROUP, Member(ann), visibility=Visibility.PUBLIC)
    room_id = await openmeet.settled(group.ref)
    assert await openmeet.state(room_id, "m.room.join_rules") == {"join_rule": "public"}
    assert await openmeet.state(room_id, "m.room.guest_access") == {"guest_access": "forbidden"}
    assert room_id in await openmeet.listed()
    await openmeet.become(group.ref, PutPortal(replace(group, visibility=Visibility.PRIVATE)))
    assert await openmeet.state(room_id, "m.room.join_rules") == {"join_rule": "invite"}
    assert room_id not in await openmeet.listed()
    history = {"history_visibility": "world_readable"}
    await openmeet.set_as(openmeet.world.bot, room_id, "m.room.history_visibility", history)
    await eventually(lambda: openmeet.portals.plan(group.ref), "the log has the change")
    await openmeet.again(group.ref)
    shared = {"history_visibility": "shared"}
    assert await openmeet.state(room_id, "m.room.history_visibility") == shared


async def test_a_refused_listing_is_a_problem_and_no_failure(openmeet: OpenMeet) -> None:
    (ann,) = await openmeet.people("ann")

    async def refuse(exchange: Exchange) -> web.StreamResponse:
        if "/directory/list/" not in exchange.path:
            return await exchange.forward()
        body = {"errcode": "M_FORBIDDEN", "error": "Not allowed to publish room"}
        return web.json_response(body, status=403)

    openmeet.asked.rule = refuse
    try:
        group = await openmeet.portal(GROUP, Member(ann), visibility=Visibility.PUBLIC)
        room_id = await openmeet.settled(group.ref)
    finally:
        openmeet.asked.rule = pass_on
    assert "does not list the room" in (await openmeet.problem(room_id) or "")
    before = len(_changes(openmeet))
    await openmeet.again(group.ref)
    assert _changes(openmeet)[before:] == []
    await openmeet.become(group.ref, PutPortal(replace(group, visibility=Visibility.PRIVATE)))
    assert await openmeet.problem(room_id) is None


# What a room says


async def test_name_topic_and_link_follow_and_are_put_back(openmeet: OpenMeet) -> None:
    (ann,) = await openmeet.people("ann")
    page = "https://here.test/groups/hikers"
    group = await openmeet.portal(GROUP, Member(ann, "owner"), topic="Up!", url=page)
    room_id = await openmeet.settled(group.ref)
    assert (await openmeet.state(room_id, "m.room.topic"))["topic"] == f"Up!\n{page}"
    bridge = await openmeet.state(room_id, "m.bridge", f"org.openmeet://{HERE.id}/group")
    assert bridge["channel"] == {"id": group.ref.slug, "external_url": page}
    await openmeet.become(group.ref, PutPortal(replace(group, name="Climbers", topic="Higher!")))
    assert await openmeet.state(room_id, "m.room.name") == {"name": "Climbers"}
    for kind, field in (("m.room.name", "name"), ("m.room.topic", "topic")):
        await openmeet.set_as(ann, room_id, kind, {field: "By hand"})
    await eventually(
        lambda: _equals(openmeet, room_id, "m.room.name", {"name": "Climbers"}), "it is put back"
    )
    await openmeet.again(group.ref)
    assert (await openmeet.state(room_id, "m.room.topic"))["topic"] == f"Higher!\n{page}"


async def _equals(openmeet: OpenMeet, room_id: RoomId, kind: str, content: Any) -> bool:
    return bool(await openmeet.state(room_id, kind) == content)


async def test_what_is_accepted_stays_until_openmeet_says_something_new(
    openmeet: OpenMeet,
) -> None:
    ann, ben = await openmeet.people("ann", "ben")
    meetup = await openmeet.portal(MEETUP, Member(ann, "host"), Member(ben, "participant"))
    room_id = await openmeet.settled(meetup.ref)
    await openmeet.set_as(ann, room_id, "m.room.name", {"name": "By hand"})
    await openmeet.world.homeserver.kick(room_id, ghost(ben), None, ghost(ann))
    await openmeet.again(meetup.ref)
    await openmeet.become(meetup.ref, PutPortal(replace(meetup, topic="New")))
    assert await openmeet.state(room_id, "m.room.name") == {"name": "By hand"}
    assert await openmeet.membership(room_id, ben) == "leave"
    await openmeet.become(
        meetup.ref,
        PutPortal(replace(meetup, name="Walkers")),
        PutMember(meetup.ref, Member(ben, "speaker")),
    )
    assert await openmeet.state(room_id, "m.room.name") == {"name": "Walkers"}
    assert await openmeet.membership(room_id, ben) == "join"


async def test_who_was_put_out_of_a_group_by_hand_comes_back(openmeet: OpenMeet) -> None:
    ann, ben, cyd = await openmeet.people("ann", "ben", "cyd")
    group = await openmeet.portal(GROUP, Member(ann, "owner"), Member(ben), Member(cyd))
    room_id = await openmeet.settled(group.ref)
    await openmeet.world.homeserver.kick(room_id, ghost(ben), None, ghost(ann))
    await openmeet.world.homeserver.ban(room_id, ghost(cyd), None, ghost(ann))

    async def back() -> bool:
        return [await openmeet.membership(room_id, one) for one in (ben, cyd)] == ["join"] * 2

    await eventually(back, "both are back")
    await openmeet.settled(group.ref)


# Names


async def test_a_new_slug_moves_the_alias_and_keeps_the_old(openmeet: OpenMeet) -> None:
    (ann,) = await openmeet.people("ann")
    group = await openmeet.portal(GROUP, Member(ann))
    room_id = await openmeet.settled(group.ref)
    renamed = group.ref._replace(slug=some("trekkers"))
    assert await openmeet.become(renamed, RenamePortal(group.ref, renamed.slug)) == room_id
    old, new = NAMING.alias(group.ref), NAMING.alias(renamed)
    resolve = openmeet.world.homeserver.resolve_alias
    assert [await resolve(alias) for alias in (old, new)] == [room_id, room_id]
    assert await openmeet.state(room_id, "m.room.canonical_alias") == {
        "alias": new,
        "alt_aliases": [old],
    }
    # Another group takes the old name, and no way leads from there to the first one's room.
    other = replace(group, name="Other")
    other_room = await openmeet.become(
        group.ref, PutPortal(other), PutMember(group.ref, Member(ann))
    )
    assert other_room != room_id
    await openmeet.settled(renamed)
    assert [await resolve(alias) for alias in (old, new)] == [other_room, room_id]
    assert await openmeet.state(room_id, "m.room.canonical_alias") == {"alias": new}


# Read-only


async def _may_write(openmeet: OpenMeet, room_id: RoomId, slug: UserSlug) -> bool:
    content = {"msgtype": "m.text", "body": "hello"}
    txn_id = secrets.token_hex(8)
    try:
        await openmeet.world.homeserver.send_event(
            room_id, "m.room.message", txn_id, content, ghost(slug)
        )
    except Refused as error:
        return error.errcode != "M_FORBIDDEN"
    return True


async def test_a_meetup_of_the_past_is_read_only(openmeet: OpenMeet) -> None:
    (ann,) = await openmeet.people("ann")
    now = datetime.now(UTC)
    meetup = await openmeet.portal(MEETUP, Member(ann, "host"), ends_at=now)
    room_id = await openmeet.settled(meetup.ref)
    assert await _may_write(openmeet, room_id, ann)
    long_ago = replace(meetup, ends_at=now - ARCHIVED_AFTER)
    await openmeet.become(meetup.ref, PutPortal(long_ago))
    assert not await _may_write(openmeet, room_id, ann)
    await openmeet.become(meetup.ref, PutPortal(meetup))
    assert await _may_write(openmeet, room_id, ann)
    cancelled = replace(meetup, status="cancelled", starts_at=now - timedelta(days=8))
    await openmeet.become(meetup.ref, PutPortal(cancelled))
    assert not await _may_write(openmeet, room_id, ann)


async def test_who_is_blocked_cannot_write(openmeet: OpenMeet) -> None:
    ann, ben = await openmeet.people("ann", "ben")
    ref = PortalRef(HERE.id, PortalKind.DIRECT, direct_slug(ann, ben))
    room_id = await openmeet.become(ref, PutDirect(ann, ben))
    await openmeet.become(ref, PutBlock(ann, ben))
    assert not await _may_write(openmeet, room_id, ben)
    assert not await _may_write(openmeet, room_id, ann)
    await openmeet.become(ref, DeleteBlock(ann, ben))
    assert await _may_write(openmeet, room_id, ben)


# The end


async def test_a_deleted_group_is_closed_and_says_so(
    openmeet: OpenMeet, session_synapse: SynapseProcess
) -> None:
    (ann,) = await openmeet.people("ann")
    group = await openmeet.portal(GROUP, Member(ann), visibility=Visibility.PUBLIC)
    room_id = await openmeet.settled(group.ref)
    renamed = group.ref._replace(slug=some("closing"))
    await openmeet.become(renamed, RenamePortal(group.ref, renamed.slug))
    async with matrix_user(session_synapse, some("human")) as human:
        await human.join(NAMING.alias(renamed))
        await openmeet.become(renamed, DeletePortal(renamed))
        with pytest.raises(AssertionError, match="M_FORBIDDEN"):
            await human.join(room_id)
        seen = await human.messages(room_id)
        assert [one.body for one in seen] == [
            "This group was deleted on OpenMeet. The room is closed."
        ]
    assert await openmeet.membership(room_id, ann) == "leave"
    assert room_id not in await openmeet.listed()
    for ref in (group.ref, renamed):
        assert await openmeet.world.homeserver.resolve_alias(NAMING.alias(ref)) is None
    rows = await openmeet.world.sql("SELECT reason FROM former_room WHERE room_id = $1", room_id)
    assert [row["reason"] for row in rows] == ["closed"]


# What goes wrong, and what it costs


async def test_one_who_cannot_come_in_does_not_stop_the_others(openmeet: OpenMeet) -> None:
    ann, ben, cyd = await openmeet.people("ann", "ben", "cyd")
    ref = PortalRef(HERE.id, GROUP, some("hikers"))

    async def refuse(exchange: Exchange) -> web.StreamResponse:
        path = unquote(exchange.path)
        if not (ghost(ben) in path and ("/join" in path or "/invite" in path)):
            return await exchange.forward()
        return web.json_response({"errcode": "M_FORBIDDEN", "error": "not this one"}, status=403)

    openmeet.asked.rule = refuse
    try:
        await openmeet.apply(
            PutPortal(Portal(ref, NAMING.alias(ref), "Hikers")),
            *(PutMember(ref, Member(one)) for one in (ann, ben, cyd)),
        )

        async def failed() -> bool:
            return (await openmeet.directory.status(HERE.id, "group", ref.slug)).state == "failed"

        await eventually(failed, "the job is given up")
    finally:
        openmeet.asked.rule = pass_on
    room_id = (await openmeet.directory.status(HERE.id, "group", ref.slug)).room_id
    assert room_id is not None
    assert [await openmeet.membership(room_id, one) for one in (ann, ben, cyd)] == [
        "join",
        "invite",
        "join",
    ]
    assert ghost(ben) in (await openmeet.problem(room_id) or "")
    told = await openmeet.told("membership.failed", ref.slug)
    assert [(one["user"], one["room_id"]) for one in told] == [(ben, room_id)]
    await openmeet.again(ref)
    assert await openmeet.problem(room_id) is None
    assert await openmeet.membership(room_id, ben) == "join"
    assert len(await openmeet.told("membership.failed", ref.slug)) == 1
    ready = await openmeet.told("portal.ready", ref.slug)
    assert ready == [
        {
            "tenant": HERE.id,
            "kind": "group",
            "slug": ref.slug,
            "room_id": room_id,
            "alias": NAMING.alias(ref),
        }
    ]


def _changes(openmeet: OpenMeet) -> list[str]:
    """What the bridge has asked of Synapse that is about rooms."""
    asked = [one for one in openmeet.asked.passed if one.method not in READS]
    return [f"{one.method} {one.path}" for one in asked if "/sync" not in one.path]


@pytest.mark.parametrize("visibility", [Visibility.PUBLIC, Visibility.PRIVATE])
async def test_a_portal_costs_one_request_and_one_a_member(
    openmeet: OpenMeet, visibility: Visibility
) -> None:
    slugs = await openmeet.people(*["walker"] * 8)

    async def made() -> bool:
        return all([await _is_made(openmeet, slug) for slug in slugs])

    await eventually(made, "the ghosts are made")
    before = len(openmeet.asked.passed)
    group = await openmeet.portal(GROUP, *map(Member, slugs), visibility=visibility)
    room_id = await openmeet.settled(group.ref)
    here = quote(room_id, safe="")
    asked = [one for one in openmeet.asked.passed[before:] if one.method not in READS]
    # Other rooms, as the tenant's space, may be made at the same time.
    named = group.ref.slug.encode()
    makes = [one.path for one in asked if "/createRoom" in one.path and named in one.body]
    ours = makes + [one.path for one in asked if here in one.path or room_id in one.path]
    listing = visibility is Visibility.PUBLIC
    assert len(ours) == 1 + len(slugs) + listing, ours
    before = len(openmeet.asked.passed)
    await openmeet.again(group.ref)
    # The listing in the space of the group is a job of its own, and may be under way.
    again = [one.path for one in openmeet.asked.passed[before:]]
    ours = [one for one in again if here in one or room_id in one]
    # The repair may look at the room in the same moment.
    assert not [one for one in ours if "/messages?" not in one]


async def _is_made(openmeet: OpenMeet, slug: UserSlug) -> bool:
    return (await openmeet.directory.status(HERE.id, "user", slug)).state == "settled"
