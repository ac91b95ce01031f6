"""Alignment of two sequences of calls by their keys.

A key is a number with the content of a call, and each call has one key per level. Calls with equal keys of the first
level are the same call on both sides. Equal keys of a later level are weaker evidence, and cost more. Calls whose keys
of the last level differ are never paired.

Equal ends are removed first. Keys that occur once on both sides split the rest, as in patience diff, then the rarest
common keys, as in histogram diff. Small gaps are aligned with the lowest cost, large ones with Myers's algorithm.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import starmap
from typing import NamedTuple

from tracekmt.differ.columns import gather

INSERTION = 4
"""Cost of a call without counterpart. Two of them have to cost more than a pair of the last level."""

MAX_CELLS = 1 << 16
"""Largest product of the lengths of a gap that is aligned with the lowest cost."""

MAX_OCCURRENCES = 32
"""Occurrences of a key on one side, above which it does not split a gap."""

MAX_EDITS = 128
"""Largest number of calls that one path through a gap leaves out."""

MIN_SHARE = 8
"""A path that pairs less than one in so many of its calls is not worth following."""

_STEP = 64


class Level(NamedTuple):
    """Keys of the calls of both sides.

    Attributes:
        left: Keys of the left calls.
        right: Keys of the right calls.
        cost: Cost of a pair whose keys are equal here, and differ at the levels before. 0 at the first level.
    """

    left: array[int]
    right: array[int]
    cost: int

    def at(self, left: array[int], right: array[int]) -> Level:
        """Return the keys of some positions."""
        return Level(gather(self.left, left), gather(self.right, right), self.cost)


class Gap(NamedTuple):
    """Positions from `a` up to `a_end` on the left side, and from `b` up to `b_end` on the right side."""

    a: int
    a_end: int
    b: int
    b_end: int


class Run(NamedTuple):
    """Calls that follow each other on both sides and belong together: positions of the first ones, and their number."""

    a: int
    b: int
    length: int = 1


def align_keys(levels: Sequence[Level]) -> Iterator[Run]:
    """Yield the calls that belong together, in no particular order.

    Args:
        levels: Keys from the strongest to the weakest.
    """
    first = levels[0]
    gaps = [Gap(0, len(first.left), 0, len(first.right))]
    while gaps:
        gap, ends = _trim(first.left, first.right, gaps.pop())
        yield from ends
        if gap.a == gap.a_end or gap.b == gap.b_end:
            continue
        if (gap.a_end - gap.a) * (gap.b_end - gap.b) <= MAX_CELLS:
            yield from starmap(Run, _align_at_lowest_cost(levels, gap))
            continue
        anchors = next(filter(None, _anchor_choices(levels, gap)), None)
        if anchors is None:
            common, end = _furthest_path(levels[-1], gap)
            if len(common) * MIN_SHARE < (end[0] - gap.a) + (end[1] - gap.b):
                yield from starmap(Run, _align_occurrences(levels[-1], gap))
            else:
                yield from starmap(Run, common)
                gaps.append(Gap(end[0], gap.a_end, end[1], gap.b_end))
            continue
        a, b = gap.a, gap.b
        for anchor_a, anchor_b in anchors:
            yield Run(anchor_a, anchor_b)
            gaps.append(Gap(a, anchor_a, b, anchor_b))
            a, b = anchor_a + 1, anchor_b + 1
        gaps.append(Gap(a, gap.a_end, b, gap.b_end))


def _anchor_choices(levels: Sequence[Level], gap: Gap) -> Iterator[list[tuple[int, int]]]:
    """Yield pairs that split a gap, the most certain ones first."""
    for level in levels:
        yield _unique_anchors(level, gap)
        yield _rarest_run(level, gap)


def _trim(left: array[int], right: array[int], gap: Gap) -> tuple[Gap, list[Run]]:
    """Remove the equal calls at both ends of a gap. Return the rest, and the ends."""
    limit = min(gap.a_end - gap.a, gap.b_end - gap.b)
    head = _common_prefix(left, right, gap.a, gap.b, limit)
    tail = _common_suffix(left, right, gap.a_end, gap.b_end, limit - head)

    ends = [Run(gap.a, gap.b, head), Run(gap.a_end - tail, gap.b_end - tail, tail)]
    return Gap(gap.a + head, gap.a_end - tail, gap.b + head, gap.b_end - tail), ends


def _common_prefix(left: array[int], right: array[int], a: int, b: int, limit: int) -> int:
    """Return the number of equal keys from two positions on. Whole slices are compared, which is fast."""
    equal, step = 0, _STEP
    while step and equal < limit:
        step = min(step, limit - equal)
        if left[a + equal : a + equal + step] == right[b + equal : b + equal + step]:
            equal += step
            step *= 2
        else:
            step //= 2
    return equal


def _common_suffix(left: array[int], right: array[int], a_end: int, b_end: int, limit: int) -> int:
    """Return the number of equal keys before two positions."""
    equal, step = 0, _STEP
    while step and equal < limit:
        step = min(step, limit - equal)
        a, b = a_end - equal, b_end - equal
        if left[a - step : a] == right[b - step : b]:
            equal += step
            step *= 2
        else:
            step //= 2
    return equal


def _positions(keys: array[int], start: int, end: int) -> dict[int, list[int]]:
    positions: dict[int, list[int]] = defaultdict(list)
    for position in range(start, end):
        positions[keys[position]].append(position)
    return positions


def _unique_anchors(level: Level, gap: Gap) -> list[tuple[int, int]]:
    """Return the longest increasing sequence of pairs whose keys occur once on both sides."""
    a_positions, b_positions = _positions(level.left, gap.a, gap.a_end), _positions(level.right, gap.b, gap.b_end)
    return longest_increasing(
        [
            (positions[0], b_positions[key][0])
            for key, positions in a_positions.items()
            if len(positions) == 1 and len(b_positions.get(key, ())) == 1
        ]
    )


def _rarest_run(level: Level, gap: Gap) -> list[tuple[int, int]]:
    """Return the longest common run of calls that contains one of the rarest common keys."""
    a_positions, b_positions = _positions(level.left, gap.a, gap.a_end), _positions(level.right, gap.b, gap.b_end)
    common = [key for key in a_positions if key in b_positions]
    if not common:
        return []
    counts = {key: max(len(a_positions[key]), len(b_positions[key])) for key in common}
    rarest = min(counts.values())
    if rarest > MAX_OCCURRENCES:
        return []
    best = (0, 0, 0)
    seen: set[tuple[int, int]] = set()
    for key in [key for key in common if counts[key] == rarest][:MAX_OCCURRENCES]:
        for a in a_positions[key]:
            for b in b_positions[key]:
                if (a, b) in seen:
                    continue
                before = _common_suffix(level.left, level.right, a, b, min(a - gap.a, b - gap.b))
                after = _common_prefix(level.left, level.right, a, b, min(gap.a_end - a, gap.b_end - b))
                seen.update((a + step, b + step) for step in range(-min(before, 64), min(after, 64)))
                best = max(best, (before + after, before - a, b - a))
    length, start, distance = best[0], -best[1], best[2]
    return [(position, position + distance) for position in range(start, start + length)]


def longest_increasing(pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the longest subsequence of pairs, sorted by the first position, whose second positions increase."""
    tails: list[int] = []
    tail_indexes: list[int] = []
    before: list[int] = []
    for index, (_, position) in enumerate(pairs):
        rank = bisect_left(tails, position)
        before.append(tail_indexes[rank - 1] if rank else -1)
        if rank == len(tails):
            tails.append(position)
            tail_indexes.append(index)
        else:
            tails[rank], tail_indexes[rank] = position, index
    chosen: list[tuple[int, int]] = []
    index = tail_indexes[-1] if tail_indexes else -1
    while index >= 0:
        chosen.append(pairs[index])
        index = before[index]
    return chosen[::-1]


