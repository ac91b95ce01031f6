"""The core does exactly what Python does without it."""

from __future__ import annotations

import contextlib
import hashlib
import random
import struct
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import require_core, without_core
from tests.strategies import examples
from tracekmt import codec, core
from tracekmt.calls import CALLS
from tracekmt.codec.memory import Arena
from tracekmt.record.process.memory_map import address_places, has_undescribed_pointer
from tracekmt.spec.types import Abi
from tracekmt.trace import blob_numbers, writer
from tracekmt.trace.buffer_format import Assembler
from tracekmt.trace.event_frame import EventTable
from tracekmt.trace.events import Header, Lost
from tracekmt.trace.raw_events import RAW_ENTER, RAW_LEAVE, RawEvent, parse_events
from tracekmt.trace.ready_events import RawEvents, raw_events, ready_events
from tracekmt.trace.writer import Writer

PLAIN, OTHER = 3, 4
"""Ids of a description whose events the core frames, and of one whose events it leaves."""


@pytest.fixture(autouse=True)
def native() -> core.Core:
    return require_core()


def test_it_is_built_from_its_source(native: core.Core) -> None:
    source = b"".join(path.read_bytes() for path in sorted(Path(core.__file__).parent.glob("*.[ch]")))
    assert hashlib.sha256(source).hexdigest()[:16] == native.SOURCE, "reinstall tracekmt to build it again"


FRAGMENTS = st.builds(
    lambda kind, last, number, sequence, content, size: (
        struct.pack("<IBBHQ", max(16 + len(content) + size, 0), kind, last, number, sequence) + content
    ),
    st.integers(0, 4),
    st.integers(0, 2),
    st.sampled_from([0, 0, 0, 1, 300]),
    st.integers(0, 40) | st.sampled_from([1 << 62, (1 << 64) - 1]),
    st.binary(max_size=40),
    st.sampled_from([0] * 20 + [1, -17]),
)


def split(data: bytes, first: int, limit: int) -> Any:
    """Return what the fragments are split into, and the events in order."""
    ready, events = ready_events(), raw_events()
    try:
        found: object = ready.add_fragments(data, first, limit)
    except ValueError as error:
        found = str(error)
    last = ready.last()
    return found, last, ready.take(events, first, last + 1, 100), list(events)


@settings(max_examples=examples(300), deadline=None)
@given(st.lists(FRAGMENTS, max_size=20), st.integers(0, 17), st.integers(0, 10), st.sampled_from([20, 1 << 62]))
def test_fragments(fragments: list[bytes], cut: int, first: int, limit: int) -> None:
    data = b"".join(fragments)
    data = data[: len(data) - cut] if cut else data
    assert split(data, first, limit) == without_core(split, data, first, limit)


def take_all(data: list[bytes], ends: list[int], most: int) -> list[object]:
    """Return what an assembler returns: at most so many events at once, up to each end, with new data before it."""
    assembler, taken = Assembler(1), list[object]()
    for number, end in enumerate(ends):
        with contextlib.suppress(ValueError):
            assembler.add_fragments(b"".join(data[number :: len(ends)]))
        events = raw_events()
        assembler.take(events, end, most)
        assert len(events) <= most
        assert len(events) == most or assembler.next_sequence >= end
        taken.append((list(events), assembler.next_sequence, assembler.is_empty))
    return taken


@settings(max_examples=examples(200), deadline=None)
@given(st.lists(FRAGMENTS, max_size=20), st.lists(st.integers(0, 50), max_size=8), st.integers(1, 6))
def test_events_in_order(fragments: list[bytes], ends: list[int], most: int) -> None:
    assert take_all(fragments, ends, most) == without_core(take_all, fragments, ends, most)


def test_a_batch_is_a_sequence_of_events_and_losses() -> None:
    recorded: list[RawEvent | Lost] = [(5, RAW_LEAVE, b"abc"), Lost(6, 2), (8, RAW_ENTER, b"")]
    events = batch_of(recorded)
    assert [events[0], events[1], events[2], len(events)] == [*recorded, 3]
    assert list(events) == recorded
    for index in (3, -4):
        with pytest.raises(IndexError):
            events[index]
    for malformed in ((5, RAW_LEAVE), (5, 1 << 9, b""), (5, RAW_LEAVE, "text"), (-1, 1, b""), (1 << 64, 1, b"")):
        with pytest.raises((TypeError, OverflowError)):
            events.append(cast("RawEvent", malformed))
    assert len(events) == 3


