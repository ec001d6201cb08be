"""Who may read what of a room: a table of cases, and an oracle that goes event by event."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openmeet_bridge.core.visibility import (
    EVERYTHING,
    Change,
    Step,
    Visibility,
    readable,
    visibility_of,
)

SHARED, JOINED, INVITED, WORLD = (
    Visibility.SHARED,
    Visibility.JOINED,
    Visibility.INVITED,
    Visibility.WORLD_READABLE,
)
MEMBERSHIPS = ["join", "leave", "invite", "knock", "ban"]


@pytest.mark.parametrize(
    ("changes", "steps", "may"),
    [
        pytest.param([], [], range(10), id="shared is what holds when nobody said anything"),
        pytest.param([(2, SHARED)], [(5, "join")], range(10), id="shared, came later"),
        pytest.param([(2, WORLD)], [(5, "join")], range(10), id="world readable"),
        pytest.param([(0, JOINED)], [(5, "join")], [0, *range(5, 10)], id="joined, came later"),
        pytest.param(
            [(0, JOINED)], [(3, "invite"), (5, "join")], [0, *range(5, 10)], id="joined, invited"
        ),
        pytest.param(
            [(0, INVITED)], [(3, "invite"), (5, "join")], [0, *range(3, 10)], id="from the invite"
        ),
        pytest.param([(0, INVITED)], [(5, "join")], [0, *range(5, 10)], id="never invited"),
        pytest.param(
            [(0, JOINED)],
            [(2, "join"), (4, "leave"), (7, "join")],
            [0, 2, 3, 4, 7, 8, 9],
            id="left and came back",
        ),
        pytest.param(
            [(0, JOINED), (6, SHARED)], [(8, "join")], [0, 6, 7, 8, 9], id="opened later"
        ),
        pytest.param([(4, JOINED)], [(6, "join")], [0, 1, 2, 3, 4, 6, 7, 8, 9], id="closed later"),
        pytest.param(
            [(0, JOINED)], [(2, "join"), (3, "join"), (5, "ban"), (8, "join")],
            [0, 2, 3, 4, 5, 8, 9], id="a new name is no coming",
        ),
    ],
)  # fmt: skip
def test_who_may_read_what(
    changes: list[tuple[int, Visibility]], steps: list[tuple[int, str]], may: list[int]
) -> None:
    found = readable([Change(*one) for one in changes], [Step(*one) for one in steps])
    assert [key for key in range(10) if key in found] == list(may)


def test_what_nobody_knows_is_kept_to_those_who_were_in() -> None:
    found = readable([Change(6, SHARED)], [Step(3, "join"), Step(5, "leave")], None)
    assert [key for key in range(9) if key in found] == [3, 4, 5, 6, 7, 8]
    assert readable([], [Step(3, "leave")]) == EVERYTHING


@pytest.mark.parametrize(
    ("content", "visibility"),
    [
        (b'{"history_visibility":"joined"}', JOINED),
        (b'{"history_visibility":"invited","more":"shared"}', INVITED),
        (b'{"history_visibility":"world_readable"}', WORLD),
        (b'{"history_visibility":"of the moon"}', SHARED),
        (b'{"history_visibility":["joined"]}', SHARED),
        (b"{}", SHARED),
        (b"[]", SHARED),
        (b"{", SHARED),
    ],
)
def test_contents(content: bytes, visibility: Visibility) -> None:
    assert visibility_of(content) is visibility


def _allowed(visibility: Visibility | None, membership: str) -> bool:
    """The specification's rules for somebody who is in the room now."""
    return (
        visibility in (WORLD, SHARED)
        or membership == "join"
        or (membership == "invite" and visibility is INVITED)
    )


@settings(deadline=None)
@given(
    st.lists(st.sampled_from([*Visibility, *MEMBERSHIPS, None]), max_size=12),
    st.sampled_from([*Visibility, None]),
)
def test_as_an_oracle_says(events: list[Visibility | str | None], first: Visibility | None) -> None:
    changes, steps, expected = [], [], []
    visibility, membership = first, "leave"
    for key, event in enumerate(events):
        before = _allowed(visibility, membership)
        if isinstance(event, Visibility):
            changes.append(Change(key, event))
            visibility = event
        elif event is not None:
            steps.append(Step(key, event))
            membership = event
        if before or _allowed(visibility, membership):
            expected.append(key)
    found = readable(reversed(changes), reversed(steps), first)
    assert [key for key in range(len(events)) if key in found] == expected
    assert (-1 in found) == _allowed(first, "leave")
    assert (len(events) in found) == _allowed(visibility, membership)
