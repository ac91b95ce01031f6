"""Traces of random calls on a simulator, with one call that a changed simulator answers in another way."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tracekmt
from tracekmt.simulator import CallResult, Simulator
from tracekmt.trace.builder import Builder


@dataclass
class Workload:
    """Random calls of a process, which all succeed, written to a trace."""

    builder: Builder
    chance: random.Random
    simulator: Simulator = field(default_factory=Simulator)
    threads: int = 3
    allocations: list[tuple[int, list[int]]] = field(default_factory=list)
    fences: list[tuple[int, int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        luid = {"LowPart": 1, "HighPart": 0}
        self.adapter = self.call("OpenAdapterFromLuid", AdapterLuid=luid).outputs["hAdapter"]
        self.devices = [self.call("CreateDevice", hAdapter=self.adapter).outputs["hDevice"] for _ in range(3)]
        self.mutex = self.call("CreateKeyedMutex", InitialValue=0).outputs["hKeyedMutex"]

    def call(self, name: str, status: str | None = None, **inputs: Any) -> CallResult:
        """Make a call. A status replaces that of the simulator in the trace."""
        result = self.simulator.call(f"D3DKMT{name}", inputs)
        thread = self.chance.randrange(self.threads)
        self.builder.add(f"D3DKMT{name}", inputs, result.outputs, status or result.status.name, thread=thread)
        return result

    def run(self, calls: int) -> None:
        """Make a number of steps."""
        for _ in range(calls):
            self.chance.choice((self.allocate, self.allocate, self.destroy, self.lock, self.fence, self.signal))()

    @property
    def device(self) -> int:
        return int(self.chance.choice(self.devices))

    def allocate(self) -> None:
        count, device = self.chance.randint(1, 4), self.device
        elements = [{"pPrivateDriverData": self.chance.randbytes(32)} for _ in range(count)]
        outputs = self.call(
            "CreateAllocation2", hDevice=device, NumAllocations=count, pAllocationInfo2=elements
        ).outputs
        self.allocations.append((device, [element["hAllocation"] for element in outputs["pAllocationInfo2"]]))

    def destroy(self) -> None:
        if self.allocations:
            device, handles = self.allocations.pop(self.chance.randrange(len(self.allocations)))
            self.call("DestroyAllocation2", hDevice=device, AllocationCount=len(handles), phAllocationList=handles)

    def lock(self) -> None:
        if self.allocations:
            device, handles = self.chance.choice(self.allocations)
            self.call("Lock2", hDevice=device, hAllocation=handles[0])
            self.call("Unlock2", hDevice=device, hAllocation=handles[0])

    def fence(self) -> None:
        device = self.device
        info = {"Type": "D3DDDI_MONITORED_FENCE", "MonitoredFence": {"InitialFenceValue": 0}}
        outputs = self.call("CreateSynchronizationObject2", hDevice=device, Info=info).outputs
        self.fences.append((device, outputs["hSyncObject"], 0))

    def signal(self, *, by: int = 1, status: str | None = None) -> None:
        if self.fences:
            position = self.chance.randrange(len(self.fences))
            device, fence, value = self.fences[position]
            self.signal_fence(device, fence, value + by, status)
            self.fences[position] = device, fence, value + by

    def signal_fence(self, device: int, fence: int, value: int, status: str | None = None) -> None:
        arrays = {"ObjectHandleArray": [fence], "FenceValueArray": [value]}
        self.call("SignalSynchronizationObjectFromCpu", status, hDevice=device, ObjectCount=1, **arrays)


OK, BAD = "STATUS_SUCCESS", "STATUS_INVALID_PARAMETER"
Plant = Callable[[Workload], None]


def _some(work: Workload) -> tuple[int, list[int]]:
    work.allocate()
    return work.allocations[-1]


def double_free(work: Workload) -> None:
    device, handles = _some(work)
    inputs: dict[str, Any] = {"hDevice": device, "AllocationCount": len(handles), "phAllocationList": handles}
    work.call("DestroyAllocation2", **inputs)
    work.allocations.pop()
    work.call("DestroyAllocation2", OK, **inputs)


def unlock_of_unlocked(work: Workload) -> None:
    device, handles = _some(work)
    work.call("Unlock2", OK, hDevice=device, hAllocation=handles[-1])


def refused_lock(work: Workload) -> None:
    device, handles = _some(work)
    work.call("Lock2", BAD, hDevice=device, hAllocation=handles[0])


def lock_on_another_device(work: Workload) -> None:
    device, handles = _some(work)
    other = next(other for other in work.devices if other != device)
    work.call("Lock2", OK, hDevice=other, hAllocation=handles[0])


def backward_signal(work: Workload) -> None:
    work.fence()
    device, fence, _ = work.fences.pop()
    work.signal_fence(device, fence, 5)
    work.signal_fence(device, fence, 3, OK)


def refused_device(work: Workload) -> None:
    work.call("CreateDevice", "STATUS_NO_SUCH_DEVICE", hAdapter=work.adapter)


def double_close(work: Workload) -> None:
    opened = work.call("OpenAdapterFromLuid", AdapterLuid={"LowPart": 1, "HighPart": 0}).outputs["hAdapter"]
    work.call("CloseAdapter", hAdapter=opened)
    work.call("CloseAdapter", OK, hAdapter=opened)


def release_without_acquire(work: Workload) -> None:
    work.call("ReleaseKeyedMutex", OK, hKeyedMutex=work.mutex, Key=1, FenceValue=2)


def refused_acquire(work: Workload) -> None:
    work.call("AcquireKeyedMutex", BAD, hKeyedMutex=work.mutex, Key=0)


def refused_destroy(work: Workload) -> None:
    work.fence()
    _, fence, _ = work.fences.pop()
    work.call("DestroySynchronizationObject", BAD, hSyncObject=fence)


PLANTS: tuple[Plant, ...] = (
    double_free,
    unlock_of_unlocked,
    refused_lock,
    lock_on_another_device,
    backward_signal,
    refused_device,
    double_close,
    release_without_acquire,
    refused_acquire,
    refused_destroy,
)


def write_trace(path: Path, calls: int, plant: Plant, seed: object) -> Path:
    """Write a trace with a plant somewhere in the middle."""
    chance = random.Random(f"{seed}")
    with tracekmt.create(path) as builder:
        work = Workload(builder, chance)
        before = chance.randrange(calls // 4, calls * 3 // 4)
        work.run(before)
        plant(work)
        work.run(calls - before)
    return path
