"""How fast a trace is replayed on the simulator, everything included, on one core.

    python benchmarks/replay.py [CALLS...]

For each number of calls a trace is made on the simulator itself: allocations are created and destroyed, so that up to
half of the calls live at once, and memory is asked about; then it is replayed. Creating goes on where nothing is ever
destroyed in a second trace, which shows what living objects cost.
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
    """A trace of so many calls; keep: nothing is destroyed."""
    chance = random.Random(6)
    simulator = tracekmt.Simulator()
    with tracekmt.create(path, machine=simulator.machine.settings()) as trace:

        def call(name: str, **inputs: object) -> dict[str, object]:
            outcome = simulator.call(f"D3DKMT{name}", inputs)
            trace.add(f"D3DKMT{name}", inputs, outcome.outputs, int(outcome.status))
            return dict(outcome.outputs)

        adapter = call("OpenAdapterFromLuid", AdapterLuid={"LowPart": 1})["hAdapter"]
        device = call("CreateDevice", hAdapter=adapter)["hDevice"]
        alive: list[object] = []
        for _ in range(calls - 2):
            choice = chance.random()
            if choice < 0.2:
                call("QueryVideoMemoryInfo", hAdapter=adapter)
            elif choice < 0.6 and alive and not keep:
                handle = alive.pop(chance.randrange(len(alive)))
                call("DestroyAllocation2", hDevice=device, phAllocationList=[handle])
            else:
                element = {"pPrivateDriverData": sample_data(4096, bytes(112))}
                made = call("CreateAllocation2", hDevice=device, pAllocationInfo2=[element])
                alive += [each["hAllocation"] for each in made["pAllocationInfo2"]]  # type: ignore[attr-defined]


def main(sizes: list[int]) -> None:
    """Make, replay, tell."""
    with tempfile.TemporaryDirectory() as folder:
        for calls in sizes:
            for keep in (False, True):
                path = Path(folder) / "trace.kmt"
                make(path, calls, keep=keep)
                start = time.perf_counter()
                report = tracekmt.replay(path)
                took = time.perf_counter() - start
                peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
                what = "all objects live on" if keep else "objects come and go"
                print(
                    f"{calls:>9,} calls, {what:<20} {calls / took:>8,.0f} calls/s, peak {peak} MiB"
                    f"{'' if report.same else ', NOT the same'}",
                    flush=True,
                )
                path.unlink()


if __name__ == "__main__":
    main([int(argument) for argument in sys.argv[1:]] or list(SIZES))
