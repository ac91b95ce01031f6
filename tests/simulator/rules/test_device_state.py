"""Execution states of devices, and what lost devices refuse."""

from __future__ import annotations

import pytest

from tests.simulator.machine import Caller, new_caller
from tracekmt.errors import UsageError

STATES = {
    "hung": "HUNG",
    "reset": "RESET",
    "stopped": "STOPPED",
    "out_of_memory": "ERROR_OUTOFMEMORY",
    "dma_fault": "ERROR_DMAFAULT",
    "page_fault": "ERROR_DMAPAGEFAULT",
}


def state_of(caller: Caller) -> str:
    outputs = caller.outputs("GetDeviceState", hDevice=caller.device, StateType=1)
    return str(outputs["ExecutionState"].name).removeprefix("D3DKMT_DEVICEEXECUTION_")


def submit(caller: Caller, context: int) -> str:
    return caller.status("SubmitCommand", BroadcastContextCount=1, BroadcastContext=[context])


@pytest.mark.parametrize("fault", STATES)
def test_an_injected_fault_loses_the_devices(fault: str) -> None:
    caller = new_caller(faults=[f"device@5={fault}"])  # two calls open the adapter and create the device
    context = caller.outputs("CreateContextVirtual", hDevice=caller.device)["hContext"]
    assert (state_of(caller), submit(caller, context)) == ("ACTIVE", "SUCCESS")
    assert (submit(caller, context), state_of(caller)) == ("DEVICE_REMOVED", STATES[fault])
    assert caller.status("CreateAllocation2", hDevice=caller.device, pAllocationInfo2=[{}]) == "DEVICE_REMOVED"
    fresh = caller.outputs("CreateDevice", hAdapter=caller.adapter)["hDevice"]
    assert caller.status("CreateContextVirtual", hDevice=fresh) == "SUCCESS", "the adapter is not lost"
    assert caller.status("DestroyDevice", hDevice=caller.device) == "SUCCESS"


@pytest.mark.parametrize("fault", ["device@3=gone", "device:1:2@3=hung", "device=hung"])
def test_invalid_faults(fault: str) -> None:
    with pytest.raises(UsageError, match="invalid fault: device"):
        new_caller(faults=[fault])


def test_a_device_in_error_is_lost() -> None:
    caller = new_caller()
    context = caller.outputs("CreateContextVirtual", hDevice=caller.device)["hContext"]
    assert submit(caller, context) == "SUCCESS"
    assert caller.status("MarkDeviceAsError", hDevice=caller.device, Reason=0x80000000) == "SUCCESS"
    assert (submit(caller, context), state_of(caller)) == ("DEVICE_REMOVED", "RESET")


def test_a_status_that_no_source_defines_is_a_setting() -> None:
    caller = new_caller(assumptions={"submit_to_lost_device": "STATUS_INVALID_PARAMETER"})
    context = caller.outputs("CreateContextVirtual", hDevice=caller.device)["hContext"]
    caller.simulator.stop_adapter()
    assert submit(caller, context) == "INVALID_PARAMETER"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"assumptions": {"nothing": "STATUS_SUCCESS"}}, "invalid assumption: 'nothing'"),
        ({"assumptions": {"lock_offered": "STATUS_NONSENSE"}}, "STATUS_NONSENSE"),
        ({"assumptions": ["lock_offered"]}, "invalid assumptions: .'lock_offered'. .expected a table of statuses"),
        ({"device_error_flag": "Discard"}, "invalid device_error_flag: 'Discard' .expected MustSucceed or CantTrim"),
    ],
)
def test_invalid_settings(settings: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        new_caller(**settings)
