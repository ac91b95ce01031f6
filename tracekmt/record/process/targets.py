"""Where the process to record is: on which machine, under which number, and whether it shares our files."""

from __future__ import annotations

import ctypes
import os
import sys
import time
from pathlib import Path
from typing import Any

import frida

from tracekmt.errors import RecordError, UsageError

LOOK_SECONDS = 0.02
LOADING_SECONDS = 2.0
PROCESS_QUERY_LIMITED_INFORMATION = 0x1000


def open_device(host: str | None = None) -> Any:
    """Frida's access to this machine, or to the one where frida-server answers at HOST or HOST:PORT."""
    if host is None:
        return frida.get_local_device()
    device = frida.get_device_manager().add_remote_device(host)
    try:
        device.query_system_parameters()
    except frida.NotSupportedError:
        pass  # a portal, which has processes all the same
    except Exception as error:
        raise UsageError(
            f"{host}: no frida-server answers there ({error}); start frida-server -l 0.0.0.0 on it, of version "
            f"{frida.__version__}"
        ) from None
    return device


def find_process(device: Any, name: str) -> int:
    """The number of the one process of that name; UsageError where there is none, or more than one."""
    found = _named(device, name)
    if not found:
        raise UsageError(f"there is no process {name}; -w {name} waits for one")
    if len(found) > 1:
        raise UsageError(f"there are {len(found)} processes {name}: choose one with -p {', -p '.join(map(str, found))}")
    return found[0]


def await_process(device: Any, name: str) -> int:
    """Wait for the next process of that name that begins; its number."""
    before = set(_named(device, name))
    while not (fresh := [pid for pid in _named(device, name) if pid not in before]):
        time.sleep(LOOK_SECONDS)
    if device.type == "local":
        await_loading(fresh[0])
    return fresh[0]


def has_loaded(pid: int) -> bool:
    """Whether a process of this machine has come so far that an agent can be loaded into it."""
    try:
        maps = Path(f"/proc/{pid}/maps").read_text("utf-8", "replace")
    except OSError:
        return True  # which attaching tells
    return "/libc" in maps or "/ld-musl" in maps


def await_loading(pid: int) -> None:
    """Let a process that has only begun come to itself: an agent in the middle of its loading would end it."""
    until = time.monotonic() + LOADING_SECONDS
    while not has_loaded(pid) and time.monotonic() < until:
        time.sleep(LOOK_SECONDS / 10)
    time.sleep(LOOK_SECONDS)


def shares_filesystem(pid: int, path: Path) -> bool:
    """Whether a process of this machine, which may have another root, finds our file under the same name."""
    if sys.platform == "win32":
        return True
    try:
        if os.readlink(f"/proc/{pid}/ns/mnt") == os.readlink("/proc/self/ns/mnt"):
            return True
        return os.path.samestat(os.stat(f"/proc/{pid}/root{path}"), path.stat())
    except FileNotFoundError:
        return False
    except OSError:
        return True  # what cannot be looked at is told when the process cannot open the file


def is_32bit(pid: int) -> bool:
    """Whether a process of this machine has 32 bits."""
    if sys.platform == "win32":
        return _is_wow64(pid)
    try:
        with open(f"/proc/{pid}/exe", "rb") as program:
            return program.read(5) == b"\x7fELF\x01"
    except OSError:
        return False


def _is_wow64(pid: int) -> bool:
    """Whether Windows runs a process in its 32-bit half (IsWow64Process; not yet run on Windows)."""
    if sys.platform != "win32":
        return False
    kernel = ctypes.WinDLL("kernel32")
    kernel.OpenProcess.restype = ctypes.c_void_p
    process = ctypes.c_void_p(kernel.OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION, False, pid))
    narrow = ctypes.c_int(0)
    try:
        return bool(kernel.IsWow64Process(process, ctypes.byref(narrow)) and narrow.value)
    finally:
        kernel.CloseHandle(process)


def tracer(pid: int) -> int:
    """Who traces a process of this machine: a debugger, or Wine's server for a moment; 0 for nobody."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return int(status.partition("TracerPid:")[2].split(maxsplit=1)[0])


def owner(pid: int) -> int:
    """The user whose process this is."""
    try:
        return os.stat(f"/proc/{pid}").st_uid
    except OSError:
        raise RecordError(f"there is no process {pid}") from None


def name_of(device: Any, pid: int) -> str:
    """What a process is called; its number where nobody knows."""
    try:
        return next((str(each.name) for each in device.enumerate_processes() if each.pid == pid), str(pid))
    except frida.ServerNotRunningError:
        return str(pid)


def attach_error_message(pid: int, error: Exception) -> str:
    """Why a process cannot be recorded, and what to do about it."""
    match error:
        case frida.ProcessNotFoundError():
            return f"there is no process {pid}"
        case frida.PermissionDeniedError():
            scope = Path("/proc/sys/kernel/yama/ptrace_scope")
            if sys.platform != "win32" and scope.exists() and scope.read_text().strip() != "0" and os.geteuid() != 0:
                return (
                    f"process {pid}: the system forbids attaching (Yama, {scope} is {scope.read_text().strip()}); "
                    "be root, set it to 0, or start the program with: tracekmt record -- PROGRAM"
                )
            return f"process {pid}: the system forbids attaching; be the same user or root (CAP_SYS_PTRACE)"
    return f"process {pid} cannot be recorded: {agent_error(error)}"


def agent_error(error: Exception) -> str:
    """What the agent said, without its stack."""
    return (str(error).splitlines() or [type(error).__name__])[0].removeprefix("Error: ")


def _named(device: Any, name: str) -> list[int]:
    # Windows does not tell capitals in file names, wherever its programs run.
    same = str.lower if name.lower().endswith(".exe") else str
    return [int(each.pid) for each in device.enumerate_processes() if same(each.name) == same(name)]
