"""GPU virtual addresses: reserve, map, free and update."""

from __future__ import annotations

from collections.abc import Sequence

from tracekmt.calls.gpu_va import D3DDDI_UPDATEGPUVIRTUALADDRESS_OPERATION_TYPE
from tracekmt.codec.memory import Memory
from tracekmt.ntstatus import Status
from tracekmt.simulator.lazy import lazy_attribute
from tracekmt.simulator.model.adapter import Adapter
from tracekmt.simulator.model.address_space import AddressSpace
from tracekmt.simulator.model.gpu_queue import GpuOperation, GpuQueue
from tracekmt.simulator.model.machine import Process
from tracekmt.simulator.model.objects import Allocation, OpenAdapter, SyncObject
from tracekmt.simulator.request import Behaviour, Request
from tracekmt.simulator.rule import ValidationRule, invalid, unspecified
from tracekmt.simulator.rules.adapter import BAD_ADAPTER, AdapterRequest
from tracekmt.simulator.rules.paging_queue import BAD_QUEUE, PagingQueueRequest
from tracekmt.simulator.sources import LIKE_OTHERS, page
from tracekmt.simulator.unmodelled import UnmodelledRequest, by_description
from tracekmt.spec.types import PAGE_SIZE, Abi, CallSpec

RESERVATION_UNIT = 64 << 10
ADDRESSES_END = 1 << 64
MAP, UNMAP, COPY, MAP_PROTECT = (
    D3DDDI_UPDATEGPUVIRTUALADDRESS_OPERATION_TYPE.number(f"D3DDDI_UPDATEGPUVIRTUALADDRESS_{name}")
    for name in ("MAP", "UNMAP", "COPY", "MAP_PROTECT")
)

_MAP_PAGE, _RESERVE_PAGE = page("D3DDDI_MAPGPUVIRTUALADDRESS"), page("D3DDDI_RESERVEGPUVIRTUALADDRESS")
_UPDATE_PAGE = page("D3DKMTUpdateGpuVirtualAddress")
CHOSEN_REASON = "the recorded machine may have chosen other addresses for the range that is in use"
OLDER_REASON = "the range may be older than the trace"


class RangeRequest(Request):
    """A call that asks for a range of addresses, or has one chosen."""

    unit = PAGE_SIZE

    @property
    def size(self) -> int:
        """Bytes of the range."""
        return self.args["Size"]

    @property
    def address_space(self) -> AddressSpace:
        """Addresses of the process on the adapter of the call."""
        return self.process.address_space(self.adapter)

    @lazy_attribute
    def start(self) -> int | None:
        """First address: as asked for, or chosen between the limits. None if no such range is free."""
        if self.args["BaseAddress"]:
            return self.args["BaseAddress"]
        # The limit is the last byte for Intel's driver, and the byte behind it by the page.
        maximum = self.args["MaximumAddress"] + self.args["MaximumAddress"] % 2
        return self.address_space.choose(
            max(self.size, self.unit), self.args["MinimumAddress"], maximum, RESERVATION_UNIT
        )

    @property
    def is_beyond_addresses(self) -> bool:
        """True if the range asked for ends behind the last address."""
        return self.args["BaseAddress"] + self.size > ADDRESSES_END

    @property
    def overlaps(self) -> bool:
        """True if addresses asked for are in use."""
        base = self.args["BaseAddress"]
        return bool(base) and bool(self.address_space.overlapping(base, base + self.size))

    def uncertain_status(self, recorded: Status) -> str | None:
        """Return a reason if the range in use is one that the simulator has chosen."""
        base = self.args["BaseAddress"]
        ranges = self.address_space.overlapping(base, base + self.size) if base else []
        return CHOSEN_REASON if recorded.succeeded and any(range_.is_chosen for range_ in ranges) else None


