"""Several traces of one session on one machine: who made a shared handle and who opens it is known and judged."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import tracekmt
from tracekmt.findings import Report
from tracekmt.replayer.together import replay_together
from tracekmt.trace.reader import Trace
from tracekmt.trace.writer import Writer

ADAPTER, DEVICE, RESOURCE, ALLOCATION, MUTEX = (0x40000000 + 0x40 * n for n in range(5))
GLOBAL, NT, OTHER_NT = 0x40000002, 0x1B4, 0x2C8
OPEN = (
    ("OpenAdapterFromLuid", {"AdapterLuid": {"LowPart": 1}}, {"hAdapter": ADAPTER}),
    ("CreateDevice", {"hAdapter": ADAPTER}, {"hDevice": DEVICE}),
)
SHARED = ["CreateResource", "CreateShared"]
Call = tuple[Any, ...]
FILLER = ("CloseAdapter", {"hAdapter": 5}, None, "STATUS_INVALID_PARAMETER")


def create(*flags: str, share: int = GLOBAL) -> Call:
    outputs = {"hResource": RESOURCE, "hGlobalShare": share, "pAllocationInfo2": [{"hAllocation": ALLOCATION}]}
    inputs = {"hDevice": DEVICE, "pAllocationInfo2": [{"pPrivateDriverData": b"four"}], "Flags": [*SHARED, *flags]}
    return "CreateAllocation2", inputs, outputs


def open_resource(name: str = "OpenResource", status: Any = 0, **handle: int) -> Call:
    buffers = {"pOpenAllocationInfo2": [{}], "NumAllocations": 1, "pTotalPrivateDriverDataBuffer": {"capacity": 4}}
    inputs = {"hDevice": DEVICE, **handle, **buffers}
    data = {"pTotalPrivateDriverDataBuffer": b"four"}
    element = {"hAllocation": ALLOCATION, "pPrivateDriverData": b"four", "PrivateDriverDataSize": 4}
    outputs = {"hResource": RESOURCE, "pOpenAllocationInfo2": [element], **data}
    return name, inputs, None if status else outputs, status


def query(count: int = 1) -> Call:
    outputs = {"NumAllocations": count, "TotalPrivateDriverDataSize": 4}
    return "QueryResourceInfo", {"hDevice": DEVICE, "hGlobalShare": GLOBAL}, outputs


def write(path: Path, *calls: Call) -> Path:
    with tracekmt.create(path) as trace:
        for name, *rest in (*OPEN, *calls):
            trace.add(name if name.startswith("Nt") else f"D3DKMT{name}", *rest)
    return path


def with_header(path: Path, **fields: Any) -> Path:
    """Copy a trace into one with other fields in its header."""
    copy = path.with_name(f"copy-{path.name}")
    with Trace(path) as trace:
        writer = Writer(copy, replace(trace.header, **fields))
        for spec_id, spec in trace.specs.items():
            writer.describe(spec_id, spec)
        writer.events(list(trace.events()), flush=False)
        writer.end("made by hand", None)
        writer.close()
    return copy


def replay(tmp_path: Path, first: tuple[Call, ...], second: tuple[Call, ...]) -> list[Report]:
    return replay_together([write(tmp_path / "a.kmt", *first), write(tmp_path / "b.kmt", *second)])


def test_an_opened_resource_is_judged(tmp_path: Path) -> None:
    """Alone, both calls of the second trace are taken from the recording."""
    calls = query(), open_resource("OpenResource2", hGlobalShare=GLOBAL)
    reports = replay(tmp_path, (create(),), calls)
    assert all(report.same for report in reports)
    assert [report.calls.compared for report in reports] == [3, 4]
    alone = tracekmt.replay(tmp_path / "b.kmt")
    assert (alone.calls.compared, alone.calls.taken, alone.same) == (2, 2, True)


def test_a_changed_answer_about_a_shared_resource_is_a_difference(tmp_path: Path) -> None:
    _, second = replay(tmp_path, (create(),), (query(count=2),))
    (finding,) = second.findings
    assert (finding.path, finding.recorded, finding.replayed) == ("NumAllocations", "2", "1")


def test_the_order_of_the_traces_is_no_difference(tmp_path: Path) -> None:
    """The clocks are unknown, and the opening trace comes first. It waits for the creation."""
    opener = write(tmp_path / "a.kmt", query())
    creator = write(tmp_path / "b.kmt", *[FILLER] * 9, create())
    assert [report.findings for report in replay_together([opener, creator])] == [[], []]


def test_an_incomplete_clock_orders_nothing(tmp_path: Path) -> None:
    """A clock without its wall time is like no clock: the traces begin together."""
    first = with_header(write(tmp_path / "a.kmt", create()), clock={"time": 5})
    second = with_header(write(tmp_path / "b.kmt", query()), clock={"time": 5})
    reports = replay_together([first, second])
    assert [report.calls.compared for report in reports] == [3, 3]


def test_a_mutex_between_two_processes(tmp_path: Path) -> None:
    def acquire(key: int, value: int = 0, status: Any = 0) -> Call:
        inputs = {"hKeyedMutex": MUTEX, "Key": key, "pTimeout": -1}
        return "AcquireKeyedMutex", inputs, {"FenceValue": value}, status

    created: Call = ("CreateKeyedMutex", {}, {"hKeyedMutex": MUTEX, "hSharedHandle": GLOBAL})
    first = created, acquire(0), ("ReleaseKeyedMutex", {"hKeyedMutex": MUTEX, "Key": 1, "FenceValue": 8})
    second = ("OpenKeyedMutex", {"hSharedHandle": GLOBAL}, {"hKeyedMutex": MUTEX}), acquire(1, 8)
    reports = replay(tmp_path, first, second)
    assert [report.findings for report in reports] == [[], []]
    assert reports[1].calls.compared == 4


def test_an_nt_handle_that_one_process_duplicates_into_another(tmp_path: Path) -> None:
    nt = "NtSecuritySharing"
    process = {"DesiredAccess": 0x40, "ClientId": {"UniqueProcess": 77}}
    into = {"SourceProcessHandle": (1 << 64) - 1, "SourceHandle": NT, "TargetProcessHandle": 0x50}
    first = (
        create(nt, share=0),
        ("ShareObjects", {"hObjects": [RESOURCE], "dwDesiredAccess": 1}, {"phSharedNtHandle": NT}),
        ("NtOpenProcess", process, {"ProcessHandle": 0x50}),
        ("NtDuplicateObject", {**into, "Options": 2}, {"TargetHandle": OTHER_NT}),
    )
    info = {"NumAllocations": 1, "TotalPrivateDriverDataSize": 4}
    second = (("QueryResourceInfoFromNtHandle", {"hDevice": DEVICE, "hNtHandle": OTHER_NT}, info),)
    creator = with_header(write(tmp_path / "a.kmt", *first), process={"pid": 55})
    opener = write(tmp_path / "b.kmt", *[FILLER] * 9, *second)
    reports = replay_together([creator, with_header(opener, process={"pid": 77})])
    assert [report.findings for report in reports] == [[], []]
    assert reports[1].calls.compared == 12
    (name, inputs, outputs), *_ = second
    changed = write(tmp_path / "c.kmt", *[FILLER] * 9, (name, inputs, {**outputs, "NumAllocations": 3}))
    assert not replay_together([creator, with_header(changed, process={"pid": 77})])[1].same


def run(*words: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tracekmt", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_commands(tmp_path: Path) -> None:
    a, b = write(tmp_path / "a.kmt", create()), write(tmp_path / "b.kmt", query(count=2))
    together = run("replay", a, b, "--together")
    assert (together.returncode, together.stderr) == (1, "")
    assert together.stdout.splitlines()[-1] == "2 traces: compared 6 of 6 calls (100%)"
    apart = run("replay", tmp_path, "--json", "--junit", tmp_path / "junit.xml")
    data = json.loads(apart.stdout)
    assert (apart.returncode, data["same"]) == (0, True)
    assert [row["trace"] for row in data["reports"]] == [str(a), str(b)]
    assert [row["calls"]["taken"] for row in data["reports"]] == [0, 1]
    assert (tmp_path / "junit.xml").read_text().count("<testsuite ") == 2
    ends = run("info", a, b)
    (row,) = [line.split() for line in ends.stdout.splitlines() if hex(GLOBAL) in line]
    assert row == [hex(GLOBAL), "a.kmt", "#2", "b.kmt", "#2"]
    made = json.loads(run("info", a, b, "--json").stdout)["shared"]
    assert made == [
        {
            "handle": hex(GLOBAL),
            "made": [{"trace": str(a), "index": 2, "call": "D3DKMTCreateAllocation2"}],
            "opened": [{"trace": str(b), "index": 2, "call": "D3DKMTQueryResourceInfo"}],
        }
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--html", "x.html"), "--html, --baseline and --github are for one trace"),
        (("-o", "x.kmt"), "--output is for one trace"),
        (("--together", "--on", "thunks:x"), "--together is for the simulator"),
        (("empty",), "cannot replay empty: the folder has no trace (*.kmt)"),
    ],
)
def test_invalid_requests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    a, b = write(tmp_path / "a.kmt", create()), write(tmp_path / "b.kmt", query())
    done = run("replay", a, b, *words)
    assert done.returncode == 2
    assert message in done.stderr
