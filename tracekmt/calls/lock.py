"""Locks: an allocation's memory in the process's own address space."""

from __future__ import annotations

from tracekmt.calls.kinds import ALLOCATION, CPU_ADDRESS, CPU_POINTER, D3DGPU_VIRTUAL_ADDRESS, DEVICE, handle
from tracekmt.calls.sources import HEADER, WSL_KERNEL
from tracekmt.spec.dsl import UINT, flags, into, out, structure, unless
from tracekmt.spec.types import Call, Creates, Integer, Pointer

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
    into("hDevice", handle(DEVICE)),
    into("hAllocation", handle(ALLOCATION)),
    into("PrivateDriverData", UINT),
    into("NumPages", UINT),
    into("pPages", Pointer(UINT, "NumPages")),
    out("pData", CPU_POINTER),
    into("Flags", D3DDDICB_LOCKFLAGS),
    out("GpuVirtualAddress", D3DGPU_VIRTUAL_ADDRESS),
)

D3DKMT_UNLOCK = structure(
    "D3DKMT_UNLOCK",
    into("hDevice", handle(DEVICE)),
    into("NumAllocations", UINT),
    into("phAllocations", Pointer(handle(ALLOCATION), "NumAllocations")),
)

D3DDDICB_LOCK2FLAGS = flags("D3DDDICB_LOCK2FLAGS")

D3DKMT_LOCK2 = structure(
    "D3DKMT_LOCK2",
    into("hDevice", handle(DEVICE)),
    into("hAllocation", handle(ALLOCATION)),
    into("Flags", D3DDDICB_LOCK2FLAGS),
    out("pData", CPU_POINTER),
)

D3DKMT_UNLOCK2 = structure(
    "D3DKMT_UNLOCK2",
    into("hDevice", handle(DEVICE)),
    into("hAllocation", handle(ALLOCATION)),
)

D3DKMT_INVALIDATECACHE = structure(
    "D3DKMT_INVALIDATECACHE",
    into("hDevice", handle(DEVICE)),
    into("hAllocation", handle(ALLOCATION)),
    into("Offset", Integer("D3DKMT_SIZE_T", None)),
    into("Length", Integer("D3DKMT_SIZE_T", None)),
)

CALLS = (
    Call(
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
        blocks=(unless("Flags.DonotWait"), unless("Flags.IgnoreSync")),
    ),
    Call(
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
    Call(
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
        blocks=(),
    ),
    Call(
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
    Call(
        "D3DKMTInvalidateCache",
        D3DKMT_INVALIDATECACHE,
        statuses=("STATUS_SUCCESS",),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTInvalidateCache",
        ),
    ),
)
