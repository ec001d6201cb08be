"""Whom a message names: by `m.mentions`, by links for those who know no better, and else nobody."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openmeet_bridge.core.ids import Mxid
from openmeet_bridge.core.mentioning import MOST_MENTIONED, NOBODY, Mentioned, mentioned
from openmeet_bridge.core.showing import Names, show

ANN, BEN = Mxid("@ann:test"), Mxid("@ben:else.where:8448")
PILL = f'<a href="https://matrix.to/#/{ANN}">Ann</a>'
MESSAGE = "m.room.message"


def of(**content: Any) -> Mentioned:
    return mentioned(MESSAGE, json.dumps({"body": "hi", **content}).encode())


def meant(mentions: Any, **content: Any) -> Mentioned:
    return of(**{"m.mentions": mentions, **content})


def rich(html: Any) -> dict[str, Any]:
    return {"format": "org.matrix.custom.html", "formatted_body": html}


def linked(html: str) -> tuple[str, ...]:
    return of(**rich(html)).people


def shown(event_type: str, content: bytes) -> Mentioned:
    one = show(event_type, None, content, Names("Ann"))
    return Mentioned(one.mentioned, one.mentions_room)


def test_people_and_the_room() -> None:
    assert meant({"user_ids": [ANN, BEN, ANN]}) == Mentioned((ANN, BEN), False)
    assert meant({"room": True, "user_ids": [ANN]}) == Mentioned((ANN,), True)
    assert meant({"room": True}).room
    assert meant({}) == NOBODY


@pytest.mark.parametrize(
    "odd",
    [None, [], "x", 5, {"user_ids": "x"}, {"user_ids": {ANN: 1}}, {"room": 1}, {"room": "true"}],
)
def test_what_is_odd_names_nobody(odd: Any) -> None:
    assert meant(odd, **rich(PILL)) == NOBODY


@pytest.mark.parametrize(
    "nobody", [5, None, "ann", "@ann", "!room:x", "@\x00:x", "@a:" + "x" * 300]
)
def test_ids_that_are_none_are_left_out(nobody: Any) -> None:
    assert meant({"user_ids": [nobody, ANN]}).people == (ANN,)


def test_not_more_than_fifty() -> None:
    many = [f"@u{n}:test" for n in range(MOST_MENTIONED + 10)]
    assert meant({"user_ids": many}).people == tuple(many[:MOST_MENTIONED])
    links = "".join(f'<a href="https://matrix.to/#/{one}">x</a>' for one in many)
    assert linked(links) == tuple(many[:MOST_MENTIONED])


def test_links_count_where_no_mentions_are_named() -> None:
    html = f"{PILL}, <a href='https://MATRIX.to/#/%40ben%3Aelse.where%3A8448?via=x'>B</a>"
    assert linked(html) == (ANN, BEN)
    assert linked('<a href="https://matrix.to/#/!room:test/$event">this</a>') == ()
    assert linked(f"<mx-reply>{PILL} said</mx-reply>yes") == ()
    assert linked(f"<!-- {PILL} -->https://matrix.to/#/{ANN}") == ()
    assert meant({}, **rich(html)) == NOBODY
    assert of(formatted_body=html) == NOBODY  # nobody says that this is HTML


CORPUS = [
    b"",
    b"{",
    b'"m.mentions"',
    b"[" * 5000 + b"m.mentions",
    b'{"m.mentions":' * 3000,
    b"\xff m.mentions",
    b'{"m\\u002ementions":{"user_ids":["@ann:test"]}}',
    b'{"m.mentions":{"user_ids":["@ann:test"]},"n":' + b"1" * 5000 + b"}",
    b'{"m.mentions":{"user_ids":["@ann:test"]},"body":"\xff"}',
    b'{"m.mentions":{"user_ids":["@\\ud800:test"]}}',
    *(
        msgspec.json.encode({"body": "x", **rich(html)})
        for html in (
            None,
            ["matrix.to"],
            "<mx-reply>" * 6000 + PILL,
            "<mx-reply>" * 900 + PILL + "</mx-reply>" * 900 + PILL,
            PILL * 900,
            f"&#{'1' * 5000};{PILL}",
            f'<a href="https://matrix.to/#/&#{"1" * 5000};">x</a>{PILL}',
            "<a href='https://matrix.to/#/" + "@" * 60_000,
            "<!--" * 15_000 + PILL,
        )
    ),
]


@pytest.mark.parametrize("content", CORPUS)
@pytest.mark.parametrize("event_type", [MESSAGE, "m.poll.start", "m.room.encrypted"])
def test_who_is_counted_is_who_is_shown(event_type: str, content: bytes) -> None:
    assert mentioned(event_type, content) == shown(event_type, content)


def test_quotes_within_quotes_name_nobody() -> None:
    assert linked("<mx-reply>" * 900 + PILL) == ()
    assert linked("<mx-reply>" * 900 + PILL + "</mx-reply>" * 900 + "yes") == ()
    assert linked("<mx-reply>" * 900 + "x" + "</mx-reply>" * 900 + PILL) == (ANN,)


MARKUP = (
    *(PILL, "<mx-reply>", "</mx-reply>", "<a href='matrix:u/ben:x'>", "</a>", "<!--", "-->"),
    *("<", ">", '"', "<p>", "<td>", "<script>", "&#64;", "\x00", "x"),
)
FORMATS = ("org.matrix.custom.html", "x", None)


@settings(deadline=None)
@given(st.lists(st.sampled_from(MARKUP)).map("".join), st.sampled_from(FORMATS))
def test_any_markup_names_whom_it_shows(html: str, form: str | None) -> None:
    content = msgspec.json.encode({"body": "x", "format": form, "formatted_body": html})
    assert mentioned(MESSAGE, content) == shown(MESSAGE, content)
