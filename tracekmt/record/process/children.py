"""Handles exec and child processes of recorded processes. Each is suspended until it is recorded or resumed."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import frida

from tracekmt.record.process.wine import (
    POLL_SECONDS,
    WINE_SERVICES,
    server_directory,
    server_suspended,
    windows_programs,
)

OnChild = Callable[[int], None]
"""Handles one child process, by its id. The child is suspended until the call returns."""


@dataclass
class WatchedProcess:
    """A process whose exec and children Frida reports.

    Attributes:
        on_child: Handler of its child processes, None to resume them at once.
        replaced: Set when the process has executed another program, which is suspended.
    """

    on_child: OnChild | None = None
    replaced: threading.Event = field(default_factory=threading.Event)


class ChildWatcher:
    """Watches processes of one device.

    Frida reports children on an internal thread, which must not call back into Frida. They are handled on another
    thread.
    """

    def __init__(self, device: Any) -> None:
        self._device = device
        self._watched: dict[int, WatchedProcess] = {}
        self._reported: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._handler_thread: threading.Thread | None = None
        self._wine_thread: threading.Thread | None = None
        self._closed = threading.Event()
        # Each counter is written on one thread only.
        self._reported_count = self._handled_count = 0

    def watch(self, pid: int, on_child: OnChild | None = None) -> WatchedProcess:
        """Watch a process whose agent has enabled child gating. Without `on_child`, children are resumed at once."""
        watched = self._watched[pid] = WatchedProcess(on_child)
        if self._handler_thread is None:
            self._device.on("child-added", self._on_child)
            self._handler_thread = threading.Thread(target=self._handle_children, name="tracekmt-children", daemon=True)
            self._handler_thread.start()
        return watched

    def watch_windows(self, pid: int, on_child: OnChild) -> None:
        """Watch for Windows programs that start under the same Wine as a process. Their parents are unknown.

        Wine's server is suspended while `on_child` handles a program.
        """
        if self._wine_thread is None:
            known_pids = set(windows_programs())
            self._wine_thread = threading.Thread(
                target=self._poll_windows_programs,
                args=(server_directory(pid), known_pids, on_child),
                name="tracekmt-wine",
                daemon=True,
            )
            self._wine_thread.start()

    def _poll_windows_programs(self, directory: str | None, known_pids: set[int], on_child: OnChild) -> None:
        while not self._closed.wait(POLL_SECONDS):
            running = windows_programs()
            known_pids &= set(running)
            for pid in running.keys() - known_pids:
                if running[pid] in WINE_SERVICES or server_directory(pid) != directory:
                    continue  # not marked as known: it may still execute another program
                known_pids.add(pid)
                with server_suspended(pid):
                    on_child(pid)

    def resume(self, pid: int) -> None:
        """Resume a suspended process."""
        with contextlib.suppress(frida.InvalidArgumentError, frida.ProcessNotFoundError, frida.InvalidOperationError):
            self._device.resume(pid)

    def close(self) -> None:
        """Stop watching."""
        self._closed.set()
        if self._wine_thread is not None:
            self._wine_thread.join()
        if self._handler_thread is not None:
            self._device.off("child-added", self._on_child)
            self._reported.put(None)
            self._handler_thread.join()
            self._handler_thread = None

    @property
    def has_unhandled_children(self) -> bool:
        """True while a reported process is suspended and not handled yet."""
        return self._handled_count < self._reported_count

    def _on_child(self, child: Any) -> None:
        self._reported_count += 1
        self._reported.put(child)

    def _handle_children(self) -> None:
        while (child := self._reported.get()) is not None:
            pid, parent = int(child.pid), int(child.parent_pid)
            if child.origin == "exec" and pid in self._watched:
                self._watched[pid].replaced.set()
            elif parent in self._watched:
                on_child = self._watched[parent].on_child
                if on_child is None:
                    self.resume(pid)
                else:
                    on_child(pid)
            self._handled_count += 1
