"""Columns: arrays with a number for each call, or for each object, of a trace, and the loops over them.

The loops run in the core where there is one. The keys that the core mixes are not those of Python.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tracekmt import core

NULL, UNKNOWN, DEAD, FIRST = 0, 1, 2, 3
"""Numbers in place of objects: no object, a value that no recorded call explains, an invalid handle.

Objects have numbers from FIRST on.
"""

NO_BIRTH = -1
"""Birth of an object that is older than the trace."""

NO_DEATH = -1
"""Death of an object that no call destroyed."""

NO_PARTNER = -1
"""Position of the counterpart of a call without one."""


@dataclass
class Objects:
    """All objects of a trace, by number.

    Attributes:
        births: Position of the call that created the object, or NO_BIRTH.
        paths: Number of the path of the object's handle in that call.
        values: Its handle, or its base address. 0 for values that are not numbers.
        uses: Key of the calls that use the object, in order. It is set when all calls have been read.
        is_range: 1 for a range of addresses.
        chosen: 1 for a range at an address that the caller asked for.
        deaths: Position of the call that destroyed the object, or NO_DEATH.
    """

    births: array[int] = field(default_factory=lambda: array("q", [NO_BIRTH] * FIRST))
    paths: array[int] = field(default_factory=lambda: array("I", [0] * FIRST))
    values: array[int] = field(default_factory=lambda: array("Q", [0] * FIRST))
    uses: array[int] = field(default_factory=lambda: array("q"))
    is_range: bytearray = field(default_factory=lambda: bytearray(FIRST))
    chosen: bytearray = field(default_factory=lambda: bytearray(FIRST))
    deaths: array[int] = field(default_factory=lambda: array("q", [NO_DEATH] * FIRST))

    def __len__(self) -> int:
        return len(self.births)

    def add(self, birth: int, path: int, value: Any, *, is_range: bool = False, is_chosen: bool = False) -> int:
        """Add an object and return its number."""
        self.is_range.append(is_range)
        self.chosen.append(is_chosen)
        self.deaths.append(NO_DEATH)
        self.births.append(birth)
        self.paths.append(path)
        self.values.append(value & (1 << 64) - 1 if isinstance(value, int) else 0)
        return len(self.births) - 1


Memory = bytes | bytearray
"""Memory of a column."""


class CallObjects:
    """Objects that calls refer to, by the position of the call.

    Args:
        objects: The objects of all calls, as numbers of 32 bits. Those of a call follow each other.
        starts: Place of the first object of each call, as numbers of 64 bits.
        counts: Number of objects of each call, as numbers of 32 bits.
    """

    def __init__(self, objects: Memory, starts: Memory, counts: Memory) -> None:
        self._memory = objects, starts, counts
        self._objects = memoryview(objects).cast("I")
        self._starts, self._counts = memoryview(starts).cast("q"), memoryview(counts).cast("I")

    def __reduce__(self) -> tuple[type[CallObjects], tuple[Memory, Memory, Memory]]:
        """Return what another process needs."""
        return CallObjects, self._memory

    def __getitem__(self, position: int) -> array[int]:
        start = self._starts[position]
        return array("I", self._objects[start : start + self._counts[position]].tobytes())

    def to_core(self) -> tuple[Memory, Memory, Memory]:
        """Return the columns for the core."""
        return self._memory


def gather(keys: array[int], positions: array[int]) -> array[int]:
    """Return the keys at some positions, 0 for NO_BIRTH and NO_PARTNER, which are -1."""
    if core.CORE is not None:
        return array("q", core.CORE.gather_column(keys.tobytes(), positions.tobytes()))
    return array("q", map([*keys, 0].__getitem__, positions))


def mix(keys: array[int], others: array[int]) -> array[int]:
    """Return keys of two columns."""
    if core.CORE is not None:
        return array("q", core.CORE.mix_columns(keys.tobytes(), others.tobytes()))
    return array("q", map(hash, zip(keys, others, strict=True)))


def mix_objects(
    keys: array[int], objects: CallObjects, numbers: array[int], births: array[int] | None = None
) -> array[int]:
    """Return keys of calls and of the objects that they refer to.

    Args:
        keys: Key of each call.
        objects: Objects of each call.
        numbers: What counts of each object.
        births: Birth of each object. Then only the objects that a call created count, without those whose number is 0.
    """
    if core.CORE is not None:
        given = None if births is None else births.tobytes()
        return array("q", core.CORE.mix_objects(keys.tobytes(), objects.to_core(), numbers.tobytes(), given))
    if births is None:
        return array("q", (hash((key, *map(numbers.__getitem__, objects[call]))) for call, key in enumerate(keys)))
    return array(
        "q",
        (
            hash((key, *(numbers[each] for each in objects[call] if births[each] == call and numbers[each])))
            for call, key in enumerate(keys)
        ),
    )


def positions_of(numbers: array[int]) -> dict[int, array[int]]:
    """Return the positions of each number of a column, by the number in the order of its first position."""
    if core.CORE is not None:
        return {number: array("q", data) for number, data in core.CORE.positions_of(numbers.tobytes()).items()}
    positions: dict[int, array[int]] = {}
    for position, number in enumerate(numbers):
        positions.setdefault(number, array("q")).append(position)
    return positions


def places_of(numbers: array[int] | bytes | bytearray, number: int) -> Iterator[int]:
    """Yield the places of a number in a column, which are few: a loop over all numbers would take longer."""
    place = -1
    with suppress(ValueError):
        while True:
            place = numbers.index(number, place + 1)
            yield place


def mix_numbers(numbers: list[int]) -> int:
    """Return a key of numbers."""
    if core.CORE is not None:
        return core.CORE.mix_numbers(numbers)
    # As bytes, because Python hashes numbers modulo 2^61 - 1 (CPython 3.13).
    return hash(array("Q", [number & (1 << 64) - 1 for number in numbers]).tobytes())


def uses_of(count: int, keys: array[int], objects: CallObjects) -> array[int]:
    """Return a key of the uses of each object: of the calls that refer to it, and of its place in each, in order.

    Args:
        count: Number of objects.
        keys: Key of each call.
        objects: Objects of each call.
    """
    if core.CORE is not None:
        return array("q", core.CORE.mix_uses(count, keys.tobytes(), objects.to_core()))
    uses = array("q", bytes(8 * count))
    for position, key in enumerate(keys):
        for place, number in enumerate(objects[position]):
            if number >= FIRST:
                uses[number] = hash((uses[number], key, place))
    return uses


class Outcomes(NamedTuple):
    """The columns that say if a call is unchanged.

    Attributes:
        is_exact: 1 for a call whose keys leave nothing else to compare.
        keys: Keys of each call. The first one is 0 for a call that did not return.
        inputs: Objects of the inputs of each call.
        outputs: Objects of the outputs of each call.
    """

    is_exact: array[int]
    keys: tuple[array[int], array[int], array[int], array[int]]
    inputs: CallObjects
    outputs: CallObjects

    def to_core(self) -> tuple[Any, ...]:
        """Return the columns for the core."""
        keys = (column.tobytes() for column in self.keys)
        return bytes(self.is_exact), *keys, self.inputs.to_core(), self.outputs.to_core()


def find_unchanged(
    partners: array[int], left: Outcomes, right: Outcomes, counterparts: array[int]
) -> bytes | bytearray:
    """Return 1 for each left call whose keys say that nothing differs.

    Args:
        partners: Position of the right call by the position of the left one, or NO_PARTNER.
        left: The left side.
        right: The right side.
        counterparts: Number of the right object by the number of the left one.
    """
    if core.CORE is not None:
        unchanged: bytes = core.CORE.find_unchanged(
            partners.tobytes(), left.to_core(), right.to_core(), counterparts.tobytes()
        )
        return unchanged
    flags = bytearray(len(partners))
    for a, b in enumerate(partners):
        flags[a] = (
            b != NO_PARTNER
            and bool(left.is_exact[a] and right.is_exact[b] and left.keys[0][a])
            and all(mine[a] == other[b] for mine, other in zip(left.keys, right.keys, strict=True))
            and _are_same(left.inputs[a], right.inputs[b], counterparts)
            and _are_same(left.outputs[a], right.outputs[b], counterparts)
        )
    return flags


def _are_same(first: Sequence[int], second: Sequence[int], counterparts: array[int]) -> bool:
    return len(first) == len(second) and all(is_same(a, b, counterparts) for a, b in zip(first, second, strict=True))


def is_same(left: int, right: int, counterparts: array[int]) -> bool:
    """Return True if two numbers mean the same object. Those below FIRST mean the same on both sides."""
    return left == right if left < FIRST else counterparts[left] == right
