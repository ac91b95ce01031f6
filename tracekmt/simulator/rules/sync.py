"""How synchronization objects are answered: made, opened, shared, ended; signalled and waited for from the CPU."""

from __future__ import annotations

from functools import cached_property

from tracekmt.calls.sync import D3DDDI_SYNCHRONIZATIONOBJECT_TYPE
from tracekmt.simulator.model.objects import SyncObject, SyncState
from tracekmt.simulator.request import Behaviour, Request
from tracekmt.simulator.rule import ValidationRule, invalid
from tracekmt.simulator.rules.adapter import VERIFIED_NULL
from tracekmt.simulator.rules.device import BAD_DEVICE, ByDevice, stopped
from tracekmt.simulator.rules.sharing import BAD_NT_HANDLE, NamesNtHandle
from tracekmt.simulator.sources import LIKE_OTHERS, OTHER_TYPES, WINE_TEST, page

MUTEX, SEMAPHORE, FENCE, CPU_NOTIFICATION, MONITORED_FENCE, PERIODIC_MONITORED_FENCE = (
    D3DDDI_SYNCHRONIZATIONOBJECT_TYPE.number(f"D3DDDI_{name}")
    for name in (
        "SYNCHRONIZATION_MUTEX",
        "SEMAPHORE",
        "FENCE",
        "CPU_NOTIFICATION",
        "MONITORED_FENCE",
        "PERIODIC_MONITORED_FENCE",
    )
)
_INITIAL = {FENCE: "Info.Fence.FenceValue", MONITORED_FENCE: "Info.MonitoredFence.InitialFenceValue"}
_ADDRESSES = {
    MONITORED_FENCE: "Info.MonitoredFence",
    PERIODIC_MONITORED_FENCE: "Info.PeriodicMonitoredFence",
}


class CreateSyncObjectRequest(ByDevice):
    """Making one. Version 1 has no flags."""

    @property
    def type(self) -> int:
        """What it is to be."""
        return self.args["Info.Type"]

    def has(self, flag: str) -> bool:
        """Whether a flag is set."""
        return self.spec.name.endswith("2") and bool(self.args[f"Info.Flags.{flag}"])

    @property
    def no_event(self) -> bool:
        """Whether the event of a CPU notification is none."""
        return self.process.nt.is_invalid(self.args["Info.CPUNotification.Event"], "event")


class OpenSyncObjectRequest(Request):
    """Opening by the global handle."""

    @cached_property
    def body(self) -> SyncState | None:
        """The object."""
        return self.machine.shares.get(self.args["hSharedHandle"], SyncState)


class OpenSyncObjectFromNtHandleRequest(NamesNtHandle):
    """Opening by an NT handle."""

    @cached_property
    def body(self) -> SyncState | None:
        """The object, where the handle leads to one."""
        return next((each for each in self.holds[:1] if isinstance(each, SyncState)), None)


class OpenInDevice(OpenSyncObjectFromNtHandleRequest, ByDevice):
    """The same, for a device."""


class ByObject(Request):
    """A call that names one object of this process."""

    @cached_property
    def object(self) -> SyncObject | None:
        """What hSyncObject leads to."""
        return self.process.find(self.args["hSyncObject"], SyncObject)


class FromCpu(ByDevice):
    """Signalling, or waiting for, several objects from the CPU."""

    @cached_property
    def objects(self) -> list[SyncObject | None]:
        """What the handles lead to."""
        handles = self.args.numbers("ObjectHandleArray", self.args["ObjectCount"])
        return [self.process.find(handle, SyncObject) for handle in handles]


def create(request: CreateSyncObjectRequest) -> None:
    """The object, and its global handle where it is shared by one; otherwise SharedHandle stays as it is."""
    args = request.args
    initial = args[_INITIAL[request.type]] if request.type in _INITIAL and request.spec.name.endswith("2") else 0
    body = SyncState(request.type, initial, nt=request.has("NtSecuritySharing"))
    args["hSyncObject"] = request.process.add(SyncObject(body), request.device)
    if request.has("Shared"):
        args["Info.SharedHandle"] = 0 if body.nt else request.machine.share(body)
    if request.type in _ADDRESSES:
        _map_fence(request, _ADDRESSES[request.type])


def _map_fence(request: CreateSyncObjectRequest | OpenInDevice, arm: str) -> None:
    """Where the fence's value can be read."""
    cpu = request.process.range("cpu", 8, request.pointer_size)
    request.args[f"{arm}.FenceValueCPUVirtualAddress"] = cpu
    request.args[f"{arm}.FenceValueGPUVirtualAddress"] = request.process.range("gpu", 8)


