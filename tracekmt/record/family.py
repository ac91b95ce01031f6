"""What recorded processes become, and start: held until somebody has decided about them."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import frida


@dataclass
class Member:
    """A process that is watched. replaced: it has become another program, which is held. on_child: what becomes of a
    process that it has started, which is held as well."""

    on_child: Callable[[int], None] | None = None
    replaced: threading.Event = field(default_factory=threading.Event)


class Family:
    """The processes of one device that are watched, by their numbers. Frida reports on a thread of its own, on which
    nothing may be asked of it."""

    def __init__(self, device: Any) -> None:
        self._device = device
        self._members: dict[int, Member] = {}
        self._born: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        # Each is counted on one thread only.
        self._reported = self._decided = 0

    def watch(self, pid: int, on_child: Callable[[int], None] | None = None) -> Member:
        """Watch a process whose agent follows it. Without `on_child` what it starts goes on at once."""
        member = self._members[pid] = Member(on_child)
        if self._thread is None:
            self._device.on("child-added", self._on_child)
            self._thread = threading.Thread(target=self._decide, name="tracekmt-family", daemon=True)
            self._thread.start()
        return member

    def let_go(self, pid: int) -> None:
        """Let a process that is held go on."""
        with contextlib.suppress(frida.InvalidArgumentError, frida.ProcessNotFoundError, frida.InvalidOperationError):
            self._device.resume(pid)

    def close(self) -> None:
        """Watch nobody any more."""
        if self._thread is not None:
            self._device.off("child-added", self._on_child)
            self._born.put(None)
            self._thread.join()
            self._thread = None

    @property
    def undecided(self) -> bool:
        """Whether a process is held about which nothing has been decided."""
        return self._decided < self._reported

    def _on_child(self, child: Any) -> None:
        self._reported += 1
        self._born.put(child)

    def _decide(self) -> None:
        while (child := self._born.get()) is not None:
            pid, parent = int(child.pid), int(child.parent_pid)
            if child.origin == "exec" and pid in self._members:
                self._members[pid].replaced.set()
            elif parent in self._members:
                on_child = self._members[parent].on_child
                if on_child is None:
                    self.let_go(pid)
                else:
                    on_child(pid)
            self._decided += 1
