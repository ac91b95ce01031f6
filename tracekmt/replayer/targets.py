"""What a trace is replayed on: something that takes a call's inputs and gives its outcome."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

from tracekmt import codec, ntstatus
from tracekmt.calls import CALLS
from tracekmt.differ.compare import Outcome
from tracekmt.errors import UsageError
from tracekmt.memory import Arena, Recorded
from tracekmt.ntstatus import Status
from tracekmt.simulator import BEHAVIOURS, Simulator
from tracekmt.simulator.files import settings_of
from tracekmt.spec import serial
from tracekmt.spec.types import Abi, Call, Kind
from tracekmt.trace.events import Enter, Leave, Region
from tracekmt.trace.reader import Trace

Sent = tuple[tuple[int, ...], list[Region], list[Region]]


@dataclass(frozen=True)
class AsRecorded:
    """How a call was recorded, for a target that can use it: its status, and its memory before and after, where the
    target's is to begin as that. None: something in it is another there."""

    status: Status | None
    enter: Enter | None = None
    leave: Leave | None = None


class Target(Protocol):
    """A target of a replay. `abi` is the one that arguments are laid out in for it, `machine` what a like target is
    made of."""

    name: str
    abi: Abi
    machine: dict[str, Any]

    def call(self, index: int, recorded: Call, inputs: Any, recording: AsRecorded) -> tuple[Outcome, Sent] | None:
        """Make a trace's call; how it ended, and what was sent: arguments, regions before and after. None
        where the target does not have the function. recorded: its description in the trace. UsageError where the
        target does not take these inputs."""
        ...

    @property
    def waiting(self) -> list[str]:
        """What was to be injected and was not."""
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
        self.machine = simulator.machine.settings()

    def call(self, index: int, recorded: Call, inputs: Any, recording: AsRecorded) -> tuple[Outcome, Sent] | None:
        """Lay the inputs out as the simulator's own callers do, or take the recorded memory as it is, and let it answer
        in place."""
        name = recorded.name
        call = CALLS.get(name)
        if call is None:
            return None
        enter, leave = recording.enter, recording.leave
        arena = Arena.holding(self.abi, enter.regions) if enter is not None and _alike(recorded, call) else None
        if arena is not None and enter is not None:
            arguments = enter.arguments
        else:
            arena = Arena(self.abi, 1)
            arguments = codec.encode(call, self.abi, arena, inputs)
        before = arena.regions()
        answer = self.simulator.invoke(name, self.abi, arena, arguments, recording.status, index)
        after = arena.regions()
        same = leave is not None and enter is not None and sorted(leave.regions) == after
        outputs = None if same else codec.decode(call, self.abi, arena, arguments, Recorded(before))
        rule = answer.rule
        status = recording.status if answer.taken else ntstatus.status(rule.status) if rule else Status(0)
        outcome = Outcome(
            status if call.returns == "NTSTATUS" else None,
            call.argument,
            outputs,
            index,
            reason=f"{rule.what} ({rule.source})" if rule else None,
            result=None if call.returns == "NTSTATUS" else 0,
            modelled=BEHAVIOURS[name].modelled,
            taken=answer.taken,
            injected=answer.injected,
            same=same,
        )
        return outcome, (arguments, before, after)

    @property
    def waiting(self) -> list[str]:
        """Faults that nothing met."""
        return self.simulator.waiting

    def adopt(self, kind: Kind, given: dict[Kind, int]) -> int | None:
        """An object made on the spot, within the device and resource that the same call names."""
        owners = {owner.name: handle for owner, handle in given.items()}
        try:
            return self.simulator.adopt(kind.name, owners.get("device", 0), owners.get("resource", 0))
        except UsageError:
            return None


@lru_cache(maxsize=1024)
def _alike(recorded: Call, ours: Call) -> bool:
    """Whether a description in a trace says of memory what ours says."""
    return bool(serial.to_data(recorded) == serial.to_data(ours))


def luids_on(trace: Trace, simulator: Simulator) -> Iterable[tuple[tuple[int, int], tuple[int, int]]]:
    """The LUIDs of a trace that a simulator's adapters do not have, each with the next adapter that none is named
    for."""
    named = list(_luids(trace))
    free = [adapter.luid for adapter in simulator.machine.adapters if adapter.luid not in named]
    return zip([luid for luid in named if simulator.machine.adapter(luid) is None], free, strict=False)


def simulator_for(trace: Trace, **settings: Any) -> Simulator:
    """A simulator of the machine that a trace was recorded on: as its header describes it, else with an adapter for
    every LUID that a successful call names. `settings` go before both."""
    machine = {name: value for name, value in trace.header.machine.items() if name in ("adapters", "system_memory")}
    if not machine.get("adapters"):
        machine["adapters"] = [{"luid": list(luid)} for luid in _luids(trace)] or None
    given = {name: value for name, value in settings.items() if value is not None}
    return Simulator(**{**machine, **settings_of(given.pop("profile", "windows")), **given})


def _luids(trace: Trace) -> Iterable[tuple[int, int]]:
    """The LUIDs in the arguments of calls that succeeded, each once."""
    found: dict[tuple[int, int], None] = {}
    holders = {number: _luid_fields(call) for number, call in trace.described.items() if _luid_fields(call)}
    for index, number in trace.functions() if holders else ():
        if number not in holders:
            continue
        call = trace[index]
        if call.status is None or not call.status.succeeded or not isinstance(call.inputs, dict):
            continue
        for luid in [call.inputs.get(name) for name in holders[number]]:
            if isinstance(luid, dict) and {"LowPart", "HighPart"} <= set(luid):
                found[luid["LowPart"], luid["HighPart"]] = None
    return found


def _luid_fields(call: Call) -> list[str]:
    return [field.name for field in call.argument.fields() if getattr(field.type, "name", None) == "LUID"]
