"""Adapters: opening by LUID, closing."""

from __future__ import annotations

from tracekmt.calls.kinds import ADAPTER, LUID, handle
from tracekmt.spec.types import Call, Creates, Destroys, into, out, structure

D3DKMT_OPENADAPTERFROMLUID = structure(
    "D3DKMT_OPENADAPTERFROMLUID",
    into("AdapterLuid", LUID),
    # The header declares the argument const; the handle is written into it all the same (documentation: [out]).
    out("hAdapter", handle(ADAPTER)),
)

D3DKMT_CLOSEADAPTER = structure(
    "D3DKMT_CLOSEADAPTER",
    into("hAdapter", handle(ADAPTER)),
)

CALLS = (
    Call(
        "D3DKMTOpenAdapterFromLuid",
        D3DKMT_OPENADAPTERFROMLUID,
        creates=(Creates(ADAPTER, "hAdapter"),),
        statuses=("STATUS_SUCCESS", "STATUS_INVALID_PARAMETER"),
        sources=("d3dkmthk.h, WDDM 3.0", "Microsoft documentation: D3DKMTOpenAdapterFromLuid"),
    ),
    Call(
        "D3DKMTCloseAdapter",
        D3DKMT_CLOSEADAPTER,
        destroys=(Destroys(ADAPTER, "hAdapter"),),
        statuses=("STATUS_SUCCESS", "STATUS_INVALID_PARAMETER"),
        sources=(
            "d3dkmthk.h, WDDM 3.0",
            "Microsoft documentation: D3DKMTCloseAdapter",
            "Wine dlls/win32u/tests/d3dkmt.c, run on Windows: NULL and unknown handles",
        ),
    ),
)
