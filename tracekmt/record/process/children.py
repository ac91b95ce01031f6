"""Handles exec and child processes of recorded processes. Each is suspended until it is recorded or resumed."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import frida

from tracekmt.record.process.wine import (
    POLL_SECONDS,
    WINE_SERVICES,
    server_directory,
    server_suspended,
    windows_programs,
)

if TYPE_CHECKING:
    from tracekmt.record.process.follower import FollowedProcess, ProcessFollower

OnChild = Callable[[int], None]
"""Handles one child process, by its id. The child is suspended until the call returns."""


class ChildWatcher:
    """Watches processes of one device.

    Attributes:
        follower: Starts and follows native processes on Linux. None where Frida starts programs.
    """

    def __init__(self, device: Any) -> None:
        self._device = device
        self.follower: ProcessFollower | None = None
        if sys.platform == "linux" and device.type == "local":
            from tracekmt.record.process.follower import ProcessFollower  # ptrace is Linux's

            self.follower = ProcessFollower()
        self._wine_thread: threading.Thread | None = None
        self._closed = threading.Event()

    def watch(self, pid: int, control: memoryview[int], on_child: OnChild | None = None) -> FollowedProcess | None:
        """Follow a native process. Without `on_child`, only its execs are followed.

        Args:
            pid: Id of the process.
            control: Control words of the buffer that it shares.
            on_child: Handler of its child processes.
        """
        if self.follower is None:
            return None
        return self.follower.follow(pid, control, on_child)

    def unwatch(self, pid: int) -> None:
        """Stop following a process, before its buffer is closed."""
        if self.follower is not None:
            self.follower.unfollow(pid)

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
        if self.follower is not None:
            self.follower.resume(pid)
            return
        with contextlib.suppress(frida.InvalidArgumentError, frida.ProcessNotFoundError, frida.InvalidOperationError):
            self._device.resume(pid)

    def close(self) -> None:
        """Stop watching."""
        self._closed.set()
        if self._wine_thread is not None:
            self._wine_thread.join()
        if self.follower is not None:
            self.follower.close()

    @property
    def has_unhandled_children(self) -> bool:
        """True while a child process is suspended and not handled yet."""
        return self.follower is not None and self.follower.has_unhandled_children
