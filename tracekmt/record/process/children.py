"""Handles exec and child processes of recorded processes. Each is suspended until it is recorded or resumed."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import frida

if TYPE_CHECKING:
    from tracekmt.record.process.follower import FollowedProcess, ProcessFollower

OnChild = Callable[[int], None]
"""Handles one child process, by its id. The child is suspended until the call returns."""


class ChildWatcher:
    """Watches processes of one device.

    Attributes:
        follower: Starts and follows processes on Linux. None where Frida starts programs.
    """

    def __init__(self, device: Any) -> None:
        self._device = device
        self.follower: ProcessFollower | None = None
        if sys.platform == "linux" and device.type == "local":
            from tracekmt.record.process.follower import ProcessFollower  # ptrace is Linux's

            self.follower = ProcessFollower()

    def watch(
        self,
        pid: int,
        control: memoryview[int],
        on_child: OnChild | None = None,
        is_child_to_record: Callable[[int], bool] = lambda pid: True,
    ) -> FollowedProcess | None:
        """Follow a process. The arguments are those of FollowedProcess."""
        if self.follower is None:
            return None
        return self.follower.follow(pid, control, on_child, is_child_to_record)

    def unwatch(self, pid: int) -> None:
        """Stop following a process, before its buffer is closed."""
        if self.follower is not None:
            self.follower.unfollow(pid)

    def resume(self, pid: int) -> None:
        """Resume a suspended process."""
        if self.follower is not None:
            self.follower.resume(pid)
            return
        with contextlib.suppress(frida.InvalidArgumentError, frida.ProcessNotFoundError, frida.InvalidOperationError):
            self._device.resume(pid)

    def close(self) -> None:
        """Stop watching."""
        if self.follower is not None:
            self.follower.close()

    @property
    def has_unhandled_children(self) -> bool:
        """True while a child process is suspended and not handled yet."""
        return self.follower is not None and self.follower.has_unhandled_children
