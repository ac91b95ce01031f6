"""How devices are made and ended."""

from __future__ import annotations

from collections.abc import Sequence

from tracekmt.codec.memory import Memory
from tracekmt.simulator.model.machine import Process
from tracekmt.simulator.model.objects import Adapter, Device
from tracekmt.simulator.request import Behaviour, Request
from tracekmt.simulator.rule import ValidationRule, invalid
from tracekmt.simulator.rules.adapter import BAD_ADAPTER, VERIFIED_NULL, ByAdapter
from tracekmt.simulator.sources import WINE_TEST, page
from tracekmt.spec.types import Abi, CallSpec


class ByDevice(Request):
    """A call that names a device."""

    def __init__(self, process: Process, call: CallSpec, abi: Abi, memory: Memory, arguments: Sequence[int]) -> None:
        super().__init__(process, call, abi, memory, arguments)
        self.device = process.find(self.args["hDevice"], Device)

    @property
    def adapter(self) -> Adapter | None:
        """The adapter that the device is on."""
        return self.device.adapter if self.device else None


BAD_DEVICE = invalid("hDevice is no device", lambda r: r.device is None, WINE_TEST, "Windows-verified")


def stopped(source: str) -> ValidationRule:
    """The rule for an adapter that is gone; `source` is the function whose page says so."""
    return ValidationRule(
        "STATUS_DEVICE_REMOVED", "the adapter was stopped", lambda r: r.adapter.stopped, page(source), "documentation"
    )


def create_device(request: ByAdapter) -> None:
    """A device; the legacy command buffer is not handed out."""
    assert request.adapter is not None
    request.args["hDevice"] = request.process.add(Device(request.adapter))
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
    assert request.device is not None
    request.process.end(request.device)


BEHAVIOURS = {
    "D3DKMTCreateDevice": Behaviour(
        request=ByAdapter,
        null=VERIFIED_NULL,
        rules=(BAD_ADAPTER, stopped("D3DKMTCreateDevice")),
        effect=create_device,
    ),
    "D3DKMTDestroyDevice": Behaviour(request=ByDevice, null=VERIFIED_NULL, rules=(BAD_DEVICE,), effect=destroy_device),
}
