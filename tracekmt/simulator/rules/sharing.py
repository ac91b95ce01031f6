"""How resources are shared, asked about and opened: by global handle, by NT handle, by name."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

from tracekmt.simulator.model.nt_handles import NtObject, canonical_name
from tracekmt.simulator.model.objects import (
    Allocation,
    KernelObject,
    KeyedMutex,
    MutexState,
    Resource,
    ResourceState,
    SharedObject,
    SyncObject,
    SyncState,
)
from tracekmt.simulator.request import Behaviour, Request, View
from tracekmt.simulator.rule import ValidationRule, invalid
from tracekmt.simulator.rules.device import BAD_DEVICE, ByDevice
from tracekmt.simulator.sources import LIKE_OTHERS, OTHER_TYPES, WINE_TEST, WSL, page
from tracekmt.spec.types import POINTER_SIZE

RESOURCE_TYPE = "shared resource"
SYNC_TYPE = "shared sync object"


class ByGlobal(ByDevice):
    """A call about what a global handle leads to."""

    @cached_property
    def body(self) -> ResourceState | None:
        """The resource."""
        return self.machine.shares.get(self.args["hGlobalShare"], ResourceState)


class NamesNtHandle(Request):
    """A call that is given an NT handle."""

    @cached_property
    def item(self) -> NtObject | None:
        """What the handle leads to."""
        return self.process.nt.get(self.args["hNtHandle"])

    @property
    def holds(self) -> tuple[SharedObject, ...]:
        """What was shared in it, the object that it is named for first."""
        return self.item.holds if self.item else ()


class ByNtHandle(NamesNtHandle, ByDevice):
    """A call about the resource that an NT handle leads to."""

    @cached_property
    def body(self) -> ResourceState | None:
        """The resource, where it leads to one."""
        return next((each for each in self.holds[:1] if isinstance(each, ResourceState)), None)

    @property
    def mutex_data_misfits(self) -> bool:
        """Whether the buffer for the runtime data of a keyed mutex in the bundle is none, or too small."""
        size, buffer = (
            self.args[name] for name in ("KeyedMutexPrivateRuntimeDataSize", "pKeyedMutexPrivateRuntimeData")
        )
        bundled = [each for each in self.holds if isinstance(each, MutexState)]
        return any(size < len(each.runtime_data) if buffer else size for each in bundled)


def query(request: ByGlobal | ByNtHandle) -> None:
    """Sizes and the number of allocations; the runtime data's buffer stays as it is (Wine's conformance test)."""
    assert request.body is not None
    args = request.args
    args["PrivateRuntimeDataSize"] = len(request.body.runtime_data)
    args["TotalPrivateDriverDataSize"] = total_size(request.body)
    args["ResourcePrivateDriverDataSize"] = len(request.body.driver_data)
    args["NumAllocations"] = len(request.body.backings)


def total_size(body: ResourceState) -> int:
    """Bytes of all allocations' private data."""
    return sum(len(backing.data) for backing in body.backings)


def _list_name(request: Request) -> str:
    return next((arm for arm in request.spec.union_arms if arm.startswith("pOpenAllocation")), "pOpenAllocationInfo2")


def open_resource(request: ByGlobal | ByNtHandle) -> None:
    """The resource with the next handle, then its allocations (Wine's conformance test). Their private data lie one
    after the other in the one buffer, and each element leads to its own there (WSL2-Linux-Kernel)."""
    process, device, body, args = request.process, request.device, request.body, request.args
    assert device is not None
    assert body is not None
    resource = Resource(device, body)
    args["hResource"] = process.add(resource, device)
    at = 0
    for index, backing in enumerate(body.backings):
        element = args.follow(_list_name(request), index)
        element["hAllocation"] = process.add(Allocation(device, resource, backing), device, resource)
        element["PrivateDriverDataSize"] = len(backing.data)
        if backing.data:
            element["pPrivateDriverData"] = args["pTotalPrivateDriverDataBuffer"] + at
            request.memory.write(args["pTotalPrivateDriverDataBuffer"] + at, backing.data)
            at += len(backing.data)
    args["TotalPrivateDriverDataBufferSize"] = at
    for name, data in (
        ("pPrivateRuntimeData", body.runtime_data),
        ("pResourcePrivateDriverData", body.driver_data),
    ):
        if data:
            request.memory.write(args[name], data)


def open_from_nt_handle(request: ByNtHandle) -> None:
    """The same, and what was shared in one handle with it."""
    open_resource(request)
    mutex = next((each for each in request.holds if isinstance(each, MutexState)), None)
    sync = next((each for each in request.holds if isinstance(each, SyncState)), None)
    process, args = request.process, request.args
    args["hKeyedMutex"] = process.add(KeyedMutex(mutex)) if mutex else 0
    args["hSyncObject"] = process.add(SyncObject(sync), request.device) if sync else 0


