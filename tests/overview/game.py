"""A trace like that of a game: frames on three threads, streamed textures, a shrinking budget, failures and a crash."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tracekmt
from tracekmt.simulator.model.allocation_size import sample_data
from tracekmt.trace.builder import Builder

ADAPTER, DEVICE, QUEUE, CONTEXT, FENCE = 0x40000000, 0x40000040, 0x40000080, 0x400000C0, 0x40000100
MS, MB = 1_000_000, 1 << 20
RENDER, STREAMING, AUDIO = 4711, 4712, 4720


@dataclass
class Game:
    """A program that draws frames, written call by call."""

    builder: Builder
    chance: random.Random
    now: int = 0
    budget: int = 512 * MB
    next_handle: int = 0x40001000
    textures: dict[int, int] = field(default_factory=dict)
    resident: dict[int, int] = field(default_factory=dict)
    offered: list[int] = field(default_factory=list)

    def call(
        self,
        name: str,
        inputs: dict[str, Any],
        outputs: dict[str, Any] | None = None,
        status: str | None = "STATUS_SUCCESS",
        thread: int = RENDER,
        took: int = 20_000,
    ) -> None:
        """Add a call that takes a number of nanoseconds."""
        enter, self.now = self.now, self.now + took + 2_000
        self.builder.add(
            *(f"D3DKMT{name}", inputs, {**inputs, **(outputs or {})}, status),
            thread=thread,
            enter_ns=enter,
            leave_ns=enter + took,
        )

    @property
    def usage(self) -> int:
        return sum(self.resident.values())

    def start(self) -> None:
        luid = {"LowPart": 0x9C41, "HighPart": 0}
        self.call("OpenAdapterFromLuid", {"AdapterLuid": luid}, {"hAdapter": ADAPTER}, took=180_000)
        registry = {"AdapterString": "Simulated Graphics 7000", "ChipType": "SG7"}
        question = {"hAdapter": ADAPTER, "Type": "KMTQAITYPE_ADAPTERREGISTRYINFO", "pPrivateDriverData": registry}
        self.call("QueryAdapterInfo", question)
        version = {"hAdapter": ADAPTER, "Type": "KMTQAITYPE_UMD_DRIVER_VERSION"}
        answer = {"pPrivateDriverData": {"DriverVersion": 31 << 48 | 101 << 16 | 5333}}
        self.call("QueryAdapterInfo", {**version, **answer}, answer)
        for _ in range(3):
            self.call("QueryAdapterInfo", question, status="STATUS_INVALID_PARAMETER", took=4_000)
        self.call("CreateDevice", {"hAdapter": ADAPTER}, {"hDevice": DEVICE}, took=2 * MS)
        self.call("CreatePagingQueue", {"hDevice": DEVICE}, {"hPagingQueue": QUEUE, "hSyncObject": QUEUE + 4})
        self.call("CreateContextVirtual", {"hDevice": DEVICE}, {"hContext": CONTEXT}, took=900_000)
        info = {"Type": "D3DDDI_MONITORED_FENCE", "MonitoredFence": {"InitialFenceValue": 0}}
        self.call("CreateSynchronizationObject2", {"hDevice": DEVICE, "Info": info}, {"hSyncObject": FENCE})

    def create_texture(self, size: int, thread: int = STREAMING) -> None:
        """Create an allocation, map it and make it resident. Evict the oldest ones beyond the budget."""
        handle = self.next_handle
        self.next_handle += 0x40
        element = {"pPrivateDriverData": sample_data(size)}
        inputs = {"hDevice": DEVICE, "pAllocationInfo2": [element]}
        created = {"pAllocationInfo2": [{**element, "hAllocation": handle}]}
        took = int(self.chance.lognormvariate(11.5, 0.6))
        if self.chance.random() < 0.03:
            self.call("CreateAllocation2", inputs, None, "STATUS_GRAPHICS_NO_VIDEO_MEMORY", thread, took)
            return
        self.call("CreateAllocation2", inputs, created, thread=thread, took=took)
        mapped = {"hPagingQueue": QUEUE, "hAllocation": handle, "SizeInPages": size // 4096}
        self.call("MapGpuVirtualAddress", mapped, {"VirtualAddress": handle << 12}, "STATUS_PENDING", thread)
        self.textures[handle] = size
        self.make_resident(handle, thread)

    def make_resident(self, handle: int, thread: int = STREAMING) -> None:
        self.resident[handle] = self.textures[handle]
        lists = {"hPagingQueue": QUEUE, "AllocationList": [handle]}
        over = max(self.usage - self.budget, 0)
        took = int(self.chance.lognormvariate(12, 0.8))
        self.call("MakeResident", lists, {"NumBytesToTrim": over}, "STATUS_PENDING", thread, took)
        while over and self.usage > self.budget:
            self.evict(next(iter(self.resident)), thread)

    def evict(self, handle: int, thread: int = STREAMING) -> None:
        del self.resident[handle]
        self.call("Evict", {"hDevice": DEVICE, "AllocationList": [handle]}, thread=thread)

    def destroy(self, handle: int) -> None:
        self.textures.pop(handle)
        self.resident.pop(handle, None)
        self.call("DestroyAllocation2", {"hDevice": DEVICE, "phAllocationList": [handle]}, thread=STREAMING)

    def query_budgets(self) -> None:
        for group, budget, usage in ((0, self.budget, self.usage), (1, 8192 * MB, self.usage // 9 + 40 * MB)):
            query = {"hAdapter": ADAPTER, "MemorySegmentGroup": group}
            self.call("QueryVideoMemoryInfo", query, {"Budget": budget, "CurrentUsage": usage}, took=9_000)

    def frame(self, number: int, *, is_hidden: bool) -> None:
        """Draw one frame of 16 milliseconds."""
        start = self.now
        if self.textures and number % 3 == 0:
            lock = {"hDevice": DEVICE, "hAllocation": next(reversed(self.textures))}
            self.call("Lock2", lock, {"pData": 0x10000}, thread=STREAMING, took=self.chance.randrange(5_000, 90_000))
            self.call("Unlock2", lock, thread=STREAMING, took=3_000)
        for _ in range(1 if is_hidden else self.chance.randint(2, 5)):
            submit = {"BroadcastContextCount": 1, "BroadcastContext": [CONTEXT]}
            self.call("SubmitCommand", submit, took=self.chance.randrange(20_000, 70_000))
        values = {"ObjectHandleArray": [FENCE], "MonitoredFenceValueArray": [number]}
        self.call("SignalSynchronizationObjectFromGpu", {"hContext": CONTEXT, "ObjectCount": 1, **values}, took=8_000)
        wait = {"hDevice": DEVICE, "ObjectHandleArray": [FENCE], "FenceValueArray": [number]}
        self.call(
            "WaitForSynchronizationObjectFromCpu", wait, took=int(self.chance.triangular(2 * MS, 11 * MS, 4 * MS))
        )
        status = "STATUS_GRAPHICS_PRESENT_OCCLUDED" if is_hidden else "STATUS_SUCCESS"
        self.call("Present", {"hContext": CONTEXT}, status=status, took=self.chance.randrange(60_000, 400_000))
        if number % 8 == 0:
            self.call("GetDeviceState", {"hDevice": DEVICE}, thread=AUDIO, took=2_500)
        self.now = max(start + 16 * MS, self.now)

    def play(self, frames: int) -> None:
        """Load a level, draw frames, lose half of the budget, hide and show the window, and crash."""
        self.start()
        for _ in range(50):
            self.create_texture(self.chance.choice((2, 4, 4, 8, 8, 16)) * MB)
        for number in range(frames):
            share = number / frames
            is_hidden = 0.6 <= share < 0.7
            if number % 30 == 0:
                self.query_budgets()
            if 0.25 <= share < 0.35 and number % 3 == 0:
                self.create_texture(self.chance.choice((4, 8, 16)) * MB)
            elif number % 12 == 0 and not is_hidden:
                self.create_texture(self.chance.choice((1, 2, 4)) * MB)
                self.destroy(self.chance.choice(list(self.textures)))
            if number == frames * 45 // 100:
                self.budget = 288 * MB
                self.make_resident(next(reversed(self.textures)))
            if number == frames * 60 // 100:
                self.offer()
            if number == frames * 70 // 100:
                self.reclaim()
            if number == frames * 80 // 100:
                self.budget = 448 * MB
            self.frame(number, is_hidden=is_hidden)
        for handle in list(self.textures)[:-5]:
            self.destroy(handle)
        self.call("SubmitCommand", {"BroadcastContextCount": 1, "BroadcastContext": [CONTEXT]}, status=None)

    def offer(self) -> None:
        self.offered = list(self.resident)[::2]
        self.call("OfferAllocations", {"hDevice": DEVICE, "HandleList": self.offered}, took=600_000)

    def reclaim(self) -> None:
        lost = [int(position % 4 == 0) for position in range(len(self.offered))]
        inputs = {"hDevice": DEVICE, "HandleList": self.offered, "pDiscarded": [0] * len(self.offered)}
        self.call("ReclaimAllocations", inputs, {"pDiscarded": lost}, took=3 * MS)


def write_game(path: Path, frames: int, seed: int = 1) -> Path:
    """Write the trace of a game that draws a number of frames."""
    with tracekmt.create(path) as builder:
        Game(builder, random.Random(seed)).play(frames)
    return path
