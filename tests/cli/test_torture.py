"""Torture of a program with planted bugs: each is found, with a command that repeats it."""

from __future__ import annotations

import contextlib
import json
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tracekmt
from tests.native import FOLDER, skip_without
from tests.skips import LINUX_PROGRAMS
from tracekmt.torture.cases import choose_cases, statuses_of
from tracekmt.trace.reader import Trace

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason=LINUX_PROGRAMS)

CREATE = "D3DKMTCreateAllocation2"


@pytest.fixture(scope="module")
def fragile(native: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Return the command line of the program with planted bugs."""
    compiler = shutil.which("gcc")
    if compiler is None:
        skip_without("gcc, to build the test programs with")
    program = tmp_path_factory.mktemp("fragile") / "fragile"
    subprocess.run([compiler, "-O1", "-Wall", "-Wextra", "-o", program, FOLDER / "fragile.c", "-ldl"], check=True)
    return [str(program), str(native / "libdxcore.so")]


@pytest.fixture(scope="module")
def tortured(fragile: list[str], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any, int]:
    """Return the folder of a torture, its results and its exit status."""
    folder = tmp_path_factory.mktemp("torture") / "folder"
    words = [
        sys.executable,
        "-m",
        "tracekmt",
        "torture",
        "--json",
        "--limit",
        "4s",
        "--cases",
        "200",
        "--jobs",
        "2",
        "-o",
        str(folder),
    ]
    done = subprocess.run([*words, "--", *fragile], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return folder, json.loads(done.stdout), done.returncode


def test_every_planted_bug_is_found(tortured: tuple[Path, Any, int]) -> None:
    _, data, status = tortured
    assert status == 1
    outcomes: dict[str, set[tuple[str, str]]] = {}
    for case in data["cases"]:
        outcomes.setdefault(case["function"], set()).add((case["outcome"], " ".join(case["leaks"])))
    assert outcomes == {
        "D3DKMTOpenAdapterFromLuid": {("ended", "")},
        "D3DKMTCreateDevice": {("ended", "adapter")},
        CREATE: {("crashed", "adapter device")},
        "D3DKMTDestroyAllocation2": {("went on", "")},  # the device takes it along
        "D3DKMTDestroyDevice": {("hung", "adapter device")},
        "D3DKMTCloseAdapter": {("went on", "adapter")},
    }
    details = {case["function"]: case["detail"] for case in data["cases"]}
    assert details["D3DKMTCreateDevice"] == "with status 3"
    assert details[CREATE] == "SIGSEGV"
    assert sum(data["outcomes"].values()) == len(data["cases"])


def test_each_status_fails_at_the_first_the_middle_and_the_last_call(tortured: tuple[Path, Any, int]) -> None:
    _, data, _ = tortured
    cases = [(case["occurrence"], case["status"]) for case in data["cases"] if case["function"] == CREATE]
    assert sorted(cases) == sorted((n, status) for n in (1, 2, 3) for status in statuses_of(CREATE))
    assert len(statuses_of(CREATE)) > 4


def test_a_case_is_repeated_by_its_command(tortured: tuple[Path, Any, int]) -> None:
    folder, data, _ = tortured
    case = next(case for case in data["cases"] if case["function"] == CREATE)
    assert case["last_calls"][-1] == f"#2 {CREATE} = {case['status']}"
    for _ in range(3):
        words = [sys.executable, "-m", *shlex.split(case["command"])]
        assert subprocess.run(words, capture_output=True, check=False).returncode == 128 + 11
        with tracekmt.open(case["trace"]) as trace:
            assert [call.index for call in trace.calls() if call.injection is not None] == [2]
    assert "crashed SIGSEGV" in (folder / "report.html").read_text("utf-8")


def test_no_program_is_left(tortured: tuple[Path, Any, int], fragile: list[str]) -> None:
    words = [word.encode() for word in fragile]
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            assert path.read_bytes().split(b"\0")[:2] != words


def test_few_cases_have_every_function(tortured: tuple[Path, Any, int]) -> None:
    folder, _, _ = tortured
    with Trace(folder / "baseline.kmt") as trace:
        assert len({case.function for case in choose_cases(trace, (), 6)}) == 6
        assert {case.function for case in choose_cases(trace, ["Create*"], 99)} == {"D3DKMTCreateDevice", CREATE}


def test_the_table(
    command: Callable[..., subprocess.CompletedProcess[str]], fragile: list[str], tmp_path: Path
) -> None:
    words = ["torture", "--functions", "CreateAllocation2", "--functions", "CreateDevice", "--cases", "4", "-o", "new"]
    result = command(*words, "--", *fragile)
    assert (result.returncode, result.stderr) == (1, "")
    lines = [line.split() for line in result.stdout.splitlines()]
    assert [CREATE, "2", "2", "2"] in lines
    assert ["D3DKMTCreateDevice", "2", "2", "2"] in lines
    assert "    the same in 1 other case: 3" in result.stdout.splitlines()
    assert result.stdout.splitlines()[-2:] == ["4 cases: 2 crashed, 2 ended", "new/report.html has all of them"]
    again = command(*words, "--", *fragile)
    assert (again.returncode, again.stderr) == (2, "tracekmt: cannot create new: File exists\n")


def test_a_program_without_calls(command: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    result = command("torture", "--", "true")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("tracekmt: cannot torture true: no call was recorded")


def test_a_killed_torture_ends_its_recorders_and_programs(fragile: list[str], tmp_path: Path) -> None:
    """The program hangs, so nothing else ends it."""
    options = ["--functions", "*DestroyDevice", "-o", str(tmp_path / "folder")]
    torture = subprocess.Popen(
        [sys.executable, "-m", "tracekmt", "torture", *options, "--", *fragile], stderr=subprocess.PIPE, text=True
    )
    assert wait_for(lambda: list((tmp_path / "folder").glob("001.kmt")))
    assert wait_for(lambda: running(fragile[0]))
    torture.terminate()
    _, printed = torture.communicate(timeout=60)
    assert (torture.returncode, printed.strip()) == (2, "tracekmt: interrupted")
    assert wait_for(lambda: not running(fragile[0]))


def running(program: str) -> list[int]:
    """Return the processes that name a program on their command line."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if program.encode() in (folder / "cmdline").read_bytes().split(b"\0"):
                found.append(int(folder.name))
    return found


def wait_for(condition: Callable[[], Any]) -> bool:
    deadline = time.monotonic() + 60
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return bool(condition())
