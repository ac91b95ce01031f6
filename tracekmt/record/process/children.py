"""What recorded processes become, and start: held until somebody has decided about them."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import frida

from tracekmt.record.process.wine import LOOK_SECONDS, WINES_OWN, held, prefix, windows_programs


@dataclass
class WatchedProcess:
    """A process that is watched. replaced: it has become another program, which is held. on_child: what becomes of a
    process that it has started, which is held as well."""

    on_child: Callable[[int], None] | None = None
    replaced: threading.Event = field(default_factory=threading.Event)


class ChildWatcher:
    """The processes of one device that are watched, by their numbers. Frida reports on a thread of its own, on which
    nothing may be asked of it."""

    def __init__(self, device: Any) -> None:
        self._device = device
        self._members: dict[int, WatchedProcess] = {}
        self._born: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._looking: threading.Thread | None = None
        self._closed = threading.Event()
        # Each is counted on one thread only.
        self._reported = self._decided = 0

    def watch(self, pid: int, on_child: Callable[[int], None] | None = None) -> WatchedProcess:
        """Watch a process whose agent follows it. Without `on_child` what it starts goes on at once."""
        member = self._members[pid] = WatchedProcess(on_child)
        if self._thread is None:
            self._device.on("child-added", self._on_child)
            self._thread = threading.Thread(target=self._decide, name="tracekmt-family", daemon=True)
            self._thread.start()
        return member

    def watch_windows(self, pid: int, on_child: Callable[[int], None]) -> None:
        """Watch the Windows programs that begin beside one under the same Wine, where nobody tells who started them.
        Each is held while `on_child` decides about it."""
        if self._looking is None:
            known = set(windows_programs())
            self._looking = threading.Thread(
                target=self._look, args=(prefix(pid), known, on_child), name="tracekmt-look", daemon=True
            )
            self._looking.start()

    def _look(self, wanted: str | None, known: set[int], on_child: Callable[[int], None]) -> None:
        while not self._closed.wait(LOOK_SECONDS):
            running = windows_programs()
            known &= set(running)
            for pid in running.keys() - known:
                if running[pid] in WINES_OWN or prefix(pid) != wanted:
                    continue  # it may become another yet
                known.add(pid)
                with held(pid):
                    on_child(pid)

    def resume(self, pid: int) -> None:
        """Let a process that is held go on."""
        with contextlib.suppress(frida.InvalidArgumentError, frida.ProcessNotFoundError, frida.InvalidOperationError):
            self._device.resume(pid)

    def close(self) -> None:
        """Watch nobody any more."""
        self._closed.set()
        if self._looking is not None:
            self._looking.join()
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
                    self.resume(pid)
                else:
                    on_child(pid)
            self._decided += 1
