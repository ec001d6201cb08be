"""Placing: whatever is missing or misplaced, the order becomes the true one, with few moves."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from openmeet_bridge.core.ids import EventId
from openmeet_bridge.core.placing import place

STEP = 1 << 20


def ids(count: int) -> list[EventId]:
    return [EventId(f"${n}") for n in range(count)]


def settled(
    span: list[EventId], known: dict[EventId, int], placed: dict[EventId, int | None], end: int
) -> list[EventId]:
    """The span sorted by its keys, as the log would have it."""
    keys: dict[EventId, int] = dict(known)
    for event_id, key in placed.items():
        end += STEP
        keys[event_id] = end if key is None else key
    assert len(set(keys.values())) == len(keys)
    return sorted(span, key=keys.__getitem__)


@st.composite
def spans(draw: st.DrawFn) -> tuple[list[EventId], dict[EventId, int], int, int | None]:
    span = ids(draw(st.integers(1, 25)))
    gap = draw(st.sampled_from([1, 2, 5, STEP]))
    present = draw(st.lists(st.sampled_from(span), unique=True))
    lower = draw(st.sampled_from([0, 3 * gap, 100 * gap]))
    known = {event_id: (n + 1) * gap for n, event_id in enumerate(present)}
    highest = max([lower, *known.values()])
    above = draw(st.integers(1, 3 * STEP))
    ceiling = draw(st.sampled_from([None, lower + above, highest + above]))
    return span, {k: v for k, v in known.items() if v not in (lower, ceiling)}, lower, ceiling


@given(spans())
def test_the_order_becomes_the_true_one(
    given_span: tuple[list[EventId], dict[EventId, int], int, int | None],
) -> None:
    span, known, lower, ceiling = given_span
    placed = place(span, known, lower, ceiling)
    end = max([lower, ceiling or 0, *known.values()])
    assert settled(span, known, placed, end) == span
    assert set(span) - set(known) <= set(placed)
    assert all(key is None or key > lower for key in placed.values())


@given(st.integers(1, 30), st.data())
def test_what_is_in_order_stays(count: int, data: st.DataObject) -> None:
    span = ids(count)
    kept = data.draw(st.lists(st.sampled_from(span), unique=True))
    known = {event_id: (span.index(event_id) + 1) * STEP for event_id in kept}
    assert set(place(span, known, 0, None)) == set(span) - set(kept)


def test_one_that_is_out_of_place_moves_alone() -> None:
    span = ids(5)
    known = {event_id: n * STEP for n, event_id in enumerate(span, start=1)}
    known[span[0]] = 9 * STEP
    assert list(place(span, known, 0, None)) == [span[0]]


def test_a_gap_that_is_too_narrow_takes_its_neighbour_along() -> None:
    span = ids(3)
    placed = place(span, {span[0]: 10, span[2]: 11}, 0, None)
    assert list(placed) == [span[1], span[2]]


def test_where_nothing_follows_the_end_is_open() -> None:
    span = ids(2)
    assert place(span, {span[0]: 5}, 0, None) == {span[1]: None}
