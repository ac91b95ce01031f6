"""Locks, which map an allocation's memory into the address space of the process."""

from __future__ import annotations

from tracekmt.calls.kinds import ALLOCATION, CPU_ADDRESS, CPU_POINTER, D3DGPU_VIRTUAL_ADDRESS, DEVICE, handle
from tracekmt.calls.sources import HEADER, WSL_KERNEL
from tracekmt.spec.dsl import UINT, flags, in_, out, structure, unless
from tracekmt.spec.types import CallSpec, Creates, Integer, Pointer

FAMILY = "lock"

D3DDDICB_LOCKFLAGS = flags(
    "D3DDDICB_LOCKFLAGS",
    "ReadOnly",
    "WriteOnly",
    "DonotWait",
    "IgnoreSync",
    "LockEntire",
    "DonotEvict",
    "AcquireAperture",
    "Discard",
    "NoExistingReference",
    "UseAlternateVA",
    "IgnoreReadSync",
)

D3DKMT_LOCK = structure(
    "D3DKMT_LOCK",
    in_("hDevice", handle(DEVICE)),
    in_("hAllocation", handle(ALLOCATION)),
    in_("PrivateDriverData", UINT),
    in_("NumPages", UINT),
    in_("pPages", Pointer(UINT, "NumPages")),
    out("pData", CPU_POINTER),
    in_("Flags", D3DDDICB_LOCKFLAGS),
    out("GpuVirtualAddress", D3DGPU_VIRTUAL_ADDRESS),
)

D3DKMT_UNLOCK = structure(
    "D3DKMT_UNLOCK",
    in_("hDevice", handle(DEVICE)),
    in_("NumAllocations", UINT),
    in_("phAllocations", Pointer(handle(ALLOCATION), "NumAllocations")),
)

D3DDDICB_LOCK2FLAGS = flags("D3DDDICB_LOCK2FLAGS")

D3DKMT_LOCK2 = structure(
    "D3DKMT_LOCK2",
    in_("hDevice", handle(DEVICE)),
    in_("hAllocation", handle(ALLOCATION)),
    in_("Flags", D3DDDICB_LOCK2FLAGS),
    out("pData", CPU_POINTER),
)

D3DKMT_UNLOCK2 = structure(
    "D3DKMT_UNLOCK2",
    in_("hDevice", handle(DEVICE)),
    in_("hAllocation", handle(ALLOCATION)),
)

D3DKMT_INVALIDATECACHE = structure(
    "D3DKMT_INVALIDATECACHE",
    in_("hDevice", handle(DEVICE)),
    in_("hAllocation", handle(ALLOCATION)),
    in_("Offset", Integer("D3DKMT_SIZE_T", None)),
    in_("Length", Integer("D3DKMT_SIZE_T", None)),
)

CALLS = (
    CallSpec(
        "D3DKMTLock",
        D3DKMT_LOCK,
        creates=(Creates(CPU_ADDRESS, "pData", within=("hAllocation",)),),
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_DEVICE_REMOVED",
            "STATUS_INVALID_PARAMETER",
            "STATUS_GRAPHICS_ALLOCATION_BUSY",
            "STATUS_GRAPHICS_TOO_MANY_REFERENCES",
            "STATUS_GRAPHICS_CANT_EVICT_PINNED_ALLOCATION",
        ),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTLock, D3DDDICB_LOCKFLAGS",
        ),
        may_block_when=(unless("Flags.DonotWait"), unless("Flags.IgnoreSync")),
    ),
    CallSpec(
        "D3DKMTUnlock",
        D3DKMT_UNLOCK,
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_INVALID_PARAMETER",
        ),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTUnlock",
        ),
    ),
    CallSpec(
        "D3DKMTLock2",
        D3DKMT_LOCK2,
        creates=(Creates(CPU_ADDRESS, "pData", within=("hAllocation",)),),
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_DEVICE_REMOVED",
            "STATUS_INVALID_PARAMETER",
            "STATUS_GRAPHICS_ALLOCATION_BUSY",
            "STATUS_GRAPHICS_TOO_MANY_REFERENCES",
        ),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTLock2",
            WSL_KERNEL,
        ),
        may_block_when=(),
    ),
    CallSpec(
        "D3DKMTUnlock2",
        D3DKMT_UNLOCK2,
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_INVALID_PARAMETER",
        ),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTUnlock2",
        ),
    ),
    CallSpec(
        "D3DKMTInvalidateCache",
        D3DKMT_INVALIDATECACHE,
        statuses=("STATUS_SUCCESS",),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTInvalidateCache",
        ),
    ),
)
