"""Times of reading, decoding, replaying and comparing one trace, for each kind of trace.

asv runs a benchmark in an environment of its own for each commit. The traces are made on that commit's simulator.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import tracekmt
from tracekmt.report.stats import measure
from tracekmt.trace.reader import Trace

sys.path.insert(0, str(Path(__file__).parents[1]))

from replay import SCENARIOS, make

CALLS = 10_000
ELEMENTS, THREADS = 100_000, 4_000
FAILURE = "D3DKMTQueryVideoMemoryInfo@10=STATUS_NO_MEMORY"


def make_elements(path: Path) -> None:
    """Create a trace with one call that makes an allocation of each element."""
    simulator = tracekmt.Simulator()
    with tracekmt.create(path, machine=simulator.machine.settings()) as trace:

        def call(name: str, **inputs: object) -> dict[str, int]:
            outcome = simulator.call(name, inputs)
            trace.add(name, inputs, outcome.outputs, int(outcome.status))
            outputs: dict[str, int] = outcome.outputs
            return outputs

        adapter = call("D3DKMTOpenAdapterFromLuid", AdapterLuid={"LowPart": 1})["hAdapter"]
        device = call("D3DKMTCreateDevice", hAdapter=adapter)["hDevice"]
        call("D3DKMTCreateAllocation2", hDevice=device, pAllocationInfo2=[{}] * ELEMENTS)


def make_threads(path: Path) -> None:
    """Create a trace whose calls come from many threads."""
    with tracekmt.create(path) as trace:
        for number in range(CALLS):
            trace.add("D3DKMTCloseAdapter", {"hAdapter": 5}, None, "STATUS_INVALID_PARAMETER", thread=number % THREADS)


class Commands:
    """Work on a trace of 10,000 calls, or of one call with 100,000 elements."""

    params = (*SCENARIOS, "one call with 100,000 elements", "4,000 threads")
    param_names = ("trace",)
    number, repeat, warmup_time, timeout = 1, 4, 0, 600  # 8 samples in 2 rounds: asv calls no difference of 6 certain

    def setup_cache(self) -> dict[str, tuple[str, str]]:
        """Return the paths of each trace, and of its outcome trace with a failure."""
        special: dict[str, Callable[[Path], None]] = dict(
            zip(self.params[-2:], (make_elements, make_threads), strict=True)
        )
        paths = {}
        for number, name in enumerate(self.params):
            trace, outcome = Path(f"{number}.kmt").resolve(), Path(f"{number}-outcome.kmt").resolve()
            if name in special:
                special[name](trace)
            else:
                make(trace, CALLS, name)
            tracekmt.replay(trace, faults=[FAILURE], output=outcome, force=True)
            paths[name] = str(trace), str(outcome)
        return paths

    def setup(self, paths: dict[str, tuple[str, str]], trace: str) -> None:
        """Take the paths of one trace."""
        self.trace, self.outcome = map(Path, paths[trace])

    def time_read(self, *_: object) -> None:
        """Read every event."""
        with Trace(self.trace) as trace:
            for _event in trace.events():
                pass

    def time_decode(self, *_: object) -> None:
        """Decode every call to values."""
        with Trace(self.trace) as trace:
            for call in trace.calls():
                _ = call.inputs, call.outputs

    def time_find_bound_values(self, *_: object) -> None:
        """Find the handles, addresses and fence values of every call."""
        with Trace(self.trace) as trace:
            for call in trace.calls():
                _ = call.bound_inputs, call.bound_outputs

    def time_stats(self, *_: object) -> None:
        """Measure calls and objects."""
        with Trace(self.trace) as trace:
            measure(trace)

    def time_replay(self, *_: object) -> None:
        """Replay on the simulator."""
        tracekmt.replay(self.trace)

    def peakmem_replay(self, *_: object) -> None:
        """Replay on the simulator."""
        tracekmt.replay(self.trace)

    def time_check(self, *_: object) -> None:
        """Find misuse."""
        tracekmt.check(self.trace)

    def time_diff(self, *_: object) -> None:
        """Compare with the outcome trace."""
        tracekmt.diff(self.trace, self.outcome)

    def peakmem_diff(self, *_: object) -> None:
        """Compare with the outcome trace."""
        tracekmt.diff(self.trace, self.outcome)
