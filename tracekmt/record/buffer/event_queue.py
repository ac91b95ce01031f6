"""What has been found of a recording and waits to be taken apart, oldest first."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator
from itertools import islice

from tracekmt.record.buffer.overflow_file import OverflowFile
from tracekmt.trace.buffer_format import Assembler
from tracekmt.trace.events import Enter, Leave, Lost

KEPT = 16 << 20
"""Bytes that wait here; more waits in a file."""

PART = 1 << 20
"""Bytes that are taken apart at once."""

EVERYTHING = 1 << 62
"""In place of the sequence number below which nothing is missing: nothing follows that could be waited for."""

Stretches = list[tuple[int, bytes]]
"""What was found, each with the number of the block that it stands in: fragments of events."""


class EventQueue:
    """Stretches in, events out. open_spill: makes the file in which waits what comes faster than it goes; None: it all
    waits here."""

    def __init__(self, open_spill: Callable[[], OverflowFile] | None = None) -> None:
        self._assembler = Assembler()
        self._found: deque[tuple[int | None, Stretches]] = deque()
        self._bytes = 0
        # Of each block: how many stretches of it wait here, and the highest sequence number that was taken apart.
        self._waiting: Counter[int] = Counter()
        self._highest: dict[int, int] = {}
        self._giving: Iterator[Enter | Leave | Lost] | None = None
        self._open_spill = open_spill
        self._spill: OverflowFile | None = None

    def __bool__(self) -> bool:
        return bool(self._giving is not None or self._found or self._spill)

    def holds(self, block: int) -> bool:
        """Whether a block has events that have not been given out, and that no file has."""
        return self._waiting[block] > 0 or self._highest.get(block, -1) >= self._assembler.next

    def forget(self, block: int) -> None:
        """A block is free: what comes under its number is something else."""
        self._highest.pop(block, None)

    def put(self, upto: int, found: Stretches) -> None:
        """Append what was found at once. upto: the sequence number below which nothing is missing with it."""
        size = sum(len(data) for _, data in found)
        if self._spill is None and self._open_spill is not None and self._bytes + size > KEPT:
            self._spill = self._open_spill()
        # While something waits in the file, whatever comes is younger.
        spills = self._spill is not None and (bool(self._spill) or self._bytes + size > KEPT)
        for reached, part in _in_parts(upto, found):
            if spills:
                assert self._spill is not None
                self._spill.put(reached, [data for _, data in part])
                continue
            self._found.append((reached, part))
            self._bytes += sum(len(data) for _, data in part)
            self._waiting.update(block for block, _ in part)

    def events(self, most: int | None = None) -> list[Enter | Leave | Lost]:
        """What comes next, in order. most: how many are given at once, from at most one part. ValueError where
        something was found that is no event."""
        events: list[Enter | Leave | Lost] = []
        while self and (most is None or len(events) < most):
            if self._giving is None:
                self._giving = self._take_apart()
                if self._giving is None and most is not None:
                    break  # that took its time, too
                continue
            asked = None if most is None else most - len(events)
            given = list(islice(self._giving, asked))
            events += given
            if asked is None or len(given) < asked:
                self._giving = None
        if self._spill is not None and not self and self._spill.size and self._assembler.idle:
            self._spill.clear()
        return events

    def close(self, *, keep: bool = False) -> None:
        """Remove the file, if there is one, unless it is to be kept for who recovers the recording."""
        if self._spill is not None:
            self._spill.close(keep=keep)

    def _take_apart(self) -> Iterator[Enter | Leave | Lost] | None:
        """The events of the oldest part; None where others belong to it."""
        if self._found:
            upto, found = self._found.popleft()
            for block, data in found:
                self._bytes -= len(data)
                self._waiting[block] -= 1
                self._highest[block] = max(self._highest.get(block, -1), self._assembler.take(data))
        else:
            assert self._spill is not None
            upto, stretches = self._spill.take()
            for data in stretches:
                self._assembler.take(data)
        if upto == EVERYTHING:
            upto = self._assembler.end
        return None if upto is None else self._assembler.in_order(upto)


def _in_parts(upto: int, found: Stretches) -> Iterator[tuple[int | None, Stretches]]:
    """What was found at once, in parts; only the last knows below which sequence number nothing is missing."""
    part: Stretches = []
    size = 0
    for block, data in found:
        part.append((block, data))
        size += len(data)
        if size >= PART:
            yield None, part
            part, size = [], 0
    yield upto, part
