"""Ghosts on a real Synapse: how they look, whom they are, how they go and what is left of them."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from openmeet_bridge.demo.synapse import SynapseProcess
from openmeet_bridge.matrix.errors import Refused

from ..support.bridge import Settings, running_bridge
from ..support.databases import Databases
from ..support.matrix_user import MatrixUser, matrix_user
from ..support.openmeet import User
from ..support.picture_server import PictureServer, picture, picture_server
from ..support.waiting import eventually
from ..support.world import World, connected

pytestmark = [pytest.mark.synapse, pytest.mark.asyncio(loop_scope="module")]

SECRET = "my number is 555 0199"


@dataclass
class Town:
    """A bridge with everything around it, and somebody with a Matrix client.

    Attributes:
        files: OpenMeet's file storage.
        friend: Has an account at the homeserver, and is no user of OpenMeet.
    """

    world: World
    files: PictureServer
    friend: MatrixUser
    synapse: SynapseProcess

    async def put(self, user: User, **fields: Any) -> None:
        """Writes a user anew."""
        body = {"id": user.number, "name": user.name, **fields}
        await self.world.here.do("PUT", f"/users/{user.slug}", body)
        await self.world.here.settled(f"/users/{user.slug}")

    async def profile(self, mxid: str) -> tuple[str | None, str | None]:
        """Name and avatar, as anybody sees them."""
        found = await self.world.homeserver.get_profile(mxid, acting_as=self.world.bot)
        return found.displayname, found.avatar_url

    async def account_data(self, mxid: str, kind: str) -> Any:
        return await self.world.homeserver.get_account_data(mxid, kind)

    async def members(self, room_id: str) -> dict[str, dict[str, Any]]:
        """The contents of the member events of who is in a room."""
        raw = await self.world.homeserver.members(room_id, self.world.bot, "join")
        events = [msgspec.json.decode(event) for event in raw]
        return {event["state_key"]: event["content"] for event in events}

    async def invite_friend(self, room_id: str) -> None:
        await self.world.homeserver.invite(room_id, self.friend.user_id, self.world.bot)
        await self.friend.join(room_id)

    async def whole_room(self, room_id: str) -> str:
        """Everything that the friend's client is told of a room."""
        raw = await self.world.homeserver.messages(room_id, self.world.bot, "b", limit=500)
        state = await self.world.homeserver.room_state(room_id, self.world.bot)
        return "\n".join(bytes(event).decode() for event in (*raw.chunk, *state))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def town(
    databases: Databases,
    registration_file: Path,
    session_synapse: SynapseProcess,
    bridge_port: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Town]:
    """One bridge for all tests of this module; each makes its own people."""
    database_url = databases.create()
    settings = Settings(
        tmp_path_factory.mktemp("bridge"),
        database_url,
        registration_file,
        session_synapse.base_url,
        bridge_port,
        changes={"pictures": {"allow_private_addresses": True}},
    )
    async with (
        picture_server() as files,
        running_bridge(settings),
        connected(settings, session_synapse.base_url) as world,
        matrix_user(session_synapse, f"friend-{secrets.token_hex(3)}") as friend,
    ):
        yield Town(world, files, friend, session_synapse)
    databases.drop(database_url)


def some(name: str) -> str:
    return f"{name}-{secrets.token_hex(4)}"


