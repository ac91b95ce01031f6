"""Pairs the threads of two traces by their calls."""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence

from tracekmt.differ.align import Level
from tracekmt.differ.columns import gather

SAMPLE = 4096
"""Largest number of different keys by which a thread is compared."""

MAX_THREADS = 64
"""Number of threads with one key, above which the key tells little of a thread."""

Threads = Mapping[int, "array[int]"]
"""Positions of the calls of each thread."""


def pair_threads(left: Threads, right: Threads, levels: Sequence[Level]) -> Iterator[tuple[int, int]]:
    """Yield the threads that belong together.

    Threads with equal calls are paired in the order of their first calls. Of the others, those with the most calls in
    common are, by the strongest level of keys that they share.
    """
    by_content: dict[bytes, deque[int]] = defaultdict(deque)
    for number, positions in right.items():
        by_content[_content(positions, levels[0].right)].append(number)
    rest: list[int] = []
    used: set[int] = set()
    for number, positions in left.items():
        same = by_content.get(_content(positions, levels[0].left))
        if same:
            used.add(same[0])
            yield number, same.popleft()
        else:
            rest.append(number)
    others = [number for number in right if number not in used]
    for level in levels:
        for a, b in _most_in_common({n: left[n] for n in rest}, {n: right[n] for n in others}, level):
            rest.remove(a)
            others.remove(b)
            yield a, b


def _content(positions: array[int], keys: array[int]) -> bytes:
    return gather(keys, positions).tobytes()


def _most_in_common(left: Threads, right: Threads, level: Level) -> Iterator[tuple[int, int]]:
    """Yield pairs of threads, those with the most calls in common first. A call that few threads make counts more."""
    holders: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for number, positions in right.items():
        for key, count in _sample(positions, level.right).items():
            holders[key].append((number, count))
    scores: Counter[tuple[int, int]] = Counter()
    for number, positions in left.items():
        for key, count in _sample(positions, level.left).items():
            threads = holders.get(key, ())
            if len(threads) <= MAX_THREADS:
                for other, other_count in threads:
                    scores[number, other] += min(count, other_count) * MAX_THREADS // len(threads)

    def order(pair: tuple[int, int]) -> tuple[float, ...]:
        # Of equal scores, the thread that finds a larger part of its calls goes first.
        return -scores[pair], -scores[pair] / min(len(left[pair[0]]), len(right[pair[1]])), *pair

    used: set[int] = set()
    taken: set[int] = set()
    for a, b in sorted(scores, key=order):
        if a not in used and b not in taken:
            used.add(a)
            taken.add(b)
            yield a, b


def _sample(positions: array[int], keys: array[int]) -> dict[int, int]:
    """Return how often a thread has each key. Of a thread with many keys, both sides take the same ones."""
    counts = Counter(map(keys.__getitem__, positions))
    return {key: counts[key] for key in sorted(counts)[:SAMPLE]}
