"""Typists: who types in one room, for how long, and how many."""

from __future__ import annotations

from openmeet_bridge.bridge.typing import SHOWN
from openmeet_bridge.core.ids import Mxid
from openmeet_bridge.core.typists import ECHO_SECONDS, HERE_SECONDS, MOST, THERE_SECONDS, Typists

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


def test_one_list_can_be_told_to_another_and_nobody_types_for_longer() -> None:
    here, there = Typists(), Typists()
    here.say(ANN, True, 0.0)
    here.hear([BEN], 10.0)
    standing = here.standing(20.0)
    assert standing == [(ANN, True, HERE_SECONDS - 20), (BEN, False, THERE_SECONDS - 10)]
    for one in standing:
        there.learn(*one, 20.0)
    assert there.at(21.0) == [ANN, BEN]
    assert there.at(HERE_SECONDS) == here.at(HERE_SECONDS) == [BEN]
    assert there.at(10.0 + THERE_SECONDS) == []
    # What is known already is newer, and a list is not told more than it can hold.
    there.learn(BEN, False, THERE_SECONDS, 50.0)
    assert there.standing(50.0) == here.standing(50.0)
    full = Typists()
    for number in range(MOST):
        full.learn(Mxid(f"@{number}:test"), False, THERE_SECONDS * 9, 0.0)
        full.say(Mxid(f"@here{number}:test"), True, 0.0)
    assert len(full.at(THERE_SECONDS - 1)) == MOST
    full.learn(ANN, True, 5.0, 1.0)
    full.learn(BEN, False, 5.0, 1.0)
    assert not {ANN, BEN} & set(full.at(2.0))
