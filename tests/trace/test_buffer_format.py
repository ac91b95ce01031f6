"""A recorder's memory, found after everybody is gone, is a trace; damaged, it is one with a reason, or an error."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import pytest

from tests.record.buffer.test_shared_buffer import Target, enter, fragment, leave, piece
from tracekmt.calls import CALLS
from tracekmt.errors import TraceError
from tracekmt.record.buffer import shared_buffer as spools
from tracekmt.record.buffer.event_queue import EventQueue
from tracekmt.record.buffer.overflow_file import preface
from tracekmt.record.buffer.shared_buffer import BLOCK_SIZE, SharedBuffer
from tracekmt.trace.buffer_format import Assembler
from tracekmt.trace.events import Header, Lost
from tracekmt.trace.reader import Trace


@pytest.fixture
def left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What is left of a recording of three calls: one returned, one was given out before, one is under way. An event
    that was being written is lost."""
    monkeypatch.setattr(spools, "SIZES", (2 << 20,))
    told = preface(Header("x64", process={"pid": 7}), {3: CALLS["D3DKMTCloseAdapter"]})
    spool = SharedBuffer(told, EventQueue(), tmp_path)
    target = Target(spool)
    first, second = target.take(11), target.take(22)
    numbers = [target.sequence() for _ in range(3)]
    target.append(first, enter(numbers[0]) + leave(numbers[1], numbers[0]))
    target.close_block(first)
    target.append(second, enter(numbers[2], piece(0x5000, b"abcd", 4)))
    assert len(spool.drain()) == 3
    assert spool.drain() == []  # what was given out is taken to be written, and the closed block is free again
    numbers += [target.sequence() for _ in range(3)]
    target.append(second, leave(numbers[3], numbers[2]) + enter(numbers[4]) + fragment(numbers[5], b"", last=0))
    path = tmp_path / "left.spool"
    path.write_bytes(spool.path.read_bytes())
    spool.close()
    return path


def test_it_is_a_trace(left: Path) -> None:
    with Trace(left) as trace:
        assert trace.header.process == {"pid": 7}
        assert [(call.name, call.answer) for call in trace.calls()] == [
            ("D3DKMTCloseAdapter", "STATUS_INVALID_PARAMETER"),
            ("D3DKMTCloseAdapter", "did not return"),
        ]
        assert trace[0].inputs == {"hAdapter": 0x64636261}
        assert list(trace.losses()) == [Lost(0, 2), Lost(5, 1)]
        assert trace.ended is None
        assert trace.torn is not None
        assert trace.torn.endswith("what a recorder left in its memory; the recording did not finish")


def test_damage_is_an_error_or_said(left: Path) -> None:
    data = left.read_bytes()
    chance = random.Random(4)
    head = data.index(b"\x0b\x02\0\0", 12) - 4
    first = head + 12 + BLOCK_SIZE
    second = first + BLOCK_SIZE
    places = [*range(head, head + 12 + 300), *range(first, first + 200), *range(second, second + 400)]
    said: set[bool] = set()
    for _ in range(400):
        spoiled = bytearray(data)
        for _ in range(chance.randrange(1, 4)):
            spoiled[chance.choice(places)] ^= 1 << chance.randrange(8)
        left.write_bytes(spoiled)
        try:
            with Trace(left) as trace:
                for call in trace.calls():
                    call.to_json()
        except TraceError as error:
            said.add(str(error).startswith(str(left)))
    assert said == {True}


def test_a_cut_memory_is_a_torn_trace(left: Path) -> None:
    left.write_bytes(left.read_bytes()[:-5])
    with Trace(left) as trace:
        assert len(trace) == 0
        assert trace.torn is not None
        assert trace.torn.endswith("is cut off")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\1\2\3", "a fragment that is cut off"),
        (fragment(1, b"")[:-4] + bytes(4), "an event that is cut off"),
        (struct.pack("<IBBHQ", 8, 1, 1, 0, 1), "a fragment of 8 bytes"),
        (struct.pack("<IBBHQ", 16, 1, 1, 0, 1 << 63), "a fragment of 16 bytes"),
        (fragment(1, bytes(24), kind=3), "an event of the sort 3"),
        (fragment(1, struct.pack("<QQQQQ", 0, 0, 0, 0, 1 << 60)), "arguments"),
        (enter(1, piece(0, b"abc", continued=1)), "a region that is cut off"),
        (enter(1, piece(0, b"abcdefgh")[:-8]), "a region that is cut off"),
    ],
)
def test_what_are_no_fragments(data: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Assembler().take(data)
