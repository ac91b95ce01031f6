"""The blocks of the shared memory: finds what threads publish in them, and gives them back.

The target process writes blocks while they are read, and is not trusted. The core reads them where there is one.
"""

from __future__ import annotations

from typing import Protocol, cast

from tracekmt import core
from tracekmt.record.buffer.bus_errors import address_of
from tracekmt.trace.buffer_format import BLOCK_HEADER, IDLE, Block

Fragments = list[tuple[int, bytes]]
"""Raw data found at once: fragments of events, each stretch with the number of its block."""


class Blocks(Protocol):
    """The blocks, by their numbers."""

    def lowest_active(self, numbers: list[int], /) -> int:
        """Return the lowest sequence number that is being written to one of the blocks, `IDLE` without one."""

    def new_data(self, numbers: list[int], /) -> tuple[Fragments, list[int], int | None]:
        """Copy the data of blocks that was not found before.

        Returns:
            The data, the blocks that are closed and found completely, and the first invalid length, None without.
        """

    def release(self, numbers: list[int], tail: int, /) -> None:
        """Clear blocks and append them to the queue of free blocks.

        Args:
            numbers: The blocks.
            tail: Position of the first one in the queue. The caller publishes the next position afterwards.
        """

    def close(self) -> None:
        """Use the memory no longer. The other methods fail afterwards."""


class BlocksInPython:
    """The blocks without the core.

    Args:
        memory: The shared memory.
        queue: Offset of the queue of free blocks.
        start: Offset of the first block.
        size: Bytes of a block.
        count: Number of blocks.
    """

    def __init__(self, memory: memoryview, queue: int, start: int, size: int, count: int) -> None:
        self._memory = memory
        self._words = memory.cast("Q")
        self._queue = memory[queue : queue + 4 * count].cast("I")
        self._start, self._size = start, size
        # By block: the bytes found so far.
        self._found = [0] * count

    def lowest_active(self, numbers: list[int]) -> int:
        """See `Blocks.lowest_active`."""
        return min((self._words[self._first_word(number) + Block.ACTIVE] for number in numbers), default=IDLE)

    def new_data(self, numbers: list[int]) -> tuple[Fragments, list[int], int | None]:
        """See `Blocks.new_data`."""
        words, fragments, complete, invalid = self._words, [], [], None
        for number in numbers:
            word, found = self._first_word(number), self._found[number]
            if not words[word + Block.USED]:
                continue
            # The flags are read before COMMITTED. A closed block takes no new event. Once it is also idle, the event in
            # which it was closed is complete.
            is_done = words[word + Block.CLOSED] and words[word + Block.ACTIVE] == IDLE
            committed = words[word + Block.COMMITTED]
            if not found <= committed <= self._size - BLOCK_HEADER:
                invalid = committed if invalid is None else invalid
                committed = found
            if committed > found:
                data = word * 8 + BLOCK_HEADER
                fragments.append((number, bytes(self._memory[data + found : data + committed])))
            self._found[number] = committed
            if is_done and words[word + Block.COMMITTED] <= committed:
                complete.append(number)
        return fragments, complete, invalid

    def release(self, numbers: list[int], tail: int) -> None:
        """See `Blocks.release`."""
        words = self._words
        for position, number in enumerate(numbers, tail):
            word = self._first_word(number)
            self._found[number] = 0
            words[word + Block.USED] = 0
            words[word + Block.COMMITTED] = 0
            words[word + Block.CLOSED] = 0
            words[word + Block.ACTIVE] = IDLE
            self._queue[position % len(self._queue)] = number

    def close(self) -> None:
        """See `Blocks.close`."""
        self._queue.release()
        self._words.release()

    def _first_word(self, number: int) -> int:
        return (self._start + number * self._size) // 8


def blocks_of(memory: memoryview, queue: int, start: int, size: int, count: int) -> Blocks:
    """Return the blocks of shared memory. Arguments as for `BlocksInPython`."""
    if core.CORE is None:
        return BlocksInPython(memory, queue, start, size, count)
    return cast("Blocks", core.CORE.Blocks(address_of(memory), queue, start, size, count))
