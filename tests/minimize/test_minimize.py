"""Traces that become small, and still show what they showed."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tracekmt
from tests.minimize.workload import PLANTS, Plant, Workload, double_free, refused_lock, write_trace
from tests.native import FOLDER, compile_library, skip_without
from tests.record.client import wait_for
from tests.skips import LINUX_PART
from tracekmt.errors import UsageError
from tracekmt.minimize.goal import CommandGoal, FindingGoal, Target
from tracekmt.minimize.minimize import minimize

Command = Callable[..., subprocess.CompletedProcess[str]]
SIMULATOR = Target("simulator")
CALLS = 300
MOST_CALLS = 12


def first_cause(trace: Path, **settings: Any) -> tuple[str, str | None, str | None]:
    findings = [finding for finding in tracekmt.replay(trace, **settings).findings if finding.counts]
    return findings[0].call, findings[0].recorded, findings[0].replayed


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.__name__)
def test_a_planted_difference_stays(plant: Plant, tmp_path: Path) -> None:
    trace, small = write_trace(tmp_path / "trace.kmt", CALLS, plant, plant.__name__), tmp_path / "small.kmt"
    result = minimize(trace, small, FindingGoal(trace, SIMULATOR, None, None))
    assert result.calls <= MOST_CALLS < result.calls_before
    assert not result.keeps_values
    assert first_cause(small) == first_cause(trace)
    with tracekmt.open(small) as opened:
        assert len(opened) == result.calls
        assert len(opened.threads) == 1
        with tracekmt.open(trace) as original:
            for call in opened.calls():
                assert call.name == original[call.index].name, "an index is that of the original"


def test_a_finding_that_depends_on_many_calls(tmp_path: Path) -> None:
    """Memory runs out at a call, because of many others. Those that matter stay."""
    trace = write_trace(tmp_path / "trace.kmt", CALLS, refused_lock, 1)
    settings = {"profile": "wddm1", "video_memory": "1MB"}
    goal = FindingGoal(trace, Target("simulator", settings), None, None)
    result = minimize(trace, tmp_path / "small.kmt", goal)
    assert first_cause(tmp_path / "small.kmt", **settings)[2] == "STATUS_GRAPHICS_NO_VIDEO_MEMORY"
    assert result.calls <= MOST_CALLS


def test_values_become_simple(tmp_path: Path) -> None:
    trace, small = write_trace(tmp_path / "trace.kmt", 20, double_free, 3), tmp_path / "small.kmt"
    minimize(trace, small, FindingGoal(trace, SIMULATOR, None, None))
    with tracekmt.open(small) as opened:
        creates = [call.inputs for call in opened.calls() if call.name == "D3DKMTCreateAllocation2"]
        destroys = [call.inputs for call in opened.calls() if call.name == "D3DKMTDestroyAllocation2"]
    assert len(creates) == 1
    assert isinstance(creates[0], dict)
    (element,) = creates[0]["pAllocationInfo2"]
    assert element["pPrivateDriverData"] in (b"", None)
    assert [isinstance(call, dict) and call["AllocationCount"] for call in destroys] == [1, 1]


def test_a_difference_between_two_targets(tmp_path: Path) -> None:
    """Both targets find the plant. Only one has little memory."""
    trace, small = write_trace(tmp_path / "trace.kmt", CALLS, refused_lock, 5), tmp_path / "small.kmt"
    tight = Target("simulator", {"video_memory": "0"})
    result = minimize(trace, small, FindingGoal(trace, tight, SIMULATOR, None))
    assert result.calls <= MOST_CALLS
    assert first_cause(small, **tight.settings)[0] == "D3DKMTCreateAllocation2"
    assert tracekmt.replay(small).same


def test_what_cannot_be_kept_is_an_error(tmp_path: Path) -> None:
    trace = write_trace(tmp_path / "trace.kmt", CALLS, refused_lock, 5)
    with pytest.raises(UsageError, match="finds no difference at call 0, so nothing can be kept"):
        FindingGoal(trace, SIMULATOR, None, 0)
    with pytest.raises(UsageError, match="finds no difference, so nothing can be kept"):
        FindingGoal(trace, SIMULATOR, SIMULATOR, None)
    for command, message in (
        (sys.executable, "expected a command with {} for the trace"),
        (f"{sys.executable} -c exit(1) {{}}", "does not end with status 0 for the whole trace"),
        ("'{}", "invalid --until"),
        ("no-such-program {}", "cannot run no-such-program"),
    ):
        with pytest.raises(UsageError, match=message):
            CommandGoal(trace, command)


def test_a_command_of_the_user(command: Command, tmp_path: Path) -> None:
    trace, small, script = write_trace(tmp_path / "t.kmt", 60, refused_lock, 9), tmp_path / "s.kmt", tmp_path / "has.py"
    script.write_text(
        "import sys, tracekmt\n"
        "names = [call.name for call in tracekmt.open(sys.argv[1]).calls()]\n"
        "sys.exit('D3DKMTCreateKeyedMutex' not in names)\n"
    )
    run = command("minimize", trace, "-o", small, "--until", f"{sys.executable} {script} {{}}")
    assert run.returncode == 0, run.stderr
    with tracekmt.open(small) as opened:
        assert [call.name for call in opened.calls()] == ["D3DKMTCreateKeyedMutex"]


@pytest.mark.skipif(sys.platform == "win32", reason=LINUX_PART)
@pytest.mark.parametrize("plant", [double_free, refused_lock], ids=lambda plant: plant.__name__)
def test_the_reproducer_shows_it(plant: Plant, command: Command, tmp_path: Path) -> None:
    if shutil.which("gcc") is None:
        skip_without("gcc")
    trace, small, source = write_trace(tmp_path / "t.kmt", 60, plant, 2), tmp_path / "s.kmt", tmp_path / "s.c"
    run = command("minimize", trace, "-o", small, "--reproducer", source)
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines()[1] == f"{source}: it shows the difference"


def test_on_a_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The third creation fails on a library. Two more are left, and nothing that they do not need."""
    library = compile_library(tmp_path / "libkernel.so", FOLDER / "kernel.c")
    monkeypatch.setenv("KERNEL_DO", "CreateAllocation2:3:c01e0100")
    trace, small = tmp_path / "t.kmt", tmp_path / "s.kmt"
    with tracekmt.create(trace) as builder:
        work = Workload(builder, random.Random(1), threads=1)
        del work.devices[1:]
        for _ in range(6):
            work.allocate()
            work.destroy()
    result = minimize(trace, small, FindingGoal(trace, Target(f"thunks:{library}"), None, None))
    with tracekmt.open(small) as opened:
        names = [call.name.removeprefix("D3DKMT") for call in opened.calls()]
    assert names == ["OpenAdapterFromLuid", "CreateDevice", *["CreateAllocation2"] * 3]
    assert result.calls == 5


