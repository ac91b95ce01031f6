"""Resources that stay in memory, for direct flips."""

from __future__ import annotations

from tracekmt.calls.kinds import DEVICE, PAGING_QUEUE, RESOURCE, handle
from tracekmt.calls.sources import FUNCTION_POINTER, LIBDXG
from tracekmt.spec.dsl import UINT, UINT64, flags, in_, out, structure
from tracekmt.spec.types import CallSpec, Pointer

FAMILY = "pinned resources"

D3DKMT_PINRESOURCEFLAGS = flags("D3DKMT_PINRESOURCEFLAGS", "DirectFlipResources")

D3DKMT_PINRESOURCES = structure(
    "D3DKMT_PINRESOURCES",
    in_("hDevice", handle(DEVICE)),
    in_("ResourceCount", UINT),
    in_("pResourceList", Pointer(handle(RESOURCE), "ResourceCount")),
    in_("Flags", D3DKMT_PINRESOURCEFLAGS),
    in_("hPagingQueue", handle(PAGING_QUEUE)),
    out("PagingFence", UINT64),
)

D3DKMT_UNPINRESOURCES = structure(
    "D3DKMT_UNPINRESOURCES",
    in_("hDevice", handle(DEVICE)),
    in_("ResourceCount", UINT),
    in_("pResourceList", Pointer(handle(RESOURCE), "ResourceCount")),
    in_("Reserved", UINT),
)

D3DKMT_PINDIRECTFLIPRESOURCES = structure(
    "D3DKMT_PINDIRECTFLIPRESOURCES",
    in_("hDevice", handle(DEVICE)),
    in_("ResourceCount", UINT),
    in_("pResourceList", Pointer(handle(RESOURCE), "ResourceCount")),
)

D3DKMT_UNPINDIRECTFLIPRESOURCES = structure(
    "D3DKMT_UNPINDIRECTFLIPRESOURCES",
    in_("hDevice", handle(DEVICE)),
    in_("ResourceCount", UINT),
    in_("pResourceList", Pointer(handle(RESOURCE), "ResourceCount")),
)

CALLS = (
    CallSpec(
        "D3DKMTPinResources",
        D3DKMT_PINRESOURCES,
        statuses=("STATUS_SUCCESS", "STATUS_INVALID_PARAMETER"),
        sources=(LIBDXG,),
    ),
    CallSpec(
        "D3DKMTUnpinResources",
        D3DKMT_UNPINRESOURCES,
        statuses=("STATUS_SUCCESS", "STATUS_INVALID_PARAMETER"),
        sources=(LIBDXG,),
    ),
    CallSpec(
        "D3DKMTPinDirectFlipResources",
        D3DKMT_PINDIRECTFLIPRESOURCES,
        statuses=("STATUS_SUCCESS", "STATUS_INVALID_PARAMETER"),
        sources=(FUNCTION_POINTER,),
    ),
    CallSpec(
        "D3DKMTUnpinDirectFlipResources",
        D3DKMT_UNPINDIRECTFLIPRESOURCES,
        statuses=("STATUS_SUCCESS", "STATUS_INVALID_PARAMETER"),
        sources=(FUNCTION_POINTER,),
    ),
)
