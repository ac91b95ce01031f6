"""Keyed mutexes, which give one client at a time access to a shared resource."""

from __future__ import annotations

from tracekmt.calls.kinds import GLOBAL_SHARE, KEYED_MUTEX, SHARED_OBJECT, handle, nt_handle
from tracekmt.calls.sources import HEADER, WINE_TESTS
from tracekmt.spec.dsl import LARGE_INTEGER, UINT, UINT64, flags, in_, out, structure, unless
from tracekmt.spec.types import Bytes, CallSpec, Creates, Destroys, Pointer

FAMILY = "keyed mutex"

D3DKMT_CREATEKEYEDMUTEX = structure(
    "D3DKMT_CREATEKEYEDMUTEX",
    in_("InitialValue", UINT64),
    out("hSharedHandle", handle(GLOBAL_SHARE)),
    out("hKeyedMutex", handle(KEYED_MUTEX)),
)

D3DKMT_CREATEKEYEDMUTEX2_FLAGS = flags("D3DKMT_CREATEKEYEDMUTEX2_FLAGS", "NtSecuritySharing")

D3DKMT_CREATEKEYEDMUTEX2 = structure(
    "D3DKMT_CREATEKEYEDMUTEX2",
    in_("InitialValue", UINT64),
    out("hSharedHandle", handle(GLOBAL_SHARE)),
    out("hKeyedMutex", handle(KEYED_MUTEX)),
    in_("pPrivateRuntimeData", Bytes("PrivateRuntimeDataSize")),
    in_("PrivateRuntimeDataSize", UINT),
    in_("Flags", D3DKMT_CREATEKEYEDMUTEX2_FLAGS),
)

D3DKMT_OPENKEYEDMUTEX = structure(
    "D3DKMT_OPENKEYEDMUTEX",
    in_("hSharedHandle", handle(GLOBAL_SHARE)),
    out("hKeyedMutex", handle(KEYED_MUTEX)),
)

D3DKMT_OPENKEYEDMUTEX2 = structure(
    "D3DKMT_OPENKEYEDMUTEX2",
    in_("hSharedHandle", handle(GLOBAL_SHARE)),
    out("hKeyedMutex", handle(KEYED_MUTEX)),
    in_("pPrivateRuntimeData", Bytes("PrivateRuntimeDataSize")),
    in_("PrivateRuntimeDataSize", UINT),
)

D3DKMT_OPENKEYEDMUTEXFROMNTHANDLE = structure(
    "D3DKMT_OPENKEYEDMUTEXFROMNTHANDLE",
    in_("hNtHandle", nt_handle(SHARED_OBJECT)),
    out("hKeyedMutex", handle(KEYED_MUTEX)),
    in_("pPrivateRuntimeData", Bytes("PrivateRuntimeDataSize")),
    in_("PrivateRuntimeDataSize", UINT),
)

D3DKMT_DESTROYKEYEDMUTEX = structure(
    "D3DKMT_DESTROYKEYEDMUTEX",
    in_("hKeyedMutex", handle(KEYED_MUTEX)),
)

D3DKMT_ACQUIREKEYEDMUTEX = structure(
    "D3DKMT_ACQUIREKEYEDMUTEX",
    in_("hKeyedMutex", handle(KEYED_MUTEX)),
    in_("Key", UINT64),
    # NULL waits forever, and 0 does not wait. A negative number is relative, in units of 100 ns.
    in_("pTimeout", Pointer(LARGE_INTEGER)),
    out("FenceValue", UINT64),
)

D3DKMT_ACQUIREKEYEDMUTEX2 = structure(
    "D3DKMT_ACQUIREKEYEDMUTEX2",
    in_("hKeyedMutex", handle(KEYED_MUTEX)),
    in_("Key", UINT64),
    in_("pTimeout", Pointer(LARGE_INTEGER)),
    out("FenceValue", UINT64),
    out("pPrivateRuntimeData", Bytes("PrivateRuntimeDataSize")),
    in_("PrivateRuntimeDataSize", UINT),
)

D3DKMT_RELEASEKEYEDMUTEX = structure(
    "D3DKMT_RELEASEKEYEDMUTEX",
    in_("hKeyedMutex", handle(KEYED_MUTEX)),
    in_("Key", UINT64),
    in_("FenceValue", UINT64),
)

D3DKMT_RELEASEKEYEDMUTEX2 = structure(
    "D3DKMT_RELEASEKEYEDMUTEX2",
    in_("hKeyedMutex", handle(KEYED_MUTEX)),
    in_("Key", UINT64),
    in_("FenceValue", UINT64),
    in_("pPrivateRuntimeData", Bytes("PrivateRuntimeDataSize")),
    in_("PrivateRuntimeDataSize", UINT),
)

