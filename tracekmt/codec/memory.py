"""Memory by address: that of a recorded event, a replay arena, or a live process."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterable
from functools import cached_property
from typing import ClassVar, Literal, Protocol

from tracekmt.spec.types import POINTER_SIZE, Abi

_FEW = 8


class MemoryFault(Exception):  # noqa: N818 (processors call it a fault)
    """Memory cannot be read or written.

    Attributes:
        address: The first such address.
        data: The bytes that were read before it.
    """

    def __init__(self, address: int, data: bytes = b"") -> None:
        super().__init__(f"no memory at 0x{address:x}")
        self.address = address
        self.data = data


class Memory(Protocol):
    """The memory that the codec and the simulator use. Both methods raise MemoryFault."""

    def read(self, address: int, size: int) -> bytes:
        """Read `size` bytes from `address`."""
        ...

    def write(self, address: int, data: bytes) -> None:
        """Write `data` to `address`."""
        ...


class Recorded:
    """Read-only memory of one event.

    Attributes:
        regions: Address, number of bytes requested, and bytes read of each copy.
    """

    def __init__(self, regions: Iterable[tuple[int, int, bytes]]) -> None:
        self.regions = tuple(regions)
        self._regions: list[tuple[int, bytes]] | None = None

    def read(self, address: int, size: int) -> bytes:
        """Read `size` bytes. A MemoryFault carries the readable beginning."""
        whole: bytes | None = None
        if len(self.regions) <= _FEW:  # most events: faster than a dictionary
            for start, _, data in self.regions:
                if start == address and (whole is None or len(data) >= len(whole)):
                    whole = data
        else:
            whole = self._longest.get(address)
        if whole is not None and len(whole) >= size:
            return whole[:size]
        if self._regions is None:
            self._regions = sorted(self._longest.items())
            self._starts = [address for address, _ in self._regions]
        best = b""
        # Regions may overlap, so a longer one may begin before the nearest. An event has only a few regions.
        for index in range(bisect_right(self._starts, address) - 1, -1, -1):
            start, data = self._regions[index]
            part = data[address - start : address - start + size]
            if len(part) == size:
                return part
            best = max(best, part, key=len)
        raise MemoryFault(address + len(best), best)

    @cached_property
    def _longest(self) -> dict[int, bytes]:
        """The longest copy of each address. The later of two equal ones wins, because the recorder made it last."""
        longest: dict[int, bytes] = {}
        for start, _, data in self.regions:
            if start not in longest or len(data) >= len(longest[start]):
                longest[start] = data
        return longest

    def write(self, address: int, data: bytes) -> None:
        """Refuse to write: a recording does not change."""
        raise MemoryFault(address)


class Arena:
    """Memory for the arguments of calls, at addresses that the arena chooses.

    Blocks are separated, so reading past the end of one is a fault and does not reach its neighbour.

    Args:
        abi: ABI of the calls.
        region: Address range of the arena: 0 for built traces, 1 for replay targets.
    """

    # Programs do not use these addresses. Built traces (0) and targets (1) have different ones, because an unreadable
    # address of a recording must not point into the arena that its replay uses.
    _BASE: ClassVar[dict[Abi, tuple[int, int]]] = {
        "x64": (0x7B0000000000, 0x7C0000000000),
        "wsl": (0x7B0000000000, 0x7C0000000000),
        "x86": (0xD0000000, 0xE0000000),
    }

    def __init__(self, abi: Abi, region: Literal[0, 1] = 0) -> None:
        self.abi: Abi = abi
        self.pointer_size = POINTER_SIZE[abi]
        self._next = self._BASE[abi][region]
        self._starts: list[int] = []
        self._blocks: dict[int, bytearray] = {}
        self._places: dict[str, tuple[int, int]] = {}

    @classmethod
    def holding(cls, abi: Abi, regions: Iterable[tuple[int, int, bytes]]) -> Arena | None:
        """Create an arena with the memory of an event, at its recorded addresses.

        Regions that were completely unreadable stay unreadable. Return None if a region was read in part, or if two
        regions overlap.
        """
        arena = cls(abi)
        end = 0
        for address, size, data in sorted(regions):
            if size and not data:
                continue
            if len(data) != size or address < end:
                return None
            arena._starts.append(address)
            arena._blocks[address] = bytearray(data)
            end = address + size
        return arena

    def place(self, path: str, size: int) -> int:
        """Allocate `size` zeroed bytes for the value at `path`, and return their address.

        A path gets its previous block again, with the bytes in it, if that is large enough.
        """
        if path in self._places and self._places[path][1] >= size:
            return self._places[path][0]
        block = bytearray(max(size, 1))
        address = self.locate(block)
        insort(self._starts, address)
        self._blocks[address] = block
        self._places[path] = (address, size)
        return address

    def locate(self, block: bytearray) -> int:
        """Return the address for a new block."""
        address = self._next
        self.reserve((len(block) + 31) & ~15)  # at least 16 bytes to the next block
        return address

    @property
    def next_address(self) -> int:
        """The address of the next block."""
        return self._next

    def reserve(self, size: int) -> None:
        """Leave bytes out before the next block."""
        self._next += size

    def read(self, address: int, size: int) -> bytes:
        """Read `size` bytes of one block."""
        whole = self._blocks.get(address)
        if whole and len(whole) >= size:  # most reads
            return bytes(whole[:size])
        block, offset = self._find(address)
        data = bytes(block[offset : offset + size])
        if len(data) < size:
            raise MemoryFault(address + len(data), data)
        return data

    def write(self, address: int, data: bytes) -> None:
        """Overwrite part of one block."""
        block, offset = self._find(address)
        if offset + len(data) > len(block):
            raise MemoryFault(address - offset + len(block))
        block[offset : offset + len(data)] = data

    def regions(self) -> list[tuple[int, int, bytes]]:
        """Return all blocks as the regions of an event."""
        return [(start, len(self._blocks[start]), bytes(self._blocks[start])) for start in self._starts]

    def _find(self, address: int) -> tuple[bytearray, int]:
        index = bisect_right(self._starts, address) - 1
        start = self._starts[index] if index >= 0 else 0
        if index < 0 or address - start >= len(self._blocks[start]):
            raise MemoryFault(address)
        return self._blocks[start], address - start
