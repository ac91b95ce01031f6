"""Reading of malformed files: TraceError or correct calls, in bounded memory. Frames before damage are readable."""

from __future__ import annotations

import io
import struct
import sys
import zlib
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tracekmt
from tests.strategies import examples
from tracekmt.convert.jsonl import to_lines
from tracekmt.edit.recover import recover
from tracekmt.errors import TraceError, UsageError
from tracekmt.resources import resource
from tracekmt.trace import frames
from tracekmt.trace.event_frame import EventTable, enter_body
from tracekmt.trace.events import Enter, Header
from tracekmt.trace.frame_calls import ENTER
from tracekmt.trace.frames import FRAME_LIMIT, FrameKind, FrameReader, pack_frame, preamble
from tracekmt.trace.reader import Trace
from tracekmt.trace.writer import Writer

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

SAMPLE = resource("traces", "demo.kmt").read_bytes()
FORMAT_0 = Path(__file__).parent.parent / "data" / "format-0.kmt"
FORMAT_1 = FORMAT_0.with_name("format-1.kmt")


def read(path: Path, data: bytes) -> list[object]:
    """Open a trace of these bytes and decode everything in it."""
    path.write_bytes(data)
    with tracekmt.open(path) as trace:
        return [call.to_json() for call in trace.calls()]


def frame(payload: bytes, *, flags: int = 0, kind: int = FrameKind.HEADER, length: int | None = None) -> bytes:
    """Return a frame with a valid checksum around any payload."""
    head = struct.pack("<IBBH", len(payload) if length is None else length, kind, flags, 0)
    return preamble() + head + struct.pack("<I", zlib.crc32(payload, zlib.crc32(head))) + payload


def test_written_frames_are_read(tmp_path: Path) -> None:
    values = [[1, b"x" * 1000, "text"], {"a": -1}, []]
    path = tmp_path / "t.kmt"
    path.write_bytes(preamble() + b"".join(pack_frame(FrameKind.ENTER, value) for value in values))
    with path.open("rb") as file:
        reader = FrameReader(path, file)
        scanned = list(reader.scan())
        assert [value for _, _, value in scanned] == values
        assert reader.read_frame(scanned[1][0]) == (FrameKind.ENTER, values[1])
        assert reader.damage is None


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file is empty"),
        (b"\x7fELF" + bytes(60), "not a tracekmt trace"),
        (preamble()[:-1], "truncated within the first 12 bytes"),
        (frames.MAGIC + struct.pack("<I", 9), r"trace format 9 is newer than this tracekmt \(up to 1\)"),
        (preamble(), "missing trace header"),
        (frame(msgpack.packb({"abi": "arm"})), "the header has no valid ABI"),
        (frame(msgpack.packb([1, 2]), kind=FrameKind.ENTER), "does not begin with a header"),
        (frame(b"\xc1"), "is not msgpack"),
        (frame(b"", length=FRAME_LIMIT + 1), f"invalid length of {FRAME_LIMIT + 1} bytes"),
        (frame(b"\x81\xa1a", flags=1), "does not decompress"),
        (frame(zstd.compress(bytes(FRAME_LIMIT + 1)), flags=1), f"decompresses to more than {FRAME_LIMIT} bytes"),
    ],
)
def test_errors_name_the_defect(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(TraceError, match=message):
        read(tmp_path / "t.kmt", data)


def test_a_trace_without_an_index_reads_the_same(tmp_path: Path, many: bytes) -> None:
    sealed = read(tmp_path / "sealed.kmt", many)
    assert read(tmp_path / "open.kmt", many[: -frames.TAIL_SIZE]) == sealed
    with tracekmt.open(tmp_path / "open.kmt") as trace:
        assert trace.damage is None
        assert trace.ended == "whole"
    with tracekmt.open(tmp_path / "sealed.kmt") as one, tracekmt.open(tmp_path / "open.kmt") as other:
        assert one._index == other._index


def test_format_0_is_read(tmp_path: Path) -> None:
    old = read(tmp_path / "old.kmt", FORMAT_0.read_bytes())
    with tracekmt.open(FORMAT_0) as trace:
        assert (trace.version, len(trace), trace.ended) == (0, 19, "the process ended")
        assert [call.name for call in trace.calls()][:2] == ["D3DKMTOpenAdapterFromLuid", "D3DKMTOpenAdapterFromLuid"]
    assert len(old) == 19
    assert tracekmt.replay(FORMAT_0).same
    cut = FORMAT_0.read_bytes()[:-200]
    assert len(read(tmp_path / "cut.kmt", cut)) >= 17
    with tracekmt.open(tmp_path / "cut.kmt") as trace:
        assert "is truncated" in str(trace.damage)


def test_format_1_is_read() -> None:
    """The specimen is a trimmed trace with a loss, repeated contents and a call in flight."""
    with tracekmt.open(FORMAT_1) as trace:
        assert (trace.version, trace.lost, trace.damage) == (1, 3, "cut for a specimen")
        assert "".join(f"{line}\n" for line in to_lines(trace)) == FORMAT_1.with_suffix(".jsonl").read_text("utf-8")
        assert not list(trace.calls())[-1].returned


def test_a_trace_can_be_continued(tmp_path: Path, many: bytes) -> None:
    """As in docs/format.md: more frames can replace the end frame and the index, followed by a new end and index."""
    path = tmp_path / "t.kmt"
    path.write_bytes(many)
    with path.open("rb") as file:
        end = next(offset for offset, kind, _ in FrameReader(path, file).scan() if kind == FrameKind.END)
    with tracekmt.open(path) as trace:
        last, calls = trace[-1], len(trace)
    table = EventTable()
    body = enter_body(replace(last.enter, regions=()), bytes)
    table.add(ENTER, calls, 10_000, last.enter.time + 10**9, 0, last.enter.spec_id, 0, 0)
    more = pack_frame(FrameKind.EVENTS, [table.pack(), body, []]) + pack_frame(FrameKind.END, {"how": "later"})
    whole = read(path, many)
    continued = read(path, many[:end] + more)
    assert continued[:calls] == whole
    assert len(continued) == calls + 1
    assert recover(path, tmp_path / "sealed.kmt") == (calls + 1, None)
    with tracekmt.open(tmp_path / "sealed.kmt") as trace:
        assert (trace.ended, len(trace), trace[calls].name) == ("later", calls + 1, last.name)


def test_any_seekable_file_is_readable(many: bytes) -> None:
    with Trace(io.BytesIO(many)) as trace:
        assert len(list(trace.calls())) == 19
        assert trace[17].index == 17


def test_a_wrong_index_is_an_error(tmp_path: Path, many: bytes) -> None:
    path = tmp_path / "t.kmt"
    path.write_bytes(many)
    with path.open("rb") as file:
        reader = FrameReader(path, file)
        index = reader.read_index()
        index_offset = next(offset for offset, kind, _ in reader.scan() if kind == FrameKind.INDEX)
    first, second, *others = index["frames"]
    wrong_indexes = [
        {**index, "calls": index["calls"] + 1},
        {**index, "frames": [second, first, *others]},
        {**index, "frames": [[second[0], *first[1:]], second, *others]},
        {**index, "frames": [[index_offset, *first[1:]], second, *others]},
        {**index, "late": [[0, 999]]},
        {**index, "told": [-1]},
        {**index, "told": []},
        {**index, "blobs": [[5, 9], [0, 9]]},
        {**index, "threads": []},
        {**index, "end": 5},
        [],
    ]
    for wrong_index in wrong_indexes:
        with pytest.raises(TraceError):
            read(
                tmp_path / "u.kmt",
                many[:index_offset] + pack_frame(FrameKind.INDEX, wrong_index) + frames.tail(index_offset),
            )
    for invalid_offset in (0, 13, len(many), 1 << 63, (1 << 64) - 1):
        assert len(read(tmp_path / "u.kmt", many[: -frames.TAIL_SIZE] + frames.tail(invalid_offset))) == 19


@settings(max_examples=examples(200), suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=200), st.sampled_from([b"", preamble()]))
def test_any_bytes(tmp_path: Path, data: bytes, start: bytes) -> None:
    with pytest.raises(TraceError):
        read(tmp_path / "t.kmt", start + data)


