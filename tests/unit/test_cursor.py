"""Cursors and orders: opaque to clients, exact to us."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmeet_bridge.core.cursor import Cursor, order_text, parse_order
from openmeet_bridge.core.ids import Position


@given(st.integers(0, (1 << 60) - 1))
def test_a_cursor_is_read_as_it_was_written(position: int) -> None:
    cursor = Cursor("0f97f466", Position(position))
    assert Cursor.parse(str(cursor)) == cursor


@pytest.mark.parametrize(
    "text", ["", "1", "1-0f97f466-", "2-0f97f466-1", "1-0F97F466-1", "1-0f97f466-1 ", "1-x-1", "٣"]
)
def test_anything_else_is_no_cursor(text: str) -> None:
    assert Cursor.parse(text) is None


keys = st.integers(-(1 << 62), (1 << 62) - 1)


@given(keys, keys)
def test_orders_sort_as_text_like_their_keys(first: int, second: int) -> None:
    assert (order_text(first) < order_text(second)) == (first < second)
    assert parse_order(order_text(first)) == first


@pytest.mark.parametrize("text", ["", "1", "-000000000000001", "8000000000000000", "g" * 16])
def test_anything_else_is_no_order(text: str) -> None:
    assert parse_order(text) is None
