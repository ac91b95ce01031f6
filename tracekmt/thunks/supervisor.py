"""A process between a replay and the process of a library, on Linux. It ends all that the library leaves behind."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import struct
import sys
import time
from contextlib import suppress
from pathlib import Path

_SET_PARENT_DEATH_SIGNAL, _SET_CHILD_SUBREAPER = 1, 36
"""PR_SET_PDEATHSIG and PR_SET_CHILD_SUBREAPER of prctl(2)."""

_SET_NO_NEW_PRIVS, _SET_SECCOMP, _SECCOMP_MODE_FILTER = 38, 22, 2
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050001
"""SECCOMP_RET_ALLOW, and SECCOMP_RET_ERRNO with EPERM, of seccomp(2)."""

_TRACING_CALLS = {0xC000003E: (101, 311), 0x40000003: (26, 348)}
"""AUDIT_ARCH_X86_64 and AUDIT_ARCH_I386, each with its numbers of ptrace and process_vm_writev."""

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
        _refuse_tracing()
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


def _refuse_tracing() -> None:
    """Make ptrace and process_vm_writev fail in this process and its children. They could stop or change the replay.

    A kernel without seccomp filters leaves them.
    """
    filters = [struct.pack("<HBBI", _LOAD, 0, 0, 4)]  # the architecture
    for architecture, numbers in _TRACING_CALLS.items():
        filters += [
            struct.pack("<HBBI", _JUMP_IF_EQUAL, 0, len(numbers) + 3, architecture),
            struct.pack("<HBBI", _LOAD, 0, 0, 0),  # the number of the system call
            *(struct.pack("<HBBI", _JUMP_IF_EQUAL, len(numbers) - at, 0, number) for at, number in enumerate(numbers)),
            struct.pack("<HBBI", _RETURN, 0, 0, _ALLOW),
            struct.pack("<HBBI", _RETURN, 0, 0, _REFUSE),
        ]
    filters.append(struct.pack("<HBBI", _RETURN, 0, 0, _ALLOW))
    code = ctypes.create_string_buffer(b"".join(filters))
    program = ctypes.create_string_buffer(struct.pack("@HP", len(filters), ctypes.addressof(code)))  # sock_fprog
    prctl = ctypes.CDLL(None).prctl
    prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    prctl(_SET_SECCOMP, _SECCOMP_MODE_FILTER, program)


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
