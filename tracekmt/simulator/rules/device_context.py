"""Device contexts of GDI over memory of the program."""

from __future__ import annotations

from tracekmt.calls.formats import D3DDDIFORMAT
from tracekmt.ntstatus import Status
from tracekmt.simulator.model.objects import UnmodelledObject
from tracekmt.simulator.request import Behaviour, Request
from tracekmt.simulator.rule import invalid
from tracekmt.simulator.rules.adapter import VERIFIED_NULL

_BITMAP_TEST = "Wine dlls/gdi32/tests/bitmap.c"
_FORMATS = frozenset(
    D3DDDIFORMAT.number(f"D3DDDIFMT_{name}")
    for name in ("R8G8B8", "A8R8G8B8", "X8R8G8B8", "R5G6B5", "X1R5G5B5", "A1R5G5B5", "P8")
)
_ELSEWHERE = "GDI may have created or deleted the device context"


class DestroyDCRequest(Request):
    """A D3DKMT_DESTROYDCFROMMEMORY."""

    @property
    def objects(self) -> list[UnmodelledObject | None]:
        """Live device context and bitmap of the call, None for other values."""
        found = [self.process.find(self.args[name], UnmodelledObject) for name in ("hDc", "hBitmap")]
        kinds = ("device context", "bitmap")
        return [
            known if known is not None and known.kind == kind else None
            for known, kind in zip(found, kinds, strict=True)
        ]

    def uncertain_status(self, recorded: Status) -> str | None:
        """Return a reason for another status: the handles are those of GDI."""
        return _ELSEWHERE if recorded.name in ("STATUS_SUCCESS", "STATUS_INVALID_PARAMETER") else None


def create(request: Request) -> None:
    """Create a device context and the bitmap in it."""
    request.args["hDc"] = request.process.add(UnmodelledObject("device context"))
    request.args["hBitmap"] = request.process.add(UnmodelledObject("bitmap"))


def destroy(request: DestroyDCRequest) -> None:
    """Destroy the device context and the bitmap. The memory stays."""
    for known in request.objects:
        assert known is not None
        request.process.destroy(known)


BEHAVIOURS = {
    "D3DKMTCreateDCFromMemory": Behaviour(
        request=Request,
        null=VERIFIED_NULL,
        rules=tuple(
            invalid(reason, violated, _BITMAP_TEST, "Windows-verified")
            for reason, violated in (
                ("pMemory is NULL", lambda r: not r.args["pMemory"]),
                ("Format is not a format of GDI", lambda r: r.args["Format"] not in _FORMATS),
                ("Height is 0", lambda r: not r.args["Height"]),
                ("Pitch is 0", lambda r: not r.args["Pitch"]),
                ("hDeviceDc is NULL", lambda r: not r.args["hDeviceDc"]),
            )
        ),
        effect=create,
    ),
    "D3DKMTDestroyDCFromMemory": Behaviour(
        request=DestroyDCRequest,
        null=VERIFIED_NULL,
        rules=(
            invalid(
                "hDc or hBitmap is not of D3DKMTCreateDCFromMemory, or was destroyed",
                lambda r: None in r.objects,
                _BITMAP_TEST,
                "Windows-verified",
            ),
        ),
        effect=destroy,
    ),
}
