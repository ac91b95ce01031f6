"""Pairs the calls and the objects of two traces by their content.

Calls are aligned twice. The first alignment knows of an object only which call created it and how it is used. Every
pair of calls then votes for the objects that it has in the same places, and the second alignment knows those objects.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tracekmt.differ.align import Level, align_keys
from tracekmt.differ.history import FIRST, NO_BIRTH, NULL, History
from tracekmt.differ.moved import Block, find_moved
from tracekmt.differ.threads import pair_threads

NO_PARTNER = -1
"""Position of the counterpart of a call without one."""

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

    def pairs(self) -> Iterator[tuple[int, int]]:
        """Yield the positions of all pairs, in the order of the left side."""
        return ((left, right) for left, right in enumerate(self.right) if right != NO_PARTNER)


def pair_calls(left: History, right: History) -> Pairing:
    """Pair the calls and the objects of two traces."""
    first = _align(left, right, _shallow_levels(left, right))
    votes = _Votes(left, right)
    votes.count_pairs(first, _USE)
    for is_range in (False, True):
        votes.count_equal_values(is_range=is_range)
    left_numbers = range(len(left.objects))
    right_numbers = array("q", range(0, -len(right.objects), -1))
    for a, b in enumerate(votes.elect()):
        right_numbers[b] = a
    for number in range(FIRST):
        right_numbers[number] = number
    second = _align(left, right, _exact_levels((left, left_numbers), (right, right_numbers)))
    votes = _Votes(left, right)
    votes.count_pairs(second, _CERTAIN)
    second.objects = votes.elect()
    second.left_objects = array("I", bytes(4 * len(right.objects)))
    for a, b in enumerate(second.objects):
        second.left_objects[b] = a
    second.left_objects[NULL] = NULL
    return second


def _shallow_levels(left: History, right: History) -> list[Level]:
    """Return keys without knowledge of the objects of the other side.

    The strongest level has the contents of buffers. The next one has the creations of the input objects, the uses of
    created objects, and the module that made the call.
    """
    modules = set(left.callers) & set(right.callers)
    contents = [array("q"), array("q")]
    origins = [array("q"), array("q")]
    for side, history in enumerate((left, right)):
        objects, plain = history.objects, history.plain
        births = array("q", (plain[birth] if birth != NO_BIRTH else 0 for birth in objects.births))
        for position, key in enumerate(plain):
            caller = history.callers[position] if history.callers[position] in modules else -1
            created = tuple([objects.uses[number] for number in history.created(position)])
            inputs = tuple([births[number] if number >= FIRST else number for number in history.inputs[position]])
            origins[side].append(hash((key, caller, inputs, created)))
            contents[side].append(hash((origins[side][-1], history.contents[position])))
    return [
        Level(contents[0], contents[1], 0),
        Level(origins[0], origins[1], 1),
        Level(left.plain, right.plain, 3),
        Level(left.weak, right.weak, 7),
    ]


def _exact_levels(*sides: tuple[History, Sequence[int]]) -> list[Level]:
    """Return keys with the common numbers of the objects. Another object costs nearly as much as another call."""
    contents, plain, objects = ([array("q"), array("q")] for _ in range(3))
    for side, (history, numbers) in enumerate(sides):
        for position, key in enumerate(history.plain):
            inputs = tuple([numbers[number] for number in history.inputs[position]])
            # An object that no other call uses is known by this call alone.
            uses = history.objects.uses
            created = tuple([numbers[number] for number in history.created(position) if uses[number]])
            plain[side].append(hash((key, inputs, created)))
            contents[side].append(hash((plain[side][-1], history.contents[position])))
            objects[side].append(hash((history.weak[position], inputs, created)))
    left, right = sides[0][0], sides[1][0]
    return [
        Level(contents[0], contents[1], 0),
        Level(plain[0], plain[1], 1),
        Level(objects[0], objects[1], 2),
        Level(left.plain, right.plain, 5),
        Level(left.weak, right.weak, 7),
    ]


def _align(left: History, right: History, levels: Sequence[Level]) -> Pairing:
    """Align the calls of each pair of threads, then find calls that moved."""
    pairing = Pairing(array("q", [NO_PARTNER]) * len(left), array("q", [NO_PARTNER]) * len(right))
    left_threads, right_threads = left.by_thread(), right.by_thread()
    for a, b in pair_threads(left_threads, right_threads, levels):
        pairing.threads[a] = b
        positions = left_threads[a], right_threads[b]
        for i, j in align_keys([level.at(*positions) for level in levels]):
            pairing.add(positions[0][i], positions[1][j])
    unpaired = _unpaired(pairing.right), _unpaired(pairing.left)
    pairing.moved = find_moved(left_threads, right_threads, unpaired, levels)
    for block in pairing.moved:
        for pair in block:
            pairing.add(*pair)
    return pairing


def _unpaired(partners: array[int]) -> set[int]:
    return {position for position, partner in enumerate(partners) if partner == NO_PARTNER}


class _Votes:
    """Votes for the objects of the other side. Of each object, the one with the majority of votes is kept.

    That takes two numbers an object (Boyer and Moore's majority vote), however many other objects have votes.
    """

    def __init__(self, left: History, right: History) -> None:
        self._sides = left, right
        sizes = [len(side.objects) for side in self._sides]
        self._favourites = [array("I", bytes(4 * size)) for size in sizes]
        self._leads = [array("q", bytes(8 * size)) for size in sizes]

    def count_pairs(self, pairing: Pairing, birth: int) -> None:
        """Add the votes of all pairs of calls.

        Args:
            pairing: The calls that belong together.
            birth: Votes of a pair of calls for the objects that they create.
        """
        left, right = self._sides
        for a, b in pairing.pairs():
            self._count(left.inputs[a], right.inputs[b], _USE)
            self._count(left.outputs[a], right.outputs[b], _USE)
            self._count(list(left.created(a)), list(right.created(b)), birth)

    def _count(self, left: Sequence[int], right: Sequence[int], weight: int) -> None:
        if len(left) == len(right):
            for a, b in zip(left, right, strict=True):
                if a >= FIRST and b >= FIRST:
                    self._add(0, a, b, weight)
                    self._add(1, b, a, weight)

    def _add(self, side: int, number: int, other: int, weight: int) -> None:
        favourites, leads = self._favourites[side], self._leads[side]
        if favourites[number] == other:
            leads[number] += weight
        elif leads[number] >= weight:
            leads[number] -= weight
        else:
            favourites[number], leads[number] = other, weight - leads[number]

    def count_equal_values(self, *, is_range: bool) -> None:
        """Add votes for equal handles, or for equal addresses of ranges, up to a distance that most have in common.

        They decide between calls that are alike in everything else.
        """
        left, right = (side.objects for side in self._sides)
        chosen = self.elect()
        distances = Counter(
            right.values[b] - left.values[a]
            for a, b in enumerate(chosen)
            if b and left.births[a] != NO_BIRTH and left.is_range[a] == right.is_range[b] == is_range
        )
        distance = max(distances, key=distances.__getitem__, default=0)
        same = list(_equal_values(self._sides[0], self._sides[1], distance, is_range=is_range))
        is_rule = sum(chosen[a] == b for a, b in same) > _RULE * max(len(same), 1)
        for a, b in same:
            self._count([a], [b], _SAME_ALLOCATOR if is_rule else _SAME_VALUE)

    def elect(self) -> array[int]:
        """Return the right object of each left object: that with the votes of both sides, else of one side."""
        left, right = self._favourites
        chosen = array("I", (b if b and right[b] == a else 0 for a, b in enumerate(left)))
        taken = bytearray(len(right))
        for b in chosen:
            taken[b] = 1
        for a, b in enumerate(left):
            if b and not chosen[a] and not taken[b]:
                chosen[a] = b
                taken[b] = 1
        return chosen


def _equal_values(left: History, right: History, distance: int, *, is_range: bool) -> Iterator[tuple[int, int]]:
    """Yield created objects with equal values: those of like calls, the nth with a value and the nth.

    Args:
        left: The left side.
        right: The right side.
        distance: Number that is subtracted from the right values.
        is_range: Return ranges instead of objects with handles.
    """
    ordered = []
    for history, offset in ((left, 0), (right, distance)):
        objects = history.objects
        keys = array(
            "q",
            (
                hash((history.weak[birth], value - offset)) if birth != NO_BIRTH else 0
                for birth, value in zip(objects.births, objects.values, strict=True)
            ),
        )
        numbers = [n for n in range(FIRST, len(keys)) if keys[n] and objects.is_range[n] == is_range]
        numbers.sort(key=keys.__getitem__)  # stable: equal values keep their order
        ordered.append((numbers, keys))
    (a_numbers, a_keys), (b_numbers, b_keys) = ordered
    i = j = 0
    while i < len(a_numbers) and j < len(b_numbers):
        a, b = a_numbers[i], b_numbers[j]
        if a_keys[a] == b_keys[b]:
            yield a, b
        i, j = i + (a_keys[a] <= b_keys[b]), j + (a_keys[a] >= b_keys[b])
