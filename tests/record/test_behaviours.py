"""A recorded program behaves as it does alone: it starts others, loads, ends and jumps in every way.

Each case runs alone first. Recorded, its output, its exit status and its children's statuses are the same, and the
trace has every call that the program counted.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import tracekmt
from tests.native import FOLDER, skip_without
from tests.record.client import wait_for
from tests.skips import LINUX_PART

REPEATS = 20 if "TRACEKMT_SOAK" in os.environ else 1
AT_ONCE = 2
TIMEOUT_SECONDS = 60

PLAIN_STARTS = ("posix_spawn", "posix_spawnp", "system", "popen", "fork_exit", "fork_exec", "vfork_exit", "vfork_exec")
RARE_STARTS = ("vfork_no_program", "clone", "clone_vm", "raw_fork", "no_program", "exec", "exec_thread")
THREADED = ("threads_posix_spawn", "threads_vfork_exec", "threads_fork_exec")
ENDS = (
    "exit",
    "_exit",
    "raw_exit",
    "raw_exit_group",
    "abort",
    "fault",
    "kill",
    "terminate",
    "pthread_exit",
    "close_range",
)
CASES = [
    *((start, "once", "return") for start in (*PLAIN_STARTS, *RARE_STARTS, *THREADED)),
    *(("none", load, "return") for load in ("reload", "bad_pointer", "longjmp", "throw")),
    *(("none", "once", end) for end in ENDS),
]
WAYS = [(way, is_32bit) for way in ("record", "children", "attach") for is_32bit in (False, True)]
if "TRACEKMT_SOAK" not in os.environ:
    WAYS.remove(("children", True))  # takes a minute and shares its code with the three other combinations

Build = Callable[[bool], Path]


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Builds the program and its library, once for each width."""
    built: dict[bool, Path] = {}

    def build(is_32bit: bool) -> Path:
        if is_32bit in built:
            return built[is_32bit]
        if sys.platform != "linux":
            pytest.skip(LINUX_PART)
        compiler = shutil.which("g++")
        if compiler is None:
            skip_without("g++, to build the test program with")
        folder = tmp_path_factory.mktemp("behaviours")
        command = [compiler, "-O1", *(["-m32"] if is_32bit else []), str(FOLDER / "behaviours.cpp")]
        library = [*command, "-DLIBRARY", "-shared", "-fPIC", "-o", str(folder / "libdxcore.so")]
        if subprocess.run(library, check=False, capture_output=True).returncode and is_32bit:
            skip_without("g++ for 32 bits")
        subprocess.run([*command, "-o", str(folder / "behaviours"), "-ldl", "-lpthread"], check=True)
        built[is_32bit] = folder
        return folder

    return build


def calls_of(output: str, start: str) -> int:
    """The calls that a program counted itself; one that became another counted ten before."""
    (count,) = re.findall(r"calls (\d+)\n", output)[-1:]
    return int(count) + (10 if start.startswith("exec") else 0)


def recorded(way: str, folder: Path, words: list[str], trace: Path) -> tuple[str, int]:
    """Record the program. Return its output, and the recorder's exit status or that of an attached program."""
    program = [str(folder / "behaviours"), str(folder / "libdxcore.so"), *words]
    command = [sys.executable, "-m", "tracekmt", "record", "-o", str(trace)]
    if way != "attach":
        more = ["--children"] if way == "children" else []
        done = subprocess.run(
            [*command, *more, "--", *program], capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False
        )
        return done.stdout, done.returncode
    begin = trace.with_suffix(".begin")
    environment = {**os.environ, "BEGIN": str(begin)}
    running = subprocess.Popen(program, stdout=subprocess.PIPE, text=True, env=environment)
    recorder = subprocess.Popen([*command, "-p", str(running.pid)], stderr=subprocess.PIPE, text=True)
    wait_for(trace.exists)
    begin.touch()
    output, _ = running.communicate(timeout=TIMEOUT_SECONDS)
    recorder.communicate(timeout=TIMEOUT_SECONDS)
    return output, shell_status(running.returncode)


def shell_status(code: int) -> int:
    return code if code >= 0 else 128 - code


@pytest.mark.parametrize(
    ("way", "is_32bit"), WAYS, ids=[f"{way}-{'x86' if is_32bit else 'x64'}" for way, is_32bit in WAYS]
)
@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_a_recorded_program_behaves_as_it_does_alone(
    build: Build, tmp_path: Path, case: tuple[str, str, str], way: str, is_32bit: bool
) -> None:
    folder, words = build(is_32bit), list(case)
    alone = subprocess.run(
        [folder / "behaviours", folder / "libdxcore.so", *words], capture_output=True, text=True, check=False
    )
    expected = (alone.stdout, shell_status(alone.returncode))

    def once(number: int) -> None:
        trace = tmp_path / f"{number}.kmt"
        assert recorded(way, folder, words, trace) == expected
        with tracekmt.open(trace) as opened:
            assert (len(opened), opened.lost) == (calls_of(alone.stdout, case[0]), 0)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(once, range(REPEATS)))
