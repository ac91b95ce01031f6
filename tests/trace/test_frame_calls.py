"""Places of calls in a frame of events."""

from __future__ import annotations

from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import without_core
from tests.strategies import examples
from tracekmt.trace.frame_calls import ENTER, LEAVE, LOST, NO_ROW, FrameCalls, find_calls

EVENTS = st.tuples(
    st.sampled_from([ENTER, ENTER, ENTER, LEAVE, LEAVE, LOST]), st.integers(0, 12) | st.sampled_from([1 << 61, -5])
)


def found(events: list[tuple[int, int]]) -> FrameCalls | str:
    """Return the calls of a frame with these kinds of events and indexes of calls, or the error."""
    try:
        return find_calls(array("q", [index for _, index in events]), bytes(kind for kind, _ in events))
    except ValueError as error:
        return str(error)


@pytest.mark.parametrize("native", [True, False])
def test_calls_of_this_and_of_earlier_frames(native: bool) -> None:
    events = [(LEAVE, 2), (ENTER, 5), (LOST, 6), (ENTER, 6), (LEAVE, 6), (ENTER, 9), (LEAVE, 5), (LEAVE, 7)]
    calls = found(events) if native else without_core(found, events)
    assert isinstance(calls, FrameCalls)
    assert (list(calls.indexes), list(calls.enter_rows)) == ([5, 6, 9], [1, 3, 5])
    assert list(calls.leave_rows) == [6, 4, NO_ROW]
    assert calls.late == {2: 0, 7: 7}
    assert [calls.rank(index) for index in (4, 5, 6, 7, 9, 10)] == [None, 0, 1, None, 2, None]
    assert [calls.leave_row(index) for index in (2, 5, 6, 7, 9, 10)] == [0, 6, 4, 7, None, None]


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize(
    ("events", "reason"),
    [
        ([(ENTER, 5), (ENTER, 4)], "has calls out of order"),
        ([(ENTER, 5), (LEAVE, 5), (ENTER, 5)], "has calls out of order"),
        ([(ENTER, 5), (LEAVE, 5), (LEAVE, 5)], "has a duplicate event"),
        ([(LEAVE, 5), (LEAVE, 5)], "has a duplicate event"),
    ],
)
def test_contradictions_are_errors(events: list[tuple[int, int]], reason: str, native: bool) -> None:
    assert (found(events) if native else without_core(found, events)) == reason


@settings(max_examples=examples(300), deadline=None)
@given(st.lists(EVENTS, max_size=14), st.booleans())
def test_the_core_finds_the_same(events: list[tuple[int, int]], is_ordered: bool) -> None:
    if is_ordered:  # few random events are those of a frame
        indexes = iter(sorted({index for kind, index in events if kind == ENTER}))
        left = dict.fromkeys(index for kind, index in events if kind == LEAVE)
        events = [(ENTER, index) for index in indexes] + [(LEAVE, index) for index in left]
    assert found(events) == without_core(found, events)
