"""The first cause is the first finding of a report, however many consequences it has."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tracekmt
from tracekmt.report.text import report_lines

USES = 300
CALLS = 20_000
CREATE, DESTROY = "D3DKMTCreateAllocation2", "D3DKMTDestroyAllocation2"

Ask = Callable[..., Any]


def allocate(ask: Ask, device: int, resource: int = 0, *, make: bool = False, data: bytes = b"driver's own") -> Any:
    inputs = {"hDevice": device, "hResource": resource, "pAllocationInfo2": [{"pPrivateDriverData": data}]}
    return ask(CREATE, {**inputs, "Flags": ["CreateResource"] if make else []})


def create_and_destroy(ask: Ask, device: int) -> None:
    allocation = allocate(ask, device)["pAllocationInfo2"][0]["hAllocation"]
    ask(DESTROY, {"hDevice": device, "phAllocationList": [allocation]})


def create_and_destroy_device(ask: Ask, adapter: int) -> None:
    ask("D3DKMTDestroyDevice", {"hDevice": ask("D3DKMTCreateDevice", {"hAdapter": adapter})["hDevice"]})


@pytest.fixture(scope="session")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trace of 20,000 calls. The first calls create ten objects, and at least 300 calls use each of them."""
    path = tmp_path_factory.mktemp("long") / "long.kmt"
    simulator, count = tracekmt.Simulator(), 0
    with tracekmt.create(path) as trace:

        def ask(name: str, inputs: dict[str, Any]) -> Any:
            nonlocal count
            outcome = simulator.call(name, inputs)
            assert outcome.status == 0, (name, outcome.status)
            trace.add(name, inputs, outcome.outputs, status=int(outcome.status))
            count += 1
            return outcome.outputs

        adapters = [ask("D3DKMTOpenAdapterFromLuid", {"AdapterLuid": {"LowPart": 1}})["hAdapter"] for _ in range(4)]
        devices = [ask("D3DKMTCreateDevice", {"hAdapter": adapters[0]})["hDevice"] for _ in range(6)]
        resources = [allocate(ask, devices[0], make=True)["hResource"] for _ in range(3)]
        for _ in range(USES):
            for adapter in adapters[1:]:
                create_and_destroy_device(ask, adapter)
            for device in devices[1:5]:
                create_and_destroy(ask, device)
            for resource in resources:
                allocate(ask, devices[0], resource)
        while count < CALLS:
            create_and_destroy(ask, devices[5])
    return path


@pytest.mark.parametrize(
    "fault",
    [
        *(f"D3DKMTOpenAdapterFromLuid@{n}" for n in (2, 3, 4)),
        *(f"D3DKMTCreateDevice@{n}" for n in (2, 3, 4, 5)),
        *(f"{CREATE}@{n}" for n in (1, 2, 3)),
    ],
)
def test_one_failure_of_twenty_thousand_calls_is_one_cause(long: Path, fault: str) -> None:
    report = tracekmt.replay(long, faults=[f"{fault}=STATUS_NO_MEMORY"])
    lines = list(report_lines(report))
    assert len(lines) < 40
    assert max(map(len, lines[1:])) <= 120
    name = fault.partition("@")[0]
    assert lines[2].endswith(name)
    followed = [finding for finding in report.findings if finding.cause is not None]
    (cause,) = {finding.cause for finding in followed}
    assert lines[2].startswith(f"#{cause} ")
    assert len(followed) >= USES
    assert [finding.index for finding in report.findings if finding.cause is None] == [cause]


MACHINES = {
    "a smaller adapter": {"video_memory": "256MB"},
    "a driver that makes it larger": {"drivers": [{"magic": "50414745", "offset": 4, "width": 4, "unit": 1 << 20}]},
    "a driver that refuses": {"faults": [f"{CREATE}@1=STATUS_INVALID_PARAMETER"]},
}


@pytest.mark.parametrize("other", MACHINES.values(), ids=MACHINES)
def test_outcomes_of_one_trace_on_two_machines(tmp_path: Path, other: dict[str, Any]) -> None:
    """The first driver allocates 512 MB. The other machine has less memory, or its driver rejects the allocation."""
    rule = {"magic": "50414745", "offset": 4, "width": 4, "unit": 1 << 10}
    trace = tmp_path / "trace.kmt"
    simulator = tracekmt.Simulator(drivers=[rule])
    with tracekmt.create(trace) as builder:

        def ask(name: str, inputs: dict[str, Any]) -> Any:
            outcome = simulator.call(name, inputs)
            builder.add(name, inputs, outcome.outputs, status=int(outcome.status))
            return outcome.outputs

        adapter = ask("D3DKMTOpenAdapterFromLuid", {"AdapterLuid": {"LowPart": 1}})["hAdapter"]
        device = ask("D3DKMTCreateDevice", {"hAdapter": adapter})["hDevice"]
        large = b"PAGE" + (512 << 10).to_bytes(4, "little")
        resource = allocate(ask, device, make=True, data=large)["hResource"]
        for _ in range(USES):
            allocate(ask, device, resource)
            create_and_destroy(ask, device)
    outcomes = []
    first = {"drivers": [rule], "video_memory": "4GB"}
    for number, settings in enumerate((first, {**first, **other})):
        outcomes.append(tmp_path / f"{number}.kmt")
        tracekmt.replay(trace, on=tracekmt.Simulator(**settings), output=outcomes[-1])
    report = tracekmt.diff(*outcomes)
    lines = list(report_lines(report))
    assert len(lines) < 40
    assert lines[2].startswith("#2 ")
    assert lines[2].endswith(CREATE)
    assert [finding.index for finding in report.findings if finding.cause is None] == [2]
    assert sum(finding.cause == 2 for finding in report.findings) >= USES
