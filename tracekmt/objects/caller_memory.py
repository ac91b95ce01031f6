"""How much of the program's memory lies behind an address that no description follows: what an allocation is to lie on.

Whoever makes a recorded call again has to give it as much.
"""

from __future__ import annotations

from tracekmt import codec
from tracekmt.calls.allocation import HEAP_SIZE
from tracekmt.trace.call import TracedCall

UNKNOWN_SIZE = 64 << 10
"""Bytes that stand for memory whose size nobody told."""

LARGEST = 1 << 30
"""Bytes that one address may stand for: a driver may have all of it in place at once."""


def caller_memory_size(call: TracedCall, address: int) -> tuple[int, str | None]:
    """Bytes to give in place of the memory from an address on, and why these are not all that was there: as many as
    the call says, else as the recorder saw mapped."""
    stated = codec.look_up(call.inputs, HEAP_SIZE)
    if not isinstance(stated, int) or not stated:
        # A region of which nothing was read: a copy was never wanted, only how much there is.
        found = (wanted for start, wanted, data in call.enter.regions if start == address and not data)
        stated = next(found, None)
    if stated is None:
        return UNKNOWN_SIZE, "size unknown"
    return (stated, None) if stated <= LARGEST else (LARGEST, f"{stated:,} bytes are too many")
