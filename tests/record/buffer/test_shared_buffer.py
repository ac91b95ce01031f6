"""The drain puts what threads wrote into order, whatever order they wrote it in; a stand-in plays the target's side."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import tracekmt
from tracekmt.calls import CALLS
from tracekmt.edit.recover import recover
from tracekmt.errors import RecordError
from tracekmt.record.buffer import event_queue as backlogs
from tracekmt.record.buffer import shared_buffer as spools
from tracekmt.record.buffer.event_queue import EventQueue
from tracekmt.record.buffer.overflow_file import OverflowFile, preface
from tracekmt.record.buffer.shared_buffer import BLOCK_SIZE, SharedBuffer
from tracekmt.spec.types import CallSpec
from tracekmt.trace.buffer_format import overflow_path
from tracekmt.trace.events import Enter, Header, Leave, Lost
from tracekmt.trace.writer import Writer

IDLE = (1 << 64) - 1


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[SharedBuffer]:
    made = shared(Header("x64"), {}, tmp_path)
    yield made
    made.close()


def shared(header: Header, calls: Mapping[int, CallSpec], folder: Path, spill: Path | None = None) -> SharedBuffer:
    told = preface(header, calls)
    return SharedBuffer(told, EventQueue(None if spill is None else lambda: OverflowFile(spill, told)), folder)


class Target:
    """What hooks/recorder.c does, on the same file."""

    def __init__(self, spool: SharedBuffer) -> None:
        with spool.path.open("r+b") as file:
            self.map = memoryview(mmap.mmap(file.fileno(), spool.offset + spool.size))[spool.offset :]
        self.words = self.map.cast("Q")

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
        at = self.words[block // 8 + 1]
        self.map[block + 64 + at : block + 64 + at + len(data)] = data
        self.words[block // 8 + 1] = at + len(data)

    def sequence(self) -> int:
        self.words[8] += 1
        return int(self.words[8] - 1)

    def close_block(self, block: int) -> None:
        self.words[block // 8 + 3] = 1


def fragment(sequence: int, content: bytes, *, kind: int = 1, last: int = 1, part: int = 0) -> bytes:
    return struct.pack("<IBBHQ", 16 + len(content), kind, last, part, sequence) + content


def enter(sequence: int, regions: bytes = b"", thread: int = 22) -> bytes:
    return fragment(sequence, struct.pack("<QQQQQQ", 1000 + sequence, 3, 0x77, thread, 1, 0x5000) + regions)


def leave(sequence: int, of: int) -> bytes:
    return fragment(sequence, struct.pack("<QQQ", 1000 + sequence, of, 0xC000000D), kind=2)


def piece(address: int, data: bytes, wanted: int | None = None, continued: int = 0) -> bytes:
    padded = data + bytes(-len(data) % 8)
    return struct.pack("<QIIII", address, len(data) if wanted is None else wanted, len(data), continued, 0) + padded


def test_events_come_in_the_order_of_their_numbers(spool: SharedBuffer) -> None:
    target = Target(spool)
    one, two = target.take(11), target.take(22)
    numbers = [target.sequence() for _ in range(4)]
    target.append(two, enter(numbers[1], piece(0x5000, b"abc", wanted=8)) + leave(numbers[3], numbers[1]))
    target.append(one, enter(numbers[0]) + leave(numbers[2], numbers[0]))
    events = spool.drain()
    assert [event.sequence for event in events] == [0, 1, 2, 3]
    assert events[1] == Enter(1, 22, 3, 1001, 0x77, (0x5000,), ((0x5000, 8, b"abc"),))
    assert events[2] == Leave(2, 0, 1002, 0xC000000D, ())
    assert spool.drain() == []


def test_what_a_thread_is_still_writing_is_waited_for(spool: SharedBuffer) -> None:
    target = Target(spool)
    slow, fast = target.take(1), target.take(2)
    target.words[slow // 8 + 2] = target.words[8]
    first, second = target.sequence(), target.sequence()
    target.append(fast, enter(second))
    assert spool.drain() == []
    target.append(slow, enter(first))
    target.words[slow // 8 + 2] = IDLE
    assert [event.sequence for event in spool.drain()] == [0, 1]


def test_an_event_may_lie_in_several_blocks_and_a_region_in_pieces(spool: SharedBuffer) -> None:
    target = Target(spool)
    one, two = target.take(1), target.take(1)
    target.words[one // 8 + 2] = 0
    number = target.sequence()
    head = struct.pack("<QQQQQQ", 5, 0, 0, 1, 1, 0x5000)
    target.append(two, fragment(number, piece(0x5004, b"efgh", 4, continued=1), part=1))
    assert spool.drain() == []
    target.append(one, fragment(number, head + piece(0x5000, b"abcd", 8), last=0))
    target.words[one // 8 + 2] = IDLE
    (event,) = spool.drain()
    assert isinstance(event, Enter)
    assert event.regions == ((0x5000, 8, b"abcdefgh"),)


def test_losses_stand_in_their_place(spool: SharedBuffer) -> None:
    target = Target(spool)
    block = target.take(1)
    numbers = [target.sequence() for _ in range(5)]
    target.append(block, enter(numbers[0]) + enter(numbers[3]))
    events = spool.drain()
    assert events[1:] == [Lost(1, 2), events[2], Lost(4, 1)]
    assert [event.sequence for event in events] == [0, 1, 3, 4]


def test_closed_blocks_are_used_again(spool: SharedBuffer) -> None:
    target = Target(spool)
    count = int(target.words[2])
    for _ in range(3 * count):
        block = target.take(1)
        assert block > 0
        target.append(block, enter(target.sequence()))
        target.close_block(block)
        assert len(spool.drain()) == 1
    taken = [target.take(thread) for thread in range(1, count + 1)]
    assert len(set(taken)) == count
    assert target.take(99) == -1


def test_an_unfinished_event_is_lost_when_the_target_is_gone(spool: SharedBuffer) -> None:
    target = Target(spool)
    block = target.take(1)
    target.words[block // 8 + 2] = 0
    number = target.sequence()
    target.append(block, fragment(number, b"", last=0))
    assert spool.drain() == []
    assert spool.drain(last=True) == [Lost(0, 1)]


def test_a_mapping_that_the_target_has_damaged_is_an_error(spool: SharedBuffer) -> None:
    target = Target(spool)
    block = target.take(1)
    target.append(block, b"\3" * 64)
    with pytest.raises(RecordError, match="damaged by the recorded process"):
        spool.drain()


def test_the_file_is_preallocated_and_removed(tmp_path: Path) -> None:
    spool = shared(Header("x64"), {}, tmp_path)
    information = spool.path.stat()
    assert information.st_blocks * 512 >= spool.offset + spool.size > spool.size >= BLOCK_SIZE
    assert information.st_mode & 0o077 == 0
    spool.close()
    assert not list(tmp_path.iterdir())


def test_what_is_found_faster_than_it_is_taken_apart_waits_in_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In order, whole, and the memory is free again at once."""
    monkeypatch.setattr(spools, "SIZES", (2 << 20,))
    monkeypatch.setattr(backlogs, "KEPT", 0)
    spool = shared(Header("x64"), {}, tmp_path, tmp_path / "t.kmt.spill")
    target = Target(spool)
    rounds, other = 3 * int(target.words[2]), -1
    for number in range(rounds):
        block = target.take(1)
        assert block > 0, "the memory is free again, although nothing has been taken apart"
        target.append(block, enter(target.sequence()))
        if number % 2:
            target.close_block(block)
            target.close_block(other)
        other = block
        assert spool.drain(most=0) == []
    assert spool.behind
    events = []
    while spool.behind:
        events += spool.drain(most=1000)
    assert [event.sequence for event in events] == list(range(rounds))
    assert not any(isinstance(event, Lost) for event in events)
    assert (tmp_path / "t.kmt.spill").stat().st_size < 500, "what was worked off is gone from the file"
    spool.close()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("memory_is_there", [True, False])
