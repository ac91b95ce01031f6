"""The machine that programs run on: a simulator, and the memory that it shares with them."""

from __future__ import annotations

from typing import Any

from tracekmt.run.contents import Contents
from tracekmt.run.mailbox import Heap
from tracekmt.simulator import Simulator


class SimulatedMachine:
    """A simulated machine for any number of programs.

    Attributes:
        settings: Settings of an equal machine.
        faults: Failures that the simulator injects, as the user wrote them.
        heap: Memory that all programs map.
        contents: Memory of allocations and fences in the heap.
    """

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self.faults = [fault.text for fault in simulator.machine.faults]
        self.settings: dict[str, Any] = simulator.machine.settings()
        self.heap = Heap()
        self.contents = Contents(self.heap)

    def process(self) -> Simulator:
        """Return a new process on the machine."""
        return self._simulator.process()

    def close(self) -> None:
        """Free the memory of this side."""
        self.heap.close()
