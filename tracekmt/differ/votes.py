"""Votes: which objects of two traces belong together. The loops run in the core where there is one."""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict, deque
from collections.abc import Iterator
from typing import NamedTuple

from tracekmt import core
from tracekmt.differ.columns import FIRST, NO_BIRTH, NO_PARTNER, CallObjects, Objects

_MASK = (1 << 64) - 1


class Votes(NamedTuple):
    """Votes for the objects of the other side, by the number of the object.

    Of each object, the one with the majority of votes is kept (Boyer and Moore's majority vote). That takes two numbers
    an object, however many other objects have votes.

    Attributes:
        favourites: The object of the other side that is ahead.
        leads: How many votes it is ahead.
    """

    favourites: array[int]
    leads: array[int]

    @classmethod
    def for_objects(cls, count: int) -> Votes:
        """Return no votes."""
        return cls(array("I", bytes(4 * count)), array("q", bytes(8 * count)))

    def add(self, number: int, other: int, weight: int) -> None:
        """Add votes of an object."""
        favourites, leads = self.favourites, self.leads
        if favourites[number] == other:
            leads[number] += weight
        elif leads[number] >= weight:
            leads[number] -= weight
        else:
            favourites[number], leads[number] = other, weight - leads[number]


class Side(NamedTuple):
    """The objects of the calls of one side.

    Attributes:
        inputs: Objects of the inputs of each call.
        outputs: Objects of the outputs of each call.
        births: Birth of each object.
    """

    inputs: CallObjects
    outputs: CallObjects
    births: array[int]


def count_votes(
    partners: array[int], sides: tuple[Side, Side], votes: tuple[Votes, Votes], use: int, birth: int
) -> tuple[Votes, Votes]:
    """Add the votes of pairs of calls for the objects that both have in the same places.

    Args:
        partners: Position of the right call by the position of the left one, or NO_PARTNER.
        sides: Both sides.
        votes: The votes so far.
        use: Votes of a pair of calls for the objects in the same places.
        birth: Votes for the objects that the calls created.

    Returns:
        The votes of both sides. Those that were given may have been changed.
    """
    left, right = sides
    if core.CORE is not None:
        favourites, leads = core.CORE.count_votes(
            partners.tobytes(),
            (left.inputs.to_core(), right.inputs.to_core()),
            (left.outputs.to_core(), right.outputs.to_core()),
            (left.births.tobytes(), right.births.tobytes()),
            (votes[0].favourites.tobytes(), votes[1].favourites.tobytes()),
            (votes[0].leads.tobytes(), votes[1].leads.tobytes()),
            use,
            birth,
        )
        first, second = (Votes(array("I", favourites[side]), array("q", leads[side])) for side in (0, 1))
        return first, second
    for a, b in enumerate(partners):
        if b != NO_PARTNER:
            count_objects(votes, left.inputs[a], right.inputs[b], use)
            outputs = left.outputs[a], right.outputs[b]
            count_objects(votes, *outputs, use)
            created = array("I", [number for number in outputs[0] if left.births[number] == a])
            others = array("I", [number for number in outputs[1] if right.births[number] == b])
            count_objects(votes, created, others, birth)
    return votes


def count_objects(votes: tuple[Votes, Votes], left: array[int], right: array[int], weight: int) -> tuple[Votes, Votes]:
    """Add votes of objects for those in the same places of the other side. Return the votes as `count_votes` does."""
    if core.CORE is not None:
        nothing, births = _objects_of_one_call(array("I")), array("q")
        sides = tuple(Side(_objects_of_one_call(numbers), nothing, births) for numbers in (left, right))
        return count_votes(array("q", [0]), (sides[0], sides[1]), votes, weight, 0)
    if len(left) == len(right):
        for a, b in zip(left, right, strict=True):
            if a >= FIRST and b >= FIRST:
                votes[0].add(a, b, weight)
                votes[1].add(b, a, weight)
    return votes


def _objects_of_one_call(objects: array[int]) -> CallObjects:
    return CallObjects(objects.tobytes(), bytes(8), array("I", [len(objects)]).tobytes())


def elect(votes: tuple[Votes, Votes]) -> tuple[array[int], array[int]]:
    """Choose the right object of each left object: that with the votes of both sides, else of one side.

    Returns:
        The right object of each left one, and the left object of each right one. 0 for objects without.
    """
    left, right = (side.favourites for side in votes)
    if core.CORE is not None:
        rights, lefts = core.CORE.elect(left.tobytes(), right.tobytes())
        return array("I", rights), array("I", lefts)
    chosen = array("I", (b if b and right[b] == a else 0 for a, b in enumerate(left)))
    taken = bytearray(len(right))
    for b in chosen:
        taken[b] = 1
    for a, b in enumerate(left):
        if b and not chosen[a] and not taken[b]:
            chosen[a] = b
            taken[b] = 1
    reverse = array("I", bytes(4 * len(right)))
    for a, b in enumerate(chosen):
        if b:
            reverse[b] = a
    return chosen, reverse


class Values(NamedTuple):
    """The objects of one side, and the keys of the calls that created them."""

    objects: Objects
    keys: array[int]

    def to_core(self) -> tuple[bytes, bytes, bytearray, bytes]:
        """Return the columns for the core."""
        objects = self.objects
        return objects.births.tobytes(), objects.values.tobytes(), objects.is_range, self.keys.tobytes()

    def with_keys(self, distance: int, *, is_range: bool) -> Iterator[tuple[int, tuple[int, int]]]:
        """Yield created objects, each with its value and the key of the call that created it."""
        objects, keys = self.objects, self.keys
        columns = zip(objects.births, objects.values, objects.is_range, strict=True)
        for number, (birth, value, is_one) in enumerate(columns):
            if birth != NO_BIRTH and is_one == is_range:
                yield number, (keys[birth], value - distance & _MASK)


def common_distance(chosen: array[int], left: Values, right: Values, *, is_range: bool) -> int:
    """Return the distance from the left value to the right one that most pairs of objects have, modulo 2^64.

    Args:
        chosen: The right object of each left one, 0 for none.
        left: The left side.
        right: The right side.
        is_range: Count ranges instead of objects with handles.
    """
    if core.CORE is not None:
        return core.CORE.common_distance(chosen.tobytes(), left.to_core(), right.to_core(), is_range)
    lefts, rights = left.objects, right.objects
    distances = Counter(
        rights.values[b] - lefts.values[a] & _MASK
        for a, b in enumerate(chosen)
        if b and lefts.births[a] != NO_BIRTH and lefts.is_range[a] == rights.is_range[b] == is_range
    )
    return max(distances, key=distances.__getitem__, default=0)


def equal_values(left: Values, right: Values, distance: int, *, is_range: bool) -> tuple[array[int], array[int]]:
    """Return created objects with equal values: those of like calls, the nth with a value and the nth.

    Args:
        left: The left side.
        right: The right side.
        distance: Number that is subtracted from the right values.
        is_range: Return ranges instead of objects with handles.

    Returns:
        The left objects and the right ones.
    """
    if core.CORE is not None:
        one, other = core.CORE.equal_values(left.to_core(), right.to_core(), distance & _MASK, is_range)
        return array("I", one), array("I", other)
    others: dict[tuple[int, int], deque[int]] = defaultdict(deque)
    for number, key in right.with_keys(distance, is_range=is_range):
        others[key].append(number)
    pairs = array("I"), array("I")
    for number, key in left.with_keys(0, is_range=is_range):
        same = others.get(key)
        if same:
            pairs[0].append(number)
            pairs[1].append(same.popleft())
    return pairs
