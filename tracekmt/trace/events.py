"""Contents of frames: the header, call descriptions, modules, and the events of calls.

A call has two events, each with its own sequence number: an enter event before the call, and a leave event after it.
The leave event may be missing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tracekmt.errors import DescriptionError, TraceError
from tracekmt.spec import checks, serial
from tracekmt.spec.types import ABIS, WCHAR_SIZE, Abi, CallSpec

Region = tuple[int, int, bytes]
"""Memory that the recorder copied: address, number of bytes requested, bytes read."""


@dataclass(frozen=True)
class Header:
    """Origin of a trace.

    Attributes:
        base_abi: ABI of the recorded process without its WCHAR size: x64 or x86. Its key in the file is "abi".
        created: Time of the recording.
        tool: Name and version of the recorder.
        process: The recorded process.
        settings: Settings of the recording.
        machine: Machine of the recorded process, as far as known (the simulator's adapters).
        wchar: Size of a WCHAR in bytes. 4 in native Linux processes.
        clock: One moment on several clocks: "time" as in events, "wall" in nanoseconds since 1970, and the raw
            performance "counter" with its "frequency" in Hz.
        origin: Time in nanoseconds that other times count from, if not the time of the first event. Trimmed traces
            have it.
        trimmed: Trace that this one was trimmed from.
        redacted: Contents that were removed.
    """

    base_abi: Abi
    created: str = ""
    tool: str = ""
    process: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=dict)
    wchar: int = 2
    clock: dict[str, Any] = field(default_factory=dict)
    origin: int | None = None
    trimmed: str = ""
    redacted: str = ""

    @property
    def abi(self) -> Abi:
        """ABI that the layouts of structures follow from."""
        return "wsl" if self.wchar == WCHAR_SIZE["wsl"] else self.base_abi

    @property
    def clock_anchor(self) -> dict[str, int] | None:
        """The numbers of `clock`, None if one is missing or invalid."""
        numbers = {name: self.clock.get(name) for name in ("time", "wall", "counter", "frequency")}
        return self.clock if all(type(number) is int for number in numbers.values()) else None

    def to_data(self) -> dict[str, Any]:
        """Return the payload of the header's frame, without empty fields."""
        return {_data_key(name): value for name, value in vars(self).items() if value not in ("", None, {})}


def _data_key(field_name: str) -> str:
    return "abi" if field_name == "base_abi" else field_name


def header_fields(abi: Abi) -> dict[str, Any]:
    """Return the fields of a header whose `abi` is the given one."""
    return {"base_abi": "x64" if abi == "wsl" else abi, "wchar": WCHAR_SIZE[abi]}


@dataclass(frozen=True)
class Module:
    """A file that was mapped in the recorded process.

    Attributes:
        name: Name of the file.
        path: Path of the file.
        base: Address of its first byte.
        size: Number of mapped bytes.
    """

    name: str
    path: str
    base: int
    size: int


@dataclass(slots=True)  # frozen ones take three times as long to create
class Enter:
    """Event before a call.

    Attributes:
        sequence: Sequence number of the event.
        thread: Thread id of the system.
        spec_id: Id of the call's description.
        time: Time in nanoseconds.
        caller: Return address of the call, 0 if unknown.
        arguments: Raw parameters.
        regions: Memory that the parameters refer to.
        index: Index of the call, if it does not follow the index of the call before.
    """

    sequence: int
    thread: int
    spec_id: int
    time: int
    caller: int
    arguments: tuple[int, ...]
    regions: tuple[Region, ...]
    index: int | None = None


@dataclass(slots=True)  # frozen ones take three times as long to create
class Leave:
    """Event after a call.

    Attributes:
        sequence: Sequence number of the event.
        enter: Sequence number of the call's enter event.
        time: Time in nanoseconds.
        result: Raw return value.
        regions: Memory that the parameters refer to.
    """

    sequence: int
    enter: int
    time: int
    result: int
    regions: tuple[Region, ...]


@dataclass(slots=True)  # frozen ones take three times as long to create
class Lost:
    """Consecutive events that could not be recorded.

    Attributes:
        sequence: Sequence number of the first lost event.
        count: Number of lost events.
    """

    sequence: int
    count: int


_DEFAULTS = Header("x64")
_PATH_LIMIT = 1 << 16
"""Characters of a module's name and path. Windows' longest paths have 32,767."""


def header_from_data(value: Any, where: str) -> Header:
    """Return the header of a frame.

    Raises:
        TraceError: The payload is malformed. `where` begins the message.
    """
    if not isinstance(value, dict) or value.get("abi") not in ABIS:
        raise TraceError(f"{where}: the header has no valid ABI (expected {' or '.join(ABIS)})")
    fields = {name: value[_data_key(name)] for name in vars(_DEFAULTS) if _data_key(name) in value}
    for name, content in fields.items():
        expected = int if name == "origin" else type(vars(_DEFAULTS)[name])
        if type(content) is not expected:
            raise TraceError(f"{where}: invalid header field {_data_key(name)} (expected {expected.__name__})")
    return Header(**fields)


def spec_to_data(spec_id: int, spec: CallSpec, abi: Abi) -> dict[str, Any]:
    """Return the payload of a description's frame: the description, and the layouts that follow from it."""
    return {"id": spec_id, "description": serial.to_data(spec), "layouts": serial.layouts_of(spec, abi)}


def description_size(value: Any) -> int:
    """Return the number of objects in the payload of a description's frame."""
    size, waiting = 0, [value]
    while waiting:
        item = waiting.pop()
        size += 1
        if isinstance(item, dict):
            waiting += item.values()
        elif isinstance(item, list):
            waiting += item
    return size


def spec_from_data(value: Any, abi: Abi, where: str) -> tuple[int, CallSpec]:
    """Return the id and the description of a frame.

    Raises:
        TraceError: The payload is malformed, or the description fails a check. `where` begins the message.
    """
    try:
        spec_id, spec = value["id"], serial.spec_from_data(value["description"])
        problems = checks.check(spec)
        if not problems and serial.layouts_of(spec, abi) != value["layouts"]:
            problems = [f"{spec.name}: the recorded layouts do not follow from the description"]
        if not isinstance(spec_id, int):
            problems = [f"{spec.name}: the id is not a number"]
    except (DescriptionError, KeyError, TypeError, RecursionError) as error:
        raise TraceError(f"{where}: invalid description: {error}") from None
    if problems:
        raise TraceError(f"{where}: invalid description: {problems[0]}")
    return spec_id, spec


def module_from_data(value: Any, where: str) -> Module:
    """Return the module of a frame.

    Raises:
        TraceError: The payload is malformed. `where` begins the message.
    """
    match value:
        case [str(name), str(path), int(base), int(size)] if len(name) + len(path) <= _PATH_LIMIT:
            return Module(name, path, base, size)
    raise TraceError(f"{where}: malformed module")


def thread_ids(value: Any) -> list[int]:
    """Return the system's ids of the threads that first appear in a frame of events.

    Raises:
        ValueError: The payload is malformed.
    """
    ids = value[2] if isinstance(value, list) and len(value) == 3 else None
    if not isinstance(ids, list) or any(type(thread_id) is not int for thread_id in ids):
        raise ValueError("has malformed threads")
    return ids
