"""What events show: everything a room can hold has a readable line."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openmeet_bridge.core.entry import Media, Person, Place, Poll
from openmeet_bridge.core.events import COUNTED
from openmeet_bridge.core.ids import Mxid
from openmeet_bridge.core.mentioning import mentioned
from openmeet_bridge.core.showing import Names, deleted, show
from openmeet_bridge.core.shown import Shown
from openmeet_bridge.core.words import MOST_TEXT

ANN = Names("Ann")
ANN_OF_BEN = Names("Ann", "Ben")
BEN = Names("Ben", "Ben", own=True)
HTML = {"format": "org.matrix.custom.html"}


def message(content: object, edit: object = None, kind: str = "m.room.message") -> Shown:
    replaced = None if edit is None else msgspec.json.encode({"m.new_content": edit})
    return show(kind, None, msgspec.json.encode(content), ANN, edit=replaced)


def state(kind: str, **content: object) -> Shown:
    return show(kind, "", msgspec.json.encode(content), ANN)


def text(body: object, **more: object) -> dict[str, object]:
    return {"msgtype": "m.text", "body": body, **more}


def answer(body: str, formatted: str | None = None, **more: object) -> dict[str, object]:
    relation = {"m.in_reply_to": {"event_id": "$other"}, **more}
    rich = {**HTML, "formatted_body": formatted} if formatted else {}
    return text(body, **rich, **{"m.relates_to": relation})


# Words


@pytest.mark.parametrize(
    ("content", "kind", "words"),
    [
        (text("hello\nyou"), "text", "hello\nyou"),
        ({"msgtype": "m.emote", "body": "waves"}, "emote", "waves"),
        ({"msgtype": "m.notice", "body": "beep"}, "notice", "beep"),
        ({"msgtype": "m.server_notice", "body": "beep"}, "notice", "beep"),
        ({"msgtype": "org.example.odd", "body": "odd"}, "text", "odd"),
        ({"body": "no type"}, "text", "no type"),
        ({"msgtype": 7, "body": ["no text"]}, "text", "This message has no text."),
        ({"m.text": [{"body": "extensible"}]}, "text", "extensible"),
        ({"org.matrix.msc1767.text": "old style"}, "text", "old style"),
        ({"msgtype": "m.text", **HTML, "formatted_body": "<p>a</p><p>b</p>"}, "text", "a\n\nb"),
        ({"msgtype": "m.key.verification.request", "body": "x"}, "unknown", "Ann wants to compare"),
        ({}, "text", "This message has no text."),
        ([], "text", "This message has no text."),
        (text(" \u200b\u2060\n "), "text", "This message has no text."),
        (text("a\x00b\x07c\u202ed\r\ne\x85f"), "text", "abcd\ne\nf"),
    ],
)
def test_messages(content: object, kind: str, words: str) -> None:
    shown = message(content)
    assert shown.kind == kind
    assert shown.text.startswith(words)


def test_formatted_text() -> None:
    shown = message(text("**hi** <b>", **HTML, formatted_body="<b>hi</b> &lt;b&gt;<script>x"))
    assert (shown.text, shown.html) == ("**hi** <b>", "<b>hi</b> &lt;b&gt;")
    assert message(text("hi", **HTML, formatted_body="hi")).html is None
    assert message(text("hi", format="text/html", formatted_body="<b>hi</b>")).html is None
    assert message(text("hi", **HTML, formatted_body=["<b>hi</b>"])).html is None


def test_what_is_covered_stays_covered_in_quotes() -> None:
    rich = "it was <span data-mx-spoiler>the <b>butler</b></span>"
    shown = message(text("it was the butler", **HTML, formatted_body=rich))
    assert shown.text == "it was ||the butler||"
    assert shown.open_text == "it was ▒▒▒▒"
    assert message(text("it was ||him||", **HTML, formatted_body=rich)).text == "it was ||him||"
    assert message(text("a || b || c")).open_text == "a || b || c"


def test_a_text_of_megabytes_is_cut() -> None:
    shown = message(text("😀" * 1_000_000))
    assert len(shown.text) == MOST_TEXT
    assert shown.text.endswith("😀…")


@pytest.mark.parametrize(
    "content",
    [
        b'{"body": "hi", "x": 1e999}',
        b'{"body": "hi", "x": NaN}',
        b'{"body": "hi", "x": %s}' % (b"9" * 4000),
        b'{"body": "hi", "x": "\\ud800"}',
        b'{"body": "hi", "x": "\xff"}',
    ],
)
def test_what_no_parser_should_take_does_not_hide_the_rest(content: bytes) -> None:
    assert show("m.room.message", None, content, ANN).text == "hi"


@pytest.mark.parametrize(
    "content", [b"", b"{", b"null", b'"x"', b"[" * 100_000, b'{"a":' * 100_000, b"9" * 9000]
)
def test_what_is_no_content(content: bytes) -> None:
    assert show("m.room.message", None, content, ANN).text == "This message has no text."
    assert show("m.room.topic", "", content, ANN).text == "Ann changed the topic"


# Edits, answers, threads


def test_edits() -> None:
    was = text("one", **{"m.relates_to": {"m.in_reply_to": {"event_id": "$other"}}})
    now = message(was, text("two", **HTML, formatted_body="<b>two</b>"))
    assert (now.text, now.html, now.reply_to) == ("two", "<b>two</b>", "$other")
    assert message(was, {"msgtype": "m.notice", "body": "two"}).kind == "notice"


@pytest.mark.parametrize("edit", [7, [], {}, {"body": 7}, {"body": ""}, {"msgtype": "m.text"}])
def test_an_edit_with_nothing_to_read_changes_nothing(edit: object) -> None:
    assert message(text("one"), edit).text == "one"


def test_answers() -> None:
    copied = "> <@ben:a.example> what?\n> really?\n\nyes\n> no"
    rich = "<mx-reply><blockquote>what?</blockquote></mx-reply><b>yes</b>"
    shown = message(answer(copied, rich))
    assert (shown.text, shown.html, shown.reply_to) == ("yes\n> no", "<b>yes</b>", "$other")
    assert message(answer("> * <@ben:a.example> waves\n\nyes")).text == "yes"
    assert message(answer("> my own quote\n\nyes")).text == "> my own quote\n\nyes"
    assert message(text(copied)).text == copied
    assert message(answer("> <@ben:a.example> only this")).text == "This message has no text."


def test_threads() -> None:
    root = {"rel_type": "m.thread", "event_id": "$root"}
    within = message(answer("x", is_falling_back=True, **root))
    assert (within.thread, within.reply_to) == ("$root", None)
    both = message(answer("x", is_falling_back=False, **root))
    assert (both.thread, both.reply_to) == ("$root", "$other")


@pytest.mark.parametrize(
    "relation",
    [
        7,
        [],
        {"m.in_reply_to": "$x"},
        {"m.in_reply_to": {"event_id": 7}},
        {"m.in_reply_to": {"event_id": "$\x00"}},
        {"m.in_reply_to": {"event_id": "$" + "x" * 300}},
        {"rel_type": ["m.thread"], "event_id": {}},
    ],
)
def test_relations_that_are_none(relation: object) -> None:
    shown = message(text("x", **{"m.relates_to": relation}))
    assert (shown.text, shown.reply_to, shown.thread) == ("x", None, None)


# Mentions


def test_mentions() -> None:
    pill = '<a href="https://matrix.to/#/@pill:a.example">P</a>'
    stated = {"user_ids": ["@a:x", "@a:x", "@b:x", 7, "no id", "@\x00:x"], "room": True}
    shown = message(text("x", **HTML, formatted_body=pill, **{"m.mentions": stated}))
    assert (shown.mentioned, shown.mentions_room) == ((Mxid("@a:x"), Mxid("@b:x")), True)
    shown = message(text("x", **HTML, formatted_body=pill))
    assert (shown.mentioned, shown.mentions_room) == ((Mxid("@pill:a.example"),), False)
    assert message(text("x", **HTML, formatted_body=pill, **{"m.mentions": {}})).mentioned == ()
    quoted = answer("x", f"<mx-reply>{pill}</mx-reply>x")
    assert message(quoted).mentioned == ()


def test_mentions_of_an_edit_take_the_place_of_the_first_ones() -> None:
    was = text("x", **{"m.mentions": {"user_ids": ["@a:x"], "room": True}})
    now = message(was, text("y", **{"m.mentions": {"user_ids": ["@b:x"]}}))
    assert (now.mentioned, now.mentions_room) == ((Mxid("@b:x"),), False)


def test_no_more_are_mentioned_than_fifty() -> None:
    everybody = {"user_ids": [f"@u{one}:x" for one in range(1000)], "room": "yes"}
    shown = message(text("x", **{"m.mentions": everybody}))
    assert (len(shown.mentioned), shown.mentions_room) == (50, False)


# Files, places, polls, calls


def test_files() -> None:
    info = {"mimetype": "Image/PNG", "size": 10.0, "w": 4, "h": 3, "duration": True}
    picture = {"msgtype": "m.image", "body": "cat.png", "url": "mxc://a.example/b", "info": info}
    media = Media("mxc://a.example/b", "cat.png", type="image/png", size=10, width=4, height=3)
    assert message(picture) == Shown("image", "Picture: cat.png", media=media)
    shown = message({**picture, "filename": "../x\\y.png", **HTML, "formatted_body": "<b>c</b>"})
    assert shown.text == "Picture: cat.png"
    assert shown.html == "<b>c</b>"
    assert shown.media == msgspec.structs.replace(media, name=".._x_y.png", caption="cat.png")
    secret = {"msgtype": "m.file", "body": "x", "file": {"url": "mxc://a.example/c", "key": {}}}
    assert message(secret).media == Media("mxc://a.example/c", "x", encrypted=True)
    voice = {"msgtype": "m.audio", "org.matrix.msc3245.voice": {}}
    assert message(voice).text == "Voice message"
    assert message({"msgtype": "m.video"}).text == "Video"
    assert message({"body": "wave", "url": "mxc://a.example/b"}, kind="m.sticker") == Shown(
        "sticker", "Sticker: wave", media=Media("mxc://a.example/b", "wave")
    )


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("size", -1),
        ("size", 1e300),
        ("w", "4"),
        ("w", None),
        ("h", 10**9),
        ("duration", []),
        ("mimetype", "<script>"),
        ("mimetype", "a" * 999),
    ],
)
def test_what_a_file_cannot_be(key: str, value: object) -> None:
    url = "https://a.example/x"
    shown = message({"msgtype": "m.image", "body": "x", "url": url, "info": {key: value}})
    assert shown.media == Media(name="x")


def test_places() -> None:
    old = {"msgtype": "m.location", "body": "Big Ben", "geo_uri": "geo:51.5,-0.12;u=35"}
    assert message(old) == Shown("location", "Place: Big Ben", place=Place(51.5, -0.12))
    block = {"uri": "geo:51.5,-0.12,7", "description": "the clock"}
    new = {"msgtype": "m.location", "body": "x", "org.matrix.msc3488.location": block}
    assert message(new).place == Place(51.5, -0.12, "the clock")
    for uri in ("geo:91,0", "geo:0,181", "geo:x", "geo:1e9,0", 7, "http://x"):
        assert message({"msgtype": "m.location", "geo_uri": uri}) == Shown("location", "Place")
    assert message(block, kind="m.beacon").kind == "location"
    assert state("m.beacon_info", live=True).text == "Ann shares where they are"
    assert state("m.beacon_info", live=False).text == "Ann stopped sharing where they are"


def test_polls() -> None:
    new = {
        "m.text": [{"body": "fallback"}],
        "m.poll": {
            "question": {"m.text": [{"mimetype": "text/html", "body": "<b>"}, {"body": "Tea?"}]},
            "answers": [{"m.id": "a", "m.text": [{"body": "yes"}]}, 7],
        },
    }
    poll = Poll("Tea?", ["yes", "…"])
    assert message(new, kind="m.poll.start") == Shown("poll", "Poll: Tea?", poll=poll)
    answers = [{"id": str(one), "org.matrix.msc1767.text": str(one)} for one in range(30)]
    old = {"question": {"body": "Tea?"}, "answers": answers}
    shown = message({"org.matrix.msc3381.poll.start": old}, kind="org.matrix.msc3381.poll.start")
    assert shown.poll == Poll("Tea?", [str(one) for one in range(20)])
    edited = message(
        new, {"m.poll": {"question": {"body": "Milk?"}, "answers": []}}, "m.poll.start"
    )
    assert edited.poll == Poll("Milk?", [])
    assert message({}, kind="m.poll.start").text.startswith("Ann started a poll")
    assert message({"m.poll": 7}, 7, "m.poll.start").poll is None
    assert message({"m.text": "Tea won"}, kind="m.poll.end").text == "Ann ended the poll: Tea won"


@pytest.mark.parametrize(
    ("kind", "content", "words"),
    [
        ("m.call.invite", {}, "Ann started a call, which cannot be joined here"),
        ("m.call.invite", {"offer": {"sdp": "m=video 9"}}, "Ann started a video call, which"),
        ("m.call.invite", {"offer": [], "sdp": 7}, "Ann started a call"),
        ("org.matrix.msc4075.rtc.notification", {}, "Ann started a call"),
        ("m.call.answer", {}, "Ann answered the call"),
        ("m.call.hangup", {}, "Ann ended the call"),
        ("m.call.hangup", {"reason": "invite_timeout"}, "Nobody answered the call of Ann"),
        ("m.call.reject", {}, "Ann declined the call"),
    ],
)
def test_calls(kind: str, content: object, words: str) -> None:
    shown = message(content, kind=kind)
    assert shown.kind == "call"
    assert shown.text.startswith(words)


def test_parts_in_calls() -> None:
    assert state("m.call.member", memberships=[{}]).text == "Ann joined the call"
    assert state("org.matrix.msc3401.call.member", application="m.call").kind == "call"
    assert state("org.matrix.msc3401.call.member").text == "Ann left the call"
    assert state("org.matrix.msc3401.call", x=1).text == "Ann started a call in this room"
    assert state("org.matrix.msc3401.call").text == "Ann ended a call in this room"


@pytest.mark.parametrize(
    ("kind", "content", "words"),
    [
        ("m.room.encrypted", {}, "This message is encrypted and cannot be shown here."),
        # Kept by releases that took these for lines.
        ("m.key.verification.start", {}, "Ann compares encryption keys with somebody"),
        ("org.example.odd", {}, "Ann sent something that cannot be shown here"),
        ("org.example.odd", {"body": "odd\nthing"}, "Ann: odd thing"),
        ("m.room.name", {"name": "x"}, "Ann sent something that cannot be shown here"),
    ],
)
def test_what_cannot_be_shown(kind: str, content: object, words: str) -> None:
    assert message(content, kind=kind).text == words


def test_deleted() -> None:
    assert deleted() == Shown("deleted", "This message was deleted.")


# The room


@pytest.mark.parametrize(
    ("kind", "content", "words"),
    [
        ("m.room.create", {}, "This room was created"),
        ("m.room.create", {"predecessor": {}}, "This room was created in place of an older one"),
        ("m.room.name", {"name": "Hikers"}, "Ann named this room “Hikers”"),
        ("m.room.name", {"name": ""}, "Ann removed the name of this room"),
        ("m.room.name", {}, "Ann changed the name of this room"),
        ("m.room.topic", {"topic": "a\nb"}, "Ann set the topic to “a b”"),
        ("m.room.topic", {"topic": None}, "Ann removed the topic"),
        ("m.room.topic", {"m.topic": {"m.text": [{"body": "x"}]}}, "Ann set the topic to “x”"),
        ("m.room.avatar", {"url": "mxc://a/b"}, "Ann changed the picture of this room"),
        ("m.room.avatar", {"url": ""}, "Ann removed the picture of this room"),
        ("m.room.join_rules", {"join_rule": "public"}, "Ann changed who may join: everybody"),
        ("m.room.join_rules", {"join_rule": ["x"]}, "Ann changed who may join"),
        (
            "m.room.history_visibility",
            {"history_visibility": "shared"},
            "Ann changed who may read the history: all members",
        ),
        ("m.room.pinned_events", {"pinned": ["$x"]}, "Ann changed the pinned messages"),
        ("m.room.pinned_events", {"pinned": []}, "Ann unpinned all messages"),
        ("m.room.encryption", {}, "Ann turned on encryption; messages cannot be read here"),
        ("m.room.tombstone", {"body": "moved"}, "Ann replaced this room by a new one: “moved”"),
        ("m.room.tombstone", {}, "Ann replaced this room by a new one"),
        ("m.room.third_party_invite", {"display_name": "x"}, "Ann invited “x”"),
        ("m.room.third_party_invite", {}, "Ann withdrew an invitation"),
        ("m.room.power_levels", {}, "Ann changed who may do what"),
        ("org.example.odd", {"body": "x"}, "Ann changed a setting of this room"),
    ],
)
def test_changes_of_the_room(kind: str, content: dict[str, object], words: str) -> None:
    assert state(kind, **content) == Shown("room", words)


# People


def member(
    names: Names, content: object, effect: int = 0, before: Mapping[str, object] | None = None
) -> Shown:
    previous = None if before is None else msgspec.json.encode(before)
    encoded = msgspec.json.encode(content)
    return show("m.room.member", "@ben:x", encoded, names, effect=effect, previous=previous)


@pytest.mark.parametrize(
    ("names", "membership", "effect", "before", "words"),
    [
        (BEN, "join", 1, None, "Ben joined"),
        (BEN, "join", 0, None, "Ben joined"),
        (BEN, "join", 1, "invite", "Ben joined"),
        (ANN_OF_BEN, "invite", 0, None, "Ann invited Ben"),
        (ANN_OF_BEN, "invite", 0, "knock", "Ann invited Ben"),
        (BEN, "knock", 0, "leave", "Ben asks to join"),
        (BEN, "leave", -1, "join", "Ben left"),
        (BEN, "leave", -1, None, "Ben left"),
        (BEN, "leave", 0, "invite", "Ben declined the invitation"),
        (BEN, "leave", 0, "knock", "Ben no longer asks to join"),
        (ANN_OF_BEN, "leave", -1, "join", "Ann removed Ben"),
        (ANN_OF_BEN, "leave", 0, "invite", "Ann withdrew the invitation of Ben"),
        (ANN_OF_BEN, "leave", 0, "knock", "Ann did not let Ben join"),
        (ANN_OF_BEN, "leave", 0, "ban", "Ann lifted the ban of Ben"),
        (ANN_OF_BEN, "ban", -1, "join", "Ann banned Ben"),
        (ANN_OF_BEN, "ban", 0, None, "Ann banned Ben"),
    ],
)
def test_comings_and_goings(
    names: Names, membership: str, effect: int, before: str | None, words: str
) -> None:
    previous = {"membership": before} if before else None
    content = {"membership": membership}
    assert member(names, content, effect, previous) == Shown("member", words, membership=membership)
    told = member(names, {**content, "reason": "be\nkind"}, effect, previous)
    assert told.text == f"{words}: be kind"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ({"displayname": "Ben"}, {"displayname": "Benny"}, "Ben is now called Benny"),
        ({"displayname": "Ben"}, {}, "Ben removed their name"),
        ({}, {"displayname": "Benny"}, "Benny set their name"),
        ({"avatar_url": "a"}, {"avatar_url": "b"}, "Ben changed their picture"),
        ({}, {"reason": "x"}, "Ben updated their profile"),
    ],
)
def test_changes_of_a_profile(old: dict[str, object], new: dict[str, object], words: str) -> None:
    before = {"membership": "join", **old}
    assert member(BEN, {"membership": "join", **new}, 0, before).text == words


def test_what_is_known_of_a_membership_whose_content_is_gone() -> None:
    assert member(BEN, {}, 1) == Shown("member", "Ben joined", membership="join")
    assert member(ANN_OF_BEN, {}, -1) == Shown("member", "Ann removed Ben", membership="leave")
    overtaken = member(BEN, {"membership": "join", "reason": "x"}, -1)
    assert overtaken == Shown("member", "Ben left", membership="leave")
    assert member(ANN_OF_BEN, {"membership": 7}) == Shown(
        "member", "Ann changed something about who is in this room"
    )


def test_names_cannot_reorder_a_sentence() -> None:
    evil = Names("\u202eeve\n\x00", "  \u200b ")
    assert member(evil, {"membership": "invite"}).text == "eve invited Somebody"
    hebrew = Names("דנה", "x" * 500)
    said = member(hebrew, {"membership": "invite"}).text
    assert said == f"\u2068דנה\u2069 invited {'x' * 99}…"


@pytest.mark.parametrize(
    ("called", "shown"),
    [
        ("\u202eeve\n\x00", "eve"),
        ("דנה", "דנה"),
        ("a\u2067b  c\td", "ab c d"),
        ("x" * 10_000, "x" * 254 + "…"),
        ("half \ud800", "half \ufffd"),
        (" \u200b\n", "eve"),
        ("Ann Larsen", "Ann Larsen"),
    ],
)
def test_what_people_call_themselves_is_harmless_wherever_it_stands(
    called: str, shown: str
) -> None:
    person = Person(Mxid("@eve:x"), called, None, None)
    assert person.name == shown
    msgspec.json.encode(person)
    assert Person(Mxid("\u200b"), "", None, None).name == "Somebody"


# Anything


KEYS = """
    body msgtype format formatted_body m.new_content m.relates_to m.mentions user_ids room url file
    info size w h mimetype filename geo_uri m.location uri description m.poll question answers name
    m.text org.matrix.msc1767.text topic m.topic membership displayname avatar_url reason join_rule
    history_visibility pinned memberships offer sdp m.in_reply_to event_id rel_type predecessor live