@pytest.mark.skipif(sys.platform == "win32", reason=LINUX_PART)
def test_an_interrupted_reduction_keeps_the_best(tmp_path: Path) -> None:
    trace, small, log = write_trace(tmp_path / "t.kmt", 60, refused_lock, 9), tmp_path / "s.kmt", tmp_path / "log"
    script = tmp_path / "slow.py"
    script.write_text(f"import sys, time\nopen({str(log)!r}, 'a').write('x')\ntime.sleep(0.2)\n")
    words = ["minimize", str(trace), "-o", str(small), "--until", f"{sys.executable} {script} {{}}"]
    run = subprocess.Popen([sys.executable, "-m", "tracekmt", *words], stdout=subprocess.PIPE, text=True)
    wait_for(lambda: log.exists() and len(log.read_text()) > 4, 60)
    os.kill(run.pid, signal.SIGINT)
    printed, _ = run.communicate(timeout=60)
    assert run.returncode == 0
    assert "stopped" in printed
    with tracekmt.open(small) as opened, tracekmt.open(trace) as original:
        assert 0 < len(opened) < len(original)


def test_existing_files_and_the_source_are_kept(command: Command, tmp_path: Path) -> None:
    trace = write_trace(tmp_path / "t.kmt", 10, refused_lock, 1)
    before = trace.read_bytes()
    for words in (("-o", trace), ("-o", tmp_path / "s.kmt", "--reproducer", trace)):
        run = command("minimize", trace, *words)
        assert run.returncode == 2
        assert trace.read_bytes() == before
    assert json.dumps(sorted(path.name for path in tmp_path.iterdir())) == '["t.kmt"]'
