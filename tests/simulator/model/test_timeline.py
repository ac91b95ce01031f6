"""Values that change during a recording."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracekmt.errors import UsageError
from tracekmt.simulator.model.timeline import Timeline, compress, constant, parse_timeline

ENTRIES = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 3)), min_size=1, unique_by=lambda entry: entry[0]).map(
    sorted
)


@given(ENTRIES, st.integers(0, 60))
def test_a_value_holds_until_the_next_entry(entries: list[tuple[int, int]], call: int) -> None:
    earlier = [value for index, value in entries if index <= call]
    expected = earlier[-1] if earlier else entries[0][1]
    assert Timeline(entries).at(call) == expected
    assert Timeline(compress(entries)).at(call) == expected


@given(ENTRIES)
def test_a_setting_creates_an_equal_timeline(entries: list[tuple[int, int]]) -> None:
    timeline = Timeline(entries)
    parsed = parse_timeline("name", timeline.to_setting(), int)
    assert [parsed.at(call) for call in range(60)] == [timeline.at(call) for call in range(60)]


def test_a_constant_has_a_plain_setting() -> None:
    assert constant(7).to_setting() == 7
    assert parse_timeline("name", 7, int).entries() == [(0, 7)]


@pytest.mark.parametrize("setting", [[], [[1]], [[1, 2, 3]], [[2, 0], [1, 0]], [[1, 0], [1, 1]], "x", [["x", 1]], None])
def test_an_invalid_setting_is_an_error(setting: Any) -> None:
    with pytest.raises(UsageError, match=r"invalid name: .* \(expected a value, or a list of \[call, value\]\)"):
        parse_timeline("name", setting, int)
