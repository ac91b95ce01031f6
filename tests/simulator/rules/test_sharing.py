"""Resources by global handle, by NT handle and by name: who can open what, and what keeps it alive."""

from __future__ import annotations

from typing import Any

import pytest

from tests.simulator.machine import HEAP, MUTEX_DATA, RUNTIME, SENTINEL, Played, is_global, is_local, play
from tracekmt import codec
from tracekmt.calls import CALLS
from tracekmt.codec import Unreadable
from tracekmt.codec.memory import Arena
from tracekmt.simulator import CallResult

NAME, LOWER = r"\BaseNamedObjects\Tracekmt", r"\BaseNamedObjects\tracekmt"


@pytest.fixture
def played() -> Played:
    return play()


def opening(played: Played, share: int, **changes: Any) -> dict[str, Any]:
    """What OpenResource2 and its kin are given; `share` is a global handle, or an NT handle below them."""
    return {
        "hDevice": played.device,
        **({"hGlobalShare": share} if is_global(share) or share == SENTINEL else {"hNtHandle": share}),
        "pOpenAllocationInfo2": [{"hAllocation": SENTINEL}],
        "pPrivateRuntimeData": b"\xcd" * len(RUNTIME),
        "pTotalPrivateDriverDataBuffer": b"\xcd" * 24,
        "hResource": SENTINEL,
        **changes,
    }


def test_only_what_is_shared_has_a_global_handle(played: Played) -> None:
    own, shared = played.resource(), played.resource("CreateShared")
    nt = played.resource("CreateShared", "NtSecuritySharing")
    assert (own["hGlobalShare"], is_global(shared["hGlobalShare"]), nt["hGlobalShare"]) == (0, True, 0)
    for handle in (own["hResource"], shared["hResource"], 0, SENTINEL):
        assert played.status("QueryResourceInfo", hDevice=played.device, hGlobalShare=handle) == "INVALID_PARAMETER"
        assert played.status("OpenResource", hDevice=played.device, hGlobalShare=handle) == "INVALID_PARAMETER"


@pytest.mark.parametrize("by", ["global", "nt"])
def test_asking_fills_sizes_and_no_buffer(played: Played, by: str) -> None:
    made = played.resource("CreateShared", *(["NtSecuritySharing"] if by == "nt" else []))
    before = len(played.simulator.handles)
    if by == "nt":
        name, which = "QueryResourceInfoFromNtHandle", {"hNtHandle": played.shared(made["hResource"])}
    else:
        name, which = "QueryResourceInfo", {"hGlobalShare": made["hGlobalShare"]}
    told = played.made(name, hDevice=played.device, pPrivateRuntimeData=b"\xcd" * 256, **which)
    assert told["PrivateRuntimeDataSize"] == len(RUNTIME)
    assert told["pPrivateRuntimeData"] == b"\xcd" * 256
    assert 0 < told["TotalPrivateDriverDataSize"] < 0x400
    assert (told["ResourcePrivateDriverDataSize"], told["NumAllocations"]) == (0, 1)
    assert played.status(name, hDevice=0, **which) == "INVALID_PARAMETER"
    assert len(played.simulator.handles) == before


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
def test_opening_refuses(played: Played, name: str, changes: dict[str, Any], status: str) -> None:
    nt = name == "OpenResourceFromNtHandle"
    made = played.resource("CreateShared", *(["NtSecuritySharing"] if nt else []))
    share = played.shared(made["hResource"]) if nt else made["hGlobalShare"]
    before = len(played.simulator.handles)
    outcome = played(name, opening(played, share, **changes))
    assert outcome.status.name == f"STATUS_{status}"
    assert outcome.outputs["hResource"] == SENTINEL
    assert len(played.simulator.handles) == before


