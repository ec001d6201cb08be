"""What people with a stock Matrix client say and change, as OpenMeet's users see it."""

from __future__ import annotations

import secrets
from typing import Any
from urllib.parse import quote

import msgspec
import pytest

from openmeet_bridge.core.entry import Entry
from openmeet_bridge.core.ids import EventId
from openmeet_bridge.demo.synapse import SynapseProcess

from ..support.bridge import Settings, running_bridge
from ..support.conversation import Client
from ..support.matrix_user import MatrixUser, matrix_user
from ..support.openmeet import User
from ..support.streams import Stream
from ..support.world import World, connected

pytestmark = [pytest.mark.synapse, pytest.mark.timeout(120)]

Content = dict[str, Any]


def text(body: str, **more: Any) -> Content:
    return {"msgtype": "m.text", "body": body, **more}


def html(body: str, formatted: str) -> Content:
    return text(body, format="org.matrix.custom.html", formatted_body=formatted)


class Talk:
    """Somebody on Matrix talks, somebody on the web looks on.

    Args:
        world: The bridge.
        human: Who talks.
        bob: Who looks.
        stream: What comes to Bob's browser.
        room_id: Where.
    """

    def __init__(
        self, world: World, human: MatrixUser, bob: User, stream: Stream, room_id: str
    ) -> None:
        self.world, self.human, self.bob, self.stream = world, human, bob, stream
        self.room_id = room_id

    async def says(self, content: Content, kind: str = "m.room.message") -> dict[str, Any]:
        """Let the one on Matrix send an event; return the entry that comes of it."""
        event_id = await self.human.send_event(self.room_id, kind, content)
        return (await self.stream.wait("timeline", event_id=event_id)).data

    async def changes(
        self, target: str, relation: Content, kind: str = "m.room.message", **content: Any
    ) -> tuple[str, dict[str, Any]]:
        """Let the one on Matrix change an entry; return the event, and the entry as it is then."""
        seen = len(self._changes(target))
        about = {"m.relates_to": {"event_id": target, **relation}}
        event_id = await self.human.send_event(self.room_id, kind, {**content, **about})
        return event_id, await self._changed(target, seen)

    async def redacts(
        self, event_id: str, target: str | None = None, reason: str | None = None
    ) -> dict[str, Any]:
        """Let the one on Matrix redact an event; return the entry that changes by it."""
        seen = len(self._changes(target or event_id))
        await self.human.redact(self.room_id, event_id, reason)
        return await self._changed(target or event_id, seen)

    def _changes(self, target: str) -> list[dict[str, Any]]:
        return [frame.data for frame in self.stream.of("timeline.changed", event_id=target)]

    async def _changed(self, target: str, seen: int) -> dict[str, Any]:
        await self.stream.until(lambda _: len(self._changes(target)) > seen, f"{target} changes")
        return self._changes(target)[-1]

    async def asks(self, event_id: str, more: str = "") -> Any:
        """Ask the web API for an entry, or for what stands behind it."""
        path = f"/rooms/{quote(self.room_id)}/entries/{quote(event_id, safe='')}{more}"
        return await self.bob.do("GET", path)


async def test_what_a_stock_client_says_and_changes_is_seen_on_the_web(
    settings: Settings, synapse: SynapseProcess
) -> None:
    async with (
        running_bridge(settings),
        connected(settings, synapse.base_url) as world,
        matrix_user(synapse, f"human-{secrets.token_hex(4)}") as human,
    ):
        alice, bob = await world.here.user("Alice"), await world.here.user("Bob")
        room_id = await world.here.group(f"talk-{secrets.token_hex(4)}", [alice, bob], public=True)
        async with bob.stream() as stream, bob.socket() as socket:
            for one in (stream, socket):
                await one.wait("hello")
            await human.join(room_id)
            came = await stream.wait("timeline", room_id=room_id, kind="member")
            assert came.data["subject"]["mxid"] == human.user_id
            talk = Talk(world, human, bob, stream, room_id)
            said = await alice.send(room_id, "Who brings bread?")
            await stream.message("Who brings bread?")
            await _speech(talk, alice, said["event_id"])
            await _everything_else(talk)
            changed = await _changes(talk)
            deleted = await _deletions(talk)
            await alice.send(room_id, "That was all")
            for one in (stream, socket):
                await one.message("That was all")
            await _all_agree(talk, stream, socket)
        kept = await world.sql(
            "SELECT content FROM log WHERE event_id = ANY($1::text[])", [*deleted, *changed]
        )
        assert {bytes(row["content"]) for row in kept} == {b"{}"}


async def _speech(talk: Talk, alice: User, asked: str) -> None:
    """Words, formatted and not, to somebody and to nobody."""
    shown = await talk.says(
        html("I do", '<b>I</b> do<script>steal()</script> <a href="javascript:steal()">so</a>')
    )
    assert (shown["kind"], shown["text"]) == ("text", "I do")
    assert "<b>I</b>" in shown["html"] or "<strong>I</strong>" in shown["html"]
    assert "script" not in shown["html"]
    fallback = f"> <{alice.mxid}> Who brings bread?\n\nMe too"
    reply = {"m.relates_to": {"m.in_reply_to": {"event_id": asked}}}
    shown = await talk.says({**text(fallback), **reply})
    assert shown["text"] == "Me too"
    assert (shown["reply_to"]["text"], shown["reply_to"]["sender"]["slug"]) == (
        "Who brings bread?",
        alice.slug,
    )
    thread = {"rel_type": "m.thread", "event_id": asked, "is_falling_back": True}
    shown = await talk.says({**text("Aside"), "m.relates_to": thread})
    assert shown["thread"]["text"] == "Who brings bread?"
    nobody = {"m.relates_to": {"m.in_reply_to": {"event_id": "$nobody"}}}
    shown = await talk.says({**text("To whom?"), **nobody})
    assert shown["reply_to"] == {"event_id": "$nobody"}
    shown = await talk.says(text("Alice!", **{"m.mentions": {"user_ids": [alice.mxid]}}))
    assert [one["slug"] for one in shown["mentions"]["people"]] == [alice.slug]
    assert (await talk.says({"msgtype": "m.emote", "body": "waves"}))["kind"] == "emote"
    assert (await talk.says({"msgtype": "m.notice", "body": "beep"}))["kind"] == "notice"


