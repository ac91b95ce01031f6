"""Finds calls that have another place in the other trace."""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

from tracekmt.differ.align import Level

MAX_CANDIDATES = 32
"""Largest number of places that are tried for a moved call."""

Block = tuple[tuple[int, int], ...]
"""Positions on both sides of a run of calls of one thread that has another place in the other trace."""

Threads = Mapping[int, "array[int]"]
"""Positions of the calls of each thread."""


def find_moved(
    left: Threads, right: Threads, unpaired: tuple[set[int], set[int]], levels: Sequence[Level]
) -> list[Block]:
    """Return the runs of calls without counterpart that are the same on both sides, the longest at each place.

    A single call has moved only if no other call without counterpart is like it. Next to moved calls, the weakest level
    of keys is enough.

    Args:
        left: Calls of each thread.
        right: Calls of each thread of the other side.
        unpaired: Positions of the calls without counterpart on both sides. Those that have moved are removed.
        levels: Keys of the calls.
    """
    pairs: dict[int, int] = {}
    for level in levels[:-1] if all(unpaired) else ():
        for pair in _find_runs(_only(left, unpaired[0]), _only(right, unpaired[1]), level):
            _take(pairs, unpaired, *pair)
    if not pairs:
        return []
    neighbours = _Neighbours(left, right)
    for step in (1, -1):
        for pair in sorted(pairs.items(), reverse=step < 0):
            next_pair = neighbours.of(pair, step)
            while next_pair is not None and next_pair[0] in unpaired[0] and next_pair[1] in unpaired[1]:
                if levels[-1].left[next_pair[0]] != levels[-1].right[next_pair[1]]:
                    break
                _take(pairs, unpaired, *next_pair)
                next_pair = neighbours.of(next_pair, step)
    blocks: list[list[tuple[int, int]]] = []
    by_end: dict[tuple[int, int] | None, int] = {}
    for pair in sorted(pairs.items()):
        number = by_end.pop(neighbours.of(pair, -1), len(blocks))
        if number == len(blocks):
            blocks.append([])
        blocks[number].append(pair)
        by_end[pair] = number
    return [tuple(block) for block in blocks]


class _Neighbours:
    """The calls before and after each call in its thread."""

    def __init__(self, left: Threads, right: Threads) -> None:
        self._sides = left, right
        self._places = [
            {
                position: (thread, place)
                for thread, positions in side.items()
                for place, position in enumerate(positions)
            }
            for side in self._sides
        ]

    def of(self, pair: tuple[int, int], step: int) -> tuple[int, int] | None:
        """Return the calls at a distance from a pair of calls, None at an end of a thread."""
        found: list[int] = []
        for side, places, position in zip(self._sides, self._places, pair, strict=True):
            thread, place = places[position]
            if not 0 <= place + step < len(side[thread]):
                return None
            found.append(side[thread][place + step])
        return found[0], found[1]


def _take(pairs: dict[int, int], unpaired: tuple[set[int], set[int]], a: int, b: int) -> None:
    pairs[a] = b
    unpaired[0].discard(a)
    unpaired[1].discard(b)


def _only(threads: Threads, positions: set[int]) -> list[list[int]]:
    """Return the calls of each thread that are among some positions."""
    return [sorted(positions.intersection(thread)) for thread in threads.values()]


def _find_runs(
    left: Sequence[Sequence[int]], right: Sequence[Sequence[int]], level: Level
) -> Iterator[tuple[int, int]]:
    """Yield pairs of equal calls, in the longest run at each place."""
    places: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for thread, positions in enumerate(right):
        for place, position in enumerate(positions):
            places[level.right[position]].append((thread, place))
    counts = Counter(level.left[position] for positions in left for position in positions)
    taken: set[int] = set()
    for positions in left:
        start = 0
        while start < len(positions):
            key = level.left[positions[start]]
            candidates = places.get(key, [])
            best: list[tuple[int, int]] = []
            for thread, place in candidates[:MAX_CANDIDATES]:
                run: list[tuple[int, int]] = []
                for a, b in zip(positions[start:], right[thread][place:], strict=False):
                    if level.left[a] != level.right[b] or b in taken:
                        break
                    run.append((a, b))
                best = max(best, run, key=len)
            if len(best) > 1 or (best and counts[key] == len(candidates) == 1):
                yield from best
                taken.update(b for _, b in best)
                start += len(best)
            else:
                start += 1
