"""Measure the total speed of a replay on the simulator on one core.

    python benchmarks/replay.py [CALLS...]

For each number of calls the benchmark creates a trace on the simulator and replays it. The calls create and destroy
allocations and query video memory. In a second trace no call destroys an allocation, which shows the cost of live
objects.
"""

from __future__ import annotations

import random
import resource
import sys
import tempfile
import time
from pathlib import Path

import tracekmt
from tracekmt.simulator.model.allocation_size import sample_data

SIZES = (100_000, 1_000_000)


def make(path: Path, calls: int, *, keep: bool) -> None:
    """Create a trace of `calls` calls. With `keep` no call destroys an allocation."""
    rng = random.Random(6)
    simulator = tracekmt.Simulator()
    with tracekmt.create(path, machine=simulator.machine.settings()) as trace:

        def call(name: str, **inputs: object) -> dict[str, object]:
            outcome = simulator.call(f"D3DKMT{name}", inputs)
            trace.add(f"D3DKMT{name}", inputs, outcome.outputs, int(outcome.status))
            return dict(outcome.outputs)

        adapter = call("OpenAdapterFromLuid", AdapterLuid={"LowPart": 1})["hAdapter"]
        device = call("CreateDevice", hAdapter=adapter)["hDevice"]
        live_handles: list[object] = []
        for _ in range(calls - 2):
            choice = rng.random()
            if choice < 0.2:
                call("QueryVideoMemoryInfo", hAdapter=adapter)
            elif choice < 0.6 and live_handles and not keep:
                handle = live_handles.pop(rng.randrange(len(live_handles)))
                call("DestroyAllocation2", hDevice=device, phAllocationList=[handle])
            else:
                element = {"pPrivateDriverData": sample_data(4096, bytes(112))}
                outputs = call("CreateAllocation2", hDevice=device, pAllocationInfo2=[element])
                live_handles += [info["hAllocation"] for info in outputs["pAllocationInfo2"]]  # type: ignore[attr-defined]


def main(sizes: list[int]) -> None:
    """Run the benchmark."""
    with tempfile.TemporaryDirectory() as folder:
        for calls in sizes:
            for keep in (False, True):
                path = Path(folder) / "trace.kmt"
                make(path, calls, keep=keep)
                start = time.perf_counter()
                report = tracekmt.replay(path)
                seconds = time.perf_counter() - start
                peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
                scenario = "no object destroyed" if keep else "objects destroyed"
                print(
                    f"{calls:>9,} calls, {scenario:<20} {calls / seconds:>8,.0f} calls/s, peak {peak} MiB"
                    f"{'' if report.same else ', with DIFFERENCES'}",
                    flush=True,
                )
                path.unlink()


if __name__ == "__main__":
    main([int(argument) for argument in sys.argv[1:]] or list(SIZES))
