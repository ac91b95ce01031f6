"""Sharing by global handle, by NT handle and by name, and the lifetime of shared objects."""

from __future__ import annotations

from typing import Any

import pytest

from tests.simulator.machine import HEAP, MUTEX_DATA, RUNTIME, SENTINEL, Caller, is_global, is_local, new_caller
from tracekmt import codec
from tracekmt.calls import CALLS
from tracekmt.codec import Unreadable
from tracekmt.codec.memory import Arena
from tracekmt.simulator import CallResult

NAME, LOWER = r"\BaseNamedObjects\Tracekmt", r"\BaseNamedObjects\tracekmt"


@pytest.fixture
def caller() -> Caller:
    return new_caller()


def opening(caller: Caller, share: int, **changes: Any) -> dict[str, Any]:
    """Return the inputs of the calls that open a resource. `share` is a global handle or an NT handle."""
    return {
        "hDevice": caller.device,
        **({"hGlobalShare": share} if is_global(share) or share == SENTINEL else {"hNtHandle": share}),
        "pOpenAllocationInfo2": [{"hAllocation": SENTINEL}],
        "pPrivateRuntimeData": b"\xcd" * len(RUNTIME),
        "pTotalPrivateDriverDataBuffer": b"\xcd" * 24,
        "hResource": SENTINEL,
        **changes,
    }


def test_only_what_is_shared_has_a_global_handle(caller: Caller) -> None:
    own, shared = caller.resource(), caller.resource("CreateShared")
    nt = caller.resource("CreateShared", "NtSecuritySharing")
    assert (own["hGlobalShare"], is_global(shared["hGlobalShare"]), nt["hGlobalShare"]) == (0, True, 0)
    for handle in (own["hResource"], shared["hResource"], 0, SENTINEL):
        assert caller.status("QueryResourceInfo", hDevice=caller.device, hGlobalShare=handle) == "INVALID_PARAMETER"
        assert caller.status("OpenResource", hDevice=caller.device, hGlobalShare=handle) == "INVALID_PARAMETER"


@pytest.mark.parametrize("by", ["global", "nt"])
def test_a_query_writes_sizes_and_no_buffer(caller: Caller, by: str) -> None:
    created = caller.resource("CreateShared", *(["NtSecuritySharing"] if by == "nt" else []))
    before = len(caller.simulator.handles)
    if by == "nt":
        name, which = "QueryResourceInfoFromNtHandle", {"hNtHandle": caller.nt_handle(created["hResource"])}
    else:
        name, which = "QueryResourceInfo", {"hGlobalShare": created["hGlobalShare"]}
    sizes = caller.outputs(name, hDevice=caller.device, pPrivateRuntimeData=b"\xcd" * 256, **which)
    assert sizes["PrivateRuntimeDataSize"] == len(RUNTIME)
    assert sizes["pPrivateRuntimeData"] == b"\xcd" * 256
    assert 0 < sizes["TotalPrivateDriverDataSize"] < 0x400
    assert (sizes["ResourcePrivateDriverDataSize"], sizes["NumAllocations"]) == (0, 1)
    assert caller.status(name, hDevice=0, **which) == "INVALID_PARAMETER"
    assert len(caller.simulator.handles) == before


REFUSED = [
    ({"hDevice": 0}, "INVALID_PARAMETER"),
    ({"NumAllocations": 0, "pOpenAllocationInfo2": []}, "INVALID_PARAMETER"),
    ({"pOpenAllocationInfo2": [{}, {}]}, "INVALID_PARAMETER"),
    ({"pOpenAllocationInfo2": None, "NumAllocations": 1}, "INVALID_PARAMETER"),
    ({"pPrivateRuntimeData": bytes(len(RUNTIME) + 1)}, "INVALID_PARAMETER"),
    ({"pPrivateRuntimeData": bytes(len(RUNTIME) - 1)}, "INVALID_PARAMETER"),
    ({"pPrivateRuntimeData": None, "PrivateRuntimeDataSize": len(RUNTIME)}, "INVALID_PARAMETER"),
    ({"pResourcePrivateDriverData": bytes(1)}, "INVALID_PARAMETER"),
    ({"pTotalPrivateDriverDataBuffer": None, "TotalPrivateDriverDataBufferSize": 24}, "INVALID_PARAMETER"),
    ({"pTotalPrivateDriverDataBuffer": bytes(23)}, "NO_MEMORY"),
]