@pytest.mark.parametrize("name", ["OpenResource", "OpenResource2", "OpenResourceFromNtHandle"])
def test_opening(played: Played, name: str) -> None:
    nt, arm = name == "OpenResourceFromNtHandle", "pOpenAllocationInfo" if name == "OpenResource" else ""
    made = played.resource("CreateShared", *(["NtSecuritySharing"] if nt else []))
    share = played.shared(made["hResource"]) if nt else made["hGlobalShare"]
    inputs = opening(played, share, pTotalPrivateDriverDataBuffer=b"\xcd" * 4096)
    element = {"hAllocation": SENTINEL, "pPrivateDriverData": b"\xcd" * 64}
    inputs.pop("pOpenAllocationInfo2")
    inputs[arm or "pOpenAllocationInfo2"] = [element]
    more = {"hKeyedMutex": SENTINEL, "hSyncObject": SENTINEL} if nt else {}
    outcome = played(name, {**inputs, **more})
    assert outcome.status == 0
    opened = outcome.outputs
    assert opened["hResource"] == made["pAllocationInfo2"][0]["hAllocation"] + 0x40
    (allocation,) = opened[arm or "pOpenAllocationInfo2"]
    assert allocation["hAllocation"] == opened["hResource"] + 0x40
    assert opened["pPrivateRuntimeData"] == RUNTIME
    assert opened["TotalPrivateDriverDataBufferSize"] == allocation["PrivateDriverDataSize"] == 24
    assert opened["pTotalPrivateDriverDataBuffer"][0] != 0xCD
    if nt:
        assert (opened["hKeyedMutex"], opened["hSyncObject"]) == (0, 0)
    assert played.status("DestroyAllocation", hDevice=played.device, hResource=opened["hResource"]) == "SUCCESS"
    assert played.status("DestroyAllocation2", hDevice=played.device, hResource=made["hResource"]) == "SUCCESS"
    if nt:
        assert played.status(name, {**inputs, **more}) == "SUCCESS", "the NT handle keeps it alive"
        played.made("NtClose", Handle=share)
        assert played.status(name, {**inputs, **more}) == "INVALID_HANDLE"
    else:
        assert played.status(name, inputs) == "INVALID_PARAMETER", "it ended with its last handle"


def test_memory_belongs_to_all_who_opened_it(played: Played) -> None:
    made = played.resource("CreateShared")
    adapter = played.simulator.machine.adapters[0]
    other = played.another()
    theirs = other.made("OpenResource2", **opening(other, made["hGlobalShare"]))
    assert adapter.shared_memory_used == 0x10000
    played.made("DestroyAllocation2", hDevice=played.device, hResource=made["hResource"])
    assert adapter.shared_memory_used == 0x10000
    assert other.status("OpenResource2", opening(other, made["hGlobalShare"])) == "SUCCESS"
    assert other.status("DestroyDevice", hDevice=other.device) == "SUCCESS"
    assert (adapter.shared_memory_used, len(played.simulator.machine.shares)) == (0, 0)
    assert theirs


def test_what_can_be_shared(played: Played) -> None:
    own, shared = played.resource(), played.resource("CreateShared")
    nt = played.resource("CreateShared", "NtSecuritySharing")
    sync, plain = played.sync(1, "Shared", "NtSecuritySharing"), played.sync(1)
    half = played.sync(1, "Shared")
    old = played.made("CreateSynchronizationObject", hDevice=played.device, Info={"Type": 1})["hSyncObject"]
    mutex = played.made("CreateKeyedMutex2", Flags=["NtSecuritySharing"])["hKeyedMutex"]
    one, two = nt["hResource"], nt["pAllocationInfo2"][0]["hAllocation"]
    three = sync["hSyncObject"]
    refused: tuple[list[int], ...] = (
        [old], [plain["hSyncObject"]], [half["hSyncObject"]], [own["hResource"]], [shared["hResource"]], [two], [mutex],
        [half["Info"]["SharedHandle"]], [one, one, one], [one, mutex], [one, three], [mutex, three],
        [one, mutex, three, three], [one, three, mutex], [], [SENTINEL],
    )  # fmt: skip
    for objects in refused:
        assert played.share(*objects).status.name == "STATUS_INVALID_PARAMETER", objects
    for objects in ([one], [three], [one, mutex, three]):
        played.shared(*objects)


