"""Devices: the state of one client on an adapter."""

from __future__ import annotations

from tracekmt.calls.kinds import ADAPTER, CPU_ADDRESS, CPU_POINTER, DEVICE, handle
from tracekmt.calls.sources import HEADER, WINE_TESTS
from tracekmt.spec.dsl import UINT, flags, in_, out, structure
from tracekmt.spec.types import Address, Bit, CallSpec, Creates, Destroys, Union

FAMILY = "device"

D3DKMT_CREATEDEVICEFLAGS = flags(
    "D3DKMT_CREATEDEVICEFLAGS", "LegacyMode", "RequestVSync", "DisableGpuTimeout", Bit("TestDevice", 3)
)

D3DKMT_CREATEDEVICE = structure(
    "D3DKMT_CREATEDEVICE",
    # Only kernel-mode callers pass pAdapter (header comment). User-mode callers always pass hAdapter.
    Union(
        (
            in_("hAdapter", handle(ADAPTER)),
            in_("pAdapter", CPU_POINTER),
        ),
        by_call=True,
    ),
    in_("Flags", D3DKMT_CREATEDEVICEFLAGS),
    out("hDevice", handle(DEVICE)),
    # The legacy command buffer and lists are for later calls, and this call does not fill them. On Windows they are
    # NULL and 0 (Wine's conformance test).
    out("pCommandBuffer", CPU_POINTER),
    out("CommandBufferSize", UINT),
    out("pAllocationList", Address("D3DDDI_ALLOCATIONLIST *", CPU_ADDRESS)),
    out("AllocationListSize", UINT),
    out("pPatchLocationList", Address("D3DDDI_PATCHLOCATIONLIST *", CPU_ADDRESS)),
    out("PatchLocationListSize", UINT),
)

D3DKMT_DESTROYDEVICE = structure(
    "D3DKMT_DESTROYDEVICE",
    in_("hDevice", handle(DEVICE)),
)

CALLS = (
    CallSpec(
        "D3DKMTCreateDevice",
        D3DKMT_CREATEDEVICE,
        union_arms=("hAdapter",),
        creates=(Creates(DEVICE, "hDevice", within=("hAdapter",)),),
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_DEVICE_REMOVED",
            "STATUS_INVALID_PARAMETER",
            "STATUS_NO_MEMORY",
        ),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTCreateDevice",
            WINE_TESTS,
        ),
    ),
    CallSpec(
        "D3DKMTDestroyDevice",
        D3DKMT_DESTROYDEVICE,
        destroys=(Destroys(DEVICE, "hDevice"),),
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_INVALID_PARAMETER",
        ),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTDestroyDevice",
            WINE_TESTS,
        ),
    ),
)
