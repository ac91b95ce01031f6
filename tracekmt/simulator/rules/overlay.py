"""Overlays: creation on a device, and destruction."""

from __future__ import annotations

from tracekmt.simulator.lazy import lazy_attribute
from tracekmt.simulator.model.objects import Allocation, KernelObject, UnmodelledObject
from tracekmt.simulator.request import Behaviour
from tracekmt.simulator.rule import device_removed, invalid
from tracekmt.simulator.rules.device import BAD_DEVICE, DeviceRequest
from tracekmt.simulator.sources import LIKE_OTHERS


class OverlayRequest(DeviceRequest):
    """A call with the handle of an overlay or of its allocation."""

    @lazy_attribute
    def allocation(self) -> Allocation | None:
        """The live allocation of OverlayInfo.hAllocation."""
        return self.process.find(self.args["OverlayInfo.hAllocation"], Allocation)

    @lazy_attribute
    def overlay(self) -> KernelObject | None:
        """The live overlay of hOverlay."""
        found = self.process.find(self.args["hOverlay"], UnmodelledObject)
        return found if found is not None and found.kind == "overlay" else None


def create_overlay(request: OverlayRequest) -> None:
    """Create an overlay, which its device owns."""
    request.args["hOverlay"] = request.process.add(UnmodelledObject("overlay"), request.device)


def destroy_overlay(request: OverlayRequest) -> None:
    """Destroy the overlay."""
    assert request.overlay is not None
    request.process.destroy(request.overlay)


BEHAVIOURS = {
    "D3DKMTCreateOverlay": Behaviour(
        request=OverlayRequest,
        rules=(
            BAD_DEVICE,
            device_removed("D3DKMTCreateOverlay"),
            invalid("hAllocation is not an allocation", lambda r: r.allocation is None, LIKE_OTHERS, "assumption"),
        ),
        effect=create_overlay,
    ),
    "D3DKMTDestroyOverlay": Behaviour(
        request=OverlayRequest,
        rules=(
            BAD_DEVICE,
            invalid("hOverlay is not an overlay", lambda r: r.overlay is None, LIKE_OTHERS, "assumption"),
        ),
        effect=destroy_overlay,
    ),
}
