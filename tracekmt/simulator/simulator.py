"""The simulator itself: takes calls, and returns their statuses and outputs."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tracekmt import codec
from tracekmt.calls import BY_NAME
from tracekmt.calls.kinds import DEVICE, FENCE, MONITORED_FENCE
from tracekmt.calls.sync import D3DDDI_SYNCHRONIZATIONOBJECT_TYPE
from tracekmt.codec.memory import Arena, Memory, MemoryFault, Recorded
from tracekmt.errors import UsageError
from tracekmt.ntstatus import Status, status
from tracekmt.simulator.behaviours import BEHAVIOURS, validation_rules, with_assumption
from tracekmt.simulator.create_machine import create_machine
from tracekmt.simulator.injection import InjectedFault
from tracekmt.simulator.machine_file import profile_settings
from tracekmt.simulator.model.adapter import parse_luid
from tracekmt.simulator.model.handles import HandleTableFullError
from tracekmt.simulator.model.machine import Process
from tracekmt.simulator.model.objects import Device, KernelObject, SyncObject
from tracekmt.simulator.recorded_state import ANSWER_REASON, OBSERVED_REASON, catch_up, reason_to_take
from tracekmt.simulator.request import Answer, Wait
from tracekmt.simulator.rule import HANDLE_TABLE_FULL, PENDING, SUCCESS, TIMEOUT, UNREADABLE, ValidationRule
from tracekmt.simulator.unmodelled import answer_broken_call
from tracekmt.spec.types import Abi, CallSpec, Kind
from tracekmt.text.functions import unknown_function


def _with_output_parameters(spec: CallSpec, inputs: Any) -> Any:
    """Add the omitted output parameters, so that the call has memory to write to."""
    if not spec.argument.parameters or not isinstance(inputs, Mapping):
        return inputs
    outputs = [field.name for field in spec.argument.fields() if field.direction == "out"]
    return {**dict.fromkeys(outputs, 0), **inputs}


@dataclass(frozen=True)
class CallResult:
    """Result of a simulated call.

    Attributes:
        status: Status that the call returned.
        outputs: The whole argument after the call: a dict, or None for NULL.
        rule: Rule that rejected the call, None after a success.
        modelled: True if the function has rules. Otherwise only handles are simulated.
    """

    status: Status
    outputs: Any
    rule: ValidationRule | None = None
    modelled: bool = True


class Simulator(Process):
    """One process on a simulated machine.

    A keyword takes precedence over the same setting of a machine file.

    Args:
        profile: "windows", "wsl", "wine", or the path of a machine file that ends in ".toml".
        adapters: Tables of adapter settings; see `Adapter`. The default is one adapter with LUID (1, 0).
        video_memory: Budget of every adapter's own memory, in bytes or as text such as "64MB".
        system_memory: Budget of the machine's memory, in bytes or as text such as "2GB".
        drivers: Tables with the location of an allocation's size in private data: name, magic (hex), offset, width,
            unit, alignment.
        uniques: Number of generations of a handle's slot, 1 to 3.
        faults: Injected failures and machine changes, such as "D3DKMTCreateDevice@2=STATUS_NO_MEMORY".
        list_capacity: Number of adapters that EnumAdapters2 and 3 return without a list, by function.
        paging: "success" or "pending": status of operations that a paging queue executes. A replay takes it from the
            recording.
        device_error_flag: "MustSucceed" or "CantTrimFurther": flag of a failed MakeResident that puts the device in
            error.
        assumptions: Statuses by name, for rules whose status no source defines; see `tracekmt calls --matrix`.
            "STATUS_SUCCESS" removes a rule. "FUNCTION: RULE" is the name of any other rule.

    Raises:
        UsageError: A setting is unknown or invalid, or the machine file cannot be read.
    """

    def __init__(
        self,
        profile: str | os.PathLike[str] = "windows",
        *,
        adapters: Sequence[Any] | None = None,
        video_memory: int | str | None = None,
        system_memory: int | str | None = None,
        drivers: Sequence[Any] | None = None,
        uniques: int | None = None,
        faults: Sequence[str] | None = None,
        list_capacity: Mapping[str, Any] | None = None,
        paging: str | None = None,
        device_error_flag: str | None = None,
        assumptions: Mapping[str, str] | None = None,
    ) -> None:
        keywords = {
            "adapters": adapters,
            "video_memory": video_memory,
            "system_memory": system_memory,
            "drivers": drivers,
            "uniques": uniques,
            "faults": faults,
            "list_capacity": list_capacity,
            "paging": paging,
            "device_error_flag": device_error_flag,
            "assumptions": assumptions,
        }
        overrides = {name: value for name, value in keywords.items() if value is not None}
        super().__init__(create_machine({**profile_settings(profile), **overrides}))

    def process(self) -> Simulator:
        """Return another process on the same machine. It ends with `exit`, or with its last Python reference."""
        simulator = object.__new__(Simulator)
        Process.__init__(simulator, self.machine)
        return simulator

    def __del__(self) -> None:
        if hasattr(self, "nt_handles"):
            self.exit()

    def stop_adapter(self, luid: tuple[int, int] | Mapping[str, int] = (1, 0)) -> None:
        """Stop an adapter, as after a reset or an unplug.

        Args:
            luid: LUID of the adapter: LowPart and HighPart, or the value form.

        Raises:
            UsageError: No adapter has this LUID.
        """
        number = parse_luid(luid)
        adapter = self.machine.adapter(number)
        if adapter is None:
            raise UsageError(f"no adapter has the LUID {number}")
        adapter.stop()

    def call(self, name: str, inputs: Any) -> CallResult:
        """Call a function.

        Args:
            name: Name of a described function.
            inputs: The argument in the value form, None for NULL.

        Raises:
            UsageError: The function is not described, the inputs are invalid, or the process has ended.
        """
        spec = BY_NAME.get(name) if isinstance(name, str) else None
        if spec is None:
            raise unknown_function(str(name))
        arena = Arena("x64", 1)
        arguments = codec.encode(spec, "x64", arena, _with_output_parameters(spec, inputs))
        before = Recorded(arena.regions())
        answer = self.invoke(spec, "x64", arena, arguments)
        outputs = codec.decode(spec, "x64", arena, arguments, before, self._kind_of)
        return CallResult(status(answer.status_name), outputs, answer.rule, BEHAVIOURS[spec.name].modelled)

    def _kind_of(self, handle: int) -> Kind | None:
        """Return the kind of a handle's object, for unions that depend on it."""
        kernel_object = self.find(handle, KernelObject)
        if isinstance(kernel_object, SyncObject):
            return _SYNC_KINDS.get(kernel_object.state.type)
        return DEVICE if isinstance(kernel_object, Device) else None

    def invoke(
        self,
        spec: CallSpec,
        abi: Abi,
        memory: Memory,
        arguments: Sequence[int],
        recorded: Status | None = None,
        index: int | None = None,
        unborn: Sequence[tuple[str, str]] = (),
    ) -> Answer:
        """Call a function with an argument in memory.

        Args:
            spec: Description of the function, in the form that the memory has.
            abi: ABI of the caller.
            memory: Memory of the caller. Outputs are written there.
            arguments: Raw arguments.
            recorded: Status of the call in a recording. It is taken if only the recorded machine or a driver can decide
                it.
            index: Index of the call in the recording. The default is the number of earlier calls.
            unborn: Path and kind of each handle of the call whose object the recording does not create.

        Raises:
            UsageError: The process has ended.
        """
        lock = self.machine.lock
        lock.acquire()  # a `with` of a Condition runs two functions of Python, at each call
        try:
            if self.id not in self.machine.processes:
                raise UsageError("the process has ended; create another with simulator.process()")
            number = self.machine.call_index = self.machine.call_count if index is None else index
            self.machine.call_count = number + 1
            changes = tuple(self._apply_changes(number)) if self.machine.changes else ()
            fault = self._fault_of(spec, abi, memory, arguments) if self.machine.faults else None
            if fault is not None:
                return Answer(fault.rule, injected=(*changes, fault.text))
            answer = self._answer(spec, abi, memory, arguments, recorded, unborn)
            if self.machine.events:
                self.machine.signal_events()
            if self.machine.waiting_count:
                lock.notify_all()
            return replace(answer, injected=changes) if changes else answer
        finally:
            lock.release()

    def wait_of(self, spec: CallSpec, abi: Abi, memory: Memory, arguments: Sequence[int]) -> Wait | None:
        """Return what a call waits for before it returns, None if it returns at once. The call has no effect."""
        behaviour = BEHAVIOURS[spec.name]
        if behaviour.wait_of is None or tuple(arguments) == (0,):
            return None
        with self.machine.lock:
            try:
                request = behaviour.request(self, spec, abi, memory, arguments)
                violated = _first_violated(self.rules(spec.name), request)
                return behaviour.wait_of(request) if violated is None or violated.status == TIMEOUT else None
            except MemoryFault:
                return None

    def invoke_after_wait(
        self,
        spec: CallSpec,
        abi: Abi,
        memory: Memory,
        arguments: Sequence[int],
        is_cancelled: Callable[[], bool] = lambda: False,
    ) -> Answer | None:
        """Let the thread wait as long as a call does, and then call the function.

        Of several threads that wait for one keyed mutex, one acquires it, and the others wait on. A canceller calls
        `machine.lock.notify_all()`.

        Returns:
            The answer, None if the wait was cancelled.
        """
        deadline: float | None = None
        with self.machine.lock:
            while (wait := self.wait_of(spec, abi, memory, arguments)) is not None:
                if deadline is None and wait.seconds is not None:
                    deadline = time.monotonic() + wait.seconds
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    break
                is_over = wait.is_over
                self.machine.waiting_count += 1
                try:
                    self.machine.lock.wait_for(lambda: is_over() or is_cancelled(), left)  # noqa: B023 (called here)
                finally:
                    self.machine.waiting_count -= 1
                if is_cancelled():
                    return None
            return self.invoke(spec, abi, memory, arguments)

    def try_invoke(self, spec: CallSpec, abi: Abi, memory: Memory, arguments: Sequence[int]) -> Answer | None:
        """Call a function, unless the call would wait. Return None then."""
        with self.machine.lock:
            if self.wait_of(spec, abi, memory, arguments) is not None:
                return None
            return self.invoke(spec, abi, memory, arguments)

    def would_return(self, spec: CallSpec, abi: Abi, memory: Memory, arguments: Sequence[int]) -> str:
        """Return the name of the status that a call would return now. The call has no effect."""
        violated = self.violated_rule(spec, abi, memory, arguments)
        return SUCCESS if violated is None else violated.status

    def violated_rule(
        self, spec: CallSpec, abi: Abi, memory: Memory, arguments: Sequence[int]
    ) -> ValidationRule | None:
        """Return the rule that would reject a call now, None for a valid call. The call has no effect."""
        behaviour = BEHAVIOURS[spec.name]
        if tuple(arguments) == (0,) and not spec.argument.parameters:
            return behaviour.null
        with self.machine.lock:
            try:
                request = behaviour.request(self, spec, abi, memory, arguments)
                return _first_violated(self.rules(spec.name), request)
            except MemoryFault:
                return UNREADABLE

    def _apply_changes(self, number: int) -> Iterator[str]:
        """Apply the machine changes that precede a call, and yield their texts."""
        for change in [change for change in self.machine.changes if change.call_index <= number]:
            self.machine.changes.remove(change)
            self.machine.apply(change)
            yield change.text

    def _fault_of(self, spec: CallSpec, abi: Abi, memory: Memory, arguments: Sequence[int]) -> InjectedFault | None:
        """Return the first fault that rejects a call. Every fault counts every call."""

        def inputs() -> Any:
            return codec.decode(spec, abi, memory, tuple(arguments), None)

        faults = [fault for fault in self.machine.faults if fault.matches(spec.name, inputs)]
        for fault in faults[:1]:
            fault.fired += 1
        return faults[0] if faults else None

    @property
    def pending_injections(self) -> list[str]:
        """Injected faults and machine changes that have not happened yet, as the user wrote them."""
        faults = [fault.text for fault in self.machine.faults if not fault.fired]
        return faults + [change.text for change in self.machine.changes]

    def _answer(
        self,
        spec: CallSpec,
        abi: Abi,
        memory: Memory,
        arguments: Sequence[int],
        recorded: Status | None,
        unborn: Sequence[tuple[str, str]],
    ) -> Answer:
        name, behaviour = spec.name, BEHAVIOURS[spec.name]
        if name in self.machine.profile.not_exported:
            return Answer(self.machine.profile.not_exported[name])
        if tuple(arguments) == (0,) and not spec.argument.parameters:
            null = with_assumption(name, behaviour.null, self.machine.assumptions)
            return _SUCCESS if null.status == SUCCESS else Answer(null)
        self.machine.created.clear()  # objects adopted before the call outlive its failure
        try:
            request = behaviour.request(self, spec, abi, memory, arguments)
            violated = _first_violated(self.rules(name), request)
            if violated is not None and violated.status == SUCCESS:
                is_taken = recorded is not None and recorded.succeeded
                if not is_taken:
                    answer_broken_call(self, spec, abi, memory, arguments)
                return Answer(None, OBSERVED_REASON, performed=False) if is_taken else _SUCCESS
            adopted = catch_up(request, violated, recorded) if violated is not None and recorded is not None else None
            if adopted is not None:
                request = behaviour.request(self, spec, abi, memory, arguments)
                violated = _first_violated(self.rules(name), request)
            adapter = request.adapter
            if adapter is not None:
                adapter.call_count += 1
            is_pending = behaviour.is_queued and (
                recorded.name == PENDING if recorded is not None else self.machine.paging_is_pending
            )
            is_expected = violated is None and recorded is not None and (not recorded or is_pending)
            is_expected |= violated is None and not behaviour.modelled
            if recorded is not None and not (is_expected and recorded.succeeded):
                taken = reason_to_take(behaviour, request, violated, recorded, unborn)
                if taken is not None:
                    return Answer(None, taken, performed=False)
            if violated is not None:
                if violated.write is not None:
                    violated.write(request)
                detail = "" if violated.detail is None else violated.detail(request)
                return Answer(violated, detail=detail, uncertain_outputs=request.uncertain_outputs)
            behaviour.effect(request)
            if recorded is not None and behaviour.machine_answers(request):
                return _TAKEN_ANSWER
            if self.machine.answer_query is not None and behaviour.machine_answers(request):
                answered = self.machine.answer_query(request)
                if answered:
                    return Answer(ValidationRule(answered.name, ANSWER_REASON, bool, "a recording", "assumption"))
        except (MemoryFault, HandleTableFullError) as error:
            for process, created in reversed(self.machine.created):
                process.undo(created)
            return Answer(UNREADABLE if isinstance(error, MemoryFault) else HANDLE_TABLE_FULL)
        finally:
            self.machine.created.clear()
        uncertain = request.uncertain_outputs
        if adopted or uncertain or is_pending:
            return Answer(None, adopted, is_pending=is_pending, uncertain_outputs=uncertain)
        return _SUCCESS

    def rules(self, name: str) -> Sequence[ValidationRule]:
        """Return the rules of a function on this machine."""
        cached = self.machine.rules.get(name)
        if cached is None:
            cached = self.machine.rules[name] = validation_rules(name, self.machine.profile, self.machine.assumptions)
        return cached


_SUCCESS = Answer(None)
_TAKEN_ANSWER = Answer(None, ANSWER_REASON, status_judged=True, performed=False)
_SYNC_KINDS = {
    D3DDDI_SYNCHRONIZATIONOBJECT_TYPE.number("D3DDDI_FENCE"): FENCE,
    D3DDDI_SYNCHRONIZATIONOBJECT_TYPE.number("D3DDDI_MONITORED_FENCE"): MONITORED_FENCE,
    D3DDDI_SYNCHRONIZATIONOBJECT_TYPE.number("D3DDDI_NATIVE_FENCE"): MONITORED_FENCE,
}


def _first_violated(rules: Sequence[ValidationRule], request: Any) -> ValidationRule | None:
    for rule in rules:
        if rule.violated(request):
            return rule
    return None
