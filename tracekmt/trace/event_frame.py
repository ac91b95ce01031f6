"""Frame of events: a table of fixed columns, and a body for each event.

The table answers questions about an event without unpacking its body: its call, time, thread, function and outcome.
Each body is a separate msgpack value, so that one event can be unpacked without the others.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

import msgpack

from tracekmt import core
from tracekmt.trace.events import Enter, Leave, Region
from tracekmt.trace.frame_calls import ENTER, LEAVE, LOST, find_calls

_ROW_SIZE = 128  # Approximate memory of an event's row, of its part of `calls`, and of the copy for the core, in bytes.

# The columns in file order: name, array type code, and whether the file stores the difference from the row before.
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

_KINDS = bytes((ENTER, LEAVE, LOST))

LoadBlob = Callable[[int], bytes]
"""Returns a stored blob by its number. Raises ValueError for an unknown number."""


@dataclass
class EventTable:
    """Columns of a frame of events. All have the same length.

    Attributes:
        kinds: ENTER, LEAVE or LOST.
        calls: Index of the event's call.
        sequences: Sequence number of the event.
        times: Time in nanoseconds.
        threads: Number of the thread, by first appearance.
        functions: Id of the call's description.
        values: Caller's address of an enter event, raw return value of a leave event, count of lost events.
        offsets: Offset of the event's body in the bodies.
    """

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
        """Append the row of an event. Its values are in the order of the columns."""
        for column, value in zip(self._columns, row, strict=True):
            column.append(value)

    def extend(self, columns: Sequence[bytes]) -> None:
        """Append the rows of columns in the byte order of this machine, without differences."""
        for column, data in zip(self._columns, columns, strict=True):
            column.frombytes(data)

    def pack(self) -> list[bytes]:
        """Return the columns in their little endian file form."""
        packed = []
        for name, type_code, is_difference in COLUMNS:
            values: array[int] = getattr(self, name)
            if is_difference and core.CORE is not None:
                packed.append(core.CORE.differences(values.tobytes()))
                continue
            if is_difference:
                values = array(type_code, map(int.__sub__, values, [0, *values[:-1]]))
            packed.append(_swap_if_big_endian(values).tobytes())
        return packed

    @classmethod
    def unpack(cls, columns: Any) -> EventTable:
        """Return the table of a frame's columns.

        Raises:
            ValueError: The columns are malformed.
        """
        if not isinstance(columns, list) or len(columns) != len(COLUMNS):
            raise ValueError("has a wrong number of columns")
        table = {}
        for (name, type_code, is_difference), data in zip(COLUMNS, columns, strict=True):
            values = array(type_code)
            if not isinstance(data, bytes) or len(data) % values.itemsize:
                raise ValueError(f"has a malformed column {name}")
            try:
                if is_difference and core.CORE is not None:
                    values.frombytes(core.CORE.sums(data))
                else:
                    values.frombytes(data)
                    values = _swap_if_big_endian(values)
                    values = array(type_code, accumulate(values)) if is_difference else values
            except OverflowError:
                raise ValueError(f"has an overflow in the column {name}") from None
            table[name] = values
        if len(set(map(len, table.values()))) != 1:
            raise ValueError("has columns of different lengths")
        return cls(**table)


class EventFrame:
    """Frame of events with an unpacked table and packed bodies.

    Attributes:
        table: Columns of the frame.
        calls: The calls that are entered in the frame.
        bodies: The packed bodies.
        offsets: Offset of each event's body in the bodies, and the end of the last one.
        size: Approximate memory of the frame in bytes.
    """

    def __init__(self, value: Any) -> None:
        if not isinstance(value, list) or len(value) != 3 or not isinstance(value[1], bytes):
            raise ValueError("has no table and bodies")
        self.table = EventTable.unpack(value[0])
        self.bodies = value[1]
        offsets, kinds = self.table.offsets, self.table.kinds.tobytes()
        if not _are_within(offsets, len(self.bodies)):
            raise ValueError("has an event outside of its bodies")
        if kinds.translate(None, _KINDS):
            raise ValueError("has an event of an unknown kind")
        self._for_core: tuple[Any, ...] | None = None
        self.offsets = offsets + array("q", [len(self.bodies)])
        self.calls = find_calls(self.table.calls, kinds)
        self.size = len(self.bodies) + _ROW_SIZE * len(offsets)

    def to_core(self) -> tuple[Any, ...]:
        """Return the frame for the core: columns of events and of calls, and the bodies; see `differ.read_history`."""
        if self._for_core is None:
            table, calls = self.table, self.calls
            columns = table.kinds, table.calls, table.threads, table.functions, table.values, self.offsets
            of_calls = calls.indexes, calls.enter_rows
            self._for_core = (*(column.tobytes() for column in (*columns, *of_calls)), self.bodies)
        return self._for_core

    def enter(
        self, row: int, load_blob: LoadBlob, recent: dict[int, bytes]
    ) -> tuple[tuple[int, ...], tuple[Region, ...]]:
        """Return the arguments and regions of an enter event by its row.

        Args:
            row: The row.
            load_blob: Returns a stored blob by its number.
            recent: Blobs that need not be loaded, by their numbers.

        Raises:
            ValueError: The body is malformed.
        """
        start, end = self.offsets[row], self.offsets[row + 1]
        if core.CORE is not None:
            found = core.CORE.read_enter_body(self.bodies, start, end, load_blob, recent)
            if found is not None:
                return found
        return enter_from_body(unpack(self.bodies[start:end]), load_blob)

    def leave(
        self, row: int, entered: tuple[Region, ...], load_blob: LoadBlob, recent: dict[int, bytes]
    ) -> tuple[Region, ...]:
        """Return the regions of a leave event by its row.

        Args:
            row: The row.
            entered: Regions of the enter event.
            load_blob: Returns a stored blob by its number.
            recent: Blobs that need not be loaded, by their numbers.

        Raises:
            ValueError: The body is malformed.
        """
        start, end = self.offsets[row], self.offsets[row + 1]
        if core.CORE is not None:
            regions = core.CORE.read_leave_body(self.bodies, start, end, load_blob, recent, entered)
            if regions is not None:
                return regions
        return regions_from_body(unpack(self.bodies[start:end]), entered, load_blob)


def unpack(data: bytes) -> Any:
    """Return the one msgpack value in `data`. Raise ValueError for anything else."""
    try:
        return msgpack.unpackb(data, raw=False, strict_map_key=False, unicode_errors="surrogatepass")
    except (ValueError, TypeError, RecursionError, msgpack.exceptions.UnpackException) as error:
        raise ValueError(f"is not msgpack ({type(error).__name__})") from None


def pack(value: Any) -> bytes:
    """Return a value as msgpack."""
    packed: bytes = msgpack.packb(value, use_bin_type=True, unicode_errors="surrogatepass")
    return packed


def enter_body(event: Enter, intern: Callable[[bytes], int | bytes]) -> bytes:
    """Return the body of an enter event: its arguments and regions.

    Args:
        event: The event.
        intern: Returns the number of the blob that stores the data, or the data itself.
    """
    regions = [[address, requested, intern(data)] for address, requested, data in event.regions]
    return pack([list(event.arguments), regions])


def leave_body(event: Leave, entered: Sequence[Region], intern: Callable[[bytes], int | bytes]) -> bytes:
    """Return the body of a leave event: its regions.

    Args:
        event: The event.
        entered: Regions of the enter event. The body has only the number of a region that the call did not change.
        intern: Returns the number of the blob that stores the data, or the data itself.
    """
    if len(event.regions) == len(entered):
        pairs = enumerate(zip(entered, event.regions, strict=True))
        regions = [number if before == r else [r[0], r[1], intern(r[2])] for number, (before, r) in pairs]
    else:
        numbers = {region: number for number, region in enumerate(entered)}
        regions = [numbers[r] if r in numbers else [r[0], r[1], intern(r[2])] for r in event.regions]
    return pack(regions)


def enter_from_body(value: Any, load_blob: LoadBlob) -> tuple[tuple[int, ...], tuple[Region, ...]]:
    """Return the arguments and regions of an enter event.

    Raises:
        ValueError: The body is malformed.
    """
    if type(value) is not list or len(value) != 2 or type(value[0]) is not list:
        raise ValueError("has a malformed body")
    arguments = tuple(value[0])
    for argument in arguments:
        if type(argument) is not int:
            raise ValueError("has a malformed body")
    return arguments, regions_from_body(value[1], (), load_blob)


def regions_from_body(value: Any, entered: Sequence[Region], load_blob: LoadBlob) -> tuple[Region, ...]:
    """Return the regions of a body.

    Args:
        value: Regions of the body.
        entered: Regions of the enter event, for a leave event.
        load_blob: Returns a stored blob by its number.

    Raises:
        ValueError: The regions are malformed.
    """
    regions: list[Region] = []
    # This is the hot path of reading. `type(...) is` is enough because msgpack creates no subclasses.
    for region in value if type(value) is list else (None,):
        if type(region) is list and len(region) == 3 and type(region[0]) is type(region[1]) is int:
            address, requested, data = region
            if type(data) is bytes:
                regions.append((address, requested, data))
                continue
            if type(data) is int:
                regions.append((address, requested, load_blob(data)))
                continue
        elif type(region) is int and 0 <= region < len(entered):
            regions.append(entered[region])
            continue
        raise ValueError("has a malformed region")
    return tuple(regions)


def _are_within(offsets: array[int], size: int) -> bool:
    """Return True if all offsets are from 0 to a size."""
    if core.CORE is not None:
        return core.CORE.are_within(offsets.tobytes(), size)
    return not offsets or 0 <= min(offsets) <= max(offsets) <= size


def _swap_if_big_endian(values: array[int]) -> array[int]:
    if sys.byteorder == "big":
        values.byteswap()
    return values
