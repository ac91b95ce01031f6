"""Aligns two traces: finds the counterpart of each call of one trace in the other."""

from __future__ import annotations

import typing
from array import array
from collections import defaultdict, deque
from collections.abc import Iterator
from typing import NamedTuple

from tracekmt.trace.reader import Trace

LOOK_AHEAD = 64
"""Maximum number of calls of a thread to skip until both traces call the same function again."""

BEGINNING = 64
"""Number of calls that identify a thread in another trace."""

SPARSE, SPARSE_LEAST = 16, 1 << 20
"""An index above SPARSE times the number of calls plus SPARSE_LEAST belongs to a trace with few calls and wide gaps."""

Pairs = typing.Union["array[int]", "defaultdict[int, int]"]
NO_PARTNER = -1
"""Replaces the index of the counterpart of a call without one."""


def align(left: Trace, right: Trace) -> tuple[Pairs, list[int]]:
    """Pair the calls of two traces.

    Within a pair of threads, calls are paired in order; `_pair_threads` pairs the threads. Memory is bounded by a few
    bytes a call: nothing else of a call is kept.

    Returns:
        The index of the right call by the index of the left call, and the indexes of right calls without counterpart.
    """
    function_ids: dict[str, int] = {}
    left_threads, right_threads = (_threads(trace, function_ids) for trace in (left, right))
    last_index = max((thread.calls[-1] for thread in left_threads), default=0)
    pairs = allocate_pairs(last_index, sum(len(thread.calls) for thread in left_threads))
    extra: list[int] = []
    for left_thread, right_thread in _pair_threads(left_threads, right_threads):
        paired = bytearray(len(right_thread.calls))
        for index, position in _align_thread(left_thread, right_thread):
            if position is not None:
                pairs[index] = right_thread.calls[position]
                paired[position] = 1
        extra += [index for index, is_paired in zip(right_thread.calls, paired, strict=True) if not is_paired]
    return pairs, extra


def allocate_pairs(last_index: int, count: int) -> Pairs:
    """Return room for the partners of `count` calls, the last of which has the index `last_index`.

    A trimmed trace has gaps between its indexes, and a damaged trace may have any index.
    """
    if last_index > SPARSE * count + SPARSE_LEAST:
        return defaultdict(lambda: NO_PARTNER)
    return array("q", [NO_PARTNER]) * (last_index + 1)


class _Thread(NamedTuple):
    """The calls of a thread: their indexes, and ids of their functions that are valid for both traces."""

    calls: array[int]
    functions: array[int]

    @property
    def beginning(self) -> bytes:
        """Functions of the first calls, as a key."""
        return self.functions[:BEGINNING].tobytes()


_NO_THREAD = _Thread(array("Q"), array("I"))


def _threads(trace: Trace, function_ids: dict[str, int]) -> list[_Thread]:
    shared_ids = {
        spec_id: function_ids.setdefault(spec.name, len(function_ids)) for spec_id, spec in trace.specs.items()
    }
    return [
        _Thread(calls, array("I", map(shared_ids.__getitem__, spec_ids)))
        for _, (calls, spec_ids) in sorted(trace.calls_by_thread().items())
    ]


def _pair_threads(left: list[_Thread], right: list[_Thread]) -> Iterator[tuple[_Thread, _Thread]]:
    """Pair threads with equal beginnings in the order of their first calls, and the remaining threads in that order."""
    by_beginning: dict[bytes, deque[int]] = defaultdict(deque)
    for number, thread in enumerate(right):
        by_beginning[thread.beginning].append(number)
    partners: dict[int, int] = {}
    for number, thread in enumerate(left):
        if by_beginning[thread.beginning]:
            partners[number] = by_beginning[thread.beginning].popleft()
    unpaired = iter([number for number in range(len(right)) if number not in set(partners.values())])
    for number, thread in enumerate(left):
        partner = partners[number] if number in partners else next(unpaired, None)
        yield thread, _NO_THREAD if partner is None else right[partner]
    yield from ((_NO_THREAD, right[number]) for number in unpaired)


def _align_thread(left: _Thread, right: _Thread) -> Iterator[tuple[int, int | None]]:
    """Yield the index of each left call, with the position of its counterpart in the right thread."""
    i = j = 0
    while i < len(left.calls):
        if j < len(right.calls) and left.functions[i] == right.functions[j]:
            skips: tuple[int, int] | None = (0, 0)
        else:
            skips = _resynchronise(left.functions, right.functions, i, j)
        if skips is None:
            yield left.calls[i], None
            i += 1
            continue
        for _ in range(skips[0]):
            yield left.calls[i], None
            i += 1
        j += skips[1]
        yield left.calls[i], j
        i, j = i + 1, j + 1


def _resynchronise(left: array[int], right: array[int], i: int, j: int) -> tuple[int, int] | None:
    """Return the fewest calls to skip on either side until both call the same function.

    None if no such calls exist within LOOK_AHEAD.
    """
    for distance in range(LOOK_AHEAD):
        for left_skip in range(distance + 1):
            a, b = i + left_skip, j + distance - left_skip
            if a < len(left) and b < len(right) and left[a] == right[b]:
                return left_skip, distance - left_skip
    return None
