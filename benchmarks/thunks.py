"""Measure the speed of a replay on thunks: the library of the tests in another process.

    python benchmarks/thunks.py [CALLS]

In the first trace, two thirds of the calls create or destroy an allocation. In the second, most calls change no object,
as in a game: two of three are queries and escapes, the others signal and wait, create and destroy.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import tracekmt
from tests.native import FOLDER, compile_library
from tracekmt.calls import CALLS
from tracekmt.thunks.library import Library

CALL_COUNT = 20_000
RUNS = 3
SCENARIOS = {"objects come and go": 0.2, "mostly queries": 0.65}
"""Share of the calls that change no object."""


class Client:
    """A program that makes calls on the library and adds them to a trace."""

    def __init__(self, call: Callable[..., Any]) -> None:
        self.call = call
        self.rng = random.Random(1)
        self.adapter = call("OpenAdapterFromLuid", AdapterLuid={"LowPart": 0x11})["hAdapter"]
        self.device = call("CreateDevice", hAdapter=self.adapter)["hDevice"]
        info = {"Type": "D3DDDI_MONITORED_FENCE"}
        fence = call("CreateSynchronizationObject2", hDevice=self.device, Info=info)["hSyncObject"]
        self.fences = {"hDevice": self.device, "ObjectHandleArray": [fence]}
        self.value = 0
        self.allocations: list[int] = []

    def step(self, share_of_queries: float) -> None:
        """Make a call, or two."""
        choice = self.rng.random() / share_of_queries
        if choice < 0.5:
            self.call("QueryVideoMemoryInfo", hAdapter=self.adapter)
        elif choice < 1:
            self.call("Escape", hAdapter=self.adapter, hDevice=self.device, pPrivateDriverData=bytes(64))
        elif self.rng.random() < 0.2:
            self.value += 1
            self.call("SignalSynchronizationObjectFromCpu", **self.fences, FenceValueArray=[self.value])
            self.call("WaitForSynchronizationObjectFromCpu", **self.fences, FenceValueArray=[self.value])
        elif len(self.allocations) > self.rng.randrange(200):
            handle = self.allocations.pop(self.rng.randrange(len(self.allocations)))
            self.call("DestroyAllocation2", hDevice=self.device, phAllocationList=[handle])
        else:
            element = {"pPrivateDriverData": bytes(112)}
            outputs = self.call("CreateAllocation2", hDevice=self.device, pAllocationInfo2=[element])
            self.allocations.append(outputs["pAllocationInfo2"][0]["hAllocation"])


def make(path: Path, kernel: Path, calls: int, share_of_queries: float) -> int:
    """Record a trace of at least `calls` calls, and return their number."""
    library, count = Library(kernel), 0
    with tracekmt.create(path, force=True) as trace:

        def call(name: str, **inputs: object) -> Any:
            nonlocal count
            count += 1
            status, outputs = library.query(CALLS[f"D3DKMT{name}"], inputs)
            trace.add(f"D3DKMT{name}", inputs, outputs, int(status))
            return outputs

        client = Client(call)
        while count < calls:
            client.step(share_of_queries)
    library.close()
    return count


def main(calls: int) -> None:
    """Run the benchmark."""
    with tempfile.TemporaryDirectory() as folder:
        kernel = compile_library(Path(folder) / "libkernel.so", FOLDER / "kernel.c")
        for scenario, share_of_queries in SCENARIOS.items():
            path = Path(folder) / "trace.kmt"
            count = make(path, kernel, calls, share_of_queries)
            rates = []
            for _ in range(RUNS):
                start = time.perf_counter()
                report = tracekmt.replay(path, on=f"thunks:{kernel}", allow=["D3DKMTEscape"])
                rates.append(count / (time.perf_counter() - start))
            note = "" if report.same else f", {report.differing} differ"
            print(
                f"{count:,} calls, {scenario:<20} {min(rates):>7,.0f} to {max(rates):>7,.0f} calls/s{note}", flush=True
            )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else CALL_COUNT)
