"""What a trace is replayed on: something that takes a call's inputs and gives its outcome."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from tracekmt import codec, ntstatus
from tracekmt.differ.compare import Outcome
from tracekmt.errors import UsageError
from tracekmt.memory import Arena, Recorded
from tracekmt.ntstatus import Status
from tracekmt.simulator import Simulator
from tracekmt.spec.types import Abi, Call, Kind
from tracekmt.trace.events import Region
from tracekmt.trace.reader import Trace

Sent = tuple[int, list[Region], list[Region]]


class Target(Protocol):
    """A target of a replay. `abi` is the one that arguments are laid out in for it."""

    name: str
    abi: Abi

    def call(self, index: int, call: Call, inputs: Any) -> tuple[Outcome, Sent]:
        """Make a trace's call; how it ended, and the memory that was sent: address, regions before and after."""
        ...

    def adopt(self, kind: Kind, given: dict[Kind, int]) -> int | None:
        """A handle to an object that is older than the trace, None if the target has none to give. `given`: the
        handles of other kinds in the same call."""
        ...


class SimulatorTarget:
    """A simulator of the graphics kernel."""

    abi: Abi = "x64"

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.name = "simulator"

    def call(self, index: int, call: Call, inputs: Any) -> tuple[Outcome, Sent]:
        """Lay the inputs out as the simulator's own callers do, and let it answer in place."""
        arena = Arena(self.abi, 1)
        address = codec.encode(call, self.abi, arena, inputs)
        before = arena.regions()
        rule = self.simulator.invoke(call.name, self.abi, arena, address)
        outputs = codec.decode(call, self.abi, arena, address, (Recorded(before), address))
        status = ntstatus.status(rule.status) if rule else Status(0)
        reason = f"{rule.what} ({rule.source})" if rule else None
        return Outcome(status, outputs, index, reason), (address, before, arena.regions())

    def adopt(self, kind: Kind, given: dict[Kind, int]) -> int | None:
        """An object made on the spot, within the device and resource that the same call names."""
        owners = {owner.name: handle for owner, handle in given.items()}
        try:
            return self.simulator.adopt(kind.name, owners.get("device", 0), owners.get("resource", 0))
        except UsageError:
            return None


def simulator_for(trace: Trace, **settings: Any) -> Simulator:
    """A simulator of the machine that a trace was recorded on: as its header describes it, else with an adapter for
    every LUID that a successful call names. `settings` go before both."""
    machine = {name: value for name, value in trace.header.machine.items() if name in ("adapters", "system_memory")}
    if not machine.get("adapters"):
        machine["adapters"] = [{"luid": list(luid)} for luid in _luids(trace)] or None
    return Simulator(**{**machine, **{name: value for name, value in settings.items() if value is not None}})


def _luids(trace: Trace) -> Iterable[tuple[int, int]]:
    named = {
        call.name: [field.name for field in call.argument.fields() if getattr(field.type, "name", None) == "LUID"]
        for call in trace.descriptions
    }
    found: dict[tuple[int, int], None] = {}
    for call in trace.calls():
        if named[call.name] and call.status is not None and call.status.succeeded and isinstance(call.inputs, dict):
            for name in named[call.name]:
                luid = call.inputs[name]
                found[luid["LowPart"], luid["HighPart"]] = None
    return found
