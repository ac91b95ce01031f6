"""The simulator behind real C addresses, with a C caller."""

from __future__ import annotations

import ctypes
import json
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import tracekmt
from tracekmt import codec, system
from tracekmt.calls import CALLS
from tracekmt.codec.memory import MemoryFault
from tracekmt.errors import Error
from tracekmt.record.handover import HandOver
from tracekmt.simulator import BEHAVIOURS
from tracekmt.simulator.native import ProcessArena, Thunks
from tracekmt.simulator.process_memory import ProcessMemory

pytestmark = pytest.mark.skipif(
    system.machine() != "x86_64" or sys.platform not in ("linux", "win32"),
    reason="C addresses exist on x86-64 Linux and Windows",
)


def call(thunks: Thunks, name: str, inputs: object) -> tuple[int, object]:
    arena = ProcessArena()
    arguments = codec.encode(CALLS[name], "x64", arena, inputs)
    result = thunks.function(name)(arguments[0])
    return result, codec.decode(CALLS[name], "x64", arena, arguments)


def test_every_function_has_an_address_and_answers() -> None:
    thunks = Thunks(tracekmt.Simulator())
    assert set(thunks.addresses) == set(BEHAVIOURS)
    assert len(set(thunks.addresses.values())) == len(BEHAVIOURS)
    status, outputs = call(thunks, "D3DKMTOpenAdapterFromLuid", {"AdapterLuid": {"LowPart": 1}})
    assert status == 0
    assert isinstance(outputs, dict)
    assert outputs["hAdapter"] == 0x40000000
    status, _ = call(thunks, "D3DKMTCloseAdapter", {"hAdapter": 5})
    assert status == 0xC000000D - (1 << 32)


def test_bad_pointers_are_rejected() -> None:
    thunks = Thunks(tracekmt.Simulator())
    create = thunks.function("D3DKMTCreateAllocation2")
    for address in (0x10, 0xDEAD00000000, 0xFFFFFFFFFFFFFFF8):
        assert create(address) == 0xC000000D - (1 << 32)


def test_threads_call_at_once() -> None:
    thunks = Thunks(tracekmt.Simulator())
    handles: list[int] = []

    def work() -> None:
        for _ in range(50):
            _, outputs = call(thunks, "D3DKMTOpenAdapterFromLuid", {"AdapterLuid": {"LowPart": 1}})
            assert isinstance(outputs, dict)
            handles.append(outputs["hAdapter"])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(handles)) == 200


def test_a_fence_has_its_value_in_memory() -> None:
    thunks = Thunks(tracekmt.Simulator(paging="pending"))

    def outputs(name: str, inputs: dict[str, Any], expected: int = 0) -> Any:
        status, argument = call(thunks, name, inputs)
        assert status == expected
        return argument

    adapter = outputs("D3DKMTOpenAdapterFromLuid", {"AdapterLuid": {"LowPart": 1}})["hAdapter"]
    device = outputs("D3DKMTCreateDevice", {"hAdapter": adapter})["hDevice"]
    queue = outputs("D3DKMTCreatePagingQueue", {"hDevice": device})
    value = ctypes.c_uint64.from_address(queue["FenceValueCPUVirtualAddress"])
    assert value.value == 0
    reserve = {"hPagingQueue": queue["hPagingQueue"], "Size": 0x10000}
    assert outputs("D3DKMTReserveGpuVirtualAddress", reserve, 0x103)["PagingFenceValue"] == value.value == 1
    info = {"Type": 5, "MonitoredFence": {"InitialFenceValue": 3}}
    fence = outputs("D3DKMTCreateSynchronizationObject2", {"hDevice": device, "Info": info})
    value = ctypes.c_uint64.from_address(fence["Info"]["MonitoredFence"]["FenceValueCPUVirtualAddress"])
    assert value.value == 3
    signal = {"hDevice": device, "ObjectHandleArray": [fence["hSyncObject"]], "FenceValueArray": [8]}
    outputs("D3DKMTSignalSynchronizationObjectFromCpu", signal)
    assert value.value == 8


