"""Submission to contexts and hardware queues, and waits and signals of the GPU.

No command is executed. The waits and signals of a queue are played in their order.
"""

from __future__ import annotations

from collections.abc import Mapping

from tracekmt.calls import CALLS
from tracekmt.simulator.lazy import lazy_attribute
from tracekmt.simulator.model.gpu_queue import GpuOperation
from tracekmt.simulator.model.objects import Allocation, Context, HwQueue, SyncObject
from tracekmt.simulator.model.shared_objects import SyncState
from tracekmt.simulator.request import Behaviour
from tracekmt.simulator.rule import ValidationRule, invalid, unspecified
from tracekmt.simulator.rules.sync import FENCE, HEADER, MONITORED_TYPES, OBJECT_COUNT, denied
from tracekmt.simulator.sources import page
from tracekmt.simulator.unmodelled import UnmodelledRequest, answer, by_description

MAX_CONTEXTS = 64
"""D3DDDI_MAX_BROADCAST_CONTEXT."""
MAX_PRIMARIES = 16
"""D3DDDI_MAX_WRITTEN_PRIMARIES."""

_ARRAYS = ("MonitoredFenceValueArray", "FenceValueArray")
_BUFFERS = (
    "pNewCommandBuffer",
    "NewCommandBufferSize",
    "pNewAllocationList",
    "NewAllocationListSize",
    "pNewPatchLocationList",
    "NewPatchLocationListSize",
    "QueuedBufferCount",
    "NewCommandBuffer",
)


class SubmissionRequest(UnmodelledRequest):
    """A call that submits work to contexts or hardware queues."""

    @lazy_attribute
    def contexts(self) -> list[Context]:
        """Live contexts or hardware queues of the call."""
        return [found for found in self.input_objects if isinstance(found, Context)]

    @property
    def is_virtual(self) -> bool | None:
        """True for GPU addresses, False for patched addresses. None for a context that is older than the trace."""
        return self.contexts[0].is_virtual if self.contexts else None

    @property
    def writes_evicted_primary(self) -> bool:
        """True if the commands write a primary that is not resident."""
        primaries = self.args.numbers("WrittenPrimaries", self.args["NumPrimaries"])
        found = (self.process.find(handle, Allocation) for handle in primaries)
        return any(primary is not None and not primary.resident_count for primary in found)

    @property
    def uncertain_outputs(self) -> Mapping[str, str]:
        """Next buffers of the context."""
        return dict.fromkeys(_BUFFERS, "only a driver knows the buffers of a context") if self.is_render else {}

    @property
    def is_render(self) -> bool:
        """True for a call that gets the next buffers of its context."""
        return self.spec.argument.has("pNewCommandBuffer")


class SyncRequest(SubmissionRequest):
    """A call with which the GPU waits for synchronization objects, or signals them."""

    @lazy_attribute
    def sync_objects(self) -> list[SyncObject]:
        """Live synchronization objects."""
        return [found for found in self.input_objects if isinstance(found, SyncObject)]

    def has_flag(self, flag: str) -> bool:
        """Return True if one of the objects was created with a flag."""
        return any(flag in sync_object.state.flags for sync_object in self.sync_objects)

    @property
    def values(self) -> list[tuple[SyncState, int]]:
        """Fences, each with the value to wait for or to signal."""
        states = [sync_object.state for sync_object in self.sync_objects]
        has = self.spec.argument.has
        array = next((name for name in _ARRAYS if has(name)), None)
        is_array = any(state.type in MONITORED_TYPES for state in states)
        if array is not None and is_array:
            numbers = self.args.numbers(array, len(states)) if self.args[array] else []
            return list(zip(states, numbers, strict=False))
        single = "Fence.FenceValue" if has("Fence") else "FenceValue" if has("FenceValue") else None
        return [(state, self.args[single]) for state in states if single and state.type == FENCE]


def submit(request: SubmissionRequest) -> None:
    """Execute the commands. A command of a hardware queue ends with the value of its progress fence."""
    if request.is_render:
        answer(request)
    queue = request.contexts[0] if request.contexts else None
    if isinstance(queue, HwQueue) and queue.progress_fence is not None:
        value = request.args["HwQueueProgressFenceId"]
        queue.queue.submit(GpuOperation([(queue.progress_fence.fence, value)], is_wait=False))


def wait(request: SyncRequest) -> None:
    """Hold back the later work of the context until the fences have their values.

    A fence that may change elsewhere does not hold it back.
    """
    values = [(state.fence, value) for state, value in request.values if state.is_certain]
    if values and request.contexts:
        request.contexts[0].queue.submit(GpuOperation(values, is_wait=True))