json_like = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1) | st.binary(max_size=80) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=10,
)


@settings(max_examples=examples(300), suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(st.sampled_from(list(FrameKind)), json_like), max_size=4))
def test_any_values_in_valid_frames(tmp_path: Path, values: list[tuple[FrameKind, object]]) -> None:
    with Path(tmp_path / "t.kmt").open("wb") as file:
        file.write(SAMPLE)
        for kind, value in values:
            file.write(pack_frame(kind, value))
    try:
        read(tmp_path / "u.kmt", (tmp_path / "t.kmt").read_bytes())
    except TraceError:
        pass


@settings(max_examples=examples(300), suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_valid_events_with_any_memory(tmp_path: Path, data: st.DataObject) -> None:
    """Replace the bytes of a real event's regions: counts and pointers of a hostile program."""
    path = FORMAT_0
    with path.open("rb") as file:
        scanned = [(kind, value) for _, kind, value in FrameReader(path, file).scan()]
    number = data.draw(st.sampled_from([i for i, (kind, _) in enumerate(scanned) if kind == FrameKind.ENTER]))
    regions = scanned[number][1][6]
    for region in regions:
        noise = data.draw(st.binary(max_size=len(region[2])))
        region[2] = noise + region[2][len(noise) :]
    out = preamble(0) + b"".join(pack_frame(FrameKind(kind), value) for kind, value in scanned)
    assert len(read(tmp_path / "t.kmt", out)) > 0


@pytest.mark.parametrize("number", [1 << 62, 1 << 63, 1 << 70])
@pytest.mark.parametrize("column", ["sequence", "time", "index"])
def test_numbers_whose_differences_overflow_are_errors(tmp_path: Path, number: int, column: str) -> None:
    """The fuzzer found them in a trace of format 0, which is written again to be read."""
    numbers: dict[str, Any] = {column: number}
    event = replace(Enter(0, 1, 1, 0, 0, (0,), ()), **numbers)
    with (
        closing(Writer(tmp_path / "t.kmt", Header("x64"))) as trace,
        pytest.raises(UsageError, match="too large for its"),
    ):
        trace.events([event])