async def _everything_else(talk: Talk) -> None:
    """Whatever else one can put into a room has a line that says what it is."""
    place = {"msgtype": "m.location", "body": "The shore", "geo_uri": "geo:47.5,9.4;u=35"}
    shown = await talk.says(place)
    assert (shown["kind"], shown["place"]["latitude"]) == ("location", 47.5)
    file = {"url": "mxc://localhost/abc", "info": {"mimetype": "image/png", "w": 9, "h": 7}}
    shown = await talk.says({"msgtype": "m.image", "body": "shore.png", **file})
    assert (shown["kind"], shown["media"]["width"]) == ("image", 9)
    assert (await talk.says({"body": "A duck", **file}, "m.sticker"))["kind"] == "sticker"
    answers = [{"id": word, "org.matrix.msc1767.text": word} for word in ("rye", "oat")]
    question = {"question": {"org.matrix.msc1767.text": "Which?"}, "answers": answers}
    shown = await talk.says(
        {"org.matrix.msc3381.poll.start": question}, "org.matrix.msc3381.poll.start"
    )
    assert (shown["kind"], shown["poll"]) == (
        "poll",
        {"question": "Which?", "answers": ["rye", "oat"]},
    )
    sealed = {"algorithm": "m.megolm.v1.aes-sha2", "ciphertext": "x", "session_id": "s"}
    assert (await talk.says(sealed, "m.room.encrypted"))["kind"] == "encrypted"
    for odd in ({"msgtype": "m.text", "body": ""}, {"msgtype": "org.example.odd", "body": " "}):
        assert (await talk.says(odd))["text"]
    shown = await talk.says({"anything": [1, {"at": "all"}]}, "org.example.unheard.of")
    assert (shown["kind"], bool(shown["text"])) == ("unknown", True)


async def _changes(talk: Talk) -> list[str]:
    """Edits and reactions; return those that were taken back."""
    said = (await talk.says(text("Bred?")))["event_id"]
    reply = {"m.relates_to": {"m.in_reply_to": {"event_id": said}}}
    answer = (await talk.says({**text("Yes"), **reply}))["event_id"]
    new = html("Bread?", "<em>Bread?</em>")
    edit, shown = await talk.changes(
        said, {"rel_type": "m.replace"}, **text("* Bread?", **{"m.new_content": new})
    )
    assert (shown["text"], shown["html"]) == ("Bread?", "<em>Bread?</em>")
    assert (shown["edited"]["event_id"], shown["edited"]["count"]) == (edit, 1)
    assert (await talk.asks(answer))["reply_to"]["text"] == "Bread?"
    versions = (await talk.asks(said, "/versions"))["versions"]
    assert [(one["event_id"], one["text"]) for one in versions] == [
        (said, "Bred?"),
        (edit, "Bread?"),
    ]
    like, shown = await talk.changes(said, {"rel_type": "m.annotation", "key": "👍"}, "m.reaction")
    assert [(one["key"], one["count"]) for one in shown["reactions"]] == [("👍", 1)]
    (reaction,) = (await talk.asks(said, "/reactions"))["reactions"]
    assert [one["mxid"] for one in reaction["people"]] == [talk.human.user_id]
    shown = await talk.redacts(like, said)
    assert "reactions" not in shown
    shown = await talk.redacts(edit, said)
    assert (shown["text"], "edited" in shown) == ("Bred?", False)
    assert await talk.asks(said) == shown
    return [like, edit]


async def _deletions(talk: Talk) -> list[str]:
    """A message that was edited and answered is deleted; return all of which nothing is left."""
    said = (await talk.says(text("My number is 123")))["event_id"]
    new = text("My number is 456")
    edit, _ = await talk.changes(
        said, {"rel_type": "m.replace"}, **text("* 456", **{"m.new_content": new})
    )
    reply = {"m.relates_to": {"m.in_reply_to": {"event_id": said}}}
    answer = await talk.says({**text("Thanks"), **reply})
    assert answer["reply_to"]["text"] == "My number is 456"
    shown = await talk.redacts(said, reason="too private")
    assert (shown["kind"], "edited" in shown) == ("deleted", False)
    assert shown["deletion"]["by"]["mxid"] == talk.human.user_id
    assert shown["deletion"]["reason"] == "too private"
    assert (await talk.asks(answer["event_id"]))["reply_to"]["kind"] == "deleted"
    assert (await talk.asks(said, "/versions"))["versions"] == []
    return [said, edit]


async def _all_agree(talk: Talk, *streams: Stream) -> None:
    """What has come over a stream, taken together, is what a page shows."""
    entries = [msgspec.convert(one, Entry) for one in await talk.bob.timeline(talk.room_id)]
    page = {entry.event_id: entry for entry in entries}
    for stream in streams:
        client = Client()
        for frame in stream.frames:
            if frame.type in ("timeline", "timeline.changed"):
                entry = msgspec.convert(frame.data, Entry)
                client.apply(entry, changed=frame.type == "timeline.changed")
        assert client.entries
        known: dict[EventId, Entry] = {one: page[one] for one in client.entries}
        assert client.entries == known
