"""Handles that undescribed calls may have created: in trimmed traces, reproducers and reports."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

import tracekmt
from tests.processes import run_captured
from tracekmt.calls import raw_call
from tracekmt.convert import convert
from tracekmt.edit.trim import trim
from tracekmt.text.call_set import parse_calls
from tracekmt.trace.events import Enter, Leave, Lost
from tracekmt.trace.writer import Writer

DEVICE, ALLOCATION, RAW = 0x40000040, 0x40000140, "D3DKMTCreateSwapChain"


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """Write a trace whose call 2, which is undescribed, returns the handle that call 3 locks."""
    plain, path = tmp_path / "plain.kmt", tmp_path / "swap.kmt"
    with tracekmt.create(plain) as builder:
        builder.add("D3DKMTOpenAdapterFromLuid", {"AdapterLuid": {"LowPart": 1}}, {"hAdapter": 0x40000000})
        builder.add("D3DKMTCreateDevice", {"hAdapter": 0x40000000}, {"hDevice": DEVICE})
        builder.add("D3DKMTLock2", {"hDevice": DEVICE, "hAllocation": ALLOCATION}, {"pData": 0x10000})
        builder.add("D3DKMTDestroyDevice", {"hDevice": DEVICE})
    with tracekmt.open(plain) as opened:
        writer = Writer(path, opened.header)
        for spec_id, spec in opened.specs.items():
            writer.describe(spec_id, spec)
        writer.describe(99, raw_call(RAW))
        for event in opened.events():
            assert not isinstance(event, Lost)
            shift = 2 if event.sequence >= 4 else 0
            if event.sequence == 4:
                memory = [DEVICE.to_bytes(8, "little") + word.to_bytes(8, "little") for word in (7, ALLOCATION)]
                before, after = ((0x1000, 16, data) for data in memory)
                arguments = (0x1000, 0, 0, 0)
                writer.events([Enter(4, 1, 99, 40, 0, arguments, (before,)), Leave(5, 4, 41, 0, (after,))])
            if isinstance(event, Enter):
                writer.events([replace(event, sequence=event.sequence + shift, index=None)])
            else:
                enter = event.enter + (2 if event.enter >= 4 else 0)
                writer.events([replace(event, sequence=event.sequence + shift, enter=enter)])
        writer.end("finished")
        writer.close()
    return path


def test_a_trimmed_trace_keeps_the_undescribed_birth(trace: Path, tmp_path: Path) -> None:
    result = trim(trace, parse_calls("Lock2"), tmp_path / "part.kmt")
    with tracekmt.open(tmp_path / "part.kmt") as part:
        assert [call.name for call in part.calls()] == [
            "D3DKMTOpenAdapterFromLuid",
            "D3DKMTCreateDevice",
            RAW,
            "D3DKMTLock2",
        ]
    assert [str(handle) for handle in result.unfollowed] == [
        f"call 3 hAllocation: allocation 0x40000140 may come from the undescribed {RAW} (call 2)"
    ]
    command = [sys.executable, "-m", "tracekmt", "trim", str(trace), "--calls", "3", "-o", str(tmp_path / "other.kmt")]
    run = run_captured(command)
    assert f"tracekmt: cannot follow a handle: {result.unfollowed[0]}\n" in run.stderr


def test_a_reproducer_passes_the_recorded_handle_and_says_so(trace: Path, tmp_path: Path) -> None:
    convert(trace, tmp_path / "repro.c", "c")
    source = (tmp_path / "repro.c").read_text()
    assert f"#2 {RAW} is omitted: undescribed" in source
    assert f"#3 hAllocation: may come from the undescribed {RAW} (#2) (0x40000140u is passed)" in source
    assert "hAllocation = 0x40000140" in source


def test_a_replay_names_what_it_skips(trace: Path) -> None:
    report = tracekmt.replay(trace)
    assert report.calls.skipped == 1
    assert f"not sent: {RAW}, 1 time: it is not described" in report.notes


def test_words_that_did_not_change_are_no_handles(trace: Path, tmp_path: Path) -> None:
    """The handle of the device is in the memory of the undescribed call, before it and after it."""
    result = trim(trace, parse_calls("DestroyDevice"), tmp_path / "part.kmt")
    assert result.unfollowed == ()
    with tracekmt.open(tmp_path / "part.kmt") as part:
        assert RAW not in [call.name for call in part.calls()]