async def test_pictures_are_seen_in_profiles_and_rooms_and_uploaded_once(town: Town) -> None:
    ann, ben = await town.world.here.user("Ann"), await town.world.here.user("Ben")
    room_id = await town.world.here.group(some("hikers"), [ann, ben])
    for user, file in ((ann, "ann.png"), (ben, "ben.png")):
        await town.put(user, avatar_url=town.files.put(file, picture("teal", (900, 700))))
    name, mxc = await town.profile(ann.mxid)
    assert name == "Ann"
    assert mxc is not None
    assert mxc.startswith("mxc://localhost/")
    assert await town.profile(ben.mxid) == ("Ben", mxc)

    async def shown() -> bool:
        members = await town.members(room_id)
        return all(members[one.mxid].get("avatar_url") == mxc for one in (ann, ben))

    await eventually(shown, "the room shows the pictures")
    rows = await town.world.sql("SELECT count(*) FROM picture WHERE mxc = $1", mxc)
    assert rows[0][0] == 1
    url = f"{town.synapse.base_url}/_matrix/client/v1/media/download/{mxc.removeprefix('mxc://')}"
    headers = {"Authorization": f"Bearer {town.friend.access_token}"}
    async with town.world.session.get(url, headers=headers) as answer:
        assert answer.content_type == "image/jpeg"
        assert len(await answer.read()) < 20_000
    await town.put(ann, name="Ann Lee", avatar_url=None)
    assert (await town.profile(ann.mxid))[0] == "Ann Lee"
    assert not (await town.profile(ann.mxid))[1]


async def test_direct_chats_and_blocks_are_what_a_client_knows(town: Town) -> None:
    ann, ben = await town.world.here.user("Ann"), await town.world.here.user("Ben")
    room_id = await town.world.here.direct(ann, ben)

    async def listed() -> bool:
        one = await town.account_data(ann.mxid, "m.direct")
        other = await town.account_data(ben.mxid, "m.direct")
        return (one, other) == ({ben.mxid: [room_id]}, {ann.mxid: [room_id]})

    await eventually(listed, "both know their direct chat")
    await town.world.here.do("PUT", f"/users/{ann.slug}/blocks/{ben.slug}")

    async def ignored() -> bool:
        found = await town.account_data(ann.mxid, "m.ignored_user_list")
        return bool(found == {"ignored_users": {ben.mxid: {}}})

    await eventually(ignored, "Ann ignores Ben")


async def test_somebody_who_had_an_account_before_keeps_it(town: Town) -> None:
    name = some("adopted")
    async with matrix_user(town.synapse, name) as old:
        own_room = await old.create_room(name="Of her own")
        slug = some("ann")
        here = town.world.here
        number = secrets.randbelow(1 << 40)
        body = {"id": number, "name": "Ann", "matrix_user_id": old.user_id}
        await here.do("PUT", f"/users/{slug}", body)
        await here.settled(f"/users/{slug}")
        assert (await town.profile(old.user_id))[0] == "Ann"
        ann = User(town.world.session, town.world.settings, here.tenant, number, slug, "Ann")
        ann.mxid = old.user_id
        room_id = await here.group(some("hikers"), [ann])
        answer = await ann.send(room_id, "from the web")
        assert answer["status"] == "sent"
        # Her own client is as it was: logged in, in her rooms, and now in the group's too.
        await old.wait_for(room_id, "from the web")
        assert await old.send(own_room, "still here")
        await old.send(room_id, "from my client")

        async def heard() -> bool:
            return "from my client" in await ann.bodies(room_id)

        await eventually(heard, "what she said in her client is on the web")
        rows = await town.world.sql("SELECT claimed_mxid FROM ghost WHERE mxid = $1", old.user_id)
        assert rows[0][0] is None


async def test_an_id_that_cannot_be_kept_is_noted(town: Town) -> None:
    slug = some("eve")
    body = {"name": "Eve", "matrix_user_id": "@eve:elsewhere.example"}
    await town.world.here.do("PUT", f"/users/{slug}", body)
    await town.world.here.settled(f"/users/{slug}")
    mxid = f"@om_here_{slug}:localhost"
    assert (await town.profile(mxid))[0] == "Eve"
    rows = await town.world.sql("SELECT claimed_mxid FROM ghost WHERE mxid = $1", mxid)
    assert rows[0][0] == "@eve:elsewhere.example"


