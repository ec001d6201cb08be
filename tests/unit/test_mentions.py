"""Whom a message names: by `m.mentions`, by links for those who know no better, and else nobody."""

from __future__ import annotations

import json
from typing import Any

import pytest

from openmeet_bridge.core.ids import Mxid
from openmeet_bridge.core.mentions import MOST_MENTIONED, NOBODY, Mentioned, mentioned

ANN, BEN = Mxid("@ann:test"), Mxid("@ben:else.where:8448")


def of(**content: Any) -> Mentioned:
    return mentioned(json.dumps({"body": "hi", **content}).encode())


def meant(mentions: Any, **content: Any) -> Mentioned:
    return of(**{"m.mentions": mentions, **content})


def linked(html: str) -> tuple[str, ...]:
    return of(formatted_body=html).people


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
    assert meant(odd, formatted_body=f'<a href="https://matrix.to/#/{ANN}">Ann</a>') == NOBODY


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
    html = f"<a href=\"https://matrix.to/#/{ANN}\">Ann</a>, <a href='https://matrix.to/#/%40ben%3Aelse.where%3A8448?via=x'>B</a>"
    assert linked(html) == (ANN, BEN)
    assert linked('<a href="https://matrix.to/#/!room:test/$event">this</a>') == ()
    assert linked(f'<mx-reply><a href="https://matrix.to/#/{ANN}">Ann</a> said</mx-reply>yes') == ()
    assert meant({}, formatted_body=html) == NOBODY


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b'"m.mentions"',
        b"[" * 5000 + b"m.mentions",
        b'{"m.mentions":' * 3000,
        b"\xff m.mentions",
    ],
)
def test_what_is_unreadable_names_nobody(content: bytes) -> None:
    assert mentioned(content) == NOBODY
    assert of(formatted_body=["matrix.to"]) == of(formatted_body=None) == NOBODY
