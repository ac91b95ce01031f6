"""Calls that are sent ahead of their places leave the replay as it is."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tracekmt
from tests.replayer.conftest import Kernel
from tracekmt.calls import CALLS
from tracekmt.codec import encode
from tracekmt.differ.compare import Comparison
from tracekmt.differ.outcome import EnteredCall, Outcome
from tracekmt.findings import Report
from tracekmt.replayer import engine
from tracekmt.replayer.lookahead import Lookahead, changes_of, depends_on, may_be_passed
from tracekmt.thunks.answers import _PolledAnswers, _ThreadedAnswers
from tracekmt.thunks.library import Library, PostedCall
from tracekmt.thunks.process import LibraryProcessDied
from tracekmt.trace.reader import Trace

QUERY = CALLS["D3DKMTQueryVideoMemoryInfo"]


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans())), st.lists(st.integers(0, 5)))
@settings(deadline=None)
def test_a_view_changes_no_event(events: list[Any], views: list[int]) -> None:
    lookahead = Lookahead(iter(events))
    seen = []
    passed = 0
    for position, event in enumerate(lookahead):
        seen.append(event)
        passed = max(passed, position + 1)
        wanted = views[position % len(views)] if views else 0
        coming = []
        for later in lookahead.coming():
            coming.append(later)
            if len(coming) > wanted:
                break
        assert coming == events[passed : passed + len(coming)]
        assert len(coming) == min(wanted + 1, len(events) - passed)
        passed += min(wanted, len(coming))
    assert seen == events


def entered(trace: Trace, index: int) -> EnteredCall:
    """Return a call of a trace with the objects that it destroys."""
    comparison = Comparison(Report(names=("", "")))
    for call, is_leave in trace.call_events():
        if call.index == index:
            return comparison.on_enter(call, lambda kind, handle, handles: handle)
        if is_leave:
            comparison.on_leave(EnteredCall(call), Outcome(call.status, call.spec.argument, call.outputs, call.index))
    raise AssertionError


def test_what_calls_change_and_what_depends_on_it(tmp_path: Path) -> None:
    adapter, device, allocation, other, fence, address = 5, 6, 7, 8, 9, 0x10000
    path = tmp_path / "trace.kmt"
    with tracekmt.create(path) as trace:
        add = trace.add
        add("D3DKMTOpenAdapterFromLuid", {"AdapterLuid": {"LowPart": 1}}, {"hAdapter": adapter})
        add("D3DKMTCreateDevice", {"hAdapter": adapter}, {"hDevice": device})
        element = [{"pPrivateDriverData": b"abcd"}]
        inputs = {"hDevice": device, "pAllocationInfo2": element}
        add("D3DKMTCreateAllocation2", inputs, {"pAllocationInfo2": [{"hAllocation": allocation}]})
        add("D3DKMTCreateAllocation2", inputs, {"pAllocationInfo2": [{"hAllocation": other}]})
        add("D3DKMTLock2", {"hDevice": device, "hAllocation": allocation}, {"pData": address})
        add("D3DKMTQueryVideoMemoryInfo", {"hAdapter": adapter})
        values = {"hDevice": device, "ObjectHandleArray": [fence], "FenceValueArray": [3]}
        add("D3DKMTSignalSynchronizationObjectFromCpu", values)
        add("D3DKMTDestroyAllocation2", {"hDevice": device, "phAllocationList": [other]})
        add("D3DKMTFreeGpuVirtualAddress", {"hAdapter": adapter, "BaseAddress": address, "Size": 4096})
        add("D3DKMTDestroyDevice", {"hDevice": device})
    open_adapter, create_device, create, create_other, lock, query, signal, destroy, free, destroy_device = range(10)
    dependent = {
        open_adapter: {create_device, query, free},
        create_device: {create, create_other, lock, signal, destroy, destroy_device},
        create: {lock},
        create_other: {destroy},
        lock: {free},  # all ranges count
        query: set(),
        signal: {signal},
        destroy: {destroy},
        destroy_device: {create, create_other, lock, signal, destroy, free, destroy_device},  # and what is within it
    }
    with tracekmt.open(path) as opened:
        for index, expected in dependent.items():
            changes = [changes_of(entered(opened, index))]
            found = {call.index for call in opened.calls() if depends_on(call, changes)}
            assert found == expected, opened[index].name
            assert not depends_on(opened[index], [])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Escape", True),
        ("CreateAllocation2", True),
        ("SignalSynchronizationObjectFromCpu", True),
        ("WaitForSynchronizationObjectFromCpu", False),
        ("Present", False),
    ],
)
def test_calls_that_may_block_keep_others_back(name: str, expected: bool) -> None:
    assert may_be_passed(CALLS[f"D3DKMT{name}"]) is expected


def record(path: Path, seed: int) -> Path:
    """Write a trace of queries, escapes, signals, creations and destructions."""
    rng = random.Random(seed)
    device, fence = 0x40000040, 0x40000080
    with tracekmt.create(path) as trace:
        trace.add("D3DKMTOpenAdapterFromLuid", {"AdapterLuid": {"LowPart": 0x77}}, {"hAdapter": 0x40000000})
        trace.add("D3DKMTCreateDevice", {"hAdapter": 0x40000000}, {"hDevice": device})
        info = {"Type": "D3DDDI_MONITORED_FENCE", "MonitoredFence": {"InitialFenceValue": 0}}
        mapped = {"hSyncObject": fence, "Info": {"MonitoredFence": {"FenceValueCPUVirtualAddress": 0x1230000}}}
        trace.add("D3DKMTCreateSynchronizationObject2", {"hDevice": device, "Info": info}, mapped)
        allocations: list[int] = []
        for number in range(60):
            choice = rng.random()
            if choice < 0.3:
                # The second query is about an adapter that is older than the trace.
                adapter = 0x40000000 if choice < 0.27 else 0x4000F000
                memory = {"Budget": 1 << 30, "CurrentUsage": 0 if choice < 0.2 else 65536}
                trace.add("D3DKMTQueryVideoMemoryInfo", {"hAdapter": adapter, "MemorySegmentGroup": 1}, memory)
            elif choice < 0.7:
                data = rng.randbytes(rng.choice([4, 64, 30_000]))
                trace.add("D3DKMTEscape", {"hAdapter": 0x40000000, "hDevice": device, "pPrivateDriverData": data})
            elif choice < 0.8:
                inputs = {"hDevice": device, "ObjectHandleArray": [fence], "FenceValueArray": [number]}
                trace.add("D3DKMTSignalSynchronizationObjectFromCpu", inputs)
            elif choice < 0.9 or not allocations:
                allocations.append(0x40010000 + 0x40 * number)
                inputs = {"hDevice": device, "pAllocationInfo2": [{"pPrivateDriverData": b"abcd"}]}
                outputs = {"pAllocationInfo2": [{"hAllocation": allocations[-1]}]}
                trace.add("D3DKMTCreateAllocation2", inputs, outputs)
            else:
                handle = allocations.pop(rng.randrange(len(allocations)))
                trace.add("D3DKMTDestroyAllocation2", {"hDevice": device, "phAllocationList": [handle]})
    return path


FAULTS = ("", "Escape:4:crash", "Escape:7:hang", "QueryVideoMemoryInfo:6:c00002b6", "Escape:5:c000000d")


@pytest.mark.parametrize("keep_going", [False, True])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_replay_is_the_same_with_calls_that_are_sent_ahead(
    kernel: Kernel, tmp_path: Path, fault: str, keep_going: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = record(tmp_path / "trace.kmt", len(fault))
    most = 0
    post = Library.post

    def counting_post(library: Library, *arguments: Any) -> PostedCall | None:
        nonlocal most
        posted = post(library, *arguments)
        most = max(most, len(library._posted))
        return posted

    monkeypatch.setattr(Library, "post", counting_post)
    results = []
    for kind in ("ahead", "in order"):
        if kind == "in order":
            monkeypatch.setattr(engine, "may_be_passed", lambda spec: False)
        kernel.order(fault)
        (tmp_path / "once").unlink(missing_ok=True)
        outcome = tmp_path / f"{kind}.kmt"
        settings: dict[str, Any] = {
            "allow": ["D3DKMTEscape"],
            "keep_going": keep_going,
            "timeout": 1,
            "output": outcome,
        }
        report = kernel.replay(trace, **settings)
        assert most > 1
        with tracekmt.open(outcome) as opened:
            calls = [{**call.to_json(), "enter_ns": 0, "leave_ns": 0} for call in opened.calls()]
        results.append((report, calls))
        assert kernel.living == 0 or fault.endswith(("crash", "hang"))
    assert results[0] == results[1]
    stopped = results[0][0].stopped
    assert (stopped is None) is (keep_going or fault in ("", "Escape:5:c000000d"))


def test_objects_of_calls_that_were_sent_ahead_are_destroyed(kernel: Kernel, tmp_path: Path) -> None:
    """The replay stops at a lost device, and the library has made the creation behind that query."""
    path = tmp_path / "trace.kmt"
    with tracekmt.create(path) as trace:
        trace.add("D3DKMTOpenAdapterFromLuid", {"AdapterLuid": {"LowPart": 0x11}}, {"hAdapter": 0x40000000})
        trace.add("D3DKMTQueryVideoMemoryInfo", {"hAdapter": 0x40000000}, {"Budget": 1 << 30})
        trace.add("D3DKMTCreateDevice", {"hAdapter": 0x40000000}, {"hDevice": 0x40000040})
    kernel.order("QueryVideoMemoryInfo:1:c00002b6")
    report = kernel.replay(path)
    assert report.stopped is not None
    assert kernel.sent["CreateDevice"] == 1
    assert kernel.living == 0


@pytest.fixture
def opened(library: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Library]:
    opened = Library(library, 5.0)
    yield opened
    opened.close(now=True)


def request(library: Library, group: int = 0) -> Any:
    arena = library.arena()
    arguments = encode(QUERY, library.abi, arena, {"hAdapter": 5, "MemorySegmentGroup": group})
    return QUERY, arguments, arena.regions()


def test_outcomes_come_in_the_order_of_the_requests(opened: Library) -> None:
    posted = [opened.post(*request(opened, group)) for group in range(4)]
    assert opened.process()  # another request in between
    for group, each in enumerate(posted):
        assert each is not None
        value, regions = opened.finish(each)
        assert value == 0xC000000D
        assert regions[0][2][12] == group


def test_the_pipe_of_requests_never_blocks(opened: Library) -> None:
    """A library that hangs reads no requests, and the replay has to see the time pass."""
    posted = 0
    while opened.post(*request(opened)) is not None:
        posted += 1
        assert posted < 10_000
    assert posted > 4
    assert opened.call(*request(opened))[0] == 0xC000000D
    assert opened.post(*request(opened)) is not None


def test_a_large_call_behind_a_large_one(opened: Library) -> None:
    """The library writes an answer that no pipe holds while it gets a request that no pipe holds."""
    spec, arguments, regions = request(opened)
    large = [*regions, (opened._base + (1 << 20), 1 << 20, bytes(1 << 20))]
    posted = opened.post(spec, arguments, large)
    assert posted is not None
    assert opened.call(spec, arguments, large)[0] == 0xC000000D
    assert opened.finish(posted)[0] == 0xC000000D


@pytest.mark.parametrize("fault", ["crash", "hang"])
def test_calls_after_one_that_does_not_return_are_not_made(library: Path, kernel: Kernel, fault: str) -> None:
    kernel.order(f"QueryVideoMemoryInfo:2:{fault}")
    opened = Library(library, 0.5)
    first, second, third = (opened.post(*request(opened)) for _ in range(3))
    assert first is not None
    assert second is not None
    assert third is not None
    with pytest.raises(LibraryProcessDied, match="ended at an earlier call"):
        opened.finish(third)
    assert opened.finish(first)[0] == 0xC000000D
    with pytest.raises(LibraryProcessDied, match=r"crashed|timed out"):
        opened.finish(second)
    assert kernel.sent["QueryVideoMemoryInfo"] == 2
    with pytest.raises(LibraryProcessDied, match="ended at an earlier call"):
        opened.call(*request(opened))
    opened.restart()
    assert opened.call(*request(opened))[0] == 0xC000000D
    opened.close()


def await_answer(opened: Library) -> None:
    """Wait until an answer can be read."""
    answers = opened._process._answers
    if isinstance(answers, _PolledAnswers):
        assert answers._selector.select(10)
    else:
        assert isinstance(answers, _ThreadedAnswers)
        while answers._read.empty():
            time.sleep(0.01)


def test_a_library_that_ends_between_two_calls(opened: Library) -> None:
    """The first call was answered, so the process has not ended at it."""
    first = opened.post(*request(opened))
    await_answer(opened)
    opened._process._process.kill()
    opened._process._process.wait()
    second, third = opened.post(*request(opened)), opened.post(*request(opened))
    assert first is not None
    assert second is not None
    assert third is not None
    assert opened.finish(first)[0] == 0xC000000D
    with pytest.raises(LibraryProcessDied, match=r"crashed|exited"):
        opened.finish(second)
    with pytest.raises(LibraryProcessDied, match="ended at an earlier call"):
        opened.finish(third)