def fragment_of(sequence: int, content: bytes) -> bytes:
    return struct.pack("<IBBHQ", 16 + len(content), RAW_LEAVE, 1, 0, sequence) + content


@pytest.mark.parametrize("native", [True, False])
def test_of_events_with_one_number_the_last_added_counts(native: bool) -> None:
    """Also if both wait among others, before and after those."""

    def taken() -> list[bytes]:
        ready, events = ready_events(), raw_events()
        for numbers in ((50, 90), (30, 50), (10, 50, 70), (90,)):
            for place, number in enumerate(numbers):
                ready.add_fragments(fragment_of(number, bytes([numbers[0], place])), 0, 100)
        ready.take(events, 0, 0, 9)  # takes nothing
        ready.take(events, 0, 1 << 62, 99)
        return [event[2] for event in events if isinstance(event, tuple)]

    assert (taken() if native else without_core(taken)) == [
        bytes(pair) for pair in ((10, 0), (30, 0), (10, 1), (10, 2), (90, 0))
    ]


@pytest.mark.parametrize("native", [True, False])
def test_many_events_wait_for_one(native: bool) -> None:
    """While others come and are taken."""

    def taken() -> list[int]:
        ready, events, first = ready_events(), raw_events(), 0
        for step in range(300):
            for number in range(10 * step + 9, 10 * step - 1, -1):
                ready.add_fragments(fragment_of(number, b""), first, 1 << 62)
            first = ready.take(events, first, max(10 * step - 500, 0), 7 + 40 * (step % 2))
        ready.take(events, first, 3000, 5000)
        return [event[0] for event in events if isinstance(event, tuple)]

    assert (taken() if native else without_core(taken)) == list(range(3000))


