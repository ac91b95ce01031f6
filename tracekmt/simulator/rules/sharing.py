"""Sharing of resources: by global handle, by NT handle and by name, with queries and opens."""

from __future__ import annotations

from dataclasses import replace

from tracekmt.ntstatus import Status
from tracekmt.simulator.lazy import lazy_attribute
from tracekmt.simulator.model.names import canonical_name
from tracekmt.simulator.model.nt_handles import SHARED_RESOURCE, SHARED_SYNC_OBJECT, NtObject
from tracekmt.simulator.model.objects import Allocation, KernelObject, KeyedMutex, Resource, SyncObject
from tracekmt.simulator.model.shared_objects import MutexState, ResourceState, SharedObject, SyncState
from tracekmt.simulator.request import Behaviour, Request, View
from tracekmt.simulator.rule import ValidationRule, invalid
from tracekmt.simulator.rules.device import BAD_DEVICE, DeviceRequest
from tracekmt.simulator.sources import LIKE_OTHERS, OTHER_TYPES, WINE_TEST, WSL, page
from tracekmt.spec.types import POINTER_SIZE

NAME_IN_USE = frozenset({"STATUS_OBJECT_NAME_COLLISION", "STATUS_OBJECT_NAME_EXISTS"})
NAME_REASON = "another process may have given an object this name"


class GlobalHandleRequest(DeviceRequest):
    """A call with the global handle of a resource."""

    @lazy_attribute
    def state(self) -> ResourceState | None:
        """Resource of hGlobalShare, or None."""
        return self.machine.global_handles.get(self.args["hGlobalShare"], ResourceState)


class NtHandleRequest(Request):
    """A call with an NT handle."""

    @lazy_attribute
    def nt_object(self) -> NtObject | None:
        """Object of hNtHandle, or None."""
        return self.process.nt_handles.get(self.args["hNtHandle"])

    @property
    def shared_objects(self) -> tuple[SharedObject, ...]:
        """Shared objects of hNtHandle. The first one determines the type of the handle."""
        return self.nt_object.shared_objects if self.nt_object else ()


class ResourceNtHandleRequest(NtHandleRequest, DeviceRequest):
    """A call with the NT handle of a resource."""

    @lazy_attribute
    def state(self) -> ResourceState | None:
        """Resource that hNtHandle shares first, or None."""
        return next((shared for shared in self.shared_objects[:1] if isinstance(shared, ResourceState)), None)

    @property
    def exceeds_mutex_buffer(self) -> bool:
        """True if a shared keyed mutex has runtime data that do not fit the caller's buffer.

        Without a buffer, a size other than 0 is invalid.
        """
        size, buffer = (
            self.args[name] for name in ("KeyedMutexPrivateRuntimeDataSize", "pKeyedMutexPrivateRuntimeData")
        )
        mutexes = [shared for shared in self.shared_objects if isinstance(shared, MutexState)]
        return any(size < len(mutex.runtime_data) if buffer else size for mutex in mutexes)


def query(request: GlobalHandleRequest | ResourceNtHandleRequest) -> None:
    """Write the sizes and the number of allocations. The buffer stays unchanged (Wine's conformance test)."""
    assert request.state is not None
    args = request.args
    args["PrivateRuntimeDataSize"] = len(request.state.runtime_data)
    args["TotalPrivateDriverDataSize"] = total_size(request.state)
    args["ResourcePrivateDriverDataSize"] = len(request.state.driver_data)
    args["NumAllocations"] = len(request.state.memories)


def total_size(state: ResourceState) -> int:
    """Return the bytes of all allocations' private data."""
    return sum(len(memory.private_data) for memory in state.memories)


def _list_name(request: Request) -> str:
    return next((arm for arm in request.spec.union_arms if arm.startswith("pOpenAllocation")), "pOpenAllocationInfo2")


