"""Two outcomes as bytes: most are the same but for what stands for something, and need not be decoded."""

from __future__ import annotations

from functools import lru_cache

from tracekmt.codec import BoundLocation
from tracekmt.codec.memory import Arena, MemoryFault
from tracekmt.spec import serial
from tracekmt.spec.types import Abi, CallSpec
from tracekmt.trace.call import BoundValue, TracedCall
from tracekmt.trace.events import Region


def unchanged_except_bound_values(call: TracedCall, abi: Abi, after: list[Region]) -> dict[str, BoundValue] | None:
    """What stands for something in an answer, by its path, if nothing else in memory is other than it was recorded;
    None if something is."""
    if call.leave is None:
        return None
    if sorted(call.leave.regions) == after:
        return {place.path: place for place in call.bound_outputs}
    live: dict[str, BoundValue] = {}
    found, restored = Arena.holding(abi, after), Arena.holding(abi, after)
    if found is None or restored is None:
        return None
    for place in call.bound_outputs:
        if not isinstance(place, BoundLocation) or not isinstance(place.value, int):
            return None
        try:
            value = place.unpacked(found.read(place.address, place.size))
            restored.write(place.address, place.packed(place.value))
        except MemoryFault:
            return None
        live[place.path] = place._replace(value=value)
    return live if restored.regions() == sorted(call.leave.regions) else None


@lru_cache(maxsize=1024)
def same_spec(recorded: CallSpec, ours: CallSpec) -> bool:
    """Whether a description in a trace says of memory what ours says."""
    return bool(serial.to_data(recorded) == serial.to_data(ours))