def test_a_bundle_is_opened_whole(played: Played) -> None:
    nt = played.resource("CreateShared", "NtSecuritySharing")
    sync = played.sync(1, "Shared", "NtSecuritySharing")["hSyncObject"]
    mutex = played.made("CreateKeyedMutex2", Flags=["NtSecuritySharing"], pPrivateRuntimeData=MUTEX_DATA)
    handle = played.shared(nt["hResource"], mutex["hKeyedMutex"], sync, name=NAME)
    played.made("DestroyKeyedMutex", hKeyedMutex=mutex["hKeyedMutex"])
    played.made("DestroySynchronizationObject", hSyncObject=sync)
    played.made("DestroyAllocation", hDevice=played.device, hResource=nt["hResource"])
    opened = played.made(
        "OpenResourceFromNtHandle",
        **opening(played, handle, pKeyedMutexPrivateRuntimeData=b"\xcd" * len(MUTEX_DATA)),
        hKeyedMutex=SENTINEL,
        hSyncObject=SENTINEL,
    )
    assert all(is_local(opened[name]) for name in ("hResource", "hKeyedMutex", "hSyncObject"))
    assert played.status("DestroyAllocation", hDevice=played.device, hResource=opened["hResource"]) == "SUCCESS"
    assert played.status("DestroyKeyedMutex", hKeyedMutex=opened["hKeyedMutex"]) == "SUCCESS"
    assert played.status("DestroySynchronizationObject", hSyncObject=opened["hSyncObject"]) == "SUCCESS"


@pytest.mark.parametrize("what", ["resource", "sync object"])
def test_names(played: Played, what: str) -> None:
    """Without regard to case; gone with the last NT handle, while the object lives on and can be shared again."""
    if what == "resource":
        made = played.resource("CreateShared", "NtSecuritySharing")["hResource"]
        function, other = "OpenNtHandleFromName", "OpenSyncObjectNtHandleFromName"
    else:
        made = played.sync(1, "Shared", "NtSecuritySharing")["hSyncObject"]
        function, other = "OpenSyncObjectNtHandleFromName", "OpenNtHandleFromName"

    def by(name: str | None, access: int = 0x20000, function: str = function) -> CallResult:
        attributes = None if name is None else {"ObjectName": name}
        return played(function, {"pObjAttrib": attributes, "dwDesiredAccess": access})

    handle = played.shared(made, name=NAME)
    assert by(None).status.name == "STATUS_INVALID_PARAMETER"
    assert by(NAME + "2", 0).status.name == "STATUS_OBJECT_NAME_NOT_FOUND"
    assert by(LOWER, 0).status.name == "STATUS_ACCESS_DENIED"
    assert by(LOWER, function=other).status.name == "STATUS_OBJECT_TYPE_MISMATCH"
    assert played.share(made, name=LOWER).status.name == "STATUS_OBJECT_NAME_COLLISION"
    second = by(LOWER).outputs["hNtHandle"]
    assert second not in (0, handle)
    played.made("NtClose", Handle=handle)
    assert by(NAME).status == 0
    for each in list(played.simulator.nt.handles):
        played.made("NtClose", Handle=each)
    assert by(NAME).status.name == "STATUS_OBJECT_NAME_NOT_FOUND"
    played.shared(made, name=NAME)
    assert by(NAME).status == 0


def test_handles_of_other_types(played: Played) -> None:
    resource = played.shared(played.resource("CreateShared", "NtSecuritySharing")["hResource"])
    sync = played.shared(played.sync(1, "Shared", "NtSecuritySharing")["hSyncObject"])
    event = played.made("NtCreateEvent", EventType=0)["EventHandle"]
    for handle in (sync, event):
        refused = played("OpenResourceFromNtHandle", opening(played, handle))
        assert refused.status.name == "STATUS_OBJECT_TYPE_MISMATCH"
    for handle in (resource, event):
        assert played.status("OpenSyncObjectFromNtHandle", hNtHandle=handle) == "OBJECT_TYPE_MISMATCH"


