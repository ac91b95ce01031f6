"""Paging queues: create and destroy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tracekmt.codec.memory import Memory
from tracekmt.simulator.model.adapter import Adapter
from tracekmt.simulator.model.machine import Process
from tracekmt.simulator.model.objects import PagingQueue, SyncObject
from tracekmt.simulator.model.shared_objects import SyncState
from tracekmt.simulator.request import Behaviour, Request
from tracekmt.simulator.rule import invalid
from tracekmt.simulator.rules.device import BAD_DEVICE, DeviceRequest
from tracekmt.simulator.rules.sync import FENCE_ADDRESS_REASON, MONITORED_FENCE
from tracekmt.simulator.sources import LIKE_OTHERS
from tracekmt.spec.types import Abi, CallSpec


class PagingQueueRequest(Request):
    """A call with a paging queue.

    Attributes:
        queue: Live queue of hPagingQueue, or None.
        device: Device of the queue, None if it is unknown.
    """

    def __init__(self, process: Process, spec: CallSpec, abi: Abi, memory: Memory, arguments: Sequence[int]) -> None:
        super().__init__(process, spec, abi, memory, arguments)
        self.queue = process.find(self.args["hPagingQueue"], PagingQueue)
        self.device = self.queue.device if self.queue is not None else None

    @property
    def adapter(self) -> Adapter | None:
        """Adapter of the device."""
        return self.device.adapter if self.device is not None else None

    def next_fence_value(self) -> int:
        """Return the fence value of this operation."""
        assert self.queue is not None
        return self.queue.next_fence_value()


class CreatePagingQueueRequest(DeviceRequest):
    """A D3DKMT_CREATEPAGINGQUEUE."""

    @property
    def uncertain_outputs(self) -> Mapping[str, str]:
        """CPU address of the fence."""
        return _FENCE_ADDRESS


_FENCE_ADDRESS = {"FenceValueCPUVirtualAddress": FENCE_ADDRESS_REASON}

BAD_QUEUE = invalid("hPagingQueue is not a paging queue", lambda r: r.queue is None, LIKE_OTHERS, "assumption")


def create(request: CreatePagingQueueRequest) -> None:
    """Create the queue, then its monitored fence (WSL2-Linux-Kernel drivers/hv/dxgkrnl), and map the fence's value."""
    process, args = request.process, request.args
    state = SyncState(MONITORED_FENCE)
    queue = PagingQueue(request.device, state)
    args["hPagingQueue"] = process.add(queue, request.device)
    args["hSyncObject"] = process.add(SyncObject(state), queue)
    args["FenceValueCPUVirtualAddress"] = process.map_fence(state.fence, request.pointer_size)


def destroy(request: PagingQueueRequest) -> None:
    """Destroy the queue and its fence."""
    assert request.queue is not None
    request.process.destroy(request.queue)


BEHAVIOURS = {
    "D3DKMTCreatePagingQueue": Behaviour(request=CreatePagingQueueRequest, rules=(BAD_DEVICE,), effect=create),
    "D3DKMTDestroyPagingQueue": Behaviour(request=PagingQueueRequest, rules=(BAD_QUEUE,), effect=destroy),
}