def open_resource(request: GlobalHandleRequest | ResourceNtHandleRequest) -> None:
    """Open the resource and its allocations.

    The resource has the first handle, and each allocation the next one (Wine's conformance test). The allocations'
    private data follow each other in one buffer, and each element points to its own part (WSL2-Linux-Kernel).
    """
    process, device, state, args = request.process, request.device, request.state, request.args
    assert device is not None
    assert state is not None
    resource = Resource(device, state)
    args["hResource"] = process.add(resource, device)
    offset = 0
    for index, memory in enumerate(state.memories):
        element = args.follow(_list_name(request), index)
        element["hAllocation"] = process.add(Allocation(device, resource, memory), device, resource)
        element["PrivateDriverDataSize"] = len(memory.private_data)
        if memory.private_data:
            element["pPrivateDriverData"] = args["pTotalPrivateDriverDataBuffer"] + offset
            request.memory.write(args["pTotalPrivateDriverDataBuffer"] + offset, memory.private_data)
            offset += len(memory.private_data)
    args["TotalPrivateDriverDataBufferSize"] = offset
    for name, data in (
        ("pPrivateRuntimeData", state.runtime_data),
        ("pResourcePrivateDriverData", state.driver_data),
    ):
        if data:
            request.memory.write(args[name], data)


def open_from_nt_handle(request: ResourceNtHandleRequest) -> None:
    """Open the resource, its allocations, and the keyed mutex and synchronization object shared with it."""
    open_resource(request)
    mutex = next((shared for shared in request.shared_objects if isinstance(shared, MutexState)), None)
    sync = next((shared for shared in request.shared_objects if isinstance(shared, SyncState)), None)
    process, args = request.process, request.args
    args["hKeyedMutex"] = process.add(KeyedMutex(mutex)) if mutex else 0
    args["hSyncObject"] = process.add(SyncObject(sync), request.device) if sync else 0


class ShareObjectsRequest(Request):
    """A call that shares objects by an NT handle."""

    @lazy_attribute
    def objects(self) -> list[KernelObject | None]:
        """Live object of each handle, or None."""
        handles = self.args.numbers("hObjects", self.args["cObjects"])
        return [self.process.find(handle, KernelObject) for handle in handles]

    @lazy_attribute
    def attributes(self) -> View | None:
        """OBJECT_ATTRIBUTES of the NT handle, or None."""
        return self.args.follow("pObjectAttributes") if self.args["pObjectAttributes"] else None

    @lazy_attribute
    def object_name(self) -> str | None:
        """Canonical name for the object of the NT handle, or None."""
        return object_name(self.attributes)

    def uncertain_status(self, recorded: Status) -> str | None:
        """Return a reason if the name was in use."""
        return NAME_REASON if self.object_name is not None and recorded.name in NAME_IN_USE else None

    @property
    def object_types(self) -> list[type[KernelObject]]:
        """Types of the live objects, in order."""
        return [type(kernel_object) for kernel_object in self.objects if kernel_object is not None]


def object_name(attributes: View | None) -> str | None:
    """Return the canonical name in an OBJECT_ATTRIBUTES, None without a name."""
    if attributes is None or not attributes["ObjectName"]:
        return None
    pointer_size = POINTER_SIZE[attributes.layout.abi]
    string = attributes.memory.read(attributes["ObjectName"], 2 * pointer_size)
    length, buffer = int.from_bytes(string[:2], "little"), int.from_bytes(string[pointer_size:], "little")
    text = attributes.memory.read(buffer, length & ~1) if length else b""
    return canonical_name(text.decode("utf-16-le", "surrogatepass")) if text else None


SHAREABLE: tuple[list[type[KernelObject]], ...] = ([Resource], [SyncObject], [Resource, KeyedMutex, SyncObject])


def share(request: ShareObjectsRequest) -> None:
    """Open an NT handle that keeps the objects alive. Their name is valid while a handle is open."""
    shared_objects = tuple(
        shared
        for kernel_object in request.objects
        if kernel_object is not None
        for shared in kernel_object.shared_objects
    )
    type_ = SHARED_RESOURCE if isinstance(shared_objects[0], ResourceState) else SHARED_SYNC_OBJECT
    nt_object = NtObject(type_, shared_objects, request.object_name)
    handle = request.process.open_nt_handle(nt_object, request.args["dwDesiredAccess"])
    request.args.write_through("phSharedNtHandle", handle)


class OpenByNameRequest(Request):
    """A call that opens a shared object by name."""

    @lazy_attribute
    def object_name(self) -> str | None:
        """Canonical name of the object, or None."""
        return object_name(self.args.follow("pObjAttrib"))

    def uncertain_status(self, recorded: Status) -> str | None:
        """Return a reason unless the name is known. An unrecorded call may have closed its last handle."""
        is_unknown = self.nt_object is None or recorded.name == "STATUS_OBJECT_NAME_NOT_FOUND"
        return NAME_REASON if is_unknown else None

    @lazy_attribute
    def nt_object(self) -> NtObject | None:
        """Object with the name, or None."""
        return None if self.object_name is None else self.machine.named_objects.get(self.object_name)