def test_a_process_that_ends_leaves_nothing(played: Played) -> None:
    made = played.resource("CreateShared", "NtSecuritySharing")
    handle = played.shared(made["hResource"], name=NAME)
    other = played.another()
    theirs = other.made("OpenNtHandleFromName", pObjAttrib={"ObjectName": LOWER}, dwDesiredAccess=1)["hNtHandle"]
    opened = other.made("OpenResourceFromNtHandle", **opening(other, theirs))
    played.made("NtClose", Handle=handle)
    played.made("DestroyDevice", hDevice=played.device)
    machine = played.simulator.machine
    assert machine.adapters[0].shared_memory_used == 0x10000
    other.simulator.exit()
    assert (machine.adapters[0].shared_memory_used, machine.system_memory_used, machine.names) == (0, 0, {})
    assert opened


def test_global_handles_are_never_local_ones(played: Played) -> None:
    """They count in a space of their own, in which numbers lie so near to local ones that only the low bits differ."""
    made = [played.made("CreateKeyedMutex2") for _ in range(4)]
    shares = [each["hSharedHandle"] for each in made] + [played.resource("CreateShared")["hGlobalShare"]]
    before = len(played.simulator.handles)
    for share in shares:
        assert is_global(share)
        assert played.status("DestroyKeyedMutex", hKeyedMutex=share) == "INVALID_PARAMETER"
        assert played.status("DestroySynchronizationObject", hSyncObject=share) == "INVALID_PARAMETER"
        assert played.status("CloseAdapter", hAdapter=share) == "INVALID_PARAMETER"
        assert played.status("DestroyAllocation2", hDevice=played.device, hResource=share) == "INVALID_PARAMETER"
        listed = {"hDevice": played.device, "phAllocationList": [share]}
        assert played.status("DestroyAllocation2", listed) == "INVALID_PARAMETER"
        assert played.share(share).status.name == "STATUS_INVALID_PARAMETER"
    assert len(played.simulator.handles) == before


def test_allocations_without_private_data_are_opened(played: Played) -> None:
    made = played.made(
        "CreateAllocation2",
        hDevice=played.device,
        pAllocationInfo2=[{}],
        Flags=["CreateResource", "CreateShared"],
    )
    opened = played.made(
        "OpenResource2", hDevice=played.device, hGlobalShare=made["hGlobalShare"], pOpenAllocationInfo2=[{}]
    )
    assert is_local(opened["pOpenAllocationInfo2"][0]["hAllocation"])


NOWHERE = Unreadable(0x1234000)


@pytest.mark.parametrize(
    "changes",
    [
        {"pOpenAllocationInfo2": NOWHERE, "NumAllocations": 1},
        {"pPrivateRuntimeData": NOWHERE, "PrivateRuntimeDataSize": len(RUNTIME)},
        {"pTotalPrivateDriverDataBuffer": NOWHERE, "TotalPrivateDriverDataBufferSize": 24},
    ],
)
def test_what_cannot_be_handed_over_has_not_been_made(played: Played, changes: dict[str, Any]) -> None:
    share = played.resource("CreateShared")["hGlobalShare"]
    before = len(played.simulator.handles)
    assert played.status("OpenResource2", opening(played, share, **changes)) == "INVALID_PARAMETER"
    assert len(played.simulator.handles) == before
    following = played.made("OpenResource2", **opening(played, share))["hResource"]
    assert following == played.device + 0x40 * 3, "no handle was consumed"


