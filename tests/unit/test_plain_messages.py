"""Plain messages are shown in a shorter way, which shows them as the longer one does."""

from __future__ import annotations

from typing import Any

import pytest

from openmeet_bridge.core.message import shown
from openmeet_bridge.core.shown import Names

BODIES = [
    "hi",
    " x ",
    "",
    "\u202e",
    "a\r\nb",
    "> <@ann:test> a\n\nb",
    "x" * 50_000,
    "\x00",
    5,
    None,
    {},
]
NAMING: list[Any] = [{}, {"user_ids": ["@ann:test"]}, {"room": True}, None, []]


@pytest.mark.parametrize("kind", ["m.room.message", "m.sticker"])
@pytest.mark.parametrize("msgtype", ["m.text", "m.notice", "m.image", 5])
def test_the_short_way_is_the_long_one(kind: str, msgtype: Any) -> None:
    for body in BODIES:
        plain = {"msgtype": msgtype, "body": body}
        for content in (plain, *(plain | {"m.mentions": one} for one in NAMING)):
            # A key that nobody knows is shown nowhere, but leads past the short way.
            long = shown(kind, content | {"odd": 1}, Names("Ann"), None)
            assert shown(kind, content, Names("Ann"), None) == long