@pytest.mark.parametrize(("changes", "status"), REFUSED, ids=[str(changes)[:60] for changes, _ in REFUSED])
@pytest.mark.parametrize("name", ["OpenResource2", "OpenResourceFromNtHandle"])
def test_opening_refuses(caller: Caller, name: str, changes: dict[str, Any], status: str) -> None:
    nt = name == "OpenResourceFromNtHandle"
    created = caller.resource("CreateShared", *(["NtSecuritySharing"] if nt else []))
    share = caller.nt_handle(created["hResource"]) if nt else created["hGlobalShare"]
    before = len(caller.simulator.handles)
    result = caller(name, opening(caller, share, **changes))
    assert result.status.name == f"STATUS_{status}"
    assert result.outputs["hResource"] == SENTINEL
    assert len(caller.simulator.handles) == before


@pytest.mark.parametrize("name", ["OpenResource", "OpenResource2", "OpenResourceFromNtHandle"])
def test_opening(caller: Caller, name: str) -> None:
    nt, arm = name == "OpenResourceFromNtHandle", "pOpenAllocationInfo" if name == "OpenResource" else ""
    created = caller.resource("CreateShared", *(["NtSecuritySharing"] if nt else []))
    share = caller.nt_handle(created["hResource"]) if nt else created["hGlobalShare"]
    inputs = opening(caller, share, pTotalPrivateDriverDataBuffer=b"\xcd" * 4096)
    element = {"hAllocation": SENTINEL, "pPrivateDriverData": b"\xcd" * 64}
    inputs.pop("pOpenAllocationInfo2")
    inputs[arm or "pOpenAllocationInfo2"] = [element]
    more = {"hKeyedMutex": SENTINEL, "hSyncObject": SENTINEL} if nt else {}
    result = caller(name, {**inputs, **more})
    assert result.status == 0
    opened = result.outputs
    assert opened["hResource"] == created["pAllocationInfo2"][0]["hAllocation"] + 0x40
    (allocation,) = opened[arm or "pOpenAllocationInfo2"]
    assert allocation["hAllocation"] == opened["hResource"] + 0x40
    assert opened["pPrivateRuntimeData"] == RUNTIME
    assert opened["TotalPrivateDriverDataBufferSize"] == allocation["PrivateDriverDataSize"] == 24
    assert opened["pTotalPrivateDriverDataBuffer"][0] != 0xCD
    if nt:
        assert (opened["hKeyedMutex"], opened["hSyncObject"]) == (0, 0)
    assert caller.status("DestroyAllocation", hDevice=caller.device, hResource=opened["hResource"]) == "SUCCESS"
    assert caller.status("DestroyAllocation2", hDevice=caller.device, hResource=created["hResource"]) == "SUCCESS"
    if nt:
        assert caller.status(name, {**inputs, **more}) == "SUCCESS", "the NT handle keeps it alive"
        caller.outputs("NtClose", Handle=share)
        assert caller.status(name, {**inputs, **more}) == "INVALID_HANDLE"
    else:
        assert caller.status(name, inputs) == "INVALID_PARAMETER", "it ended with its last handle"


def test_memory_is_used_while_a_process_has_it_open(caller: Caller) -> None:
    created = caller.resource("CreateShared")
    adapter = caller.simulator.machine.adapters[0]
    other = caller.another_process()
    theirs = other.outputs("OpenResource2", **opening(other, created["hGlobalShare"]))
    assert adapter.shared_memory_used == 0x10000
    caller.outputs("DestroyAllocation2", hDevice=caller.device, hResource=created["hResource"])
    assert adapter.shared_memory_used == 0x10000
    assert other.status("OpenResource2", opening(other, created["hGlobalShare"])) == "SUCCESS"
    assert other.status("DestroyDevice", hDevice=other.device) == "SUCCESS"
    assert (adapter.shared_memory_used, len(caller.simulator.machine.global_handles)) == (0, 0)
    assert theirs


