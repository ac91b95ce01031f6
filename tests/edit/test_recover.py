"""What a damaged trace still holds becomes a sealed one, which says what is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

import tracekmt
from tests.trace.test_traces import make
from tracekmt.edit.copy import UNFINISHED
from tracekmt.edit.recover import recover
from tracekmt.errors import TraceError, UsageError
from tracekmt.trace import frames


def lines(path: Path) -> list[dict[str, object]]:
    with tracekmt.open(path) as trace:
        return [call.to_json() for call in trace.calls()]


def sealed(path: Path) -> bool:
    return path.read_bytes().endswith(frames.END_MAGIC)


def test_a_cut_trace_is_sealed_again(tmp_path: Path, many: bytes) -> None:
    for number, cut in enumerate(range(400, len(many), 97)):
        torn, whole = tmp_path / f"torn{number}.kmt", tmp_path / f"whole{number}.kmt"
        torn.write_bytes(many[:cut])
        try:
            held = lines(torn)
        except TraceError:
            with pytest.raises(TraceError):
                recover(torn, whole)
            assert not whole.exists(), "no file is left where nothing could be read"
            continue
        calls, wrong = recover(torn, whole)
        assert sealed(whole)
        assert calls == len(held)
        assert lines(whole) == held
        with tracekmt.open(whole) as trace:
            assert trace.torn == wrong
            assert trace.ended != "recovered" or wrong is not None


def test_a_bad_index_is_not_trusted(tmp_path: Path, many: bytes) -> None:
    path = tmp_path / "bad.kmt"
    # The index of another trace: sound in itself, and wrong of this one.
    frame = frames.pack_frame(frames.FrameKind.INDEX, {"calls": 0})
    path.write_bytes(many[: -frames.TAIL_SIZE] + frame + frames.tail(len(many) - frames.TAIL_SIZE))
    with pytest.raises(TraceError, match="its index is malformed; tracekmt recover makes a new one"):
        tracekmt.open(path)
    (tmp_path / "whole.kmt").write_bytes(many)
    assert recover(path, tmp_path / "new.kmt") == (19, None)
    assert lines(tmp_path / "new.kmt") == lines(tmp_path / "whole.kmt")


def test_an_unfinished_recording_says_so_afterwards(tmp_path: Path) -> None:
    trace = tracekmt.create(tmp_path / "t.kmt")
    trace.add("D3DKMTCloseAdapter", {"hAdapter": 1})
    trace._writer.flush()
    assert recover(tmp_path / "t.kmt", tmp_path / "u.kmt") == (1, UNFINISHED)
    # Without its index the end frame says it.
    (tmp_path / "v.kmt").write_bytes((tmp_path / "u.kmt").read_bytes()[: -frames.TAIL_SIZE])
    for name in ("u.kmt", "v.kmt"):
        with tracekmt.open(tmp_path / name) as recovered:
            assert (recovered.ended, recovered.torn, len(recovered)) == ("recovered", UNFINISHED, 1)


def test_nothing_is_overwritten_unasked(tmp_path: Path) -> None:
    path = make(tmp_path / "t.kmt")
    before = path.read_bytes()
    with pytest.raises(UsageError, match="is the trace itself"):
        recover(path, path, force=True)
    assert path.read_bytes() == before
    other = make(tmp_path / "u.kmt", "x86")
    with pytest.raises(UsageError, match="exists already"):
        recover(path, other)
    assert recover(path, other, force=True) == (4, None)
    assert lines(other) == lines(path)


def test_an_old_format_becomes_the_newest(tmp_path: Path) -> None:
    old = Path(__file__).parent.parent / "data" / "format-0.kmt"
    assert recover(old, tmp_path / "new.kmt") == (19, None)
    with tracekmt.open(tmp_path / "new.kmt") as trace:
        assert trace.version == frames.VERSION
    assert lines(tmp_path / "new.kmt") == lines(old)
