"""Contexts, hardware contexts and hardware queues."""

from __future__ import annotations

from collections.abc import Mapping

from tracekmt.simulator.unmodelled import UnmodelledRequest, by_description

_BUFFERS = (
    "pCommandBuffer",
    "CommandBufferSize",
    "pAllocationList",
    "AllocationListSize",
    "pPatchLocationList",
    "PatchLocationListSize",
    "CommandBuffer",
)


class CreateContextRequest(UnmodelledRequest):
    """A D3DKMT_CREATECONTEXT."""

    @property
    def uncertain_outputs(self) -> Mapping[str, str]:
        """Buffers of the context."""
        return dict.fromkeys(_BUFFERS, "only a driver knows the buffers of a context")


BEHAVIOURS = {
    "D3DKMTCreateContext": by_description(request=CreateContextRequest),
    **{
        name: by_description()
        for name in (
            "D3DKMTCreateContextVirtual",
            "D3DKMTDestroyContext",
            "D3DKMTSetContextSchedulingPriority",
            "D3DKMTSetContextInProcessSchedulingPriority",
            "D3DKMTCreateHwContext",
            "D3DKMTDestroyHwContext",
            "D3DKMTCreateHwQueue",
            "D3DKMTDestroyHwQueue",
        )
    },
}