class MapRequest(RangeRequest, PagingQueueRequest):
    """A D3DDDI_MAPGPUVIRTUALADDRESS."""

    @property
    def size(self) -> int:
        """Bytes of the range."""
        return self.args["SizeInPages"] * PAGE_SIZE

    @lazy_attribute
    def allocation(self) -> Allocation | None:
        """Live allocation of hAllocation on the queue's device, or None."""
        allocation = self.process.find(self.args["hAllocation"], Allocation)
        is_here = allocation is not None and (self.device is None or allocation.is_on(self.device))
        return allocation if is_here else None

    @property
    def end_in_allocation(self) -> int:
        """Byte of the allocation behind the mapped ones."""
        return (self.args["OffsetInPages"] + self.args["SizeInPages"]) * PAGE_SIZE

    @property
    def is_without_memory(self) -> bool:
        """True for a mapping that reads zeros or allows no access."""
        return bool(self.args["Protection.Zero"] or self.args["Protection.NoAccess"])

    @property
    def is_beyond_allocation(self) -> bool:
        """True if the mapping is larger than the allocation, whose size is known."""
        memory = self.allocation.memory if self.allocation is not None else None
        return (
            memory is not None
            and memory.size_known
            and self.end_in_allocation > -(-memory.size // PAGE_SIZE) * PAGE_SIZE
        )

    @property
    def overlaps(self) -> bool:
        """True if addresses asked for are neither free nor in one range, or in a mapping that has to stay mapped."""
        if not super().overlaps:
            return False
        base = self.args["BaseAddress"]
        range_ = self.address_space.containing(base, base + self.size)
        return range_ is None or (self.is_without_memory and not range_.is_reserved)


class ReserveRequest(RangeRequest, PagingQueueRequest):
    """A D3DDDI_RESERVEGPUVIRTUALADDRESS, whose first handle is a paging queue or an adapter."""

    unit = RESERVATION_UNIT

    def __init__(self, process: Process, spec: CallSpec, abi: Abi, memory: Memory, arguments: Sequence[int]) -> None:
        super().__init__(process, spec, abi, memory, arguments)
        self.open_adapter = process.find(self.args["hPagingQueue"], OpenAdapter)

    @property
    def adapter(self) -> Adapter | None:
        """Adapter of the queue or of the handle."""
        return self.open_adapter.adapter if self.open_adapter is not None else super().adapter


class FreeRequest(AdapterRequest):
    """A D3DKMT_FREEGPUVIRTUALADDRESS."""

    @property
    def address_space(self) -> AddressSpace:
        """Addresses of the process on the adapter."""
        return self.process.address_space(self.adapter)

    @property
    def end(self) -> int:
        """Address behind the range."""
        return self.args["BaseAddress"] + self.args["Size"]

    @property
    def is_unknown(self) -> bool:
        """True if no address of the range is in use."""
        return not self.address_space.overlapping(self.args["BaseAddress"], self.end)

    @property
    def is_partial(self) -> bool:
        """True if the range has only a part of one that is in use."""
        ranges = self.address_space.overlapping(self.args["BaseAddress"], self.end)
        return any(range_.start < self.args["BaseAddress"] or range_.end > self.end for range_ in ranges)


class UpdateRequest(UnmodelledRequest):
    """A D3DKMT_UPDATEGPUVIRTUALADDRESS."""

    @lazy_attribute
    def destinations(self) -> list[tuple[int, int]]:
        """Start and end of each range that an operation changes."""
        return [self._range(index, "DestAddress") for index in range(self.args["NumOperations"])]

    @lazy_attribute
    def sources(self) -> list[tuple[int, int]]:
        """Start and end of each range that an operation copies from."""
        operations = range(self.args["NumOperations"])
        return [self._range(index, "SourceAddress") for index in operations if self._type(index) == COPY]

    def _type(self, index: int) -> int:
        return self.args.follow("Operations", index)["OperationType"]

    def _range(self, index: int, copy_address: str) -> tuple[int, int]:
        operation, type_ = self.args.follow("Operations", index), self._type(index)
        if type_ == COPY:
            start, size = operation[f"Copy.{copy_address}"], operation["Copy.SizeInBytes"]
        else:
            arm = {MAP: "Map", UNMAP: "Unmap"}.get(type_, "MapProtect")
            start, size = operation[f"{arm}.BaseAddress"], operation[f"{arm}.SizeInBytes"]
        return start, start + size

    def is_outside(self, ranges: Sequence[tuple[int, int]]) -> bool:
        """Return True if ranges are not all in one reserved range."""
        if not ranges:
            return False
        address_space = self.process.address_space(self.adapter)
        start, end = min(start for start, _ in ranges), max(end for _, end in ranges)
        reserved = address_space.containing(start, end)
        return reserved is None or not reserved.is_reserved

    def uncertain_status(self, recorded: Status) -> str | None:
        """Return a reason if a range is in none that the simulator knows."""
        address_space = self.process.address_space(self.adapter)
        ranges = [*self.destinations, *self.sources]
        is_unknown = any(not address_space.overlapping(start, end) for start, end in ranges)
        return OLDER_REASON if recorded.succeeded and is_unknown else None


def reserve(request: ReserveRequest) -> None:
    """Reserve a range. The operation is queued if the call names a queue."""
    args, start = request.args, request.start
    assert start is not None
    size = max(request.size, request.unit)
    request.address_space.add(start, size, is_reserved=True, is_chosen=not args["BaseAddress"])
    args["VirtualAddress"] = start
    if request.machine.profile.returns_reserve_fence:
        args["PagingFenceValue"] = request.next_fence_value() if request.queue is not None else 0


def map_range(request: MapRequest) -> None:
    """Map a range that is free or in use, and queue the operation."""
    args, start, allocation = request.args, request.start, request.allocation
    assert start is not None
    size = max(request.size, PAGE_SIZE)
    if not request.address_space.overlapping(start, start + size):
        range_ = request.address_space.add(start, size, is_reserved=False, is_chosen=not args["BaseAddress"])
        if allocation is not None:
            allocation.mappings.append((request.address_space, range_))
    if allocation is not None:
        request.machine.learn_size(allocation.memory, request.end_in_allocation)
    args["VirtualAddress"] = start
    args["PagingFenceValue"] = request.next_fence_value()


def free(request: FreeRequest) -> None:
    """Free the range."""
    request.address_space.remove(request.args["BaseAddress"], request.end)


def update(request: UpdateRequest) -> None:
    """Signal the fence with the next value when it has reached its value, independent of the work of the context."""
    value = request.args["FenceValue"]
    for sync_object in request.input_objects:
        if isinstance(sync_object, SyncObject):
            fence, queue = sync_object.state.fence, GpuQueue()
            queue.submit(GpuOperation([(fence, value)], is_wait=True))
            queue.submit(GpuOperation([(fence, value + 1)], is_wait=False))


def _aligned(names: Sequence[str], unit: int, source: str) -> ValidationRule:
    """Return the rule for addresses and sizes that are not multiples of a unit."""
    return unspecified(
        "unaligned_address",
        f"{' or '.join(names)} is not a multiple of {unit >> 10} KB",
        lambda r: any([r.args[name] % unit for name in names]),  # noqa: C419 (every name is checked in tests)
        source + ", which names no status",
        confidence="documentation",
    )


def _range_rules(overlap_reason: str, source: str) -> tuple[ValidationRule, ...]:
    return (
        invalid("the range ends behind the last address", lambda r: r.is_beyond_addresses, LIKE_OTHERS, "assumption"),
        ValidationRule(
            "STATUS_INVALID_PARAMETER",
            overlap_reason,
            lambda r: r.overlaps,
            source + ", which names no status",
            "documentation",
            elsewhere=True,
            setting="address_in_use",
        ),
        unspecified(
            "no_free_address",
            "no range of this size is free between MinimumAddress and MaximumAddress",
            lambda r: r.start is None,
            source + ", which names no status",
            status="STATUS_NO_MEMORY",
        ),
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
            _aligned(("BaseAddress", "MinimumAddress", "Size"), RESERVATION_UNIT, _RESERVE_PAGE),
            *_range_rules("a part of the range at BaseAddress is in use", _RESERVE_PAGE),
        ),
        effect=reserve,
        is_queued=True,
    ),
    "D3DKMTMapGpuVirtualAddress": Behaviour(
        request=MapRequest,
        rules=(
            BAD_QUEUE,
            # MaximumAddress as well, by the page. Intel's driver passes the last byte of the address space.
            _aligned(("BaseAddress", "MinimumAddress"), PAGE_SIZE, _MAP_PAGE),
            invalid(
                "Protection has SystemUseOnly",
                lambda r: r.args["Protection.SystemUseOnly"],
                page("D3DDDIGPUVIRTUALADDRESS_PROTECTION_TYPE"),
                "documentation",
            ),
            invalid(
                "Zero or NoAccess with hAllocation",
                lambda r: r.is_without_memory and r.args["hAllocation"],
                _MAP_PAGE,
                "documentation",
            ),
            invalid(
                "hAllocation is not an allocation of the device",
                lambda r: r.args["hAllocation"] and r.allocation is None,
                LIKE_OTHERS,
                "assumption",
            ),
            unspecified(
                "map_beyond_allocation",
                "OffsetInPages and SizeInPages exceed the allocation",
                lambda r: r.is_beyond_allocation,
            ),
            *_range_rules(
                "the range at BaseAddress is neither free nor in one range, or a mapping for Zero or NoAccess",
                _MAP_PAGE,
            ),
        ),
        effect=map_range,
        is_queued=True,
    ),
    "D3DKMTFreeGpuVirtualAddress": Behaviour(
        request=FreeRequest,
        rules=(
            BAD_ADAPTER,
            _aligned(("BaseAddress", "Size"), PAGE_SIZE, page("D3DKMT_FREEGPUVIRTUALADDRESS")),
            unspecified("free_unknown_range", "no address of the range is in use", lambda r: r.is_unknown),
            unspecified("free_part_of_range", "the range is a part of one in use", lambda r: r.is_partial),
        ),
        effect=free,
    ),
    "D3DKMTUpdateGpuVirtualAddress": by_description(
        "D3DKMTUpdateGpuVirtualAddress",
        ValidationRule(
            "STATUS_INVALID_PARAMETER",
            "the ranges to change are not all in one reserved range",
            lambda r: r.is_outside(r.destinations),
            _UPDATE_PAGE + ", which names no status",
            "documentation",
            elsewhere=True,
            setting="update_outside_reservation",
        ),
        ValidationRule(
            "STATUS_INVALID_PARAMETER",
            "the ranges to copy from are not all in one reserved range",
            lambda r: r.is_outside(r.sources),
            _UPDATE_PAGE + ", which names no status",
            "documentation",
            elsewhere=True,
            setting="update_outside_reservation",
        ),
        request=UpdateRequest,
        effect=update,
    ),
}
