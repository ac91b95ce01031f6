"""A trace of a small program, with what the questions about traces are about.

It has two modules, a failing call, a leak, a shared handle, residency, budgets, and the version of a driver.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import tracekmt
from tracekmt.edit.copy import open_copy, write_copy
from tracekmt.simulator.model.allocation_size import sample_data
from tracekmt.trace.builder import Builder
from tracekmt.trace.events import Enter, Module
from tracekmt.trace.reader import Trace

SECOND, MIB = 10**9, 1 << 20
ADAPTER, DEVICE, QUEUE = 0x40000000, 0x40000040, 0x40000080
SMALL, LARGE, RESOURCE, OPENED, NT_HANDLE = 0x40000100, 0x40000140, 0x40000180, 0x400001C0, 0x84
GAME, RUNTIME = Module("game.exe", "/game.exe", 0x10000, 0x1000), Module("d3d11.dll", "/d3d11.dll", 0x20000, 0x1000)
VERSION = 31 << 48 | 15 << 16 | 4601
"""Version 31.0.15.4601 of a driver."""


class _Program:
    """Adds calls to a trace. Each takes a microsecond, and the first one of a second starts with it."""

    def __init__(self, builder: Builder) -> None:
        self._builder = builder
        self._now = 0
        self.callers: list[int] = []

    def call(
        self,
        module: Module,
        name: str,
        inputs: dict[str, Any],
        outputs: dict[str, Any] | None = None,
        status: Any = 0,
        duration: int = 1000,
    ) -> None:
        times = {"enter_ns": self._now, "leave_ns": self._now + duration}
        self._builder.add(f"D3DKMT{name}", inputs, {**inputs, **(outputs or {})}, status, **times)
        self._now += duration
        self.callers.append(module.base + 0x10)

    def wait(self, time: int) -> None:
        self._now = time

    def allocate(self, module: Module, handle: int, size: int, **more: Any) -> None:
        element = {"pPrivateDriverData": sample_data(size)}
        inputs = {"hDevice": DEVICE, "pAllocationInfo2": [element]}
        flags = {"Flags": ["CreateResource", "CreateShared", "NtSecuritySharing"]} if more else {}
        outputs = {"pAllocationInfo2": [{**element, "hAllocation": handle}], **more}
        self.call(module, "CreateAllocation2", {**inputs, **flags}, outputs)

    def ask_budget(self, usage: int) -> None:
        query = {"hAdapter": ADAPTER, "MemorySegmentGroup": 0}
        self.call(GAME, "QueryVideoMemoryInfo", query, {"Budget": 8 * MIB, "CurrentUsage": usage})


def write_scenario(path: Path, version: int = VERSION) -> Path:
    """Write the trace."""
    made = path.with_suffix(".made")
    with tracekmt.create(made) as builder:
        program = _Program(builder)
        program.call(RUNTIME, "OpenAdapterFromLuid", {"AdapterLuid": {"LowPart": 1}}, {"hAdapter": ADAPTER})
        program.call(
            RUNTIME,
            "QueryAdapterInfo",
            {"hAdapter": ADAPTER, "Type": "KMTQAITYPE_UMD_DRIVER_VERSION", "pPrivateDriverData": bytes(8)},
            {"pPrivateDriverData": {"DriverVersion": version}},
        )
        program.call(RUNTIME, "CreateDevice", {"hAdapter": ADAPTER}, {"hDevice": DEVICE})
        program.allocate(RUNTIME, SMALL, MIB)
        program.allocate(GAME, LARGE, 4 * MIB, hResource=RESOURCE)
        program.ask_budget(0)
        resident = {"hPagingQueue": QUEUE, "AllocationList": [SMALL, LARGE]}
        program.call(GAME, "MakeResident", resident)
        program.wait(SECOND)
        program.ask_budget(5 * MIB)
        evict = {"hDevice": DEVICE, "AllocationList": [SMALL]}
        program.call(GAME, "Evict", evict, {"NumBytesToTrim": MIB})
        for _ in range(2):
            program.call(GAME, "CreateDevice", {"hAdapter": 5}, None, "STATUS_INVALID_PARAMETER")
        objects = {"cObjects": 1, "hObjects": [RESOURCE], "pObjectAttributes": None, "dwDesiredAccess": 1}
        program.call(GAME, "ShareObjects", objects, {"phSharedNtHandle": NT_HANDLE})
        program.call(
            GAME, "OpenResourceFromNtHandle", {"hDevice": DEVICE, "hNtHandle": NT_HANDLE}, {"hResource": OPENED}
        )
        program.wait(3 * SECOND)
        program.call(GAME, "Lock2", {"hDevice": DEVICE, "hAllocation": LARGE}, {"pData": 0x7000}, duration=5_000_000)
        freed = {"hDevice": DEVICE, "AllocationCount": 1, "phAllocationList": [SMALL]}
        program.call(RUNTIME, "DestroyAllocation2", freed)
        builder.add("D3DKMTCloseAdapter", {"hAdapter": ADAPTER}, None, None, enter_ns=3 * SECOND + 6_000_000)
        program.callers.append(0)
    with Trace(made) as trace:
        events = (
            dataclasses.replace(event, caller=program.callers[event.index or 0]) if isinstance(event, Enter) else event
            for event in trace.events()
        )
        write_copy(trace, open_copy(trace, path, modules=(GAME, RUNTIME)), events)
    made.unlink()
    return path
