"""Lists of the processes that use an adapter."""

from __future__ import annotations

from tracekmt.calls.kinds import LUID, PROCESS, PROCESS_ID, nt_handle
from tracekmt.calls.sources import PHNT
from tracekmt.spec.dsl import SIZE_T, ULONG, in_, inout, out, structure
from tracekmt.spec.types import CallSpec, Creates, Integer, Pointer

FAMILY = "processes"

PROCESS_ID_ULONG = Integer("ULONG", 4, kind=PROCESS_ID)

D3DKMT_GET_PROCESS_LIST = structure(
    "D3DKMT_GET_PROCESS_LIST",
    in_("AdapterLuid", LUID),
    in_("DesiredAccess", ULONG),
    inout("ProcessHandleCount", ULONG),
    out("ProcessHandle", Pointer(nt_handle(PROCESS), "ProcessHandleCount")),
)

D3DKMT_ENUM_PROCESS_LIST = structure(
    "D3DKMT_ENUM_PROCESS_LIST",
    in_("AdapterLuid", LUID),
    out("ProcessIdBuffer", Pointer(PROCESS_ID_ULONG, "ProcessIdCount")),
    inout("ProcessIdCount", SIZE_T),
)

CALLS = (
    CallSpec(
        "D3DKMTGetProcessList",
        D3DKMT_GET_PROCESS_LIST,
        creates=(Creates(PROCESS, "ProcessHandle[]"),),
        statuses=("STATUS_SUCCESS", "STATUS_INVALID_PARAMETER"),
        sources=(PHNT,),
    ),
    CallSpec(
        "D3DKMTEnumProcesses",
        D3DKMT_ENUM_PROCESS_LIST,
        statuses=("STATUS_SUCCESS", "STATUS_INVALID_PARAMETER"),
        sources=(PHNT,),
    ),
)
