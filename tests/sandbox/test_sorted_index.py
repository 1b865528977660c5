"""The index that both sandbox servers search with: windows with open and closed bounds, entries that come and go."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from connector.sandbox.sorted_index import SortedIndex

values = st.integers(0, 9)
entries = st.lists(st.tuples(values, st.integers(0, 99)), unique=True)
bound = st.none() | values


@given(entries, entries, bound, bound, st.booleans(), st.booleans())
def test_a_window_holds_what_lies_between_its_bounds_in_order(
    first: list[tuple[int, int]], more: list[tuple[int, int]], low: int | None, high: int | None, low_open: bool, high_open: bool
) -> None:
    index = SortedIndex(first)
    for entry in more:
        if entry not in first:
            index.add(entry)
    held = sorted({*first, *more})
    above = [entry for entry in held if low is None or entry[0] > low or (entry[0] == low and not low_open)]
    wanted = [entry for entry in above if high is None or entry[0] < high or (entry[0] == high and not high_open)]
    window = index.window(low, high, low_open=low_open, high_open=high_open)
    assert list(index.ids(window)) == [record_id for _, record_id in wanted]
    assert list(index.ids(window[::-1])) == [record_id for _, record_id in reversed(wanted)]
    assert len(index) == len(held)


def test_an_entry_that_is_not_there_cannot_be_removed() -> None:
    index = SortedIndex([(3, "a"), (1, "b")])
    assert index.remove((1, "b"))
    assert not index.remove((1, "b"))
    assert not index.remove((4, "a"))
    assert list(index.ids(index.window())) == ["a"]
