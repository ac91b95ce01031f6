"""The heap and the mailbox that programs share with the simulator."""

from __future__ import annotations

import ctypes
import gc
import mmap
import os
import struct
import sys
import threading
from pathlib import Path

import pytest

from tests.skips import LINUX_PART

if sys.platform != "linux":
    pytest.skip(LINUX_PART, allow_module_level=True)

from tracekmt.errors import RecordError
from tracekmt.run.contents import UNKNOWN_SIZE, Contents
from tracekmt.run.event import signal_event
from tracekmt.run.mailbox import CELL, HEAP_SIZE, LETTERS, Heap, Mailbox
from tracekmt.simulator.model.gpu_queue import Fence
from tracekmt.simulator.model.shared_objects import AllocationMemory
from tracekmt.simulator.simulator import Simulator

PAGE = 4096


@pytest.fixture
def heap() -> Heap:
    return Heap()


def mapped(location: dict[str, object], size: int) -> mmap.mmap:
    """Map shared memory like the program."""
    descriptor = os.open(str(location["path"]), os.O_RDWR)
    try:
        return mmap.mmap(descriptor, size)
    finally:
        os.close(descriptor)


def test_pieces_of_the_heap_do_not_overlap_and_are_used_again(heap: Heap) -> None:
    sizes = [1, 8, CELL, CELL + 1, PAGE, PAGE + 1, 1 << 20]
    pieces = [(heap.allocate(size), size) for size in sizes * 3]
    for offset, size in pieces:
        assert offset % min(CELL if size <= CELL else PAGE, PAGE) == 0
        assert all(other + length <= offset or offset + size <= other for other, length in pieces if other != offset)
    assert len({offset for offset, _ in pieces}) == len(pieces)
    for offset, size in pieces:
        heap.free(offset, size)
    assert {heap.allocate(size) for size in sizes * 3} == {offset for offset, _ in pieces}


def test_a_freed_piece_is_zero_again(heap: Heap) -> None:
    program = mapped(heap.location, 1 << 22)
    for size in (8, PAGE, 1 << 20):
        offset = heap.allocate(size)
        program[offset : offset + size] = b"x" * size
        heap.free(offset, size)
        assert program[offset : offset + size] == bytes(size)


def test_the_program_sees_a_value(heap: Heap) -> None:
    program = mapped(heap.location, 1 << 20)
    offset = heap.allocate(8)
    heap.write_value(offset, 1 << 63)
    assert struct.unpack_from("<Q", program, offset) == (1 << 63,)


def test_the_end_of_the_heap(heap: Heap) -> None:
    heap.allocate(HEAP_SIZE - PAGE)
    with pytest.raises(RecordError, match="more memory than the simulator can map"):
        heap.allocate(2 * PAGE)


def test_contents_live_as_long_as_their_owner(heap: Heap) -> None:
    contents, adapter = Contents(heap), Simulator().machine.adapters[0]
    known = AllocationMemory(adapter, b"", 3 * PAGE, 0, 0)
    unknown = AllocationMemory(adapter, b"", PAGE, 0, 0, size_known=False)
    fence = Fence(0)
    offsets = [contents.of_allocation(known), contents.of_allocation(unknown), contents.of_fence(fence)[0]]
    assert offsets == [contents.of_allocation(known), contents.of_allocation(unknown), contents.of_fence(fence)[0]]
    del known, unknown, fence
    gc.collect()
    assert [heap.allocate(size) for size in (3 * PAGE, UNKNOWN_SIZE, CELL)] == offsets


def test_a_closed_heap_leaves_other_files_alone(heap: Heap, tmp_path: Path) -> None:
    """The owner of a piece may outlive the heap, and another file may get the number of its descriptor."""
    offset = heap.allocate(PAGE)
    heap.close()
    other = tmp_path / "other"
    other.write_bytes(b"x" * 2 * PAGE)
    descriptors = [os.open(other, os.O_RDWR) for _ in range(8)]
    heap.free(offset, PAGE)
    for descriptor in descriptors:
        os.close(descriptor)
    assert other.read_bytes() == b"x" * 2 * PAGE


def write_letter(program: mmap.mmap, number: int, *words: int) -> None:
    """Do what hooks/mailbox.c does: write the letter, mark it and ring the bell. The futex is not woken."""
    struct.pack_into(f"<{len(words) + 1}Q", program, PAGE + 128 * number, 2, *words)
    program[64 + number] = 1
    struct.pack_into("<Q", program, 0, struct.unpack_from("<Q", program, 0)[0] + 1)


def state(program: mmap.mmap, number: int) -> int:
    return int(struct.unpack_from("<Q", program, PAGE + 128 * number)[0])


def test_letters_are_taken_once_and_answered() -> None:
    mailbox = Mailbox()
    program = mapped(mailbox.location, PAGE + 128 * LETTERS)
    assert list(mailbox.take(0.01)) == []
    for number in (0, 7, LETTERS - 1):
        write_letter(program, number, 11, 22, *range(30, 36), 0, 36)
    letters = list(mailbox.take(1))
    assert [(letter.number, letter.thread, letter.spec_id) for letter in letters] == [
        (number, 11, 22) for number in (0, 7, LETTERS - 1)
    ]
    assert letters[0].arguments == tuple(range(30, 37))
    assert list(mailbox.take(0.01)) == []
    mailbox.answer(letters[0], 0xC0000001)
    mailbox.decline(letters[1])
    assert [state(program, number) for number in (0, 7, LETTERS - 1)] == [3, 4, 2]
    assert struct.unpack_from("<Q", program, PAGE + 72) == (0xC0000001,)
    mailbox.close()
    assert struct.unpack_from("<Q", program, 8) == (1,)


def test_a_wait_for_letters_ends_with_the_bell() -> None:
    mailbox = Mailbox()
    program = mapped(mailbox.location, PAGE + 128 * LETTERS)
    taken: list[int] = []
    thread = threading.Thread(target=lambda: taken.extend(letter.number for letter in mailbox.take(30)))
    thread.start()
    write_letter(program, 3, *[0] * 8)
    while thread.is_alive():  # until the thread waits
        address = ctypes.addressof(ctypes.c_char.from_buffer(program))
        ctypes.CDLL(None).syscall(202, ctypes.c_void_p(address), 1, 1, None, None, 0)
        thread.join(0.01)
    assert taken == [3]


def test_an_event() -> None:
    read, write = os.pipe()
    os.set_blocking(read, False)
    event = os.eventfd(0) if hasattr(os, "eventfd") else write
    signal_event(os.getpid(), event)
    assert os.read(event if event != write else read, 8) == (1).to_bytes(8, "little")
    signal_event(os.getpid(), 1 << 20)
    signal_event(1 << 30, event)
    for descriptor in (read, write):
        os.close(descriptor)
