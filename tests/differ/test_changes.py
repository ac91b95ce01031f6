"""One change between two recordings: it is found, as a cause, and nothing else is.

The second recording has other handles, addresses and thread ids than the first one, as another run would.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from copy import deepcopy
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import Any

import pytest

import tracekmt
from tests.differ.changes import Recording, relocate_call
from tracekmt import ntstatus
from tracekmt.differ import folding
from tracekmt.differ.columns import FIRST
from tracekmt.differ.history import History, Names
from tracekmt.differ.read_history import read_history
from tracekmt.findings import Finding, Report
from tracekmt.resources import resource
from tracekmt.spec.layout import lay_out
from tracekmt.spec.types import Flags
from tracekmt.trace.reader import Trace

TRACES = [resource("traces", f"{name}.kmt") for name in ("demo", "intel-opencl")]
ROUNDS = 25
NO_MEMORY = int(ntstatus.status("STATUS_NO_MEMORY"))

Change = Callable[[Recording, random.Random], "Expected | None"]


class Expected:
    """The one finding that a change has to bring.

    Attributes:
        kind: Its kind.
        index: Index of the call in the first trace, or in the second one for an extra call.
        calls: Number of calls that it is about, or its run of calls.
    """

    def __init__(self, kind: str, index: int | None = None, *, calls: int = 1) -> None:
        self.kind, self.index, self.calls = kind, index, calls


def causes(report: Report) -> list[Finding]:
    return [finding for finding in report.findings if finding.cause is None and finding.counts]


def returned(recording: Recording) -> list[int]:
    return [index for index, (_, leave) in recording.events.items() if leave is not None]


def another_status(recording: Recording, chance: random.Random) -> Expected:
    index = chance.choice(returned(recording))
    _, leave = recording.events[index]
    assert leave is not None
    recording.set_status(index, NO_MEMORY if leave.result != NO_MEMORY else 0)
    return Expected("status", index)


def one_call_less(recording: Recording, chance: random.Random) -> Expected:
    index = chance.choice(returned(recording))
    recording.remove(index)
    return Expected("missing", index)


def more_calls(recording: Recording, chance: random.Random, number: int) -> Expected | None:
    """Repeat a call that neither creates nor destroys anything behind any call that its objects live at."""
    index = chance.choice(returned(recording))
    if recording.calls[index].spec.creates or recording.calls[index].spec.destroys:
        return None
    after = chance.choice([other for other in returned(recording) if other >= index])
    added = recording.add(index, after, number)
    return Expected("extra", recording.order().index(added[0]), calls=number)


def one_call_more(recording: Recording, chance: random.Random) -> Expected | None:
    return more_calls(recording, chance, 1)


def many_calls_more(recording: Recording, chance: random.Random) -> Expected | None:
    return more_calls(recording, chance, 500)


def another_flag(recording: Recording, chance: random.Random) -> Expected | None:
    index = chance.choice(returned(recording))
    call = recording.calls[index]
    slots = [
        (slot, bit)
        for slot in lay_out(call.spec.argument, call.abi).slots
        if isinstance(slot.field.type, Flags) and slot.union is None and not call.spec.argument.parameters
        for bit in slot.field.type.bits
        if slot.field.direction != "out" and bit.direction != "out" and not bit.opaque and bit.width == 1
    ]
    if not slots or call.spec.creates:
        return None  # The flags of a creation decide what is created.
    slot, bit = chance.choice(slots)
    recording.set_input(index, slot.field.name, lambda word: word ^ 1 << bit.position)
    return Expected("input", index)


def a_moved_block(recording: Recording, chance: random.Random, history: History) -> Expected | None:
    """Move a run of calls to a place where its objects live, and nothing between needs its objects."""
    calls = returned(recording)
    thread = recording.events[chance.choice(calls)][0].thread
    calls = [index for index in calls if recording.events[index][0].thread == thread]
    first = chance.randrange(len(calls))
    block = calls[first : first + chance.randrange(1, 8)]
    after = chance.choice(calls)
    if after in block or (first and after == calls[first - 1]):
        return None
    low, high = min(block[0], after + 1), max(block[-1], after)
    between = [index for index in range(low, high + 1) if index not in block]
    # A short move past few other calls is a move of those calls as well.
    if not moves_nothing_else(recording, history, block, between) or len(between) <= len(block):
        return None
    recording.move(block, after)
    return Expected("moved", block[0], calls=len(block))


def moves_nothing_else(recording: Recording, history: History, block: list[int], between: list[int]) -> bool:
    def made(calls: list[int]) -> set[int]:
        return {number for index in calls for number in history.created(index)}

    def used(calls: list[int]) -> set[int]:
        return {number for index in calls for number in history.inputs[index] if number >= FIRST}

    def affected(calls: list[int]) -> set[int]:
        return {number for index in calls for number in history.affected(index, recording.calls[index])}

    return not (
        made(block) & used(between)
        or used(block) & (made(between) | affected(between))
        or affected(block) & used(between)
    )


@pytest.fixture(params=TRACES, ids=lambda path: path.stem)
def trace(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def check(trace: Path, changed: Path, expected: Expected) -> None:
    report = tracekmt.diff(trace, changed)
    found = causes(report)
    assert [finding.kind for finding in found] == [expected.kind], found
    (cause,) = found
    assert cause.call_key[1] == expected.index
    total = cause.count if expected.kind == "moved" else len([f for f in report.findings if f.kind == expected.kind])
    assert total == expected.calls


@lru_cache(maxsize=4)
def relocated(trace: Path) -> Recording:
    return Recording(trace, relocate_call)


EVERY_TRACE = [(trace, change) for trace in TRACES for change in (another_status, one_call_less)]
CASES = [*EVERY_TRACE, *((TRACES[1], change) for change in (one_call_more, many_calls_more, another_flag))]


@pytest.mark.parametrize("number", range(ROUNDS))
@pytest.mark.parametrize(("source", "change"), CASES, ids=lambda value: getattr(value, "stem", None) or value.__name__)
def test_one_change_is_one_cause(source: Path, change: Change, tmp_path: Path, number: int) -> None:
    chance = random.Random(f"{source.stem} {change.__name__} {number}")
    expected = None
    while expected is None:
        recording = relocated(source).copy()
        expected = change(recording, chance)
    check(source, recording.write(tmp_path / "changed.kmt"), expected)


@pytest.mark.parametrize("number", range(ROUNDS))
def test_a_moved_block_is_one_cause(tmp_path: Path, number: int) -> None:
    source = TRACES[1]
    chance = random.Random(f"move {number}")
    with Trace(source) as opened:
        history = read_history(opened, Names())
    expected = None
    while expected is None:
        recording = relocated(source).copy()
        expected = a_moved_block(recording, chance, history)
    check(source, recording.write(tmp_path / "changed.kmt"), expected)


def rewrite(source: Path, path: Path, change: Callable[[str, dict[str, Any]], None]) -> Path:
    """Copy a trace with changed arguments."""
    with tracekmt.open(source) as trace, tracekmt.create(path, abi=trace.header.base_abi, force=True) as other:
        for call in trace.calls():
            arguments: list[Any] = [deepcopy(call.inputs), deepcopy(call.outputs)]
            for argument in arguments:
                if isinstance(argument, dict):
                    change(call.name, argument)
                else:
                    assert argument is None
            status = int(call.status) if call.status is not None else 0
            other.add(call.name, arguments[0], arguments[1], status=status, thread=call.thread)
    return path


def test_a_systematic_change_is_one_finding_with_a_count(trace: Path, tmp_path: Path) -> None:
    def larger(name: str, argument: dict[str, Any]) -> None:
        for info in argument.get("pAllocationInfo2") or []:
            if isinstance(info.get("pPrivateDriverData"), bytes):
                info["pPrivateDriverData"] += bytes(16)
                info["PrivateDriverDataSize"] += 16

    same = rewrite(trace, tmp_path / "same.kmt", lambda name, argument: None)
    changed = rewrite(trace, tmp_path / "changed.kmt", larger)
    (finding,) = causes(tracekmt.diff(same, changed))
    number = 0
    with tracekmt.open(same) as calls:
        for call in calls.calls():
            if isinstance(call.inputs, dict):
                infos = call.inputs.get("pAllocationInfo2") or []
                number += any(isinstance(info.get("pPrivateDriverData"), bytes) for info in infos)
    assert (finding.kind, finding.path, finding.count) == ("input", "pAllocationInfo2[0].PrivateDriverDataSize", number)
    assert finding.message == f"pAllocationInfo2[].PrivateDriverDataSize differs by +16 in {number} calls"


def test_another_order_of_threads_is_no_difference(tmp_path: Path) -> None:
    """Three threads with different work, interleaved in two ways."""
    paths = []
    for name, order in (("a", (0, 1, 2)), ("b", (2, 0, 1))):
        paths.append(tmp_path / f"{name}.kmt")
        with tracekmt.create(paths[-1]) as trace:
            trace.add("D3DKMTOpenAdapterFromLuid", {"AdapterLuid": {"LowPart": 1}}, {"hAdapter": 0x40000000}, thread=9)
            handles = {thread: 0x40000040 + 0x40 * place for place, thread in enumerate(order)}
            for thread in order:
                device = {"hDevice": handles[thread]}
                trace.add("D3DKMTCreateDevice", {"hAdapter": 0x40000000}, device, thread=thread)
            for thread in order * 2:
                group = {"hAdapter": 0x40000000, "MemorySegmentGroup": thread % 2, "PhysicalAdapterIndex": thread}
                trace.add("D3DKMTQueryVideoMemoryInfo", group, {"Budget": thread}, thread=thread)
            for thread in reversed(order):
                trace.add("D3DKMTDestroyDevice", {"hDevice": handles[thread]}, thread=thread)
    assert tracekmt.diff(*paths).findings == []


@pytest.mark.parametrize("seed", range(4))
def test_threads_that_take_handles_of_one_counter_by_turns(tmp_path: Path, seed: int) -> None:
    """Most handles are equal on both sides, since the first thread works alone. The others get them by their turns."""
    paths = []
    for name in ("a", "b"):
        chance = random.Random(f"{name} {seed}")
        turns = [0] * 300
        for _ in range(4):
            turns += [1, 2] * 8 if chance.random() < 0.5 else [1] * 8 + [2] * 8
        paths.append(tmp_path / f"{name}.kmt")
        with tracekmt.create(paths[-1]) as trace:
            handles = (0x40000000 + 0x40 * number for number in count())
            adapter = {"hAdapter": next(handles)}
            trace.add("D3DKMTOpenAdapterFromLuid", {"AdapterLuid": {"LowPart": 1}}, adapter, thread=0)
            devices = [{"hDevice": next(handles)} for _ in range(3)]
            for thread, device in enumerate(devices):
                trace.add("D3DKMTCreateDevice", adapter, device, thread=thread)
            steps = [count() for _ in devices]
            for thread in turns:
                data = bytes([thread, *next(steps[thread]).to_bytes(2, "little")])
                created = {"hAllocation": next(handles)}
                infos = {**devices[thread], "pAllocationInfo2": [{"pPrivateDriverData": data}]}
                trace.add("D3DKMTCreateAllocation2", infos, {"pAllocationInfo2": [created]}, thread=thread)
                gone = {**devices[thread], "phAllocationList": [created["hAllocation"]]}
                trace.add("D3DKMTDestroyAllocation2", gone, thread=thread)
    assert tracekmt.diff(*paths).findings == []


def test_calls_on_another_thread_have_moved(tmp_path: Path) -> None:
    paths = []
    for name, thread in (("a", 1), ("b", 2)):
        paths.append(tmp_path / f"{name}.kmt")
        with tracekmt.create(paths[-1]) as trace:
            trace.add("D3DKMTOpenAdapterFromLuid", {"AdapterLuid": {"LowPart": 1}}, {"hAdapter": 0x40000000}, thread=1)
            for group in range(2):
                inputs = {"hAdapter": 0x40000000, "MemorySegmentGroup": group}
                trace.add("D3DKMTQueryVideoMemoryInfo", inputs, {"Budget": 1}, thread=2)
            trace.add("D3DKMTCreateDevice", {"hAdapter": 0x40000000}, {"hDevice": 0x40000040}, thread=thread)
            trace.add("D3DKMTDestroyDevice", {"hDevice": 0x40000040}, thread=thread)
    (finding,) = causes(tracekmt.diff(*paths))
    assert (finding.kind, finding.index, finding.count) == ("moved", 3, 2)
    assert finding.message == "2 calls have another place in B, from #3 on, on thread 1"


def test_another_type_is_another_call(tmp_path: Path) -> None:
    """Queries of different types have nothing to compare."""
    paths = []
    for name, kind in (("a", "KMTQAITYPE_ADAPTERTYPE"), ("b", "KMTQAITYPE_WDDM_2_0_CAPS")):
        paths.append(tmp_path / f"{name}.kmt")
        with tracekmt.create(paths[-1]) as trace:
            trace.add("D3DKMTOpenAdapterFromLuid", {"AdapterLuid": {"LowPart": 1}}, {"hAdapter": 0x40000000})
            query = {"hAdapter": 0x40000000, "Type": kind, "pPrivateDriverData": bytes(4), "PrivateDriverDataSize": 4}
            trace.add("D3DKMTQueryAdapterInfo", query, query)
    assert [finding.kind for finding in causes(tracekmt.diff(*paths))] == ["missing", "extra"]


def test_outcomes_only(tmp_path: Path) -> None:
    trace, recording, chance = TRACES[1], relocated(TRACES[1]).copy(), random.Random(1)
    while another_flag(recording, chance) is None:
        pass
    changed = recording.write(tmp_path / "changed.kmt")
    assert not tracekmt.diff(trace, changed).same
    assert tracekmt.diff(trace, changed, outcomes_only=True).same


def test_many_consequences_are_folded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(folding, "MAX_CONSEQUENCES", 10)
    recording = relocated(TRACES[1]).copy()
    added = recording.add(7, 100, 500)
    report = tracekmt.diff(TRACES[1], recording.write(tmp_path / "changed.kmt"))
    first = recording.order().index(added[0])
    assert [finding.cause for finding in report.findings] == [None, *[first] * 11]
    assert report.findings[-1].count == 500 - 11
    assert report.differing == 500
