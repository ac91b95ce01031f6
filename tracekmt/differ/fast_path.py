"""Two outcomes as bytes: most are the same but for what stands for something, and need not be decoded."""

from __future__ import annotations

from functools import lru_cache

from tracekmt.codec import Place
from tracekmt.codec.memory import Arena, Fault
from tracekmt.spec import serial
from tracekmt.spec.types import Abi, Call
from tracekmt.trace.call import Bound, TracedCall
from tracekmt.trace.events import Region


def same_but_for(call: TracedCall, abi: Abi, after: list[Region]) -> dict[str, Bound] | None:
    """What stands for something in an answer, by its path, if nothing else in memory is other than it was recorded;
    None if something is."""
    if call.leave is None:
        return None
    if sorted(call.leave.regions) == after:
        return {place.path: place for place in call.bound_outputs}
    live: dict[str, Bound] = {}
    found, restored = Arena.holding(abi, after), Arena.holding(abi, after)
    if found is None or restored is None:
        return None
    for place in call.bound_outputs:
        if not isinstance(place, Place) or not isinstance(place.value, int):
            return None
        try:
            value = place.unpacked(found.read(place.address, place.size))
            restored.write(place.address, place.packed(place.value))
        except Fault:
            return None
        live[place.path] = place._replace(value=value)
    return live if restored.regions() == sorted(call.leave.regions) else None


@lru_cache(maxsize=1024)
def alike(recorded: Call, ours: Call) -> bool:
    """Whether a description in a trace says of memory what ours says."""
    return bool(serial.to_data(recorded) == serial.to_data(ours))
