"""Paging queues, which execute residency and mapping operations. The fence of a queue counts completed ones."""

from __future__ import annotations

from tracekmt.calls.kinds import CPU_ADDRESS, CPU_POINTER, DEVICE, MONITORED_FENCE, PAGING_QUEUE, SYNC_OBJECT, handle
from tracekmt.calls.sources import HEADER
from tracekmt.spec.dsl import UINT, enum, in_, out, structure
from tracekmt.spec.types import CallSpec, Creates, Destroys

FAMILY = "paging queue"

D3DDDI_PAGINGQUEUE_PRIORITY = enum(
    "D3DDDI_PAGINGQUEUE_PRIORITY",
    D3DDDI_PAGINGQUEUE_PRIORITY_BELOW_NORMAL=-1,
    D3DDDI_PAGINGQUEUE_PRIORITY_NORMAL=0,
    D3DDDI_PAGINGQUEUE_PRIORITY_ABOVE_NORMAL=1,
)

D3DKMT_CREATEPAGINGQUEUE = structure(
    "D3DKMT_CREATEPAGINGQUEUE",
    in_("hDevice", handle(DEVICE)),
    in_("Priority", D3DDDI_PAGINGQUEUE_PRIORITY),
    out("hPagingQueue", handle(PAGING_QUEUE)),
    out("hSyncObject", handle(SYNC_OBJECT)),
    out("FenceValueCPUVirtualAddress", CPU_POINTER),
    in_("PhysicalAdapterIndex", UINT),
)

D3DDDI_DESTROYPAGINGQUEUE = structure(
    "D3DDDI_DESTROYPAGINGQUEUE",
    in_("hPagingQueue", handle(PAGING_QUEUE)),
)

CALLS = (
    CallSpec(
        "D3DKMTCreatePagingQueue",
        D3DKMT_CREATEPAGINGQUEUE,
        creates=(
            Creates(PAGING_QUEUE, "hPagingQueue", within=("hDevice",)),
            Creates(MONITORED_FENCE, "hSyncObject", within=("hPagingQueue",)),
            Creates(CPU_ADDRESS, "FenceValueCPUVirtualAddress", within=("hSyncObject",)),
        ),
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_INVALID_PARAMETER",
        ),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTCreatePagingQueue",
        ),
    ),
    CallSpec(
        "D3DKMTDestroyPagingQueue",
        D3DDDI_DESTROYPAGINGQUEUE,
        destroys=(Destroys(PAGING_QUEUE, "hPagingQueue"),),
        statuses=("STATUS_SUCCESS",),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTDestroyPagingQueue",
        ),
        may_block_when=(),
    ),
)
