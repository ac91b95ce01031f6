"""Alignment of two sequences by their keys."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracekmt.differ import align
from tracekmt.differ.align import Level, align_keys, longest_increasing


def pairs_of(*levels: Level) -> list[tuple[int, int]]:
    return sorted((a + place, b + place) for a, b, length in align_keys(levels) for place in range(length))


def aligned(left: Sequence[int], right: Sequence[int], weak: int = 1000) -> list[tuple[int, int]]:
    """Align numbers. Those with the same remainder are alike on the second level."""
    strong = Level(array("q", left), array("q", right), 0)
    alike = Level(array("q", [n % weak for n in left]), array("q", [n % weak for n in right]), 7)
    return pairs_of(strong, alike)


keys = st.lists(st.integers(0, 6), max_size=40)


@given(keys, keys)
def test_pairs_increase_on_both_sides(left: list[int], right: list[int]) -> None:
    pairs = aligned(left, right)
    assert len({a for a, _ in pairs}) == len({b for _, b in pairs}) == len(pairs)
    assert [b for _, b in pairs] == sorted(b for _, b in pairs)
    assert all(left[a] % 1000 == right[b] % 1000 for a, b in pairs)


@given(keys, keys)
def test_a_small_alignment_has_the_most_pairs(left: list[int], right: list[int]) -> None:
    """With one level, the cheapest alignment is a longest common subsequence."""
    level = Level(array("q", left), array("q", right), 0)
    assert len(pairs_of(level)) == longest_common(left, right)


@given(keys, keys)
def test_a_large_gap_without_a_rare_key_has_the_most_pairs_too(left: list[int], right: list[int]) -> None:
    level = Level(array("q", left), array("q", right), 0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(align, "MAX_CELLS", 0)
        patch.setattr(align, "MAX_OCCURRENCES", 0)
        patch.setattr(align, "_unique_anchors", lambda level, gap: [])
        patch.setattr(align, "MIN_SHARE", 10**6)
        pairs = pairs_of(level)
    assert [b for _, b in pairs] == sorted({b for _, b in pairs})
    assert all(left[a] == right[b] for a, b in pairs)
    assert len(pairs) == longest_common(left, right)


@given(keys, keys)
def test_a_path_that_reaches_its_limit_goes_on_from_there(left: list[int], right: list[int]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(align, "MAX_CELLS", 0)
        patch.setattr(align, "MAX_OCCURRENCES", 0)
        patch.setattr(align, "MAX_EDITS", 3)
        pairs = aligned(left, right)
    assert [b for _, b in pairs] == sorted({b for _, b in pairs})
    assert all(left[a] == right[b] for a, b in pairs)


def longest_common(left: list[int], right: list[int]) -> int:
    longest = [[0] * (len(right) + 1) for _ in range(len(left) + 1)]
    for a in range(len(left)):
        for b in range(len(right)):
            longest[a + 1][b + 1] = (
                longest[a][b] + 1 if left[a] == right[b] else max(longest[a][b + 1], longest[a + 1][b])
            )
    return longest[-1][-1]


@given(st.lists(st.integers(), unique=True, max_size=300), st.data())
def test_any_number_of_calls_may_be_missing_or_more(calls: list[int], data: st.DataObject) -> None:
    left = [call for call in calls if data.draw(st.booleans())]
    right = [call for call in calls if data.draw(st.booleans())]
    pairs = aligned([hash(call) for call in left], [hash(call) for call in right], weak=1 << 62)
    assert [left[a] for a, _ in pairs] == [call for call in left if call in right]


@pytest.mark.parametrize("number", [1, 64, 500, 5000])
def test_many_calls_more_in_one_place(number: int) -> None:
    left = list(range(1000))
    right = [*range(400), *[7] * number, *range(400, 1000)]
    assert aligned(left, right, weak=1) == [(n, n if n < 400 else n + number) for n in range(1000)]


def test_the_same_call_many_times_and_one_time_less() -> None:
    pairs = aligned([5] * 3000, [5] * 2999)
    assert len(pairs) == 2999


def test_large_gaps_are_split(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rare keys split a gap in which no key is unique. Below, each number occurs twice or often."""
    monkeypatch.setattr(align, "MAX_CELLS", 16)
    left = [n for block in range(40) for n in (block, 99, 99, block, 98)]
    right = [n for n in left if n != 17]
    pairs = aligned(left, right)
    assert [left[a] for a, _ in pairs] == right


def test_a_large_gap_without_a_rare_key_is_aligned_by_occurrence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(align, "MAX_CELLS", 16)
    left, right = [2] + [0, 1] * 200 + [3], [4] + [1, 0] * 190 + [5]
    pairs = aligned(left, right)
    assert len(pairs) >= 300


def test_a_call_that_is_alike_is_better_than_none() -> None:
    assert aligned([1, 2002, 3], [1, 5002, 3]) == [(0, 0), (1, 1), (2, 2)]


def test_a_call_that_is_the_same_is_better_than_one_that_is_alike() -> None:
    assert aligned([1, 5002, 3], [1, 2002, 5002, 3]) == [(0, 0), (1, 2), (2, 3)]


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), max_size=30))
def test_longest_increasing(pairs: list[tuple[int, int]]) -> None:
    ordered = sorted(set(pairs))
    chosen = longest_increasing(ordered)
    assert [b for _, b in chosen] == sorted({b for _, b in chosen})
    lengths: list[int] = []
    for index, (_, b) in enumerate(ordered):
        lengths.append(1 + max((lengths[n] for n in range(index) if ordered[n][1] < b), default=0))
    assert len(chosen) == max(lengths, default=0)