def test_shareable_objects(caller: Caller) -> None:
    own, shared = caller.resource(), caller.resource("CreateShared")
    nt = caller.resource("CreateShared", "NtSecuritySharing")
    sync, plain = caller.sync(1, "Shared", "NtSecuritySharing"), caller.sync(1)
    half = caller.sync(1, "Shared")
    old = caller.outputs("CreateSynchronizationObject", hDevice=caller.device, Info={"Type": 1})["hSyncObject"]
    mutex = caller.outputs("CreateKeyedMutex2", Flags=["NtSecuritySharing"])["hKeyedMutex"]
    one, two = nt["hResource"], nt["pAllocationInfo2"][0]["hAllocation"]
    three = sync["hSyncObject"]
    refused: tuple[list[int], ...] = (
        [old], [plain["hSyncObject"]], [half["hSyncObject"]], [own["hResource"]], [shared["hResource"]], [two], [mutex],
        [half["Info"]["SharedHandle"]], [one, one, one], [one, mutex], [one, three], [mutex, three],
        [one, mutex, three, three], [one, three, mutex], [], [SENTINEL],
    )  # fmt: skip
    for objects in refused:
        assert caller.share_objects(*objects).status.name == "STATUS_INVALID_PARAMETER", objects
    for objects in ([one], [three], [one, mutex, three]):
        caller.nt_handle(*objects)


def test_a_bundle_is_opened_whole(caller: Caller) -> None:
    nt = caller.resource("CreateShared", "NtSecuritySharing")
    sync = caller.sync(1, "Shared", "NtSecuritySharing")["hSyncObject"]
    mutex = caller.outputs("CreateKeyedMutex2", Flags=["NtSecuritySharing"], pPrivateRuntimeData=MUTEX_DATA)
    handle = caller.nt_handle(nt["hResource"], mutex["hKeyedMutex"], sync, name=NAME)
    caller.outputs("DestroyKeyedMutex", hKeyedMutex=mutex["hKeyedMutex"])
    caller.outputs("DestroySynchronizationObject", hSyncObject=sync)
    caller.outputs("DestroyAllocation", hDevice=caller.device, hResource=nt["hResource"])
    opened = caller.outputs(
        "OpenResourceFromNtHandle",
        **opening(caller, handle, pKeyedMutexPrivateRuntimeData=b"\xcd" * len(MUTEX_DATA)),
        hKeyedMutex=SENTINEL,
        hSyncObject=SENTINEL,
    )
    assert all(is_local(opened[name]) for name in ("hResource", "hKeyedMutex", "hSyncObject"))
    assert caller.status("DestroyAllocation", hDevice=caller.device, hResource=opened["hResource"]) == "SUCCESS"
    assert caller.status("DestroyKeyedMutex", hKeyedMutex=opened["hKeyedMutex"]) == "SUCCESS"
    assert caller.status("DestroySynchronizationObject", hSyncObject=opened["hSyncObject"]) == "SUCCESS"


@pytest.mark.parametrize("kind", ["resource", "sync object"])
def test_names(caller: Caller, kind: str) -> None:
    """Names ignore case, and end with the last NT handle. The object lives on and can be shared again."""
    if kind == "resource":
        created = caller.resource("CreateShared", "NtSecuritySharing")["hResource"]
        function, other = "OpenNtHandleFromName", "OpenSyncObjectNtHandleFromName"
    else:
        created = caller.sync(1, "Shared", "NtSecuritySharing")["hSyncObject"]
        function, other = "OpenSyncObjectNtHandleFromName", "OpenNtHandleFromName"

    def by(name: str | None, access: int = 0x20000, function: str = function) -> CallResult:
        attributes = None if name is None else {"ObjectName": name}
        return caller(function, {"pObjAttrib": attributes, "dwDesiredAccess": access})

    handle = caller.nt_handle(created, name=NAME)
    assert by(None).status.name == "STATUS_INVALID_PARAMETER"
    assert by(NAME + "2", 0).status.name == "STATUS_OBJECT_NAME_NOT_FOUND"
    assert by(LOWER, 0).status.name == "STATUS_ACCESS_DENIED"
    assert by(LOWER, function=other).status.name == "STATUS_OBJECT_TYPE_MISMATCH"
    assert caller.share_objects(created, name=LOWER).status.name == "STATUS_OBJECT_NAME_COLLISION"
    second = by(LOWER).outputs["hNtHandle"]
    assert second not in (0, handle)
    caller.outputs("NtClose", Handle=handle)
    assert by(NAME).status == 0
    for open_handle in list(caller.simulator.nt_handles.entries):
        caller.outputs("NtClose", Handle=open_handle)
    assert by(NAME).status.name == "STATUS_OBJECT_NAME_NOT_FOUND"
    caller.nt_handle(created, name=NAME)
    assert by(NAME).status == 0


