"""The drain returns the events of all threads in order. A stand-in writes them like the target process."""

from __future__ import annotations

import mmap
import shutil
import struct
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tracekmt
from tests.record.buffer.drained import drained
from tests.strategies import examples
from tracekmt.calls import CALLS
from tracekmt.edit.recover import recover
from tracekmt.record.buffer import event_queue, shared_buffer
from tracekmt.record.buffer.blocks import Blocks
from tracekmt.record.buffer.event_queue import EventQueue
from tracekmt.record.buffer.overflow_file import OverflowFile, preface
from tracekmt.record.buffer.shared_buffer import BLOCK_SIZE, SharedBuffer
from tracekmt.spec.types import CallSpec
from tracekmt.trace.buffer_format import Control, overflow_path
from tracekmt.trace.events import Enter, Header, Leave, Lost
from tracekmt.trace.recorder_id import recorder_id
from tracekmt.trace.writer import Writer

IDLE = (1 << 64) - 1

pytestmark = pytest.mark.usefixtures("either_core")


@pytest.fixture
def buffer(tmp_path: Path) -> Iterator[SharedBuffer]:
    created = create_buffer(Header("x64"), {}, tmp_path)
    yield created
    created.close()


def create_buffer(
    header: Header, specs: Mapping[int, CallSpec], folder: Path, overflow: Path | None = None
) -> SharedBuffer:
    start = preface(header, specs)
    queue = EventQueue(None if overflow is None else lambda: OverflowFile(overflow, start))
    return SharedBuffer(start, queue, folder)