def signal(request: SyncRequest) -> None:
    """Signal the fences after the earlier work of the context."""
    values = [(state.fence, value) for state, value in request.values]
    if values and request.contexts:
        request.contexts[0].queue.submit(GpuOperation(values, is_wait=False))


_CONTEXT_COUNT = invalid(
    "BroadcastContextCount is 0 or above 64",
    lambda r: not 0 < r.args["BroadcastContextCount"] <= MAX_CONTEXTS,
    page("D3DKMT_SUBMITCOMMAND"),
    "documentation",
)
_EVENT_INSTEAD = invalid(
    "EnqueueCpuEvent with objects, or without CpuEventHandle",
    lambda r: r.args["Flags.EnqueueCpuEvent"] and (r.args["ObjectCount"] or not r.args["CpuEventHandle"]),
    page("D3DDDICB_SIGNALFLAGS"),
    "documentation",
)
_PRIMARIES = invalid(
    "NumPrimaries is above 16", lambda r: r.args["NumPrimaries"] > MAX_PRIMARIES, HEADER, "Microsoft source"
)
_PRIMARY = unspecified(
    "primary_not_resident",
    "a primary that the commands write is not resident",
    lambda r: r.writes_evicted_primary,
    "Microsoft documentation: residency overview, which names no status",
)
_LOST = unspecified(
    "submit_to_lost_device",
    "the device is in error",
    lambda r: r.is_lost,
    page("PFND3DDDI_MAKERESIDENTCB") + ", which names no status",
    status="STATUS_DEVICE_REMOVED",
    confidence="documentation",
)
_NOT_VIRTUAL = unspecified(
    "submit_without_gpu_addresses",
    "the context was created by D3DKMTCreateContext, which has no GPU addresses",
    lambda r: r.is_virtual is False,
    page("D3DKMTSubmitCommand") + ", which names no status",
    confidence="documentation",
)
_VIRTUAL = unspecified(
    "render_with_gpu_addresses",
    "the context was created by D3DKMTCreateContextVirtual, whose work is submitted by D3DKMTSubmitCommand",
    lambda r: r.is_virtual,
    page("D3DKMTSubmitCommand") + ", which names no status",
    confidence="documentation",
)


def _lost(name: str) -> tuple[ValidationRule, ...]:
    """Return the rule for a device in error, if the page of the function does not name the status."""
    return () if "STATUS_DEVICE_REMOVED" in CALLS[name].statuses else (_LOST,)


def _submission(name: str, *rules: ValidationRule) -> Behaviour:
    return by_description(name, *rules, request=SubmissionRequest, effect=submit)


def _wait(name: str) -> Behaviour:
    rules = (OBJECT_COUNT, denied("NoWait", "waited for"), *_lost(name))
    return by_description(name, *rules, request=SyncRequest, effect=wait)


def _signal(name: str, *rules: ValidationRule) -> Behaviour:
    rules = (*rules, OBJECT_COUNT, denied("NoSignal", "signalled"), *_lost(name))
    return by_description(name, *rules, request=SyncRequest, effect=signal)


BEHAVIOURS = {
    "D3DKMTSubmitCommand": _submission(
        "D3DKMTSubmitCommand", _CONTEXT_COUNT, _PRIMARIES, _PRIMARY, _NOT_VIRTUAL, _LOST
    ),
    "D3DKMTSubmitCommandToHwQueue": _submission("D3DKMTSubmitCommandToHwQueue", _PRIMARIES, _PRIMARY, _LOST),
    "D3DKMTRender": _submission("D3DKMTRender", _VIRTUAL),
    "D3DKMTWaitForIdle": by_description("D3DKMTWaitForIdle"),
    **{
        name: _wait(name)
        for name in (
            "D3DKMTSubmitWaitForSyncObjectsToHwQueue",
            "D3DKMTWaitForSynchronizationObject",
            "D3DKMTWaitForSynchronizationObject2",
            "D3DKMTWaitForSynchronizationObjectFromGpu",
        )
    },
    "D3DKMTSignalSynchronizationObject2": _signal("D3DKMTSignalSynchronizationObject2", _EVENT_INSTEAD),
    **{
        name: _signal(name)
        for name in (
            "D3DKMTSubmitSignalSyncObjectsToHwQueue",
            "D3DKMTSignalSynchronizationObject",
            "D3DKMTSignalSynchronizationObjectFromGpu",
            "D3DKMTSignalSynchronizationObjectFromGpu2",
        )
    },
}
