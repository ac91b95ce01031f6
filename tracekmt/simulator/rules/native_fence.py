"""Native fences: create and open. Waits and signals are those of other fences."""

from __future__ import annotations

from collections.abc import Mapping

from tracekmt.calls.native_fence import D3DDDI_NATIVEFENCE_TYPE
from tracekmt.calls.sync import D3DDDI_SYNCHRONIZATIONOBJECT_FLAGS
from tracekmt.simulator.model.objects import SyncObject
from tracekmt.simulator.model.shared_objects import SyncState
from tracekmt.simulator.request import Behaviour
from tracekmt.simulator.rule import ValidationRule, invalid, unspecified
from tracekmt.simulator.rules.device import DeviceRequest
from tracekmt.simulator.rules.sharing import BAD_NT_HANDLE
from tracekmt.simulator.rules.sync import FENCE_ADDRESS_REASON, NATIVE_FENCE, OpenSyncObjectFromNtHandle2Request
from tracekmt.simulator.sources import LIKE_OTHERS, OTHER_TYPES, page

DEFAULT = D3DDDI_NATIVEFENCE_TYPE.number("D3DDDI_NATIVEFENCE_TYPE_DEFAULT")
_VALUES = ("CurrentValueCpuVa", "CurrentValueGpuVa", "MonitoredValueGpuVa")
_PAGE = page("D3DKMTCreateNativeFence")


class CreateNativeFenceRequest(DeviceRequest):
    """A D3DKMT_CREATENATIVEFENCE. Its first form, of build 22621, has no type and returns the handle in Info."""

    mapping = "Info.NativeFenceMapping"

    @property
    def type(self) -> int:
        """Type of the native fence."""
        return self.args["Info.Type"] if self.spec.argument.has("hSyncObject") else DEFAULT

    def has_flag(self, flag: str) -> bool:
        """Return True if a flag of the fence is set."""
        return bool(self.args[f"Info.Flags.{flag}"])

    @property
    def uncertain_outputs(self) -> Mapping[str, str]:
        """Addresses of the fence."""
        return {f"{self.mapping}.{name}": FENCE_ADDRESS_REASON for name in _VALUES}


class OpenNativeFenceRequest(OpenSyncObjectFromNtHandle2Request):
    """A D3DKMT_OPENNATIVEFENCEFROMNTHANDLE."""

    mapping = "NativeFenceMapping"

    @property
    def uncertain_outputs(self) -> Mapping[str, str]:
        """Addresses of the fence."""
        return {f"{self.mapping}.{name}": FENCE_ADDRESS_REASON for name in _VALUES}


def create(request: CreateNativeFenceRequest) -> None:
    """Create the fence. A fence of local memory has no address for the CPU."""
    flags = frozenset(bit.name for bit in D3DDDI_SYNCHRONIZATIONOBJECT_FLAGS.bits if request.has_flag(bit.name))
    nt_shared = "NtSecuritySharing" in flags
    state = SyncState(NATIVE_FENCE, request.args["Info.InitialFenceValue"], nt_shared=nt_shared, flags=flags)
    path = "hSyncObject" if request.spec.argument.has("hSyncObject") else "Info.hSyncObject"
    request.args[path] = request.process.add(SyncObject(state), request.device)
    _map(request, state, has_cpu_address=request.type == DEFAULT)


def open_fence(request: OpenNativeFenceRequest) -> None:
    """Open another handle to the fence, which is closed with the device."""
    assert request.state is not None
    request.args["hSyncObject"] = request.process.add(SyncObject(request.state), request.device)
    _map(request, request.state, has_cpu_address=True)


def _map(
    request: CreateNativeFenceRequest | OpenNativeFenceRequest, state: SyncState, *, has_cpu_address: bool
) -> None:
    process, mapping = request.process, request.mapping
    cpu_address = process.map_fence(state.fence, request.pointer_size) if has_cpu_address else 0
    request.args[f"{mapping}.CurrentValueCpuVa"] = cpu_address
    for name in _VALUES[1:]:
        request.args[f"{mapping}.{name}"] = process.reserve_addresses("gpu", 8)


_BAD_DEVICE = invalid("hDevice is not a device handle", lambda r: r.device is None, LIKE_OTHERS, "assumption")

BEHAVIOURS = {
    "D3DKMTCreateNativeFence": Behaviour(
        request=CreateNativeFenceRequest,
        rules=(
            _BAD_DEVICE,
            invalid(
                "NtSecuritySharing without Shared",
                lambda r: r.has_flag("NtSecuritySharing") and not r.has_flag("Shared"),
                LIKE_OTHERS,
                "assumption",
            ),
            unspecified(
                "cross_adapter_native_fence",
                "CrossAdapter for a fence that is not of the default type",
                lambda r: r.has_flag("CrossAdapter") and r.type != DEFAULT,
                f"{_PAGE} (without the status)",
            ),
        ),
        effect=create,
        driver_decides=lambda request: True,
        limits="a driver may not support native fences",
    ),
    "D3DKMTOpenNativeFenceFromNtHandle": Behaviour(
        request=OpenNativeFenceRequest,
        rules=(
            _BAD_DEVICE,
            BAD_NT_HANDLE,
            ValidationRule(
                "STATUS_OBJECT_TYPE_MISMATCH",
                "hNtHandle does not share a synchronization object",
                lambda r: r.state is None,
                OTHER_TYPES,
                "assumption",
            ),
        ),
        effect=open_fence,
        driver_decides=lambda request: True,
        limits="a driver may not support native fences",
    ),
}