def test_what_waited_is_recovered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, memory_is_there: bool) -> None:
    """The memory is gone when the system has been started again; the file beside the trace is not."""
    monkeypatch.setattr(spools, "SIZES", (2 << 20,))
    monkeypatch.setattr(backlogs, "KEPT", 0)
    path, calls = tmp_path / "t.kmt", {3: CALLS["D3DKMTCloseAdapter"]}
    header = Header("x64", settings={"recording": "this one"})
    spool = shared(header, calls, tmp_path, overflow_path(path))
    target = Target(spool)
    writer = Writer(path, Header("x64", settings={"recording": "this one", "spool": str(spool.path)}))
    writer.describe(3, calls[3])
    first = target.take(1)
    target.append(first, enter(target.sequence()))
    writer.events(spool.drain())
    target.append(first, leave(target.sequence(), 0) + enter(target.sequence()))
    target.close_block(first)
    assert spool.drain(most=0) == []
    second = target.take(1)
    target.append(second, leave(target.sequence(), 2) + enter(target.sequence()))
    writer.close()
    if not memory_is_there:
        spool.path.unlink()
    assert recover(path, tmp_path / "whole.kmt")[0] == 2 + memory_is_there
    with tracekmt.open(tmp_path / "whole.kmt") as trace:
        assert [call.returned for call in trace.calls()] == ([True, True, False] if memory_is_there else [True, False])
        assert trace.lost == 0
    spool.close()
