"""What a trace is replayed on: something that takes a call's inputs and gives its outcome."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple, Protocol, runtime_checkable

from tracekmt import codec, ntstatus
from tracekmt.calls import CALLS
from tracekmt.calls.kinds import ADAPTER_LUID
from tracekmt.codec.luid import Luid
from tracekmt.codec.memory import Arena, Recorded
from tracekmt.differ.compare import Entered, Outcome
from tracekmt.differ.fast_path import same_spec, unchanged_except_bound_values
from tracekmt.errors import UsageError
from tracekmt.findings import Finding
from tracekmt.ntstatus import Status
from tracekmt.objects.identity import Bindings
from tracekmt.simulator import BEHAVIOURS, Simulator
from tracekmt.simulator.machine_file import profile_settings
from tracekmt.spec.types import Abi, CallSpec, Kind
from tracekmt.trace.call import TracedCall
from tracekmt.trace.events import Region
from tracekmt.trace.reader import Trace


class Transcript(NamedTuple):
    """What a target was given, and what it left: the arguments, memory before and after, and the raw result; None for
    a call that did not come back."""

    arguments: tuple[int, ...]
    before: list[Region]
    after: list[Region]
    result: int | None


@runtime_checkable
class Target(Protocol):
    """A target of a replay. `abi` is the one that arguments are laid out in for it, `machine` what a like target is
    made of, as an outcome's header says it. real: a call that waits for others really waits, and one that does not
    come back takes the target with it."""

    name: str
    abi: Abi
    machine: dict[str, Any]
    real: bool

    def begin(self, trace: Trace, bindings: Bindings) -> list[str]:
        """Bind what is known before the first call, such as LUIDs; what a reader of the report has to know of it."""
        ...

    def prepare(self, call: TracedCall, bindings: Bindings) -> Iterable[Finding]:
        """Make what a call is given that no call makes; what is not as it was."""
        ...

    def call(self, entered: Entered) -> tuple[Outcome, Transcript] | None:
        """Make a trace's call; how it ended, and what was sent. None where the target does not make it. UsageError
        where the target does not take these inputs. After a call that did not return the target is to be restarted."""
        ...

    def notes(self) -> Iterable[str]:
        """What a reader of the report has to know in the end."""
        ...

    def restart(self) -> None:
        """Begin anew, without any object."""
        ...

    def close(self) -> None:
        """End whatever the calls have made."""
        ...

    def adopt(self, kind: Kind, given: dict[Kind, int]) -> int | None:
        """A handle to an object that is older than the trace, None if the target has none to give. `given`: the
        handles of other kinds in the same call."""
        ...


class SimulatorTarget:
    """A simulator of the graphics kernel, which takes calls as the recorded process laid them out."""

    real = False

    def __init__(self, simulator: Simulator, abi: Abi) -> None:
        self.simulator = simulator
        self.abi: Abi = abi
        self.name = "simulator"
        self.machine = simulator.machine.settings()

    def begin(self, trace: Trace, bindings: Bindings) -> list[str]:
        """Have the LUIDs that no adapter here has mean other ones."""
        notes = []
        for recorded, live in luids_on(trace, self.simulator):
            bindings.learn(ADAPTER_LUID, recorded.to_value(), live.to_value())
            notes.append(f"adapter {recorded} of the trace is adapter {live} of the simulator")
        return notes

    def prepare(self, call: TracedCall, bindings: Bindings) -> Iterable[Finding]:
        """What calls are given is looked at there, and need not be real."""
        return ()

    def call(self, entered: Entered) -> tuple[Outcome, Transcript] | None:
        """Lay the inputs out as the simulator's own callers do, or take the recorded memory with what is another here,
        and let it answer in place."""
        traced = entered.call
        name = traced.name
        call = CALLS.get(name)
        if call is None:
            return None
        held = self._as_recorded(entered, call)
        if held is not None:
            arena, arguments = held, traced.enter.arguments
        else:
            arena = Arena(self.abi, 1)
            arguments = codec.encode(call, self.abi, arena, entered.inputs())
        before = arena.regions()
        answer = self.simulator.invoke(name, self.abi, arena, arguments, traced.status, traced.index)
        after = arena.regions()
        bound = None if held is None else unchanged_except_bound_values(traced, arena.abi, after)
        outputs = codec.decode(call, self.abi, arena, arguments, Recorded(before)) if bound is None else None
        rule = answer.rule
        status = traced.status if answer.from_recording else ntstatus.status(rule.status) if rule else _SUCCESS
        outcome = Outcome(
            status if call.returns == "NTSTATUS" else None,
            call.argument,
            outputs,
            traced.index,
            reason=f"{rule.what} ({rule.source})" if rule else None,
            result=None if call.returns == "NTSTATUS" else 0,
            modelled=BEHAVIOURS[name].modelled,
            taken=answer.from_recording,
            injected=answer.injected,
            same=bound is not None,
            bound=bound or {},
        )
        return outcome, Transcript(arguments, before, after, int(status or 0))

    def _as_recorded(self, entered: Entered, call: CallSpec) -> Arena | None:
        """The recorded memory with what stands for something else here; None where the inputs have to be laid out
        anew."""
        traced = entered.call
        if traced.abi != self.abi or not same_spec(traced.spec, call):
            return None
        patches = entered.patches()
        arena = Arena.holding(self.abi, traced.enter.regions) if patches is not None else None
        if arena is not None:
            for address, data in patches or ():
                arena.write(address, data)
        return arena

    def notes(self) -> Iterable[str]:
        """Faults that nothing met."""
        return (f"never injected: {what}" for what in self.simulator.waiting)

    def restart(self) -> None:
        """It never stops."""

    def close(self) -> None:
        """Its owner may go on with it."""

    def adopt(self, kind: Kind, given: dict[Kind, int]) -> int | None:
        """An object made on the spot, within the device and resource that the same call names."""
        owners = {owner.name: handle for owner, handle in given.items()}
        try:
            return self.simulator.adopt(kind.name, owners.get("device", 0), owners.get("resource", 0))
        except UsageError:
            return None


_SUCCESS = Status(0)


def luids_on(trace: Trace, simulator: Simulator) -> Iterable[tuple[Luid, Luid]]:
    """The LUIDs of a trace that a simulator's adapters do not have, each with the next adapter that none is named
    for."""
    named = list(luids_of(trace))
    free = [adapter.luid for adapter in simulator.machine.adapters if adapter.luid not in named]
    return zip([luid for luid in named if simulator.machine.adapter(luid) is None], free, strict=False)


def simulator_for(trace: Trace, **settings: Any) -> Simulator:
    """A simulator of the machine that a trace was recorded on: as its header describes it, else with an adapter for
    every LUID that a successful call names. `settings` go before both."""
    machine = {name: value for name, value in trace.header.machine.items() if name in ("adapters", "system_memory")}
    if not machine.get("adapters"):
        machine["adapters"] = [{"luid": list(luid)} for luid in luids_of(trace)] or None
    given = {name: value for name, value in settings.items() if value is not None}
    return Simulator(**{**machine, **profile_settings(given.pop("profile", "windows")), **given})


def luids_of(trace: Trace) -> Iterable[Luid]:
    """The LUIDs in the arguments of calls that succeeded, each once."""
    found: dict[Luid, None] = {}
    holders = {number: _luid_fields(call) for number, call in trace.described.items() if _luid_fields(call)}
    for index, number in trace.functions() if holders else ():
        if number not in holders:
            continue
        call = trace[index]
        if call.status is None or not call.status.succeeded or not isinstance(call.inputs, dict):
            continue
        for luid in [Luid.from_value(call.inputs.get(name)) for name in holders[number]]:
            if luid is not None:
                found[luid] = None
    return found


def _luid_fields(call: CallSpec) -> list[str]:
    return [field.name for field in call.argument.fields() if getattr(field.type, "name", None) == "LUID"]
