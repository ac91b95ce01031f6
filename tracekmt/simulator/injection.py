"""Injected failures, and injected changes of the machine:

    FUNCTION@N=STATUS            call N of the function, counted from 1
    FUNCTION@N+M=STATUS          call N, and every Mth call after it
    FUNCTION=STATUS              every call of the function
    ... if CONDITION             of these calls, those whose inputs satisfy a condition of `dump --where`
    adapter@N=stopped            before call N of all calls, counted from 0 like indexes, all adapters stop
    adapter@N=back               before call N, stopped adapters are back; devices that were lost stay lost
    adapter:LUID@N=stopped       the same for the adapter with a LUID in the form HIGH:LOW, in hexadecimal
    adapter:LUID@N=back:LUID     the adapter is back under another LUID
    device@N=hung                before call N, all devices are lost; also reset, stopped, out_of_memory, dma_fault
                                 and page_fault, the state that D3DKMTGetDeviceState returns
    video_memory@N=SIZE          before call N, the budget of every adapter changes
    system_memory@N=SIZE         before call N, the budget of the machine changes

FUNCTION may be a pattern, such as D3DKMTCreate*, with or without the prefix D3DKMT. The calls of all functions of a
pattern are counted together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from tracekmt import ntstatus
from tracekmt.calls import CALLS
from tracekmt.codec.luid import Luid
from tracekmt.errors import UsageError
from tracekmt.simulator.rule import ValidationRule
from tracekmt.text.fault_text import EXAMPLE, FaultText, check_numbers, split_fault
from tracekmt.text.filter import CallPredicate, parse_where
from tracekmt.text.functions import described_functions, matches_function, unknown_function
from tracekmt.text.units import parse_size

Component = Literal["adapter", "device", "video_memory", "system_memory"]
_COMPONENTS: dict[str, Component] = {
    "adapter": "adapter",
    "device": "device",
    "video_memory": "video_memory",
    "system_memory": "system_memory",
}

_DEVICE_STATES = {
    "hung": "D3DKMT_DEVICEEXECUTION_HUNG",
    "reset": "D3DKMT_DEVICEEXECUTION_RESET",
    "stopped": "D3DKMT_DEVICEEXECUTION_STOPPED",
    "out_of_memory": "D3DKMT_DEVICEEXECUTION_ERROR_OUTOFMEMORY",
    "dma_fault": "D3DKMT_DEVICEEXECUTION_ERROR_DMAFAULT",
    "page_fault": "D3DKMT_DEVICEEXECUTION_ERROR_DMAPAGEFAULT",
}


@dataclass
class CallInputs:
    """Function name and inputs of a call, for conditions."""

    name: str
    inputs: Any


@dataclass
class InjectedFault:
    """Calls to reject.

    Attributes:
        text: The fault as the user wrote it.
        function: Name or pattern of the functions.
        status: Name of the status that the calls return.
        first: Number of the first call to reject, from 1. None rejects every call.
        step: Distance to each further call to reject. None rejects only the first.
        condition: Condition on the inputs. Only calls that satisfy it are counted.
        counted: Number of calls counted so far.
        fired: Number of calls rejected so far.
    """

    text: str
    function: str
    status: str
    first: int | None
    step: int | None
    condition: CallPredicate | None
    counted: int = field(default=0, init=False)
    fired: int = field(default=0, init=False)

    def matches(self, name: str, inputs: Callable[[], Any]) -> bool:
        """Count a call, and return True if the fault rejects it."""
        if not matches_function(self.function, name):
            return False
        if self.condition is not None and not self.condition(CallInputs(name, inputs())):
            return False
        self.counted += 1
        if self.first is None:
            return True
        distance = self.counted - self.first
        return distance == 0 or (self.step is not None and distance > 0 and distance % self.step == 0)

    @property
    def rule(self) -> ValidationRule:
        """Rule for the rejected calls."""
        return ValidationRule(
            self.status, f"injected: {self.text}", lambda request: True, "requested by the user", "assumption"
        )


@dataclass(frozen=True)
class MachineChange:
    """A change of the machine before a call.

    Attributes:
        text: The change as the user wrote it.
        call_index: Index of the call that the change precedes.
        component: Part of the machine that changes.
        size: New budget in bytes, for a memory change.
        stops: True if adapters stop, False if they are back.
        luid: LUID of the adapter. None is all adapters.
        new_luid: LUID that the adapter gets. None if it keeps its own.
        execution_state: Name of the D3DKMT_DEVICEEXECUTION_STATE of lost devices.
    """

    text: str
    call_index: int
    component: Component
    size: int = 0
    stops: bool = False
    luid: Luid | None = None
    new_luid: Luid | None = None
    execution_state: str = ""


def parse_faults(texts: Any) -> tuple[list[InjectedFault], list[MachineChange]]:
    """Parse injected faults and machine changes.

    Args:
        texts: A list of texts in the forms of this module.

    Raises:
        UsageError: A text is invalid, or names an unknown function, status or field.
    """
    if isinstance(texts, str) or not isinstance(texts, (list, tuple)):
        raise UsageError(f"invalid faults: {texts!r} (expected a list of texts such as {EXAMPLE})")
    faults: list[InjectedFault] = []
    changes: list[MachineChange] = []
    for text in texts:
        fault = split_fault(text)
        if fault.target.partition(":")[0] in _COMPONENTS:
            changes.append(_parse_change(fault))
        else:
            faults.append(_parse_fault(fault))
    return faults, changes


def _parse_fault(fault: FaultText) -> InjectedFault:
    specs = [CALLS[name] for name in described_functions(fault.target)]
    if not specs:
        raise unknown_function(fault.target, f"fault {fault.text}")
    check_numbers(fault)
    condition = None if fault.condition is None else parse_where(fault.condition, specs)
    status = ntstatus.status(fault.result).name
    return InjectedFault(fault.text, fault.target, status, fault.first, fault.step, condition)


def _parse_change(fault: FaultText) -> MachineChange:
    name, _, luid = fault.target.partition(":")
    text, result = fault.text, fault.result
    component = _COMPONENTS[name]
    if fault.first is None or fault.step is not None or fault.condition is not None:
        raise UsageError(f"invalid fault: {text} (expected the index of a call: {component}@N={result})")
    call_index = fault.first
    if component == "device":
        if result not in _DEVICE_STATES or luid:
            raise UsageError(f"invalid fault: {text} (expected device@{call_index}=STATE: {', '.join(_DEVICE_STATES)})")
        return MachineChange(text, call_index, component, execution_state=_DEVICE_STATES[result])
    if component != "adapter":
        return MachineChange(text, call_index, component, parse_size(result))
    state, colon, new_luid = result.partition(":")
    if state not in ("stopped", "back") or (colon and not (new_luid and luid and state == "back")):
        raise UsageError(
            f"invalid fault: {text} (expected adapter@{call_index}=stopped, or adapter:LUID@{call_index}=back:LUID)"
        )
    old, new = (Luid.parse(part) if part else None for part in (luid, new_luid))
    return MachineChange(text, call_index, component, stops=state == "stopped", luid=old, new_luid=new)