def test_handles_of_other_types(caller: Caller) -> None:
    resource = caller.nt_handle(caller.resource("CreateShared", "NtSecuritySharing")["hResource"])
    sync = caller.nt_handle(caller.sync(1, "Shared", "NtSecuritySharing")["hSyncObject"])
    event = caller.outputs("NtCreateEvent", EventType=0)["EventHandle"]
    for handle in (sync, event):
        refused = caller("OpenResourceFromNtHandle", opening(caller, handle))
        assert refused.status.name == "STATUS_OBJECT_TYPE_MISMATCH"
    for handle in (resource, event):
        assert caller.status("OpenSyncObjectFromNtHandle", hNtHandle=handle) == "OBJECT_TYPE_MISMATCH"


def test_a_process_that_ends_leaves_nothing(caller: Caller) -> None:
    created = caller.resource("CreateShared", "NtSecuritySharing")
    handle = caller.nt_handle(created["hResource"], name=NAME)
    other = caller.another_process()
    theirs = other.outputs("OpenNtHandleFromName", pObjAttrib={"ObjectName": LOWER}, dwDesiredAccess=1)["hNtHandle"]
    opened = other.outputs("OpenResourceFromNtHandle", **opening(other, theirs))
    caller.outputs("NtClose", Handle=handle)
    caller.outputs("DestroyDevice", hDevice=caller.device)
    machine = caller.simulator.machine
    assert machine.adapters[0].shared_memory_used == 0x10000
    other.simulator.exit()
    assert (machine.adapters[0].shared_memory_used, machine.system_memory_used, machine.named_objects) == (0, 0, {})
    assert opened


def test_global_handles_are_never_local_ones(caller: Caller) -> None:
    """Global handles have their own space. They differ from local handles in the low bits only."""
    created = [caller.outputs("CreateKeyedMutex2") for _ in range(4)]
    shares = [outputs["hSharedHandle"] for outputs in created] + [caller.resource("CreateShared")["hGlobalShare"]]
    before = len(caller.simulator.handles)
    for share in shares:
        assert is_global(share)
        assert caller.status("DestroyKeyedMutex", hKeyedMutex=share) == "INVALID_PARAMETER"
        assert caller.status("DestroySynchronizationObject", hSyncObject=share) == "INVALID_PARAMETER"
        assert caller.status("CloseAdapter", hAdapter=share) == "INVALID_PARAMETER"
        assert caller.status("DestroyAllocation2", hDevice=caller.device, hResource=share) == "INVALID_PARAMETER"
        listed = {"hDevice": caller.device, "phAllocationList": [share]}
        assert caller.status("DestroyAllocation2", listed) == "INVALID_PARAMETER"
        assert caller.share_objects(share).status.name == "STATUS_INVALID_PARAMETER"
    assert len(caller.simulator.handles) == before


def test_allocations_without_private_data_are_opened(caller: Caller) -> None:
    created = caller.outputs(
        "CreateAllocation2",
        hDevice=caller.device,
        pAllocationInfo2=[{}],
        Flags=["CreateResource", "CreateShared"],
    )
    opened = caller.outputs(
        "OpenResource2", hDevice=caller.device, hGlobalShare=created["hGlobalShare"], pOpenAllocationInfo2=[{}]
    )
    assert is_local(opened["pOpenAllocationInfo2"][0]["hAllocation"])


UNREADABLE = Unreadable(0x1234000)


@pytest.mark.parametrize(
    "changes",
    [
        {"pOpenAllocationInfo2": UNREADABLE, "NumAllocations": 1},
        {"pPrivateRuntimeData": UNREADABLE, "PrivateRuntimeDataSize": len(RUNTIME)},
        {"pTotalPrivateDriverDataBuffer": UNREADABLE, "TotalPrivateDriverDataBufferSize": 24},
    ],
)
def test_a_call_that_cannot_write_its_outputs_creates_nothing(caller: Caller, changes: dict[str, Any]) -> None:
    share = caller.resource("CreateShared")["hGlobalShare"]
    before = len(caller.simulator.handles)
    assert caller.status("OpenResource2", opening(caller, share, **changes)) == "INVALID_PARAMETER"
    assert len(caller.simulator.handles) == before
    following = caller.outputs("OpenResource2", **opening(caller, share))["hResource"]
    assert following == caller.device + 0x40 * 3, "no handle was consumed"


