"""Perfetto traces, read back with Perfetto's own protos: slices, objects, counters and flows are those of the trace."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tracekmt
from tests.minimize.workload import Workload
from tests.skips import LINUX_PART
from tracekmt.calls import raw_call
from tracekmt.convert import convert
from tracekmt.convert.perfetto import perfetto_packets, wire
from tracekmt.convert.perfetto.arguments import MAX_CHARACTERS, MAX_ITEMS, MAX_VALUES, encode_annotations
from tracekmt.convert.perfetto.objects import MAX_FLOWS
from tracekmt.resources import resource
from tracekmt.simulator.model.allocation_size import sample_data
from tracekmt.trace.events import Enter, Header, Leave
from tracekmt.trace.reader import Trace
from tracekmt.trace.writer import Writer

if sys.platform == "win32":
    pytest.importorskip("perfetto", reason="requires perfetto, which the Windows Python of CI lacks")

from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import DebugAnnotation, TracePacket

from tests.convert.perfetto_reader import PerfettoTrace, read_perfetto

DEMO = resource("traces", "demo.kmt")
SAMPLES = sorted(DEMO.parent.glob("*.kmt"))
ADAPTER = {"AdapterLuid": {"LowPart": 1, "HighPart": 0}}


def converted(path: Path) -> PerfettoTrace:
    output = path.with_suffix(".pftrace") if path.parent != DEMO.parent else None
    if output is None:
        with Trace(path) as trace:
            return read_perfetto(b"".join(perfetto_packets(trace)))
    convert(path, output, "pftrace", force=True)
    return read_perfetto(output)


@pytest.fixture
def workload(tmp_path: Path) -> Path:
    """Write a trace of random calls on three threads."""
    with tracekmt.create(tmp_path / "work.kmt", abi="x64") as builder:
        work = Workload(builder, random.Random(3))
        work.run(300)
    return tmp_path / "work.kmt"


def check_calls(path: Path, perfetto: PerfettoTrace) -> None:
    """Check that each call is a slice on its thread, at its times, with its status."""
    slices = {found.values["index"]: found for found in perfetto.thread_slices()}
    with Trace(path) as trace:
        assert len(slices) == len(trace) == len(perfetto.thread_slices())
        for call in trace.calls():
            found = slices[call.index]
            is_failed = call.returned and not call.succeeded
            assert found.name == (f"{call.name}: {call.outcome_text}" if is_failed else call.name)
            assert found.category == ("failed" if is_failed else "call")
            assert found.begin == call.enter.time
            assert found.end == (None if call.leave is None else call.leave.time)
            assert perfetto.tracks[found.track].thread.thread_name == f"thread {call.thread}"
            assert found.values["status"] == call.outcome_text


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_samples(path: Path) -> None:
    check_calls(path, converted(path))


def test_random_calls(workload: Path) -> None:
    perfetto = converted(workload)
    check_calls(workload, perfetto)
    assert len({found.track for found in perfetto.thread_slices()}) == 3
    assert all(found.depth == 0 for found in perfetto.slices)


def test_ids_of_the_system_and_its_clocks(tmp_path: Path) -> None:
    clock = {"time": 50, "wall": 1_700_000_000_000_000_000, "counter": 5, "frequency": 10_000_000}
    writer = Writer(tmp_path / "ids.kmt", Header("x64", process={"pid": 4711, "name": "game.exe"}, clock=clock))
    writer.describe(1, raw_call("D3DKMTNothing"))
    writer.events([Enter(1, 4712, 1, 100, 0, (0, 0, 0, 0), ())])
    writer.end("made by hand")
    writer.close()
    perfetto = converted(tmp_path / "ids.kmt")
    (process,) = (track.process for track in perfetto.tracks.values() if track.HasField("process"))
    (thread,) = (track.thread for track in perfetto.tracks.values() if track.HasField("thread"))
    assert (process.pid, process.process_name) == (4711, "game.exe")
    assert (thread.pid, thread.tid, thread.thread_name) == (4711, 4712, "thread 0")
    assert perfetto.clocks == {3: 50, 6: 50, 1: clock["wall"]}


def test_flows_connect_creation_uses_and_destruction(workload: Path) -> None:
    perfetto = converted(workload)
    expected: dict[int, list[int]] = defaultdict(list)
    with Trace(workload) as trace:
        for call in trace.calls():
            argument = call.outputs
            assert isinstance(argument, dict)
            elements = argument.get("pAllocationInfo2", ())
            handles = {element["hAllocation"] for element in elements}
            handles |= {argument.get("hAllocation", 0), *argument.get("phAllocationList", ())} - {0}
            for handle in handles:
                expected[handle].append(call.index)
    chains = Counter(tuple(found.values["index"] for found in chain) for chain in calls_of_flows(perfetto))
    assert len(expected) > 100
    for indexes in expected.values():
        assert chains[tuple(indexes)] > 0, indexes


def calls_of_flows(perfetto: PerfettoTrace) -> list[list[Any]]:
    """Return the flows that pass only calls. The others begin at a call and end at an object."""
    flows = list(perfetto.flows.values())
    to_objects = [chain for chain in flows if chain[-1].category == "object"]
    for created, slice_of_object in to_objects:
        assert slice_of_object.values["created by call"] == created.values["index"]
        assert created.end is not None
        assert slice_of_object.begin >= created.end
    assert len(to_objects) == sum(found.category == "object" for found in perfetto.slices)
    return [chain for chain in flows if chain[-1].category != "object"]


def test_objects_share_tracks_that_perfetto_merges(workload: Path) -> None:
    perfetto = converted(workload)
    allocations = perfetto.object_slices("allocation")
    with Trace(workload) as trace:
        handles = [
            element["hAllocation"]
            for call in trace.calls()
            if call.name == "D3DKMTCreateAllocation2" and isinstance(call.outputs, dict)
            for element in call.outputs["pAllocationInfo2"]
        ]
    assert sorted(found.name for found in allocations) == sorted(f"allocation 0x{handle:x}" for handle in handles)
    most_alive = max(value for _, value in perfetto.counters["live objects: allocation"])
    tracks = [perfetto.tracks[number] for number in {found.track for found in allocations}]
    assert len(tracks) == most_alive < len(allocations)
    assert {track.sibling_merge_behavior for track in tracks} == {1}
    assert {perfetto.tracks[track.parent_uuid].name for track in tracks} == {"objects"}
    alive = sum(found.end is None for found in allocations)
    assert alive == perfetto.counters["live objects: allocation"][-1][1] > 0


def test_counters_equal_the_memory_of_the_simulator(tmp_path: Path) -> None:
    simulator = tracekmt.Simulator(video_memory="64MB")
    usages = []
    with tracekmt.create(tmp_path / "memory.kmt", abi="x64") as builder:

        def call(name: str, **inputs: Any) -> Any:
            result = simulator.call(f"D3DKMT{name}", inputs)
            assert result.status.succeeded
            builder.add(f"D3DKMT{name}", inputs, result.outputs, result.status)
            return result.outputs

        adapter = call("OpenAdapterFromLuid", **ADAPTER)["hAdapter"]
        device = call("CreateDevice", hAdapter=adapter)["hDevice"]
        queue = call("CreatePagingQueue", hDevice=device)["hPagingQueue"]
        handles = []
        for size in (1 << 20, 3 << 20, 2 << 20):
            elements = [{"pPrivateDriverData": sample_data(size)}]
            created = call("CreateAllocation2", hDevice=device, NumAllocations=1, pAllocationInfo2=elements)
            handles.append(created["pAllocationInfo2"][0]["hAllocation"])
            call("MakeResident", hPagingQueue=queue, NumAllocations=1, AllocationList=handles[-1:])
            usages.append(call("QueryVideoMemoryInfo", hAdapter=adapter)["CurrentUsage"])
        call("DestroyAllocation2", hDevice=device, AllocationCount=1, phAllocationList=handles[:1])
        usages.append(call("QueryVideoMemoryInfo", hAdapter=adapter)["CurrentUsage"])
        call("DestroyDevice", hDevice=device)
        usages.append(call("QueryVideoMemoryInfo", hAdapter=adapter)["CurrentUsage"])
    counters = converted(tmp_path / "memory.kmt").counters
    expected = [1 << 20, 4 << 20, 6 << 20, 5 << 20, 0]
    assert [value for _, value in counters["memory requested"]] == [0, *expected]
    assert [value for _, value in counters["memory resident"]] == [0, *expected]
    assert [value for _, value in counters["usage: adapter LUID 0:1, local"]] == usages == expected
    assert [value for _, value in counters["budget: adapter LUID 0:1, local"]] == [64 << 20]
    assert [value for _, value in counters["live objects: allocation"]] == [1, 2, 3, 2, 0]
    assert [value for _, value in counters["live objects: device"]] == [1, 0]


def test_calls_a_second(tmp_path: Path) -> None:
    with tracekmt.create(tmp_path / "rate.kmt", abi="x64") as builder:
        for millisecond in (0, 1, 2, 500, 9_000):
            time = millisecond * 1_000_000
            builder.add("D3DKMTCloseAdapter", {"hAdapter": 1}, enter_ns=time, leave_ns=time + 1)
    rate = converted(tmp_path / "rate.kmt").counters["calls a second"]
    assert [(time // 1_000_000, value) for time, value in rate] == [
        *[(0, 30), (100, 0), (500, 10), (600, 0), (9000, 10)],
    ]


def test_failed_and_unfinished_calls(tmp_path: Path) -> None:
    with tracekmt.create(tmp_path / "failed.kmt", abi="x64") as builder:
        builder.add("D3DKMTCreateDevice", {"hAdapter": 1}, status="STATUS_INVALID_PARAMETER", thread=7)
        builder.add("D3DKMTLock2", {"hDevice": 1, "hAllocation": 2}, status=None, thread=7)
        builder.add("D3DKMTCloseAdapter", {"hAdapter": 1}, thread=7)
        builder.add("D3DKMTLock2", {"hDevice": 1, "hAllocation": 2}, status=None, thread=8)
    failed, abandoned, closed, in_flight = converted(tmp_path / "failed.kmt").thread_slices()
    assert (failed.name, failed.category) == ("D3DKMTCreateDevice: STATUS_INVALID_PARAMETER", "failed")
    assert (failed.values["in"], failed.end) == ({"hAdapter": "0x1"}, 2000)
    assert abandoned.begin == abandoned.end
    assert closed.depth == 0
    assert (in_flight.end, in_flight.values["status"]) == (None, "did not return")


def test_nested_calls_that_begin_and_end_at_one_time(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "nested.kmt", Header("x64"))
    writer.describe(1, raw_call("D3DKMTOuter"))
    writer.describe(2, raw_call("D3DKMTInner"))
    arguments = (0, 0, 0, 0)
    writer.events([Enter(1, 5, 1, 100, 0, arguments, ()), Enter(2, 5, 2, 100, 0, arguments, ())])
    writer.events([Leave(3, 2, 100, 0, ()), Enter(4, 5, 2, 100, 0, arguments, ()), Leave(5, 4, 200, 0, ())])
    writer.events([Leave(6, 1, 200, 0, ())])
    writer.end("made by hand")
    writer.close()
    slices = converted(tmp_path / "nested.kmt").slices
    assert [(found.name, found.begin, found.end, found.depth) for found in slices] == [
        ("D3DKMTOuter", 100, 200, 0),
        ("D3DKMTInner", 100, 100, 1),
        ("D3DKMTInner", 100, 200, 1),
    ]


def test_an_undescribed_call_and_text_that_utf_8_does_not_have(tmp_path: Path) -> None:
    name = "D3DKMT\x1b[31m<b>\N{GREEK SMALL LETTER ALPHA}"
    writer = Writer(tmp_path / "raw.kmt", Header("x64", process={"pid": "?", "name": "game"}))
    writer.describe(1, raw_call(name))
    writer.events([Enter(1, 5, 1, 100, 0, (0x1000, 7, 0, 0), ((0x1000, 4, b"data"),)), Leave(2, 1, 150, 9, ())])
    writer.end("made by hand")
    writer.close()
    perfetto = converted(tmp_path / "raw.kmt")
    (found,) = perfetto.slices
    assert found.name == name
    assert "64617461" in str(found.values["in"])
    with tracekmt.create(tmp_path / "text.kmt", abi="x64") as builder:
        builder.add("D3DKMTOpenAdapterFromGdiDisplayName", {"DeviceName": "\\\\.\\\ud800"})
    (found,) = converted(tmp_path / "text.kmt").slices
    assert found.values["in"] == {"DeviceName": "\\\\.\\?"}


def test_large_arguments_are_cut(tmp_path: Path) -> None:
    count, data = 1_000, bytes(range(200)) * 50
    elements = [{"pPrivateDriverData": data} for _ in range(count)]
    handles = [*range(0x1000, 0x1000 + count)]
    created = [{"hAllocation": handle} for handle in handles]
    with tracekmt.create(tmp_path / "large.kmt", abi="x64") as builder:
        inputs = {"hDevice": 1, "NumAllocations": count, "pAllocationInfo2": elements}
        builder.add("D3DKMTCreateAllocation2", inputs, {"pAllocationInfo2": created})
        builder.add("D3DKMTEvict", {"hDevice": 1, "NumAllocations": count, "AllocationList": handles})
        builder.add("D3DKMTEvict", {"hDevice": 1, "NumAllocations": 3, "AllocationList": handles[:3]})
    perfetto = converted(tmp_path / "large.kmt")
    large, evict, small = perfetto.thread_slices()
    shown = large.values["in"]["pAllocationInfo2"]
    assert (len(shown), shown[-1]) == (MAX_ITEMS + 1, f"... {count - MAX_ITEMS:,} more")
    assert shown[0]["pPrivateDriverData"] == f"{data.hex()[:MAX_CHARACTERS]}... 20,000 characters"
    assert len(evict.values["in"]["AllocationList"]) == MAX_ITEMS + 1
    assert small.values["in"]["AllocationList"] == ["0x1000", "0x1001", "0x1002"]
    assert sum(evict in chain for chain in perfetto.flows.values()) == MAX_FLOWS
    calls_of_flows(perfetto)


def test_nested_values_are_cut(tmp_path: Path) -> None:
    values = {f"member {number}": [number] * 9 for number in range(1, 1000)}
    event = TracePacket()
    event.track_event.ParseFromString(encode_annotations({}, {"in": values}))
    (annotation,) = event.track_event.debug_annotations
    assert sum(1 + len(entry.array_values) for entry in annotation.dict_entries) <= MAX_VALUES + 2
    assert (annotation.dict_entries[-1].name, annotation.dict_entries[-1].string_value) == ("...", "947 more")


def test_members_that_a_call_changed_are_its_outputs(workload: Path) -> None:
    created = next(
        found for found in converted(workload).thread_slices() if found.name == "D3DKMTCreateSynchronizationObject2"
    )
    assert set(created.values["out"]) == {"hSyncObject", "Info"}
    assert created.values["in"]["Info"]["Type"] == "D3DDDI_MONITORED_FENCE"


def test_the_number_of_processes_changes_nothing(workload: Path) -> None:
    with Trace(workload) as trace:
        one, two = (b"".join(perfetto_packets(trace, jobs=jobs)) for jobs in (1, 2))
    assert one == two


def test_standard_output_has_the_packets(workload: Path, tmp_path: Path) -> None:
    convert(workload, tmp_path / "file.pftrace", "pftrace")
    words = [sys.executable, "-m", "tracekmt", "convert", str(workload), "-o", "-", "--to", "pftrace"]
    done = subprocess.run(words, capture_output=True, check=True, timeout=60)
    assert done.stdout == (tmp_path / "file.pftrace").read_bytes()


@pytest.mark.skipif(sys.platform == "win32", reason=LINUX_PART)
def test_a_terminal_gets_no_packets() -> None:
    import pty

    master, terminal = pty.openpty()
    words = [sys.executable, "-m", "tracekmt", "convert", str(DEMO), "-o", "-", "--to", "pftrace"]
    done = subprocess.run(words, stdout=terminal, stderr=subprocess.PIPE, check=False, timeout=60)
    assert done.returncode == 2
    assert done.stderr.decode() == ("tracekmt: cannot write .pftrace to a terminal (use -o FILE.pftrace, or a pipe)\n")
    for descriptor in (master, terminal):
        os.close(descriptor)


def test_an_existing_file_is_kept(command: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "out.pftrace").write_text("mine")
    assert command("convert", DEMO, "-o", "out.pftrace").returncode == 2
    assert (tmp_path / "out.pftrace").read_text() == "mine"
    assert command("convert", DEMO, "-o", "out.pftrace", "-f").returncode == 0
    assert len(read_perfetto(tmp_path / "out.pftrace").thread_slices()) == 19


@given(st.integers(-(1 << 63), (1 << 64) - 1), st.floats(allow_nan=False), st.text())
def test_fields_are_encoded_as_the_protos_do(number: int, real: float, text: str) -> None:
    if number >= 0:
        packet = TracePacket(timestamp=number)
        assert wire.number_field(8, number) == packet.SerializeToString()
    if number < 1 << 63:
        assert wire.number_field(4, number) == DebugAnnotation(int_value=number).SerializeToString()
    assert wire.double_field(5, real) == DebugAnnotation(double_value=real).SerializeToString()
    expected = DebugAnnotation(dict_entries=[DebugAnnotation(string_value=text)]).SerializeToString()
    assert wire.message_field(11, wire.text_field(6, text)) == expected
