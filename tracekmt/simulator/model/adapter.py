"""Graphics adapters of the machine, and their settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tracekmt.calls import full_name
from tracekmt.calls.adapter import KMTQUERYADAPTERINFOTYPE
from tracekmt.codec.luid import Luid
from tracekmt.codec.parse_value import short_repr
from tracekmt.errors import UsageError
from tracekmt.simulator.model.names import canonical_name
from tracekmt.simulator.model.timeline import Timeline, constant, parse_timeline, parse_uint
from tracekmt.text.units import parse_size

LIST_FUNCTIONS = ("D3DKMTEnumAdapters", "D3DKMTEnumAdapters2", "D3DKMTEnumAdapters3")
SEGMENT_GROUPS = ("local", "non-local")
"""Names of the segment groups in settings, by their numbers."""

FIRST_LUID = Luid(1, 0)
"""LUID of an adapter whose settings have none."""

DISPLAY, DEVICE = r"\\.\DISPLAY1", r"\\?\PCI#VEN_0000&DEV_0000#0#{1ca05180-a699-450a-9a0c-de4fbe3ddd89}"


class Budget(NamedTuple):
    """Answer of a query of video memory, in bytes.

    Attributes:
        budget: Memory that the process may use.
        available: Memory that it may reserve.
        reserved: Memory that it has reserved.
    """

    budget: int
    available: int
    reserved: int


@dataclass
class Adapter:
    """A graphics adapter of the machine.

    Attributes:
        luid: Locally unique identifier.
        name: GDI name of its display.
        device_name: Path of its device interface, for D3DKMTOpenAdapterFromDeviceName.
        video_memory: Budget of dedicated memory in bytes, for resident allocations since WDDM 2 and for all allocations
            before. None is unlimited.
        shared_memory: Budget of the machine's memory that it may use, in bytes. None is unlimited.
        wddm: Version of the driver model times 1000, as D3DKMT_DRIVERVERSION counts.
        stops_after: Number of calls that it answers before it stops, as after a reset or an unplug. None is never.
        displays: Video present source of each display, by its GDI name. None while the display is on no source.
        device_names: False while the path of a device interface does not open the adapter, by the path.
        device_contexts: Video present source of each device context, by its handle. None while it is on no source.
        sources: NumOfSources in lists of adapters.
        precise_present_regions: bPrecisePresentRegionsPreferred in lists of adapters.
        listed: False while a function does not list the adapter, by the function's name.
        budgets: Answers of queries of video memory, by the name of the segment group.
        info: Answers of D3DKMTQueryAdapterInfo, by type.
        absent: True while no call can open the adapter.
        video_memory_used: Bytes of dedicated memory in use.
        shared_memory_used: Bytes of the machine's memory in use.
        resident_video_memory: Bytes of dedicated memory of the allocations on residency lists, without offered ones.
        resident_shared_memory: Bytes of the machine's memory of these allocations.
        offered: Offered memory whose contents were not discarded, each with its priority, the lowest first.
        call_count: Number of calls answered so far.
        owners: Devices that own video present sources, or did so before their destruction.
    """

    luid: Luid = FIRST_LUID
    name: str = DISPLAY
    device_name: str = DEVICE
    video_memory: int | None = None
    shared_memory: int | None = None
    wddm: int = 3000
    stops_after: int | None = None
    displays: Mapping[str, Timeline[int | None]] = field(default_factory=dict)
    device_names: Mapping[str, Timeline[bool]] = field(default_factory=dict)
    device_contexts: Mapping[int, Timeline[int | None]] = field(default_factory=dict)
    sources: Timeline[int] = field(default_factory=lambda: constant(1))
    precise_present_regions: Timeline[int] = field(default_factory=lambda: constant(0))
    listed: Mapping[str, Timeline[bool]] = field(default_factory=dict)
    budgets: Mapping[str, Timeline[Budget]] = field(default_factory=dict)
    info: Mapping[int, Timeline[bytes]] = field(default_factory=dict)
    absent: bool = field(default=False, init=False)
    video_memory_used: int = field(default=0, init=False)
    shared_memory_used: int = field(default=0, init=False)
    resident_video_memory: int = field(default=0, init=False)
    resident_shared_memory: int = field(default=0, init=False)
    offered: list[tuple[int, Any]] = field(default_factory=list, init=False)
    call_count: int = field(default=0, init=False)
    owners: list[Any] = field(default_factory=list, init=False)

    @property
    def stopped(self) -> bool:
        """True if the adapter has stopped."""
        return self.stops_after is not None and self.call_count >= self.stops_after

    def stop(self) -> None:
        """Stop the adapter now."""
        self.stops_after = 0

    def source_of_display(self, name: str, call: int) -> int | None:
        """Return the video present source of a display at a call, None if the display is not on this adapter."""
        name = canonical_name(name)
        if not self.displays:
            return 0 if name == canonical_name(self.name) else None
        sources = (source.at(call) for display, source in self.displays.items() if canonical_name(display) == name)
        return next((source for source in sources if source is not None), None)

    def has_device_name(self, path: str, call: int) -> bool:
        """Return True if a device interface opens the adapter at a call."""
        path = canonical_name(path)
        if not self.device_names:
            return path == canonical_name(self.device_name)
        return any(known.at(call) for name, known in self.device_names.items() if canonical_name(name) == path)

    def is_listed(self, function: str, call: int) -> bool:
        """Return True if a function lists the adapter at a call."""
        return self.listed[function].at(call) if function in self.listed else not self.absent

    def settings(self) -> dict[str, Any]:
        """Return the settings from which `parse_adapter` creates an equal adapter. Defaults of answers are left out."""
        settings: dict[str, Any] = {
            "luid": list(self.luid),
            "name": self.name,
            "device_name": self.device_name,
            "video_memory": self.video_memory,
            "shared_memory": self.shared_memory,
            "wddm": self.wddm,
            "stops_after": self.stops_after,
        }
        default = Adapter()
        for name, form in _ANSWERS.items():
            value = getattr(self, name)
            if isinstance(value, Timeline):
                setting = form.write(value)
                if setting != form.write(getattr(default, name)):
                    settings[name] = setting
            elif value:
                settings[name] = {form.write_key(key): form.write(timeline) for key, timeline in value.items()}
        return settings


class _Form(NamedTuple):
    """Form of the setting of an answer.

    Attributes:
        read_value: Returns the value of its setting.
        write: Returns the setting of a timeline.
        read_key: Returns the key of its setting, for an answer by key. None for a single answer.
        write_key: Returns the setting of a key.
    """

    read_value: Callable[[Any], Any]
    write: Callable[[Timeline[Any]], Any] = Timeline.to_setting
    read_key: Callable[[str], Any] | None = None
    write_key: Callable[[Any], str] = str


def _source(setting: Any) -> int | None:
    """Return a video present source. No source is None, or -1 because TOML has no null."""
    return None if setting is None or setting == -1 else parse_uint(setting)


def _boolean(setting: Any) -> bool:
    if not isinstance(setting, bool):
        raise TypeError
    return setting


def _budget(setting: Any) -> Budget:
    budget, available, reserved = (parse_uint(parse_size(size), 64) for size in setting)
    return Budget(budget, available, reserved)


def _list(key: str) -> str:
    """Return the name of a function that lists adapters, with its filter if it has one."""
    function, _, filter_ = key.partition(" ")
    function = full_name(function)
    if function not in LIST_FUNCTIONS or (filter_ and not 0 < int(filter_, 16) < 1 << 64):
        raise ValueError
    return f"{function} {filter_}" if filter_ else function


def _segment_group(key: str) -> str:
    if key not in SEGMENT_GROUPS:
        raise ValueError
    return key


def _write_rows(write: Callable[[Any], Any]) -> Callable[[Timeline[Any]], Any]:
    """Return a writer of timelines whose values have another form in settings. It always writes [call, value]."""

    def write_timeline(timeline: Timeline[Any]) -> Any:
        return [[call, write(value)] for call, value in timeline.entries()]

    return write_timeline


def _info_type(key: str) -> int:
    """Return the number of a KMTQUERYADAPTERINFOTYPE from its name or its number."""
    return int(key) if key.isdigit() else KMTQUERYADAPTERINFOTYPE.number(key)


_ANSWERS = {
    "displays": _Form(_source, read_key=str),
    "device_names": _Form(_boolean, read_key=str),
    "device_contexts": _Form(_source, read_key=lambda key: parse_uint(int(key, 0), 64), write_key=hex),
    "sources": _Form(parse_uint),
    "precise_present_regions": _Form(parse_uint),
    "listed": _Form(_boolean, read_key=_list),
    "budgets": _Form(_budget, write=_write_rows(list), read_key=_segment_group),
    "info": _Form(bytes.fromhex, write=_write_rows(bytes.hex), read_key=_info_type),
}
_PLAIN_FORMS: dict[str, tuple[type, str]] = {
    "name": (str, "a string"),
    "device_name": (str, "a string"),
    "wddm": (int, "a number from 0"),
    "stops_after": (int, "a number from 0"),
}
_SETTINGS = {"luid", "video_memory", "shared_memory", *_PLAIN_FORMS, *_ANSWERS}


def parse_adapter(settings: Any) -> Adapter:
    """Create an adapter from its settings.

    Args:
        settings: An adapter, or a table with any of the attributes of `Adapter`. A missing or None setting has its
            default. Sizes are bytes, or text such as "64MB". An answer is a value, or a list of [call, value].

    Raises:
        UsageError: A setting is unknown or invalid.
    """
    if isinstance(settings, Adapter):
        return settings
    if not isinstance(settings, dict):
        raise UsageError(f"invalid adapter: {short_repr(settings)} (expected a table of settings)")
    for name in settings:
        if name not in _SETTINGS:
            raise UsageError(
                f"unknown adapter setting: {short_repr(name)} (expected one of {', '.join(sorted(_SETTINGS))})"
            )
    values = {name: value for name, value in settings.items() if value is not None}
    luid = parse_luid(values.pop("luid", FIRST_LUID))
    for name in {"video_memory", "shared_memory"} & values.keys():
        values[name] = parse_size(values[name])
    for name, (type_, form) in _PLAIN_FORMS.items():
        if name in values and not (isinstance(values[name], type_) and (type_ is str or 0 <= values[name] < 1 << 32)):
            raise UsageError(f"invalid adapter {name}: {short_repr(values[name])} (expected {form})")
    for name in _ANSWERS.keys() & values.keys():
        values[name] = _parse_answer(name, _ANSWERS[name], values[name])
    return Adapter(luid=luid, **values)


def parse_luid(value: Any) -> Luid:
    """Parse a LUID from [LowPart, HighPart], or from its value form.

    Raises:
        UsageError: The value is not a LUID.
    """
    parts = Luid.from_value(value) or value
    is_pair = isinstance(parts, (list, tuple)) and len(parts) == 2 and all(isinstance(part, int) for part in parts)
    if not is_pair or not (0 <= parts[0] < 1 << 32 and -(1 << 31) <= parts[1] < 1 << 31):
        raise UsageError(f"invalid adapter luid: {short_repr(value)} (expected [LowPart, HighPart])")
    return Luid(parts[0], parts[1])


def _parse_answer(name: str, form: _Form, setting: Any) -> Any:
    """Create an answer from its setting: a timeline, or a table of timelines by key."""
    read_key = form.read_key
    if read_key is None:
        return parse_timeline(f"adapter {name}", setting, form.read_value)
    if not isinstance(setting, dict):
        raise UsageError(f"invalid adapter {name}: {short_repr(setting)} (expected a table)")
    answers: dict[Any, Timeline[Any]] = {}
    for key, value in setting.items():
        try:
            parsed_key = read_key(str(key))
        except (ValueError, KeyError, TypeError):
            raise UsageError(f"invalid key of adapter {name}: {short_repr(key)}") from None
        answers[parsed_key] = parse_timeline(f"adapter {name}", value, form.read_value)
    return answers