def _furthest_path(level: Level, gap: Gap) -> tuple[list[tuple[int, int]], tuple[int, int]]:
    """Follow equal calls from the beginning of a gap, with at most MAX_EDITS calls left out (Myers's algorithm).

    Returns:
        The pairs on the path that reaches furthest, and the positions where it ends.
    """
    rows, columns = gap.a_end - gap.a, gap.b_end - gap.b
    reached: dict[int, int] = {1: 0}  # by diagonal (row minus column): the last row
    steps: list[dict[int, int]] = []
    for edits in range(MAX_EDITS):
        steps.append(dict(reached))
        for diagonal in range(-edits, edits + 1, 2):
            below, beside = reached.get(diagonal + 1, -1), reached.get(diagonal - 1, -2) + 1
            row = below if diagonal == -edits or (diagonal != edits and below > beside) else beside
            column = row - diagonal
            if row < 0 or row > rows or column < 0 or column > columns:
                continue
            limit = min(rows - row, columns - column)
            row += _common_prefix(level.left, level.right, gap.a + row, gap.b + column, limit)
            reached[diagonal] = row
            if row == rows and row - diagonal == columns:
                return _path(steps, gap, diagonal, row), (gap.a_end, gap.b_end)
    parity = (MAX_EDITS - 1) % 2
    diagonal = max((d for d in reached if d % 2 == parity), key=lambda d: 2 * reached[d] - d)
    row = reached[diagonal]
    return _path(steps, gap, diagonal, row), (gap.a + row, gap.b + row - diagonal)


