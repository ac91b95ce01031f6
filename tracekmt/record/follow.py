"""Follows a recorded program into other programs and processes: exec, children, and Wine's launcher."""

from __future__ import annotations

import contextlib
import queue
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import frida

from tracekmt.record.buffer.shared_buffer import SharedBuffer
from tracekmt.record.process.children import ChildWatcher, OnChild
from tracekmt.record.process.spawn import LAUNCHER, requested_windows_program, spawn
from tracekmt.record.process.targets import is_this_process
from tracekmt.record.process.wine import is_part_of_wine, is_same_program, windows_program

if TYPE_CHECKING:
    from tracekmt.record.process.follower import FollowedProcess


class ProcessWatch:
    """Watches the exec and the children of one recorded process."""

    def __init__(self, device: Any, *, local: bool, children: ChildWatcher | None, on_child: OnChild | None) -> None:
        """Create the watch.

        Args:
            device: Frida's device of the process.
            local: True if the device is this machine. Processes elsewhere are not watched.
            children: A watcher shared with other recordings, None for an own one.
            on_child: Handler of each child process, which is suspended. None: children are not recorded.
        """
        self._device = device
        self._local = local
        self._children = (children or ChildWatcher(device)) if local else None
        self._is_own_watcher = children is None
        self._on_child = on_child
        self._requested_program: str | None = None
        self._launched: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._followed: FollowedProcess | None = None

    def spawn(self, argv: Sequence[str]) -> int:
        """Start a program and return the id of the process to record, which is suspended."""
        follower = self._children.follower if self._children is not None else None
        self._requested_program = requested_windows_program(argv)
        return spawn(self._device, argv, local=self._local, follower=follower)

    def watch(self, pid: int, buffer: SharedBuffer | None) -> None:
        """Watch a process, before its hooks are placed.

        Args:
            pid: Id of the process.
            buffer: The buffer that it shares, None if it shares none. Then it is not followed.
        """
        if self._children is None or buffer is None or is_this_process(pid):
            return
        if self._on_child is None and self._requested_program is not None:
            self._followed = self._children.watch(
                pid, buffer.control, self._launched.put, lambda child: self._is_launched(pid, child)
            )
        else:
            self._followed = self._children.watch(
                pid, buffer.control, self._on_child, lambda child: not is_part_of_wine(child)
            )

    def _is_launched(self, launcher: int, child: int) -> bool:
        """Return True if a launcher's child is the Windows program of the command line, or launches it in turn."""
        requested, parent, program = self._requested_program, windows_program(launcher), windows_program(child)
        if requested is None or parent is None or program is None or is_same_program(requested, parent):
            return False
        return program == LAUNCHER or is_same_program(requested, program)

    def take_launched(self) -> int | None:
        """Return the suspended process of the requested Windows program, if Wine's launcher has started it there.

        If children are recorded, that process is a child like any other.
        """
        with contextlib.suppress(queue.Empty):
            return self._launched.get_nowait()
        return None

    def unwatch(self) -> None:
        """Stop watching the process, before its buffer is closed."""
        if self._children is not None and self._followed is not None:
            self._children.unwatch(self._followed.pid)

    @property
    def has_executed(self) -> bool:
        """True if the process has executed another program, which is suspended."""
        return self._followed is not None and self._followed.replaced.is_set()

    def resume(self, pid: int) -> None:
        """Resume a suspended process."""
        if self._children is not None:
            self._children.resume(pid)
        else:
            with contextlib.suppress(frida.InvalidArgumentError):  # it had to be resumed to load the agent
                self._device.resume(pid)

    def exit_of(self, pid: int) -> int | None:
        """Return the wait status of a program that was started here, None if that is unknown."""
        follower = self._children.follower if self._children is not None else None
        return follower.exit_of(pid) if follower is not None else None

    def close(self) -> None:
        """Stop watching. A shared watcher stays open, because children may still have to be handled."""
        if self._children is not None and self._is_own_watcher:
            self._children.close()
