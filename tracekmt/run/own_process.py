"""Answers the calls of this process from a simulator, whose code takes the place of the functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tracekmt.simulator import Simulator
from tracekmt.simulator.native import Thunks
from tracekmt.spec.types import Abi, CallSpec

_kept: list[Thunks] = []
"""Code that threads may return to after the end of a recording."""


class OwnProcessAnswerer:
    """Answers the calls of this process.

    Attributes:
        machine: Settings of the simulated machine, for the header of the trace.
        faults: Failures that return values name: none.
    """

    def __init__(self, simulator: Simulator) -> None:
        self.machine = simulator.machine.settings()
        self.faults: list[str] = []  # the return value of code in the process names none
        self._thunks = Thunks(simulator)
        _kept.append(self._thunks)

    def open(self, pid: int, specs: Mapping[int, CallSpec], abi: Abi) -> dict[str, Any]:
        """Return the agent's configuration: `answers` has the address of the simulator's code for each function."""
        return {"mailbox": None, "answers": {name: hex(address) for name, address in self._thunks.addresses.items()}}

    def close(self) -> None:
        """Do nothing. The agent removes the hooks, and a call may still wait in the simulator's code."""
