"""The memory of a killed recorder is readable as a trace. Damaged memory is a damaged trace or an error."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import pytest

from tests.conftest import without_core
from tests.record.buffer.drained import drained
from tests.record.buffer.test_shared_buffer import Target, enter, fragment, leave, piece
from tracekmt.calls import CALLS
from tracekmt.errors import TraceError
from tracekmt.record.buffer import shared_buffer as spools
from tracekmt.record.buffer.event_queue import EventQueue
from tracekmt.record.buffer.overflow_file import preface
from tracekmt.record.buffer.shared_buffer import BLOCK_SIZE, SharedBuffer
from tracekmt.trace.buffer_format import Assembler
from tracekmt.trace.events import Header, Lost
from tracekmt.trace.raw_events import parse_event
from tracekmt.trace.reader import Trace

pytestmark = pytest.mark.usefixtures("either_core")


@pytest.fixture
def leftover(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the memory that a recorder left after three calls.

    The first call was drained before. The second one returned, and the third one is in flight. An event that was being
    written is lost.
    """
    monkeypatch.setattr(spools, "SIZES", (2 << 20,))
    header = preface(Header("x64", process={"pid": 7}), {3: CALLS["D3DKMTCloseAdapter"]})
    spool = SharedBuffer(header, EventQueue(), tmp_path)
    target = Target(spool)
    first, second = target.take(11), target.take(22)
    numbers = [target.sequence() for _ in range(3)]
    target.append(first, enter(numbers[0]) + leave(numbers[1], numbers[0]))
    target.close_block(first)
    target.append(second, enter(numbers[2], piece(0x5000, b"abcd", 4)))
    assert len(drained(spool)) == 3
    assert drained(spool) == []  # Drained events count as written, and the closed block is free again.
    numbers += [target.sequence() for _ in range(3)]
    target.append(second, leave(numbers[3], numbers[2]) + enter(numbers[4]) + fragment(numbers[5], b"", last=0))
    path = tmp_path / "left.spool"
    path.write_bytes(spool.path.read_bytes())
    target.close()
    spool.close()
    return path


def test_leftover_memory_is_a_trace(leftover: Path) -> None:
    with Trace(leftover) as trace:
        assert trace.header.process == {"pid": 7}
        assert [(call.name, call.outcome_text) for call in trace.calls()] == [
            ("D3DKMTCloseAdapter", "STATUS_INVALID_PARAMETER"),
            ("D3DKMTCloseAdapter", "did not return"),
        ]
        assert trace[0].inputs == {"hAdapter": 0x64636261}
        assert list(trace.losses()) == [Lost(0, 2), Lost(5, 1)]
        assert trace.ended is None
        assert trace.damage is not None
        assert trace.damage.endswith("memory of a recorder that was killed; the recording did not finish")


def test_damaged_memory_is_an_error_or_a_damaged_trace(leftover: Path) -> None:
    data = leftover.read_bytes()
    chance = random.Random(4)
    head = data.index(b"\x0b\x02\0\0", 12) - 4
    first = head + 12 + BLOCK_SIZE
    second = first + BLOCK_SIZE
    offsets = [*range(head, head + 12 + 300), *range(first, first + 200), *range(second, second + 400)]
    names_the_file: set[bool] = set()
    for _ in range(400):
        damaged = bytearray(data)
        for _ in range(chance.randrange(1, 4)):
            damaged[chance.choice(offsets)] ^= 1 << chance.randrange(8)
        leftover.write_bytes(damaged)
        try:
            with Trace(leftover) as trace:
                for call in trace.calls():
                    call.to_json()
        except TraceError as error:
            names_the_file.add(str(error).startswith(str(leftover)))
    assert names_the_file == {True}


def test_truncated_memory_is_a_damaged_trace(leftover: Path) -> None:
    leftover.write_bytes(leftover.read_bytes()[:-5])
    with Trace(leftover) as trace:
        assert len(trace) == 0
        assert trace.damage is not None
        assert trace.damage.endswith("is truncated")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\1\2\3", "a truncated fragment"),
        (fragment(1, b"")[:-4] + bytes(4), "a truncated event"),
        (struct.pack("<IBBHQ", 8, 1, 1, 0, 1), "an invalid fragment of 8 bytes"),
        (struct.pack("<IBBHQ", 16, 1, 1, 0, 1 << 63), "an invalid fragment of 16 bytes"),
        (fragment(1, bytes(24), kind=3), "an event of unknown kind 3"),
        (fragment(1, struct.pack("<QQQQQ", 0, 0, 0, 0, 1 << 60)), "arguments"),
        (fragment(1, struct.pack("<QQQQQ", 1 << 62, 0, 0, 0, 0)), "an event at the time 4611686018427387904"),
        (enter(1, piece(0, b"abc", continued=1)), "a truncated region"),
        (enter(1, piece(0, b"abcdefgh")[:-8]), "a truncated region"),
    ],
)
def test_malformed_fragments_are_errors(data: bytes, message: str) -> None:
    def assemble() -> None:
        assembler = Assembler()
        assembler.add_fragments(data)
        for event in assembler.events_until(2):
            if not isinstance(event, Lost):
                parse_event(event)

    with pytest.raises(ValueError, match=message):
        assemble()


@pytest.mark.parametrize("native", [True, False])
def test_numbers_begin_at_zero(native: bool) -> None:
    """A damaged trace may have negative ones, after which its recovery goes on."""

    def events() -> list[object]:
        assembler = Assembler(-4)
        assembler.add_fragments(fragment(0, b"") + fragment(2, b""))
        return [*assembler.events_until(-2), *assembler.events_until(3)]

    taken = events() if native else without_core(events)
    assert taken == [(0, 1, b""), Lost(1, 1), (2, 1, b"")]
