"""What can be recorded here, and why not: of this machine, and of one process."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tracekmt.errors import UsageError
from tracekmt.objects.adapters import told_lines
from tracekmt.record.buffer.shared_buffer import SIZES, default_folder
from tracekmt.thunks.host import adapters
from tracekmt.thunks.library import Library, LibraryProcessDied

_CAP_SYS_PTRACE = 19
_ELF_MACHINES = {62: "x86-64", 3: "x86, 32 bits"}


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. ok: False is why something cannot be recorded; None is worth knowing."""

    what: str
    ok: bool | None
    found: str
    advice: str = ""


def examine_machine() -> Iterator[Check]:
    """What this machine can be recorded with, and replay on."""
    system = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    if sys.platform == "linux" and platform.machine() == "x86_64":
        yield Check("system", True, f"{system}: native x86-64 and x86 processes can be recorded")
    elif sys.platform == "win32":
        yield Check("system", None, f"{system}: written for it, and not yet run; --selftest tells")
        yield _frida()
        yield from _replay()
        return
    else:
        yield Check(
            "system", False, f"{system}: nothing can be recorded here yet", "traces are read and replayed anywhere"
        )
        return
    yield _frida()
    yield _attaching()
    yield _wine()
    yield from _memory(default_folder())
    if Path("/.dockerenv").exists() or Path("/run/.containerenv").exists():
        yield Check("container", None, "this is one: processes in it can be recorded")
    yield from _replay()


def _replay() -> Iterator[Check]:
    yield Check("replay", True, "on the simulator")
    try:
        library = Library(None)
    except UsageError as error:
        yield Check("replay", None, f"not on real thunks: {error}", "thunks:PATH takes a library that exports them")
        return
    try:
        yield Check("replay", True, f"on real thunks: {library.name}")
        for adapter in adapters(library):
            yield Check("adapter", None, ", ".join([str(adapter), *told_lines(adapter.told)]))
    except LibraryProcessDied as gone:
        yield Check("replay", False, f"{library.name} {gone}")
    finally:
        library.close()


def _frida() -> Check:
    asked = importlib.metadata.requires("tracekmt") or ()
    requirement = next(each for each in asked if each.startswith("frida"))
    try:
        version = importlib.metadata.version("frida")
    except importlib.metadata.PackageNotFoundError:
        return Check("frida", False, "is not installed", f"pip install '{requirement}'")
    if _numbers(version) < _numbers(requirement.partition(">=")[2]):
        return Check("frida", False, f"{version} is too old", f"pip install -U '{requirement}'")
    return Check("frida", True, version)


def _wine() -> Check:
    path = shutil.which("wine")
    if path is None:
        return Check("wine", None, "is not installed, so no Windows program can be started here")
    return Check("wine", True, f"{path}: Windows programs can be recorded; tracekmt record -- wine PROGRAM")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def _attaching() -> Check:
    scope = Path("/proc/sys/kernel/yama/ptrace_scope")
    value = scope.read_text().strip() if scope.exists() else "0"
    if _capable():
        return Check("attach", value != "3", f"may trace any process (ptrace_scope {value})")
    if value == "0":
        return Check("attach", True, "to processes of the same user")
    started = "programs that tracekmt starts can be recorded; " if value == "1" else ""
    found = f"Yama forbids it (ptrace_scope {value})"
    return Check("attach", None if value == "1" else False, found, f"{started}be root, or set {scope} to 0")


def _capable() -> bool:
    status = Path("/proc/self/status").read_text()
    (effective,) = (line.split()[1] for line in status.splitlines() if line.startswith("CapEff"))
    return bool(int(effective, 16) >> _CAP_SYS_PTRACE & 1)


def _memory(folder: Path) -> Iterator[Check]:
    if sys.platform == "win32":
        return
    room = os.statvfs(folder)
    free = room.f_bavail * room.f_frsize
    wanted = f"{free >> 20:,} MB free in {folder}, {SIZES[0] >> 20} MB are taken while recording"
    yield Check("memory", free >= SIZES[-1], wanted, "" if free >= SIZES[0] else "less is taken, which fills sooner")
    left = [path for path in folder.glob("tracekmt-*.spool") if not _lives(path)]
    if left:
        size = sum(path.stat().st_size for path in left)
        yield Check(
            "left behind",
            None,
            f"{len(left)} files of recorders that were killed, {size >> 20:,} MB in {folder}",
            "tracekmt recover FILE.spool -o FILE.kmt reads one; then remove it",
        )


def _lives(spool: Path) -> bool:
    """Whether the recorder that a file belongs to still runs; its name has the process id."""
    number = spool.name.split("-")[1]
    return number.isdigit() and Path(f"/proc/{number}").exists()


def examine_process(pid: int) -> Iterator[Check]:
    """What keeps a process from being recorded."""
    place = Path(f"/proc/{pid}")
    if not place.is_dir():
        yield Check("process", False, f"there is no process {pid}")
        return
    name = (place / "comm").read_text("utf-8", "replace").strip()
    try:
        program = os.readlink(place / "exe")
        mapped = (place / "maps").read_text("utf-8", "replace")
    except PermissionError:
        yield Check("process", False, f"{name} is another user's, or protected", "be the same user, or root")
        return
    except OSError:
        yield Check("process", False, f"{name} is a thread of the kernel, or has ended")
        return
    yield Check("process", True, f"{name}: {program}")
    yield _program(place / "exe", program)
    status = dict(line.split(":\t", 1) for line in (place / "status").read_text().splitlines() if ":\t" in line)
    tracer = status.get("TracerPid", "0").strip()
    if tracer != "0":
        yield Check("traced", False, f"process {tracer} traces it already", "end the debugger, or that recording")
    if status.get("Seccomp", "0").strip() == "2":
        yield Check("sandbox", None, "it filters its system calls (seccomp), which may end it when it is recorded")
    if os.stat(place / "ns" / "mnt").st_ino != os.stat("/proc/self/ns/mnt").st_ino:
        yield Check(
            "container",
            None,
            "it is in another mount namespace: its events come over Frida's connection, and what it did last before it "
            "is killed is gone",
            "record from inside of the container to keep that",
        )
    libraries = {
        Path(line.split(maxsplit=5)[5]).name for line in mapped.splitlines() if line.count(" ") and "/" in line
    }
    if "libdxcore.so" in libraries:
        yield Check("thunks", True, "libdxcore.so is loaded")
    elif "gdi32.dll" in libraries or "win32u.dll" in libraries:
        yield Check("thunks", True, "Wine's gdi32 or win32u is loaded")
    else:
        yield Check(
            "thunks", None, "libdxcore.so is not loaded, so far", "it is hooked when it is; --module names another"
        )


def _program(path: Path, name: str) -> Check:
    with path.open("rb") as file:
        head = file.read(20)
    if "wine" in Path(name).name and "preloader" in name:
        return Check(
            "program", False, "Wine's preloader, which attaching would kill", "start Wine with WINELOADERNOEXEC=1"
        )
    machine = int.from_bytes(head[18:20], "little") if head[:4] == b"\x7fELF" else None
    if machine not in _ELF_MACHINES:
        return Check("program", False, "neither an x86-64 nor an x86 program: others cannot be recorded")
    return Check("program", True, _ELF_MACHINES[machine])
