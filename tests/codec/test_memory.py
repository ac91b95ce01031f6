"""Memory by address. Reading missing memory is a fault with the first missing address."""

from __future__ import annotations

import pytest

from tracekmt.codec.memory import Arena, MemoryFault, Recorded


def test_recorded_regions_may_overlap() -> None:
    memory = Recorded([(100, 8, b"abcdefgh"), (104, 2, b"ef"), (200, 4, b"wx")])
    assert memory.read(102, 3) == b"cde"
    assert memory.read(104, 4) == b"efgh"
    with pytest.raises(MemoryFault) as fault:
        memory.read(200, 4)
    assert (fault.value.address, fault.value.data) == (202, b"wx")
    with pytest.raises(MemoryFault):
        memory.read(50, 1)


def test_blocks_are_separate_and_keep_their_addresses() -> None:
    arena = Arena("x64")
    first, second = arena.place("a", 8), arena.place("b", 8)
    with pytest.raises(MemoryFault):
        arena.read(first, 9)
    with pytest.raises(MemoryFault):
        arena.write(first + 4, b"12345")
    arena.write(second, b"abcdefgh")
    assert arena.place("b", 4) == second
    assert arena.place("b", 16) != second
    assert [data for _, _, data in arena.regions()][:2] == [bytes(8), b"abcdefgh"]
