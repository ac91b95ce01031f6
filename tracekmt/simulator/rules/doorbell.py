"""Doorbells of hardware queues."""

from __future__ import annotations

from collections.abc import Mapping

from tracekmt.simulator.rule import invalid
from tracekmt.simulator.sources import page
from tracekmt.simulator.unmodelled import UnmodelledRequest, by_description

_LARGEST_PRIVATE_DATA = 16
_ADDRESS_REASON = "only the recorded machine knows the addresses of a doorbell"
_ADDRESSES = (
    "DoorbellCPUVirtualAddress",
    "DoorbellSecondaryCPUVirtualAddress",
    "DoorbellStatusCPUVirtualAddress",
    "HwQueueProgressFenceLastQueuedValueCPUVirtualAddress",
)


class CreateDoorbellRequest(UnmodelledRequest):
    """A D3DKMT_CREATE_DOORBELL."""

    @property
    def uncertain_outputs(self) -> Mapping[str, str]:
        """Addresses of the doorbell."""
        return dict.fromkeys((name for name in _ADDRESSES if self.spec.argument.has(name)), _ADDRESS_REASON)


BEHAVIOURS = {
    "D3DKMTCreateDoorbell": by_description(
        "D3DKMTCreateDoorbell",
        invalid(
            f"PrivateDriverDataSize is more than {_LARGEST_PRIVATE_DATA}",
            lambda r: r.args["PrivateDriverDataSize"] > _LARGEST_PRIVATE_DATA,
            page("D3DKMT_CREATE_DOORBELL"),
            "documentation",
        ),
        request=CreateDoorbellRequest,
    ),
    **{
        name: by_description(name)
        for name in ("D3DKMTConnectDoorbell", "D3DKMTDestroyDoorbell", "D3DKMTNotifyWorkSubmission")
    },
}