def _path(steps: list[dict[int, int]], gap: Gap, diagonal: int, row: int) -> list[tuple[int, int]]:
    """Return the pairs of a path, from its end to its beginning."""
    pairs: list[tuple[int, int]] = []
    for edits in range(len(steps) - 1, -1, -1):
        reached = steps[edits]
        below, beside = reached.get(diagonal + 1, -1), reached.get(diagonal - 1, -2) + 1
        is_below = diagonal == -edits or (diagonal != edits and below > beside)
        start = below if is_below else beside
        pairs += [(gap.a + place, gap.b + place - diagonal) for place in range(start, row)]
        row, diagonal = (below, diagonal + 1) if is_below else (beside - 1, diagonal - 1)
    return pairs


def _align_occurrences(level: Level, gap: Gap) -> list[tuple[int, int]]:
    """Pair the nth occurrences of each key. This is the answer for a large gap that nothing splits."""
    b_positions = _positions(level.right, gap.b, gap.b_end)
    used: dict[int, int] = defaultdict(int)
    pairs: list[tuple[int, int]] = []
    for a in range(gap.a, gap.a_end):
        key = level.left[a]
        positions = b_positions.get(key, [])
        if used[key] < len(positions):
            pairs.append((a, positions[used[key]]))
            used[key] += 1
    return longest_increasing(pairs)


def _align_at_lowest_cost(levels: Sequence[Level], gap: Gap) -> Iterator[tuple[int, int]]:
    """Yield the pairs of the cheapest alignment of a gap.

    Of several such alignments, the one that pairs calls as early as possible is taken.
    """
    columns, rows = gap.b_end - gap.b, gap.a_end - gap.a
    keys = [(level.left[gap.a : gap.a_end], level.right[gap.b : gap.b_end], level.cost) for level in levels]
    # costs[i][j]: from the calls i and j on, up to the end of the gap.
    costs = [array("I", range(columns * INSERTION, -1, -INSERTION))]
    for a in range(rows - 1, -1, -1):
        below, own = costs[-1], [(left[a], right, pair_cost) for left, right, pair_cost in keys]
        row = array("I", below)
        row[columns] = cost = below[columns] + INSERTION
        for b in range(columns - 1, -1, -1):
            cost = min(cost, below[b]) + INSERTION
            for key, right, pair_cost in own:
                if key == right[b]:
                    cost = min(cost, below[b + 1] + pair_cost)
                    break
            row[b] = cost
        costs.append(row)
    costs.reverse()
    a = b = 0
    while a < rows and b < columns:
        paired = next((pair_cost for left, right, pair_cost in keys if left[a] == right[b]), None)
        if paired is not None and costs[a][b] == costs[a + 1][b + 1] + paired:
            yield gap.a + a, gap.b + b
            a, b = a + 1, b + 1
        elif costs[a][b] == costs[a + 1][b] + INSERTION:
            a += 1
        else:
            b += 1
