"""The simulator as a target of replays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from functools import lru_cache
from typing import Any

from tracekmt import codec, ntstatus
from tracekmt.calls import form_like
from tracekmt.calls.kinds import ADAPTER_LUID, GLOBAL_SHARE, NT_HANDLE
from tracekmt.codec import BoundLocation, iter_values
from tracekmt.codec.memory import Arena, Recorded
from tracekmt.differ.fast_path import same_spec, unchanged_except_bound_values
from tracekmt.differ.outcome import NO_HANDLE, EnteredCall, Outcome
from tracekmt.findings import Finding
from tracekmt.machine.learn import describes_machine, learn_machine, luids_of, machine_lines
from tracekmt.objects.identity import Bindings
from tracekmt.plural import plural
from tracekmt.replayer.simulated_machine import pair_luids
from tracekmt.replayer.target import Transcript
from tracekmt.simulator import BEHAVIOURS, Simulator
from tracekmt.simulator.model.nt_handles import PSEUDO_HANDLES
from tracekmt.simulator.recorded_state import SILENT_KINDS, unborn_reason
from tracekmt.simulator.request import Answer
from tracekmt.spec.types import Abi, CallSpec, Kind
from tracekmt.trace.call import TracedCall
from tracekmt.trace.reader import Trace


class SimulatorTarget:
    """A simulator as a target. It accepts arguments in the ABI of the recorded process."""

    real = False

    def __init__(self, simulator: Simulator, abi: Abi, base: int = 0) -> None:
        """Create the target.

        Args:
            simulator: The process that makes the calls.
            abi: ABI of the recorded process.
            base: Number that is added to the indexes of calls; see `learn_machine`.
        """
        self.simulator = simulator
        self._base = base
        self.abi: Abi = abi
        self.name = "simulator"
        self.machine = simulator.machine.settings()
        self._undescribed: Counter[str] = Counter()

    def begin(self, trace: Trace, bindings: Bindings) -> list[str]:
        """Bind the LUIDs of the trace that no simulated adapter has to other adapters.

        The notes describe the recorded machine, unless the header of the trace does.
        """
        is_described = describes_machine(trace)
        machine = trace.header.machine if is_described else learn_machine(trace)
        notes = [] if is_described else [f"recorded machine: {line}" for line in machine_lines(machine)]
        for recorded, live in pair_luids(luids_of(machine), self.simulator):
            bindings.bind_value(ADAPTER_LUID, recorded.to_value(), live.to_value())
            notes.append(f"adapter {recorded} of the trace is adapter {live} of the simulator")
        return notes

    def waits(self, call: TracedCall) -> bool:
        """Return True if what other calls do decides the outcome."""
        return call.name in BEHAVIOURS and BEHAVIOURS[call.name].waits

    def prepare(self, call: TracedCall, bindings: Bindings) -> Iterable[Finding]:
        """Do nothing: the simulator only reads inputs, they need not exist."""
        return ()

    def call(self, entered: EnteredCall) -> tuple[Outcome, Transcript] | None:
        """Make a call on the simulator.

        The recorded memory is used with the changed values, if possible. Otherwise the inputs are encoded.
        """
        call = entered.call
        spec = form_like(call.spec)
        if spec is None:
            self._undescribed[call.name] += 1
            return None
        recorded_arena = self._recorded_arena(entered, spec)
        arena, arguments = self._arguments(entered, spec, recorded_arena)
        before = arena.regions()
        unborn = [(path, kind.name) for path, kind in entered.unborn] if entered.unborn else ()
        answer = self.simulator.invoke(spec, self.abi, arena, arguments, call.status, self._base + call.index, unborn)
        if answer.taken is not None and not answer.performed and call.succeeded:
            return self._adopt_outcome(entered, answer, Transcript(arguments, before, before, None))
        after = arena.regions()
        bound_outputs = None if recorded_arena is None else unchanged_except_bound_values(call, arena.abi, after)
        outputs = codec.decode(spec, self.abi, arena, arguments, Recorded(before)) if bound_outputs is None else None
        rule = answer.rule
        is_taken = answer.taken is not None and not answer.performed
        status = _status(answer.status_name) if not is_taken else call.status
        outcome = Outcome(
            status if spec.returns == "NTSTATUS" else None,
            spec.argument,
            outputs,
            call.index,
            reason=f"{rule.reason}{answer.detail} ({rule.source})" if rule else None,
            result=None if spec.returns == "NTSTATUS" else 0,
            modelled=BEHAVIOURS[spec.name].modelled,
            taken=answer.taken,
            status_judged=answer.status_judged,
            uncertain_outputs=_uncertain_outputs(answer, unborn) if unborn else answer.uncertain_outputs,
            injected=answer.injected,
            unchanged=bound_outputs is not None,
            bound_outputs=bound_outputs or {},
        )
        return outcome, Transcript(arguments, before, after, int(status or 0))

    def is_ready(self, entered: EnteredCall) -> bool:
        """Return True if a call would return its recorded status now."""
        call, spec = entered.call, form_like(entered.call.spec)
        assert spec is not None, "only described functions wait"
        arena, arguments = self._arguments(entered, spec, self._recorded_arena(entered, spec))
        expected = call.status.name if call.status is not None else ""
        return self.simulator.would_return(spec, self.abi, arena, arguments) == expected

    def _arguments(
        self, entered: EnteredCall, spec: CallSpec, recorded_arena: Arena | None
    ) -> tuple[Arena, tuple[int, ...]]:
        """Return the memory and the arguments of a call: the recorded ones, if possible."""
        if recorded_arena is not None:
            return recorded_arena, entered.call.enter.arguments
        arena = Arena(self.abi, 1)
        return arena, codec.encode(spec, self.abi, arena, entered.inputs())

    def _adopt_outcome(
        self, entered: EnteredCall, answer: Answer, transcript: Transcript
    ) -> tuple[Outcome, Transcript]:
        """Adopt what a call of the recording created and destroyed. The simulator cannot make this call."""
        call = entered.call
        for identity in entered.destroyed:
            if identity.live is not None and identity.kind.binding == "handle":
                self.simulator.forget(identity.live)
        created = {creates.path: creates.kind for creates in call.spec.creates if call.satisfies(creates.when)}
        if not created:
            return self._taken_outcome(call, answer), self._recorded_transcript(call, transcript)
        outputs, handles, live_by_path = deepcopy(call.outputs), dict(entered.handles), {}
        for bound in iter_values(call.spec.argument, outputs):
            kind, handle = created.get(bound.pattern), bound.value
            if kind is not None and kind.binding == "handle" and isinstance(handle, int) and handle:
                live = self.adopt(kind, handle, handles)
                bound.values[bound.key] = live_by_path[bound.path] = handles[kind] = live
        after = transcript.before
        if call.leave is not None and call.abi == self.abi:
            arena = Arena.holding(self.abi, call.leave.regions)
            for location in call.bound_outputs:
                if isinstance(location, BoundLocation) and location.path in live_by_path and arena is not None:
                    arena.write(location.address, location.packed(live_by_path[location.path]))
            after = after if arena is None else arena.regions()
        outcome = self._taken_outcome(call, answer, outputs)
        return outcome, self._recorded_transcript(call, transcript)._replace(after=after)

    def _taken_outcome(self, call: TracedCall, answer: Answer, outputs: Any = None) -> Outcome:
        """Return the recorded outcome, with the outputs of an adopted creation if there are any."""
        is_unchanged = outputs is None
        return Outcome(
            call.status,
            call.spec.argument,
            outputs,
            call.index,
            result=call.result,
            modelled=BEHAVIOURS[call.name].modelled,
            taken=answer.taken,
            status_judged=answer.status_judged,
            performed=False,
            injected=answer.injected,
            unchanged=is_unchanged,
            bound_outputs={bound.path: bound for bound in call.bound_outputs} if is_unchanged else {},
        )

    def _recorded_transcript(self, call: TracedCall, transcript: Transcript) -> Transcript:
        """Return the transcript of a call with its recorded outputs and result."""
        if call.leave is None:
            return transcript
        after = list(call.leave.regions) if call.abi == self.abi else transcript.before
        return transcript._replace(after=after, result=call.leave.result)

    def _recorded_arena(self, entered: EnteredCall, spec: CallSpec) -> Arena | None:
        """Return the recorded memory with the changed inputs, None if the inputs have to be encoded."""
        call = entered.call
        count = len(spec.argument.members) if spec.argument.parameters else 1
        if call.abi != self.abi or not same_spec(call.spec, spec) or len(call.enter.arguments) != count:
            return None
        patches = entered.patches()
        arena = Arena.holding(self.abi, call.enter.regions) if patches is not None else None
        if arena is not None:
            for address, data in patches or ():
                arena.write(address, data)
        return arena

    def notes(self) -> Iterator[str]:
        """Yield a note for each undescribed function, and for each failure that was never injected."""
        for name, count in sorted(self._undescribed.items()):
            yield f"not sent: {name}, {plural(count, 'time')}: it is not described"
        yield from (f"never injected: {failure}" for failure in self.simulator.pending_injections)

    def restart(self) -> None:
        """Do nothing: a simulator is never lost."""

    def close(self) -> None:
        """Do nothing: the owner of the simulator may use it after the replay."""

    def adopt(self, kind: Kind, handle: int, call_handles: dict[Kind, int]) -> int:
        """Create an object within the device and resource of the same call.

        The object of a global handle is unknown, so no handle of the simulator refers to it.
        """
        if kind.space == GLOBAL_SHARE:
            return NO_HANDLE
        if kind.space == NT_HANDLE:
            return handle if handle in PSEUDO_HANDLES else self.simulator.adopt_nt_handle(kind.name)
        owners = {owner.name: live for owner, live in call_handles.items()}
        return self.simulator.adopt(kind.name, owners.get("device", 0), owners.get("resource", 0))


_status = lru_cache(maxsize=1024)(ntstatus.status)


def _uncertain_outputs(answer: Answer, unborn: Sequence[tuple[str, str]]) -> Mapping[str, str]:
    """Return the reasons for uncertain outputs, by path. All outputs depend on an unborn object with a state."""
    path = next((path for path, kind in unborn if kind not in SILENT_KINDS), None)
    return answer.uncertain_outputs if path is None else {"": unborn_reason(path)}