def open_by_name(request: OpenByNameRequest) -> None:
    """Open another NT handle to the object."""
    assert request.nt_object is not None
    handle = request.process.open_nt_handle(request.nt_object, request.args["dwDesiredAccess"])
    request.args["hNtHandle"] = handle


def open_by_name_behaviour(type_: str, function: str) -> Behaviour:
    """Return the behaviour of a function that opens NT objects of one type by name."""
    return Behaviour(
        request=OpenByNameRequest,
        rules=(
            invalid("pObjAttrib is NULL", lambda r: not r.args["pObjAttrib"], WINE_TEST, "Windows-verified"),
            ValidationRule(
                "STATUS_OBJECT_NAME_NOT_FOUND",
                "no object has this name",
                lambda r: r.nt_object is None,
                WINE_TEST,
                "Windows-verified",
                elsewhere=True,
            ),
            ValidationRule(
                "STATUS_OBJECT_TYPE_MISMATCH",
                f"the object with this name is not a {type_}",
                lambda r: r.nt_object.type != type_,
                page(function),
                "assumption",
            ),
            ValidationRule(
                "STATUS_ACCESS_DENIED",
                "dwDesiredAccess is 0",
                lambda r: not r.args["dwDesiredAccess"],
                WINE_TEST,
                "Windows-verified",
            ),
        ),
        effect=open_by_name,
    )


def _exact_size(size: str, buffer: str, attribute: str) -> ValidationRule:
    """Return the rule for a buffer that must be as large as the resource's data."""

    def is_violated(request: GlobalHandleRequest | ResourceNtHandleRequest) -> bool:
        data = getattr(request.state, attribute)
        return request.args[size] != len(data) or bool(data and not request.args[buffer])

    reason = f"{size} differs from the resource's size, or {buffer} is NULL"
    return invalid(reason, is_violated, WINE_TEST, "Windows-verified")


def _minimum_size(size: str, buffer: str, attribute: str) -> ValidationRule:
    """Return the rule for a buffer that may be larger than the resource's data."""

    def is_violated(request: GlobalHandleRequest | ResourceNtHandleRequest) -> bool:
        data = getattr(request.state, attribute)
        return request.args[size] < len(data) or bool(data and not request.args[buffer])

    reason = f"{size} is smaller than the resource's size, or {buffer} is NULL"
    return invalid(reason, is_violated, WSL, "Microsoft source")


_RUNTIME_DATA = "PrivateRuntimeDataSize", "pPrivateRuntimeData", "runtime_data"
_DRIVER_DATA = "ResourcePrivateDriverDataSize", "pResourcePrivateDriverData", "driver_data"
EXACT_SIZES = (_exact_size(*_RUNTIME_DATA), _exact_size(*_DRIVER_DATA))
MINIMUM_SIZES = (_minimum_size(*_RUNTIME_DATA), _minimum_size(*_DRIVER_DATA))
"""Replacements of EXACT_SIZES in WSL."""

