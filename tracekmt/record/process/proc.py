"""Facts about the processes of this machine, read from /proc (Linux).

Every function that takes a process id raises OSError if the process has ended or may not be inspected.
"""

from __future__ import annotations

import os
from pathlib import Path

PTRACE_SCOPE = Path("/proc/sys/kernel/yama/ptrace_scope")

ELF_MAGIC = b"\x7fELF"
ELF_CLASS_32 = 1
ELF_MACHINE_X86 = 3
ELF_MACHINE_X86_64 = 62
_ELF_HEADER_SIZE = 20
"""Bytes up to e_machine, the last field that is read here."""

_CAP_SYS_PTRACE = 19
_SECCOMP_FILTER = "2"


def process_ids() -> list[int]:
    """Return the ids of all processes that this process can see."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def exists(pid: int) -> bool:
    """Return True if there is a process with this id."""
    return Path(f"/proc/{pid}").is_dir()


def command_name(pid: int) -> str:
    """Return the kernel's name of a process, at most 15 characters."""
    return Path(f"/proc/{pid}/comm").read_text("utf-8", "replace").strip()


def command_line(pid: int) -> list[bytes]:
    """Return the arguments of a process. The last item is empty."""
    return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")


def environment(pid: int) -> dict[bytes, bytes]:
    """Return the environment that a process started with."""
    entries = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return dict(entry.split(b"=", 1) for entry in entries if b"=" in entry)


def executable(pid: int) -> str:
    """Return the path of the program file that a process executes."""
    return os.readlink(f"/proc/{pid}/exe")


def working_directory(pid: int) -> str:
    """Return the current directory of a process."""
    return os.readlink(f"/proc/{pid}/cwd")


def path_in_root(pid: int, path: str) -> Path:
    """Return the path under which this process finds a file that another process calls `path`."""
    return Path(f"/proc/{pid}/root{path}")


def is_preloader(program: str) -> bool:
    """Return True if a program file is Wine's preloader (wine-preloader, wine64-preloader)."""
    return os.path.basename(program).endswith("-preloader")


def elf_class(pid: int) -> int | None:
    """Return the ELF class of the program of a process: 1 for 32 bits, 2 for 64 bits, None for other files."""
    header = _elf_header(pid)
    return header[len(ELF_MAGIC)] if header[: len(ELF_MAGIC)] == ELF_MAGIC and len(header) > len(ELF_MAGIC) else None


def elf_machine(pid: int) -> int | None:
    """Return the ELF machine number of the program of a process, None for other files."""
    header = _elf_header(pid)
    return int.from_bytes(header[18:20], "little") if header[: len(ELF_MAGIC)] == ELF_MAGIC else None


def _elf_header(pid: int) -> bytes:
    with open(f"/proc/{pid}/exe", "rb") as program:
        return program.read(_ELF_HEADER_SIZE)


def mount_namespace(pid: int | str = "self") -> str:
    """Return the identity of the mount namespace of a process, by default of this one."""
    return os.readlink(f"/proc/{pid}/ns/mnt")


def read_memory(pid: int, address: int, size: int) -> bytes:
    """Return memory of a process."""
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        memory.seek(address)
        return memory.read(size)


def owner_uid(pid: int) -> int:
    """Return the user id of the owner of a process."""
    return os.stat(f"/proc/{pid}").st_uid


def mapped_files(pid: int) -> set[str]:
    """Return the paths of the files that a process maps, including pseudo-paths such as [heap]."""
    columns = (line.split(maxsplit=5) for line in _maps(pid))
    return {path[0] for _, _, _, _, _, *path in columns if path}


def writable_ranges(pid: int) -> list[tuple[int, int]]:
    """Return the start and end of every mapping that a process may read and write, in ascending order."""
    columns = (line.split(None, 2)[:2] for line in _maps(pid))
    spans = (span.split("-") for span, permissions in columns if permissions[:2] == "rw")
    return [(int(start, 16), int(end, 16)) for start, end in spans]


def _maps(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/maps").read_text("utf-8", "replace").splitlines()


def tracer_pid(pid: int) -> int:
    """Return the id of the process that traces a process, 0 without one."""
    return int(_status(pid).get("TracerPid", "0"))


def process_of(tid: int) -> int:
    """Return the id of the process of a thread, 0 if the thread has ended."""
    try:
        return int(_status(tid).get("Tgid", "0"))
    except OSError:
        return 0


def is_running(pid: int) -> bool:
    """Return True if a process exists and has threads that have not ended."""
    try:
        return _status(pid).get("State", "Z")[0] not in "ZX" or len(thread_ids(pid)) > 1
    except OSError:
        return False


def thread_ids(pid: int) -> list[int]:
    """Return the ids of the threads of a process. An ended main thread is listed while others run."""
    return [int(name) for name in os.listdir(f"/proc/{pid}/task")]


def has_thread(pid: int, tid: int) -> bool:
    """Return True if a process has a thread with this id."""
    return Path(f"/proc/{pid}/task/{tid}").exists()


def has_seccomp_filter(pid: int) -> bool:
    """Return True if a process filters its system calls (seccomp mode 2)."""
    return _status(pid).get("Seccomp") == _SECCOMP_FILTER


def may_trace_any_process() -> bool:
    """Return True if this process has CAP_SYS_PTRACE."""
    return bool(int(_status("self").get("CapEff", "0"), 16) >> _CAP_SYS_PTRACE & 1)


def _status(pid: int | str) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text("utf-8", "replace").splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def zombie_status(pid: int) -> int | None:
    """Return the wait status of a process that has ended and whose parent has not waited for it yet, else None."""
    state, *_, status = _stat(pid)
    return int(status) if state == "Z" else None


def age(pid: int) -> float:
    """Return the seconds since a process was created. The kernel counts in steps of 10 ms."""
    uptime = float(Path("/proc/uptime").read_text("ascii").split()[0])
    return uptime - int(_stat(pid)[_START_TIME]) / _TICKS


_START_TIME, _TICKS = 19, 100
"""Place of the start time in the fields of `_stat`, and its units in a second (USER_HZ of Linux on x86)."""


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat after the command name, which may contain spaces and parentheses."""
    return Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()


def yama_scope() -> str | None:
    """Return Yama's restriction of attaching ("0" to "3"), None on a kernel without Yama."""
    return PTRACE_SCOPE.read_text("utf-8").strip() if PTRACE_SCOPE.exists() else None
