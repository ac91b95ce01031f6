"""Questions that only the recorded machine answers, and properties of allocations without an effect here."""

from __future__ import annotations

from tracekmt.simulator.unmodelled import by_description

BEHAVIOURS = {
    **{
        name: by_description(machine_answers=True)
        for name in (
            "D3DKMTGetDeviceState",
            "D3DKMTQueryStatistics",
            "D3DKMTQueryClockCalibration",
            "D3DKMTQueryAllocationResidency",
            "D3DKMTGetAllocationPriority",
            "D3DKMTGetContextSchedulingPriority",
            "D3DKMTGetContextInProcessSchedulingPriority",
            "D3DKMTGetProcessSchedulingPriorityClass",
            "D3DKMTGetProcessDeviceRemovalSupport",
            "D3DKMTQueryProcessOfferInfo",
        )
    },
    "D3DKMTSetAllocationPriority": by_description(),
    "D3DKMTInvalidateCache": by_description(),
    "D3DKMTUpdateAllocationProperty": by_description(is_queued=True),
}
