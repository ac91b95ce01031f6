"""Facts from /proc about this process, about children, and about a process that does not exist."""

from __future__ import annotations

import ctypes
import mmap
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.record.client import wait_for
from tests.skips import LINUX_PART
from tracekmt.record.process import proc

if sys.platform != "linux":
    pytest.skip(LINUX_PART, allow_module_level=True)

MISSING = 2**22 + 1
"""Above the largest process id of Linux."""


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    program = subprocess.Popen(["sleep", "100"], cwd="/usr", env={"NAME": "a=b", "EMPTY": ""})
    wait_for(lambda: proc.command_name(program.pid) == "sleep")
    yield program
    program.kill()
    program.wait()


def test_this_process() -> None:
    pid = os.getpid()
    assert proc.exists(pid)
    assert pid in proc.process_ids()
    assert os.path.samefile(proc.executable(pid), sys.executable)
    assert proc.owner_uid(pid) == os.getuid()
    assert proc.working_directory(pid) == str(Path.cwd())
    assert proc.tracer_pid(pid) == 0
    assert not proc.has_seccomp_filter(pid)
    assert proc.mount_namespace(pid) == proc.mount_namespace()
    assert proc.path_in_root(pid, "/etc").samefile("/etc")
    assert proc.zombie_status(pid) is None


def test_the_elf_header_of_this_process() -> None:
    program = Path(sys.executable).read_bytes()
    assert proc.elf_class(os.getpid()) == program[4]
    assert proc.elf_machine(os.getpid()) == int.from_bytes(program[18:20], "little")


def test_another_process(sleeper: subprocess.Popen[bytes]) -> None:
    assert proc.command_line(sleeper.pid) == [b"sleep", b"100", b""]
    assert proc.environment(sleeper.pid) == {b"NAME": b"a=b", b"EMPTY": b""}
    assert proc.working_directory(sleeper.pid) == "/usr"
    assert os.path.basename(proc.executable(sleeper.pid)) in (os.path.basename(os.path.realpath("/bin/sleep")), "sleep")


def test_a_traced_process(sleeper: subprocess.Popen[bytes]) -> None:
    seize = f"import ctypes, time; ctypes.CDLL(None).ptrace(0x4206, {sleeper.pid}, None, None); time.sleep(100)"
    tracer = subprocess.Popen([sys.executable, "-c", seize])
    try:
        wait_for(lambda: proc.tracer_pid(sleeper.pid) == tracer.pid)
    finally:
        tracer.kill()
        tracer.wait()


def test_memory_of_this_process() -> None:
    files = proc.mapped_files(os.getpid())
    assert any("/libc" in path or "/ld-musl" in path for path in files)
    assert "[stack]" in files
    memory = mmap.mmap(-1, mmap.PAGESIZE)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    ranges = proc.writable_ranges(os.getpid())
    assert ranges == sorted(ranges)
    assert any(start <= address < end for start, end in ranges)


def test_a_file_with_spaces_in_its_name_is_mapped(tmp_path: Path) -> None:
    path = tmp_path / "two words.bin"
    path.write_bytes(bytes(mmap.PAGESIZE))
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ):
        assert str(path) in proc.mapped_files(os.getpid())


@pytest.mark.parametrize(("command", "status"), [("exit 3", 3 << 8), ("kill -KILL $$", signal.SIGKILL)])
def test_a_zombie_keeps_its_status(command: str, status: int) -> None:
    program = subprocess.Popen(["sh", "-c", command])
    wait_for(lambda: proc.zombie_status(program.pid) is not None)
    assert proc.zombie_status(program.pid) == status
    program.wait()


def test_a_seccomp_filter() -> None:
    """PR_SET_NO_NEW_PRIVS and a filter that allows every system call."""
    program = (
        "import ctypes, struct, time\n"
        "libc = ctypes.CDLL(None)\n"
        "allow = ctypes.create_string_buffer(struct.pack('<HBBI', 6, 0, 0, 0x7FFF0000))\n"
        "class Program(ctypes.Structure): _fields_ = [('count', ctypes.c_ushort), ('filter', ctypes.c_void_p)]\n"
        "libc.prctl(38, 1, 0, 0, 0)\n"
        "print(libc.prctl(22, 2, ctypes.byref(Program(1, ctypes.addressof(allow))), 0, 0), flush=True)\n"
        "time.sleep(100)\n"
    )
    filtered = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    try:
        assert filtered.stdout is not None
        if filtered.stdout.readline() != b"0\n":
            pytest.skip("requires seccomp")
        assert proc.has_seccomp_filter(filtered.pid)
    finally:
        filtered.kill()
        filtered.communicate()


@pytest.mark.parametrize(
    "read",
    [
        proc.command_name,
        proc.command_line,
        proc.environment,
        proc.executable,
        proc.working_directory,
        proc.elf_class,
        proc.elf_machine,
        proc.mount_namespace,
        proc.owner_uid,
        proc.mapped_files,
        proc.writable_ranges,
        proc.tracer_pid,
        proc.has_seccomp_filter,
        proc.zombie_status,
    ],
    ids=lambda read: read.__name__,
)
def test_a_missing_process(read: Callable[[int], object]) -> None:
    assert not proc.exists(MISSING)
    with pytest.raises(OSError, match=str(MISSING)):
        read(MISSING)


def test_a_script_has_no_elf_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process never executes a script itself, so the header is replaced."""
    monkeypatch.setattr(proc, "_elf_header", lambda pid: b"#!/bin/sh\n")
    assert proc.elf_class(1) is None
    assert proc.elf_machine(1) is None


def test_wine_preloaders() -> None:
    assert proc.is_preloader("/usr/lib/wine/wine64-preloader")
    assert proc.is_preloader("/opt/wine/bin/wine-preloader")
    assert not proc.is_preloader("/usr/lib/wine/wine64")
    assert not proc.is_preloader("/opt/wine-preloader/wine")


def test_yama(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proc, "PTRACE_SCOPE", tmp_path / "ptrace_scope")
    assert proc.yama_scope() is None
    proc.PTRACE_SCOPE.write_text("1\n")
    assert proc.yama_scope() == "1"


def test_the_tracing_capability() -> None:
    setpriv = shutil.which("setpriv")
    if setpriv is None or os.geteuid() != 0:
        pytest.skip("requires root and setpriv")
    program = "from tracekmt.record.process import proc; print(proc.may_trace_any_process())"
    for options, expected in (([], "True"), (["--bounding-set=-sys_ptrace", "--inh-caps=-sys_ptrace"], "False")):
        argv = [setpriv, *options, sys.executable, "-c", program] if options else [sys.executable, "-c", program]
        result = subprocess.run(argv, check=True, capture_output=True, text=True)
        if not options and result.stdout.strip() == "False":
            pytest.skip("root has no CAP_SYS_PTRACE here")
        assert result.stdout.strip() == expected
