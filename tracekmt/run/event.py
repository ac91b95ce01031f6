"""Events of programs on Linux: an eventfd. Its descriptor takes the place of a handle (WSL2-Linux-Kernel)."""

from __future__ import annotations

import ctypes
import os
import sys

_PIDFD_GETFD = 438
_ONE = (1).to_bytes(8, "little")


def signal_event(pid: int, descriptor: int) -> None:
    """Signal an event of a process. A process that has ended, or closed the event, has no use for it."""
    if sys.platform != "linux":
        raise NotImplementedError
    try:
        process = os.pidfd_open(pid)
    except OSError:
        return
    try:
        event = ctypes.CDLL(None, use_errno=True).syscall(_PIDFD_GETFD, process, descriptor, 0)
        if event >= 0:
            try:
                os.write(event, _ONE)
            finally:
                os.close(event)
    except OSError:  # not an event
        return
    finally:
        os.close(process)
