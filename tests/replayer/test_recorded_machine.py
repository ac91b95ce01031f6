"""Replays on the machine of the recording: what only that machine knows is taken, everything else is judged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tracekmt
from tests.replayer.overlap import overlap_call
from tests.replayer.recording import (
    ADAPTER,
    ALLOCATION,
    DEVICE,
    GLOBAL,
    LUID,
    NT,
    OPENED,
    OTHER_DEVICE,
    OTHER_LUID,
    QUEUE,
    RESOURCE,
    SYNC,
    allocation,
    device,
    opened,
    reason,
    replay,
    taken,
)
from tracekmt.findings import Finding
from tracekmt.report.text import report_lines
from tracekmt.simulator import BEHAVIOURS
from tracekmt.simulator.recorded_state import BUSY_REASON, LOST_REASON, MEMORY_REASON, PRESENT_REASON
from tracekmt.simulator.rules.keyed_mutex import MUTEX_REASON
from tracekmt.simulator.rules.sharing import NAME_REASON
from tracekmt.simulator.rules.sync import FENCE_REASON

FIELD = Path(__file__).parent.parent / "data" / "field"
Add = Callable[..., None]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "t.kmt"


@pytest.mark.parametrize("profile", ["windows", "wsl"])
def test_a_client_of_wsl(profile: str) -> None:
    assert tracekmt.replay(FIELD / "wsl-client.kmt", profile=profile).same


@pytest.mark.parametrize("name", ["opened-elsewhere", "attached-in-the-middle", "device-removed"])
def test_a_recording_of_an_unchanged_machine(name: str) -> None:
    assert tracekmt.replay(FIELD / f"{name}.kmt").same


def test_every_changed_status_that_can_be_judged_is_a_difference(tmp_path: Path) -> None:
    """In each recording, one call at a time gets a failure that no state of the machine explains."""
    changed = 0
    for source in FIELD.glob("*.kmt"):
        with tracekmt.open(source) as trace:
            calls = list(trace.calls())
        not_judged = {finding.index for finding in tracekmt.replay(source).findings}
        for chosen in calls:
            is_driver = chosen.name == "D3DKMTCreateAllocation2"
            is_unborn = (source.stem, chosen.index) == ("opened-elsewhere", 11)
            is_unborn |= source.stem == "attached-in-the-middle"
            if chosen.index in not_judged or is_driver or is_unborn or not BEHAVIOURS[chosen.name].modelled:
                continue
            path = tmp_path / f"{source.stem}-{chosen.index}.kmt"
            with tracekmt.create(path) as trace:
                for call in calls:
                    status = "STATUS_OBJECT_PATH_INVALID" if call is chosen else call.status
                    assert isinstance(call.inputs, dict)
                    assert isinstance(call.outputs, dict)
                    trace.add(call.name, call.inputs, call.outputs, status)
            assert not tracekmt.replay(path).same, (source, chosen.index)
            changed += 1
    assert changed == 10


def test_500_calls_on_allocations_older_than_the_trace(path: Path) -> None:
    handles = [OPENED + 0x40 * n for n in range(500)]
    resident = [("MakeResident", {"hPagingQueue": QUEUE, "AllocationList": [handle]}) for handle in handles]
    evict = [("Evict", {"hDevice": DEVICE, "AllocationList": [handle]}) for handle in handles]
    report = replay(path, *resident, *evict)
    assert report.findings == []
    assert report.calls.compared == 1000


def test_an_allocation_without_a_named_owner_joins_the_first_device_that_a_call_names(path: Path) -> None:
    report = replay(
        path,
        ("MakeResident", {"hPagingQueue": QUEUE, "AllocationList": [ALLOCATION]}),
        opened(),
        device(OTHER_DEVICE),
        ("DestroyAllocation2", {"hDevice": OTHER_DEVICE, "phAllocationList": [ALLOCATION]}),
        ("DestroyAllocation2", {"hDevice": OTHER_DEVICE, "phAllocationList": [ALLOCATION]}, None, 0),
    )
    # The first destroys it. The second is a use after the destruction.
    (finding,) = report.findings
    assert (finding.index, finding.replayed) == (4, "STATUS_INVALID_PARAMETER")


def test_what_a_taken_call_opens_can_be_used_and_destroyed(path: Path) -> None:
    query = {"hDevice": DEVICE, "hNtHandle": NT}
    destroy = ("DestroyAllocation2", {"hDevice": DEVICE, "hResource": RESOURCE})
    report = replay(
        path,
        opened(),
        device(),
        ("QueryResourceInfoFromNtHandle", query, {"NumAllocations": 1}),
        (
            "OpenResourceFromNtHandle",
            {**query, "NumAllocations": 1, "pOpenAllocationInfo2": [{}]},
            {"hResource": RESOURCE, "pOpenAllocationInfo2": [{"hAllocation": ALLOCATION}]},
        ),
        lock(),
        destroy,
        (*destroy, None, "STATUS_INVALID_PARAMETER"),
    )
    assert taken(report) == [(2, reason("hNtHandle")), (3, reason("hNtHandle"))]
    assert report.calls.compared == 5


def test_an_object_that_a_taken_call_opened_has_an_unknown_state(path: Path) -> None:
    """The name, the handle that it opens, and the resource behind that handle come from another process."""
    named = {"dwDesiredAccess": 1, "pObjAttrib": {"ObjectName": "elsewhere"}}
    query = {"hDevice": DEVICE, "hNtHandle": NT}
    report = replay(
        path,
        opened(),
        device(),
        ("OpenNtHandleFromName", named, {"hNtHandle": NT}),
        ("QueryResourceInfoFromNtHandle", query, {"NumAllocations": 3}),
        ("NtClose", {"Handle": NT}),
    )
    assert taken(report) == [(2, NAME_REASON), (3, reason("hNtHandle"))]


def test_an_nt_handle_that_an_unrecorded_call_closed(path: Path) -> None:
    """CloseHandle is not recorded, so the number of a closed handle comes back without a recorded call."""
    event: tuple[Any, ...] = ("NtCreateEvent", {}, {"EventHandle": NT})
    assert replay(path, event, event, ("NtClose", {"Handle": NT})).findings == []


def test_1500_failing_opens_of_an_unknown_nt_handle(path: Path) -> None:
    failed = ("OpenSyncObjectFromNtHandle", {"hNtHandle": NT}, None, "STATUS_INVALID_HANDLE")
    report = replay(path, *[failed] * 1500)
    assert taken(report) == [(index, reason("hNtHandle")) for index in range(1500)]


def test_a_shared_object_that_its_creator_destroyed_may_live_on_elsewhere(path: Path) -> None:
    create = ("CreateKeyedMutex", {"InitialValue": 0}, {"hSharedHandle": GLOBAL, "hKeyedMutex": SYNC})
    open_again = ("OpenKeyedMutex", {"hSharedHandle": GLOBAL}, {"hKeyedMutex": OPENED})
    report = replay(path, create, ("DestroyKeyedMutex", {"hKeyedMutex": SYNC}), open_again)
    assert taken(report) == [(2, reason("hSharedHandle"))]


def test_a_shared_object_of_the_trace_is_judged(path: Path) -> None:
    create = ("CreateKeyedMutex", {"InitialValue": 0}, {"hSharedHandle": GLOBAL, "hKeyedMutex": SYNC})
    failed = ("OpenKeyedMutex", {"hSharedHandle": GLOBAL}, None, "STATUS_INVALID_PARAMETER")
    assert not replay(path, create, failed).same


def test_names_that_another_process_made(path: Path) -> None:
    named = {"dwDesiredAccess": 1, "pObjAttrib": {"ObjectName": "elsewhere"}}
    event = {"EventHandle": 1, "ObjectAttributes": {"ObjectName": "taken"}}
    report = replay(
        path,
        ("OpenNtHandleFromName", named, {"hNtHandle": NT}),
        ("NtCreateEvent", event, None, "STATUS_OBJECT_NAME_COLLISION"),
        ("OpenNtHandleFromName", named, None, "STATUS_OBJECT_NAME_NOT_FOUND"),
    )
    assert taken(report) == [(0, NAME_REASON), (1, NAME_REASON)]


@pytest.mark.parametrize(
    ("status", "why", "setting"),
    [
        ("STATUS_GRAPHICS_NO_VIDEO_MEMORY", MEMORY_REASON, {"video_memory": "64GB"}),
        ("STATUS_NO_MEMORY", MEMORY_REASON, {"system_memory": "64GB"}),
        ("STATUS_GRAPHICS_ALLOCATION_BUSY", BUSY_REASON, None),
    ],
)
def test_a_state_that_only_the_machine_knows(path: Path, status: str, why: str, setting: Any) -> None:
    calls = opened(), device(), allocation(status), allocation()
    assert taken(replay(path, *calls)) == [(2, why)]
    if setting is not None:
        path.unlink()
        (finding,) = replay(path, *calls, **setting).findings
        assert (finding.recorded, finding.replayed) == (status, "STATUS_SUCCESS")


MUTEX = SYNC
MUTEX_CREATED = ("CreateKeyedMutex", {"InitialValue": 0}, {"hSharedHandle": GLOBAL, "hKeyedMutex": MUTEX})


def acquire(key: int, fence_value: int = 0, status: Any = 0, timeout: Any = -1) -> tuple[Any, ...]:
    inputs = {"hKeyedMutex": MUTEX, "Key": key, "pTimeout": timeout}
    return "AcquireKeyedMutex", inputs, {"FenceValue": fence_value}, status


def release(key: int, fence_value: int = 0, status: Any = 0) -> tuple[Any, ...]:
    return "ReleaseKeyedMutex", {"hKeyedMutex": MUTEX, "Key": key, "FenceValue": fence_value}, None, status


def test_a_mutex_that_another_process_releases(path: Path) -> None:
    """This process hands the mutex over with key 1, and gets it back with key 0 and a FenceValue of the other one."""
    report = replay(path, MUTEX_CREATED, acquire(0), release(1), acquire(0, fence_value=77), release(1))
    assert taken(report) == [(3, MUTEX_REASON)]


def test_a_mutex_that_another_process_holds(path: Path) -> None:
    report = replay(path, MUTEX_CREATED, acquire(0, status="STATUS_TIMEOUT"), acquire(0, status="STATUS_ABANDONED"))
    assert taken(report) == [(1, MUTEX_REASON), (2, MUTEX_REASON)]


def test_a_mutex_that_this_process_holds_is_judged(path: Path) -> None:
    (finding,) = replay(path, MUTEX_CREATED, acquire(0), acquire(0)).findings
    assert (finding.index, finding.replayed, finding.counts) == (2, "STATUS_TIMEOUT", True)
    path.unlink()
    (finding,) = replay(path, MUTEX_CREATED, release(0)).findings
    assert (finding.index, finding.replayed, finding.counts) == (1, "STATUS_INVALID_PARAMETER", True)
    path.unlink()
    (finding,) = replay(path, MUTEX_CREATED, acquire(0), release(0, 5), acquire(0, fence_value=6)).findings
    assert (finding.path, finding.replayed) == ("FenceValue", "5")


def test_a_wait_is_judged_when_it_returned_in_the_recording(path: Path) -> None:
    """Thread 1 waits for the mutex that thread 0 releases meanwhile."""
    with tracekmt.create(path) as trace:
        for name, *rest in (MUTEX_CREATED, acquire(0)):
            trace.add(f"D3DKMT{name}", *rest)
        name, *rest = acquire(0, fence_value=9)
        trace.add(f"D3DKMT{name}", *rest, thread=1)
        name, *rest = release(0, 9)
        trace.add(f"D3DKMT{name}", *rest)
    report = tracekmt.replay(overlap_call(path, 2))
    assert (report.findings, report.calls.compared) == ([], 4)


def test_a_fence_that_the_gpu_signals(path: Path) -> None:
    created = {"Info": {"MonitoredFence": {"FenceValueCPUVirtualAddress": 0x10000}}, "hSyncObject": SYNC}
    create = ("CreateSynchronizationObject2", {"hDevice": DEVICE, "Info": {"Type": 5}}, created)
    back = {"hDevice": DEVICE, "ObjectHandleArray": [SYNC], "FenceValueArray": [3]}
    failed = ("SignalSynchronizationObjectFromCpu", back, None, "STATUS_INVALID_PARAMETER")
    on_gpu = {"ObjectHandleArray": [SYNC], "MonitoredFenceValueArray": [9], "ObjectCount": 1, "hContext": OPENED}
    signal = ("SignalSynchronizationObjectFromGpu", on_gpu)
    new = {"hContext": OPENED}
    for last, reasons in ((failed, []), (("SignalSynchronizationObjectFromCpu", back), [FENCE_REASON])):
        report = replay(path, opened(), device(), create, ("CreateContext", {"hDevice": DEVICE}, new), signal, last)
        assert [why for index, why in taken(report) if index == 5] == reasons
        path.unlink()
    assert not replay(path, opened(), device(), create, failed).same


def test_a_lost_device_stays_lost(path: Path) -> None:
    calls = [opened(), device(), allocation("STATUS_DEVICE_REMOVED"), allocation("STATUS_DEVICE_REMOVED")]
    report = replay(path, *calls)
    assert taken(report) == [(2, LOST_REASON)]
    assert report.calls.compared == 3
    path.unlink()
    (finding,) = [finding for finding in replay(path, *calls[:3], allocation()).findings if finding.counts]
    assert (finding.index, finding.replayed) == (3, "STATUS_DEVICE_REMOVED")


def test_an_adapter_that_comes_back(path: Path) -> None:
    report = replay(
        path,
        opened(),
        device(),
        device(status="STATUS_DEVICE_REMOVED"),
        device(status="STATUS_DEVICE_REMOVED"),
        device(OTHER_DEVICE),
        allocation(on=OTHER_DEVICE),
    )
    assert taken(report) == [(2, LOST_REASON), (4, LOST_REASON)]


def test_an_adapter_that_leaves_and_returns(path: Path) -> None:
    gone = "STATUS_INVALID_PARAMETER"
    other = opened(luid=OTHER_LUID, handle=OPENED)
    report = replay(path, opened(), opened(gone), opened(gone), opened(handle=OPENED + 0x40), other)
    assert taken(report) == [(1, PRESENT_REASON), (3, PRESENT_REASON)]


def test_a_stop_that_the_user_asked_for_is_judged(path: Path) -> None:
    report = replay(path, opened(), device(), allocation(), faults=["adapter@2=stopped"])
    (finding,) = report.findings
    assert (finding.index, finding.replayed) == (2, "STATUS_DEVICE_REMOVED")


def test_an_invalid_argument_on_a_device_older_than_the_trace_is_judged(path: Path) -> None:
    heap = {"Type": 1, "ExistingHeapData": {"Size": 0x1100}}
    inputs = {"hDevice": DEVICE, "pStandardAllocation": heap, "Flags": ["StandardAllocation", "ExistingSysMem"]}
    calls = ("CreateAllocation2", {**inputs, "pAllocationInfo2": [{"pSystemMem": 0x10000}]}, None, 0)
    (finding,) = replay(path, calls).findings
    assert finding.counts


def enumerate2(count: int, *adapters: dict[str, Any]) -> tuple[Any, ...]:
    elements = list(adapters) or None
    empty: list[dict[str, Any]] | None = [{}] * len(adapters) or None
    return "EnumAdapters2", {"NumAdapters": count, "pAdapters": empty}, {"NumAdapters": count, "pAdapters": elements}


def element(handle: int, luid: dict[str, int], sources: int, precise: int = 0) -> dict[str, Any]:
    flags = {"NumOfSources": sources, "bPrecisePresentRegionsPreferred": precise}
    return {"hAdapter": handle, "AdapterLuid": luid, **flags}


def source(handle: int, luid: dict[str, int], number: int) -> dict[str, Any]:
    return {"hAdapter": handle, "AdapterLuid": luid, "VidPnSourceId": number}


def test_what_the_machine_says_of_itself(path: Path) -> None:
    memory = {"hAdapter": ADAPTER, "MemorySegmentGroup": 0}
    first = {"Budget": 5 << 30, "CurrentUsage": 0, "AvailableForReservation": 3 << 30}
    display = {"DeviceName": r"\\.\DISPLAY7"}
    calls = (
        ("EnumAdapters2", {"NumAdapters": 0}, {"NumAdapters": 32}),
        enumerate2(2, element(ADAPTER, LUID, 4, 1), element(OPENED, OTHER_LUID, 0)),
        enumerate2(1, element(ADAPTER + 0x2000, LUID, 3, 1)),
        (
            "OpenAdapterFromGdiDisplayName",
            display,
            {"hAdapter": OPENED + 0x40, "AdapterLuid": LUID, "VidPnSourceId": 2},
        ),
        ("OpenAdapterFromHdc", {"hDc": 9}, {"hAdapter": OPENED + 0x80, "AdapterLuid": OTHER_LUID, "VidPnSourceId": 1}),
        ("QueryVideoMemoryInfo", memory, first),
        ("QueryVideoMemoryInfo", memory, {**first, "Budget": 4 << 30}),
    )
    report = replay(path, *calls)
    assert report.findings == []
    assert report.calls.compared == len(calls)
    line = r"adapter 2:beef: \\.\DISPLAY7, sources 4, then 3, local budget 5 GB (2 values)"
    assert f"recorded machine: {line}" in report.notes


def test_a_setting_of_the_user_is_a_what_if(path: Path) -> None:
    query = {"hAdapter": ADAPTER, "MemorySegmentGroup": 0}
    calls = opened(), ("QueryVideoMemoryInfo", query, {"Budget": 5 << 30, "AvailableForReservation": 0})
    assert replay(path, *calls).findings == []
    path.unlink()
    findings = replay(path, *calls, video_memory="1GB").findings
    assert [(finding.path, finding.replayed) for finding in findings] == [
        ("Budget", str(1 << 30)),
        ("AvailableForReservation", str(1 << 29)),
    ]


def test_usage_of_allocations_whose_size_only_a_driver_knows(path: Path) -> None:
    query = {"hAdapter": ADAPTER, "MemorySegmentGroup": 0}
    answer = {"Budget": 5 << 30, "CurrentUsage": 12345}
    calls = opened(), device(), allocation(), ("QueryVideoMemoryInfo", query, answer)
    (finding,) = replay(path, *calls).findings
    assert (finding.kind, finding.path) == ("opaque", "CurrentUsage")
    assert _is_usage_judged(replay(path.with_name("u.kmt"), opened(), calls[-1]).findings)


def _is_usage_judged(findings: list[Finding]) -> bool:
    return [(finding.kind, finding.path) for finding in findings] == [("field", "CurrentUsage")]


def test_a_machine_file_can_say_what_a_recording_tells(tmp_path: Path, path: Path) -> None:
    machine = tmp_path / "machine.toml"
    machine.write_text(
        """
        list_capacity = {D3DKMTEnumAdapters2 = 32}
        [[adapters]]
        luid = [48879, 2]
        sources = [[0, 4], [2, 3]]
        precise_present_regions = 1
        wddm = 3100
        displays = {'\\\\.\\DISPLAY7' = 2}
        device_contexts = {0x9 = [[0, 1], [5, -1]]}
        device_names = {'\\\\?\\PCI#1#{1ca05180-a699-450a-9a0c-de4fbe3ddd89}' = true}
        listed = {"D3DKMTEnumAdapters3 0x1" = false}
        budgets = {local = [[0, ["5GB", "3GB", 0]], [2, ["4GB", "3GB", 0]]]}
        info = {KMTQAITYPE_DRIVERVERSION = "1c0c0000"}
        """
    )
    simulator = tracekmt.Simulator(str(machine))
    call = simulator.call
    assert call("D3DKMTEnumAdapters2", {}).outputs["NumAdapters"] == 32
    (first,) = call("D3DKMTEnumAdapters2", {"pAdapters": [{}]}).outputs["pAdapters"]
    assert (first["NumOfSources"], first["bPrecisePresentRegionsPreferred"]) == (4, 1)
    (second,) = call("D3DKMTEnumAdapters2", {"pAdapters": [{}]}).outputs["pAdapters"]
    assert second["NumOfSources"] == 3
    by_display = call("D3DKMTOpenAdapterFromGdiDisplayName", {"DeviceName": r"\\.\display7"})
    assert (by_display.status, by_display.outputs["VidPnSourceId"]) == (0, 2)
    assert call("D3DKMTOpenAdapterFromHdc", {"hDc": 9}).outputs["VidPnSourceId"] == 1
    name = r"\\?\PCI#1#{1ca05180-a699-450a-9a0c-de4fbe3ddd89}"
    assert call("D3DKMTOpenAdapterFromDeviceName", {"pDeviceName": name}).status == 0
    assert call("D3DKMTOpenAdapterFromDeviceName", {"pDeviceName": name.replace("1#", "2#", 1)}).status != 0
    filtered = call("D3DKMTEnumAdapters3", {"Filter": ["IncludeComputeOnly"], "pAdapters": [{}]})
    assert filtered.outputs["NumAdapters"] == 0
    adapter = first["hAdapter"]
    memory = call("D3DKMTQueryVideoMemoryInfo", {"hAdapter": adapter, "MemorySegmentGroup": 0}).outputs
    assert (memory["Budget"], memory["AvailableForReservation"]) == (4 << 30, 3 << 30)
    version = {"hAdapter": adapter, "Type": 13, "pPrivateDriverData": 0}
    assert call("D3DKMTQueryAdapterInfo", version).outputs["pPrivateDriverData"] == 3100
    again = tracekmt.Simulator(**simulator.machine.settings())
    assert again.machine.settings() == simulator.machine.settings()


@pytest.mark.parametrize(
    "adapter",
    [
        {"sources": "many"},
        {"sources": []},
        {"sources": [[3, 1], [2, 1]]},
        {"displays": "DISPLAY1"},
        {"displays": {"x": "y"}},
        {"device_contexts": {"desk": 1}},
        {"budgets": {"local": [[0, 1]]}},
        {"info": {"KMTQAITYPE_UNKNOWN_TYPE": "00"}},
        {"info": {"13": "zz"}},
        {"listed": {"D3DKMTEnumAdapters2": 1}},
        {"listed": {"D3DKMTEnumerateAll": True}},
        {"listed": {"D3DKMTEnumAdapters3 zz": True}},
        {"sources": -1},
        {"sources": True},
        {"sources": 1 << 32},
        {"sources": [[1.5, 1]]},
        {"precise_present_regions": 1 << 32},
        {"luid": [-1, 0]},
        {"luid": [1 << 32, 0]},
        {"wddm": -3},
        {"stops_after": -1},
        {"displays": {"x": 1 << 32}},
        {"device_contexts": {"-1": 1}},
        {"budgets": {"remote": [[0, [1, 1, 0]]]}},
        {"budgets": {"local": [[0, ["99999999999999GB", 1, 0]]]}},
        {"name": 5},
    ],
)
def test_an_invalid_answer_of_an_adapter_is_an_error(adapter: dict[str, Any]) -> None:
    with pytest.raises(tracekmt.UsageError, match=r"invalid (key of )?adapter"):
        tracekmt.Simulator(adapters=[adapter])


def lock(handle: int = ALLOCATION, on: int = DEVICE) -> tuple[Any, ...]:
    return "Lock2", {"hDevice": on, "hAllocation": handle}, {"pData": 0x7F0000000000}


def test_an_older_allocation_dies_with_its_device(path: Path) -> None:
    """The recorded machine then gives its handle to a new allocation."""
    calls = lock(), ("DestroyDevice", {"hDevice": DEVICE}), opened(), device(), allocation()
    assert replay(path, *calls).findings == []


def test_a_live_handle_of_another_kind_is_judged(path: Path) -> None:
    share = ("ShareObjects", {"hObjects": [ALLOCATION], "dwDesiredAccess": 1}, {"phSharedNtHandle": NT})
    (finding,) = replay(path, opened(), device(), allocation(), share).findings
    assert (finding.index, finding.replayed, finding.counts) == (3, "STATUS_INVALID_PARAMETER", True)


def test_the_memory_of_a_device_is_known_to_the_driver_only(path: Path) -> None:
    query = {"hAdapter": ADAPTER, "MemorySegmentGroup": 0}
    report = replay(path, opened(), device(), ("QueryVideoMemoryInfo", query, {"Budget": 5, "CurrentUsage": 4096}))
    assert [finding.path for finding in report.findings] == ["CurrentUsage"]
    assert report.same


@pytest.mark.parametrize("status", ["STATUS_SUCCESS", "STATUS_PENDING"])
def test_a_queued_operation_is_pending_as_in_the_recording(path: Path, status: str) -> None:
    created = {"hPagingQueue": QUEUE, "hSyncObject": SYNC, "FenceValueCPUVirtualAddress": 0x7F0000000000}
    queue = ("CreatePagingQueue", {"hDevice": DEVICE}, created)
    resident = {"hPagingQueue": QUEUE, "AllocationList": [ALLOCATION]}
    calls = opened(), device(), allocation(), queue, ("MakeResident", resident, {"PagingFenceValue": 9}, status)
    report = replay(path, *calls)
    assert report.same
    assert report.calls.compared == 5
    path.unlink()
    changed = (*calls[:4], ("MakeResident", resident, None, "STATUS_TIMEOUT"))
    assert not replay(path, *changed).same


@pytest.mark.parametrize(
    ("name", "inputs"),
    [
        ("GetDeviceState", {"hDevice": DEVICE, "StateType": 1}),
        ("QueryAdapterInfo", {"hAdapter": ADAPTER, "Type": 15, "pPrivateDriverData": 0}),
        ("QueryStatistics", {"Type": 0, "AdapterLuid": LUID}),
        ("Escape", {"hAdapter": ADAPTER, "pPrivateDriverData": b"data"}),
    ],
)
def test_an_answer_of_the_machine_is_taken(path: Path, name: str, inputs: dict[str, Any]) -> None:
    failed = (name, inputs, None, "STATUS_INVALID_PARAMETER")
    report = replay(path, opened(), device(), (name, inputs), failed)
    assert [index for index, _ in taken(report)] == [2, 3]
    assert (report.calls.compared, report.calls.taken, report.calls.unmodelled) == (3, 2, 0)
    assert report.not_compared["outputs taken"] == {f"D3DKMT{name}": 1}


@pytest.mark.parametrize("name", ["GetDeviceState", "SubmitCommand"])
def test_a_destroyed_handle_is_judged(path: Path, name: str) -> None:
    destroyed = ("DestroyDevice", {"hDevice": DEVICE})
    context = ("CreateContextVirtual", {"hDevice": DEVICE}, {"hContext": QUEUE})
    inputs: dict[str, Any] = {"hDevice": DEVICE, "StateType": 1}
    if name == "SubmitCommand":
        inputs = {"BroadcastContextCount": 1, "BroadcastContext": [QUEUE]}  # it dies with the device
    (finding,) = replay(path, opened(), device(), context, destroyed, (name, inputs)).findings
    assert (finding.index, finding.counts) == (4, True)


def test_the_release_of_another_process_has_an_unknown_fence_value(path: Path) -> None:
    report = replay(path, MUTEX_CREATED, acquire(0, status="STATUS_TIMEOUT"), acquire(0, fence_value=2))
    assert [finding.path for finding in report.findings] == [None, "FenceValue"]
    assert report.same


CLASS = "{1ca05180-a699-450a-9a0c-de4fbe3ddd89}"


@pytest.mark.parametrize(
    ("call", "status"),
    [
        (("OpenAdapterFromHdc", {"hDc": 9}), "STATUS_INVALID_PARAMETER"),
        (("OpenAdapterFromDeviceName", {"pDeviceName": f"display{CLASS}"}), "STATUS_INVALID_PARAMETER"),
        (("OpenAdapterFromLuid", {"AdapterLuid": {"LowPart": 77}}), "STATUS_ACCESS_DENIED"),
        (("EnumAdapters2", {"NumAdapters": 1, "pAdapters": [{}]}, {"NumAdapters": 2}), "STATUS_BUFFER_TOO_SMALL"),
        (("NtOpenProcess", {"ProcessHandle": 0, "ClientId": {"UniqueProcess": 8}}), "STATUS_ACCESS_DENIED"),
        (("NtCreateSection", {"SectionHandle": 0, "FileHandle": 8}), "STATUS_INVALID_FILE_FOR_SECTION"),
        (
            ("NtCreateEvent", {"EventHandle": 0, "ObjectAttributes": {"ObjectName": "x"}}),
            "STATUS_OBJECT_TYPE_MISMATCH",
        ),
    ],
)
def test_a_failure_for_a_reason_of_the_system(path: Path, call: tuple[Any, ...], status: str) -> None:
    name, inputs, *outputs = call
    report = replay(path, opened(), (name, inputs, *(outputs or [None]), status))
    assert [index for index, _ in taken(report)] == [1]


def test_a_second_status_of_a_lost_device(path: Path) -> None:
    statuses = "STATUS_GRAPHICS_ADAPTER_WAS_RESET", "STATUS_GRAPHICS_ADAPTER_WAS_RESET", "STATUS_DEVICE_REMOVED"
    report = replay(path, opened(), device(), *map(allocation, statuses))
    assert taken(report) == [(2, LOST_REASON), (3, LOST_REASON)]


def test_a_machine_with_linked_adapters(path: Path) -> None:
    query = {"hAdapter": ADAPTER, "MemorySegmentGroup": 0, "PhysicalAdapterIndex": 1}
    assert [index for index, _ in taken(replay(path, opened(), ("QueryVideoMemoryInfo", query, {})))] == [1]


def test_names_of_a_trace_are_escaped_in_the_report(path: Path) -> None:
    named = {"DeviceName": "\ud800\x1b[31m"}
    report = replay(path, ("OpenAdapterFromGdiDisplayName", named, {"hAdapter": ADAPTER, "AdapterLuid": LUID}))
    assert all(line.isprintable() for line in report_lines(report))
