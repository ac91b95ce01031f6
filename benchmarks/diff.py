"""Measure speed and memory of comparing two traces on one core.

    python benchmarks/diff.py [CALLS...]

For each number of calls and each scenario the benchmark creates a trace on the simulator, and replays it with one
injected failure. A separate process compares the trace and the outcome trace. In the second scenario no call destroys
an allocation, and in the third mapped ranges stay too, which shows the cost of live objects. The fourth is like that of
a compute client; see `replay.py`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from replay import make

import tracekmt

SIZES = (10_000, 100_000, 1_000_000)
FAILURES = {
    "objects destroyed": "D3DKMTQueryVideoMemoryInfo@10=STATUS_NO_MEMORY",
    "no object destroyed": "D3DKMTQueryVideoMemoryInfo@10=STATUS_NO_MEMORY",
    "GPU ranges stay": "D3DKMTMakeResident@10=STATUS_NO_MEMORY",
    "compute client": "D3DKMTMakeResident@10=STATUS_NO_MEMORY",
}
COMPARE = """
import sys, time, tracekmt
from memory import peak_mib
start = time.perf_counter()
report = tracekmt.diff(*sys.argv[1:])
seconds = time.perf_counter() - start
peak = peak_mib()
print(f"{report.calls.compared / seconds:>10,.0f} calls/s {peak:>6,} MB, {report.differing} differ")
"""


def main(sizes: list[int]) -> None:
    """Run the benchmark."""
    with tempfile.TemporaryDirectory() as folder:
        for calls in sizes:
            for scenario, failure in FAILURES.items():
                trace, outcome = Path(folder) / "a.kmt", Path(folder) / "b.kmt"
                make(trace, calls, scenario)
                tracekmt.replay(trace, faults=[failure], output=outcome, force=True)
                run = [sys.executable, "-c", COMPARE, str(trace), str(outcome)]
                environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
                printed = subprocess.run(run, check=True, capture_output=True, text=True, env=environment).stdout
                print(f"{calls:>10,} calls, {scenario:<20}", printed, end="", flush=True)
                trace.unlink()


if __name__ == "__main__":
    main([int(word) for word in sys.argv[1:]] or list(SIZES))