async def test_who_is_deactivated_is_out_until_they_are_back(town: Town) -> None:
    ann, ben = await town.world.here.user("Ann"), await town.world.here.user("Ben")
    slug = some("hikers")
    room_id = await town.world.here.group(slug, [ann, ben])
    await ann.send(room_id, "before")
    async with ann.stream() as stream:
        await stream.wait("hello")
        await town.put(ann, active=False)
        await stream.wait("bye")
    assert (await ann.ask("GET", "/rooms")).status == 401

    async def out() -> bool:
        return ann.mxid not in await town.members(room_id)

    await eventually(out, "Ann is out of the room")
    await ben.send(room_id, "meanwhile")
    await town.put(ann, active=True)
    await town.world.here.settled(f"/groups/{slug}")
    assert ann.mxid in await town.members(room_id)
    assert {"before", "meanwhile"} <= set(await ann.bodies(room_id))
    assert (await ann.send(room_id, "back"))["status"] == "sent"


async def test_of_an_erased_person_nothing_is_left(town: Town) -> None:
    here = town.world.here
    ann, ben = await here.user("Ann Secretname", slug=some("ann")), await here.user("Ben")
    await town.put(ann, avatar_url=town.files.put(some("a"), picture("navy")))
    slug = some("hikers")
    room_id = await here.group(slug, [ann, ben])
    pair = await here.direct(ann, ben)
    await town.invite_friend(room_id)
    sent = await ann.send(room_id, SECRET)
    await ann.send(pair, f"only for you: {SECRET}")
    await ben.send(room_id, "what Ben says stays")
    await edit_and_react(town, ann, room_id, sent["event_id"])
    assert SECRET in await town.whole_room(room_id)
    async with ann.stream() as stream:
        await stream.wait("hello")
        assert (await here.ask("POST", f"/users/{ann.slug}/erase")).status == 202
        await stream.wait("bye")

    async def done() -> dict[str, Any]:
        report: dict[str, Any] = await here.do("GET", f"/users/{ann.slug}/erasure")
        assert report["state"] == "done", report
        return report

    report = await eventually(done, "the erasure is done")
    await here.settled(f"/groups/{slug}")
    for room in (room_id, pair):

        async def clean(room: str = room) -> bool:
            whole = await town.whole_room(room)
            assert SECRET not in whole
            assert "Secretname" not in whole
            return True

        await eventually(clean, "the room says nothing of Ann")
    assert ann.mxid not in await town.members(room_id)
    assert "what Ben says stays" in await ben.bodies(room_id)
    seen = await town.friend.messages(room_id)
    assert not any(SECRET in str(event.content) for event in seen)
    assert await town.profile(ann.mxid) == (None, None)
    with pytest.raises(Refused):
        await town.world.homeserver.join(room_id, ann.mxid)
    assert report["erased"]["messages"] == 3
    assert report["erased"]["account"] == 1
    assert any("_synapse/admin/v1/media/" in (one["do"] or "") for one in report["left"])
    assert (await here.ask("PUT", f"/users/{ann.slug}", {"name": "Ann"})).status == 409
    left = await our_copies(town)
    assert SECRET not in left
    assert "Secretname" not in left


async def edit_and_react(town: Town, ann: User, room_id: str, event_id: str) -> None:
    """Lets Ann's ghost edit a message and react to it, and waits until that is in the log."""
    edit = {
        "msgtype": "m.text",
        "body": f"* {SECRET}!",
        "m.new_content": {"msgtype": "m.text", "body": f"{SECRET}!"},
        "m.relates_to": {"rel_type": "m.replace", "event_id": event_id},
    }
    reaction = {"m.relates_to": {"rel_type": "m.annotation", "event_id": event_id, "key": SECRET}}
    send = town.world.homeserver.send_event
    await send(room_id, "m.room.message", secrets.token_hex(8), edit, ann.mxid)
    last = await send(room_id, "m.reaction", secrets.token_hex(8), reaction, ann.mxid)

    async def logged() -> bool:
        return bool(await town.world.sql("SELECT FROM log WHERE event_id = $1", last))

    await eventually(logged, "the log has the reaction")


async def our_copies(town: Town) -> str:
    """All that the bridge's database holds, as text."""
    tables = await town.world.sql(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
    )
    found: list[str] = []
    for (table,) in tables:
        for row in await town.world.sql(f'SELECT * FROM "{table}"'):  # noqa: S608
            found += [str(value) for value in row.values()]
    return "\n".join(found)
