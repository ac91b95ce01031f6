"""Recovery of damaged traces to sealed ones with a description of the damage."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import pytest

import tracekmt
from tests.trace.test_traces import make
from tracekmt.calls import CALLS
from tracekmt.edit.copy import UNFINISHED
from tracekmt.edit.recover import recover
from tracekmt.errors import TraceError, UsageError
from tracekmt.record.buffer.overflow_file import preface
from tracekmt.trace import frames
from tracekmt.trace.buffer_format import overflow_path
from tracekmt.trace.events import Enter, Header, Leave
from tracekmt.trace.frames import FrameKind, FrameReader, pack_frame
from tracekmt.trace.recorder_id import recorder_id
from tracekmt.trace.writer import Writer


def lines(path: Path) -> list[dict[str, object]]:
    with tracekmt.open(path) as trace:
        return [call.to_json() for call in trace.calls()]


def is_sealed(path: Path) -> bool:
    return path.read_bytes().endswith(frames.END_MAGIC)


def test_a_truncated_trace_is_sealed(tmp_path: Path, many: bytes) -> None:
    for number, length in enumerate(range(400, len(many), 97)):
        truncated, recovered = tmp_path / f"truncated{number}.kmt", tmp_path / f"recovered{number}.kmt"
        truncated.write_bytes(many[:length])
        try:
            readable = lines(truncated)
        except TraceError:
            with pytest.raises(TraceError):
                recover(truncated, recovered)
            assert not recovered.exists(), "an unreadable trace leaves no output file"
            continue
        call_count, damage = recover(truncated, recovered)
        assert is_sealed(recovered)
        assert call_count == len(readable)
        assert lines(recovered) == readable
        with tracekmt.open(recovered) as trace:
            assert trace.damage == damage
            assert trace.ended != "recovered" or damage is not None


def test_recovery_ignores_the_index(tmp_path: Path, many: bytes) -> None:
    path = tmp_path / "bad.kmt"
    # A well-formed index of another trace.
    frame = frames.pack_frame(frames.FrameKind.INDEX, {"calls": 0})
    path.write_bytes(many[: -frames.TAIL_SIZE] + frame + frames.tail(len(many) - frames.TAIL_SIZE))
    with pytest.raises(TraceError, match="the index is malformed; tracekmt recover rebuilds it"):
        tracekmt.open(path)
    (tmp_path / "whole.kmt").write_bytes(many)
    assert recover(path, tmp_path / "new.kmt") == (19, None)
    assert lines(tmp_path / "new.kmt") == lines(tmp_path / "whole.kmt")


def test_a_recovered_trace_is_marked_as_unfinished(tmp_path: Path) -> None:
    trace = tracekmt.create(tmp_path / "t.kmt")
    trace.add("D3DKMTCloseAdapter", {"hAdapter": 1})
    trace._writer.flush()
    assert recover(tmp_path / "t.kmt", tmp_path / "u.kmt") == (1, UNFINISHED)
    # Without an index the reader takes it from the end frame.
    (tmp_path / "v.kmt").write_bytes((tmp_path / "u.kmt").read_bytes()[: -frames.TAIL_SIZE])
    for name in ("u.kmt", "v.kmt"):
        with tracekmt.open(tmp_path / name) as recovered:
            assert (recovered.ended, recovered.damage, len(recovered)) == ("recovered", UNFINISHED, 1)


def test_an_existing_file_is_not_overwritten(tmp_path: Path) -> None:
    path = make(tmp_path / "t.kmt")
    before = path.read_bytes()
    with pytest.raises(UsageError, match="it is the input trace"):
        recover(path, path, force=True)
    assert path.read_bytes() == before
    other = make(tmp_path / "u.kmt", "x86")
    with pytest.raises(UsageError, match="already exists"):
        recover(path, other)
    assert recover(path, other, force=True) == (4, None)
    assert lines(other) == lines(path)


def test_recovery_upgrades_the_format(tmp_path: Path) -> None:
    old = Path(__file__).parent.parent / "data" / "format-0.kmt"
    assert recover(old, tmp_path / "new.kmt") == (19, None)
    with tracekmt.open(tmp_path / "new.kmt") as trace:
        assert trace.version == frames.VERSION
    assert lines(tmp_path / "new.kmt") == lines(old)


@pytest.mark.parametrize("recorded_by", ["somebody else", recorder_id()])
@pytest.mark.parametrize("name", ["tracekmt-1-abc.spool", "secret", "tracekmt-1-abc.spool/../secret"])
def test_a_header_cannot_name_any_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recorded_by: str, name: str
) -> None:
    """Only a buffer of the own user is opened where a header says. A stranger may have written the header."""
    (tmp_path / "elsewhere").mkdir()
    named, path = tmp_path / "elsewhere" / name, tmp_path / "t.kmt"
    for file in ("tracekmt-1-abc.spool", "secret"):
        (tmp_path / "elsewhere" / file).write_bytes(b"secret")
    settings = {"recording": "r", "spool": str(named), "recorded_by": recorded_by}
    Writer(path, Header("x64", settings=settings)).close()
    opened: list[Path] = []
    read = FrameReader.__init__

    def note(reader: FrameReader, path: Path, file: BinaryIO) -> None:
        opened.append(path)
        read(reader, path, file)

    monkeypatch.setattr(FrameReader, "__init__", note)
    recover(path, tmp_path / "u.kmt")
    assert path in opened
    own_buffer = name == "tracekmt-1-abc.spool" and recorded_by == recorder_id()
    assert (named in opened) == own_buffer


@pytest.mark.parametrize("batch", [[2, [5]], ["x", [b""]], [1.5, [b""]], [-1, [b""]], [1 << 63, [b""]], [2, b""]])
def test_malformed_unparsed_events(tmp_path: Path, batch: list[object]) -> None:
    """They are reported, and the calls of the trace are recovered."""
    path, to = tmp_path / "t.kmt", tmp_path / "back.kmt"
    specs = {3: CALLS["D3DKMTCloseAdapter"]}
    writer = Writer(path, Header("x64"))
    writer.describe(3, specs[3])
    writer.events([Enter(0, 9, 3, 1, 0, (), ()), Leave(1, 0, 2, 0, ())])
    writer.close()
    spilled = preface(Header("x64"), specs) + pack_frame(FrameKind.SPILL, batch)
    overflow_path(path).write_bytes(spilled)
    count, damage = recover(path, to)
    assert count == 1
    assert "a part of the unparsed events is malformed" in str(damage)
    assert len(lines(to)) == 1
