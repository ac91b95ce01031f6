"""Protected sessions: contents that only protected hardware can read."""

from __future__ import annotations

from tracekmt.calls.kinds import DEVICE, SHARED_OBJECT, SYNC_OBJECT, handle, nt_handle
from tracekmt.calls.sources import HEADER
from tracekmt.spec.dsl import UINT, enum, in_, inout, out, structure
from tracekmt.spec.types import Bytes, CallSpec, Creates, Destroys, Kind

FAMILY = "protected sessions"

PROTECTED_SESSION = Kind("protected session", dies_with=(DEVICE,))

D3DKMT_CREATEPROTECTEDSESSION = structure(
    "D3DKMT_CREATEPROTECTEDSESSION",
    in_("hDevice", handle(DEVICE)),
    in_("hSyncObject", handle(SYNC_OBJECT)),
    inout("pPrivateDriverData", Bytes("PrivateDriverDataSize", opaque=True)),
    in_("PrivateDriverDataSize", UINT),
    in_("pPrivateRuntimeData", Bytes("PrivateRuntimeDataSize")),
    in_("PrivateRuntimeDataSize", UINT),
    out("hHandle", handle(PROTECTED_SESSION)),
)

D3DKMT_DESTROYPROTECTEDSESSION = structure(
    "D3DKMT_DESTROYPROTECTEDSESSION",
    in_("hHandle", handle(PROTECTED_SESSION)),
)

D3DKMT_PROTECTED_SESSION_STATUS = enum(
    "D3DKMT_PROTECTED_SESSION_STATUS",
    D3DKMT_PROTECTED_SESSION_STATUS_OK=0,
    D3DKMT_PROTECTED_SESSION_STATUS_INVALID=1,
)

D3DKMT_QUERYPROTECTEDSESSIONSTATUS = structure(
    "D3DKMT_QUERYPROTECTEDSESSIONSTATUS",
    in_("hHandle", handle(PROTECTED_SESSION)),
    out("Status", D3DKMT_PROTECTED_SESSION_STATUS),
)

D3DKMT_QUERYPROTECTEDSESSIONINFOFROMNTHANDLE = structure(
    "D3DKMT_QUERYPROTECTEDSESSIONINFOFROMNTHANDLE",
    in_("hNtHandle", nt_handle(SHARED_OBJECT)),
    out("pPrivateDriverData", Bytes("PrivateDriverDataSize", opaque=True)),
    inout("PrivateDriverDataSize", UINT),
    out("pPrivateRuntimeData", Bytes("PrivateRuntimeDataSize")),
    inout("PrivateRuntimeDataSize", UINT),
)

D3DKMT_OPENPROTECTEDSESSIONFROMNTHANDLE = structure(
    "D3DKMT_OPENPROTECTEDSESSIONFROMNTHANDLE",
    in_("hNtHandle", nt_handle(SHARED_OBJECT)),
    out("hHandle", handle(PROTECTED_SESSION)),
)

CALLS = (
    CallSpec(
        "D3DKMTCreateProtectedSession",
        D3DKMT_CREATEPROTECTEDSESSION,
        creates=(Creates(PROTECTED_SESSION, "hHandle", within=("hDevice",)),),
        statuses=("STATUS_SUCCESS", "STATUS_INVALID_PARAMETER"),
        sources=(HEADER, "Microsoft documentation: D3DKMTCreateProtectedSession"),
    ),
    CallSpec(
        "D3DKMTDestroyProtectedSession",
        D3DKMT_DESTROYPROTECTEDSESSION,
        destroys=(Destroys(PROTECTED_SESSION, "hHandle"),),
        statuses=("STATUS_SUCCESS", "STATUS_INVALID_PARAMETER"),
        sources=(HEADER, "Microsoft documentation: D3DKMTDestroyProtectedSession"),
    ),
    CallSpec(
        "D3DKMTQueryProtectedSessionStatus",
        D3DKMT_QUERYPROTECTEDSESSIONSTATUS,
        statuses=("STATUS_SUCCESS", "STATUS_INVALID_PARAMETER"),
        sources=(HEADER, "Microsoft documentation: D3DKMTQueryProtectedSessionStatus"),
    ),
    CallSpec(
        "D3DKMTQueryProtectedSessionInfoFromNtHandle",
        D3DKMT_QUERYPROTECTEDSESSIONINFOFROMNTHANDLE,
        statuses=("STATUS_SUCCESS", "STATUS_INVALID_PARAMETER"),
        sources=(HEADER, "Microsoft documentation: D3DKMTQueryProtectedSessionInfoFromNtHandle"),
    ),
    CallSpec(
        "D3DKMTOpenProtectedSessionFromNtHandle",
        D3DKMT_OPENPROTECTEDSESSIONFROMNTHANDLE,
        creates=(Creates(PROTECTED_SESSION, "hHandle"),),
        statuses=("STATUS_SUCCESS", "STATUS_INVALID_PARAMETER"),
        sources=(HEADER, "Microsoft documentation: D3DKMTOpenProtectedSessionFromNtHandle"),
    ),
)
