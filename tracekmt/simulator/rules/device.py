"""Creation and destruction of devices."""

from __future__ import annotations

from collections.abc import Sequence

from tracekmt.codec.memory import Memory
from tracekmt.simulator.model.adapter import Adapter
from tracekmt.simulator.model.machine import Process
from tracekmt.simulator.model.objects import Device
from tracekmt.simulator.request import Behaviour, Request
from tracekmt.simulator.rule import device_removed, invalid
from tracekmt.simulator.rules.adapter import BAD_ADAPTER, VERIFIED_NULL, AdapterRequest
from tracekmt.simulator.sources import WINE_TEST
from tracekmt.spec.types import Abi, CallSpec


class DeviceRequest(Request):
    """A call with a device handle.

    Attributes:
        device: Live device of hDevice, or None.
        device_path: Path of hDevice.
    """

    device_path = "hDevice"

    def __init__(self, process: Process, spec: CallSpec, abi: Abi, memory: Memory, arguments: Sequence[int]) -> None:
        super().__init__(process, spec, abi, memory, arguments)
        self.device = process.find(self.args[self.device_path], Device)

    @property
    def adapter(self) -> Adapter | None:
        """Adapter of the device."""
        return self.device.adapter if self.device else None


BAD_DEVICE = invalid("hDevice is not a device handle", lambda r: r.device is None, WINE_TEST, "Windows-verified")


def create_device(request: AdapterRequest) -> None:
    """Create a device. The fields of the legacy command buffer become 0."""
    assert request.adapter is not None
    request.args["hDevice"] = request.process.add(Device(request.adapter))
    # Only a driver knows the memory of a device and of its contexts, queues and fences.
    request.process.memory.is_known &= "usage" in request.machine.known
    for name in (
        "pCommandBuffer",
        "CommandBufferSize",
        "pAllocationList",
        "AllocationListSize",
        "pPatchLocationList",
        "PatchLocationListSize",
    ):
        request.args[name] = 0


def destroy_device(request: DeviceRequest) -> None:
    """Destroy the device and all its objects (WSL2-Linux-Kernel drivers/hv/dxgkrnl)."""
    assert request.device is not None
    request.process.destroy(request.device)


BEHAVIOURS = {
    "D3DKMTCreateDevice": Behaviour(
        request=AdapterRequest,
        null=VERIFIED_NULL,
        rules=(BAD_ADAPTER, device_removed("D3DKMTCreateDevice")),
        effect=create_device,
    ),
    "D3DKMTDestroyDevice": Behaviour(
        request=DeviceRequest, null=VERIFIED_NULL, rules=(BAD_DEVICE,), effect=destroy_device
    ),
}