CALLS = (
    CallSpec(
        "D3DKMTCreateKeyedMutex",
        D3DKMT_CREATEKEYEDMUTEX,
        creates=(
            Creates(KEYED_MUTEX, "hKeyedMutex"),
            Creates(GLOBAL_SHARE, "hSharedHandle", within=("hKeyedMutex",)),
        ),
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_DEVICE_REMOVED",
            "STATUS_INVALID_PARAMETER",
            "STATUS_NO_MEMORY",
        ),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTCreateKeyedMutex",
            WINE_TESTS,
        ),
    ),
    CallSpec(
        "D3DKMTCreateKeyedMutex2",
        D3DKMT_CREATEKEYEDMUTEX2,
        creates=(
            Creates(KEYED_MUTEX, "hKeyedMutex"),
            Creates(GLOBAL_SHARE, "hSharedHandle", when=(unless("Flags.NtSecuritySharing"),), within=("hKeyedMutex",)),
        ),
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_DEVICE_REMOVED",
            "STATUS_INVALID_PARAMETER",
            "STATUS_NO_MEMORY",
        ),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTCreateKeyedMutex2, D3DKMT_CREATEKEYEDMUTEX2_FLAGS",
            WINE_TESTS,
        ),
    ),
    CallSpec(
        "D3DKMTOpenKeyedMutex",
        D3DKMT_OPENKEYEDMUTEX,
        creates=(Creates(KEYED_MUTEX, "hKeyedMutex"),),
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_DEVICE_REMOVED",
            "STATUS_INVALID_PARAMETER",
            "STATUS_NO_MEMORY",
        ),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTOpenKeyedMutex",
            WINE_TESTS,
        ),
    ),
    CallSpec(
        "D3DKMTOpenKeyedMutex2",
        D3DKMT_OPENKEYEDMUTEX2,
        creates=(Creates(KEYED_MUTEX, "hKeyedMutex"),),
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_DEVICE_REMOVED",
            "STATUS_INVALID_PARAMETER",
            "STATUS_NO_MEMORY",
        ),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTOpenKeyedMutex2",
            WINE_TESTS,
        ),
    ),
    CallSpec(
        "D3DKMTOpenKeyedMutexFromNtHandle",
        D3DKMT_OPENKEYEDMUTEXFROMNTHANDLE,
        creates=(Creates(KEYED_MUTEX, "hKeyedMutex"),),
        statuses=("STATUS_SUCCESS",),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTOpenKeyedMutexFromNtHandle",
        ),
    ),
    CallSpec(
        "D3DKMTDestroyKeyedMutex",
        D3DKMT_DESTROYKEYEDMUTEX,
        destroys=(Destroys(KEYED_MUTEX, "hKeyedMutex"),),
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_INVALID_PARAMETER",
        ),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTDestroyKeyedMutex",
            WINE_TESTS,
        ),
    ),
    CallSpec(
        "D3DKMTAcquireKeyedMutex",
        D3DKMT_ACQUIREKEYEDMUTEX,
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_TIMEOUT",
            "STATUS_DEVICE_REMOVED",
            "STATUS_INVALID_PARAMETER",
            "STATUS_NO_MEMORY",
        ),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTAcquireKeyedMutex",
        ),
        may_block_when=(),
    ),
    CallSpec(
        "D3DKMTAcquireKeyedMutex2",
        D3DKMT_ACQUIREKEYEDMUTEX2,
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_TIMEOUT",
            "STATUS_DEVICE_REMOVED",
            "STATUS_INVALID_PARAMETER",
            "STATUS_NO_MEMORY",
        ),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTAcquireKeyedMutex2",
        ),
        may_block_when=(),
    ),
    CallSpec(
        "D3DKMTReleaseKeyedMutex",
        D3DKMT_RELEASEKEYEDMUTEX,
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_DEVICE_REMOVED",
            "STATUS_INVALID_PARAMETER",
            "STATUS_NO_MEMORY",
        ),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTReleaseKeyedMutex",
        ),
    ),
    CallSpec(
        "D3DKMTReleaseKeyedMutex2",
        D3DKMT_RELEASEKEYEDMUTEX2,
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_DEVICE_REMOVED",
            "STATUS_INVALID_PARAMETER",
            "STATUS_NO_MEMORY",
        ),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTReleaseKeyedMutex2",
        ),
    ),
)
