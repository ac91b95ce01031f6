"""How device calls are answered."""

from __future__ import annotations

from functools import cached_property

from tracekmt.simulator.adapter import NULL_ARGUMENT, ByAdapter
from tracekmt.simulator.objects import Adapter, Device
from tracekmt.simulator.request import Behaviour, Request, Rule

_WINE_TEST = "Wine dlls/win32u/tests/d3dkmt.c"


class ByDevice(Request):
    """A call that names a device."""

    @cached_property
    def device(self) -> Device | None:
        """What hDevice leads to."""
        return self.process.handles.get(self.args["hDevice"], Device)

    @property
    def adapter(self) -> Adapter | None:
        """The adapter that the device is on."""
        return self.device.adapter if self.device else None


BAD_DEVICE = Rule(
    "STATUS_INVALID_PARAMETER",
    "hDevice is no device",
    lambda request: request.device is None,
    _WINE_TEST,
    "Windows-verified",
)


def create_device(request: ByAdapter) -> None:
    """A device; the legacy command buffer is not handed out."""
    assert request.adapter is not None
    request.args["hDevice"] = request.process.handles.add(Device(request.adapter))
    for name in (
        "pCommandBuffer",
        "CommandBufferSize",
        "pAllocationList",
        "AllocationListSize",
        "pPatchLocationList",
        "PatchLocationListSize",
    ):
        request.args[name] = 0


def destroy_device(request: ByDevice) -> None:
    """Ends the device with everything in it (WSL2-Linux-Kernel drivers/hv/dxgkrnl)."""
    device = request.device
    assert device is not None
    for handle in list(device.resources):
        request.process.destroy_resource(device, handle)
    for handle in list(device.allocations):
        request.process.destroy_allocation(device, handle)
    request.process.handles.remove(request.args["hDevice"])


BEHAVIOURS = {
    "D3DKMTCreateDevice": Behaviour(
        request=ByAdapter,
        null=NULL_ARGUMENT,
        rules=(
            Rule(
                "STATUS_INVALID_PARAMETER",
                "hAdapter is no opened adapter",
                lambda request: request.opened is None,
                _WINE_TEST,
                "Windows-verified",
            ),
            Rule(
                "STATUS_DEVICE_REMOVED",
                "the adapter was stopped",
                lambda request: request.adapter.stopped,
                "Microsoft documentation: D3DKMTCreateDevice",
                "documentation",
            ),
        ),
        effect=create_device,
    ),
    "D3DKMTDestroyDevice": Behaviour(request=ByDevice, null=NULL_ARGUMENT, rules=(BAD_DEVICE,), effect=destroy_device),
}
