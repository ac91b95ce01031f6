"""The machine of a simulator, from its settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tracekmt.codec.parse_value import short_repr
from tracekmt.errors import UsageError
from tracekmt.ntstatus import status
from tracekmt.simulator.behaviours import ASSUMPTIONS, BEHAVIOURS
from tracekmt.simulator.injection import parse_faults
from tracekmt.simulator.model.adapter import LIST_FUNCTIONS, parse_adapter
from tracekmt.simulator.model.allocation_size import parse_size_rule
from tracekmt.simulator.model.handles import UNIQUES
from tracekmt.simulator.model.machine import Machine
from tracekmt.simulator.model.timeline import parse_timeline, parse_uint
from tracekmt.simulator.profiles import PROFILES
from tracekmt.text.units import parse_size

_ERROR_FLAGS = ("MustSucceed", "CantTrimFurther")


def create_machine(settings: Mapping[str, Any]) -> Machine:
    """Create the machine of a simulator from the keywords of `Simulator`."""
    for name in ("adapters", "drivers"):
        if not isinstance(settings.get(name, ()), (list, tuple)):
            raise UsageError(f"invalid {name}: {short_repr(settings[name])} (expected a list of tables of settings)")
    profile = settings["profile"]
    if profile not in PROFILES:
        raise UsageError(f"invalid profile: {short_repr(profile)} (expected {', '.join(PROFILES)} or a TOML file)")
    uniques = settings.get("uniques", UNIQUES)
    if not isinstance(uniques, int) or not 1 <= uniques <= UNIQUES:
        raise UsageError(f"invalid uniques: {short_repr(uniques)} (expected a number from 1 to {UNIQUES})")
    capacity = settings.get("list_capacity", {})
    if not isinstance(capacity, dict):
        raise UsageError(f"invalid list_capacity: {short_repr(capacity)} (expected a table of numbers by function)")
    for function in capacity:
        if function not in LIST_FUNCTIONS:
            raise UsageError(f"invalid list_capacity: {short_repr(function)} (expected {', '.join(LIST_FUNCTIONS)})")
    machine = Machine(
        [parse_adapter(adapter) for adapter in settings.get("adapters") or [{}]],
        None if settings.get("system_memory") is None else parse_size(settings["system_memory"]),
        uniques,
        profile=PROFILES[profile],
        drivers=[parse_size_rule(driver) for driver in settings.get("drivers", ())],
        list_capacity={name: parse_timeline("list_capacity", value, parse_uint) for name, value in capacity.items()},
    )
    paging = settings.get("paging", "success")
    if paging not in ("success", "pending"):
        raise UsageError(f"invalid paging: {short_repr(paging)} (expected success or pending)")
    machine.paging_is_pending = paging == "pending"
    machine.device_error_flag = settings.get("device_error_flag", machine.device_error_flag)
    if machine.device_error_flag not in _ERROR_FLAGS:
        flag = short_repr(machine.device_error_flag)
        raise UsageError(f"invalid device_error_flag: {flag} (expected {' or '.join(_ERROR_FLAGS)})")
    machine.assumptions = _parse_assumptions(settings.get("assumptions", {}))
    if settings.get("video_memory") is not None:
        for adapter in machine.adapters:
            adapter.video_memory = parse_size(settings["video_memory"])
    machine.faults, machine.changes = parse_faults(settings.get("faults", ()))
    machine.known = _known_state(machine, settings)
    luids = {adapter.luid for adapter in machine.adapters} | {change.new_luid for change in machine.changes}
    for change in machine.changes:
        if change.luid is not None and change.luid not in luids:
            raise UsageError(f"invalid fault: {change.text} (no adapter has the LUID {change.luid})")
    return machine


def _parse_assumptions(setting: Any) -> dict[str, str]:
    if not isinstance(setting, Mapping):
        raise UsageError(f"invalid assumptions: {short_repr(setting)} (expected a table of statuses)")
    for name in setting:
        if name not in ASSUMPTIONS and str(name).partition(": ")[0] not in BEHAVIOURS:
            raise UsageError(
                f"invalid assumption: {short_repr(name)} "
                f"(expected FUNCTION: RULE, or one of {', '.join(sorted(ASSUMPTIONS))})"
            )
    return {name: status(value).name for name, value in setting.items()}


def _known_state(machine: Machine, settings: Mapping[str, Any]) -> frozenset[str]:
    """Return the parts of the machine's state that the settings define; see `Machine.known`."""
    adapter_settings = [settings for settings in settings.get("adapters") or () if isinstance(settings, dict)]
    known: set[str] = {change.component for change in machine.changes}
    known |= {name for name in ("video_memory", "system_memory") if name in settings}
    known |= {"video_memory" for adapter in adapter_settings if "video_memory" in adapter}
    known |= {"usage" for adapter in adapter_settings if "video_memory" in adapter}
    known |= {"adapter" for adapter in adapter_settings if adapter.get("stops_after") is not None}
    return frozenset(known)
