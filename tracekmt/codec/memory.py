"""Memory by address, wherever it is: what a recorder copied, what a replay laid out, or a running process's own."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterable
from typing import ClassVar, Literal, Protocol

from tracekmt.spec.types import POINTER_SIZE, Abi


class MemoryFault(Exception):  # noqa: N818 (what processors call it)
    """Memory at `address` that cannot be read or written; `data` is what could be read before it."""

    def __init__(self, address: int, data: bytes = b"") -> None:
        super().__init__(f"no memory at 0x{address:x}")
        self.address = address
        self.data = data


class Memory(Protocol):
    """What the codec and the simulator need of memory. Both raise MemoryFault."""

    def read(self, address: int, size: int) -> bytes:
        """`size` bytes from `address`."""
        ...

    def write(self, address: int, data: bytes) -> None:
        """Put `data` at `address`."""
        ...


class Recorded:
    """The memory of one event: regions of (address, bytes wanted, bytes read). It is only read."""

    def __init__(self, regions: Iterable[tuple[int, int, bytes]]) -> None:
        # Of two copies of one address the later stands: it is what the walker saw last.
        self._longest: dict[int, bytes] = {}
        self._regions: list[tuple[int, bytes]] | None = None
        for address, _, data in regions:
            if address not in self._longest or len(data) >= len(self._longest[address]):
                self._longest[address] = data

    def read(self, address: int, size: int) -> bytes:
        """`size` bytes; MemoryFault with the readable beginning where fewer were recorded."""
        whole = self._longest.get(address)
        if whole is not None and len(whole) >= size:
            return whole[:size]
        if self._regions is None:
            self._regions = sorted(self._longest.items())
            self._starts = [address for address, _ in self._regions]
        best = b""
        # Regions may overlap, so a longer one may begin before the nearest; they are few, and sorted.
        for index in range(bisect_right(self._starts, address) - 1, -1, -1):
            start, data = self._regions[index]
            found = data[address - start : address - start + size]
            if len(found) == size:
                return found
            best = max(best, found, key=len)
        raise MemoryFault(address + len(best), best)

    def write(self, address: int, data: bytes) -> None:
        """A recording does not change."""
        raise MemoryFault(address)


class Arena:
    """Memory that arguments are laid out in, at addresses of its own. Each placement is apart from the others, so
    that reading past the end of one is a fault and not its neighbour."""

    # Outside what programs use, and apart for traces made by hand (0) and for targets (1): an unreadable address of a
    # recording must not point into the arena that the recording is laid out in again.
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
        """An arena that is what an event holds, at the addresses that it had; None where some of it could not be read
        to its end, or two regions overlap. Where nothing could be read, nothing is."""
        arena = cls(abi)
        end = 0
        for address, wanted, data in sorted(regions):
            if wanted and not data:
                continue
            if len(data) != wanted or address < end:
                return None
            arena._starts.append(address)
            arena._blocks[address] = bytearray(data)
            end = address + wanted
        return arena

    def place(self, path: str, size: int) -> int:
        """The address of `size` zeroed bytes for the value at `path`. The same path has the same place again, if it
        still fits, with the bytes that are there."""
        if path in self._places and self._places[path][1] >= size:
            return self._places[path][0]
        block = bytearray(max(size, 1))
        address = self.locate(block)
        insort(self._starts, address)
        self._blocks[address] = block
        self._places[path] = (address, size)
        return address

    def locate(self, block: bytearray) -> int:
        """The address that a new placement gets."""
        address = self._next
        self._next += (len(block) + 31) & ~15  # 16 bytes at least to the next one
        return address

    def read(self, address: int, size: int) -> bytes:
        """`size` bytes of one placement."""
        block, offset = self._find(address)
        data = bytes(block[offset : offset + size])
        if len(data) < size:
            raise MemoryFault(address + len(data), data)
        return data

    def write(self, address: int, data: bytes) -> None:
        """Overwrite part of one placement."""
        block, offset = self._find(address)
        if offset + len(data) > len(block):
            raise MemoryFault(address - offset + len(block))
        block[offset : offset + len(data)] = data

    def regions(self) -> list[tuple[int, int, bytes]]:
        """Everything placed, as an event holds it."""
        return [(start, len(self._blocks[start]), bytes(self._blocks[start])) for start in self._starts]

    def _find(self, address: int) -> tuple[bytearray, int]:
        index = bisect_right(self._starts, address) - 1
        start = self._starts[index] if index >= 0 else 0
        if index < 0 or address - start >= len(self._blocks[start]):
            raise MemoryFault(address)
        return self._blocks[start], address - start
