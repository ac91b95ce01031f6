"""Events over Frida's connection, for a target process that cannot map the shared buffer.

hooks/sender.c collects the events in the target process. Each event is copied twice more than with shared memory.
Events that were not fetched when the process was killed are lost, and their number is unknown.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable

from tracekmt.record.buffer.event_queue import EVERYTHING, EventQueue
from tracekmt.record.buffer.shared_buffer import BUSY
from tracekmt.trace.ready_events import RawEvents, raw_events

MEMORY = 64 << 20
"""Bytes that the target process reserves for events that were not fetched."""

FETCHES = 16
"""Limit of fetches in one drain."""

_HEAD = struct.Struct("<QQ")
_MORE = (1 << 64) - 1


class RemoteBuffer:
    """Replacement of a `SharedBuffer` that fetches events from the agent.

    Attributes:
        path: Always None, because events use no file.
        is_unreadable: Always False, see `SharedBuffer`.
        exit_status: Exit status of the target process, None while it runs or if it was killed.
    """

    path = None
    is_unreadable = False

    def __init__(self, fetch: Callable[[], bytes | None], event_queue: EventQueue) -> None:
        """Create the buffer.

        Args:
            fetch: Fetches the agent's next block of data. It returns None once the target process has ended.
            event_queue: Queue that parses the data.
        """
        self._fetch = fetch
        self._event_queue = event_queue
        self._received: deque[bytes] = deque()
        self._parts: list[tuple[int, bytes]] = []
        self._ended = False
        self.exit_status: int | None = None

    @property
    def damage(self) -> str | None:
        """Damage of the data by the process, None for undamaged data."""
        return self._event_queue.damage

    def note_damage(self, damage: str) -> None:
        """Note damage of an event, see `SharedBuffer.note_damage`."""
        self._event_queue.note_damage(damage)

    @property
    def behind(self) -> bool:
        """True while fetched data is not parsed."""
        return bool(self._event_queue)

    def receive(self, data: bytes) -> None:
        """Take a block of data that the agent sent unasked, because the process ended or the hooks were removed."""
        self._received.append(data)

    def drain(self, *, last: bool = False, most: int | None = None) -> RawEvents:
        """Return the events since the last drain, see `SharedBuffer.drain`."""
        size = 0
        while self._received:
            self._take(self._received.popleft())
        for _ in range(0 if last else FETCHES):
            data = self._fetch()
            if data is None:
                break
            size += len(data)
            if self._take(data):
                break
        if last and not self._ended:
            self._event_queue.put(EVERYTHING, self._parts)
            self._ended = True
        if most is not None and size > BUSY and not last:
            return raw_events()
        return self._event_queue.events(most)

    def close(self, *, keep: bool = False) -> None:
        """Close the overflow file and remove it, unless it is kept for `tracekmt recover`."""
        self._event_queue.close(keep=keep)

    def _take(self, data: bytes) -> bool:
        """Queue a block of data. Return True if the target process had no more data when it was collected."""
        upto, ended = _HEAD.unpack_from(data)
        self.exit_status = ended & 0xFF if ended else self.exit_status
        if len(data) > _HEAD.size:
            self._parts.append((0, data[_HEAD.size :]))
        if upto == _MORE:
            return False
        self._event_queue.put(upto, self._parts)
        self._parts = []
        return True