@pytest.mark.parametrize("unwritable", [None, UNREADABLE])
def test_nt_handles_that_cannot_be_written_are_closed(caller: Caller, unwritable: Any) -> None:
    sync = caller.sync(1, "Shared", "NtSecuritySharing")["hSyncObject"]
    inputs = {"hObjects": [sync], "pObjectAttributes": {"ObjectName": NAME}, "phSharedNtHandle": unwritable}
    assert caller.status("ShareObjects", inputs) == "INVALID_PARAMETER"
    assert caller.status("NtCreateEvent", EventHandle=unwritable) == "INVALID_PARAMETER"
    assert (
        caller.status("NtOpenProcess", ProcessHandle=unwritable, ClientId={"UniqueProcess": 4}) == "INVALID_PARAMETER"
    )
    assert caller.simulator.nt_handles.entries == {}
    caller.nt_handle(sync, name=NAME)


def test_standard_allocations_on_sections(caller: Caller) -> None:
    section = caller.outputs("NtCreateSection", MaximumSize=65536)["SectionHandle"]
    event = caller.outputs("NtCreateEvent")["EventHandle"]

    def create(handle: int, name: str = "CreateAllocation2") -> str:
        inputs = {"hDevice": caller.device, "pStandardAllocation": HEAP, "pAllocationInfo2": [{"hSection": handle}]}
        return caller.status(name, {**inputs, "Flags": ["StandardAllocation", "ExistingSection"]})

    assert create(section) == "SUCCESS"
    assert create(event) == "OBJECT_TYPE_MISMATCH"
    assert create(0xDEADBEEF) == "INVALID_HANDLE"
    caller.outputs("NtClose", Handle=section)
    assert create(section) == "INVALID_HANDLE"
    assert create(0) == "INVALID_HANDLE"


def test_a_resource_is_shared_by_nt_handles_only_if_it_is_shared(caller: Caller) -> None:
    flags = ["CreateResource", "NtSecuritySharing"]
    inputs = {"hDevice": caller.device, "pAllocationInfo2": [{}], "Flags": flags}
    assert caller.status("CreateAllocation2", inputs) == "INVALID_PARAMETER"


def test_names_belong_to_one_object(caller: Caller) -> None:
    caller.nt_handle(caller.sync(1, "Shared", "NtSecuritySharing")["hSyncObject"], name=NAME)
    assert caller.status("NtCreateEvent", ObjectAttributes={"ObjectName": LOWER}) == "OBJECT_TYPE_MISMATCH"
    other = {"ObjectName": NAME + "Event"}
    first = caller.outputs("NtCreateEvent", ObjectAttributes=other)["EventHandle"]
    assert caller.status("NtCreateEvent", ObjectAttributes=other) == "OBJECT_NAME_COLLISION"
    again = caller.outputs("NtCreateEvent", ObjectAttributes={**other, "Attributes": 0x80})["EventHandle"]
    assert caller.simulator.nt_handles.get(again) is caller.simulator.nt_handles.get(first)


def test_a_null_list_is_an_access_violation_in_a_32_bit_process(caller: Caller) -> None:
    handle = caller.nt_handle(caller.resource("CreateShared", "NtSecuritySharing")["hResource"])
    arena = Arena("x86", 1)
    call = CALLS["D3DKMTOpenResourceFromNtHandle"]
    inputs = {**opening(caller, handle), "pOpenAllocationInfo2": None, "NumAllocations": 1}
    arguments = codec.encode(call, "x86", arena, inputs)
    rule = caller.simulator.invoke(call, "x86", arena, arguments).rule
    assert rule is not None
    assert rule.status == "STATUS_ACCESS_VIOLATION"


def test_an_adopted_object_outlives_a_failed_call(caller: Caller) -> None:
    """A trace that starts in the middle adopts objects before the call that uses them, and that call may fail."""
    share = caller.resource("CreateShared")["hGlobalShare"]
    device = caller.simulator.adopt("device")
    refused = opening(caller, share, hDevice=device, pOpenAllocationInfo2=UNREADABLE, NumAllocations=1)
    assert caller.status("OpenResource2", refused) == "INVALID_PARAMETER"
    assert caller.status("DestroyDevice", hDevice=device) == "SUCCESS"
