"""Differences between runs of one side do not count, and others do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

import tracekmt
from tracekmt.findings import Report

Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Write a run: budgets that the adapter gave, retries of one query, and the size of a creation."""

    def build(
        name: str, budgets: Sequence[int] = (1, 2, 3, 4), retries: int = 0, status: int = 0, size: int = 8
    ) -> Path:
        path = tmp_path / f"{name}.kmt"
        with tracekmt.create(path) as trace:
            adapter = {"hAdapter": 0x40000000}
            trace.add("D3DKMTOpenAdapterFromLuid", {"AdapterLuid": {"LowPart": 1}}, adapter)
            trace.add("D3DKMTCreateDevice", adapter, {"hDevice": 0x40000040})
            for group, budget in enumerate(budgets):
                inputs = {**adapter, "MemorySegmentGroup": group % 2, "PhysicalAdapterIndex": group}
                trace.add("D3DKMTQueryVideoMemoryInfo", inputs, {"Budget": budget << 20})
            for _ in range(retries):
                trace.add("D3DKMTWaitForIdle", {"hDevice": 0x40000040})
            outputs = {"pAllocationInfo2": [{"hAllocation": 0x40000080}]} if status == 0 else None
            info = [{"pPrivateDriverData": bytes(size)}]
            creation = {"hDevice": 0x40000040, "pAllocationInfo2": info}
            trace.add("D3DKMTCreateAllocation2", creation, outputs, status=status)
        return path

    return build


def kinds(report: Report) -> list[tuple[str, str, str | None]]:
    counted = (finding for finding in report.findings if finding.counts)
    return [(finding.kind, finding.call.removeprefix("D3DKMT"), finding.path) for finding in counted]


def test_a_field_that_varies_is_noise(make: Make) -> None:
    before, after = make("a"), make("b", budgets=(9, 7, 5, 8), size=24)
    assert ("field", "QueryVideoMemoryInfo", "Budget") in kinds(tracekmt.diff(before, after))
    report = tracekmt.diff(before, after, again=[make("a2", budgets=(3, 1, 4, 2))])
    assert kinds(report) == [("input", "CreateAllocation2", "pAllocationInfo2[0].PrivateDriverDataSize")]
    assert sum(finding.count for finding in report.noise) == 4
    assert report.to_dict()["noise"][0]["path"] == "Budget"
    runs, counted = report.notes
    assert runs == f"runs of {before}: {before.with_name('a2.kmt')}"
    assert counted == "not counted, because it varies between runs: 4 (4 in fields that vary, 0 in calls that vary)"


def test_a_value_that_varies_in_one_call_is_noise_in_that_call_only(make: Make) -> None:
    before, again = make("a"), make("a2", budgets=(1, 2, 8, 4))
    assert tracekmt.diff(before, make("b", budgets=(1, 2, 5, 4)), again=[again]).same
    report = tracekmt.diff(before, make("c", budgets=(1, 6, 5, 4)), again=[again])
    assert [(finding.index, finding.count) for finding in report.findings] == [(3, 1)]


def test_a_changed_status_is_no_noise_of_another_call(make: Make) -> None:
    report = tracekmt.diff(make("a"), make("b", status=0xC0000017), again=[make("a2", budgets=(3, 1, 4, 2))])
    assert kinds(report) == [("status", "CreateAllocation2", None)]


def test_calls_whose_number_varies_are_noise(make: Make) -> None:
    before, after = make("a", retries=1), make("b", retries=4)
    assert {kind for kind, _, _ in kinds(tracekmt.diff(before, after))} == {"extra"}
    assert tracekmt.diff(before, after, again=[make("b2", retries=2)]).same
    assert not tracekmt.diff(before, after, again=[make("b3", retries=4)]).same


def test_each_run_belongs_to_the_side_that_it_is_like(make: Make) -> None:
    before, after = make("a"), make("b", status=0xC0000017)
    again = [make("b2", status=0xC0000017, budgets=(1, 2, 8, 4)), make("a2", budgets=(1, 9, 3, 4))]
    report = tracekmt.diff(before, after, again=again)
    assert report.notes[:2] == [f"runs of {before}: {again[1]}", f"runs of {after}: {again[0]}"]
    assert kinds(report) == [("status", "CreateAllocation2", None)]


def test_what_follows_from_noise_is_noise(tmp_path: Path) -> None:
    """The creation fails in one run of A and in B. Its consequences are noise too, a new status is not."""
    paths = {}
    for name, is_failed in (("a", False), ("a2", True), ("b", True)):
        paths[name] = tmp_path / f"{name}.kmt"
        with tracekmt.create(paths[name]) as trace:
            adapter, device = {"hAdapter": 0x40000000}, {"hDevice": 0x40000040}
            trace.add("D3DKMTOpenAdapterFromLuid", {"AdapterLuid": {"LowPart": 1}}, adapter)
            trace.add("D3DKMTCreateDevice", adapter, None if is_failed else device, 0xC0000017 * is_failed)
            trace.add("D3DKMTDestroyDevice", {"hDevice": 0} if is_failed else device, {}, 0xC000000D * is_failed)
            for group in range(2):
                trace.add(
                    "D3DKMTQueryVideoMemoryInfo", {**adapter, "MemorySegmentGroup": group}, {"Budget": name != "b"}
                )
            trace.add("D3DKMTCloseAdapter", adapter, {}, 0xC000000D * (name == "b"))
    report = tracekmt.diff(paths["a"], paths["b"], again=[paths["a2"]])
    assert [(finding.kind, finding.index) for finding in report.findings] == [("field", 3), ("status", 5)]
    assert {finding.index for finding in report.noise} == {1, 2}
