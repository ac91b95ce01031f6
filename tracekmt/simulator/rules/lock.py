"""Locks: addresses of an allocation's memory, and how often it is locked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from tracekmt.simulator.lazy import lazy_attribute
from tracekmt.simulator.model.objects import Allocation
from tracekmt.simulator.request import Behaviour
from tracekmt.simulator.rule import device_removed, invalid, unspecified
from tracekmt.simulator.rules.device import BAD_DEVICE, DeviceRequest
from tracekmt.simulator.sources import WSL, page

_SIZE = 1 << 20
"""Bytes of the range of addresses of a lock. A call does not have the size of an allocation."""


class LockRequest(DeviceRequest):
    """A call that locks or unlocks one allocation."""

    @lazy_attribute
    def allocations(self) -> list[Allocation | None]:
        """Live allocation of hAllocation on the device, or None."""
        return [self._find(self.args["hAllocation"])]

    def _find(self, handle: int) -> Allocation | None:
        allocation = self.process.find(handle, Allocation)
        return allocation if allocation is not None and allocation.is_on(self.device) else None

    @property
    def uncertain_outputs(self) -> Mapping[str, str]:
        """GPU address of a lock of version 1."""
        return _GPU_ADDRESS if self.spec.argument.has("GpuVirtualAddress") else {}


class Lock2Request(LockRequest):
    """A call of version 2 that locks an allocation."""

    @lazy_attribute
    def has_address(self) -> bool:
        """True if the kernel returns a known address without a look at the device: that of a lock, or of the caller."""
        allocation = self.process.find(self.args["hAllocation"], Allocation)
        is_known = allocation is not None and bool(allocation.lock_count or allocation.memory.caller_address)
        return is_known and self.machine.profile.locks_without_device

    def _find(self, handle: int) -> Allocation | None:
        return self.process.find(handle, Allocation) if self.has_address else super()._find(handle)


class UnlockRequest(LockRequest):
    """A call that unlocks allocations of a list."""

    @lazy_attribute
    def allocations(self) -> list[Allocation | None]:
        """Live allocation of each handle on the device, or None."""
        return [self._find(handle) for handle in self.args.numbers("phAllocations", self.args["NumAllocations"])]


def lock(request: LockRequest) -> None:
    """Map the memory. A nested lock returns the same address (WSL2-Linux-Kernel).

    Memory of the caller's own is not mapped again: the call returns its address.
    """
    (allocation,) = request.allocations
    assert allocation is not None
    # `Simulator.invoke` takes calls of both ABIs, so the address of an earlier lock may not fit.
    if not allocation.lock_count or allocation.locked_at >> 8 * request.pointer_size:
        allocation.locked_at = request.process.map_allocation(allocation.memory, _SIZE, request.pointer_size)
    allocation.lock_count += 1
    request.args["pData"] = allocation.locked_at


def unlock(request: LockRequest) -> None:
    """Unlock each allocation once."""
    for allocation in request.allocations:
        assert allocation is not None
        allocation.lock_count -= 1


_GPU_ADDRESS = {"GpuVirtualAddress": "only a driver knows the GPU address of a lock"}
_BAD_ALLOCATION = invalid(
    "a handle is not an allocation of the device", lambda r: None in r.allocations, WSL, "Microsoft source"
)
_NOT_LOCKED = invalid(
    "an allocation is not locked",
    lambda r: any(r.allocations.count(each) > each.lock_count for each in r.allocations),
    WSL,
    "Microsoft source",
)
_OFFERED = unspecified(
    "lock_offered",
    "the allocation is offered and was not reclaimed",
    lambda r: any(allocation.memory.is_offered for allocation in r.allocations),
    page("PFND3DDDI_OFFERALLOCATIONSCB") + ", which names no status",
    confidence="documentation",
)
_FLAGS = invalid("Flags is not 0", lambda r: r.args["Flags"], page("D3DDDICB_LOCK2FLAGS"), "documentation")
_BAD_DEVICE_2 = replace(BAD_DEVICE, violated=lambda r: r.device is None and not r.has_address)
_UNLOCK_RULES = (BAD_DEVICE, _BAD_ALLOCATION, _NOT_LOCKED)

BEHAVIOURS = {
    "D3DKMTLock": Behaviour(
        request=LockRequest,
        rules=(BAD_DEVICE, _BAD_ALLOCATION, _OFFERED, device_removed("D3DKMTLock")),
        effect=lock,
    ),
    "D3DKMTLock2": Behaviour(
        request=Lock2Request,
        rules=(_BAD_DEVICE_2, _BAD_ALLOCATION, _FLAGS, _OFFERED, device_removed("D3DKMTLock2")),
        effect=lock,
    ),
    "D3DKMTUnlock": Behaviour(request=UnlockRequest, rules=_UNLOCK_RULES, effect=unlock),
    "D3DKMTUnlock2": Behaviour(request=LockRequest, rules=_UNLOCK_RULES, effect=unlock),
}