def open_object(request: OpenSyncObjectRequest | OpenSyncObjectFromNtHandleRequest) -> None:
    """Another handle to the object."""
    assert request.body is not None
    request.args["hSyncObject"] = request.process.add(SyncObject(request.body))


def open_in_device(request: OpenInDevice) -> None:
    """The same, which ends with the device."""
    assert request.body is not None
    request.args["hSyncObject"] = request.process.add(SyncObject(request.body), request.device)
    if request.body.type == MONITORED_FENCE:
        _map_fence(request, "MonitoredFence")


def destroy(request: ByObject) -> None:
    """Ends this handle; the object ends with its last."""
    assert request.object is not None
    request.process.end(request.object)


def signal(request: FromCpu) -> None:
    """Fences reach their values."""
    values = request.args.numbers("FenceValueArray", len(request.objects)) if request.args["FenceValueArray"] else []
    for node, value in zip(request.objects, values, strict=False):
        assert node is not None
        node.body.value = value


def wait(request: FromCpu) -> None:
    """Whoever would have to wait has waited: what others do meanwhile is not played."""


_TYPES_1 = invalid(
    "Info.Type is neither a mutex nor a semaphore",
    lambda r: r.type not in (MUTEX, SEMAPHORE),
    WINE_TEST,
    "Windows-verified",
)
_TYPES_2 = invalid(
    "Info.Type is none that there is",
    lambda r: not MUTEX <= r.type <= PERIODIC_MONITORED_FENCE,
    WINE_TEST + " (0)",
    "Windows-verified",
)
_NOT_THERE = invalid(
    "hSyncObject is no synchronization object of this process",
    lambda r: r.object is None,
    WINE_TEST,
    "Windows-verified",
)
_NO_OBJECT = ValidationRule(
    "STATUS_OBJECT_TYPE_MISMATCH",
    "hNtHandle leads to no synchronization object",
    lambda r: r.body is None,
    OTHER_TYPES,
    "assumption",
)
_FROM_CPU = (
    BAD_DEVICE,
    invalid("ObjectCount is 0", lambda r: not r.args["ObjectCount"], LIKE_OTHERS, "assumption"),
    invalid(
        "a handle leads to no synchronization object of this process",
        lambda r: any(node is None for node in r.objects),
        page("D3DKMTSignalSynchronizationObjectFromCpu"),
        "documentation",
    ),
)

BEHAVIOURS = {
    "D3DKMTCreateSynchronizationObject": Behaviour(
        request=CreateSyncObjectRequest,
        null=VERIFIED_NULL,
        rules=(BAD_DEVICE, _TYPES_1, stopped("D3DKMTCreateSynchronizationObject")),
        effect=create,
    ),
    "D3DKMTCreateSynchronizationObject2": Behaviour(
        request=CreateSyncObjectRequest,
        null=VERIFIED_NULL,
        rules=(
            BAD_DEVICE,
            _TYPES_2,
            invalid(
                "NtSecuritySharing without Shared",
                lambda r: r.has("NtSecuritySharing") and not r.has("Shared"),
                WINE_TEST + " (older versions of Windows accept it)",
                "Windows-verified",
            ),
            ValidationRule(
                "STATUS_INVALID_HANDLE",
                "the event of a CPU notification is none",
                lambda r: r.type == CPU_NOTIFICATION and r.no_event,
                WINE_TEST,
                "Windows-verified",
            ),
            stopped("D3DKMTCreateSynchronizationObject2"),
        ),
        effect=create,
    ),
    "D3DKMTOpenSynchronizationObject": Behaviour(
        request=OpenSyncObjectRequest,
        rules=(
            invalid(
                "hSharedHandle is no global handle of a synchronization object",
                lambda r: r.body is None,
                WINE_TEST,
                "Windows-verified",
            ),
        ),
        effect=open_object,
    ),
    "D3DKMTOpenSyncObjectFromNtHandle": Behaviour(
        request=OpenSyncObjectFromNtHandleRequest, rules=(BAD_NT_HANDLE, _NO_OBJECT), effect=open_object
    ),
    "D3DKMTOpenSyncObjectFromNtHandle2": Behaviour(
        request=OpenInDevice,
        rules=(BAD_DEVICE, BAD_NT_HANDLE, _NO_OBJECT),
        effect=open_in_device,
    ),
    "D3DKMTDestroySynchronizationObject": Behaviour(request=ByObject, rules=(_NOT_THERE,), effect=destroy),
    "D3DKMTSignalSynchronizationObjectFromCpu": Behaviour(request=FromCpu, rules=_FROM_CPU, effect=signal),
    "D3DKMTWaitForSynchronizationObjectFromCpu": Behaviour(request=FromCpu, rules=_FROM_CPU, effect=wait),
}
