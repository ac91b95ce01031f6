"""Starts a program under a parent process that reports how the program ends.

Frida waits for the threads that it traces, and traces a process once more while that ends. A program that is a child
of the recorder lost its exit status to Frida in 17 of 240 ends by SIGTERM (Frida 17.26).
"""

from __future__ import annotations

import os
import signal
import struct
import sys
from collections.abc import Mapping, Sequence
from typing import NoReturn

_CANNOT_EXECUTE = 127
_PID = struct.Struct("<i")


class StartedProgram:
    """A started program. It waits for `begin` before it executes.

    Attributes:
        pid: Process id of the program.
    """

    pid: int
    _begin: int
    _report: int
    _parent: int

    def __init__(self, program: str, argv: Sequence[str], environment: Mapping[str, str]) -> None:
        if sys.platform == "win32":
            raise NotImplementedError
        ready, self._begin = os.pipe()
        self._report, report = os.pipe()
        self._parent = os.fork()
        if self._parent == 0:
            os.close(self._begin)
            _be_parent(program, argv, environment, ready, report)
        os.close(ready)
        os.close(report)
        (self.pid,) = _PID.unpack(os.read(self._report, _PID.size))
        os.set_blocking(self._report, False)

    def begin(self) -> None:
        """Let the program execute."""
        os.close(self._begin)

    def wait_status(self) -> int | None:
        """Return the wait status of the program, None while it runs. Raise EOFError if its parent was killed."""
        try:
            data = os.read(self._report, _PID.size)
        except BlockingIOError:
            return None
        os.close(self._report)
        os.waitpid(self._parent, 0)
        if not data:
            raise EOFError
        return int(_PID.unpack(data)[0])


def _be_parent(program: str, argv: Sequence[str], environment: Mapping[str, str], ready: int, report: int) -> NoReturn:
    """Start the program, and report its process id and its wait status."""
    if sys.platform == "win32":
        raise NotImplementedError
    try:
        os.setsid()  # Ctrl-C in the terminal ends the recording, not the program
        pid = os.fork()
        if pid == 0:
            _execute(program, argv, environment, ready)
        os.write(report, _PID.pack(pid))
        # No file of the recorder stays open here. The program's own output ends when the program ends.
        os.closerange(0, report)
        os.closerange(report + 1, os.sysconf("SC_OPEN_MAX"))
        _, status = os.waitpid(pid, 0)
        os.write(report, _PID.pack(status))
    finally:
        os._exit(0)


def _execute(program: str, argv: Sequence[str], environment: Mapping[str, str], ready: int) -> NoReturn:
    """Execute a program in a forked child, once it is traced."""
    if sys.platform == "win32":
        raise NotImplementedError
    status = _CANNOT_EXECUTE
    try:
        os.setsid()
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them
            signal.signal(number, signal.SIG_DFL)
        os.read(ready, 1)
        os.execve(program, list(argv), dict(environment))  # noqa: S606 (no shell is wanted)
    except OSError as error:
        status = error.errno or status
    finally:
        os._exit(status)
