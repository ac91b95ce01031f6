"""Submission to contexts and hardware queues. No command is executed, so no fence of the GPU changes."""

from __future__ import annotations

from tracekmt.simulator.rule import invalid
from tracekmt.simulator.sources import page
from tracekmt.simulator.unmodelled import by_description

MAX_CONTEXTS = 64
"""D3DDDI_MAX_BROADCAST_CONTEXT."""

_CONTEXT_COUNT = invalid(
    "BroadcastContextCount is 0 or above 64",
    lambda r: not 0 < r.args["BroadcastContextCount"] <= MAX_CONTEXTS,
    page("D3DKMT_SUBMITCOMMAND"),
    "documentation",
)

BEHAVIOURS = {
    "D3DKMTSubmitCommand": by_description(_CONTEXT_COUNT),
    **{
        name: by_description()
        for name in (
            "D3DKMTSubmitCommandToHwQueue",
            "D3DKMTSubmitWaitForSyncObjectsToHwQueue",
            "D3DKMTSubmitSignalSyncObjectsToHwQueue",
            "D3DKMTWaitForSynchronizationObject",
            "D3DKMTWaitForSynchronizationObject2",
            "D3DKMTWaitForSynchronizationObjectFromGpu",
            "D3DKMTSignalSynchronizationObject",
            "D3DKMTSignalSynchronizationObject2",
            "D3DKMTSignalSynchronizationObjectFromGpu",
            "D3DKMTSignalSynchronizationObjectFromGpu2",
        )
    },
}
