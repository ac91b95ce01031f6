"""Windows programs under Wine: identifies their processes, waits for new ones and suspends them.

Frida's child gating never resumes a child that is a Windows program (seen with Wine 8.0 and 10.0). New Windows programs
are therefore found by polling. A new program needs Wine's server to proceed, so the server is suspended while hooks are
placed in the program.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Collection, Iterator

from tracekmt.record.process import proc
from tracekmt.record.process.targets import await_libc

POLL_SECONDS = 0.004

WINE_SERVICES = frozenset(
    f"{name}.exe"
    for name in (
        "conhost", "explorer", "plugplay", "rpcss", "services", "start", "svchost", "tabtip", "wineboot",
        "winedevice", "winemenubuilder", "wineconsole",
    )
)  # fmt: skip
"""Programs that Wine starts for itself beside a user's program."""


def windows_program(pid: int) -> str | None:
    """Return the file name of the Windows program that a process runs or is about to run, in lower case.

    Wine's loader gets the program as its first argument and moves it to the front later.

    Returns:
        The file name, or None for a process that is not Wine's.
    """
    try:
        arguments = proc.command_line(pid)
        loader = os.path.basename(proc.executable(pid))
    except OSError:
        return None
    if not loader.startswith("wine") or loader.startswith("wineserver") or not arguments[0]:
        return None
    first = os.fsdecode(arguments[0])
    is_loader = not first.lower().endswith(".exe") and os.path.basename(first).startswith("wine")
    return file_name(os.fsdecode(arguments[1]) if is_loader and len(arguments) > 1 else first)


def file_name(path: str) -> str:
    """Return the file name of a Windows or Unix path, in lower case."""
    return path.replace("\\", "/").rpartition("/")[2].lower()


def is_same_program(requested: str, running: str) -> bool:
    """Return True if a running program's file name is the requested one, with or without the .exe ending."""
    return requested in (running, running.removesuffix(".exe"))


def windows_programs() -> dict[int, str]:
    """Return the file name of every Windows program on this machine, by process id."""
    names = {pid: windows_program(pid) for pid in proc.process_ids()}
    return {pid: name for pid, name in names.items() if name is not None}


def await_windows_program(name: str, known_pids: Collection[int], *, until: Callable[[], bool]) -> int | None:
    """Wait for a new process that runs a Windows program.

    Args:
        name: File name of the program.
        known_pids: Processes that do not count as new.
        until: Becomes True when the wait is to be given up.

    Returns:
        The id of the new process, or None if `until` became True first.
    """
    while not until():
        for pid, running in windows_programs().items():
            if pid not in known_pids and is_same_program(name, running):
                return pid
        time.sleep(POLL_SECONDS)
    return None


@contextlib.contextmanager
def server_suspended(pid: int) -> Iterator[None]:
    """Suspend the Wine server of a new process. The process cannot proceed far without its server."""
    if sys.platform == "win32":
        yield
        return
    server = _server_pid(pid)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if server is not None:
            os.kill(server, signal.SIGSTOP)
    try:
        await_libc(pid)
        yield
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if server is not None:
                os.kill(server, signal.SIGCONT)


def server_directory(pid: int) -> str | None:
    """Return the name of the directory of a process's Wine server, which identifies its prefix.

    Wine derives the name from the device and inode of the prefix directory.

    Returns:
        The directory name, or None if the environment or the prefix of the process cannot be read.
    """
    try:
        variables = proc.environment(pid)
        home = os.fsdecode(variables.get(b"HOME", b""))
        prefix = os.fsdecode(variables.get(b"WINEPREFIX") or f"{home}/.wine".encode())
        status = proc.path_in_root(pid, prefix).stat()
    except OSError:
        return None
    return f"server-{status.st_dev:x}-{status.st_ino:x}"


def runs_behind_preloader(pid: int) -> bool:
    """Return True if a process was started through Wine's preloader."""
    try:
        return proc.is_preloader(proc.executable(pid))
    except OSError:
        return False


def _server_pid(pid: int) -> int | None:
    """Return the id of the Wine server that a process is connected to."""
    directory = server_directory(pid)
    for candidate in proc.process_ids() if directory is not None else ():
        with contextlib.suppress(OSError):
            program = os.path.basename(proc.executable(candidate))
            if program.startswith("wineserver") and os.path.basename(proc.working_directory(candidate)) == directory:
                return candidate
    return None
