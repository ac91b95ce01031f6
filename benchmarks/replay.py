"""Measure the total speed of a replay on the simulator on one core.

    python benchmarks/replay.py [CALLS...]

For each number of calls the benchmark creates three traces on the simulator and replays them. In the first, calls
create and destroy allocations and query video memory. In the second, no call destroys an allocation, which shows the
cost of live objects. The third is like that of a compute client: half of its calls submit commands, and the others
escape, map and unmap, make resident and evict, signal and wait.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from memory import peak_mib

import tracekmt
from tracekmt.simulator.model.allocation_size import sample_data

SIZES = (100_000, 1_000_000)

Call = Callable[..., Any]
"""Makes a call on the simulator, adds it to the trace, and returns its outputs."""


class Process:
    """A process that creates allocations on a device."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.rng = random.Random(6)
        self.adapter = call("OpenAdapterFromLuid", AdapterLuid={"LowPart": 1})["hAdapter"]
        self.device = call("CreateDevice", hAdapter=self.adapter)["hDevice"]
        self.allocations: list[int] = []

    def create(self) -> int:
        """Create an allocation of a page."""
        element = {"pPrivateDriverData": sample_data(4096, bytes(112))}
        outputs = self.call("CreateAllocation2", hDevice=self.device, pAllocationInfo2=[element])
        self.allocations.append(outputs["pAllocationInfo2"][0]["hAllocation"])
        return self.allocations[-1]

    def destroy(self) -> None:
        """Destroy any allocation."""
        handle = self.allocations.pop(self.rng.randrange(len(self.allocations)))
        self.call("DestroyAllocation2", hDevice=self.device, phAllocationList=[handle])


class ComputeClient(Process):
    """A process with a paging queue and a context."""

    def __init__(self, call: Call) -> None:
        super().__init__(call)
        self.queue = call("CreatePagingQueue", hDevice=self.device)["hPagingQueue"]
        self.context = call("CreateContextVirtual", hDevice=self.device)["hContext"]
        info = {"Type": "D3DDDI_MONITORED_FENCE"}
        self.fence = call("CreateSynchronizationObject2", hDevice=self.device, Info=info)["hSyncObject"]
        self.value = 0
        self.commands = [self.allocate() for _ in range(100)]

    def allocate(self) -> int:
        """Create an allocation, map it and make it resident, and return its address."""
        handle = self.create()
        mapped = self.call("MapGpuVirtualAddress", hPagingQueue=self.queue, hAllocation=handle, SizeInPages=1)
        self.call("MakeResident", hPagingQueue=self.queue, AllocationList=[handle])
        return int(mapped["VirtualAddress"])

    def step(self, choice: float) -> None:
        """Make a call, or a few."""
        if choice < 0.5:
            commands = self.rng.choice(self.commands)
            self.call("SubmitCommand", Commands=commands, BroadcastContextCount=1, BroadcastContext=[self.context])
        elif choice < 0.85:
            self.call("Escape", hAdapter=self.adapter, hDevice=self.device, pPrivateDriverData=bytes(64))
        elif choice < 0.95:
            self.value += 1
            on_gpu = {"ObjectHandleArray": [self.fence], "MonitoredFenceValueArray": [self.value]}
            self.call("SignalSynchronizationObjectFromGpu", hContext=self.context, **on_gpu)
            self.call("WaitForSynchronizationObjectFromGpu", hContext=self.context, **on_gpu)
        else:
            handle = self.allocations.pop()
            self.call("Evict", hDevice=self.device, AllocationList=[handle])
            self.call("DestroyAllocation2", hDevice=self.device, phAllocationList=[handle])
            self.commands[-1] = self.allocate()


def come_and_go(process: Process, choice: float) -> None:
    """Create or destroy an allocation, or query video memory."""
    if 0.2 <= choice < 0.6 and process.allocations:
        process.destroy()
    else:
        stay(process, choice)


def stay(process: Process, choice: float) -> None:
    """Create an allocation, or query video memory."""
    if choice < 0.2:
        process.call("QueryVideoMemoryInfo", hAdapter=process.adapter)
    else:
        process.create()


def map_and_stay(process: ComputeClient, choice: float) -> None:
    """Map an allocation that stays, or submit commands."""
    if choice < 0.2:
        process.allocate()
    else:
        process.step(0.0)


SCENARIOS: dict[str, tuple[type[Process], Callable[[Any, float], None]]] = {
    "objects destroyed": (Process, come_and_go),
    "no object destroyed": (Process, stay),
    "compute client": (ComputeClient, ComputeClient.step),
    "GPU ranges stay": (ComputeClient, map_and_stay),
}


def make(path: Path, calls: int, scenario: str) -> int:
    """Create a trace of at least `calls` calls, and return their number."""
    count = 0
    simulator = tracekmt.Simulator()
    with tracekmt.create(path, machine=simulator.machine.settings()) as trace:

        def call(name: str, **inputs: object) -> Any:
            nonlocal count
            count += 1
            outcome = simulator.call(f"D3DKMT{name}", inputs)
            trace.add(f"D3DKMT{name}", inputs, outcome.outputs, int(outcome.status))
            return outcome.outputs

        type_, step = SCENARIOS[scenario]
        process = type_(call)
        while count < calls:
            step(process, process.rng.random())
    return count


def main(sizes: list[int]) -> None:
    """Run the benchmark."""
    with tempfile.TemporaryDirectory() as folder:
        for size in sizes:
            for scenario in SCENARIOS:
                path = Path(folder) / "trace.kmt"
                calls = make(path, size, scenario)
                start = time.perf_counter()
                report = tracekmt.replay(path)
                seconds = time.perf_counter() - start
                peak = peak_mib()
                print(
                    f"{calls:>9,} calls, {scenario:<20} {calls / seconds:>8,.0f} calls/s, peak {peak} MiB"
                    f"{'' if report.same else ', with DIFFERENCES'}",
                    flush=True,
                )
                path.unlink()


if __name__ == "__main__":
    main([int(argument) for argument in sys.argv[1:]] or list(SIZES))
