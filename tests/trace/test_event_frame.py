"""Frames of events that contradict themselves."""

from __future__ import annotations

from array import array

import pytest

from tests.conftest import without_core
from tracekmt.trace.event_frame import EventFrame, EventTable
from tracekmt.trace.frame_calls import ENTER, LEAVE, LOST

BODIES = bytes(20)


def error_of(kinds: list[int], offsets: list[int]) -> str | None:
    """Return the error about a frame with these columns, None for a valid one."""
    table = EventTable()
    for row, (kind, offset) in enumerate(zip(kinds, offsets, strict=True)):
        table.add(kind, row // 2, row, row, 0, 0, 0, offset)
    try:
        frame = EventFrame([table.pack(), BODIES, []])
    except ValueError as error:
        return str(error)
    assert frame.offsets == array("q", [*offsets, len(BODIES)])
    return None


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize(
    ("kinds", "offsets", "error"),
    [
        ([], [], None),
        ([ENTER, LEAVE, LOST], [0, 20, 7], None),
        ([ENTER, LEAVE], [0, 21], "has an event outside of its bodies"),
        ([ENTER, LEAVE], [-1, 20], "has an event outside of its bodies"),
        ([ENTER, LOST + 1], [0, 20], "has an event of an unknown kind"),
        ([255, LEAVE], [0, 20], "has an event of an unknown kind"),
    ],
)
def test_rows(kinds: list[int], offsets: list[int], error: str | None, native: bool) -> None:
    assert (error_of(kinds, offsets) if native else without_core(error_of, kinds, offsets)) == error
