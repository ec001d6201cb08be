"""Typists: who types in one room, for how long, and how many."""

from __future__ import annotations

from openmeet_bridge.bridge.typing import SHOWN
from openmeet_bridge.core.ids import Mxid
from openmeet_bridge.core.typists import ECHO_SECONDS, HERE_SECONDS, MOST, Typists

ANN, BEN = Mxid("@ann:test"), Mxid("@ben:test")


def test_so_many_type_and_so_many_are_shown() -> None:
    typists = Typists()
    names = [Mxid(f"@{number}:test") for number in range(MOST + 1)]
    assert [typists.say(name, True, 0.0) for name in names].count(False) == 1
    assert typists.at(1.0) == names[:MOST]
    typists.hear(names, 1.0)
    assert typists.at(2.0) == names
    assert len(names) > SHOWN
    typists.unhear()
    # Who stops and begins again comes last.
    typists.say(names[0], False, 2.0)
    typists.say(names[0], True, 3.0)
    assert typists.at(3.0) == [*names[1:MOST], names[0]]
    assert typists.forget(3.0 + HERE_SECONDS)
    assert not typists.forget(3.0 + ECHO_SECONDS)


def test_the_newest_word_counts_from_whichever_client() -> None:
    typists = Typists()
    typists.say(ANN, True, 0.0)
    typists.say(ANN, True, 1.0)
    typists.say(ANN, False, 2.0)
    assert typists.at(2.0) == []
    typists.say(ANN, True, 3.0)  # the other client's repetition
    assert typists.at(2.0 + HERE_SECONDS) == [ANN]
    assert not typists.end(BEN, 4.0)
    assert typists.end(ANN, 4.0)
    assert not typists.end(ANN, 4.0)
