"""Faults in a live program: exactly the calls that the user asked for get them, and the trace says which."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import tracekmt
from tests.record.client import Client
from tracekmt.convert import convert
from tracekmt.edit.trim import trim
from tracekmt.errors import UsageError
from tracekmt.record.session import Recording
from tracekmt.report.summary import summarise
from tracekmt.trace.reader import Trace, TracedCall

CREATE, OPEN = "D3DKMTCreateAllocation2", "D3DKMTOpenAdapterFromLuid"
NO_MEMORY = "STATUS_GRAPHICS_NO_VIDEO_MEMORY"


def record(client: Client, faults: Sequence[str], *argv: Any) -> list[TracedCall]:
    recording = Recording(client.trace, faults=faults, force=True)
    recording.spawn(client.argv(*argv))
    recording.run()
    return client.calls()


def test_exactly_the_calls_of_eight_threads_that_were_asked_for(client: Client) -> None:
    """A call that the recorder answers never reaches the library, whose handles have no gap."""
    threads, each = 8, 12_500
    calls = record(client, [f"CreateAllocation2@1000+1000={NO_MEMORY}"], "work", threads, each)
    creates = [call for call in calls if call.name == CREATE]
    assert len(creates) == threads * each
    assert sum(client.journal()[:threads]) == len(calls)
    failed = [call for call in creates if not call.succeeded]
    assert len(failed) == threads * each // 1000
    assert {call.outcome_text for call in failed} == {NO_MEMORY}
    assert all(call.unchanged for call in failed)
    assert [call for call in calls if call.injection is not None] == failed
    created = [
        bound.value for call in creates if call.succeeded for bound in call.bound_outputs if bound.value > 1 << 30
    ]
    handles = sorted({value for value in created if isinstance(value, int)})
    assert len(handles) >= len(creates) - len(failed)
    assert tracekmt.replay(client.trace).same


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (f"{CREATE}@2={NO_MEMORY}", [1]),
        (f"CreateAllocation*@2+2={NO_MEMORY}", [1, 3]),
        (f"{CREATE}=0xC0000017", [0, 1, 2, 3, 4]),
        (f"{CREATE}@2={NO_MEMORY} if in.NumAllocations == 1", [1]),
        (f"{CREATE}@2={NO_MEMORY} if in.NumAllocations >= 1 and not in.Flags.CreateShared", [1]),
        (f"{CREATE}@2={NO_MEMORY} if in.NumAllocations > 1", []),
        (f"{CREATE}@2={NO_MEMORY} if in.Flags.CreateShared", []),
        (f"{CREATE}@2={NO_MEMORY} if in.pAllocationInfo2 != NULL and in.hResource == 0x0", [1]),
        (f"{CREATE}@9={NO_MEMORY}", []),
        (f"{CREATE}={NO_MEMORY} if thread == 0 and time < 3600s", [0, 1, 2, 3, 4]),
        (f"{CREATE}={NO_MEMORY} if thread != 0", []),
        (f"{CREATE}={NO_MEMORY} if time >= 3600s", []),
        (f"{CREATE}@2={NO_MEMORY} if caller ~ 'client*'", [1]),
        (f"{CREATE}@2={NO_MEMORY} if not caller !~ 'cl?ent*'", [1]),
        (f"{CREATE}@2={NO_MEMORY} if caller !~ 'client*'", []),
        (f"{CREATE}@2={NO_MEMORY} if caller ~ 'libc.so*'", []),
    ],
)
def test_selected_calls(client: Client, fault: str, expected: list[int]) -> None:
    calls = record(client, [fault], "work", 1, 5)
    creates = [call for call in calls if call.name == CREATE]
    assert [number for number, call in enumerate(creates) if call.injection is not None] == expected
    assert [number for number, call in enumerate(creates) if not call.succeeded] == expected
    with Trace(client.trace) as trace:
        assert summarise(trace)["injected"] == [{"fault": fault, "calls": len(expected)}]


def test_a_replaced_status_a_delay_and_an_output(client: Client) -> None:
    faults = [f"{CREATE}@2={NO_MEMORY} after", "CreateDevice=delay=20ms", f"{OPEN}=STATUS_PENDING out.hAdapter=0x1234"]
    calls = record(client, faults, "work", 1, 3)
    opened, device, *creates = (call for call in calls if call.name.startswith(("D3DKMTOpen", "D3DKMTCreate")))
    assert [call.injection and call.injection.kind for call in (opened, device, *creates)] == [
        *("answered", "delayed", None, "replaced", None)
    ]
    assert (opened.outputs["hAdapter"], opened.outcome_text) == (0x1234, "STATUS_PENDING")  # type: ignore[index]
    assert device.succeeded
    assert device.leave_ns is not None
    assert device.leave_ns - device.enter_ns >= 20_000_000
    assert device.inputs["hAdapter"] == 0x1234  # type: ignore[index]
    assert not creates[1].succeeded
    assert not creates[1].unchanged  # the library wrote a handle
    assert [call.to_json().get("injected") for call in creates] == [None, faults[0], None]


def test_threads_and_times(client: Client) -> None:
    """Threads have numbers by their first call, as in the trace. Time counts from the start of the recording."""
    faults = [f"{CREATE}={NO_MEMORY} if thread == 2", f"{CREATE}=0xC0000017 if time >= 300ms and thread == 1"]
    calls = record(client, faults, "paced:10000", 4, 60)
    creates = [call for call in calls if call.name == CREATE]
    assert {call.thread for call in creates if call.outcome_text == NO_MEMORY} == {2}
    assert all(not call.succeeded for call in creates if call.thread == 2)
    late = [call.succeeded for call in creates if call.thread == 1]
    assert sorted(late, reverse=True) == late  # once the time has come, every call fails
    assert 0 < sum(late) < len(late) == 60


def test_the_first_of_two_faults_wins_and_both_count(client: Client) -> None:
    calls = record(client, [f"{CREATE}@2={NO_MEMORY}", f"{CREATE}@2+1=0xC0000017"], "work", 1, 4)
    creates = [call for call in calls if call.name == CREATE]
    assert [call.outcome_text for call in creates] == ["STATUS_SUCCESS", NO_MEMORY, *["STATUS_NO_MEMORY"] * 2]


def test_bad_pointers(client: Client) -> None:
    """Conditions may read bad pointers, and outputs are not written there. The program has a handler for faults."""
    faults = [f"{CREATE}=0xC0000017 if in.NumAllocations == 77", f"{CREATE}={NO_MEMORY} out.hResource=0x1234"]
    recording = Recording(client.trace, faults=faults, force=True)
    recording.spawn(client.argv("bad"))
    assert recording.run().ended == "the process ended with status 7"
    calls = client.calls()
    assert [call.outcome_text for call in calls] == [NO_MEMORY] * client.journal()[0]
    outputs = [call.outputs["hResource"] for call in calls if isinstance(call.outputs, dict)]
    assert len(outputs) < len(calls)
    assert set(outputs) == {0x1234}


def test_replay_and_diff_know_injected_calls(client: Client, tmp_path: Path) -> None:
    """A replay repeats the fault, and a comparison names it."""
    record(client, [], "work", 1, 5)
    plain = client.trace.rename(tmp_path / "plain.kmt")
    for suffix in ("", " after"):
        fault = f"{CREATE}@3={NO_MEMORY}{suffix}"
        record(client, [fault], "work", 1, 5)
        report = tracekmt.replay(client.trace, output=tmp_path / "outcome.kmt", force=True)
        assert (report.same, report.findings, report.calls.injected) == (True, [], 1)
        assert f"injected at call 4: {fault}" in report.notes
        on_thunks = tracekmt.replay(client.trace, f"thunks:{client.native / 'libdxcore.so'}")
        assert (on_thunks.same, on_thunks.calls.injected) == (True, 1)
        (finding,) = tracekmt.diff(plain, client.trace).findings
        assert (finding.index, finding.message) == (4, f"injected in B: {fault}")
        assert tracekmt.diff(client.trace, tmp_path / "outcome.kmt").same
        with Trace(tmp_path / "outcome.kmt") as outcome:
            assert outcome[4].injection is not None
            assert outcome[4].injection.text == fault


def test_copies_keep_injected_calls(client: Client, tmp_path: Path) -> None:
    """A reproducer does not make them: a driver would answer them differently."""
    fault = f"{CREATE}@2={NO_MEMORY}"
    record(client, [fault], "work", 1, 3)
    trim(client.trace, lambda index, name: True, tmp_path / "trimmed.kmt")
    # An allocation that was refused for want of memory needs those that had it. One that the user refused does not.
    assert trim(client.trace, lambda index, name: index == 3, tmp_path / "one.kmt").dependencies == 2
    convert(client.trace, tmp_path / "lines.jsonl", "jsonl")
    convert(tmp_path / "lines.jsonl", tmp_path / "back.kmt", "kmt")
    convert(client.trace, tmp_path / "redacted.kmt", "kmt", redact=True)
    convert(client.trace, tmp_path / "program.c", "c")
    for name in ("trimmed", "back", "redacted"):
        with Trace(tmp_path / f"{name}.kmt") as trace:
            assert [call.injection and call.injection.text for call in trace.calls()][2:5] == [None, fault, None], name
    source_text = (tmp_path / "program.c").read_text("utf-8")
    assert f"/* #3 {CREATE} is omitted: its failure was injected ({fault}) */" in source_text
    assert "call_2" in source_text
    assert "call_3" not in source_text


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("nonsense", "expected FUNCTION@N=STATUS"),
        ("CreateAlocation2@1=STATUS_NO_MEMORY", "did you mean D3DKMTCreateAllocation2"),
        (f"{CREATE}@0={NO_MEMORY}", "counted from 1"),
        (f"{CREATE}=STATUS_NONSENSE", "invalid NTSTATUS"),
        (f"{CREATE}=after", "expected a status"),
        (f"{CREATE}=delay=2h", "invalid"),
        (f"{CREATE}=delay=90", "a delay of at most 60 s"),
        (f"{CREATE}={NO_MEMORY} twice", "expected a status, delay=TIME, after or out.FIELD=NUMBER: twice"),
        (f"{CREATE}={NO_MEMORY} out.hNothing=1", "hNothing is not in the structure itself"),
        (f"{CREATE}={NO_MEMORY} out.hResource=0x100000000", "does not fit into hResource"),
        (f"{CREATE}={NO_MEMORY} out.Flags.CreateShared=1", "Flags.CreateShared is not a number"),
        (f"{CREATE}={NO_MEMORY} if in.Nonsense", "Nonsense"),
        (f"{CREATE}={NO_MEMORY} if index == 1", "the recorder decides only comparisons of in.FIELD"),
        (f"{CREATE}={NO_MEMORY} if thread", "the recorder decides only comparisons of in.FIELD"),
        (f"{CREATE}={NO_MEMORY} if caller ~ 'client+0x12'", "the recorder decides only comparisons of in.FIELD"),
        (f"{CREATE}={NO_MEMORY} if in.hDevice == 1 or in.hDevice == 2", "the recorder decides only comparisons"),
        (f"{CREATE}={NO_MEMORY} if in.pAllocationInfo2[].hAllocation == 1", "the recorder decides only comparisons"),
        (f"{CREATE}={NO_MEMORY} if in.hAllocation == 1", "hAllocation is not in the structure itself"),
        (f"{CREATE}={NO_MEMORY} if in.hDevice == several", "unknown name 'several'"),
        (f"{CREATE}={NO_MEMORY} if in.Flags.CreateShared == 1", "Flags.CreateShared is a flag"),
        ("D3DKMTCheckExclusiveOwnership=STATUS_NO_MEMORY", "it returns no NTSTATUS"),
    ],
)
def test_a_fault_that_cannot_be_injected(client: Client, fault: str, message: str) -> None:
    program = subprocess.Popen(client.argv("waiting"))
    try:
        with pytest.raises(UsageError, match=r"(?s).*" + message.replace("[", r"\[")):
            Recording(client.trace, faults=[fault]).attach(program.pid)
        assert program.poll() is None
    finally:
        program.kill()
        program.wait()


def test_the_command_line(client: Client) -> None:
    words = [sys.executable, "-m", "tracekmt", "record", "-f", "-o", str(client.trace)]
    faults = ["--inject", f"{CREATE}@2={NO_MEMORY}", "--inject", "CloseAdapter@7=STATUS_NO_MEMORY"]
    done = subprocess.run(
        [*words, *faults, "--", *client.argv("work", 1, 3)], capture_output=True, text=True, check=False
    )
    assert f"injected: {CREATE}@2={NO_MEMORY}: 1 call\n" in done.stderr
    assert "injected: CloseAdapter@7=STATUS_NO_MEMORY: 0 calls\n" in done.stderr
    assert done.returncode == 7  # the program's own
    dump = [*words[:3], "dump", str(client.trace), "--where", "failed"]
    shown = subprocess.run(dump, capture_output=True, text=True, check=True)
    assert f"  injected: {CREATE}@2={NO_MEMORY}  " in shown.stdout
    shown = subprocess.run([*dump, "-v"], capture_output=True, text=True, check=True)
    assert f"\n    injected: {CREATE}@2={NO_MEMORY}\n" in shown.stdout
    refused = subprocess.run(
        [*words, "--inject", f"{CREATE}@2=STATUS_NONSENSE", "--", "true"], capture_output=True, text=True, check=False
    )
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "STATUS_NONSENSE" in refused.stderr
