"""Presents. The simulator has no displays: it checks handles, and the desktop may decide the rest."""

from __future__ import annotations

from tracekmt.simulator.model.gpu_queue import GpuOperation
from tracekmt.simulator.model.objects import HwQueue
from tracekmt.simulator.rule import invalid
from tracekmt.simulator.rules.submission import MAX_CONTEXTS, SubmissionRequest
from tracekmt.simulator.sources import page
from tracekmt.simulator.unmodelled import answer, by_description


def present_blt(request: SubmissionRequest) -> None:
    """Execute the blt, which ends with the value of the queue's progress fence."""
    queue = request.contexts[0] if request.contexts else None
    if isinstance(queue, HwQueue) and queue.progress_fence is not None:
        value = request.args["HwQueueProgressFenceId"]
        queue.queue.submit(GpuOperation([(queue.progress_fence.fence, value)], is_wait=False))
    answer(request)


_NO_DISPLAY = "the simulator has no displays, so the desktop decides what a present shows"

BEHAVIOURS = {
    "D3DKMTPresent": by_description(
        "D3DKMTPresent",
        invalid(
            "BroadcastContextCount is above 64",
            lambda r: r.args["BroadcastContextCount"] > MAX_CONTEXTS,
            page("D3DKMT_PRESENT"),
            "documentation",
        ),
        request=SubmissionRequest,
        limits=_NO_DISPLAY,
    ),
    "D3DKMTSubmitPresentToHwQueue": by_description(
        "D3DKMTSubmitPresentToHwQueue", request=SubmissionRequest, limits=_NO_DISPLAY
    ),
    "D3DKMTSubmitPresentBltToHwQueue": by_description(
        "D3DKMTSubmitPresentBltToHwQueue", request=SubmissionRequest, effect=present_blt, limits=_NO_DISPLAY
    ),
    "D3DKMTGetPresentQueueEvent": by_description("D3DKMTGetPresentQueueEvent"),
}
