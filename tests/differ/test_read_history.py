"""The core reads calls into a history as Python does."""

from __future__ import annotations

import io
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import require_core, without_core
from tests.differ.changes import Recording
from tests.strategies import examples, recordings
from tracekmt import codec
from tracekmt.calls import CALLS
from tracekmt.codec.memory import Arena
from tracekmt.differ import read_history as module
from tracekmt.differ.columns import CallObjects
from tracekmt.differ.diff import diff_traces
from tracekmt.differ.history import History, Names
from tracekmt.differ.read_history import read_history
from tracekmt.errors import TraceError
from tracekmt.resources import resource
from tracekmt.spec.types import Abi, CallSpec, Creates, Destroys, Field, Integer, Kind, Struct
from tracekmt.trace import writer
from tracekmt.trace.call import TracedCall
from tracekmt.trace.events import Enter, Header, Leave, Region
from tracekmt.trace.reader import Trace
from tracekmt.trace.writer import Writer

SHIPPED = sorted(resource("traces", "demo.kmt").parent.glob("*.kmt"))
BY_ADDRESS = sorted(name for name, spec in CALLS.items() if not spec.argument.parameters)
BASE_ABIS: list[Abi] = ["x64", "x86"]
RANDOM = settings(max_examples=examples(15), deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(autouse=True)
def _native() -> None:
    require_core()


def read(trace: Trace | Path) -> History | str:
    """Return the history of a trace, or the error."""
    try:
        if isinstance(trace, Trace):
            return read_history(trace, Names())
        with Trace(trace) as opened:
            return read_history(opened, Names())
    except TraceError as error:
        return str(error)


def classes(keys: Iterable[Hashable]) -> list[int]:
    """Return keys as numbers that are equal for equal keys. The core has other keys than Python."""
    numbers: dict[Hashable, int] = {}
    return [numbers.setdefault(key, len(numbers)) for key in keys]


def objects_of(column: CallObjects, count: int) -> list[list[int]]:
    return [list(column[position]) for position in range(count)]


def plain(history: History | str) -> Any:
    """Return what a history says."""
    if isinstance(history, str):
        return history
    objects, paths, modules = history.objects, list(history.names.paths), list(history.names.modules)
    functions = list(history.names.functions)
    functions_of_calls = [functions[number] for number in history.functions]
    outcomes = list(zip(functions_of_calls, history.outcome, strict=True))  # compared between calls of one function
    keys: list[Iterable[Hashable]] = [history.weak, history.plain, history.contents, outcomes, history.offsets]
    return {
        "indexes": list(history.indexes),
        "threads": list(history.threads),
        "is_exact": list(map(bool, history.is_exact)),
        "returned": [key != 0 for key in history.outcome],
        "functions": functions_of_calls,
        "callers": [modules[number] for number in history.callers],
        "objects": [objects.births, objects.values, objects.is_range, objects.chosen, objects.deaths],
        "paths": [
            paths[number] if birth >= 0 else None for number, birth in zip(objects.paths, objects.births, strict=True)
        ],
        "inputs": objects_of(history.inputs, len(history)),
        "outputs": objects_of(history.outputs, len(history)),
        "keys": list(map(classes, [*keys, objects.uses])),
    }


def assert_same(trace: Trace | Path) -> Any:
    """Assert that the core and Python read the same. Return it."""
    expected = without_core(lambda: plain(read(trace)))
    assert plain(read(trace)) == expected
    return expected


@pytest.mark.parametrize("source", SHIPPED, ids=lambda path: path.stem)
def test_shipped_traces(source: Path, tmp_path: Path) -> None:
    assert len(assert_same(source)["indexes"]) > 0
    recording = Recording(source)
    # Calls of which the first event, or the last one, is not in the trace.
    for index in recording.order()[::3]:
        recording.remove(index)
    recording.timeline = [event for number, event in enumerate(recording.timeline) if not event[1] or number % 5]
    assert len(assert_same(recording.write(tmp_path / "incomplete.kmt"))["indexes"]) > 0


def test_calls_in_many_frames_and_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recording = Recording(SHIPPED[0])
    # Every call is entered before the one before it returns.
    enters, leaves = ([event for event in recording.timeline if event[1] == is_leave] for is_leave in (False, True))
    recording.timeline = [enters[0]]
    for enter, leave in zip(enters[1:], leaves, strict=False):
        recording.timeline += [enter, leave]
    monkeypatch.setattr(writer, "FRAME_EVENTS", 5)
    path = recording.write(tmp_path / "frames.kmt")
    with Trace(path) as trace:
        assert len(list(trace.event_frames())) > 3
    assert_same(path)


def count_calls_in_python(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that gets the name of each call that Python reads."""
    left: list[str] = []

    class Reader(module._Reader):
        def _on_enter(self, position: int, call: TracedCall) -> None:
            left.append(call.name)
            super()._on_enter(position, call)

    monkeypatch.setattr(module, "_Reader", Reader)
    return left


def test_the_core_reads_ordinary_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the calls of a real driver, few may be left to Python."""
    left = count_calls_in_python(monkeypatch)
    history = read(resource("traces", "intel-opencl.kmt"))
    assert isinstance(history, History)
    assert len(left) < len(history) / 10, left


Event = tuple[Enter, Leave | None]


@st.composite
def drawn_calls(draw: st.DrawFn, names: Sequence[str], abi: Abi) -> list[Event]:
    """Draw calls with random arguments and outcomes."""
    calls: list[Event] = []
    for number in range(draw(st.integers(1, 5))):
        name = draw(st.sampled_from(names))
        _, address, regions, before = draw(recordings(CALLS[name], [abi]))
        entered = regions if before is None else before
        thread, status = draw(st.sampled_from([7, 8])), draw(st.sampled_from([0, 0, 0x103, 0xC000000D]))
        spec_id, caller = BY_ADDRESS.index(name), draw(st.sampled_from([0, 5]))
        enter = Enter(2 * number, thread, spec_id, number, caller, (address,), entered, None)
        leave = None if draw(st.integers(0, 5)) == 0 else Leave(2 * number + 1, 2 * number, number, status, regions)
        calls.append((enter, leave))
    return calls


def trace_of(calls: Sequence[Event], abi: Abi) -> Trace:
    file = io.BytesIO()
    made = Writer(Path("drawn.kmt"), Header(abi), file=file)
    for enter, _ in calls:  # all before the first event, so that the calls are in one frame
        made.describe(enter.spec_id, CALLS[BY_ADDRESS[enter.spec_id]])
    for enter, leave in calls:
        made.events([enter, *([] if leave is None else [leave])], flush=False)
    made.end("drawn", None)
    made.flush()
    return Trace(io.BytesIO(file.getvalue()))


@pytest.mark.parametrize("name", BY_ADDRESS)
@RANDOM
@given(st.data())
def test_every_function(name: str, data: st.DataObject) -> None:
    abi = data.draw(st.sampled_from(BASE_ABIS))
    assert_same(trace_of(data.draw(drawn_calls([name], abi)), abi))


CREATORS = sorted(name for name in BY_ADDRESS if CALLS[name].creates or CALLS[name].destroys)


@settings(RANDOM, max_examples=examples(300))
@given(st.data())
def test_functions_that_create_and_destroy(data: st.DataObject) -> None:
    abi = data.draw(st.sampled_from(BASE_ABIS))
    names = data.draw(st.lists(st.sampled_from(CREATORS), min_size=1, max_size=3))
    assert_same(trace_of(data.draw(drawn_calls(names, abi)), abi))


def made(name: str, inputs: dict[str, Any], outputs: dict[str, Any] | None = None) -> Callable[[int], Event]:
    """Return a successful call, by its number in a trace."""

    def regions(values: dict[str, Any]) -> tuple[int, tuple[Region, ...]]:
        arena = Arena("x64", 1)
        (address,) = codec.encode(CALLS[name], "x64", arena, values)
        return address, tuple(arena.regions())

    address, entered = regions(inputs)
    left = entered if outputs is None else regions({**inputs, **outputs})[1]

    def at(number: int) -> Event:
        enter = Enter(2 * number, 7, BY_ADDRESS.index(name), number, 0, (address,), entered, None)
        return enter, Leave(2 * number + 1, 2 * number, number, 0, left)

    return at


def made_trace(*calls: Callable[[int], Event]) -> Trace:
    return trace_of([call(number) for number, call in enumerate(calls)], "x64")


def fence(handle: int, type_: str, **outputs: Any) -> Callable[[int], Event]:
    info = {"Type": type_, "Flags": {"Shared": 1} if outputs else {}}
    return made(
        "D3DKMTCreateSynchronizationObject2", {"Info": info}, {"Info": {**info, **outputs}, "hSyncObject": handle}
    )


WAIT = "D3DKMTWaitForSynchronizationObjectFromGpu"


def wait(handle: int, value: int = 1) -> Callable[[int], Event]:
    return made(
        WAIT, {"ObjectCount": 2, "ObjectHandleArray": [handle, handle], "MonitoredFenceValueArray": [value, value]}
    )


def test_a_handle_of_objects_of_two_kinds_and_a_search_for_a_third() -> None:
    """A search that finds nothing does not change which object is found later."""
    assert_same(
        made_trace(
            made("D3DKMTCreateDevice", {}, {"hDevice": 5}),
            made("D3DKMTReleaseKeyedMutex", {"hKeyedMutex": 0}),
            made("D3DKMTReleaseKeyedMutex", {"hKeyedMutex": 5}),
            made("D3DKMTCreateOverlay", {"hDevice": 5}, {"hOverlay": 9}),
            made("D3DKMTCreateKeyedMutex", {}, {"hKeyedMutex": 9}),
            made("D3DKMTDestroyHwContext", {"hHwContext": 9}),
        )
    )


def test_a_handle_that_selects_arms_in_memory_that_was_copied_twice() -> None:
    def twice(number: int) -> Event:
        enter, leave = wait(9)(number)
        again = [
            (address, wanted, (10).to_bytes(4, "little") + data[4:])
            for address, wanted, data in enter.regions
            if data[:4] == (9).to_bytes(4, "little")
        ]
        assert len(again) == 1
        assert leave is not None
        both = (*enter.regions, *again)
        return replace(enter, regions=both), replace(leave, regions=both)

    monitored, other = fence(9, "D3DDDI_MONITORED_FENCE"), fence(10, "D3DDDI_FENCE")
    assert_same(made_trace(monitored, other, wait(9), wait(10), twice, wait(10), twice, twice))


def test_two_objects_with_one_handle_that_selects_arms(tmp_path: Path) -> None:
    """The comparison reads a call again with the same kinds of handles."""
    paths = []
    for value in (1, 2):
        shared = fence(9, "D3DDDI_MONITORED_FENCE", SharedHandle=9)
        with made_trace(shared, wait(9), wait(9, value)) as trace:
            assert_same(trace)
            paths.append(tmp_path / f"{value}.kmt")
            trace._file.seek(0)
            paths[-1].write_bytes(trace._file.read())
    assert diff_traces(*paths).total == 3


def test_a_handle_that_is_older_than_the_trace_selects_no_arm_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    left = count_calls_in_python(monkeypatch)
    calls = [fence(9, "D3DDDI_MONITORED_FENCE"), wait(8), *[wait(9)] * 9]
    assert_same(made_trace(*calls))
    left.clear()
    assert isinstance(read(made_trace(*calls)), History)
    assert left.count(WAIT) == 2  # the first one of the unknown kind, and of the known one


def test_an_index_with_too_many_calls_takes_no_memory(tmp_path: Path) -> None:
    """The number of calls is checked before their columns are made."""
    with Trace(SHIPPED[0]) as trace:
        trace._index.frames[-1] = replace(trace._index.frames[-1], calls=1 << 70)
        assert "does not match the index" in str(read(trace))


def field(name: str, kind: Kind, size: int, *, signed: bool = False) -> Field:
    return Field(name, Integer("NUMBER", size, signed=signed, kind=kind), "inout")


def described_trace(specs: Sequence[CallSpec], *calls: tuple[int, bytes, bytes]) -> Trace:
    """Return a trace with its own descriptions. A call has the number of one, and its argument before and after."""
    file = io.BytesIO()
    made = Writer(Path("described.kmt"), Header("x64"), file=file)
    for number, spec in enumerate(specs):
        made.describe(number, spec)
    for number, (spec_id, before, after) in enumerate(calls):
        entered, left = (((0x10000, len(data), data),) for data in (before, after))
        made.events([Enter(2 * number, 7, spec_id, number, 0, (0x10000,), entered, None)], flush=False)
        made.events([Leave(2 * number + 1, 2 * number, number, 0, left)], flush=False)
    made.end("drawn", None)
    made.flush()
    return Trace(io.BytesIO(file.getvalue()))


def words(*numbers: int) -> bytes:
    return b"".join((number & (1 << 64) - 1).to_bytes(8, "little") for number in numbers)


def test_a_space_of_handles_and_one_of_ranges_with_one_name() -> None:
    ranges, handles, others, third = Kind("x", binding="range"), Kind("x"), Kind("y"), Kind("z")
    specs = [
        CallSpec(name, Struct(f"{name}ARGS", (field("Value", kind, 8),)), creates=(Creates(kind, "Value"),) * creates)
        for name, kind, creates in (("R", ranges, 1), ("Y", others, 1), ("X", handles, 1), ("Z", third, 0))
    ]
    calls = [(0, words(0), words(0x5000)), (1, words(0), words(5)), (2, words(0), words(5)), (3, words(5), words(5))]
    read_calls = assert_same(described_trace(specs, *calls))
    assert read_calls["inputs"][-1] == [4]


def test_a_signed_handle_below_zero() -> None:
    kind = Kind("signed")
    argument = Struct("ARGS", (field("Value", kind, 8, signed=True),))
    specs = [CallSpec("Make", argument, creates=(Creates(kind, "Value"),)), CallSpec("Use", argument)]
    calls = [(0, words(0), words(-5)), (1, words(-5), words(-5)), (1, words(-5), words(-5))]
    assert assert_same(described_trace(specs, *calls))["inputs"] == [[0], [3], [3]]


def test_a_handle_that_is_destroyed_in_a_field_of_ranges() -> None:
    """The largest range at an address is meant, as for other functions that free ranges."""
    handles = Kind("handle")
    ranges = Kind("range", binding="range", any_of=(handles,))
    size = Field("Size", Integer("NUMBER", 8), "in")
    make = Struct("MAKE", (field("Address", ranges, 8), size))
    specs = [
        CallSpec("Make", make, creates=(Creates(ranges, "Address", size="Size"),)),
        CallSpec("Drop", Struct("DROP", (field("Address", ranges, 8),)), destroys=(Destroys(handles, "Address"),)),
    ]
    made_ranges = [(0, words(0, size), words(0x10000, size)) for size in (0x1000, 0x10)]
    assert_same(described_trace(specs, *made_ranges, *((1, words(at), words(at)) for at in (0x10000, 0x10008))))


def test_a_structure_that_is_created_and_destroyed() -> None:
    """Only numbers are handles."""
    luid = Kind("luid", binding="per_machine")
    members = Field("LowPart", Integer("LOW", 4), "in"), Field("HighPart", Integer("HIGH", 4), "in")
    argument = Struct("ARGS", (Field("Luid", Struct("LUID", members, kind=luid), "inout"),))
    specs = [
        CallSpec("Make", argument, creates=(Creates(luid, "Luid"),)),
        CallSpec("Drop", argument, destroys=(Destroys(luid, "Luid"),)),
    ]
    calls = [(0, words(1), words(1)), (1, words(1), words(1))]
    assert len(assert_same(described_trace(specs, *calls))["indexes"]) == 2
