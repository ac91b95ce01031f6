"""Questions that only the recorded machine answers, and settings without an effect here."""

from __future__ import annotations

from tracekmt.simulator.recorded_state import ANSWER_REASON
from tracekmt.simulator.unmodelled import by_description

BEHAVIOURS = {
    **{
        name: by_description(name, machine_answers=lambda request: True, limits=ANSWER_REASON)
        for name in (
            "D3DKMTQueryStatistics",
            "D3DKMTQueryClockCalibration",
            "D3DKMTGetContextSchedulingPriority",
            "D3DKMTGetContextInProcessSchedulingPriority",
            "D3DKMTGetProcessSchedulingPriorityClass",
            "D3DKMTGetProcessDeviceRemovalSupport",
            "D3DKMTQueryProcessOfferInfo",
            "D3DKMTTrimProcessCommitment",
            "D3DKMTGetPresentHistory",
            "D3DKMTCheckMultiPlaneOverlaySupport3",
            "D3DKMTCheckExclusiveOwnership",
            "D3DKMTSetQueuedLimit",
        )
    },
    **{
        name: by_description(name)
        for name in (
            "D3DKMTCloseDxCoreDevice",
            "D3DKMTConfigureSharedResource",
            "D3DKMTInvalidateCache",
            "D3DKMTReleaseProcessVidPnSourceOwners",
            "D3DKMTSetProcessSchedulingPriorityClass",
        )
    },
    "D3DKMTUpdateAllocationProperty": by_description("D3DKMTUpdateAllocationProperty", is_queued=True),
}
