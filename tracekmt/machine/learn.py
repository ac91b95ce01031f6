"""Learns the settings of the machine that a trace was recorded on, as far as its calls tell them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from weakref import WeakKeyDictionary

from tracekmt.calls.adapter import KMTQUERYADAPTERINFOTYPE
from tracekmt.codec.luid import Luid
from tracekmt.codec.memory import MemoryFault, Recorded
from tracekmt.plural import plural
from tracekmt.simulator.model.timeline import compress
from tracekmt.simulator.rules.adapter import KMTQAITYPE_DRIVERVERSION, list_key
from tracekmt.simulator.rules.video_memory import LOCAL, LOCAL_NAME, NON_LOCAL, NON_LOCAL_NAME
from tracekmt.spec.layout import lay_out
from tracekmt.spec.types import CallSpec
from tracekmt.text.units import format_size
from tracekmt.trace.call import TracedCall
from tracekmt.trace.reader import Trace

_GROUPS = {LOCAL: LOCAL_NAME, NON_LOCAL: NON_LOCAL_NAME}
_INFO_NAMES = {number: name for name, number in KMTQUERYADAPTERINFOTYPE.members}
_OPENED_BY = {
    "D3DKMTOpenAdapterFromGdiDisplayName": ("displays", "DeviceName"),
    "D3DKMTOpenAdapterFromHdc": ("device_contexts", "hDc"),
    "D3DKMTOpenAdapterFromDeviceName": ("device_names", "pDeviceName"),
}

Entries = list[tuple[int, Any]]


class _Learner:
    """Collects what the calls of a trace tell about the machine, with the index of each call."""

    def __init__(self) -> None:
        # LUIDs in the order in which lists name them.
        self.luids: dict[Luid, None] = {}
        self._by_handle: dict[int, Luid] = {}
        self._base = 0
        # What opened an adapter, by setting and key: the LUID and the video present source.
        self._opened: dict[tuple[str, str], list[tuple[int, tuple[Luid, int]]]] = defaultdict(list)
        self._lists: dict[str, list[tuple[int, set[Luid]]]] = defaultdict(list)
        # Answers by the LUID of the adapter, None for one that is older than the trace, and by setting and key.
        self._answers: dict[Luid | None, dict[tuple[str, str | None], Entries]] = defaultdict(lambda: defaultdict(list))
        self._capacities: dict[str, Entries] = defaultdict(list)

    def begin_trace(self, base: int) -> None:
        """Begin a trace, whose handles are its own. `base` is added to the indexes of its calls."""
        self._by_handle, self._base = {}, base

    def learn_opening(self, call: TracedCall, outputs: Mapping[str, Any]) -> None:
        """Learn from a call that opened an adapter."""
        luid = Luid.from_value(outputs.get("AdapterLuid"))
        if luid is None:
            return
        self._add(luid, outputs.get("hAdapter"))
        setting, field = _OPENED_BY.get(call.name, (None, ""))
        name = outputs.get(field)
        if setting is not None and isinstance(name, (str, int)):
            key = hex(name) if isinstance(name, int) else name
            self._opened[setting, key].append((self._base + call.index, (luid, _number(outputs.get("VidPnSourceId")))))

    def learn_list(self, call: TracedCall, outputs: Mapping[str, Any]) -> None:
        """Learn from a list of adapters, or from the number of its elements."""
        elements = outputs.get("pAdapters", outputs.get("Adapters"))
        if not isinstance(elements, list):
            self._capacities[call.name].append((self._base + call.index, _number(outputs.get("NumAdapters"))))
            return
        listed: set[Luid] = set()
        for element in elements:
            luid = Luid.from_value(element.get("AdapterLuid")) if isinstance(element, dict) else None
            if luid is None:
                continue
            listed.add(luid)
            self._add(luid, element.get("hAdapter"))
            for setting, field in (
                ("sources", "NumOfSources"),
                ("precise_present_regions", "bPrecisePresentRegionsPreferred"),
            ):
                self._answers[luid][setting, None].append((self._base + call.index, _number(element.get(field))))
        self._lists[list_key(call.name, _number(outputs.get("Filter")))].append((self._base + call.index, listed))

    def learn_info(self, call: TracedCall, outputs: Mapping[str, Any]) -> None:
        """Learn from an answer of D3DKMTQueryAdapterInfo."""
        info_type, data = _number(outputs.get("Type")), _answer_bytes(call)
        if data is None:
            return
        answers = self._answers[self._adapter_of(outputs)]
        answers["info", _INFO_NAMES.get(info_type, str(info_type))].append((self._base + call.index, data.hex()))
        if info_type == KMTQAITYPE_DRIVERVERSION and len(data) >= 4:
            answers["wddm", None].append((self._base + call.index, int.from_bytes(data[:4], "little")))

    def learn_budget(self, call: TracedCall, outputs: Mapping[str, Any]) -> None:
        """Learn from a query of video memory."""
        group = _GROUPS.get(_number(outputs.get("MemorySegmentGroup")))
        names = ("Budget", "AvailableForReservation", "CurrentReservation")
        budget = [_number(outputs.get(name)) for name in names]
        if group is not None:
            self._answers[self._adapter_of(outputs)]["budgets", group].append((self._base + call.index, budget))

    def _add(self, luid: Luid, handle: Any) -> None:
        self.luids[luid] = None
        self._by_handle[_number(handle)] = luid

    def _adapter_of(self, outputs: Mapping[str, Any]) -> Luid | None:
        return self._by_handle.get(_number(outputs.get("hAdapter")))

    def settings(self) -> dict[str, Any]:
        """Return the keywords of `Simulator`."""
        adapters = [{"luid": list(luid), **self._adapter_settings(luid)} for luid in self.luids]
        ambient = _as_settings(self._answers.get(None, {}))
        if ambient and len(adapters) <= 1:  # with several adapters, which of them answered is unknown
            adapters = [{**ambient, **adapter} for adapter in adapters] or [ambient]
        settings: dict[str, Any] = {"adapters": adapters} if adapters else {}
        capacity = {name: _timeline(entries) for name, entries in self._capacities.items()}
        return {**settings, "list_capacity": capacity} if capacity else settings

    def _adapter_settings(self, luid: Luid) -> dict[str, Any]:
        settings = _as_settings(self._answers.get(luid, {}))
        for (setting, key), entries in self._opened.items():
            absent = False if setting == "device_names" else None
            mine = [
                (index, absent if other != luid else True if setting == "device_names" else source)
                for index, (other, source) in entries
            ]
            if any(value is not absent for _, value in mine):
                settings.setdefault(setting, {})[key] = _timeline(mine)
        for key, lists in self._lists.items():
            settings.setdefault("listed", {})[key] = _timeline([(index, luid in luids) for index, luids in lists])
        return settings


def _as_settings(answers: Mapping[tuple[str, str | None], Entries]) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    for (setting, key), entries in answers.items():
        if setting == "wddm":
            settings[setting] = entries[-1][1]
        elif key is None:
            settings[setting] = _timeline(entries)
        else:
            settings.setdefault(setting, {})[key] = [list(entry) for entry in compress(entries)]
    return settings


def _timeline(entries: Entries) -> Any:
    """Return the setting of a timeline."""
    kept = compress(entries)
    return kept[0][1] if len(kept) == 1 else [list(entry) for entry in kept]


def _number(value: Any) -> int:
    return int(value) if isinstance(value, int) else 0


def _answer_bytes(call: TracedCall) -> bytes | None:
    """Return the bytes that D3DKMTQueryAdapterInfo returned, None if they were not recorded."""
    if call.leave is None or not isinstance(call.inputs, dict):
        return None
    address = _pointer(call, "pPrivateDriverData")
    try:
        return Recorded(call.leave.regions).read(address, _number(call.inputs.get("PrivateDriverDataSize")))
    except MemoryFault:
        return None


def _pointer(call: TracedCall, name: str) -> int:
    """Return a pointer in the argument of a call, 0 if it was not recorded."""
    slot = lay_out(call.spec.argument, call.abi).slot(name)
    try:
        data = Recorded(call.enter.regions).read(call.enter.arguments[0] + slot.offset, slot.size)
    except MemoryFault:
        return 0
    return int.from_bytes(data, "little")


_LEARNED: dict[str, Callable[[_Learner, TracedCall, Mapping[str, Any]], None]] = {
    "D3DKMTOpenAdapterFromLuid": _Learner.learn_opening,
    **dict.fromkeys(_OPENED_BY, _Learner.learn_opening),
    **dict.fromkeys(("D3DKMTEnumAdapters", "D3DKMTEnumAdapters2", "D3DKMTEnumAdapters3"), _Learner.learn_list),
    "D3DKMTQueryAdapterInfo": _Learner.learn_info,
    "D3DKMTQueryVideoMemoryInfo": _Learner.learn_budget,
}


TRACE_BASE = 1 << 32
"""Distance between the indexes of several traces of one session in the timelines of their machine."""


def learn_machine(*traces: Trace) -> dict[str, Any]:
    """Return the settings of the machine that the successful calls of traces tell, as keywords of `Simulator`.

    Args:
        traces: Traces of one session. The index of a call counts from `TRACE_BASE` times the position of its trace.
    """
    if len(traces) == 1 and traces[0] in _learned:
        return _learned[traces[0]]
    learner = _Learner()
    for number, trace in enumerate(traces):
        learner.begin_trace(number * TRACE_BASE)
        _learn_trace(learner, trace)
    settings = learner.settings()
    if len(traces) == 1:
        _learned[traces[0]] = settings
    return settings


_learned: WeakKeyDictionary[Trace, dict[str, Any]] = WeakKeyDictionary()
"""Settings of each open trace. A replay needs them for the simulator and for its notes."""


def describes_machine(trace: Trace) -> bool:
    """Return True if the header of a trace describes the adapters, so that the calls tell nothing new."""
    adapters = trace.header.machine.get("adapters")
    return isinstance(adapters, list) and bool(adapters) and all(map(_has_luid, adapters))


def _has_luid(adapter: Any) -> bool:
    luid = adapter.get("luid") if isinstance(adapter, dict) else None
    return isinstance(luid, list) and len(luid) == 2 and all(isinstance(part, int) for part in luid)


def _learn_trace(learner: _Learner, trace: Trace) -> None:
    learned = {spec_id: _LEARNED[spec.name] for spec_id, spec in trace.specs.items() if spec.name in _LEARNED}
    luid_fields = {spec_id: names for spec_id, spec in trace.specs.items() if (names := _luid_fields(spec))}
    for index, spec_id in trace.spec_ids() if learned or luid_fields else ():
        if spec_id not in learned and spec_id not in luid_fields:
            continue
        call = trace[index]
        outputs = call.outputs if call.succeeded else None
        if not isinstance(outputs, dict):
            continue
        if spec_id in learned:
            learned[spec_id](learner, call, outputs)
        for luid in [Luid.from_value(outputs.get(name)) for name in luid_fields.get(spec_id, ())]:
            if luid is not None:
                learner.luids[luid] = None


def _luid_fields(spec: CallSpec) -> list[str]:
    return [field.name for field in spec.argument.fields() if getattr(field.type, "name", None) == "LUID"]


def luids_of(machine: Mapping[str, Any]) -> list[Luid]:
    """Return the LUIDs of the adapters of a learned machine."""
    return [Luid(*adapter["luid"]) for adapter in machine.get("adapters", []) if "luid" in adapter]


def machine_lines(machine: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each adapter of a learned machine that its trace tells more about than the LUID."""
    for adapter in machine.get("adapters", []):
        parts = [*adapter.get("displays", {})]
        if "sources" in adapter:
            parts.append(f"sources {_over_time(adapter['sources'])}")
        if "wddm" in adapter:
            parts.append(f"WDDM {adapter['wddm'] / 1000:.1f}")
        for group, rows in adapter.get("budgets", {}).items():
            changes = f" ({len(rows)} values)" if len(rows) > 1 else ""
            parts.append(f"{group} budget {format_size(rows[0][1][0])}{changes}")
        if adapter.get("info"):
            parts.append(f"{plural(len(adapter['info']), 'answer')} of D3DKMTQueryAdapterInfo")
        if parts:
            luid = f"adapter {Luid(*adapter['luid'])}" if "luid" in adapter else "adapter"
            yield f"{luid}: {', '.join(parts)}"


def _over_time(setting: Any) -> str:
    return ", then ".join(str(value) for _, value in setting) if isinstance(setting, list) else str(setting)