_BAD_GLOBAL_HANDLE = invalid(
    "hGlobalShare is not the global handle of a resource", lambda r: r.state is None, WINE_TEST, "Windows-verified"
)
_SIZE_OVERFLOW = ValidationRule(
    "STATUS_INTEGER_OVERFLOW",
    "the size of all private data exceeds 32 bits",
    lambda r: total_size(r.state) > 0xFFFFFFFF,
    page("D3DKMTQueryResourceInfo"),
    "documentation",
)
BAD_NT_HANDLE = ValidationRule(
    "STATUS_INVALID_HANDLE", "hNtHandle is not open", lambda r: r.nt_object is None, WINE_TEST, "Windows-verified"
)
LIKE_BAD_NT_HANDLE = replace(BAD_NT_HANDLE, source=LIKE_OTHERS, confidence="assumption")
_NO_RESOURCE = ValidationRule(
    "STATUS_OBJECT_TYPE_MISMATCH",
    "hNtHandle does not share a resource",
    lambda r: r.state is None,
    OTHER_TYPES,
    "assumption",
)
_OPEN_RULES = (
    ValidationRule(
        "STATUS_ACCESS_VIOLATION",
        "the list of allocations is NULL, in a 32-bit process",
        lambda r: r.abi == "x86" and r.args["NumAllocations"] and not r.args[_list_name(r)],
        WINE_TEST + " (by NT handle)",
        "Windows-verified",
    ),
    invalid("NumAllocations is 0", lambda r: not r.args["NumAllocations"], WINE_TEST, "Windows-verified"),
    invalid(
        "NumAllocations differs from the resource's number of allocations",
        lambda r: r.args["NumAllocations"] != len(r.state.memories),
        WSL,
        "Microsoft source",
    ),
    invalid("the list of allocations is NULL", lambda r: not r.args[_list_name(r)], WINE_TEST, "Windows-verified"),
    *EXACT_SIZES,
    invalid(
        "pTotalPrivateDriverDataBuffer is NULL",
        lambda r: total_size(r.state) and not r.args["pTotalPrivateDriverDataBuffer"],
        WINE_TEST,
        "Windows-verified",
    ),
    ValidationRule(
        "STATUS_NO_MEMORY",
        "TotalPrivateDriverDataBufferSize is too small",
        lambda r: r.args["TotalPrivateDriverDataBufferSize"] < total_size(r.state),
        WINE_TEST + " (by NT handle)",
        "Windows-verified",
    ),
)
_OPEN = Behaviour(
    request=GlobalHandleRequest, rules=(BAD_DEVICE, _BAD_GLOBAL_HANDLE, *_OPEN_RULES), effect=open_resource
)

BEHAVIOURS = {
    "D3DKMTQueryResourceInfo": Behaviour(
        request=GlobalHandleRequest, rules=(BAD_DEVICE, _BAD_GLOBAL_HANDLE, _SIZE_OVERFLOW), effect=query
    ),
    "D3DKMTQueryResourceInfoFromNtHandle": Behaviour(
        request=ResourceNtHandleRequest,
        rules=(BAD_DEVICE, LIKE_BAD_NT_HANDLE, _NO_RESOURCE, _SIZE_OVERFLOW),
        effect=query,
    ),
    "D3DKMTOpenResource": _OPEN,
    "D3DKMTOpenResource2": _OPEN,
    "D3DKMTOpenResourceFromNtHandle": Behaviour(
        request=ResourceNtHandleRequest,
        rules=(
            BAD_DEVICE,
            LIKE_BAD_NT_HANDLE,
            _NO_RESOURCE,
            *_OPEN_RULES,
            invalid(
                "the buffer for the keyed mutex's runtime data is NULL or too small",
                lambda r: r.exceeds_mutex_buffer,
                "by analogy with D3DKMTOpenKeyedMutex2 in Wine's conformance test",
                "assumption",
            ),
        ),
        effect=open_from_nt_handle,
    ),
    "D3DKMTShareObjects": Behaviour(
        request=ShareObjectsRequest,
        rules=(
            invalid(
                "a handle in hObjects is not an object of this process",
                lambda r: any(kernel_object is None for kernel_object in r.objects),
                WINE_TEST,
                "Windows-verified",
            ),
            invalid(
                "hObjects is not a resource, a sync object, or a resource, a keyed mutex and a sync object",
                lambda r: r.object_types not in SHAREABLE,
                WINE_TEST,
                "Windows-verified",
            ),
            invalid(
                "an object was created without NtSecuritySharing",
                lambda r: (
                    not all(shared.nt_shared for kernel_object in r.objects for shared in kernel_object.shared_objects)
                ),
                WINE_TEST,
                "Windows-verified",
            ),
            ValidationRule(
                "STATUS_OBJECT_NAME_COLLISION",
                "another object has this name",
                lambda r: r.object_name is not None and r.object_name in r.machine.named_objects,
                OTHER_TYPES,
                "assumption",
            ),
        ),
        effect=share,
    ),
    "D3DKMTOpenNtHandleFromName": open_by_name_behaviour(SHARED_RESOURCE, "D3DKMTOpenNtHandleFromName"),
    "D3DKMTOpenSyncObjectNtHandleFromName": open_by_name_behaviour(
        SHARED_SYNC_OBJECT, "D3DKMTOpenSyncObjectNtHandleFromName"
    ),
}
