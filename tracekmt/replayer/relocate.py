"""A call's recorded memory, laid out anew at other addresses: every byte as it was, but for the pointers to it.

What no description covers is sent as it was recorded, then, and nothing has to be decoded for it.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence

from tracekmt.codec.memory import Arena
from tracekmt.differ.compare import Entered
from tracekmt.spec.types import POINTER_SIZE
from tracekmt.trace.events import Region

_WORDS = {8: "Q", 4: "I"}


class Relocated:
    """The memory of an enter event in an arena."""

    def __init__(self, arena: Arena, there: Mapping[int, int], arguments: Sequence[int]) -> None:
        self._arena = arena
        self._there = there
        self._back = {new: old for old, new in there.items()}
        self.arguments = tuple(there.get(argument, argument) for argument in arguments)

    @property
    def regions(self) -> list[Region]:
        """The memory as it is to be sent."""
        return self._arena.regions()

    def recorded(self, after: Sequence[Region]) -> list[Region]:
        """The same memory after the call, where it was in the recording, and with the pointers that it had there."""
        size = self._arena.pointer_size
        return sorted((self._back[at], wanted, _pointing(data, self._back, size)) for at, wanted, data in after)


def relocate(entered: Entered, arena: Arena, guard: int, spared: int) -> Relocated | None:
    """Lay a call's inputs out, with what is another on this side. None where only its values can tell how: what is
    another has no place of its own, or memory was read in part or twice.

    guard: what pointers to unreadable memory lead to here, but for addresses below `spared`.
    """
    call, patches = entered.call, entered.patches()
    size = POINTER_SIZE[arena.abi]
    there: dict[int, int] = {}
    placed: list[tuple[int, bytes]] = []
    end = 0
    for address, wanted, data in sorted(call.enter.regions) if patches is not None else ():
        if not data and wanted:
            there.setdefault(address, guard if address >= spared else address)
            continue
        if len(data) != wanted or address < end or address in there:
            return None
        there[address] = arena.place(str(len(placed)), wanted)
        placed.append((address, data))
        end = address + max(wanted, 1)
    if patches is None:
        return None
    moved = {address: there[address] for address, _ in placed}
    for address, data in placed:
        arena.write(moved[address], _pointing(data, there, size))
    for at, data in patches:
        start = max((address for address, _ in placed if address <= at), default=None)
        if start is None:
            return None
        arena.write(moved[start] + at - start, data)
    if not call.spec.argument.parameters and call.enter.arguments[:1] != (0,) and not placed:
        return None
    return Relocated(arena, there, call.enter.arguments)


def _pointing(data: bytes, there: Mapping[int, int], size: int) -> bytes:
    """The same bytes with the pointers among them leading elsewhere. A word is one if it is such an address."""
    words = array(_WORDS[size], data[: len(data) // size * size])
    if there.keys().isdisjoint(words):
        return data
    for place, word in enumerate(words):
        words[place] = there.get(word, word)
    return words.tobytes() + data[len(words) * size :]
