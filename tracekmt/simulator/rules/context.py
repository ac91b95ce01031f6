"""Contexts, hardware contexts and hardware queues."""

from __future__ import annotations

from collections.abc import Mapping

from tracekmt.simulator.model.objects import Context, HwQueue, SyncObject
from tracekmt.simulator.rules.sync import FENCE_ADDRESS_REASON
from tracekmt.simulator.unmodelled import UnmodelledRequest, answer, by_description

_BUFFERS = (
    "pCommandBuffer",
    "CommandBufferSize",
    "pAllocationList",
    "AllocationListSize",
    "pPatchLocationList",
    "PatchLocationListSize",
    "CommandBuffer",
)


_FENCE_ADDRESSES = {f"HwQueueProgressFence{side}VirtualAddress": FENCE_ADDRESS_REASON for side in ("CPU", "GPU")}


class CreateContextRequest(UnmodelledRequest):
    """A D3DKMT_CREATECONTEXT."""

    @property
    def uncertain_outputs(self) -> Mapping[str, str]:
        """Buffers of the context."""
        return dict.fromkeys(_BUFFERS, "only a driver knows the buffers of a context")


class CreateHwQueueRequest(UnmodelledRequest):
    """A D3DKMT_CREATEHWQUEUE."""

    @property
    def uncertain_outputs(self) -> Mapping[str, str]:
        """Addresses of the fence."""
        return _FENCE_ADDRESSES


def create_context(request: UnmodelledRequest) -> None:
    """Create a context, with GPU addresses if it is a virtual one."""
    answer(request)
    context = request.object_at("hContext")
    if isinstance(context, Context):
        context.device, context.is_virtual = request.device, request.spec.name.endswith("Virtual")


def create_hw_queue(request: CreateHwQueueRequest) -> None:
    """Create a queue and the monitored fence of its finished commands, and map the value of the fence."""
    answer(request)
    queue, fence = request.object_at("hHwQueue"), request.object_at("hHwQueueProgressFence")
    if isinstance(queue, HwQueue) and isinstance(fence, SyncObject):
        queue.device, queue.progress_fence = request.device, fence.state
        address = request.process.map_fence(fence.state.fence, request.pointer_size)
        request.args["HwQueueProgressFenceCPUVirtualAddress"] = address


BEHAVIOURS = {
    "D3DKMTCreateContext": by_description("D3DKMTCreateContext", request=CreateContextRequest, effect=create_context),
    "D3DKMTCreateContextVirtual": by_description("D3DKMTCreateContextVirtual", effect=create_context),
    "D3DKMTCreateHwQueue": by_description("D3DKMTCreateHwQueue", request=CreateHwQueueRequest, effect=create_hw_queue),
    **{
        name: by_description(name)
        for name in (
            "D3DKMTDestroyContext",
            "D3DKMTSetContextSchedulingPriority",
            "D3DKMTSetContextInProcessSchedulingPriority",
            "D3DKMTCreateHwContext",
            "D3DKMTDestroyHwContext",
            "D3DKMTDestroyHwQueue",
        )
    },
}