@given(st.lists(st.integers(0, (1 << 62) - 1), max_size=50))
def test_columns(values: list[int]) -> None:
    def packed() -> list[bytes]:
        table = EventTable()
        for value in values:
            table.add(0, value, value // 2, value // 3, 1, 2, value, value // 5)
        return table.pack()

    assert packed() == without_core(packed)
    assert list(EventTable.unpack(packed()).calls) == values


LIMITS = [0, 1, -1, (1 << 63) - 1, -(1 << 63), 1 << 62, -(1 << 62)]


@given(st.lists(st.sampled_from(LIMITS) | st.integers(-(1 << 63), (1 << 63) - 1), max_size=6))
def test_columns_of_any_differences(differences: list[int]) -> None:
    def unpacked() -> object:
        columns: list[bytes] = EventTable().pack()
        for column in (1, 2, 3, 7):
            columns[column] = struct.pack(f"<{len(differences)}q", *differences)
        for column, width in ((0, 1), (4, 4), (5, 4), (6, 8)):
            columns[column] = bytes(width * len(differences))
        try:
            table = EventTable.unpack(columns)
        except ValueError as error:
            return str(error)
        return table.calls, table.sequences, table.times, table.offsets

    assert unpacked() == without_core(unpacked)


MEMORY = st.sampled_from([b"", b"abc", b"x" * 64, b"y" * 200, b"z" * 1024, b"z" * 70_000]) | st.binary(max_size=300)
REGION = st.tuples(st.sampled_from([0, 1, 0x1000, 1 << 40, (1 << 64) - 1]), MEMORY, st.integers(0, 3))


def pieces(regions: list[tuple[int, bytes, int]]) -> bytes:
    """Return regions as hooks/recorder.c writes them, split into up to four pieces."""
    written = b""
    for address, data, cuts in regions:
        size = max(len(data) // (cuts + 1) & ~7, 8) if cuts else max(len(data), 1)
        for offset in range(0, max(len(data), 1), size):
            part = data[offset : offset + size]
            written += struct.pack(
                "<QIIII", address + offset & (1 << 64) - 1, len(data) - offset, len(part), offset > 0, 0
            )
            written += part + bytes(-len(part) % 8)
    return written


@st.composite
def recordings(draw: st.DrawFn) -> list[RawEvent | Lost]:
    """Draw the events of a recording, some of them malformed."""
    events: list[RawEvent | Lost] = []
    open_calls: list[tuple[int, list[tuple[int, bytes, int]]]] = []
    sequence = 0
    for _ in range(draw(st.integers(0, 30))):
        sequence += draw(st.sampled_from([1] * 9 + [3]))  # a gap is a loss, or an error of the caller
        action = draw(st.integers(0, 20))
        if action == 0:
            events.append(Lost(sequence, 1))
        elif open_calls and action < 11:
            place = draw(st.integers(0, len(open_calls) - 1))
            enter, regions = open_calls[place]
            if draw(st.integers(0, 9)):  # else the call returns once more
                del open_calls[place]
            changed = [(a, draw(MEMORY) if draw(st.integers(0, 3)) == 0 else data, cuts) for a, data, cuts in regions]
            changed = draw(st.sampled_from([changed] * 6 + [changed[1:], changed[::-1] + changed]))
            result = draw(st.sampled_from([0, 0, 0, 0x103, 0xC000000D]))
            content = struct.pack("<QQQ", sequence, enter, result) + pieces(changed)
            events.append((sequence, RAW_LEAVE, content))
        else:
            regions = draw(st.lists(REGION, max_size=4))
            words = draw(st.lists(st.integers(0, (1 << 64) - 1), max_size=18))
            spec_id = draw(st.sampled_from([PLAIN] * 5 + [OTHER]))
            head = struct.pack("<QQQQQ", sequence, spec_id, 0x7F00, draw(st.integers(1, 3)), len(words))
            content = head + struct.pack(f"<{len(words)}Q", *words) + pieces(regions)
            open_calls.append((sequence, regions))
            events.append((sequence, RAW_ENTER, content))
        if action == 20 and isinstance(events[-1], tuple):
            # Malformed, and then without a return: an invalid time, or a truncated content.
            open_calls = [call for call in open_calls if call[0] != sequence]
            _, kind, content = events[-1]
            broken = content[:-9] if draw(st.booleans()) else b"\xff" * 8 + content[8:]
            events[-1] = sequence, kind, broken
    return events


def batch_of(events: Iterable[RawEvent | Lost]) -> RawEvents:
    """Return a batch of events."""
    batch = raw_events()
    for event in events:
        batch.append(event)
    return batch


def write(path: Path, recorded: list[RawEvent | Lost], size: int = 1000) -> tuple[bytes, list[int | None]]:
    """Write events by the core as far as it can, the others through objects.

    Args:
        path: Path of the trace.
        recorded: The events.
        size: Number of events in a batch.

    Returns:
        The file, and the description of each call that is left in flight.
    """
    trace = Writer(path, Header("x64"), force=True)
    for spec_id in (PLAIN, OTHER):
        trace.describe(spec_id, CALLS["D3DKMTCloseAdapter"])
    for first in range(0, len(recorded), size):
        add(trace, batch_of(recorded[first : first + size]))
    in_flight = [trace.function_in_flight(sequence) for sequence in range(100)]
    trace.end("done")
    trace.close()
    return path.read_bytes(), in_flight


def add(trace: Writer, events: RawEvents) -> None:
    """Add a batch to a trace."""
    position = 0
    while position < len(events):
        position = trace.frame(events, position, {PLAIN: b""})
        for event in parse_events([events[position]] if position < len(events) else [], lambda damage: None):
            is_orphan = not isinstance(event, Lost) and hasattr(event, "enter") and event.enter not in trace.in_flight
            trace.events([Lost(event.sequence, 1) if is_orphan else event], flush=False)
        position += 1


@settings(max_examples=examples(300), suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    recordings(),
    st.sampled_from([1000, 4]),
    st.sampled_from([4096, 5]),
    st.sampled_from([8 << 20, 500]),
    st.sampled_from([1 << 18, 3, 1]),
)
def test_frames(
    tmp_path: Path, events: list[RawEvent | Lost], size: int, frame_events: int, known: int, marks: int
) -> None:
    """With small batches and frames, few known blobs and few marks, too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writer, "FRAME_EVENTS", frame_events)
        patch.setattr(writer, "KNOWN_SIZE", known)
        patch.setattr(blob_numbers, "KNOWN_SIZE", known)
        patch.setattr(blob_numbers, "MARKS", marks)
        native = write(tmp_path / "core.kmt", events, size)
        assert native == without_core(write, tmp_path / "python.kmt", events, size)


def test_contents_that_replace_each_other(tmp_path: Path) -> None:
    """More contents than the core keeps in mind. Those in pieces are joined in memory that the next ones overwrite."""
    chance, events = random.Random(1), list[RawEvent | Lost]()
    contents = [chance.randbytes(96) for _ in range(1200)]
    for call, content in enumerate([*contents, *contents, *reversed(contents)]):
        before, after = (pieces([(0x1000, data, chance.randrange(2))]) for data in (content, content[::-1]))
        events.append((2 * call, RAW_ENTER, struct.pack("<QQQQQ", 5, PLAIN, 0x7F00, 9, 0) + before))
        events.append((2 * call + 1, RAW_LEAVE, struct.pack("<QQQ", 6, 2 * call, 0) + after))
    assert write(tmp_path / "core.kmt", events) == without_core(write, tmp_path / "python.kmt", events)


def test_events_that_do_not_follow_each_other(tmp_path: Path) -> None:
    """A call is not taken for another one that is as many places before its return."""
    events: list[RawEvent | Lost] = [
        (sequence, RAW_ENTER, struct.pack("<QQQQQ", sequence, PLAIN, 0x7F00, 9, 0)) for sequence in (0, 1, 3)
    ]
    events.append((5, RAW_LEAVE, struct.pack("<QQQ", 6, 3, 0)))
    written = write(tmp_path / "core.kmt", events)
    assert written == without_core(write, tmp_path / "python.kmt", events)
    assert written[1][:4] == [PLAIN, PLAIN, None, None]


def test_most_events_are_framed_by_the_core(tmp_path: Path) -> None:
    """Otherwise the test above would compare Python with itself."""
    trace = Writer(tmp_path / "t.kmt", Header("x64"))
    trace.describe(PLAIN, CALLS["D3DKMTCloseAdapter"])
    head = struct.pack("<QQQQQQ", 5, PLAIN, 0x7F00, 9, 1, 0x1000)
    events = batch_of([(0, RAW_ENTER, head), (1, RAW_LEAVE, struct.pack("<QQQ", 6, 0, 0))])
    assert trace.frame(events, 0, {PLAIN: b""}) == 0  # a new thread is numbered by Python
    trace.threads([9])
    assert trace.frame(events, 0, {}) == 0
    assert trace.frame(events, 0, {PLAIN: b""}) == 2
    assert trace.call_count == 1
    trace.close()


@pytest.mark.parametrize("abi", ["x64", "x86"])
@pytest.mark.parametrize("case", ["zero", "address", "unreadable", "null"])
def test_a_call_with_an_undescribed_address_is_left_to_python(tmp_path: Path, abi: Abi, case: str) -> None:
    """Python looks up how much memory is mapped there."""
    spec = CALLS["D3DKMTCreateAllocation2"]
    places = address_places(spec, abi)
    assert places is not None
    arena = Arena(abi)
    address = 0x7F0000 if case == "address" else 0
    elements = [{}, {"pSystemMem": address}] if case != "null" else []
    arguments = codec.encode(spec, abi, arena, {"hDevice": 1, "pAllocationInfo2": elements})
    regions = [
        (start, b"" if case == "unreadable" and start != arguments[0] else data, 0)
        for start, _, data in arena.regions()
    ]
    content = struct.pack("<QQQQQQ", 5, PLAIN, 0x7F00, 9, 1, arguments[0])
    for start, data, _ in regions:
        content += struct.pack("<QIIII", start, len(data) or 64, len(data), 0, 0) + data + bytes(-len(data) % 8)
    with closing(Writer(tmp_path / "t.kmt", Header(abi))) as trace:
        trace.describe(PLAIN, spec)
        trace.threads([9])
        assert trace.frame(batch_of([(0, RAW_ENTER, content)]), 0, {PLAIN: places}) == (case in ("zero", "null"))


def test_the_places_of_undescribed_addresses_are_found_in_every_function() -> None:
    found = {name: address_places(spec, "x64") for name, spec in CALLS.items()}
    assert None not in found.values()
    assert {name for name, places in found.items() if places} == {
        name for name, spec in CALLS.items() if has_undescribed_pointer(spec)
    }
