"""State of devices: queries, and calls that put a device in error."""

from __future__ import annotations

from tracekmt.calls.statistics import D3DKMT_DEVICEEXECUTION_STATE, D3DKMT_DEVICESTATE_TYPE
from tracekmt.simulator.recorded_state import ANSWER_REASON
from tracekmt.simulator.unmodelled import UnmodelledRequest, answer, by_description

EXECUTION = D3DKMT_DEVICESTATE_TYPE.number("D3DKMT_DEVICESTATE_EXECUTION")


class DeviceStateRequest(UnmodelledRequest):
    """A D3DKMT_GETDEVICESTATE."""

    @property
    def is_known(self) -> bool:
        """True if the settings define the state, as an injected loss of devices does."""
        return self.args["StateType"] == EXECUTION and "device" in self.machine.known


def get_state(request: DeviceStateRequest) -> None:
    """Write the execution state. The simulator has no other state."""
    answer(request)
    if request.args["StateType"] == EXECUTION and request.device is not None:
        state = D3DKMT_DEVICEEXECUTION_STATE.number(request.device.execution_state)
        request.args["ExecutionState"] = state


def mark_as_error(request: UnmodelledRequest) -> None:
    """Lose the device (WSL2-Linux-Kernel drivers/hv/dxgkrnl sets its state to RESET)."""
    if request.device is not None:
        request.device.lose()


BEHAVIOURS = {
    "D3DKMTGetDeviceState": by_description(
        "D3DKMTGetDeviceState",
        request=DeviceStateRequest,
        effect=get_state,
        machine_answers=lambda request: not request.is_known,
        refuses_lost_device=False,
        limits=ANSWER_REASON + ", except for the execution state of a device that an injected fault has lost",
    ),
    "D3DKMTMarkDeviceAsError": by_description("D3DKMTMarkDeviceAsError", effect=mark_as_error),
}