@pytest.mark.parametrize("nowhere", [None, NOWHERE])
def test_nt_handles_that_nobody_got_are_not_open(played: Played, nowhere: Any) -> None:
    sync = played.sync(1, "Shared", "NtSecuritySharing")["hSyncObject"]
    inputs = {"hObjects": [sync], "pObjectAttributes": {"ObjectName": NAME}, "phSharedNtHandle": nowhere}
    assert played.status("ShareObjects", inputs) == "INVALID_PARAMETER"
    assert played.status("NtCreateEvent", EventHandle=nowhere) == "INVALID_PARAMETER"
    assert played.status("NtOpenProcess", ProcessHandle=nowhere, ClientId={"UniqueProcess": 4}) == "INVALID_PARAMETER"
    assert played.simulator.nt.handles == {}
    played.shared(sync, name=NAME)


def test_standard_allocations_on_sections(played: Played) -> None:
    section = played.made("NtCreateSection", MaximumSize=65536)["SectionHandle"]
    event = played.made("NtCreateEvent")["EventHandle"]

    def create(handle: int, name: str = "CreateAllocation2") -> str:
        inputs = {"hDevice": played.device, "pStandardAllocation": HEAP, "pAllocationInfo2": [{"hSection": handle}]}
        return played.status(name, {**inputs, "Flags": ["StandardAllocation", "ExistingSection"]})

    assert create(section) == "SUCCESS"
    assert create(event) == "OBJECT_TYPE_MISMATCH"
    assert create(0xDEADBEEF) == "INVALID_HANDLE"
    played.made("NtClose", Handle=section)
    assert create(section) == "INVALID_HANDLE"
    assert create(0) == "INVALID_HANDLE"


def test_a_resource_is_shared_by_nt_handles_only_if_it_is_shared(played: Played) -> None:
    flags = ["CreateResource", "NtSecuritySharing"]
    inputs = {"hDevice": played.device, "pAllocationInfo2": [{}], "Flags": flags}
    assert played.status("CreateAllocation2", inputs) == "INVALID_PARAMETER"


def test_names_belong_to_one_object(played: Played) -> None:
    played.shared(played.sync(1, "Shared", "NtSecuritySharing")["hSyncObject"], name=NAME)
    assert played.status("NtCreateEvent", ObjectAttributes={"ObjectName": LOWER}) == "OBJECT_TYPE_MISMATCH"
    other = {"ObjectName": NAME + "Event"}
    first = played.made("NtCreateEvent", ObjectAttributes=other)["EventHandle"]
    assert played.status("NtCreateEvent", ObjectAttributes=other) == "OBJECT_NAME_COLLISION"
    again = played.made("NtCreateEvent", ObjectAttributes={**other, "Attributes": 0x80})["EventHandle"]
    assert played.simulator.nt.get(again) is played.simulator.nt.get(first)


def test_a_list_that_is_null_crashes_a_process_of_32_bits(played: Played) -> None:
    handle = played.shared(played.resource("CreateShared", "NtSecuritySharing")["hResource"])
    arena = Arena("x86", 1)
    call = CALLS["D3DKMTOpenResourceFromNtHandle"]
    inputs = {**opening(played, handle), "pOpenAllocationInfo2": None, "NumAllocations": 1}
    arguments = codec.encode(call, "x86", arena, inputs)
    rule = played.simulator.invoke(call.name, "x86", arena, arguments).rule
    assert rule is not None
    assert rule.status == "STATUS_ACCESS_VIOLATION"


def test_what_was_adopted_for_a_call_stays_when_the_call_fails(played: Played) -> None:
    """A trace that begins in the middle gets objects before the call that names them, and that may fail."""
    share = played.resource("CreateShared")["hGlobalShare"]
    device = played.simulator.adopt("device")
    refused = opening(played, share, hDevice=device, pOpenAllocationInfo2=NOWHERE, NumAllocations=1)
    assert played.status("OpenResource2", refused) == "INVALID_PARAMETER"
    assert played.status("DestroyDevice", hDevice=device) == "SUCCESS"
