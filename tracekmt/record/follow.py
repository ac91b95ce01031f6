"""Follows a recorded program into other programs and processes: exec, children, and Wine's launcher."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any

import frida

from tracekmt.record.buffer.shared_buffer import SharedBuffer
from tracekmt.record.process.children import ChildWatcher, OnChild
from tracekmt.record.process.spawn import FOLLOW_SECONDS, requested_windows_program, spawn
from tracekmt.record.process.wine import (
    await_windows_program,
    is_same_program,
    windows_program,
    windows_programs,
)

if TYPE_CHECKING:
    from tracekmt.record.process.follower import FollowedProcess


class ProcessWatch:
    """Watches the exec and the children of one recorded process.

    Attributes:
        records_children: True if child processes are handed to `on_child`.
    """

    def __init__(self, device: Any, *, local: bool, children: ChildWatcher | None, on_child: OnChild | None) -> None:
        """Create the watch.

        Args:
            device: Frida's device of the process.
            local: True if the device is this machine. Processes elsewhere are not watched.
            children: A watcher shared with other recordings, None for an own one.
            on_child: Handler of each child process, which is suspended. None: children are not recorded.
        """
        self.records_children = on_child is not None
        self._device = device
        self._local = local
        self._children = (children or ChildWatcher(device)) if local else None
        self._is_own_watcher = children is None
        self._on_child = on_child
        self._followed: FollowedProcess | None = None

    def spawn(self, argv: Sequence[str]) -> int:
        """Start a program and return the id of the process to record, which is suspended."""
        follower = self._children.follower if self._children is not None else None
        return spawn(self._device, argv, local=self._local, follower=follower)

    def watch(self, pid: int, buffer: SharedBuffer | None, *, windows: bool) -> None:
        """Watch a process, before its hooks are placed.

        Args:
            pid: Id of the process.
            buffer: The buffer that it shares, None if it shares none. Then its execs are not followed.
            windows: True if the process is a Windows program.
        """
        if self._children is None:
            return
        if windows and self._on_child is not None:
            self._children.watch_windows(pid, self._on_child)
        elif not windows and buffer is not None:
            self._followed = self._children.watch(pid, buffer.control, self._on_child)

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


class LaunchedProgram:
    """A Windows program that Wine's launcher may start in another process."""

    def __init__(self, name: str, earlier_pids: Collection[int]) -> None:
        """Create the description.

        Args:
            name: File name of the program.
            earlier_pids: Windows programs that ran before it was started.
        """
        self._name = name
        self._earlier_pids = frozenset(earlier_pids)

    @classmethod
    def from_command(cls, argv: Sequence[str]) -> LaunchedProgram | None:
        """Return the Windows program that a command line is about to start, None if it starts no such program."""
        name = requested_windows_program(argv)
        return cls(name, windows_programs()) if name is not None else None

    def is_launcher(self, pid: int) -> bool:
        """Return True if a process is a Windows program other than this one."""
        running = windows_program(pid)
        return running is not None and not is_same_program(self._name, running)

    def await_process(self, launcher_pid: int, until: Callable[[], bool]) -> int | None:
        """Wait for the process of the program.

        Args:
            launcher_pid: Process of the launcher.
            until: Becomes True when the wait is to be given up.

        Returns:
            The process id, or None if `until` became True or `FOLLOW_SECONDS` passed first.
        """
        deadline = time.monotonic() + FOLLOW_SECONDS
        return await_windows_program(
            self._name,
            {*self._earlier_pids, launcher_pid},
            until=lambda: until() or time.monotonic() > deadline,
        )
