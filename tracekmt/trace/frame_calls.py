"""Where the events of each call are in a frame of events."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from dataclasses import dataclass
from itertools import compress, count, repeat
from operator import lt

from tracekmt import core

ENTER, LEAVE, LOST = 0, 1, 2
"""Kinds of events in the column of kinds."""

IS_ENTER, IS_LEAVE = (bytes(kind == wanted for kind in range(256)) for wanted in (ENTER, LEAVE))
"""Translations of a column of kinds: 1 for events of that kind, 0 for others."""

NO_ROW = (1 << 32) - 1
"""Row of the leave event of a call that did not return in the frame of its enter event."""


@dataclass
class FrameCalls:
    """The calls that are entered in a frame. A call's rank is how many calls are entered in the frame before it.

    Attributes:
        indexes: Index of each call, by its rank. They grow.
        enter_rows: Row of each call's enter event.
        leave_rows: Row of each call's leave event, or NO_ROW.
        late: Row of the leave event of each call of an earlier frame, by the index of the call.
    """

    indexes: array[int]
    enter_rows: array[int]
    leave_rows: array[int]
    late: dict[int, int]

    def __len__(self) -> int:
        return len(self.indexes)

    def rank(self, index: int) -> int | None:
        """Return the rank of a call. None for a call that is not entered in the frame."""
        rank = bisect_left(self.indexes, index)
        return rank if rank < len(self.indexes) and self.indexes[rank] == index else None

    def leave_row(self, index: int) -> int | None:
        """Return the row of the leave event of a call of any frame. None if it is not in this frame."""
        rank = self.rank(index)
        row = self.late.get(index) if rank is None else self.leave_rows[rank]
        return None if row == NO_ROW else row


def find_calls(indexes: array[int], kinds: bytes) -> FrameCalls:
    """Find the events of each call in a frame.

    Args:
        indexes: Index of each event's call.
        kinds: Kind of each event.

    Raises:
        ValueError: The calls are not in order, or two events are those of one call.
    """
    if core.CORE is not None:
        *columns, late = core.CORE.find_calls(indexes.tobytes(), kinds)
        return FrameCalls(array("q", columns[0]), array("I", columns[1]), array("I", columns[2]), late)
    is_enter, is_leave = kinds.translate(IS_ENTER), kinds.translate(IS_LEAVE)
    entered = array("q", compress(indexes, is_enter))
    if not all(map(lt, entered, entered[1:])):
        raise ValueError("has calls out of order")
    left = dict(zip(compress(indexes, is_leave), compress(count(), is_leave), strict=False))
    if len(left) != is_leave.count(1):
        raise ValueError("has a duplicate event")
    leave_rows = array("I", map(left.pop, entered, repeat(NO_ROW)))
    return FrameCalls(entered, array("I", compress(count(), is_enter)), leave_rows, left)
