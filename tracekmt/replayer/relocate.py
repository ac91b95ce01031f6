"""Lays out the recorded memory of a call at other addresses, and rewrites the pointers to it.

All other bytes stay as recorded, also those without a description. No value has to be decoded.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence

from tracekmt.codec.memory import Arena
from tracekmt.differ.outcome import EnteredCall
from tracekmt.spec.types import POINTER_SIZE
from tracekmt.trace.events import Region

_WORDS = {8: "Q", 4: "I"}


class RelocatedCall:
    """The memory of an enter event in an arena.

    Attributes:
        arguments: Arguments of the call, with the new addresses.
    """

    def __init__(self, arena: Arena, addresses: Mapping[int, int], arguments: Sequence[int]) -> None:
        self._arena = arena
        self._recorded_addresses = {new: recorded for recorded, new in addresses.items()}
        self.arguments = tuple(addresses.get(argument, argument) for argument in arguments)

    @property
    def regions(self) -> list[Region]:
        """Memory to send with the call."""
        return self._arena.regions()

    def recorded(self, after: Sequence[Region]) -> list[Region]:
        """Return memory after the call at its recorded addresses, with the recorded pointers."""
        size = self._arena.pointer_size
        addresses = self._recorded_addresses
        return sorted(
            (addresses[address], wanted, _with_pointers(data, addresses, size)) for address, wanted, data in after
        )


def relocate(entered: EnteredCall, arena: Arena, guard: int, null_limit: int) -> RelocatedCall | None:
    """Lay out the inputs of a call in an arena.

    Args:
        entered: The call, with the inputs to change.
        arena: Memory for the inputs.
        guard: New address of pointers to unreadable memory.
        null_limit: Pointers below this address are not replaced by `guard`.

    Returns:
        None if the inputs have to be encoded from their values: a change has no location in memory, or a region
        was read partially or overlaps another one.
    """
    call, patches = entered.call, entered.patches()
    pointer_size = POINTER_SIZE[arena.abi]
    addresses: dict[int, int] = {}
    placed: list[tuple[int, bytes]] = []
    end = 0
    for address, wanted, data in sorted(call.enter.regions) if patches is not None else ():
        if not data and wanted:
            addresses.setdefault(address, guard if address >= null_limit else address)
            continue
        if len(data) != wanted or address < end or address in addresses:
            return None
        addresses[address] = arena.place(str(len(placed)), wanted)
        placed.append((address, data))
        end = address + max(wanted, 1)
    if patches is None:
        return None
    new_addresses = {address: addresses[address] for address, _ in placed}
    for address, data in placed:
        arena.write(new_addresses[address], _with_pointers(data, addresses, pointer_size))
    for patch_address, data in patches:
        region = max((address for address, _ in placed if address <= patch_address), default=None)
        if region is None:
            return None
        arena.write(new_addresses[region] + patch_address - region, data)
    if not call.spec.argument.parameters and call.enter.arguments[:1] != (0,) and not placed:
        return None
    return RelocatedCall(arena, addresses, call.enter.arguments)


def _with_pointers(data: bytes, addresses: Mapping[int, int], pointer_size: int) -> bytes:
    """Replace the pointers in a region. An aligned word is a pointer if it equals a recorded address."""
    words = array(_WORDS[pointer_size], data[: len(data) // pointer_size * pointer_size])
    if addresses.keys().isdisjoint(words):
        return data
    for position, word in enumerate(words):
        words[position] = addresses.get(word, word)
    return words.tobytes() + data[len(words) * pointer_size :]
