"""Lays out the recorded memory of a call at other addresses, and rewrites the pointers to it.

All other bytes stay as recorded, also those without a description. No value has to be decoded.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence

from tracekmt import core
from tracekmt.codec.memory import Arena
from tracekmt.differ.outcome import EnteredCall
from tracekmt.spec.types import POINTER_SIZE
from tracekmt.trace.events import Region

_WORDS = {8: "Q", 4: "I"}


class RelocatedCall:
    """The memory of an enter event at new addresses.

    Attributes:
        arguments: Arguments of the call, with the new addresses.
        regions: Memory to send with the call.
    """

    def __init__(
        self, arguments: Sequence[int], regions: list[Region], addresses: Mapping[int, int], pointer_size: int
    ) -> None:
        self.regions = regions
        self.arguments = tuple([addresses.get(argument, argument) for argument in arguments])
        self._pointer_size = pointer_size
        self._addresses = addresses

    def recorded(self, after: Sequence[Region]) -> list[Region]:
        """Return memory after the call at its recorded addresses, with the recorded pointers."""
        size = self._pointer_size
        if core.CORE is not None:
            columns = (array("Q", part).tobytes() for part in (self._addresses.values(), self._addresses))
            restored = core.CORE.restore_regions(after, *columns, size)
            if restored is not NotImplemented:
                return restored  # type: ignore[no-any-return]
        addresses = {new: recorded for recorded, new in self._addresses.items()}
        return sorted(
            (addresses[address], wanted, _with_pointers(data, addresses, size)) for address, wanted, data in after
        )


def relocate(entered: EnteredCall, arena: Arena, guard: int, null_limit: int) -> RelocatedCall | None:
    """Lay out the inputs of a call in an arena.

    Args:
        entered: The call, with the inputs to change.
        arena: Addresses for the inputs. Its blocks stay empty.
        guard: New address of pointers to unreadable memory.
        null_limit: Pointers below this address are not replaced by `guard`.

    Returns:
        None if the inputs have to be encoded from their values: a change has no location in memory, or a region
        was read partially or overlaps another one.
    """
    call, patches = entered.call, entered.patches()
    if patches is None:
        return None
    laid_out = _lay_out(call.enter.regions, arena, guard, null_limit, patches)
    if laid_out is None:
        return None
    regions, addresses = laid_out
    if not call.spec.argument.parameters and call.enter.arguments[:1] != (0,) and not regions:
        return None
    return RelocatedCall(call.enter.arguments, regions, addresses, POINTER_SIZE[arena.abi])


def _lay_out(
    regions: Sequence[Region], arena: Arena, guard: int, null_limit: int, patches: list[tuple[int, bytes]]
) -> tuple[list[Region], dict[int, int]] | None:
    """Return the regions at new addresses, and the new addresses by recorded address."""
    if core.CORE is not None:
        limits = arena.next_address, guard, null_limit, POINTER_SIZE[arena.abi]
        found = core.CORE.relocate_regions(regions, *limits, patches)
        if found is None:
            return None
        if found is not NotImplemented:
            new_regions, recorded, new, end = found
            arena.reserve(end - arena.next_address)
            return new_regions, dict(zip(array("Q", recorded), array("Q", new), strict=True))
    return _lay_out_in_python(regions, arena, guard, null_limit, patches)


def _lay_out_in_python(
    regions: Sequence[Region], arena: Arena, guard: int, null_limit: int, patches: list[tuple[int, bytes]]
) -> tuple[list[Region], dict[int, int]] | None:
    pointer_size = POINTER_SIZE[arena.abi]
    addresses: dict[int, int] = {}
    placed: dict[int, bytearray] = {}
    end = 0
    for address, wanted, data in sorted(regions):
        if not data and wanted:
            addresses.setdefault(address, guard if address >= null_limit else address)
            continue
        if len(data) != wanted or address < end or address in addresses:
            return None
        addresses[address] = arena.locate(bytearray(max(wanted, 1)))
        placed[address] = bytearray(data or bytes(1))
        end = address + max(wanted, 1)
    for block in placed.values():
        block[:] = _with_pointers(bytes(block), addresses, pointer_size)
    for patch_address, patch in patches:
        address = max((address for address in placed if address <= patch_address), default=-1)
        offset = patch_address - address
        if address < 0 or offset + len(patch) > len(placed[address]):
            return None
        placed[address][offset : offset + len(patch)] = patch
    return [(addresses[address], len(block), bytes(block)) for address, block in placed.items()], addresses


def _with_pointers(data: bytes, addresses: Mapping[int, int], pointer_size: int) -> bytes:
    """Replace the pointers in a region. An aligned word is a pointer if it equals a recorded address."""
    words = array(_WORDS[pointer_size], data[: len(data) // pointer_size * pointer_size])
    if addresses.keys().isdisjoint(words):
        return data
    for position, word in enumerate(words):
        words[position] = addresses.get(word, word)
    return words.tobytes() + data[len(words) * pointer_size :]
