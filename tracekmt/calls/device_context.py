"""Device contexts of GDI over memory of the program, as Direct3D 9 offers them."""

from __future__ import annotations

from tracekmt.calls.formats import D3DDDIFORMAT
from tracekmt.calls.kinds import CPU_ADDRESS, CPU_POINTER, nt_handle
from tracekmt.calls.sources import HEADER
from tracekmt.spec.dsl import UINT, in_, out, structure
from tracekmt.spec.types import Address, CallSpec, Creates, Destroys, Kind, RawWindow

FAMILY = "device contexts"

DEVICE_CONTEXT = Kind("device context", external=True)
BITMAP = Kind("bitmap", external=True)

D3DKMT_CREATEDCFROMMEMORY = structure(
    "D3DKMT_CREATEDCFROMMEMORY",
    in_("pMemory", CPU_POINTER),
    in_("Format", D3DDDIFORMAT),
    in_("Width", UINT),
    in_("Height", UINT),
    in_("Pitch", UINT),
    in_("hDeviceDc", nt_handle(DEVICE_CONTEXT, "HDC")),
    # The header gives no length. A palette has at most 256 entries of four bytes.
    in_("pColorTable", RawWindow("PALETTEENTRY *", 1024)),
    out("hDc", nt_handle(DEVICE_CONTEXT, "HDC")),
    out("hBitmap", nt_handle(BITMAP)),
)

D3DKMT_DESTROYDCFROMMEMORY = structure(
    "D3DKMT_DESTROYDCFROMMEMORY",
    in_("hDc", nt_handle(DEVICE_CONTEXT, "HDC")),
    in_("hBitmap", nt_handle(BITMAP)),
)

D3DKMT_CHANGESURFACEPOINTER = structure(
    "D3DKMT_CHANGESURFACEPOINTER",
    in_("hDC", nt_handle(DEVICE_CONTEXT, "HDC")),
    in_("hBitmap", nt_handle(BITMAP)),
    in_("pSurfacePointer", Address("LPVOID", kind=CPU_ADDRESS)),
    in_("Width", UINT),
    in_("Height", UINT),
    in_("Pitch", UINT),
)

CALLS = (
    CallSpec(
        "D3DKMTCreateDCFromMemory",
        D3DKMT_CREATEDCFROMMEMORY,
        creates=(Creates(DEVICE_CONTEXT, "hDc"), Creates(BITMAP, "hBitmap")),
        statuses=("STATUS_SUCCESS", "STATUS_INVALID_PARAMETER"),
        sources=(HEADER, "Microsoft documentation: D3DKMTCreateDCFromMemory"),
    ),
    CallSpec(
        "D3DKMTDestroyDCFromMemory",
        D3DKMT_DESTROYDCFROMMEMORY,
        destroys=(Destroys(DEVICE_CONTEXT, "hDc"), Destroys(BITMAP, "hBitmap")),
        statuses=("STATUS_SUCCESS", "STATUS_INVALID_PARAMETER"),
        sources=(HEADER, "Microsoft documentation: D3DKMTDestroyDCFromMemory"),
    ),
    CallSpec(
        "D3DKMTChangeSurfacePointer",
        D3DKMT_CHANGESURFACEPOINTER,
        statuses=("STATUS_SUCCESS", "STATUS_INVALID_PARAMETER"),
        sources=(HEADER, "Microsoft documentation: D3DKMTChangeSurfacePointer"),
    ),
)
