"""The first cause comes first, whatever follows from it; and the laws that a comparison keeps."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

import tracekmt
from tracekmt import ntstatus
from tracekmt.report.findings import Report
from tracekmt.report.text import report_lines
from tracekmt.resources import resource
from tracekmt.trace.call import TracedCall

USES = 300
CALLS = 20_000
CREATE, DESTROY = "D3DKMTCreateAllocation2", "D3DKMTDestroyAllocation2"

Ask = Callable[..., Any]


def allocate(ask: Ask, device: int, resource: int = 0, *, make: bool = False) -> Any:
    given = {"hDevice": device, "hResource": resource, "pAllocationInfo2": [{"pPrivateDriverData": b"driver's own"}]}
    return ask(CREATE, {**given, "Flags": ["CreateResource"] if make else []})


def come_and_go(ask: Ask, device: int) -> None:
    made = allocate(ask, device)["pAllocationInfo2"][0]["hAllocation"]
    ask(DESTROY, {"hDevice": device, "phAllocationList": [made]})


def device_comes_and_goes(ask: Ask, adapter: int) -> None:
    ask("D3DKMTDestroyDevice", {"hDevice": ask("D3DKMTCreateDevice", {"hAdapter": adapter})["hDevice"]})


@pytest.fixture(scope="session")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20,000 calls, among them 300 and more with each of ten objects that the first calls make."""
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
                device_comes_and_goes(ask, adapter)
            for device in devices[1:5]:
                come_and_go(ask, device)
            for resource in resources:
                allocate(ask, devices[0], resource)
        while count < CALLS:
            come_and_go(ask, devices[5])
    return path


@pytest.mark.parametrize(
    "fault",
    [
        *(f"D3DKMTOpenAdapterFromLuid@{n}" for n in (2, 3, 4)),
        *(f"D3DKMTCreateDevice@{n}" for n in (2, 3, 4, 5)),
        *(f"{CREATE}@{n}" for n in (1, 2, 3)),
    ],
)
def test_of_two_drivers_that_differ_in_one_rule_the_first_cause_comes_first(long: Path, fault: str) -> None:
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


DEMO = resource("traces", "demo.kmt")


def rewrite(path: Path, index: int, change: Callable[[TracedCall, dict[str, Any]], None]) -> Path:
    """The demonstration's trace once more, with one call changed."""
    with tracekmt.open(DEMO) as trace, tracekmt.create(path, force=True) as other:
        for call in trace.calls():
            assert call.status is not None
            assert isinstance(call.inputs, dict)
            told: dict[str, Any] = {"outputs": deepcopy(call.outputs), "status": int(call.status)}
            if call.index == index:
                change(call, told)
            other.add(call.name, call.inputs, told["outputs"], status=told["status"], thread=call.thread)
    return path


def unchanged(call: TracedCall, told: dict[str, Any]) -> None:
    pass


def other_status(call: TracedCall, told: dict[str, Any]) -> None:
    told["status"] = int(ntstatus.status("STATUS_NO_MEMORY" if not told["status"] else "STATUS_DEVICE_BUSY"))


def causes(report: Report) -> list[tuple[Any, ...]]:
    return [(f.kind, f.index, f.recorded, f.replayed) for f in report.findings if f.cause is None and f.counts]


@pytest.fixture(scope="session")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("laws")


@pytest.mark.parametrize("index", range(19))
def test_any_changed_status_is_one_cause_and_the_mirror_says_the_same(scratch: Path, index: int) -> None:
    same = rewrite(scratch / "same.kmt", -1, unchanged)
    changed = rewrite(scratch / "changed.kmt", index, other_status)
    assert tracekmt.diff(DEMO, same).same
    there, back = causes(tracekmt.diff(same, changed)), causes(tracekmt.diff(changed, same))
    assert [(kind, place) for kind, place, *_ in there] == [("status", index)]
    assert back == [(kind, place, after, before) for kind, place, before, after in there]


@pytest.mark.parametrize(
    ("function", "field"),
    [("D3DKMTOpenAdapterFromLuid", "hAdapter"), ("D3DKMTCreateDevice", "hDevice"), (CREATE, "hAllocation")],
)
def test_a_nulled_handle_is_one_cause(scratch: Path, function: str, field: str) -> None:
    def null(call: TracedCall, told: dict[str, Any]) -> None:
        holder = told["outputs"]["pAllocationInfo2"][0] if field == "hAllocation" else told["outputs"]
        assert holder[field]
        holder[field] = 0

    same = rewrite(scratch / "same.kmt", -1, unchanged)
    with tracekmt.open(DEMO) as trace:
        made = [call.index for call in trace.calls() if call.name == function and call.succeeded]
    for index in made:
        (found,) = causes(tracekmt.diff(same, rewrite(scratch / "null.kmt", index, null)))
        assert found == ("handle", index, "live", "null")


def test_a_flipped_byte_of_what_a_call_writes_is_one_cause(tmp_path: Path) -> None:
    """Of every byte that the call hands back in a field of its own."""
    paths = []
    for flipped in (None, 0, 3, 7):
        paths.append(tmp_path / f"{flipped}.kmt")
        with tracekmt.create(paths[-1]) as trace:
            trace.add("D3DKMTOpenAdapterFromLuid", {"AdapterLuid": {"LowPart": 1}}, {"hAdapter": 0x40000000})
            budget = bytearray((1 << 32).to_bytes(8, "little"))
            if flipped is not None:
                budget[flipped] ^= 0x10
            asked = {"hAdapter": 0x40000000, "MemorySegmentGroup": 0}
            trace.add("D3DKMTQueryVideoMemoryInfo", asked, {"Budget": int.from_bytes(budget, "little")})
    for other in paths[1:]:
        (found,) = causes(tracekmt.diff(paths[0], other))
        assert found[:2] == ("field", 1)
        (back,) = causes(tracekmt.diff(other, paths[0]))
        assert back == (found[0], found[1], found[3], found[2])
