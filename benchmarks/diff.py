"""Measure speed and memory of comparing two traces on one core.

    python benchmarks/diff.py [CALLS...]

For each number of calls the benchmark creates a trace on the simulator and replays it with one injected failure. A
separate process compares the trace and the outcome trace.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from replay import make

import tracekmt

SIZES = (100_000, 1_000_000)
FAILURE = "D3DKMTQueryVideoMemoryInfo@10=STATUS_NO_MEMORY"
COMPARE = """
import resource, sys, time, tracekmt
start = time.perf_counter()
report = tracekmt.diff(*sys.argv[1:])
seconds = time.perf_counter() - start
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
print(f"{report.calls.compared / seconds:>10,.0f} calls/s {peak:>6,} MB, {report.differing} differ")
"""


def main(sizes: list[int]) -> None:
    """Run the benchmark."""
    with tempfile.TemporaryDirectory() as folder:
        for calls in sizes:
            trace, outcome = Path(folder) / "a.kmt", Path(folder) / "b.kmt"
            make(trace, calls, "objects destroyed")
            tracekmt.replay(trace, faults=[FAILURE], output=outcome, force=True)
            run = [sys.executable, "-c", COMPARE, str(trace), str(outcome)]
            print(f"{calls:>10,} calls", subprocess.run(run, check=True, capture_output=True, text=True).stdout, end="")
            trace.unlink()


if __name__ == "__main__":
    main([int(word) for word in sys.argv[1:]] or list(SIZES))
