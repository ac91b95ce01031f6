"""Objects that a virtual machine shares with its host, and sync files."""

from __future__ import annotations

from tracekmt.calls.kinds import (
    CONTEXT,
    CPU_ADDRESS,
    CPU_POINTER,
    D3DGPU_VIRTUAL_ADDRESS,
    DEVICE,
    GPU_ADDRESS,
    GUID,
    MONITORED_FENCE,
    NT_HANDLE,
    SHAREABLE,
    SYNC_OBJECT,
    fence,
    handle,
)
from tracekmt.calls.sources import HEADER, KIT_26100
from tracekmt.spec.dsl import UINT, UINT64, in_, out, structure
from tracekmt.spec.types import CallSpec, Creates, Integer, Kind

FAMILY = "virtual machines"

SYNC_FILE = Kind("sync file", base=NT_HANDLE, external=True)
# A file descriptor on Android, and an NT handle on Windows (header).
SYNC_FILE_UINT64 = Integer("UINT64", 8, hexadecimal=True, kind=SYNC_FILE)

D3DKMT_SHAREOBJECTWITHHOST = structure(
    "D3DKMT_SHAREOBJECTWITHHOST",
    in_("hDevice", handle(DEVICE)),
    in_("hObject", handle(SHAREABLE)),
    in_("Reserved", UINT64),
    out("hVailProcessNtHandle", UINT64),
)

D3DKMT_CREATESYNCFILE = structure(
    "D3DKMT_CREATESYNCFILE",
    in_("hDevice", handle(DEVICE)),
    in_("hMonitoredFence", handle(MONITORED_FENCE)),
    fence("FenceValue", "hMonitoredFence"),
    out("hSyncFile", SYNC_FILE_UINT64),
)

D3DKMT_WAITSYNCFILE = structure(
    "D3DKMT_WAITSYNCFILE",
    in_("hSyncFile", SYNC_FILE_UINT64),
    in_("hContext", handle(CONTEXT)),
    in_("Reserved", UINT),
)

D3DKMT_OPENSYNCOBJECTFROMSYNCFILE = structure(
    "D3DKMT_OPENSYNCOBJECTFROMSYNCFILE",
    in_("hSyncFile", SYNC_FILE_UINT64),
    in_("hDevice", handle(DEVICE)),
    out("hSyncObject", handle(SYNC_OBJECT)),
    fence("FenceValue", "hSyncObject", direction="out"),
    out("FenceValueCPUVirtualAddress", CPU_POINTER),
    out("FenceValueGPUVirtualAddress", D3DGPU_VIRTUAL_ADDRESS),
)

CALLS = (
    CallSpec(
        "D3DKMTShareObjectWithHost",
        D3DKMT_SHAREOBJECTWITHHOST,
        statuses=("STATUS_SUCCESS", "STATUS_INVALID_PARAMETER"),
        sources=(HEADER, "Microsoft documentation: D3DKMTShareObjectWithHost"),
    ),
    CallSpec(
        "D3DKMTRegisterVailProcess",
        GUID,
        side_effect="registers the process as that of a virtual machine",
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_ACCESS_DENIED",
            "STATUS_INVALID_PARAMETER",
            "STATUS_GRAPHICS_VAIL_STATE_CHANGED",
            "STATUS_INVALID_DISPOSITION",
            "STATUS_NOT_FOUND",
        ),
        sources=(KIT_26100, "Microsoft documentation: D3DKMTRegisterVailProcess"),
    ),
    CallSpec(
        "D3DKMTCreateSyncFile",
        D3DKMT_CREATESYNCFILE,
        creates=(Creates(SYNC_FILE, "hSyncFile"),),
        statuses=("STATUS_SUCCESS", "STATUS_INVALID_PARAMETER"),
        sources=(HEADER, "Microsoft documentation: D3DKMTCreateSyncFile"),
    ),
    CallSpec(
        "D3DKMTWaitSyncFile",
        D3DKMT_WAITSYNCFILE,
        statuses=("STATUS_SUCCESS", "STATUS_INVALID_PARAMETER"),
        sources=(KIT_26100, "Microsoft documentation: D3DKMTWaitSyncFile"),
    ),
    CallSpec(
        "D3DKMTOpenSyncObjectFromSyncFile",
        D3DKMT_OPENSYNCOBJECTFROMSYNCFILE,
        creates=(
            Creates(MONITORED_FENCE, "hSyncObject", within=("hDevice",)),
            Creates(CPU_ADDRESS, "FenceValueCPUVirtualAddress", within=("hSyncObject",)),
            Creates(GPU_ADDRESS, "FenceValueGPUVirtualAddress", within=("hSyncObject",)),
        ),
        statuses=("STATUS_SUCCESS", "STATUS_INVALID_PARAMETER"),
        sources=(KIT_26100, "Microsoft documentation: D3DKMTOpenSyncObjectFromSyncFile"),
    ),
)
