"""Compares two outcomes as bytes. Most differ only in bound values, and need not be decoded."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from tracekmt import core
from tracekmt.codec import BoundLocation
from tracekmt.codec.memory import Arena, MemoryFault
from tracekmt.spec import serial
from tracekmt.spec.types import Abi, CallSpec
from tracekmt.trace.call import BoundValue, TracedCall
from tracekmt.trace.events import Region

_U64 = (1 << 64) - 1


def unchanged_except_bound_values(call: TracedCall, abi: Abi, after: list[Region]) -> dict[str, BoundValue] | None:
    """Return the bound values of an outcome by path, if the memory equals the recorded memory otherwise.

    Args:
        call: The recorded call.
        abi: ABI of `after`.
        after: Memory of the argument after the call on the other side, sorted.

    Returns:
        None if other bytes differ, or if this cannot be determined without decoding.
    """
    if call.leave is None:
        return None
    found = _compare_in_core(call, after)
    if found is not NotImplemented:
        return found  # type: ignore[no-any-return]
    if sorted(call.leave.regions) == after:
        return {bound.path: bound for bound in call.bound_outputs}
    live: dict[str, BoundValue] = {}
    replayed, restored = Arena.holding(abi, after), Arena.holding(abi, after)
    if replayed is None or restored is None:
        return None
    for location in call.bound_outputs:
        if not isinstance(location, BoundLocation) or not isinstance(location.value, int):
            return None
        try:
            value = location.unpacked(replayed.read(location.address, location.size))
            restored.write(location.address, location.packed(location.value))
        except MemoryFault:
            return None
        live[location.path] = location._replace(value=value)
    return live if restored.regions() == sorted(call.leave.regions) else None


def _compare_in_core(call: TracedCall, after: list[Region]) -> Any:
    """Compare outcomes in the core. Return NotImplemented for what the core leaves to Python."""
    if core.CORE is None or call.leave is None:
        return NotImplemented
    bound_outputs = call.bound_outputs
    found = core.CORE.compare_regions(call.leave.regions, after, list(bound_outputs))
    if found is True:
        return {bound.path: bound for bound in bound_outputs}
    if found is None or found is NotImplemented:
        return found
    return {
        bound.path: bound if value == bound.value & _U64 else bound.with_number(value)
        for bound, value in zip(bound_outputs, found, strict=True)
        if isinstance(bound, BoundLocation)
    }


@lru_cache(maxsize=1024)
def same_spec(recorded: CallSpec, current: CallSpec) -> bool:
    """Return True if the description in a trace equals another description."""
    return bool(serial.to_data(recorded) == serial.to_data(current))
