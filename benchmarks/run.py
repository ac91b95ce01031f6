"""Measure programs on the simulator: calls a second of one thread, and of eight threads.

    python benchmarks/run.py

The program is tests/native/simulated.c. It creates fences, signals them, waits for them and destroys them.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import tracekmt
from tests.native import compile_simulated

RUNS = 3


def calls_a_second(program: Path, library: Path, trace: Path, threads: int) -> float:
    """Run the program once."""
    options = ["--module", library.name, "--force", "--output", str(trace)]
    words = [sys.executable, "-m", "tracekmt", "run", *options, "--", str(program), str(library), "calls", str(threads)]
    subprocess.run(words, check=True, stderr=subprocess.DEVNULL)
    with tracekmt.open(trace) as opened:
        calls = list(opened.calls())[2:]  # without the start
        first, last = calls[0].enter, calls[-1].leave
        assert last is not None
        return len(calls) / ((last.time - first.time) / 1e9)


def main() -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as folder:
        program, library = compile_simulated(Path(folder))
        for threads in (1, 8):
            rates = [calls_a_second(program, library, Path(folder) / "run.kmt", threads) for _ in range(RUNS)]
            print(f"{threads} thread{'s' * (threads > 1)}: {min(rates):,.0f} to {max(rates):,.0f} calls a second")


if __name__ == "__main__":
    main()
