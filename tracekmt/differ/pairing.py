"""Pairs the calls and the objects of two traces by their content.

Calls are aligned twice. The first alignment knows of an object only which call created it and how it is used. Every
pair of calls then votes for the objects that it has in the same places, and the second alignment knows those objects.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from operator import mul

from tracekmt.differ.align import Level, align_keys
from tracekmt.differ.columns import FIRST, NO_PARTNER, Objects, gather, mix, mix_objects, places_of
from tracekmt.differ.history import History
from tracekmt.differ.moved import Block, find_moved
from tracekmt.differ.threads import pair_threads
from tracekmt.differ.votes import Side, Values, Votes, common_distance, count_objects, count_votes, elect, equal_values

_USE, _CERTAIN = 2, 1 << 40
"""Votes of a pair of calls for the objects in the same places, and for those that it created in the end."""

_SAME_VALUE, _SAME_ALLOCATOR = 1, 1 << 20
"""Votes for objects with equal handles or addresses, and if equal ones are the rule."""

_RULE = 0.75
"""Share of equal values that belong together by other votes, from which on equal values are the rule."""


@dataclass
class Pairing:
    """Calls and objects of two traces that belong together.

    Attributes:
        right: Position of the right call by the position of the left call, or NO_PARTNER.
        left: Position of the left call by the position of the right call, or NO_PARTNER.
        objects: Number of the right object by the number of the left one. 0 for one without counterpart.
        left_objects: The opposite of `objects`.
        threads: Number of the right thread by the number of the left one.
        moved: Positions of runs of calls that have another place on the right side.
    """

    right: array[int]
    left: array[int]
    objects: array[int] = field(default_factory=lambda: array("I"))
    left_objects: array[int] = field(default_factory=lambda: array("I"))
    threads: dict[int, int] = field(default_factory=dict)
    moved: list[Block] = field(default_factory=list)

    def add(self, left: int, right: int) -> None:
        """Pair two calls."""
        self.right[left], self.left[right] = right, left

    def add_run(self, left: array[int], right: array[int]) -> None:
        """Pair the calls at the same places of two sequences."""
        first, last = left[0] if left else 0, left[-1] if left else -1
        other, other_last = right[0] if right else 0, right[-1] if right else -1
        if last - first + 1 == other_last - other + 1 == len(left):  # all calls of the traces in between
            self.right[first : last + 1], self.left[other : other_last + 1] = right, left
            return
        for pair in zip(left, right, strict=True):
            self.add(*pair)


def pair_calls(left: History, right: History) -> Pairing:
    """Pair the calls and the objects of two traces."""
    levels = _shallow_levels(left, right)
    first = _align(left, right, levels)
    election = _Election(left, right)
    election.count_pairs(first, _USE)
    for is_range in (False, True):
        election.count_equal_values(levels[0], is_range=is_range)
    del levels, first  # a third of the memory
    _, left_objects = elect(election.votes)
    left_numbers = array("q", range(len(left.objects)))
    right_numbers = array("q", [a or -b for b, a in enumerate(left_objects)])
    right_numbers[:FIRST] = left_numbers[:FIRST]
    second = _align(left, right, _exact_levels((left, left_numbers), (right, right_numbers)))
    election = _Election(left, right)
    election.count_pairs(second, _CERTAIN)
    second.objects, second.left_objects = elect(election.votes)
    return second


def _shallow_levels(left: History, right: History) -> list[Level]:
    """Return keys without knowledge of the objects of the other side.

    The strongest level has the contents of buffers. The next one has the creations of the input objects, the uses of
    created objects, and the module that made the call.
    """
    modules = set(left.callers) & set(right.callers)
    levels = []
    for history in (left, right):
        objects, plain = history.objects, history.plain
        births = gather(plain, objects.births)
        births[:FIRST] = array("q", range(FIRST))
        own = {caller: caller if caller in modules else -1 for caller in set(history.callers)}
        is_shared = modules.issuperset(own)  # most often
        callers = array("q", history.callers if is_shared else map(own.__getitem__, history.callers))
        uses = array("q", [use or 1 for use in objects.uses])  # those without a use count, too
        origins = mix_objects(mix(plain, callers), history.inputs, births)
        origins = mix_objects(origins, history.outputs, uses, objects.births)
        levels.append((mix(origins, history.contents), origins, plain, history.weak))
    return _levels(*levels, costs=(0, 1, 3, 7))


def _exact_levels(*sides: tuple[History, array[int]]) -> list[Level]:
    """Return keys with the common numbers of the objects. Another object costs nearly as much as another call."""
    levels = []
    for history, numbers in sides:
        objects, inputs, outputs = history.objects, history.inputs, history.outputs
        # An object that no other call uses is known by this call alone.
        used = array("q", map(mul, numbers, map(bool, objects.uses)))
        plain, weak = (
            mix_objects(mix_objects(keys, inputs, numbers), outputs, used, objects.births)
            for keys in (history.plain, history.weak)
        )
        levels.append((mix(plain, history.contents), plain, weak, history.plain, history.weak))
    return _levels(*levels, costs=(0, 1, 2, 5, 7))


def _levels(left: Sequence[array[int]], right: Sequence[array[int]], *, costs: Sequence[int]) -> list[Level]:
    return [Level(*level) for level in zip(left, right, costs, strict=True)]


def _align(left: History, right: History, levels: Sequence[Level]) -> Pairing:
    """Align the calls of each pair of threads, then find calls that moved."""
    pairing = Pairing(array("q", [NO_PARTNER]) * len(left), array("q", [NO_PARTNER]) * len(right))
    left_threads, right_threads = left.by_thread(), right.by_thread()
    for a, b in pair_threads(left_threads, right_threads, levels):
        pairing.threads[a] = b
        positions = left_threads[a], right_threads[b]
        is_only_thread = tuple(map(len, positions)) == (len(left), len(right))
        for i, j, length in align_keys(levels if is_only_thread else [level.at(*positions) for level in levels]):
            pairing.add_run(positions[0][i : i + length], positions[1][j : j + length])
    unpaired = _unpaired(pairing.right), _unpaired(pairing.left)
    pairing.moved = find_moved(left_threads, right_threads, unpaired, levels)
    for block in pairing.moved:
        for pair in block:
            pairing.add(*pair)
    return pairing


def _unpaired(partners: array[int]) -> set[int]:
    return set(places_of(partners, NO_PARTNER))


class _Election:
    """Votes for the objects of the other side.

    Attributes:
        votes: The votes so far.
    """

    def __init__(self, left: History, right: History) -> None:
        self._sides = left, right
        self.votes = Votes.for_objects(len(left.objects)), Votes.for_objects(len(right.objects))

    def count_pairs(self, pairing: Pairing, birth: int) -> None:
        """Add the votes of all pairs of calls.

        Args:
            pairing: The calls that belong together.
            birth: Votes of a pair of calls for the objects that they create.
        """
        left, right = (Side(side.inputs, side.outputs, side.objects.births) for side in self._sides)
        self.votes = count_votes(pairing.right, (left, right), self.votes, _USE, birth)

    def count_equal_values(self, level: Level, *, is_range: bool) -> None:
        """Add votes for equal handles, or for equal addresses of ranges, up to a distance that most have in common.

        They decide between calls that are alike in everything else. A call whose content occurs once on both sides is
        recognized by it: another thread may have got the handle that the call got on the other side.

        Args:
            level: The strongest keys of the calls.
            is_range: Vote for ranges instead of objects with handles.
        """
        left, right = (side.objects for side in self._sides)
        if is_range and 1 not in left.is_range:
            return
        chosen, _ = elect(self.votes)
        values, other_values = (Values(side.objects, side.weak) for side in self._sides)
        distance = common_distance(chosen, values, other_values, is_range=is_range)
        same, others = equal_values(values, other_values, distance, is_range=is_range)
        disputed = [(a, b) for a, b in zip(same, others, strict=True) if chosen[a] != b]
        is_rule = len(disputed) < (1 - _RULE) * len(same)
        refuted = set(_recognized(level, left, right, disputed)) if is_rule else set()
        if refuted:
            credible = [pair for pair in zip(same, others, strict=True) if pair not in refuted]
            same, others = array("I", [a for a, _ in credible]), array("I", [b for _, b in credible])
        self.votes = count_objects(self.votes, same, others, _SAME_ALLOCATOR if is_rule else _SAME_VALUE)


def _recognized(
    level: Level, left: Objects, right: Objects, pairs: Sequence[tuple[int, int]]
) -> Iterator[tuple[int, int]]:
    """Yield the pairs of objects from unlike calls of which one has a key that occurs once on both sides."""
    keys = [(level.left[left.births[a]], level.right[right.births[b]]) for a, b in pairs]
    wanted = {key for both in keys for key in both}
    counts = [Counter(key for key in side if key in wanted) for side in (level.left, level.right)]
    once = {key for key in wanted if all(count[key] == 1 for count in counts)}
    return (pair for pair, both in zip(pairs, keys, strict=True) if both[0] != both[1] and not once.isdisjoint(both))
