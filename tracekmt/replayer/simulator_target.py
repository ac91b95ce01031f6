"""The target protocol of replays, and the simulator as a target."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple, Protocol, runtime_checkable

from tracekmt import codec, ntstatus
from tracekmt.calls import CALLS
from tracekmt.calls.kinds import ADAPTER_LUID
from tracekmt.codec.luid import Luid
from tracekmt.codec.memory import Arena, Recorded
from tracekmt.differ.compare import EnteredCall, Outcome
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
    """Raw data of a call on a target.

    Attributes:
        arguments: Arguments of the call.
        before: Memory of the argument before the call.
        after: Memory of the argument after the call.
        result: Return value. None if the call did not return.
    """

    arguments: tuple[int, ...]
    before: list[Region]
    after: list[Region]
    result: int | None


@runtime_checkable
class Target(Protocol):
    """A target of a replay.

    Attributes:
        name: Name of the target in reports.
        abi: ABI of the arguments that the target receives.
        machine: Settings of an equal target, for the header of the outcome trace.
        real: True if a call can block, and if a call that does not return takes the target with it.
    """

    name: str
    abi: Abi
    machine: dict[str, Any]
    real: bool

    def begin(self, trace: Trace, bindings: Bindings) -> list[str]:
        """Bind the values that are known before the first call, such as LUIDs, and return notes for the report."""
        ...

    def prepare(self, call: TracedCall, bindings: Bindings) -> Iterable[Finding]:
        """Create the inputs of a call that no call creates, and yield findings for inputs that differ."""
        ...

    def call(self, entered: EnteredCall) -> tuple[Outcome, Transcript] | None:
        """Make a call of the trace. A target whose call did not return must be restarted.

        Returns:
            The outcome and its raw data. None if the target does not make this call.

        Raises:
            UsageError: The target does not accept the inputs.
        """
        ...

    def notes(self) -> Iterable[str]:
        """Return notes for the report at the end of the replay."""
        ...

    def restart(self) -> None:
        """Restart the target without any objects."""
        ...

    def close(self) -> None:
        """Destroy all objects that the calls created."""
        ...

    def adopt(self, kind: Kind, call_handles: dict[Kind, int]) -> int | None:
        """Return a handle for an object that is older than the trace, None if the target has none.

        Args:
            kind: Kind of the handle.
            call_handles: Handles of other kinds in the same call.
        """
        ...


class SimulatorTarget:
    """A simulator as a target. It accepts arguments in the ABI of the recorded process."""

    real = False

    def __init__(self, simulator: Simulator, abi: Abi) -> None:
        self.simulator = simulator
        self.abi: Abi = abi
        self.name = "simulator"
        self.machine = simulator.machine.settings()

    def begin(self, trace: Trace, bindings: Bindings) -> list[str]:
        """Bind the LUIDs of the trace that no simulated adapter has to other adapters."""
        notes = []
        for recorded, live in pair_luids(trace, self.simulator):
            bindings.bind_value(ADAPTER_LUID, recorded.to_value(), live.to_value())
            notes.append(f"adapter {recorded} of the trace is adapter {live} of the simulator")
        return notes

    def prepare(self, call: TracedCall, bindings: Bindings) -> Iterable[Finding]:
        """Do nothing: the simulator only reads inputs, they need not exist."""
        return ()

    def call(self, entered: EnteredCall) -> tuple[Outcome, Transcript] | None:
        """Make a call on the simulator.

        The recorded memory is used with the changed values, if possible. Otherwise the inputs are encoded.
        """
        call = entered.call
        name = call.name
        spec = CALLS.get(name)
        if spec is None:
            return None
        recorded_arena = self._recorded_arena(entered, spec)
        if recorded_arena is not None:
            arena, arguments = recorded_arena, call.enter.arguments
        else:
            arena = Arena(self.abi, 1)
            arguments = codec.encode(spec, self.abi, arena, entered.inputs())
        before = arena.regions()
        answer = self.simulator.invoke(name, self.abi, arena, arguments, call.status, call.index)
        after = arena.regions()
        bound_outputs = None if recorded_arena is None else unchanged_except_bound_values(call, arena.abi, after)
        outputs = codec.decode(spec, self.abi, arena, arguments, Recorded(before)) if bound_outputs is None else None
        rule = answer.rule
        status = call.status if answer.from_recording else ntstatus.status(rule.status) if rule else _SUCCESS
        outcome = Outcome(
            status if spec.returns == "NTSTATUS" else None,
            spec.argument,
            outputs,
            call.index,
            reason=f"{rule.reason} ({rule.source})" if rule else None,
            result=None if spec.returns == "NTSTATUS" else 0,
            modelled=BEHAVIOURS[name].modelled,
            from_recording=answer.from_recording,
            injected=answer.injected,
            unchanged=bound_outputs is not None,
            bound_outputs=bound_outputs or {},
        )
        return outcome, Transcript(arguments, before, after, int(status or 0))

    def _recorded_arena(self, entered: EnteredCall, spec: CallSpec) -> Arena | None:
        """Return the recorded memory with the changed inputs, None if the inputs have to be encoded."""
        call = entered.call
        if call.abi != self.abi or not same_spec(call.spec, spec):
            return None
        patches = entered.patches()
        arena = Arena.holding(self.abi, call.enter.regions) if patches is not None else None
        if arena is not None:
            for address, data in patches or ():
                arena.write(address, data)
        return arena

    def notes(self) -> Iterable[str]:
        """Return a note for each failure that was never injected."""
        return (f"never injected: {failure}" for failure in self.simulator.pending_injections)

    def restart(self) -> None:
        """Do nothing: a simulator is never lost."""

    def close(self) -> None:
        """Do nothing: the owner of the simulator may use it after the replay."""

    def adopt(self, kind: Kind, call_handles: dict[Kind, int]) -> int | None:
        """Create an object within the device and resource of the same call."""
        owners = {owner.name: handle for owner, handle in call_handles.items()}
        try:
            return self.simulator.adopt(kind.name, owners.get("device", 0), owners.get("resource", 0))
        except UsageError:
            return None


_SUCCESS = Status(0)


def pair_luids(trace: Trace, simulator: Simulator) -> Iterable[tuple[Luid, Luid]]:
    """Pair each LUID of a trace without a simulated adapter with a simulated adapter that the trace does not use."""
    trace_luids = list(luids_of(trace))
    free = [adapter.luid for adapter in simulator.machine.adapters if adapter.luid not in trace_luids]
    return zip([luid for luid in trace_luids if simulator.machine.adapter(luid) is None], free, strict=False)


def simulator_for(trace: Trace, **settings: Any) -> Simulator:
    """Create a simulator of the machine that a trace was recorded on.

    The header of the trace describes the adapters. Without that, the simulator has an adapter for each LUID that a
    successful call uses.

    Args:
        trace: The trace.
        settings: Settings that replace those of the trace. None is the default.
    """
    machine = {name: value for name, value in trace.header.machine.items() if name in ("adapters", "system_memory")}
    if not machine.get("adapters"):
        machine["adapters"] = [{"luid": list(luid)} for luid in luids_of(trace)] or None
    settings = {name: value for name, value in settings.items() if value is not None}
    return Simulator(**{**machine, **profile_settings(settings.pop("profile", "windows")), **settings})


def luids_of(trace: Trace) -> Iterable[Luid]:
    """Return the LUIDs in the arguments of successful calls, each once."""
    luids: dict[Luid, None] = {}
    fields_by_spec = {spec_id: names for spec_id, spec in trace.specs.items() if (names := _luid_fields(spec))}
    for index, spec_id in trace.spec_ids() if fields_by_spec else ():
        if spec_id not in fields_by_spec:
            continue
        call = trace[index]
        if call.status is None or not call.status.succeeded or not isinstance(call.inputs, dict):
            continue
        for luid in [Luid.from_value(call.inputs.get(name)) for name in fields_by_spec[spec_id]]:
            if luid is not None:
                luids[luid] = None
    return luids


def _luid_fields(spec: CallSpec) -> list[str]:
    return [field.name for field in spec.argument.fields() if getattr(field.type, "name", None) == "LUID"]
