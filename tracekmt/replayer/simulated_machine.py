"""A simulator of the machine that a trace was recorded on, with the settings of the user on top."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from tracekmt.codec.luid import Luid
from tracekmt.errors import TraceError, UsageError
from tracekmt.machine.learn import describes_machine, learn_machine
from tracekmt.simulator import Simulator
from tracekmt.simulator.machine_file import profile_settings
from tracekmt.trace.reader import Trace


def simulator_for(*traces: Trace, **settings: Any) -> Simulator:
    """Create a simulator of the machine that traces of one session were recorded on.

    The header of the first trace describes the machine, or else the calls do.

    Args:
        traces: The traces.
        settings: Settings that replace those of the trace. None is the default.

    Raises:
        UsageError: A setting is invalid.
        TraceError: A setting in the header of the first trace is invalid.
    """
    settings = {name: value for name, value in settings.items() if value is not None}
    chosen = {**profile_settings(settings.pop("profile", "windows")), **settings}
    machine = {} if all(map(describes_machine, traces)) else learn_machine(*traces)
    for layer in (_header_settings(traces[0]), chosen):
        merged = dict(layer)
        if isinstance(merged.get("adapters"), (list, tuple)):
            merged["adapters"] = _merge_adapters(machine.get("adapters", []), merged["adapters"])
        machine = {**machine, **merged}
    return Simulator(**machine)


_HEADER_SETTINGS = ("adapters", "system_memory", "list_capacity")


def _header_settings(trace: Trace) -> dict[str, Any]:
    """Return the settings of a simulator that the header of a trace has."""
    machine = trace.header.machine
    settings = {name: machine[name] for name in _HEADER_SETTINGS if name in machine}
    try:
        Simulator(**settings)
    except UsageError as error:
        raise TraceError(f"{trace.path}: header: {error}") from None
    return settings


def _merge_adapters(learned: list[Any], chosen: Sequence[Any]) -> list[Any]:
    """Return the chosen adapters, with the learned settings that they do not have.

    A chosen adapter gets the settings of the learned one with the same LUID, or of a learned one that no other has.
    """
    if not chosen:
        return learned
    by_luid = {tuple(adapter.get("luid", (1, 0))): adapter for adapter in learned}
    luids = [_luid_of(adapter) for adapter in chosen]
    free = [adapter for luid, adapter in by_luid.items() if luid not in luids]
    merged = []
    for adapter, luid in zip(chosen, luids, strict=True):
        if not isinstance(adapter, dict):
            merged.append(adapter)
            continue
        base = by_luid.get(luid) if luid is not None else None
        merged.append({**(base or (free.pop(0) if free else {})), **adapter})
    return merged


def _luid_of(adapter: Any) -> tuple[int, ...] | None:
    """Return the LUID of an adapter of a header. None without a valid one, which the simulator then refuses."""
    luid = adapter.get("luid") if isinstance(adapter, dict) else None
    return tuple(luid) if isinstance(luid, (list, tuple)) and all(isinstance(part, int) for part in luid) else None


def pair_luids(trace_luids: Sequence[Luid], simulator: Simulator) -> Iterable[tuple[Luid, Luid]]:
    """Pair each LUID of a trace without a simulated adapter with a simulated adapter that the trace does not use."""
    free = [adapter.luid for adapter in simulator.machine.adapters if adapter.luid not in trace_luids]
    return zip([luid for luid in trace_luids if simulator.machine.adapter(luid) is None], free, strict=False)
