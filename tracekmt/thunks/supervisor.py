"""A process between a replay and the process of a library, on Linux. It ends all that the library leaves behind."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

_SET_PARENT_DEATH_SIGNAL, _SET_CHILD_SUBREAPER = 1, 36
"""PR_SET_PDEATHSIG and PR_SET_CHILD_SUBREAPER of prctl(2)."""

_END_SECONDS = 2
"""Time to end the descendants of a library. A library that always creates more of them is left alone then."""


def continue_in_child() -> None:
    """Continue in a child process. This process waits for its end, and then ends all processes that it has left.

    A daemon becomes a child of this process when its parent ends. The function returns in the child only. This process
    exits like the child: with its status, or by its signal.
    """
    if sys.platform != "linux":
        raise NotImplementedError
    prctl = ctypes.CDLL(None).prctl
    prctl(_SET_CHILD_SUBREAPER, 1)
    prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGTERM)
    # Ctrl-C is for the replay, which then destroys the objects of the library.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    child = os.fork()
    if child == 0:
        prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
        return
    signal.signal(signal.SIGTERM, lambda number, frame: os.kill(child, signal.SIGKILL))
    for descriptor in (0, 1):
        os.close(descriptor)
    status = _wait_for(child)
    _end_descendants()
    if os.WIFSIGNALED(status):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if os.WTERMSIG(status) != signal.SIGKILL:
            signal.signal(os.WTERMSIG(status), signal.SIG_DFL)
        os.kill(os.getpid(), os.WTERMSIG(status))
    os._exit(os.WEXITSTATUS(status))


def _wait_for(child: int) -> int:
    """Return the wait status of the child. Daemons that end before it are reaped."""
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == child:
            return status


def _end_descendants() -> None:
    if sys.platform != "linux":
        raise NotImplementedError
    deadline = time.monotonic() + _END_SECONDS
    while time.monotonic() < deadline:
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        if not children:
            return
        for pid in map(int, children):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(pid, 0)
