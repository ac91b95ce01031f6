"""The core and Python find the same in blocks, whatever the target process wrote."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import require_core
from tests.strategies import examples
from tracekmt import core
from tracekmt.record.buffer.blocks import Blocks, BlocksInPython, blocks_of
from tracekmt.trace.buffer_format import BLOCK_HEADER, IDLE

COUNT, SIZE, QUEUE, START = 5, 256, 64, 128
LENGTHS = (0, 1, 24, 100, SIZE - BLOCK_HEADER, SIZE - BLOCK_HEADER + 1, 1 << 63, IDLE)

numbers = st.lists(st.integers(0, COUNT - 1), unique=True)
headers = st.tuples(
    st.sampled_from([0, 1, 1, 1, IDLE]),
    st.sampled_from(LENGTHS),
    st.sampled_from([IDLE, IDLE, 0, 7, 1 << 63]),
    st.sampled_from([0, 1, IDLE]),
)
steps = st.one_of(
    st.tuples(st.just("write"), st.integers(0, COUNT - 1), headers, st.binary(min_size=SIZE, max_size=SIZE)),
    st.tuples(st.just("lowest_active"), numbers),
    st.tuples(st.just("new_data"), numbers),
    st.tuples(st.just("release"), numbers, st.sampled_from([0, 3, COUNT, 1 << 40])),
)


def play(with_core: bool, script: list[Any]) -> tuple[list[Any], bytes]:
    """Return what the steps of a script find, and the memory after them."""
    memory = memoryview(bytearray(START + COUNT * SIZE))
    found: list[Any] = []
    with pytest.MonkeyPatch.context() as patch:
        if not with_core:
            patch.setattr(core, "CORE", None)
        blocks = blocks_of(memory, QUEUE, START, SIZE, COUNT)
    assert isinstance(blocks, BlocksInPython) is not with_core
    for name, *arguments in script:
        if name == "write":
            number, header, data = arguments
            start = START + number * SIZE
            memory[start : start + SIZE] = struct.pack("<4Q32x", *header) + data[BLOCK_HEADER:]
        else:
            found.append(getattr(blocks, name)(*arguments))
    blocks.close()
    return found, memory.tobytes()


@settings(max_examples=examples(400), deadline=None)
@given(st.lists(steps, max_size=12))
def test_the_core_finds_what_python_finds(script: list[Any]) -> None:
    require_core()
    assert play(True, script) == play(False, script)


def make_blocks() -> tuple[memoryview, Blocks]:
    memory = memoryview(bytearray(START + COUNT * SIZE))
    return memory, blocks_of(memory, QUEUE, START, SIZE, COUNT)


def write(memory: memoryview, number: int, committed: int, *, active: int = IDLE, closed: int = 0) -> None:
    start = START + number * SIZE
    memory[start : start + 32] = struct.pack("<4Q", 1, committed, active, closed)
    memory[start + BLOCK_HEADER : start + SIZE] = bytes(range(SIZE - BLOCK_HEADER))


@pytest.mark.usefixtures("either_core")
def test_data_is_found_once() -> None:
    memory, blocks = make_blocks()
    write(memory, 1, 3)
    assert blocks.new_data([0, 1]) == ([(1, b"\0\1\2")], [], None)
    write(memory, 1, 5, closed=1)
    assert blocks.new_data([0, 1]) == ([(1, b"\3\4")], [1], None)
    blocks.release([1], 7)
    assert struct.unpack_from("<5I", memory, QUEUE)[7 % COUNT] == 1
    write(memory, 1, 2)
    assert blocks.new_data([1]) == ([(1, b"\0\1")], [], None)


@pytest.mark.usefixtures("either_core")
def test_a_closed_block_with_an_event_in_work_is_not_complete() -> None:
    memory, blocks = make_blocks()
    write(memory, 2, 4, active=9, closed=1)
    assert blocks.new_data([2]) == ([(2, b"\0\1\2\3")], [], None)
    assert blocks.lowest_active([0, 2]) == 0
    assert blocks.lowest_active([2]) == 9
    assert blocks.lowest_active([]) == IDLE


@pytest.mark.usefixtures("either_core")
def test_the_first_invalid_length_counts() -> None:
    """Data that was found before stays found."""
    memory, blocks = make_blocks()
    write(memory, 0, 2)
    assert blocks.new_data([0])[0]
    write(memory, 0, 1)
    write(memory, 3, 1 << 63)
    assert blocks.new_data([3, 0]) == ([], [], 1 << 63)
    write(memory, 0, 3)
    assert blocks.new_data([0]) == ([(0, b"\2")], [], None)


@pytest.mark.usefixtures("either_core")
def test_closed_blocks_use_no_memory() -> None:
    memory, blocks = make_blocks()
    blocks.close()
    for use in (lambda: blocks.lowest_active([0]), lambda: blocks.new_data([0]), lambda: blocks.release([0], 0)):
        with pytest.raises(ValueError):  # noqa: PT011 (the text is that of the Python version)
            use()
    memory.release()


@pytest.mark.parametrize("wrong", [[COUNT], [-1], [1 << 70], ["1"], (0,), None])
def test_the_core_refuses_other_blocks(wrong: Any) -> None:
    """No program can name them: its numbers are checked before. A mistake of ours must not read other memory."""
    require_core()
    _, blocks = make_blocks()
    for use in (lambda: blocks.lowest_active(wrong), lambda: blocks.new_data(wrong), lambda: blocks.release(wrong, 0)):
        with pytest.raises((ValueError, TypeError, OverflowError, SystemError)):
            use()
