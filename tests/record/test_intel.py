"""Recording of a shipping driver: Intel's OpenCL for WSL, on a stand-in for libdxcore.so that logs every call."""

from __future__ import annotations

import binascii
import os
import random
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

import tracekmt
from tests.differ.changes import Recording as Changed
from tests.differ.test_changes import Change, another_status, many_calls_more, one_call_less, one_call_more
from tests.native import FOLDER, skip_without
from tracekmt.findings import Report
from tracekmt.record.session import Recording
from tracekmt.report.text import report_lines

CLIENT = Path(__file__).parents[3] / "shared" / "clients" / "intel-wsl"
LINK = Path("/usr/lib/wsl/lib/libdxcore.so")
HEADER = Path("/usr/include/level_zero/ze_api.h")
Command = Callable[..., subprocess.CompletedProcess[str]]
LINE = re.compile(r"^\d+ tid=(\d+) (D3DKMT\w+) -> (0x[0-9a-f]{8})")


@pytest.fixture(scope="module")
def program() -> Path:
    """Return the client that .ci/run has built in the folder of the link's target."""
    if sys.platform != "linux" or not CLIENT.is_dir():
        pytest.skip("needs the Intel client, which is not part of the project")
    built = LINK.resolve().parent / "clprog"
    if not LINK.is_symlink() or not built.exists():
        skip_without(f"installed Intel client (as root: {CLIENT}/setup.sh FOLDER)")
    return built


@pytest.fixture(scope="module", params=["tgl", "skl"])
def recorded(
    program: Path, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[re.Match[str]], list[str]]:
    """Return a trace of the program, and the calls and checksums of private data that the stand-in logged."""
    folder = tmp_path_factory.mktemp("intel")
    log, trace = folder / "log", folder / "intel.kmt"
    os.environ |= {"STANDIN_LOG": str(log), "STANDIN_PLATFORM": request.param}
    try:
        recording = Recording(trace)
        recording.spawn([str(program)])
        progress = recording.run()
    finally:
        del os.environ["STANDIN_LOG"], os.environ["STANDIN_PLATFORM"]
    assert progress.lost == 0
    lines = log.read_text("utf-8").splitlines()
    sums = [
        checksum
        for line in lines
        if "D3DKMTCreateAllocation2" in line
        for checksum in re.findall(r"crc=([0-9a-f]{8})", line)
    ]
    return trace, [match for line in lines if (match := LINE.match(line))], sums


def test_every_call_is_in_the_trace(recorded: tuple[Path, list[re.Match[str]], list[str]]) -> None:
    trace, seen, _ = recorded
    assert len(seen) > 300
    with tracekmt.open(trace) as opened:
        calls = list(opened.calls())
        threads = {number: system for system, number in opened.threads.items()}
        recorded_calls = Counter(
            (str(threads[call.thread]), call.name, call.status.code if call.status is not None else "")
            for call in calls
        )
    assert recorded_calls == Counter(match.groups() for match in seen)
    assert not any(call.spec.raw for call in calls)


def test_private_data_is_what_the_driver_saw(recorded: tuple[Path, list[re.Match[str]], list[str]]) -> None:
    trace, _, sums = recorded
    with tracekmt.open(trace) as opened:
        recorded_sums = [
            f"{binascii.crc32(element['pPrivateDriverData']):08x}"
            for call in opened.calls()
            if call.name == "D3DKMTCreateAllocation2" and isinstance(call.inputs, dict)
            for element in call.inputs["pAllocationInfo2"]
        ]
    assert len(recorded_sums) >= 75
    assert Counter(recorded_sums) == Counter(sums)


def test_its_adapter_queries_are_decoded_by_type(recorded: tuple[Path, list[re.Match[str]], list[str]]) -> None:
    trace, *_ = recorded
    with tracekmt.open(trace) as opened:
        queries = [call for call in opened.calls() if call.name == "D3DKMTQueryAdapterInfo"]
        outputs = [call.outputs for call in queries]
    types = [value["Type"].name for value in outputs if isinstance(value, dict)]
    registry, kind = "KMTQAITYPE_QUERYREGISTRY", "KMTQAITYPE_ADAPTERTYPE"
    assert types == [registry, registry, kind, "KMTQAITYPE_UMDRIVERPRIVATE"]
    path, adapter = outputs[1], outputs[2]
    assert isinstance(path, dict)
    assert isinstance(adapter, dict)
    assert path["pPrivateDriverData"]["QueryType"].name == "D3DDDI_QUERYREGISTRY_DRIVERSTOREPATH"
    assert path["pPrivateDriverData"]["Status"].name == "D3DDDI_QUERYREGISTRY_STATUS_SUCCESS"
    assert Path(path["pPrivateDriverData"]["OutputString"]).is_dir()
    assert "RenderSupported" in repr(adapter["pPrivateDriverData"])


