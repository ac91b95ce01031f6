"""Finds the process to record: its machine, its id, and the properties that decide how it can be attached to."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path
from typing import Any

import frida

from tracekmt.errors import RecordError, UsageError
from tracekmt.record.process import proc, windows_process
from tracekmt.system import wine_version

POLL_SECONDS = 0.02
LOADING_SECONDS = 2.0
"""Time limit for a new process to map its C library."""

NEW_SECONDS = 0.15
"""Age below which a process may still load its libraries, on a busy machine."""

TRACER_SECONDS = 2.0
"""Time limit for a short-lived tracer to detach, such as Wine's server."""


def open_device(host: str | None = None) -> Any:
    """Return Frida's device for this machine, or for the machine where frida-server answers.

    Args:
        host: HOST or HOST:PORT of that machine, None for this one.

    Raises:
        UsageError: No frida-server answers.
    """
    if host is None:
        return frida.get_local_device()
    device = frida.get_device_manager().add_remote_device(host)
    try:
        device.query_system_parameters()
    except frida.NotSupportedError:
        pass  # a Frida portal: it does not describe its system, but has processes
    except Exception as error:
        raise UsageError(
            f"no frida-server answers on {host} ({error}); start frida-server -l 0.0.0.0 there, version "
            f"{frida.__version__}"
        ) from None
    return device


def find_process(device: Any, name: str) -> int:
    """Return the id of the one process of this name.

    Raises:
        UsageError: No process has the name, or several have it.
    """
    pids = _pids_by_name(device, name)
    if not pids:
        raise UsageError(f"there is no process {name}; -w {name} waits for one")
    if len(pids) > 1:
        raise UsageError(f"there are {len(pids)} processes {name}: choose one with -p {', -p '.join(map(str, pids))}")
    return pids[0]


def await_process(device: Any, name: str) -> int:
    """Wait for the next process of this name to start and return its id."""
    earlier_pids = set(_pids_by_name(device, name))
    while not (new_pids := [pid for pid in _pids_by_name(device, name) if pid not in earlier_pids]):
        time.sleep(POLL_SECONDS)
    if device.type == "local":
        await_libc(new_pids[0])
    return new_pids[0]


def is_this_process(pid: int) -> bool:
    """Return True for the id of the calling process."""
    return pid == os.getpid()


def check_injection(device: Any) -> None:
    """Refuse to load an agent into another process of a Windows under Wine.

    Frida's injector looks for code of Microsoft's ntdll. Without it, it ends the calling process (Frida 17.26).

    Raises:
        RecordError: Frida cannot load an agent there.
    """
    wine = wine_version()
    if device.type == "local" and wine is not None:
        raise RecordError(
            f"cannot record another process under Wine {wine}: Frida's injector needs Microsoft's ntdll;\n"
            "run tracekmt on the host of Wine, or record this process with tracekmt.recording"
        )


def has_libc(pid: int) -> bool:
    """Return True if a process of this machine has mapped its C library, so that an agent can be loaded into it."""
    try:
        files = proc.mapped_files(pid)
    except OSError:
        return True  # attaching reports the reason
    return any("/libc" in path or "/ld-musl" in path for path in files)


def await_libc(pid: int) -> None:
    """Wait until a new process has mapped its C library. An agent injected before that would end the process."""
    deadline = time.monotonic() + LOADING_SECONDS
    while not has_libc(pid) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS / 10)
    time.sleep(POLL_SECONDS)


def await_loaded(pid: int) -> None:
    """Wait until a new process has loaded its libraries.

    Frida's loader calls libc. In a process that was still loading it, that ended the process once in 1,300 attaches.
    """
    deadline = time.monotonic() + LOADING_SECONDS
    with contextlib.suppress(OSError):  # attaching reports the reason
        while (proc.age(pid) < NEW_SECONDS or not has_libc(pid)) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)


def await_no_tracer(pid: int) -> None:
    """Wait until no other process traces this one.

    A process can have one tracer only. An attempt to attach beside another tracer leaves the process broken.

    Raises:
        RecordError: Another process still traces it after `TRACER_SECONDS`.
    """
    deadline = time.monotonic() + TRACER_SECONDS
    while (tracer := _tracer(pid)) and time.monotonic() < deadline:
        time.sleep(0.01)
    if tracer:
        raise RecordError(
            f"cannot record process {pid}: process {tracer} traces it (a debugger, or Wine's server); end that first"
        )


def _tracer(pid: int) -> int:
    try:
        return proc.tracer_pid(pid)
    except OSError:
        return 0


def shares_filesystem(pid: int, path: Path) -> bool:
    """Return True if a process of this machine finds our file at the same path.

    Args:
        pid: The process, which may be in another mount namespace or have another root.
        path: Absolute path of the file.
    """
    if sys.platform == "win32":
        return True
    try:
        if proc.mount_namespace(pid) == proc.mount_namespace():
            return True
        return os.path.samestat(proc.path_in_root(pid, str(path)).stat(), path.stat())
    except FileNotFoundError:
        return False
    except OSError:
        return True  # unknown, and the agent reports a file that it cannot open


def is_32bit(pid: int) -> bool:
    """Return True if a process of this machine has 32 bits."""
    if sys.platform == "win32":
        return windows_process.is_wow64(pid)
    try:
        return proc.elf_class(pid) == proc.ELF_CLASS_32
    except OSError:
        return False


def process_exists(pid: int) -> bool:
    """Return True if this machine has a running process with this id."""
    return windows_process.is_running(pid) if sys.platform == "win32" else proc.exists(pid)


def owner_uid(pid: int) -> int:
    """Return the user id of the owner of a process of this machine.

    Raises:
        RecordError: The process does not exist.
    """
    try:
        return proc.owner_uid(pid)
    except OSError:
        raise RecordError(f"there is no process {pid}") from None


def process_name(device: Any, pid: int) -> str:
    """Return the name of a process, or its id as text if the device does not list it."""
    try:
        return next((str(process.name) for process in device.enumerate_processes() if process.pid == pid), str(pid))
    except frida.ServerNotRunningError:
        return str(pid)


def attach_error_message(pid: int, error: Exception) -> str:
    """Return the reason why Frida could not attach to a process, and the remedy if there is one."""
    match error:
        case frida.ProcessNotFoundError():
            return f"there is no process {pid}"
        case frida.PermissionDeniedError():
            scope = proc.yama_scope() if sys.platform != "win32" else None
            if sys.platform != "win32" and scope not in (None, "0") and os.geteuid() != 0:
                return (
                    f"cannot record process {pid}: the system forbids attaching "
                    f"(Yama: {proc.PTRACE_SCOPE} is {scope}); "
                    "be root, set it to 0, or start the program with tracekmt record -- PROGRAM"
                )
            return (
                f"cannot record process {pid}: the system forbids attaching; be the same user or root (CAP_SYS_PTRACE)"
            )
    return f"cannot record process {pid}: {agent_error(error)}"


def agent_error(error: Exception) -> str:
    """Return the first line of an error that Frida reports, without the agent's stack."""
    return (str(error).splitlines() or [type(error).__name__])[0].removeprefix("Error: ")


def _pids_by_name(device: Any, name: str) -> list[int]:
    # Windows file names ignore case, also under Wine.
    normalize = str.lower if name.lower().endswith(".exe") else str
    return [int(process.pid) for process in device.enumerate_processes() if normalize(process.name) == normalize(name)]
