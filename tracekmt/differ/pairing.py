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
from tracekmt.differ.history import FIRST, NO_BIRTH, History
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
        objects: Number of the right object by the number of the left one, for those with a counterpart.
        left_objects: The opposite of `objects`.
        threads: Number of the right thread by the number of the left one.
        moved: Positions of runs of calls that have another place on the right side.
    """

    right: array[int]
    left: array[int]
    objects: dict[int, int] = field(default_factory=dict)
    left_objects: dict[int, int] = field(default_factory=dict)
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
    votes = _vote(left, right, first, _USE)
    for is_range in (False, True):
        _count_equal_values(votes, left, right, is_range=is_range)
    numbers = {b: a for a, b in _elect(votes).items()}
    left_numbers = range(len(left.objects))
    right_numbers = [numbers.get(number, -number) for number in range(len(right.objects))]
    for number in range(FIRST):
        right_numbers[number] = number
    second = _align(left, right, _exact_levels((left, left_numbers), (right, right_numbers)))
    second.objects = _elect(_vote(left, right, second, _CERTAIN))
    second.left_objects = {b: a for a, b in second.objects.items()}
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


def _vote(left: History, right: History, pairing: Pairing, birth: int) -> Counter[tuple[int, int]]:
    """Count how often two objects have the same place in a pair of calls.

    Args:
        left: The left side.
        right: The right side.
        pairing: The calls that belong together.
        birth: Votes of a pair of calls for the objects that they create.
    """
    votes: Counter[tuple[int, int]] = Counter()
    for a, b in pairing.pairs():
        _count_votes(votes, left.inputs[a], right.inputs[b], _USE)
        _count_votes(votes, left.outputs[a], right.outputs[b], _USE)
        _count_votes(votes, list(left.created(a)), list(right.created(b)), birth)
    return votes


def _count_equal_values(votes: Counter[tuple[int, int]], left: History, right: History, *, is_range: bool) -> None:
    """Add votes for equal handles, or for equal addresses of ranges, up to a distance that most have in common.

    They decide between calls that are alike in everything else.
    """
    a_objects, b_objects = left.objects, right.objects
    chosen = {a: b for a, b in _elect(votes).items() if a_objects.births[a] != NO_BIRTH}
    chosen = {a: b for a, b in chosen.items() if a_objects.is_range[a] == b_objects.is_range[b] == is_range}
    distances = Counter(b_objects.values[b] - a_objects.values[a] for a, b in chosen.items())
    distance = max(distances, key=distances.__getitem__, default=0)
    others = _incarnations(right, distance, is_range=is_range)
    same = [(a, others[key]) for key, a in _incarnations(left, 0, is_range=is_range).items() if key in others]
    is_rule = sum(chosen.get(a) == b for a, b in same) > _RULE * max(len(same), 1)
    for pair in same:
        votes[pair] += _SAME_ALLOCATOR if is_rule else _SAME_VALUE


def _incarnations(history: History, distance: int, *, is_range: bool) -> dict[tuple[int, int, int], int]:
    """Return the created objects by the weak key of their creation, their value, and how often it occurred before.

    Args:
        history: The calls.
        distance: Number that is subtracted from the values.
        is_range: Return ranges instead of objects with handles.
    """
    objects = history.objects
    seen: Counter[tuple[int, int]] = Counter()
    found: dict[tuple[int, int, int], int] = {}
    for number in range(FIRST, len(objects)):
        if objects.births[number] != NO_BIRTH and objects.is_range[number] == is_range:
            key = history.weak[objects.births[number]], objects.values[number] - distance
            found[(*key, seen[key])] = number
            seen[key] += 1
    return found


def _count_votes(votes: Counter[tuple[int, int]], left: Sequence[int], right: Sequence[int], weight: int) -> None:
    if len(left) == len(right):
        for pair in zip(left, right, strict=True):
            if pair[0] >= FIRST and pair[1] >= FIRST:
                votes[pair] += weight


def _elect(votes: Counter[tuple[int, int]]) -> dict[int, int]:
    """Pair the objects with the most votes for each other, each object once."""
    chosen: dict[int, int] = {}
    taken: set[int] = set()
    for (a, b), _ in sorted(votes.items(), key=lambda item: (-item[1], item[0])):
        if a not in chosen and b not in taken:
            chosen[a] = b
            taken.add(b)
    return chosen
