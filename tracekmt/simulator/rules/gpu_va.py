"""GPU virtual addresses: reserve, map and free. The simulator does not know which ranges are in use."""

from __future__ import annotations

from collections.abc import Sequence

from tracekmt.codec.memory import Memory
from tracekmt.simulator.model.machine import Process
from tracekmt.simulator.model.objects import Allocation, OpenAdapter
from tracekmt.simulator.request import Behaviour
from tracekmt.simulator.rule import ValidationRule, invalid
from tracekmt.simulator.rules.adapter import BAD_ADAPTER, AdapterRequest
from tracekmt.simulator.rules.paging_queue import BAD_QUEUE, PagingQueueRequest
from tracekmt.simulator.sources import LIKE_OTHERS, page
from tracekmt.spec.types import Abi, CallSpec

PAGE, RESERVATION_UNIT = 4096, 64 << 10

_MAP_PAGE, _RESERVE_PAGE = page("D3DDDI_MAPGPUVIRTUALADDRESS"), page("D3DDDI_RESERVEGPUVIRTUALADDRESS")


class MapRequest(PagingQueueRequest):
    """A D3DDDI_MAPGPUVIRTUALADDRESS."""

    @property
    def is_allocation_invalid(self) -> bool:
        """True if hAllocation is neither 0 nor an allocation of the queue's device."""
        if not self.args["hAllocation"]:
            return False
        allocation = self.process.find(self.args["hAllocation"], Allocation)
        return allocation is None or not (self.device is None or allocation.is_on(self.device))


class ReserveRequest(PagingQueueRequest):
    """A D3DDDI_RESERVEGPUVIRTUALADDRESS, whose first handle is a paging queue or an adapter."""

    def __init__(self, process: Process, spec: CallSpec, abi: Abi, memory: Memory, arguments: Sequence[int]) -> None:
        super().__init__(process, spec, abi, memory, arguments)
        self.open_adapter = process.find(self.args["hPagingQueue"], OpenAdapter)


def reserve(request: ReserveRequest) -> None:
    """Choose a range, unless the caller does. The operation is queued if the call names a queue."""
    args = request.args
    args["VirtualAddress"] = args["BaseAddress"] or request.process.reserve_addresses("gpu", args["Size"])
    args["PagingFenceValue"] = request.next_fence_value() if request.queue is not None else 0


def map_range(request: MapRequest) -> None:
    """Choose a range, unless the caller does, and queue the operation."""
    args = request.args
    size = args["SizeInPages"] * PAGE
    args["VirtualAddress"] = args["BaseAddress"] or request.process.reserve_addresses("gpu", size)
    args["PagingFenceValue"] = request.next_fence_value()


def free(request: AdapterRequest) -> None:
    """Do nothing: the simulator does not know which ranges are in use."""


def _aligned(names: Sequence[str], unit: int, source: str) -> ValidationRule:
    """Return the rule for addresses and sizes that are not multiples of a unit."""
    return invalid(
        f"{' or '.join(names)} is not a multiple of {unit >> 10} KB",
        lambda r: any([r.args[name] % unit for name in names]),  # noqa: C419 (every name is checked in tests)
        source,
        "documentation",
    )


BEHAVIOURS = {
    "D3DKMTReserveGpuVirtualAddress": Behaviour(
        request=ReserveRequest,
        rules=(
            invalid(
                "hPagingQueue is neither a paging queue nor an adapter",
                lambda r: r.queue is None and r.open_adapter is None,
                LIKE_OTHERS,
                "assumption",
            ),
            _aligned(("BaseAddress", "Size"), RESERVATION_UNIT, _RESERVE_PAGE),
        ),
        effect=reserve,
        is_queued=True,
    ),
    "D3DKMTMapGpuVirtualAddress": Behaviour(
        request=MapRequest,
        rules=(
            BAD_QUEUE,
            # MaximumAddress as well, by the page. Intel's driver passes the last byte of the address space.
            _aligned(("BaseAddress",), PAGE, _MAP_PAGE),
            invalid(
                "Protection has SystemUseOnly",
                lambda r: r.args["Protection.SystemUseOnly"],
                page("D3DDDIGPUVIRTUALADDRESS_PROTECTION_TYPE"),
                "documentation",
            ),
            invalid(
                "Zero or NoAccess with hAllocation",
                lambda r: (r.args["Protection.Zero"] or r.args["Protection.NoAccess"]) and r.args["hAllocation"],
                _MAP_PAGE,
                "documentation",
            ),
            invalid(
                "hAllocation is not an allocation of the device",
                lambda r: r.is_allocation_invalid,
                LIKE_OTHERS,
                "assumption",
            ),
        ),
        effect=map_range,
        is_queued=True,
    ),
    "D3DKMTFreeGpuVirtualAddress": Behaviour(
        request=AdapterRequest,
        rules=(BAD_ADAPTER, _aligned(("BaseAddress", "Size"), PAGE, page("D3DKMT_FREEGPUVIRTUALADDRESS"))),
        effect=free,
    ),
}
