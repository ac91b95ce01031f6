"""Checks what this machine can record and replay, and what prevents the recording of one process."""

from __future__ import annotations

import importlib.metadata
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tracekmt import core
from tracekmt.doctor.leftovers import leftover_buffers
from tracekmt.errors import UsageError
from tracekmt.objects.adapters import answer_lines
from tracekmt.plural import plural
from tracekmt.record.buffer.shared_buffer import SIZES, default_folder
from tracekmt.record.process import proc
from tracekmt.record.process.targets import is_32bit, process_exists
from tracekmt.system import describe_system, machine, wine_version
from tracekmt.thunks.host import list_adapters
from tracekmt.thunks.library import Library
from tracekmt.thunks.process import LibraryProcessDied

_ELF_MACHINES = {proc.ELF_MACHINE_X86_64: "x86-64", proc.ELF_MACHINE_X86: "x86, 32 bits"}
_CONTAINER_FILES = ("/.dockerenv", "/run/.containerenv")
_YAMA_CHILDREN_ONLY, _YAMA_NEVER = "1", "3"


@dataclass(frozen=True)
class Check:
    """Result of one check.

    Attributes:
        name: What was checked.
        ok: False if the finding prevents a recording or a replay. None if it is only worth knowing.
        finding: The finding.
        advice: The remedy, if there is one.
    """

    name: str
    ok: bool | None
    finding: str
    advice: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the check as JSON data."""
        return {"what": self.name, "ok": self.ok, "found": self.finding, "advice": self.advice}


def examine_machine() -> Iterator[Check]:
    """Yield the checks of this machine."""
    version = ".".join(map(str, sys.version_info[:3]))
    system = f"{sys.platform} {machine()}, Python {version}"
    if sys.platform == "linux" and machine() == "x86_64":
        yield Check("system", True, f"{system}: native x86-64 and x86 processes can be recorded")
    elif sys.platform == "win32":
        yield from _windows(system)
        yield _frida()
        yield _core()
        yield from _buffer_folder(default_folder())
        yield from _replay_targets()
        return
    else:
        yield Check(
            "system", False, f"{system}: recording is not supported", "traces can be read and replayed on any system"
        )
        return
    yield _frida()
    yield _core()
    yield _attaching()
    yield _wine()
    yield from _buffer_folder(default_folder())
    if any(Path(path).exists() for path in _CONTAINER_FILES):
        yield Check("container", None, "tracekmt runs in a container and can record the processes in it")
    yield from _replay_targets()


def _windows(system: str) -> Iterator[Check]:
    wine = wine_version()
    if wine is None:
        advice = "tracekmt was never run on Microsoft's Windows: send the result of --selftest -o FILE.zip"
        yield Check("system", None, f"{describe_system()}, {system}", advice)
        return
    yield Check("system", True, f"{system}, under Wine {wine}: this process can be recorded")
    yield Check(
        "attach",
        False,
        "to no other process: Frida's injector needs Microsoft's ntdll",
        "run tracekmt on the host of Wine, or record this process with tracekmt.recording",
    )


def _replay_targets() -> Iterator[Check]:
    yield Check("replay", True, "on the simulator")
    try:
        library = Library(None)
    except UsageError as error:
        yield Check(
            "replay", None, f"not on real thunks: {error}", "replay --on thunks:PATH takes a library that exports them"
        )
        return
    try:
        yield Check("replay", True, f"on real thunks: {library.name}")
        for adapter in list_adapters(library):
            yield Check("adapter", None, ", ".join([str(adapter), *answer_lines(adapter.answers)]))
    except LibraryProcessDied as error:
        yield Check("replay", False, f"{library.name} {error}")
    finally:
        library.close()


def _frida() -> Check:
    try:
        requirements = importlib.metadata.requires("tracekmt") or ()
    except importlib.metadata.PackageNotFoundError:  # a checkout that is not installed
        requirements = ()
    requirement = next((requirement for requirement in requirements if requirement.startswith("frida")), "frida")
    try:
        version = importlib.metadata.version("frida")
    except importlib.metadata.PackageNotFoundError:
        return Check("frida", False, "Frida is not installed", f"pip install '{requirement}'")
    if _version_numbers(version) < _version_numbers(requirement.partition(">=")[2]):
        return Check("frida", False, f"{version} is too old", f"pip install -U '{requirement}'")
    return Check("frida", True, version)


def _core() -> Check:
    if core.CORE is not None:
        return Check("core", True, "native, writes recorded calls to the trace")
    return Check(
        "core", None, "Python", "install a C compiler, then tracekmt again, to record fast programs with less work"
    )


def _version_numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def _wine() -> Check:
    path = shutil.which("wine")
    if path is None:
        return Check("wine", None, "Wine is not installed, so Windows programs cannot be started here")
    return Check("wine", True, f"{path}: Windows programs can be recorded with tracekmt record -- wine PROGRAM")


def _attaching() -> Check:
    scope = proc.yama_scope() or "0"
    if proc.may_trace_any_process():
        return Check("attach", scope != _YAMA_NEVER, f"to any process (ptrace_scope {scope})")
    if scope == "0":
        return Check("attach", True, "to processes of the same user")
    children_only = scope == _YAMA_CHILDREN_ONLY
    advice = "programs that tracekmt starts can be recorded; " if children_only else ""
    return Check(
        "attach",
        None if children_only else False,
        f"forbidden by Yama (ptrace_scope {scope})",
        f"{advice}be root, or set {proc.PTRACE_SCOPE} to 0",
    )


def _buffer_folder(folder: Path) -> Iterator[Check]:
    free = shutil.disk_usage(folder).free
    finding = f"{free >> 20:,} MB free in {folder}, a recording takes {SIZES[0] >> 20} MB"
    advice = "" if free >= SIZES[0] else "the buffer is smaller then and fills sooner"
    yield Check("memory", free >= SIZES[-1], finding, advice)
    leftovers = leftover_buffers(folder)
    if leftovers:
        size = sum(leftover.size for leftover in leftovers)
        yield Check(
            "left behind",
            None,
            f"{plural(len(leftovers), 'leftover buffer')} from killed recorders ({size >> 20:,} MB in {folder})",
            "read one with tracekmt recover FILE.spool -o FILE.kmt; tracekmt doctor --clean removes all",
        )


def examine_process(pid: int) -> Iterator[Check]:
    """Yield the checks of a process, up to the first one that makes the others impossible."""
    if not process_exists(pid):
        yield Check("process", False, f"there is no process {pid}")
        return
    if sys.platform == "win32":
        yield Check("process", None, f"process {pid} runs", "record it to see whether Windows allows that")
        yield Check("program", True, "an x86 program under WOW64" if is_32bit(pid) else "an x64 program")
        return
    name = proc.command_name(pid)
    try:
        program = proc.executable(pid)
        files = proc.mapped_files(pid)
    except PermissionError:
        yield Check("process", False, f"{name} belongs to another user, or is protected", "be the same user, or root")
        return
    except OSError:
        yield Check("process", False, f"{name} is a kernel thread, or has ended")
        return
    yield Check("process", True, f"{name}: {program}")
    yield _program(pid, program)
    yield from _restrictions(pid)
    yield _thunks({Path(path).name for path in files})


def _program(pid: int, program: str) -> Check:
    if proc.is_preloader(program):
        return Check(
            "program",
            False,
            "started through Wine's preloader, and would not survive hooks",
            "start Wine with WINELOADERNOEXEC=1",
        )
    elf_machine = proc.elf_machine(pid)
    if elf_machine not in _ELF_MACHINES:
        return Check("program", False, "neither an x86-64 nor an x86 program, others cannot be recorded")
    return Check("program", True, _ELF_MACHINES[elf_machine])


def _restrictions(pid: int) -> Iterator[Check]:
    tracer = proc.tracer_pid(pid)
    if tracer:
        yield Check("traced", False, f"process {tracer} traces it already", "end the debugger, or that recording")
    if proc.has_seccomp_filter(pid):
        yield Check("sandbox", None, "filters its system calls (seccomp), which may end it when it is recorded")
    if proc.mount_namespace(pid) != proc.mount_namespace():
        yield Check(
            "container",
            None,
            "in another mount namespace: events use Frida's connection, and its last calls are lost if it is killed",
            "record inside the container to keep them",
        )


def _thunks(libraries: set[str]) -> Check:
    if "libdxcore.so" in libraries:
        return Check("thunks", True, "libdxcore.so is loaded")
    if "gdi32.dll" in libraries or "win32u.dll" in libraries:
        return Check("thunks", True, "Wine's gdi32 or win32u is loaded")
    return Check(
        "thunks",
        None,
        "libdxcore.so is not loaded yet",
        "it is hooked as soon as it is loaded; --module names another library",
    )
