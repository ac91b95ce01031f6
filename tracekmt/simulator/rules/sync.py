"""Synchronization objects: create, open and destroy, and CPU signals and waits."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tracekmt.calls.sync import D3DDDI_SYNCHRONIZATIONOBJECT_FLAGS, D3DDDI_SYNCHRONIZATIONOBJECT_TYPE
from tracekmt.ntstatus import Status
from tracekmt.simulator.lazy import lazy_attribute
from tracekmt.simulator.model.gpu_queue import reach
from tracekmt.simulator.model.gpu_queue import signal as signal_fence
from tracekmt.simulator.model.nt_handles import EVENT
from tracekmt.simulator.model.objects import SyncObject
from tracekmt.simulator.model.shared_objects import SyncState
from tracekmt.simulator.request import Behaviour, Request, Wait
from tracekmt.simulator.rule import ValidationRule, device_removed, invalid, unspecified
from tracekmt.simulator.rules.adapter import VERIFIED_NULL
from tracekmt.simulator.rules.device import BAD_DEVICE, DeviceRequest
from tracekmt.simulator.rules.sharing import BAD_NT_HANDLE, NtHandleRequest
from tracekmt.simulator.sources import LIKE_OTHERS, OTHER_TYPES, WINE_TEST, page

MUTEX, SEMAPHORE, FENCE, CPU_NOTIFICATION, MONITORED_FENCE, PERIODIC_MONITORED_FENCE, NATIVE_FENCE = (
    D3DDDI_SYNCHRONIZATIONOBJECT_TYPE.number(f"D3DDDI_{name}")
    for name in (
        "SYNCHRONIZATION_MUTEX",
        "SEMAPHORE",
        "FENCE",
        "CPU_NOTIFICATION",
        "MONITORED_FENCE",
        "PERIODIC_MONITORED_FENCE",
        "NATIVE_FENCE",
    )
)
MONITORED_TYPES = (MONITORED_FENCE, PERIODIC_MONITORED_FENCE, NATIVE_FENCE)
"""Types of fences with a 64-bit value. Native fences take part in the calls of the others (documentation)."""

MAX_OBJECTS = 32
"""D3DDDI_MAX_OBJECT_WAITED_ON and D3DDDI_MAX_OBJECT_SIGNALED."""

HEADER = "d3dukmdt.h"
FLAGS_PAGE = page("D3DDDI_SYNCHRONIZATIONOBJECT_FLAGS")
_MONITORED_FENCE_FLAGS = ("NoSignal", "NoWait", "TopOfPipeline")
FENCE_REASON = "the GPU or another process may have signalled the fence"
_INITIAL_VALUES = {FENCE: "Info.Fence.FenceValue", MONITORED_FENCE: "Info.MonitoredFence.InitialFenceValue"}
_FENCE_ARMS = {
    MONITORED_FENCE: "Info.MonitoredFence",
    PERIODIC_MONITORED_FENCE: "Info.PeriodicMonitoredFence",
}
FENCE_ADDRESS_REASON = "only the recorded machine knows where a process can read a fence"
_FENCE_ADDRESSES = {
    f"{arm}.FenceValue{side}VirtualAddress": FENCE_ADDRESS_REASON
    for arm in _FENCE_ARMS.values()
    for side in ("CPU", "GPU")
}


class CreateSyncObjectRequest(DeviceRequest):
    """A call that creates a synchronization object. Version 1 has no flags."""

    @property
    def type(self) -> int:
        """Type of the object to create."""
        return self.args["Info.Type"]

    @property
    def is_version_2(self) -> bool:
        """True for a call of version 2."""
        return self.spec.name.endswith("2")

    def has_flag(self, flag: str) -> bool:
        """Return True if a flag is set."""
        return self.is_version_2 and bool(self.args[f"Info.Flags.{flag}"])

    @property
    def uncertain_outputs(self) -> Mapping[str, str]:
        """Addresses of a fence. An adapter without GPU addresses returns 0."""
        return _FENCE_ADDRESSES if self.is_version_2 and self.type in _FENCE_ARMS else {}

    @property
    def is_event_invalid(self) -> bool:
        """True if the event of a CPU notification is not an event handle."""
        return self.process.nt_handles.is_invalid(self.args["Info.CPUNotification.Event"], EVENT)


class OpenSyncObjectRequest(Request):
    """A call that opens a synchronization object by its global handle."""

    @lazy_attribute
    def state(self) -> SyncState | None:
        """Synchronization object of hSharedHandle, or None."""
        return self.machine.global_handles.get(self.args["hSharedHandle"], SyncState)


class OpenSyncObjectFromNtHandleRequest(NtHandleRequest):
    """A call that opens a synchronization object by an NT handle."""

    @lazy_attribute
    def state(self) -> SyncState | None:
        """Synchronization object that hNtHandle shares first, or None."""
        return next((shared for shared in self.shared_objects[:1] if isinstance(shared, SyncState)), None)


class OpenSyncObjectFromNtHandle2Request(OpenSyncObjectFromNtHandleRequest, DeviceRequest):
    """A call that opens a synchronization object by an NT handle for a device."""


class SyncObjectRequest(Request):
    """A call with the handle of a synchronization object."""

    @lazy_attribute
    def sync_object(self) -> SyncObject | None:
        """Live synchronization object of hSyncObject, or None."""
        return self.process.find(self.args["hSyncObject"], SyncObject)


class FromCpuRequest(DeviceRequest):
    """A call that signals several synchronization objects from the CPU, or waits for them."""

    @lazy_attribute
    def sync_objects(self) -> list[SyncObject | None]:
        """Live synchronization object of each handle, or None."""
        handles = self.args.numbers("ObjectHandleArray", self.args["ObjectCount"])
        return [self.process.find(handle, SyncObject) for handle in handles]

    @property
    def has_other_types(self) -> bool:
        """True if an object is not a sort of monitored fence. Adopted objects have no known type."""
        types = {sync_object.state.type for sync_object in self.sync_objects if sync_object is not None}
        return not types <= {0, *MONITORED_TYPES}

    def has_flag(self, flag: str) -> bool:
        """Return True if one of the fences was created with a flag."""
        return any(sync_object is not None and flag in sync_object.state.flags for sync_object in self.sync_objects)

    @lazy_attribute
    def values(self) -> list[tuple[SyncState, int]]:
        """Fences of live handles, each with its new value."""
        count = self.args["ObjectCount"] if self.args["FenceValueArray"] else 0
        numbers = self.args.numbers("FenceValueArray", count)
        pairs = zip(self.sync_objects, numbers, strict=False)
        return [(sync_object.state, value) for sync_object, value in pairs if sync_object is not None]


class WaitFromCpuRequest(FromCpuRequest):
    """A call that waits for several fences on the CPU."""


class SignalFromCpuRequest(FromCpuRequest):
    """A call that signals several fences from the CPU."""

    @property
    def goes_backwards(self) -> bool:
        """True if a new value is below the current one."""
        return any(value < state.fence.value for state, value in self.values)

    def uncertain_status(self, recorded: Status) -> str | None:
        """Return a reason if the GPU or another process can signal a fence of the call."""
        if recorded.name not in ("STATUS_SUCCESS", "STATUS_INVALID_PARAMETER"):
            return None
        for state, value in self.values:
            if not state.is_certain or state.fence.reached <= value < state.fence.highest:
                return FENCE_REASON
        return None


def create(request: CreateSyncObjectRequest) -> None:
    """Create the object and, with Shared, its global handle.

    Without Shared, SharedHandle stays unchanged.
    """
    args = request.args
    has_value = request.is_version_2 and request.type in _INITIAL_VALUES
    initial_value = args[_INITIAL_VALUES[request.type]] if has_value else 0
    flags = frozenset(bit.name for bit in D3DDDI_SYNCHRONIZATIONOBJECT_FLAGS.bits if request.has_flag(bit.name))
    state = SyncState(request.type, initial_value, nt_shared="NtSecuritySharing" in flags, flags=flags)
    args["hSyncObject"] = request.process.add(SyncObject(state), request.device)
    if request.has_flag("Shared"):
        args["Info.SharedHandle"] = 0 if state.nt_shared else request.machine.create_global_handle(state)
    if request.is_version_2 and request.type in _FENCE_ARMS:
        _map_fence(request, state, _FENCE_ARMS[request.type])


def _map_fence(
    request: CreateSyncObjectRequest | OpenSyncObjectFromNtHandle2Request, state: SyncState, arm: str
) -> None:
    """Write the addresses at which CPU and GPU can read the value of the fence."""
    cpu_address = request.process.map_fence(state.fence, request.pointer_size)
    request.args[f"{arm}.FenceValueCPUVirtualAddress"] = cpu_address
    request.args[f"{arm}.FenceValueGPUVirtualAddress"] = request.process.reserve_addresses("gpu", 8)


def open_object(request: OpenSyncObjectRequest | OpenSyncObjectFromNtHandleRequest) -> None:
    """Open another handle to the object."""
    assert request.state is not None
    request.args["hSyncObject"] = request.process.add(SyncObject(request.state))


def open_for_device(request: OpenSyncObjectFromNtHandle2Request) -> None:
    """Open another handle to the object, which is closed with the device."""
    assert request.state is not None
    request.args["hSyncObject"] = request.process.add(SyncObject(request.state), request.device)
    if request.state.type == MONITORED_FENCE:
        _map_fence(request, request.state, "MonitoredFence")


def destroy(request: SyncObjectRequest) -> None:
    """Close the handle. The last handle destroys the object."""
    assert request.sync_object is not None
    request.process.destroy(request.sync_object)


def signal(request: SignalFromCpuRequest) -> None:
    """Set the fences to their new values."""
    for state, value in request.values:
        signal_fence(state.fence, value)


def wait(request: WaitFromCpuRequest) -> None:
    """Return immediately. A replay makes the call when it returned in the recording, after the signals of others.

    A wait without an event and without WaitAny returns when every fence has reached its value. An event is signalled
    then, if it is that of a live program.
    """
    event, signal_event = request.args["hAsyncEvent"], request.process.signal_event
    if event and signal_event is not None:
        request.machine.events.append((request.process.id, _is_over(request), lambda: signal_event(event)))
    elif not event and not request.args["Flags.WaitAny"]:
        for state, value in request.values:
            reach(state.fence, value)


def _wait_of(request: WaitFromCpuRequest) -> Wait | None:
    """Wait for all fences, or for one with WaitAny. With an event, the call returns at once."""
    is_over = _is_over(request)
    return None if request.args["hAsyncEvent"] or is_over() else Wait(is_over)


def _is_over(request: WaitFromCpuRequest) -> Callable[[], bool]:
    """Return a function that is true once the fences have reached their values."""
    values = [(state.fence, value) for state, value in request.values]
    reached = any if request.args["Flags.WaitAny"] else all
    return lambda: reached(fence.value >= value for fence, value in values)


_BAD_TYPE_1 = invalid(
    "Info.Type is neither a mutex nor a semaphore",
    lambda r: r.type not in (MUTEX, SEMAPHORE),
    WINE_TEST,
    "Windows-verified",
)
_BAD_TYPE_2 = invalid(
    "Info.Type is unknown",
    lambda r: not MUTEX <= r.type <= PERIODIC_MONITORED_FENCE,
    WINE_TEST + " (0)",
    "Windows-verified",
)
_BAD_SYNC_OBJECT = invalid(
    "hSyncObject is not a synchronization object of this process",
    lambda r: r.sync_object is None,
    WINE_TEST,
    "Windows-verified",
)
_NO_SYNC_OBJECT = ValidationRule(
    "STATUS_OBJECT_TYPE_MISMATCH",
    "hNtHandle does not share a synchronization object",
    lambda r: r.state is None,
    OTHER_TYPES,
    "assumption",
)
OBJECT_COUNT = invalid(
    "ObjectCount is above 32", lambda r: r.args["ObjectCount"] > MAX_OBJECTS, HEADER, "Microsoft source"
)
_FROM_CPU_RULES = (
    BAD_DEVICE,
    invalid("ObjectCount is 0", lambda r: not r.args["ObjectCount"], LIKE_OTHERS, "assumption"),
    OBJECT_COUNT,
    invalid(
        "a handle in ObjectHandleArray is not a synchronization object of this process",
        lambda r: any(sync_object is None for sync_object in r.sync_objects),
        page("D3DKMTSignalSynchronizationObjectFromCpu"),
        "documentation",
    ),
    invalid(
        "an object is neither a monitored fence nor a periodic monitored fence",
        lambda r: r.has_other_types,
        WINE_TEST,
        "Windows-verified",
    ),
)
_BACKWARDS = ValidationRule(
    "STATUS_INVALID_PARAMETER",
    "a value is below the fence's current one, and Flags lacks AllowFenceRewind",
    lambda r: not r.args["Flags.AllowFenceRewind"] and r.goes_backwards,
    WINE_TEST,
    "Windows-verified",
    elsewhere=True,
)


def denied(flag: str, verb: str) -> ValidationRule:
    """Return the rule for fences whose flag forbids signals or waits."""
    return ValidationRule(
        "STATUS_ACCESS_DENIED",
        f"a fence was created with {flag} and cannot be {verb}",
        lambda r: r.has_flag(flag),
        FLAGS_PAGE,
        "documentation",
    )


BEHAVIOURS = {
    "D3DKMTCreateSynchronizationObject": Behaviour(
        request=CreateSyncObjectRequest,
        null=VERIFIED_NULL,
        rules=(BAD_DEVICE, _BAD_TYPE_1, device_removed("D3DKMTCreateSynchronizationObject")),
        effect=create,
    ),
    "D3DKMTCreateSynchronizationObject2": Behaviour(
        request=CreateSyncObjectRequest,
        null=VERIFIED_NULL,
        rules=(
            BAD_DEVICE,
            _BAD_TYPE_2,
            invalid(
                "NtSecuritySharing without Shared",
                lambda r: r.has_flag("NtSecuritySharing") and not r.has_flag("Shared"),
                WINE_TEST + " (older versions of Windows accept it)",
                "Windows-verified",
            ),
            unspecified(
                "shared_monitored_fence",
                "Shared without NtSecuritySharing, for a monitored fence",
                lambda r: r.type == MONITORED_FENCE and r.has_flag("Shared") and not r.has_flag("NtSecuritySharing"),
                FLAGS_PAGE + " (only NT handles share it)",
            ),
            invalid(
                "both NoSignal and NoWait",
                lambda r: r.has_flag("NoSignal") and r.has_flag("NoWait"),
                FLAGS_PAGE,
                "documentation",
            ),
            invalid(
                "NoSignal, NoWait or TopOfPipeline for an object that is not a monitored fence",
                lambda r: r.type != MONITORED_FENCE and any(map(r.has_flag, _MONITORED_FENCE_FLAGS)),
                FLAGS_PAGE,
                "documentation",
            ),
            ValidationRule(
                "STATUS_INVALID_HANDLE",
                "the Event of a CPU notification is not an event handle",
                lambda r: r.type == CPU_NOTIFICATION and r.is_event_invalid,
                WINE_TEST,
                "Windows-verified",
            ),
            device_removed("D3DKMTCreateSynchronizationObject2"),
        ),
        effect=create,
    ),
    "D3DKMTOpenSynchronizationObject": Behaviour(
        request=OpenSyncObjectRequest,
        rules=(
            invalid(
                "hSharedHandle is not the global handle of a synchronization object",
                lambda r: r.state is None,
                WINE_TEST,
                "Windows-verified",
            ),
        ),
        effect=open_object,
    ),
    "D3DKMTOpenSyncObjectFromNtHandle": Behaviour(
        request=OpenSyncObjectFromNtHandleRequest, rules=(BAD_NT_HANDLE, _NO_SYNC_OBJECT), effect=open_object
    ),
    "D3DKMTOpenSyncObjectFromNtHandle2": Behaviour(
        request=OpenSyncObjectFromNtHandle2Request,
        rules=(BAD_DEVICE, BAD_NT_HANDLE, _NO_SYNC_OBJECT),
        effect=open_for_device,
    ),
    "D3DKMTDestroySynchronizationObject": Behaviour(
        request=SyncObjectRequest, rules=(_BAD_SYNC_OBJECT,), effect=destroy
    ),
    "D3DKMTSignalSynchronizationObjectFromCpu": Behaviour(
        request=SignalFromCpuRequest,
        rules=(*_FROM_CPU_RULES, denied("NoSignal", "signalled"), _BACKWARDS),
        effect=signal,
    ),
    "D3DKMTWaitForSynchronizationObjectFromCpu": Behaviour(
        request=WaitFromCpuRequest,
        rules=(*_FROM_CPU_RULES, denied("NoWait", "waited for")),
        effect=wait,
        wait_of=_wait_of,
    ),
}
