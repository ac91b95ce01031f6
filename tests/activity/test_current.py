"""The activity of a recording in progress equals that of its finished trace."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

import tracekmt
from tests.minimize.workload import Workload
from tracekmt.activity.current import CurrentActivity, Snapshot
from tracekmt.activity.follow import follow
from tracekmt.resources import resource
from tracekmt.simulator.model.allocation_size import sample_data
from tracekmt.trace.events import Lost
from tracekmt.trace.reader import Trace

DEMO = resource("traces", "demo.kmt")
SAMPLES = sorted(DEMO.parent.glob("*.kmt"))


def activity_of(trace: Trace, batch: int = 7) -> CurrentActivity:
    """Return the activity after the events of a trace, which arrive some at a time."""
    activity, events = CurrentActivity(), list(trace.events())
    for start in range(0, len(events), batch):
        activity.on_events(trace.specs, trace.abi, events[start : start + batch])
    return activity


def check(path: Path) -> Snapshot:
    with Trace(path) as trace:
        snapshot = activity_of(trace).snapshot(2.0, 0, None)
        calls = list(trace.calls())
        assert {found.name: found.calls for found in snapshot.functions} == Counter(call.name for call in calls)
        assert all(found.rate == found.calls / 2 for found in snapshot.functions)
        failed = [call for call in calls if call.returned and not call.succeeded]
        counts = Counter((call.name, call.outcome_text) for call in failed)
        assert {(name, status): count for name, status, count in snapshot.failing} == counts
        assert sum(found.failed for found in snapshot.functions) == len(failed)
        if failed:
            last = max(failed, key=lambda call: call.leave.sequence if call.leave is not None else 0)
            assert snapshot.last_failed == {**last.to_json(), "caller": None}
        memory, objects = None, Counter[str]()
        for step in follow(trace):
            memory = step.memory
            objects.update(identity.kind.name for identity in step.created)
            objects.subtract(identity.kind.name for identity in step.destroyed)
        names = ("requested", "resident", "offered", "unsized")
        assert snapshot.memory == {name: getattr(memory, name) for name in names}
        assert snapshot.objects == +objects
    return snapshot


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_samples(path: Path) -> None:
    check(path)


def test_random_calls_and_failures(tmp_path: Path) -> None:
    with tracekmt.create(tmp_path / "work.kmt", abi="x64") as builder:
        work = Workload(builder, random.Random(5))
        work.run(200)
        elements = [{"pPrivateDriverData": sample_data(5000)}]
        work.call("CreateAllocation2", hDevice=work.device, NumAllocations=1, pAllocationInfo2=elements)
        work.call("CreateDevice", "STATUS_NO_MEMORY", hAdapter=work.adapter)
        work.call("Lock2", "STATUS_INVALID_PARAMETER", hDevice=1, hAllocation=2)
        work.run(10)
    snapshot = check(tmp_path / "work.kmt")
    assert snapshot.memory["requested"] == 5000
    assert snapshot.last_failed is not None
    assert snapshot.last_failed["in"]["hAllocation"] == "0x2"


def test_rates_are_those_since_the_last_snapshot() -> None:
    with Trace(DEMO) as trace:
        activity = activity_of(trace)
        assert activity.snapshot(4.0, 0, None).rate == len(trace) / 4
        later = activity.snapshot(5.0, 3, "the process ended")
    assert (later.rate, later.calls, later.lost, later.ended) == (0, 19, 3, "the process ended")
    assert all(found.rate == 0 for found in later.functions)
    assert later.to_json()["functions"]["D3DKMTCreateDevice"] == {"calls_per_s": 0.0, "calls": 2, "failed": 0}


def test_lost_events_leave_calls_without_their_return() -> None:
    with Trace(DEMO) as trace:
        enter, leave, *rest = trace.events()
        activity = CurrentActivity()
        activity.on_events(trace.specs, trace.abi, [enter, Lost(2, 5), leave, *rest])
        assert activity.snapshot(1.0, 5, None).calls == len(trace)