"""
LEAVES = """
    m.text m.image m.location org.matrix.custom.html m.thread $x @a:b join leave <b>x mxc://a/b
    geo:1,2 &lt; <a\u0020href=https://matrix.to/#/@a:b> \u202e \x07 \x85 דנה
"""
TYPES = """
    m.room.message m.sticker m.room.encrypted m.poll.start org.matrix.msc3381.poll.start m.poll.end
    m.call.invite m.call.hangup m.call.member m.room.member m.room.name m.room.topic m.room.avatar
    m.room.join_rules m.room.history_visibility m.room.pinned_events m.room.create m.room.tombstone
    m.room.third_party_invite m.beacon m.beacon_info m.reaction m.key.verification.x odd
"""


class Chance:
    """Makes contents of which each part may be anything."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._leaves = [None, True, False, 0, -1, 10**30, 1.5, 1e300, "", *LEAVES.split(), " \n"]

    def pick(self, *choices: Any) -> Any:
        return self._random.choice(choices)

    def name(self) -> str:
        return str(self.pick(*self._leaves))

    def content(self, depth: int = 4) -> dict[str, Any]:
        keys = self._random.sample(KEYS.split(), k=self._random.randint(0, 12))
        return {key: self._value(depth - 1) for key in keys}

    def _value(self, depth: int) -> Any:
        shape = self._random.random() if depth else 1.0
        if shape < 0.25:
            return self.content(depth)
        if shape < 0.4:
            return [self._value(depth - 1) for _ in range(self._random.randint(0, 4))]
        return self.pick(*self._leaves)