class ShareObjects(Request):
    """The objects to share."""

    @cached_property
    def nodes(self) -> list[KernelObject | None]:
        """What the handles lead to."""
        return [self.process.find(each, KernelObject) for each in self.args.numbers("hObjects", self.args["cObjects"])]

    @cached_property
    def attributes(self) -> View | None:
        """The name and what else is asked for."""
        return self.args.follow("pObjectAttributes") if self.args["pObjectAttributes"] else None

    @cached_property
    def name(self) -> str | None:
        """The name that the NT handle's object gets."""
        return object_name(self.attributes)

    @property
    def kinds(self) -> list[type[KernelObject]]:
        """The sorts of the objects, in order."""
        return [type(node) for node in self.nodes if node is not None]


def object_name(attributes: View | None) -> str | None:
    """The name in an OBJECT_ATTRIBUTES, as names are compared; None without."""
    if attributes is None or not attributes["ObjectName"]:
        return None
    pointer = POINTER_SIZE[attributes.layout.abi]
    head = attributes.memory.read(attributes["ObjectName"], 2 * pointer)
    length, buffer = int.from_bytes(head[:2], "little"), int.from_bytes(head[pointer:], "little")
    text = attributes.memory.read(buffer, length & ~1) if length else b""
    return canonical_name(text.decode("utf-16-le", "surrogatepass")) if text else None


SHAREABLE: tuple[list[type[KernelObject]], ...] = ([Resource], [SyncObject], [Resource, KeyedMutex, SyncObject])


def share(request: ShareObjects) -> None:
    """An NT handle that keeps the objects alive. Its object has the name, as long as a handle to it is open."""
    bodies = tuple(body for node in request.nodes if node is not None for body in node.holds)
    type_ = RESOURCE_TYPE if isinstance(bodies[0], ResourceState) else SYNC_TYPE
    item = NtObject(type_, bodies, request.name)
    request.args.write_through("phSharedNtHandle", request.process.open(item, request.args["dwDesiredAccess"]))


class ByName(Request):
    """A call that opens what a name leads to."""

    @cached_property
    def item(self) -> NtObject | None:
        """The object of that name."""
        name = object_name(self.args.follow("pObjAttrib"))
        return None if name is None else self.machine.names.get(name)


def open_by_name(request: ByName) -> None:
    """Another NT handle to the object."""
    assert request.item is not None
    request.args["hNtHandle"] = request.process.open(request.item, request.args["dwDesiredAccess"])


def by_name(type_: str, function: str) -> Behaviour:
    """Opening objects of one type by name."""
    return Behaviour(
        request=ByName,
        rules=(
            invalid("pObjAttrib is NULL", lambda r: not r.args["pObjAttrib"], WINE_TEST, "Windows-verified"),
            ValidationRule(
                "STATUS_OBJECT_NAME_NOT_FOUND",
                "nothing has this name",
                lambda r: r.item is None,
                WINE_TEST,
                "Windows-verified",
            ),
            ValidationRule(
                "STATUS_OBJECT_TYPE_MISMATCH",
                f"what has this name is no {type_}",
                lambda r: r.item.type != type_,
                page(function),
                "assumption",
            ),
            ValidationRule(
                "STATUS_ACCESS_DENIED",
                "no access is asked for",
                lambda r: not r.args["dwDesiredAccess"],
                WINE_TEST,
                "Windows-verified",
            ),
        ),
        effect=open_by_name,
    )


def _exact(size: str, buffer: str, stored: str) -> ValidationRule:
    """The rule for a buffer that has to be as large as what the resource has."""

    def misfits(request: ByGlobal | ByNtHandle) -> bool:
        data = getattr(request.body, stored)
        return request.args[size] != len(data) or bool(data and not request.args[buffer])

    return invalid(f"{size} is not the resource's, or there is no buffer", misfits, WINE_TEST, "Windows-verified")


def _at_least(size: str, buffer: str, stored: str) -> ValidationRule:
    """The rule for a buffer that may be larger, too."""

    def misfits(request: ByGlobal | ByNtHandle) -> bool:
        data = getattr(request.body, stored)
        return request.args[size] < len(data) or bool(data and not request.args[buffer])

    return invalid(f"{size} is less than the resource's, or there is no buffer", misfits, WSL, "Microsoft source")


_RUNTIME_DATA = "PrivateRuntimeDataSize", "pPrivateRuntimeData", "runtime_data"
_DRIVER_DATA = "ResourcePrivateDriverDataSize", "pResourcePrivateDriverData", "driver_data"
EXACT_SIZES = (_exact(*_RUNTIME_DATA), _exact(*_DRIVER_DATA))
LEAST_SIZES = (_at_least(*_RUNTIME_DATA), _at_least(*_DRIVER_DATA))
"""What stands in WSL for the exact sizes."""

