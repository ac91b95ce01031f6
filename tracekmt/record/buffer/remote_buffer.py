"""Events over Frida's connection, where the memory cannot be shared: hooks/sender.c collects them in the process.

The price: each is copied twice more, and what was not yet fetched when the process was killed is gone: how much,
nobody knows.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable

from tracekmt.errors import RecordError
from tracekmt.record.buffer.event_queue import EVERYTHING, EventQueue
from tracekmt.record.buffer.shared_buffer import BUSY
from tracekmt.trace.events import Enter, Leave, Lost

MEMORY = 64 << 20
"""Bytes that the process keeps for what has not been fetched."""

FETCHES = 16
"""How many buffers are fetched at most before others things have their turn."""

_HEAD = struct.Struct("<QQ")
_MORE = (1 << 64) - 1


class RemoteBuffer:
    """What stands in a `Spool`'s place. collect: asks the agent for the next buffer; None: there is none to be asked
    any more."""

    path = None

    def __init__(self, collect: Callable[[], bytes | None], backlog: EventQueue) -> None:
        self._collect = collect
        self._backlog = backlog
        self._arrived: deque[bytes] = deque()
        self._parts: list[tuple[int, bytes]] = []
        self._ended = False
        self.exit_status: int | None = None

    @property
    def behind(self) -> bool:
        """Whether more was fetched than has been taken apart."""
        return bool(self._backlog)

    def arrived(self, data: bytes) -> None:
        """Take a buffer that the agent has sent by itself, when the process ended or the hooks came off."""
        self._arrived.append(data)

    def drain(self, *, last: bool = False, most: int | None = None) -> list[Enter | Leave | Lost]:
        """What has been recorded since the last time, in order, as `Spool.drain` gives it."""
        found = 0
        while self._arrived:
            self._take(self._arrived.popleft())
        for _ in range(0 if last else FETCHES):
            data = self._collect()
            if data is None:
                break
            found += len(data)
            if self._take(data):
                break
        if last and not self._ended:
            self._backlog.put(EVERYTHING, self._parts)
            self._ended = True
        if most is not None and found > BUSY and not last:
            return []
        try:
            return self._backlog.events(most)
        except ValueError as error:
            raise RecordError(f"the recorded process sent what is no event: {error}") from None

    def close(self, *, keep: bool = False) -> None:
        """Remove what waits beside the trace, unless it is to be kept."""
        self._backlog.close(keep=keep)

    def _take(self, data: bytes) -> bool:
        """Whether nothing more was there when this was collected."""
        upto, ended = _HEAD.unpack_from(data)
        self.exit_status = ended & 0xFF if ended else self.exit_status
        if len(data) > _HEAD.size:
            self._parts.append((0, data[_HEAD.size :]))
        if upto == _MORE:
            return False
        self._backlog.put(upto, self._parts)
        self._parts = []
        return True
