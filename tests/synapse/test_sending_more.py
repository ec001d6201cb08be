"""What people say and change on the web, as somebody sees it who has a stock Matrix client."""

from __future__ import annotations

import secrets
from typing import Any
from urllib.parse import quote

import pytest

from openmeet_bridge.demo.synapse import SynapseProcess

from ..support.bridge import Settings, running_bridge
from ..support.matrix_user import MatrixUser, Seen, matrix_user
from ..support.openmeet import User, message_path
from ..support.world import World, connected

pytestmark = [pytest.mark.synapse, pytest.mark.timeout(120)]

LIKE, HEART = "👍", "❤️"


class Talk:
    """A room with people on the web and one on Matrix.

    Args:
        room_id: The room.
        human: The one on Matrix.
    """

    def __init__(self, room_id: str, human: MatrixUser) -> None:
        self.room_id = room_id
        self.human = human

    def path(self, *parts: str) -> str:
        """A path below the room."""
        return "/".join(["/rooms", *(quote(one, safe="") for one in (self.room_id, *parts))])

    async def seen(self, event_id: str) -> Seen:
        """An event, once the one on Matrix has it."""

        def found() -> list[Seen]:
            return [one for one in self.human.timeline if one.event_id == event_id]

        await self.human.wait_until(lambda _: bool(found()))
        return found()[0]

    async def says(self, user: User, body: str, **more: Any) -> Seen:
        """Lets somebody say something; returns it as it is on Matrix."""
        path = message_path(self.room_id)
        done = await user.do("PUT", path, {"body": body, **more})
        seen = await self.seen(done["event_id"])
        assert (seen.type, seen.sender) == ("m.room.message", user.mxid)
        return seen

    async def done(
        self, user: User, method: str, *parts: str, body: Any = None, **params: str
    ) -> Seen:
        """Lets somebody change something; returns the event that it is on Matrix."""
        done = await user.do(method, self.path("entries", *parts), body, params)
        return await self.seen(done["event_id"])


async def talk_in(world: World, human: MatrixUser, alice: User, bob: User, mia: User) -> Talk:
    """Makes a public group with these people."""
    slug = f"talk-{secrets.token_hex(4)}"
    room_id = await world.here.group(slug, [alice, bob], public=True)
    await world.here.do("PUT", f"/groups/{slug}/members/{mia.slug}", {"role": "moderator"})
    await world.here.settled(f"/groups/{slug}")
    await human.join(room_id)
    return Talk(room_id, human)


async def test_all_that_is_said_and_changed_is_seen_on_matrix(
    settings: Settings, synapse: SynapseProcess
) -> None:
    async with (
        running_bridge(settings),
        connected(settings, synapse.base_url) as world,
        matrix_user(synapse, f"human-{secrets.token_hex(4)}") as human,
    ):
        alice, bob, mia = [await world.here.user(name) for name in ("Alice", "Bob", "Mia")]
        talk = await talk_in(world, human, alice, bob, mia)
        async with alice.stream() as stream:
            await stream.wait("hello")
            asked = await human.send(talk.room_id, "Who comes?")
            await stream.message("Who comes?")
            await messages(talk, alice, bob, asked)
            await changes(talk, alice, asked)
            await deletions(talk, alice, bob, mia)
            spam = await human.send(talk.room_id, "spam")
            await stream.message("spam")
            refused = await bob.ask("DELETE", talk.path("entries", spam))
            assert (refused.status, refused.errcode) == (403, "M_FORBIDDEN")
            assert (await talk.done(mia, "DELETE", spam)).content["redacts"] == spam


async def messages(talk: Talk, alice: User, bob: User, asked: str) -> None:
    """What is said comes formatted, and with all that it refers to."""
    plain = await talk.says(alice, "2 * 3 * 4 <b>")
    assert plain.content["body"] == "2 * 3 * 4 <b>"
    assert "formatted_body" not in plain.content
    rich = await talk.says(alice, "*Yes*, `me`", format="markdown", reply_to=asked)
    assert rich.content["format"] == "org.matrix.custom.html"
    assert rich.content["formatted_body"] == "<em>Yes</em>, <code>me</code>"
    assert rich.content["m.relates_to"] == {"m.in_reply_to": {"event_id": asked}}
    html = await talk.says(bob, "<b>no</b><script>x</script>", format="html", kind="emote")
    assert html.content["msgtype"] == "m.emote"
    assert html.content["formatted_body"] == "<b>no</b>"
    thread = await talk.says(bob, "Aside", thread=asked, kind="notice")
    relation = thread.content["m.relates_to"]
    assert (relation["rel_type"], relation["event_id"]) == ("m.thread", asked)
    inside = await talk.says(alice, "And", thread=asked, reply_to=thread.event_id)
    assert inside.content["m.relates_to"]["m.in_reply_to"] == {"event_id": thread.event_id}
    people = [bob.slug, talk.human.user_id]
    called = await talk.says(alice, "@Bob, you there?", mentions=people)
    assert called.content["m.mentions"] == {"user_ids": [bob.mxid, talk.human.user_id]}
    assert bob.mxid in called.content["formatted_body"]


async def changes(talk: Talk, alice: User, asked: str) -> None:
    """Edits and reactions come, and reactions go again."""
    said = (await talk.says(alice, "Mispelt", format="markdown")).event_id
    edit = await talk.done(alice, "PUT", said, "edits", "1", body={"body": "Misspelt"})
    assert edit.content["m.new_content"]["body"] == "Misspelt"
    assert edit.content["m.relates_to"] == {"rel_type": "m.replace", "event_id": said}
    for key in (LIKE, HEART):
        reaction = await talk.done(alice, "PUT", asked, "reactions", key)
        assert reaction.type == "m.reaction"
        assert reaction.content["m.relates_to"] == {
            "rel_type": "m.annotation",
            "event_id": asked,
            "key": key,
        }
    gone = await talk.done(alice, "DELETE", asked, "reactions", HEART)
    assert (gone.type, gone.content["redacts"]) == ("m.room.redaction", reaction.event_id)
    again = await talk.done(alice, "PUT", asked, "reactions", HEART)
    assert again.event_id != reaction.event_id


async def deletions(talk: Talk, alice: User, bob: User, mia: User) -> None:
    """What is deleted goes with its edits, and with the reason."""
    secret = (await talk.says(alice, "secret")).event_id
    edit = await talk.done(alice, "PUT", secret, "edits", "2", body={"body": "more secret"})
    gone = await talk.done(alice, "DELETE", secret, reason="Not here.")
    assert gone.content["redacts"] == secret
    assert gone.content["reason"] == "Not here."
    redacted = {edit.event_id, secret}
    await talk.human.wait_until(
        lambda user: redacted <= {one.content.get("redacts") for one in user.timeline}
    )
    rude = (await talk.says(bob, "rude")).event_id
    by_mia = await talk.done(mia, "DELETE", rude, reason="Rude.")
    assert (by_mia.sender, by_mia.content["reason"]) == (mia.mxid, "Rude.")