def test_process_memory_faults_instead_of_crashing() -> None:
    memory = ProcessMemory()
    arena = ProcessArena()
    address = arena.place("", 16)
    memory.write(address, b"0123456789abcdef")
    assert memory.read(address, 16) == arena.read(address, 16) == b"0123456789abcdef"
    for bad in (0x10, 1 << 60):
        with pytest.raises(MemoryFault):
            memory.read(bad, 8)
        with pytest.raises(MemoryFault):
            memory.write(bad, b"x")
    with pytest.raises(MemoryFault):
        memory.read(address, 1 << 40)


def test_the_table_is_handed_over(tmp_path: Path) -> None:
    thunks = Thunks(tracekmt.Simulator(video_memory="1MB"))
    hand_over = HandOver(tmp_path / "table.json")
    hand_over.offer(thunks.addresses, thunks.simulator.machine.settings())
    table = json.loads(hand_over.path.read_text())
    assert {name: int(address, 16) for name, address in table["functions"].items()} == thunks.addresses
    assert tracekmt.Simulator(**table["machine"]).machine.settings() == thunks.simulator.machine.settings()
    assert not hand_over.wait(0.02)
    hand_over.hooked.touch()
    assert hand_over.wait(0.02)


def test_an_unsupported_system_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "machine", lambda: "riscv64")
    with pytest.raises(Error, match="expected x86-64 Linux or Windows"):
        Thunks(tracekmt.Simulator())


def test_contents_of_an_allocation_are_real_memory() -> None:
    """A lock returns the same memory each time. It lives as long as the allocation."""
    thunks = Thunks(tracekmt.Simulator())
    device = open_device(thunks)
    inputs = {"hDevice": device, "NumAllocations": 1, "pAllocationInfo2": [{"pPrivateDriverData": bytes(8)}]}
    _, created = call(thunks, "D3DKMTCreateAllocation2", inputs)
    assert isinstance(created, dict)
    lock = {"hDevice": device, "hAllocation": created["pAllocationInfo2"][0]["hAllocation"]}
    for number, before in ((1, 0), (2, 1)):
        _, locked = call(thunks, "D3DKMTLock2", lock)
        assert isinstance(locked, dict)
        contents = (ctypes.c_uint8 * (1 << 20)).from_address(locked["pData"])
        assert (contents[0], contents[-1]) == (before, before)
        contents[0] = contents[-1] = number
        assert call(thunks, "D3DKMTUnlock2", lock)[0] == 0


def test_a_thread_waits_for_a_fence() -> None:
    """The value of the fence is in memory. The thread waits until another one signals."""
    thunks = Thunks(tracekmt.Simulator())
    device = open_device(thunks)
    info = {"Type": "D3DDDI_MONITORED_FENCE", "MonitoredFence": {"InitialFenceValue": 3}}
    _, fence = call(thunks, "D3DKMTCreateSynchronizationObject2", {"hDevice": device, "Info": info})
    assert isinstance(fence, dict)
    value = ctypes.c_uint64.from_address(fence["Info"]["MonitoredFence"]["FenceValueCPUVirtualAddress"])
    assert value.value == 3
    target = {
        "hDevice": device,
        "ObjectCount": 1,
        "ObjectHandleArray": [fence["hSyncObject"]],
        "FenceValueArray": [4],
    }
    results: list[tuple[int, int]] = []

    def wait() -> None:
        status, _ = call(thunks, "D3DKMTWaitForSynchronizationObjectFromCpu", target)
        results.append((status, value.value))

    thread = threading.Thread(target=wait)
    thread.start()
    thread.join(0.2)
    assert thread.is_alive()
    assert call(thunks, "D3DKMTSignalSynchronizationObjectFromCpu", target)[0] == 0
    thread.join(10)
    assert results == [(0, 4)]


def open_device(thunks: Thunks) -> int:
    _, adapter = call(thunks, "D3DKMTOpenAdapterFromLuid", {"AdapterLuid": {"LowPart": 1}})
    assert isinstance(adapter, dict)
    _, device = call(thunks, "D3DKMTCreateDevice", {"hAdapter": adapter["hAdapter"]})
    assert isinstance(device, dict)
    return int(device["hDevice"])
