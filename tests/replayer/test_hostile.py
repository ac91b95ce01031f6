"""A replay of any readable trace ends in a report or in a `tracekmt.Error`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tracekmt
from tests.strategies import examples
from tracekmt.calls import CALLS
from tracekmt.report.text import report_lines
from tracekmt.spec.dsl import UINT, in_, structure
from tracekmt.spec.types import Bytes, CallSpec, Pointer
from tracekmt.trace.events import Enter, Header, Leave
from tracekmt.trace.frames import FrameKind, FrameReader, pack_frame, preamble
from tracekmt.trace.writer import Writer

DEMO = Path(__file__).parent.parent / "data" / "format-0.kmt"


def frames_of(path: Path) -> list[tuple[int, Any]]:
    with path.open("rb") as file:
        return [(kind, value) for _, kind, value in FrameReader(path, file).scan()]


@settings(max_examples=examples(150), suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_any_memory(tmp_path: Path, data: st.DataObject) -> None:
    """Replace bytes in the regions of recorded events, as a hostile or damaged program would."""
    frames = frames_of(DEMO)
    events = [value for kind, value in frames if kind in (FrameKind.ENTER, FrameKind.LEAVE)]
    for value in data.draw(st.lists(st.sampled_from(events), min_size=1, max_size=4)):
        for region in value[-1]:
            if data.draw(st.booleans()):
                at = data.draw(st.integers(0, len(region[2])))
                noise = data.draw(st.binary(max_size=16))[: len(region[2]) - at]
                region[2] = region[2][:at] + noise + region[2][at + len(noise) :]
            if data.draw(st.integers(0, 5)) == 0:
                region[2] = region[2][: data.draw(st.integers(0, len(region[2])))]
    path = tmp_path / "t.kmt"
    path.write_bytes(preamble(0) + b"".join(pack_frame(FrameKind(kind), value) for kind, value in frames))
    try:
        report = tracekmt.replay(path, video_memory="64MB")
    except tracekmt.Error:
        return
    assert list(report_lines(report))
    assert report.to_dict()
    assert tracekmt.diff(path, DEMO).to_dict()


def write(path: Path, spec: CallSpec, memory: bytes) -> Path:
    writer = Writer(path, Header("x64"), force=True)
    writer.describe(0, spec)
    regions = ((0x1000, len(memory), memory),)
    writer.events([Enter(0, 1, 0, 0, 0, (0x1000,), regions), Leave(1, 0, 0, 0, regions)])
    writer.close()
    return path


def test_an_unknown_function_is_skipped_and_counted(tmp_path: Path) -> None:
    spec = CallSpec("SomethingNewer", structure("S", in_("a", UINT), in_("n", UINT)))
    report = tracekmt.replay(write(tmp_path / "t.kmt", spec, bytes(8)))
    assert (report.calls.skipped, report.calls.compared, report.same) == (1, 0, True)
    assert "not sent 1 (100%): SomethingNewer 1" in "\n".join(report_lines(report))


@pytest.mark.parametrize(
    "struct",
    [
        structure("S", in_("hAdapter", Bytes("n")), in_("n", UINT)),
        structure("S", in_("hAdapter", Pointer(UINT))),
        structure("S", in_("hAdapter", structure("I", in_("x", UINT)))),
        structure("LUID", in_("LowPart", UINT)),
    ],
)
def test_a_function_with_another_description_is_an_error(tmp_path: Path, struct: Any) -> None:
    path = write(tmp_path / "t.kmt", CallSpec("D3DKMTCloseAdapter", struct), b"\xff" * 16)
    with pytest.raises(tracekmt.UsageError, match="cannot send call 0 to simulator: D3DKMTCloseAdapter"):
        tracekmt.replay(path)
    assert "D3DKMTCloseAdapter" in CALLS


@pytest.mark.parametrize("luid", [False, 1 << 40, [[None]], {"": {}}, [1], "ab"])
def test_an_invalid_adapter_of_a_header_is_an_error(tmp_path: Path, luid: Any) -> None:
    with tracekmt.create(tmp_path / "t.kmt", machine={"adapters": [{"luid": luid}]}) as trace:
        trace.add("D3DKMTCloseAdapter", {"hAdapter": 1}, status="STATUS_INVALID_PARAMETER")
    with pytest.raises(tracekmt.TraceError, match=r"t\.kmt: header: invalid adapter luid"):
        tracekmt.replay(tmp_path / "t.kmt")
