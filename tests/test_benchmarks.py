"""The benchmarks still run; how fast anything is they say, and no test."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.native import skip_without
from tests.skips import LINUX_PART


def test_the_trace_benchmark_runs() -> None:
    script = Path(__file__).parent.parent / "benchmarks" / "trace.py"
    done = subprocess.run([sys.executable, script, "300"], capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split("  ")[0] for line in done.stdout.splitlines()][:2] == ["300 calls", "write and seal"]


def test_the_benchmark_of_comparing_runs() -> None:
    script = Path(__file__).parent.parent / "benchmarks" / "diff.py"
    done = subprocess.run([sys.executable, script, "300"], capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.rstrip().endswith("MB, 1 differ")


@pytest.mark.skipif(sys.platform != "linux", reason=LINUX_PART)
def test_the_benchmark_of_thunks_runs() -> None:
    if shutil.which("gcc") is None:
        skip_without("gcc, to build a library of thunks")
    script = Path(__file__).parent.parent / "benchmarks" / "thunks.py"
    done = subprocess.run([sys.executable, script, "100"], capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    assert all(line.endswith("calls/s") for line in lines), "a call differs"
