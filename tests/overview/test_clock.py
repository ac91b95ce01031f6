"""Intervals of time, and values that hold until they change."""

from __future__ import annotations

import pytest

from tracekmt.overview.clock import MAX_INTERVALS, MIN_INTERVALS, Intervals, Level


@pytest.mark.parametrize(("calls", "count"), [(0, MIN_INTERVALS), (2000, 100), (10**7, MAX_INTERVALS)])
def test_many_calls_have_narrower_intervals(calls: int, count: int) -> None:
    assert Intervals.of(1000, calls).count == count


def test_every_time_has_an_interval() -> None:
    intervals = Intervals.of(599, 0)
    assert [intervals.at(time) for time in (0, 9, 10, 599)] == [0, 0, 1, 59]
    assert [intervals.at(time) for time in (-5, 10**9)] == [0, 59]
    assert Intervals.of(0, 1).at(0) == 0


def test_a_level_has_the_maximum_of_each_interval() -> None:
    level = Level(Intervals(5, 50))
    for time, value in ((1, 7), (2, 3), (25, 1), (26, 9), (27, 0)):
        level.set(value, time)
    assert level.over_time() == [7, 3, 9, 0, 0]
    assert (level.value, level.peak, level.peak_time) == (0, 9, 26)


def test_a_level_that_falls_in_an_interval_began_it_with_its_old_value() -> None:
    level = Level(Intervals(3, 30))
    level.set(8, 5)
    level.set(2, 15)
    assert level.over_time() == [8, 8, 2]
