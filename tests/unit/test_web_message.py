"""Messages for OpenMeet's web app: its fields, and bodies that cannot hurt its page."""

from __future__ import annotations

import html
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmeet_bridge.core.entry import Entry, Person, Reaction
from openmeet_bridge.core.ids import EventId, Mxid, RoomId, UserSlug
from openmeet_bridge.core.web_message import harmless, is_message, web_message

ANN = Person(Mxid("@ann:x"), "Ann Lee", None, UserSlug("ann"))
BEN = Person(Mxid("@ben:x"), "Ben", None, None)


class Tags(HTMLParser):
    """Collects everything in a text that is not text."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append(tag)

    def handle_endtag(self, tag: str) -> None:
        self.found.append(tag)

    def handle_comment(self, data: str) -> None:
        self.found.append("comment")

    def handle_decl(self, decl: str) -> None:
        self.found.append("declaration")

    def handle_data(self, data: str) -> None:
        self.text += data


def entry(kind: str = "text", text: str = "hi", reactions: list[Reaction] | None = None) -> Entry:
    """Something that Ann said."""
    return Entry(
        event_id=EventId("$e"),
        room_id=RoomId("!r"),
        order="a",
        revision=1,
        type="m.room.message",
        kind=kind,
        sender=ANN,
        timestamp=1_715_000_000_000,
        text=text,
        reactions=reactions or [],
    )


def test_both_naming_styles_say_the_same() -> None:
    message = web_message(entry(reactions=[Reaction("👍", 2, [ANN, BEN])]))
    assert (message.event_id, message.room_id) == (message.eventId, message.roomId) == ("$e", "!r")
    assert message.origin_server_ts == message.timestamp == 1_715_000_000_000
    assert (message.type, message.sender, message.sender_name) == (
        "m.room.message",
        "@ann:x",
        "Ann Lee",
    )
    assert message.content == {
        "msgtype": "m.text",
        "body": "hi",
        "reactions": {"👍": ["@ann:x", "@ben:x"]},
    }


@pytest.mark.parametrize(
    ("kind", "msgtype", "body"),
    [
        ("text", "m.text", "waves"),
        ("notice", "m.notice", "waves"),
        ("emote", "m.emote", "* Ann Lee waves"),
        ("image", "m.notice", "waves"),
        ("poll", "m.notice", "waves"),
        ("encrypted", "m.notice", "waves"),
    ],
)
def test_what_is_said_in_other_ways_is_told_in_words(kind: str, msgtype: str, body: str) -> None:
    told = entry(kind, "waves")
    assert is_message(told)
    assert web_message(told).content == {"msgtype": msgtype, "body": body}


@pytest.mark.parametrize("kind", ["member", "room", "deleted", "unknown"])
def test_what_only_happened_is_no_message(kind: str) -> None:
    assert not is_message(entry(kind))


@given(st.text(st.sampled_from("<>&;#x/!-?scriptaAb \"'=\n")) | st.text())
def test_no_markup_begins_in_a_body(text: str) -> None:
    """P10: the app puts a body into its page as markup."""
    tags = Tags()
    tags.feed(harmless(text))
    tags.close()
    assert tags.found == []


@pytest.mark.parametrize(
    "text",
    ["a < b && c > d", "AT&T &amp; &lt;b&gt; &#60; &", "<script>alert(1)</script>", "> *quoted*"],
)
def test_a_body_shows_as_it_was(text: str) -> None:
    assert html.unescape(harmless(text)) == text


def test_an_ordinary_body_is_left_alone() -> None:
    for text in ("> a quote", "AT&T, 1 > 0", "**bold** _and_ `code`", "R&D & more"):
        assert harmless(text) == text
