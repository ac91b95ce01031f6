"""A frame of events: a table of fixed columns, and behind it what each event holds.

The table says of every event what can be asked without looking into it: which call it belongs to, when, on which
thread, which function, how it ended. The bodies are msgpack values of their own, so that one event is unpacked without
the others.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

import msgpack

from tracekmt.trace.events import Enter, Leave, Region

ENTER, LEAVE, LOST = 0, 1, 2
_EVENT_SIZE = 256  # what an event's row and its place take, roughly

# The columns in their order: name, type of the values, and whether a value is told as what it is more than the last.
COLUMNS = (
    ("kinds", "B", False),
    ("calls", "q", True),
    ("sequences", "q", True),
    ("times", "q", True),
    ("threads", "I", False),
    ("functions", "I", False),
    ("values", "Q", False),
    ("offsets", "q", True),
)
"""calls: the index of the call that an event belongs to. threads: by first appearance. functions: the ids of the
descriptions. values: of an enter event its caller's address, of a leave event what the function gave, of a loss how
many events. offsets: where the event's body begins among the bodies."""

Blob = Callable[[int], bytes]


@dataclass
class EventTable:
    """The columns of a frame, all of one length."""

    kinds: array[int] = field(default_factory=lambda: array("B"))
    calls: array[int] = field(default_factory=lambda: array("q"))
    sequences: array[int] = field(default_factory=lambda: array("q"))
    times: array[int] = field(default_factory=lambda: array("q"))
    threads: array[int] = field(default_factory=lambda: array("I"))
    functions: array[int] = field(default_factory=lambda: array("I"))
    values: array[int] = field(default_factory=lambda: array("Q"))
    offsets: array[int] = field(default_factory=lambda: array("q"))

    def __post_init__(self) -> None:
        self._columns = tuple(getattr(self, name) for name, _, _ in COLUMNS)

    def __len__(self) -> int:
        return len(self.kinds)

    def add(self, *row: int) -> None:
        """Append an event, its columns in their order."""
        for column, value in zip(self._columns, row, strict=True):
            column.append(value)

    def pack(self) -> list[bytes]:
        """The columns as they stand in a frame: little endian."""
        packed = []
        for name, code, delta in COLUMNS:
            values: array[int] = getattr(self, name)
            if delta:
                values = array(code, map(int.__sub__, values, [0, *values[:-1]]))
            packed.append(_little(values).tobytes())
        return packed

    @classmethod
    def unpack(cls, columns: Any) -> EventTable:
        """The columns of a frame; ValueError for what is none."""
        if not isinstance(columns, list) or len(columns) != len(COLUMNS):
            raise ValueError("has other columns than its format")
        found = {}
        for (name, code, delta), data in zip(COLUMNS, columns, strict=True):
            values = array(code)
            if not isinstance(data, bytes) or len(data) % values.itemsize:
                raise ValueError(f"has no sound column of {name}")
            values.frombytes(data)
            values = _little(values)
            try:
                found[name] = array(code, accumulate(values)) if delta else values
            except OverflowError:
                raise ValueError(f"has a column of {name} that runs out of its range") from None
        if len(set(map(len, found.values()))) != 1:
            raise ValueError("has columns of several lengths")
        return cls(**found)


class EventFrame:
    """A frame of events, unpacked as far as its table."""

    def __init__(self, value: Any) -> None:
        if not isinstance(value, list) or len(value) != 3 or not isinstance(value[1], bytes):
            raise ValueError("holds no table and bodies")
        self.table = EventTable.unpack(value[0])
        self._bodies = value[1]
        offsets = self.table.offsets
        if any(not 0 <= offset <= len(self._bodies) for offset in offsets):
            raise ValueError("has an event outside of its bodies")
        if any(kind > LOST for kind in self.table.kinds):
            raise ValueError("has an event of an unknown sort")
        self.positions: dict[tuple[int, int], int] = {
            (call, kind): position
            for position, (call, kind) in enumerate(zip(self.table.calls, self.table.kinds, strict=True))
            if kind != LOST
        }
        self.size = len(self._bodies) + _EVENT_SIZE * len(offsets)

    def body(self, position: int) -> Any:
        """What an event holds besides its row; ValueError where it is malformed."""
        offsets = self.table.offsets
        end = offsets[position + 1] if position + 1 < len(offsets) else len(self._bodies)
        return unpack(self._bodies[offsets[position] : end])


def unpack(data: bytes) -> Any:
    """One msgpack value; ValueError for anything else."""
    try:
        return msgpack.unpackb(data, raw=False, strict_map_key=False, unicode_errors="surrogatepass")
    except (ValueError, TypeError, RecursionError, msgpack.exceptions.UnpackException) as error:
        raise ValueError(f"is not msgpack ({type(error).__name__})") from None


def pack(value: Any) -> bytes:
    """One msgpack value."""
    packed: bytes = msgpack.packb(value, use_bin_type=True, unicode_errors="surrogatepass")
    return packed


def enter_body(event: Enter, intern: Callable[[bytes], int | bytes]) -> bytes:
    """What an enter event holds: its arguments, and the regions that were copied."""
    return pack([list(event.arguments), [[address, wanted, intern(data)] for address, wanted, data in event.regions]])


def leave_body(event: Leave, entered: Sequence[Region], intern: Callable[[bytes], int | bytes]) -> bytes:
    """What a leave event holds: its regions; one that is as it was when the call was entered is told by its number."""
    known = {region: number for number, region in enumerate(entered)}
    return pack([known[r] if r in known else [r[0], r[1], intern(r[2])] for r in event.regions])


def enter_from(value: Any, blob: Blob) -> tuple[tuple[int, ...], tuple[Region, ...]]:
    """The arguments and regions of an enter event from its body; ValueError where it is malformed."""
    if type(value) is not list or len(value) != 2 or type(value[0]) is not list:
        raise ValueError("has a malformed body")
    arguments = tuple(value[0])
    for argument in arguments:
        if type(argument) is not int:
            raise ValueError("has a malformed body")
    return arguments, regions_from(value[1], (), blob)


def regions_from(value: Any, entered: Sequence[Region], blob: Blob) -> tuple[Region, ...]:
    """Regions from a body; ValueError where they are malformed."""
    found: list[Region] = []
    # Types are compared as they are, since msgpack makes no others: this is the hot path of reading.
    for region in value if type(value) is list else (None,):
        if type(region) is list and len(region) == 3 and type(region[0]) is type(region[1]) is int:
            address, wanted, data = region
            if type(data) is bytes:
                found.append((address, wanted, data))
                continue
            if type(data) is int:
                found.append((address, wanted, blob(data)))
                continue
        elif type(region) is int and 0 <= region < len(entered):
            found.append(entered[region])
            continue
        raise ValueError("has a malformed region")
    return tuple(found)


def _little(values: array[int]) -> array[int]:
    if sys.byteorder == "big":
        values.byteswap()
    return values
