"""The machine of a simulator, from its settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

from tracekmt.calls import full_name
from tracekmt.codec.luid import Luid
from tracekmt.codec.parse_value import short_repr
from tracekmt.errors import UsageError
from tracekmt.ntstatus import status
from tracekmt.simulator.behaviours import ASSUMPTIONS, BEHAVIOURS
from tracekmt.simulator.injection import parse_faults
from tracekmt.simulator.model.adapter import LIST_FUNCTIONS, Adapter, parse_adapter, parse_luid
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
    if not isinstance(profile, str) or profile not in PROFILES:
        raise UsageError(f"invalid profile: {short_repr(profile)} (expected {', '.join(PROFILES)} or a TOML file)")
    uniques = settings.get("uniques", UNIQUES)
    if not isinstance(uniques, int) or not 1 <= uniques <= UNIQUES:
        raise UsageError(f"invalid uniques: {short_repr(uniques)} (expected a number from 1 to {UNIQUES})")
    capacity = settings.get("list_capacity", {})
    if not isinstance(capacity, dict):
        raise UsageError(f"invalid list_capacity: {short_repr(capacity)} (expected a table of numbers by function)")
    for function in capacity:
        if full_name(function) not in LIST_FUNCTIONS:
            raise UsageError(f"invalid list_capacity: {short_repr(function)} (expected {', '.join(LIST_FUNCTIONS)})")
    machine = Machine(
        _parse_adapters(settings.get("adapters") or [{}]),
        None if settings.get("system_memory") is None else parse_size(settings["system_memory"]),
        uniques,
        profile=PROFILES[profile],
        drivers=[parse_size_rule(driver) for driver in settings.get("drivers", ())],
        list_capacity={
            full_name(name): parse_timeline("list_capacity", value, parse_uint) for name, value in capacity.items()
        },
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


def _parse_adapters(settings: Sequence[Any]) -> list[Adapter]:
    """Create adapters. Those without a LUID get the lowest ones that are free."""
    luids = [parse_luid(each["luid"]) for each in settings if isinstance(each, dict) and each.get("luid") is not None]
    luids += [each.luid for each in settings if isinstance(each, Adapter)]
    twice = next((luid for luid in luids if luids.count(luid) > 1), None)
    if twice is not None:
        raise UsageError(f"invalid adapters: two have the LUID {twice} (expected different ones)")
    free = (Luid(low, 0) for low in count(1) if Luid(low, 0) not in luids)
    return [
        parse_adapter(
            each if not isinstance(each, dict) or each.get("luid") is not None else {**each, "luid": next(free)}
        )
        for each in settings
    ]


def _parse_assumptions(setting: Any) -> dict[str, str]:
    if not isinstance(setting, Mapping):
        raise UsageError(f"invalid assumptions: {short_repr(setting)} (expected a table of statuses)")
    assumptions: dict[str, str] = {}
    for name, value in setting.items():
        function, colon, rule = str(name).partition(": ")
        if name not in ASSUMPTIONS and full_name(function) not in BEHAVIOURS:
            raise UsageError(
                f"invalid assumption: {short_repr(name)} "
                f"(expected FUNCTION: RULE, or one of {', '.join(sorted(ASSUMPTIONS))})"
            )
        assumptions[full_name(function) + colon + rule] = status(value).name
    return assumptions


def _known_state(machine: Machine, settings: Mapping[str, Any]) -> frozenset[str]:
    """Return the parts of the machine's state that the settings define; see `Machine.known`."""
    adapter_settings = [settings for settings in settings.get("adapters") or () if isinstance(settings, dict)]
    known: set[str] = {change.component for change in machine.changes}
    known |= {name for name in ("video_memory", "system_memory") if name in settings}
    known |= {"video_memory" for adapter in adapter_settings if "video_memory" in adapter}
    known |= {"usage" for adapter in adapter_settings if "video_memory" in adapter}
    known |= {"adapter" for adapter in adapter_settings if adapter.get("stops_after") is not None}
    return frozenset(known)
