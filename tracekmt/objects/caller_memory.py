"""Size of the caller's memory at an address without a described structure, such as the memory of an allocation.

A replay must allocate at least this much memory in its place.
"""

from __future__ import annotations

from tracekmt import codec
from tracekmt.calls.allocation import HEAP_SIZE
from tracekmt.trace.call import TracedCall

UNKNOWN_SIZE = 64 << 10
"""Bytes to allocate in place of memory of unknown size."""

LARGEST = 1 << 30
"""Maximum bytes to allocate for one address. A driver may back all of them with physical memory at once."""


def caller_memory_size(call: TracedCall, address: int) -> tuple[int, str | None]:
    """Return the size of the memory from an address on.

    The size is the one in the call's argument, or else the size of the mapping that the recorder found.

    Returns:
        Bytes to allocate, and the reason why they differ from the size of the recorded memory, if they do.
    """
    size = codec.look_up(call.inputs, HEAP_SIZE)
    if not isinstance(size, int) or not size:
        # The recorder stores a region without data if it needs only the size of the memory.
        sizes = (requested for start, requested, data in call.enter.regions if start == address and not data)
        size = next(sizes, None)
    if size is None:
        return UNKNOWN_SIZE, "size unknown"
    return (size, None) if size <= LARGEST else (LARGEST, f"{size:,} bytes are too many")