@settings(deadline=None)
@given(st.integers(min_value=0))
def test_any_content_has_a_readable_line(seed: int) -> None:
    chance = Chance(seed)
    for kind in TYPES.split():
        edit = {"m.new_content": chance.pick(7, chance.content())}
        shown = show(
            kind,
            chance.pick(None, ""),
            msgspec.json.encode(chance.content()),
            Names(chance.name(), chance.pick(None, chance.name()), chance.pick(True, False)),
            effect=chance.pick(-1, 0, 1),
            edit=chance.pick(None, msgspec.json.encode(edit)),
            previous=chance.pick(None, msgspec.json.encode(chance.content())),
        )
        assert shown.text.strip()
        assert all(one in "\n\t" or one >= " " for one in shown.text)
        assert not set("\u202a\u202b\u202d\u202e\x7f\x85") & set(shown.text)
        msgspec.json.encode(shown)  # what cannot be written cannot be sent


@settings(deadline=None)
@given(st.integers(min_value=0))
def test_who_is_counted_as_mentioned_is_shown_as_such(seed: int) -> None:
    chance = Chance(seed)
    for kind in COUNTED:
        content = msgspec.json.encode({**chance.content(), **chance.content()})
        shown = show(kind, None, content, ANN)
        assert mentioned(kind, content) == (shown.mentioned, shown.mentions_room)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_have_a_readable_line(content: bytes) -> None:
    assert show("m.room.message", None, content, ANN).text
