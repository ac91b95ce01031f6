"""What frames hold: the header, the calls' descriptions, modules, and the two events of every call.

A call is two events, each with its own sequence number: one before it, and one after it that may be missing. Memory
is kept as the regions that the walker copied: (address, bytes wanted, bytes read).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tracekmt.errors import DescriptionError, TraceError
from tracekmt.spec import checks, serial
from tracekmt.spec.types import ABIS, WCHAR_SIZE, Abi, CallSpec

Region = tuple[int, int, bytes]


@dataclass(frozen=True)
class Header:
    """Where a trace comes from.

    wchar: the bytes of a WCHAR there, 4 in native Linux processes.
    settings: how it was recorded. machine: what the program ran on, as far as it said so (the simulator's adapters).
    clock: one moment on several clocks: "time" as events have it, "wall" in nanoseconds since 1970, and the raw
    performance "counter" with its "frequency" in Hz. origin: the time that times are counted from, where it is not that
    of the first event: of a trace that is part of another. trimmed: what it was cut from. redacted: what was taken out.
    """

    abi: Abi
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
    def layout(self) -> Abi:
        """The ABI that structures are laid out by."""
        return "wsl" if self.wchar == WCHAR_SIZE["wsl"] else self.abi

    def to_data(self) -> dict[str, Any]:
        """The payload of its frame; what is empty is left out."""
        return {name: value for name, value in vars(self).items() if value not in ("", None, {})}


def header_fields(layout: Abi) -> dict[str, Any]:
    """How a header tells a layout: what `Header.layout` is the way back from."""
    return {"abi": "x64" if layout == "wsl" else layout, "wchar": WCHAR_SIZE[layout]}


@dataclass(frozen=True)
class Module:
    """A file that was mapped in the recorded process."""

    name: str
    path: str
    base: int
    size: int


@dataclass(frozen=True)
class Enter:
    """A call about to happen. `thread` is the system's id, `arguments` the raw parameters, times are nanoseconds.
    index: the call's number, where it is not simply the next."""

    sequence: int
    thread: int
    spec_id: int
    time: int
    caller: int
    arguments: tuple[int, ...]
    regions: tuple[Region, ...]
    index: int | None = None


@dataclass(frozen=True)
class Leave:
    """The same call afterwards. `enter` is the sequence number of its other event, `result` the raw return value."""

    sequence: int
    enter: int
    time: int
    result: int
    regions: tuple[Region, ...]


@dataclass(frozen=True)
class Lost:
    """`count` events from this sequence number on could not be recorded."""

    sequence: int
    count: int


_EMPTY = Header("x64")


def header_from(value: Any, where: str) -> Header:
    """The header from its frame."""
    if not isinstance(value, dict) or value.get("abi") not in ABIS:
        raise TraceError(f"{where}: its header does not name an ABI")
    known = {name: value[name] for name in Header.__dataclass_fields__ if name in value}
    for name, content in known.items():
        wanted = type(vars(_EMPTY)[name]) if name != "origin" else int
        if type(content) is not wanted:
            raise TraceError(f"{where}: its header holds no {wanted.__name__} under {name}")
    return Header(**known)


def call_data(number: int, call: CallSpec, abi: Abi) -> dict[str, Any]:
    """The payload of a description's frame: the description, and the layouts that follow from it."""
    return {"id": number, "description": serial.to_data(call), "layouts": serial.layouts_of(call, abi)}


def call_from(value: Any, abi: Abi, where: str) -> tuple[int, CallSpec]:
    """A description from its frame, checked like our own."""
    try:
        number, call = value["id"], serial.call_from_data(value["description"])
        problems = checks.check(call)
        if not problems and serial.layouts_of(call, abi) != value["layouts"]:
            problems = [f"{call.name}: the layouts beside the description do not follow from it"]
        if not isinstance(number, int):
            problems = [f"{call.name}: has no number"]
    except (DescriptionError, KeyError, TypeError, RecursionError) as error:
        raise TraceError(f"{where}: a description in it cannot be used: {error}") from None
    if problems:
        raise TraceError(f"{where}: a description in it cannot be used: {problems[0]}")
    return number, call


def module_from(value: Any, where: str) -> Module:
    """A module from its frame."""
    match value:
        case [str(name), str(path), int(base), int(size)]:
            return Module(name, path, base, size)
    raise TraceError(f"{where}: a module in it is malformed")


def thread_ids(value: Any) -> list[int]:
    """The system's ids of the threads that first appear in a frame of events; ValueError for anything else."""
    threads = value[2] if isinstance(value, list) and len(value) == 3 else None
    if not isinstance(threads, list) or any(type(each) is not int for each in threads):
        raise ValueError("has malformed threads")
    return threads