def test_its_recording_replays_without_differences(recorded: tuple[Path, list[re.Match[str]], list[str]]) -> None:
    trace, *_ = recorded
    report = tracekmt.diff(trace, trace)
    assert report.same
    assert report.calls.compared > 300
    assert_compared(tracekmt.replay(trace))


def assert_compared(report: Report) -> None:
    """Nothing differs, and every call was compared: all of it, or the status of calls that the driver answers."""
    assert [finding.message for finding in report.findings if finding.kind != "opaque"] == []
    assert report.calls.unmodelled == report.calls.skipped == 0
    assert report.calls.compared == report.total
    assert set(report.not_compared) <= {"outputs taken"}
    assert set(report.not_compared["outputs taken"]) <= {
        "D3DKMTQueryAdapterInfo",
        "D3DKMTEscape",
        "D3DKMTGetDeviceState",
    }


@pytest.fixture(scope="module", params=["clprog", "clinfo", "clpeak", "level_zero"])
def client_traces(
    program: Path, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path, Path]:
    """Return the name of a program that uses the driver, and recordings of two runs."""
    name, folder = str(request.param), tmp_path_factory.mktemp("client")
    client = str(program) if name == "clprog" else shutil.which(name)
    if name == "level_zero":
        if shutil.which("gcc") is None or not HEADER.exists():
            skip_without("a compiler and the headers of Level Zero (libze-dev)")
        client = str(folder / name)
        subprocess.run(["gcc", FOLDER / "level_zero.c", "-o", client, "-lze_loader"], check=True)
    if client is None:
        skip_without(name)
    traces = folder / "client.kmt", folder / "again.kmt"
    for trace in traces:
        recording = Recording(trace)
        recording.spawn([client])
        assert recording.run().lost == 0
    return name, *traces


def test_every_call_of_a_client_is_compared(client_traces: tuple[str, Path, Path]) -> None:
    assert_compared(tracekmt.replay(client_traces[1]))


def test_two_runs_of_a_client_are_the_same(client_traces: tuple[str, Path, Path]) -> None:
    """Their addresses differ, and the order of calls of different threads does."""
    report = tracekmt.diff(*client_traces[1:])
    assert [finding for finding in report.findings if finding.kind != "opaque"] == []
    assert report.calls.compared == report.total


@pytest.mark.parametrize("change", [another_status, one_call_less, one_call_more, many_calls_more])
def test_one_change_between_two_runs_is_one_cause(
    client_traces: tuple[str, Path, Path], tmp_path: Path, change: Change
) -> None:
    name, first, second = client_traces
    chance, original = random.Random(f"{name} {change.__name__}"), Changed(second)
    # clpeak makes 41,639 calls, the others some hundred.
    for _ in range(1 if name == "clpeak" else 3):
        expected = None
        while expected is None:
            recording = original.copy()
            expected = change(recording, chance)
        report = tracekmt.diff(first, recording.write(tmp_path / "changed.kmt"))
        causes = [finding for finding in report.findings if finding.cause is None and finding.counts]
        assert [cause.kind for cause in causes] == [expected.kind], causes


@pytest.mark.parametrize("platform", ["tgl", "skl"])
def test_clinfo_on_the_simulator(program: Path, command: Command, tmp_path: Path, platform: str) -> None:
    """It prints what it prints on the stand-in, but for a LUID that the driver leaves uninitialised."""
    client, machine, trace = shutil.which("clinfo"), tmp_path / "machine.kmt", tmp_path / "run.kmt"
    if client is None:
        skip_without("clinfo")
    environment = {"STANDIN_PLATFORM": platform}
    recorded = command("record", "-o", machine, "--", client, env=environment)
    run = command("run", "--like", machine, "-o", trace, "--", client, env=environment)
    assert (recorded.returncode, run.returncode) == (0, 0), run.stderr
    assert without_luid(run.stdout) == without_luid(recorded.stdout) != ""
    assert "Number of platforms                               1" in run.stdout
    assert_compared(tracekmt.replay(trace))
    with tracekmt.open(machine) as before, tracekmt.open(trace) as after:
        assert [call.name for call in after.calls()] == [call.name for call in before.calls()]


def without_luid(text: str) -> str:
    return re.sub(r"(?m)^  Device LUID .*\n", "", text)


def test_a_client_with_less_video_memory(client_traces: tuple[str, Path, Path]) -> None:
    """The first MakeResident that does not fit is the cause, and the report says so briefly."""
    name, trace, _ = client_traces
    report = tracekmt.replay(trace, video_memory="300MB" if name == "clpeak" else "1MB")
    if name in ("clinfo", "clprog"):
        assert report.same, "it makes less than 1 MB resident"
        return
    first = next(finding for finding in report.findings if finding.counts)
    assert (first.call, first.replayed) == ("D3DKMTMakeResident", "STATUS_NO_MEMORY")
    assert "NumBytesToTrim" in first.message
    assert len(list(report_lines(report))) < 40
