"""The page about the faults of the first chat names them all, and tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "explain" / "past-bugs.md"
ROW = re.compile(r"^\| P(\d+) \| (.+?) \| (.+?) \| (.+) \|$", re.MULTILINE)
NAMED = re.compile(r"`([\w/]+\.py)::(\w+)`")
LEFT_OUT = re.compile(r"@pytest\.mark\.(skip|xfail)\b(?!if)")
NOT_ABOUT_THE_BRIDGE = {21}
"""Faults of a library of another language."""

ROWS = {int(number): rest for number, *rest in ROW.findall(PAGE.read_text())}


def test_every_fault_is_there_once() -> None:
    assert [int(number) for number, *_ in ROW.findall(PAGE.read_text())] == list(range(1, 56))


@pytest.mark.parametrize("number", sorted(ROWS.keys() - NOT_ABOUT_THE_BRIDGE))
def test_it_is_shown_by_tests_that_exist(number: int) -> None:
    named = NAMED.findall(ROWS[number][2])
    assert named
    for file, name in named:
        found = re.search(rf"^(?:async )?def {name}\(", (TESTS / file).read_text(), re.MULTILINE)
        assert found, f"{file} has no {name}"


def test_no_test_is_switched_off() -> None:
    """P54: suites that were switched off for good."""
    mine = Path(__file__).name
    for file in TESTS.rglob("test_*.py"):
        assert file.name == mine or not LEFT_OUT.search(file.read_text()), file