_NO_SHARE = invalid(
    "hGlobalShare is no global handle of a resource", lambda r: r.body is None, WINE_TEST, "Windows-verified"
)
_TOO_BIG = ValidationRule(
    "STATUS_INTEGER_OVERFLOW",
    "all private data together do not fit into 32 bits",
    lambda r: total_size(r.body) > 0xFFFFFFFF,
    page("D3DKMTQueryResourceInfo"),
    "documentation",
)
BAD_NT_HANDLE = ValidationRule(
    "STATUS_INVALID_HANDLE", "hNtHandle leads nowhere", lambda r: r.item is None, WINE_TEST, "Windows-verified"
)
LIKE_BAD_NT_HANDLE = replace(BAD_NT_HANDLE, source=LIKE_OTHERS, confidence="assumption")
_NO_RESOURCE = ValidationRule(
    "STATUS_OBJECT_TYPE_MISMATCH",
    "hNtHandle leads to no resource",
    lambda r: r.body is None,
    OTHER_TYPES,
    "assumption",
)
_OPEN_RULES = (
    ValidationRule(
        "STATUS_ACCESS_VIOLATION",
        "the list of allocations is NULL, in a process of 32 bits",
        lambda r: r.abi == "x86" and r.args["NumAllocations"] and not r.args[_list_name(r)],
        WINE_TEST + " (by NT handle)",
        "Windows-verified",
    ),
    invalid("NumAllocations is 0", lambda r: not r.args["NumAllocations"], WINE_TEST, "Windows-verified"),
    invalid(
        "NumAllocations is not the resource's",
        lambda r: r.args["NumAllocations"] != len(r.body.backings),
        WSL,
        "Microsoft source",
    ),
    invalid("the list of allocations is NULL", lambda r: not r.args[_list_name(r)], WINE_TEST, "Windows-verified"),
    *EXACT_SIZES,
    invalid(
        "pTotalPrivateDriverDataBuffer is NULL",
        lambda r: total_size(r.body) and not r.args["pTotalPrivateDriverDataBuffer"],
        WINE_TEST,
        "Windows-verified",
    ),
    ValidationRule(
        "STATUS_NO_MEMORY",
        "TotalPrivateDriverDataBufferSize is too small",
        lambda r: r.args["TotalPrivateDriverDataBufferSize"] < total_size(r.body),
        WINE_TEST + " (by NT handle)",
        "Windows-verified",
    ),
)
_OPEN = Behaviour(request=ByGlobal, rules=(BAD_DEVICE, _NO_SHARE, *_OPEN_RULES), effect=open_resource)

BEHAVIOURS = {
    "D3DKMTQueryResourceInfo": Behaviour(request=ByGlobal, rules=(BAD_DEVICE, _NO_SHARE, _TOO_BIG), effect=query),
    "D3DKMTQueryResourceInfoFromNtHandle": Behaviour(
        request=ByNtHandle, rules=(BAD_DEVICE, LIKE_BAD_NT_HANDLE, _NO_RESOURCE, _TOO_BIG), effect=query
    ),
    "D3DKMTOpenResource": _OPEN,
    "D3DKMTOpenResource2": _OPEN,
    "D3DKMTOpenResourceFromNtHandle": Behaviour(
        request=ByNtHandle,
        rules=(
            BAD_DEVICE,
            LIKE_BAD_NT_HANDLE,
            _NO_RESOURCE,
            *_OPEN_RULES,
            invalid(
                "there is no room for the keyed mutex's runtime data",
                lambda r: r.mutex_data_misfits,
                "as D3DKMTOpenKeyedMutex2 answers in Wine's conformance test",
                "assumption",
            ),
        ),
        effect=open_from_nt_handle,
    ),
    "D3DKMTShareObjects": Behaviour(
        request=ShareObjects,
        rules=(
            invalid(
                "a handle leads to no object of this process",
                lambda r: any(node is None for node in r.nodes),
                WINE_TEST,
                "Windows-verified",
            ),
            invalid(
                "other objects than a resource, a sync object, or a resource, a keyed mutex and a sync object",
                lambda r: r.kinds not in SHAREABLE,
                WINE_TEST,
                "Windows-verified",
            ),
            invalid(
                "an object that was made without NtSecuritySharing",
                lambda r: not all(body.nt for node in r.nodes for body in node.holds),
                WINE_TEST,
                "Windows-verified",
            ),
            ValidationRule(
                "STATUS_OBJECT_NAME_COLLISION",
                "something else has this name",
                lambda r: r.name is not None and r.name in r.machine.names,
                "as the system answers for objects of other types",
                "assumption",
            ),
        ),
        effect=share,
    ),
    "D3DKMTOpenNtHandleFromName": by_name(RESOURCE_TYPE, "D3DKMTOpenNtHandleFromName"),
    "D3DKMTOpenSyncObjectNtHandleFromName": by_name(SYNC_TYPE, "D3DKMTOpenSyncObjectNtHandleFromName"),
}
