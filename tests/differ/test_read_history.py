"""The core reads calls into a history as Python does."""

from __future__ import annotations

import io
from collections.abc import Hashable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import require_core, without_core
from tests.differ.changes import Recording
from tests.strategies import examples, recordings
from tracekmt.calls import CALLS
from tracekmt.differ import read_history as module
from tracekmt.differ.columns import CallObjects
from tracekmt.differ.history import History, Names
from tracekmt.differ.read_history import read_history
from tracekmt.errors import TraceError
from tracekmt.resources import resource
from tracekmt.spec.types import Abi
from tracekmt.trace import writer
from tracekmt.trace.call import TracedCall
from tracekmt.trace.events import Enter, Header, Leave
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
        "objects": [objects.births, objects.values, objects.is_range, objects.chosen],
        "paths": [
            paths[number] if birth >= 0 else None for number, birth in zip(objects.paths, objects.births, strict=True)
        ],
        "inputs": objects_of(history.inputs, len(history)),
        "outputs": objects_of(history.outputs, len(history)),
        "destroyed": {position: list(numbers) for position, numbers in history.destroyed.items()},
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


def test_the_core_reads_ordinary_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the calls of a real driver, few may be left to Python."""
    left: list[str] = []

    class Reader(module._Reader):
        def _on_enter(self, position: int, call: TracedCall) -> None:
            left.append(call.name)
            super()._on_enter(position, call)

    monkeypatch.setattr(module, "_Reader", Reader)
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
    for enter, leave in calls:
        made.describe(enter.spec_id, CALLS[BY_ADDRESS[enter.spec_id]])
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