class Target:
    """Writes to a buffer file like hooks/recorder.c."""

    def __init__(self, buffer: SharedBuffer) -> None:
        with buffer.path.open("r+b") as file:
            self.mapped = mmap.mmap(file.fileno(), buffer.offset + buffer.size)
        self.map = memoryview(self.mapped)[buffer.offset :]
        self.words = self.map.cast("Q")

    def close(self) -> None:
        """End. Windows deletes no file that is mapped."""
        self.words.release()
        self.map.release()
        self.mapped.close()

    def take(self, owner: int) -> int:
        head = self.words[16]
        if head >= self.words[24]:
            return -1
        self.words[16] = head + 1
        (number,) = struct.unpack_from("<I", self.map, self.words[3] + 4 * (head % self.words[2]))
        block = self.words[4] + number * self.words[1]
        self.words[block // 8] = owner
        return int(block)

    def append(self, block: int, data: bytes) -> None:
        committed = self.words[block // 8 + 1]
        self.map[block + 64 + committed : block + 64 + committed + len(data)] = data
        self.words[block // 8 + 1] = committed + len(data)

    def sequence(self) -> int:
        self.words[8] += 1
        return int(self.words[8] - 1)

    def close_block(self, block: int) -> None:
        self.words[block // 8 + 3] = 1


def fragment(sequence: int, content: bytes, *, kind: int = 1, last: int = 1, part: int = 0) -> bytes:
    return struct.pack("<IBBHQ", 16 + len(content), kind, last, part, sequence) + content


def enter(sequence: int, regions: bytes = b"", thread: int = 22) -> bytes:
    return fragment(sequence, struct.pack("<QQQQQQ", 1000 + sequence, 3, 0x77, thread, 1, 0x5000) + regions)


def leave(sequence: int, enter_sequence: int) -> bytes:
    return fragment(sequence, struct.pack("<QQQ", 1000 + sequence, enter_sequence, 0xC000000D), kind=2)


def piece(address: int, data: bytes, wanted: int | None = None, continued: int = 0) -> bytes:
    padded = data + bytes(-len(data) % 8)
    return struct.pack("<QIIII", address, len(data) if wanted is None else wanted, len(data), continued, 0) + padded


def test_events_come_in_the_order_of_their_numbers(buffer: SharedBuffer) -> None:
    target = Target(buffer)
    one, two = target.take(11), target.take(22)
    numbers = [target.sequence() for _ in range(4)]
    target.append(two, enter(numbers[1], piece(0x5000, b"abc", wanted=8)) + leave(numbers[3], numbers[1]))
    target.append(one, enter(numbers[0]) + leave(numbers[2], numbers[0]))
    events = drained(buffer)
    assert [event.sequence for event in events] == [0, 1, 2, 3]
    assert events[1] == Enter(1, 22, 3, 1001, 0x77, (0x5000,), ((0x5000, 8, b"abc"),))
    assert events[2] == Leave(2, 0, 1002, 0xC000000D, ())
    assert drained(buffer) == []


def test_an_event_that_is_being_written_is_awaited(buffer: SharedBuffer) -> None:
    target = Target(buffer)
    slow, fast = target.take(1), target.take(2)
    target.words[slow // 8 + 2] = target.words[8]
    first, second = target.sequence(), target.sequence()
    target.append(fast, enter(second))
    assert drained(buffer) == []
    target.append(slow, enter(first))
    target.words[slow // 8 + 2] = IDLE
    assert [event.sequence for event in drained(buffer)] == [0, 1]


def test_an_event_in_several_blocks_and_a_region_in_pieces(buffer: SharedBuffer) -> None:
    target = Target(buffer)
    one, two = target.take(1), target.take(1)
    target.words[one // 8 + 2] = 0
    number = target.sequence()
    head = struct.pack("<QQQQQQ", 5, 0, 0, 1, 1, 0x5000)
    target.append(two, fragment(number, piece(0x5004, b"efgh", 4, continued=1), part=1))
    assert drained(buffer) == []
    target.append(one, fragment(number, head + piece(0x5000, b"abcd", 8), last=0))
    target.words[one // 8 + 2] = IDLE
    (event,) = drained(buffer)
    assert isinstance(event, Enter)
    assert event.regions == ((0x5000, 8, b"abcdefgh"),)


def test_lost_events_are_returned_at_their_position(buffer: SharedBuffer) -> None:
    target = Target(buffer)
    block = target.take(1)
    numbers = [target.sequence() for _ in range(5)]
    target.append(block, enter(numbers[0]) + enter(numbers[3]))
    events = drained(buffer)
    assert events[1:] == [Lost(1, 2), events[2], Lost(4, 1)]
    assert [event.sequence for event in events] == [0, 1, 3, 4]


def test_closed_blocks_are_reused(buffer: SharedBuffer) -> None:
    target = Target(buffer)
    count = int(target.words[2])
    for _ in range(3 * count):
        block = target.take(1)
        assert block > 0
        target.append(block, enter(target.sequence()))
        target.close_block(block)
        assert len(drained(buffer)) == 1
    taken = [target.take(thread) for thread in range(1, count + 1)]
    assert len(set(taken)) == count
    assert target.take(99) == -1


def test_an_unfinished_event_is_lost_when_the_target_has_ended(buffer: SharedBuffer) -> None:
    target = Target(buffer)
    block = target.take(1)
    target.words[block // 8 + 2] = 0
    number = target.sequence()
    target.append(block, fragment(number, b"", last=0))
    assert drained(buffer) == []
    assert drained(buffer, last=True) == [Lost(0, 1)]


class Interrupted:
    """Blocks of the memory. The target runs once before the drain reads what is being written."""

    def __init__(self, blocks: Blocks, run: Callable[[], None]) -> None:
        self.blocks, self.run = blocks, run
        self.new_data, self.release, self.close = blocks.new_data, blocks.release, blocks.close

    def lowest_active(self, numbers: list[int]) -> int:
        self.run()
        return self.blocks.lowest_active(numbers)


def test_an_event_that_continues_in_a_block_taken_during_the_drain_is_complete(
    buffer: SharedBuffer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was lost when its thread took the block after the drain had read HEAD, and ended it before ACTIVE was read."""
    target = Target(buffer)
    first = target.take(1)
    target.words[first // 8 + 2] = target.words[8]
    sequence, whole = target.sequence(), enter(0)
    target.append(first, fragment(sequence, whole[16:40], last=0))

    def finish() -> None:
        target.close_block(first)
        target.append(target.take(1), fragment(sequence, whole[40:], part=1))
        target.words[first // 8 + 2] = IDLE

    monkeypatch.setattr(buffer, "_blocks", Interrupted(buffer._blocks, finish))
    assert [type(event) for event in drained(buffer)] == [Enter]


def test_the_rest_of_a_damaged_stretch_is_lost(buffer: SharedBuffer) -> None:
    target = Target(buffer)
    block = target.take(1)
    target.append(block, enter(target.sequence()) + b"\3" * 64)
    damaged = target.sequence()
    assert [type(event) for event in drained(buffer)] == [Enter, Lost]
    target.append(block, enter(target.sequence()))
    assert [event.sequence for event in drained(buffer)] == [damaged + 1]
    assert buffer.damage == "an invalid fragment of 50529027 bytes"
    assert not buffer.is_unreadable


def test_blocks_that_do_not_exist_are_reported(buffer: SharedBuffer) -> None:
    target = Target(buffer)
    struct.pack_into("<I", target.map, target.words[3], 1 << 30)
    target.words[16] = 1
    target.append(target.take(1), enter(target.sequence()))
    assert [event.sequence for event in drained(buffer)] == [0]
    assert buffer.damage == f"it took block {1 << 30} of {target.words[2]}"


@pytest.mark.parametrize("length", [1 << 40, 8])
def test_an_invalid_length_of_a_block_is_reported(buffer: SharedBuffer, length: int) -> None:
    target = Target(buffer)
    block = target.take(1)
    target.append(block, enter(target.sequence()))
    assert len(drained(buffer)) == 1
    target.words[block // 8 + 1] = length
    assert drained(buffer) == []
    assert buffer.damage == f"a block has an invalid length of {length} bytes"


@pytest.mark.parametrize("count", [1 << 40, (1 << 64) - 1])
def test_an_impossible_number_of_events_ends_the_reading(buffer: SharedBuffer, count: int) -> None:
    target = Target(buffer)
    block = target.take(1)
    target.append(block, enter(target.sequence()))
    target.words[8] = count
    target.append(block, enter(count & (1 << 61) - 1))
    assert [event.sequence for event in drained(buffer)] == [0]
    assert buffer.damage == f"it counted {count} events"
    assert buffer.is_unreadable
    assert drained(buffer, last=True) == []


@settings(max_examples=examples(200), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_random_damage_neither_ends_the_recorder_nor_invents_losses(tmp_path: Path, data: st.DataObject) -> None:
    buffer = create_buffer(Header("x64"), {}, tmp_path)
    target = Target(buffer)
    block = target.take(1)
    places = [*range(8, 50), *range(target.words[3] // 8, target.words[3] // 8 + 4)]
    places += range(block // 8, block // 8 + 40)
    values = st.sampled_from([0, 1, 255, 1 << 31, 1 << 32, 1 << 40, (1 << 63) - 1, (1 << 64) - 1]) | st.integers(0, 99)
    lost = 0
    for _ in range(data.draw(st.integers(1, 4))):
        if target.words[block // 8 + 1] < 8192:
            target.append(block, enter(target.words[8] & 0xFFFF))
            target.words[8] = target.words[8] + 1 & (1 << 64) - 1
        place = data.draw(st.sampled_from(places))
        if place != Control.LOST:
            target.words[place] = data.draw(values)
        lost += sum(event.count for event in drained(buffer) if isinstance(event, Lost))
    lost += sum(event.count for event in drained(buffer, last=True) if isinstance(event, Lost))
    assert lost <= 2 * shared_buffer.UNCOUNTED
    target.close()
    buffer.close()


def test_the_file_is_preallocated_and_removed(tmp_path: Path) -> None:
    buffer = create_buffer(Header("x64"), {}, tmp_path)
    information = buffer.path.stat()
    allocated = information.st_size if sys.platform == "win32" else information.st_blocks * 512
    assert allocated >= buffer.offset + buffer.size > buffer.size >= BLOCK_SIZE
    if sys.platform != "win32":
        assert information.st_mode & 0o077 == 0
    buffer.close()
    assert not list(tmp_path.iterdir())


def test_data_that_is_not_parsed_waits_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The order is kept, nothing is lost, and the blocks are free again at once."""
    monkeypatch.setattr(shared_buffer, "SIZES", (2 << 20,))
    monkeypatch.setattr(event_queue, "MEMORY_LIMIT", 0)
    buffer = create_buffer(Header("x64"), {}, tmp_path, tmp_path / "t.kmt.spill")
    target = Target(buffer)
    rounds, previous = 3 * int(target.words[2]), -1
    for number in range(rounds):
        block = target.take(1)
        assert block > 0, "the blocks are not free although nothing waits in them"
        target.append(block, enter(target.sequence()))
        if number % 2:
            target.close_block(block)
            target.close_block(previous)
        previous = block
        assert drained(buffer, most=0) == []
    assert buffer.behind
    events = []
    while buffer.behind:
        events += drained(buffer, most=1000)
    assert [event.sequence for event in events] == list(range(rounds))
    assert not any(isinstance(event, Lost) for event in events)
    assert (tmp_path / "t.kmt.spill").stat().st_size < 500, "the file still has parsed data"
    target.close()
    buffer.close()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("memory", ["original", "copy", "copy from Windows", "gone"])
def test_waiting_data_is_recovered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, memory: str) -> None:
    """After a restart of the system, the shared memory is gone, and the file beside the trace is not.

    A copy of the shared memory beside the trace is read instead of the original, whatever system recorded it.
    """
    shared = tmp_path / "shared"
    shared.mkdir()
    monkeypatch.setattr(shared_buffer, "SIZES", (2 << 20,))
    monkeypatch.setattr(event_queue, "MEMORY_LIMIT", 0)
    path, specs = tmp_path / "t.kmt", {3: CALLS["D3DKMTCloseAdapter"]}
    header = Header("x64", settings={"recording": "this one"})
    buffer = create_buffer(header, specs, shared, overflow_path(path))
    target = Target(buffer)
    recorded = f"C:\\users\\a b\\{buffer.path.name}" if memory == "copy from Windows" else str(buffer.path)
    settings = {"recording": "this one", "spool": recorded, "recorded_by": recorder_id()}
    writer = Writer(path, Header("x64", settings=settings))
    writer.describe(3, specs[3])
    first = target.take(1)
    target.append(first, enter(target.sequence()))
    writer.events(drained(buffer))
    target.append(first, leave(target.sequence(), 0) + enter(target.sequence()))
    target.close_block(first)
    assert drained(buffer, most=0) == []
    second = target.take(1)
    target.append(second, leave(target.sequence(), 2) + enter(target.sequence()))
    writer.close()
    target.close()
    if memory != "original":
        buffer.close(keep=True)
        if memory == "gone":
            buffer.path.unlink()
        else:
            shutil.move(buffer.path, tmp_path)
    call_count, damage = recover(path, tmp_path / "whole.kmt")
    memory_is_there = memory != "gone"
    assert call_count == 2 + memory_is_there
    assert (f"the recorder's buffer {buffer.path.name} is missing" in str(damage)) == (memory == "gone")
    with tracekmt.open(tmp_path / "whole.kmt") as trace:
        assert [call.returned for call in trace.calls()] == ([True, True, False] if memory_is_there else [True, False])
        assert trace.lost == 0
    buffer.close()
