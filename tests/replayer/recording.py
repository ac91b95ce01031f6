"""Short recordings of calls, and what a replay takes from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tracekmt
from tracekmt.findings import Report

ADAPTER, DEVICE, OTHER_DEVICE, ALLOCATION, RESOURCE, SYNC, QUEUE = (0x40000000 + 0x40 * n for n in range(7))
OPENED = 0x40001000
LUID, OTHER_LUID = {"LowPart": 0xBEEF, "HighPart": 2}, {"LowPart": 0xCAFE, "HighPart": 2}
GLOBAL, NT = 0x40000002, 0x1B4
PRIVATE = {"pPrivateDriverData": b"only the driver knows"}


def replay(path: Path, *calls: tuple[Any, ...], **settings: Any) -> Report:
    """Replay a trace of calls: name without D3DKMT, inputs, outputs and status."""
    with tracekmt.create(path) as trace:
        for name, *rest in calls:
            trace.add(name if name.startswith("Nt") else f"D3DKMT{name}", *rest)
    return tracekmt.replay(path, **settings)


def opened(status: Any = 0, luid: dict[str, int] = LUID, handle: int = ADAPTER) -> tuple[Any, ...]:
    return "OpenAdapterFromLuid", {"AdapterLuid": luid}, {"hAdapter": 0 if status else handle}, status


def device(handle: int = DEVICE, status: Any = 0) -> tuple[Any, ...]:
    return "CreateDevice", {"hAdapter": ADAPTER}, {"hDevice": 0 if status else handle}, status


def allocation(status: Any = 0, on: int = DEVICE, handle: int = ALLOCATION) -> tuple[Any, ...]:
    outputs = {} if status else {"pAllocationInfo2": [{"hAllocation": handle}]}
    return "CreateAllocation2", {"hDevice": on, "pAllocationInfo2": [PRIVATE]}, outputs, status


def taken(report: Report) -> list[tuple[int | None, str]]:
    """Return the calls whose outcome was taken, with the reason. Every other finding fails the test."""
    assert report.same, report.findings
    return [(finding.index, finding.message.partition(";")[0]) for finding in report.findings]


def reason(path: str) -> str:
    return f"{path} is older than the trace, or another process or API made it"
