"""Lines that several processes make are those of one process."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import tracekmt
from tests.skips import PROCESS_POOLS
from tracekmt.convert import convert
from tracekmt.differ.read_history import read_histories
from tracekmt.errors import TraceError
from tracekmt.trace import writer
from tracekmt.trace.parallel import results_of_calls, second_process
from tracekmt.trace.reader import Trace

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason=PROCESS_POOLS)

CALLS = 500
FRAME_EVENTS = 64
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a trace of many frames."""
    path = tmp_path_factory.mktemp("parallel") / "t.kmt"
    simulator = tracekmt.Simulator()
    with pytest.MonkeyPatch.context() as patch, tracekmt.create(path, machine=simulator.machine.settings()) as created:
        patch.setattr(writer, "FRAME_EVENTS", FRAME_EVENTS)

        def call(name: str, **inputs: object) -> int:
            outcome = simulator.call(name, inputs)
            created.add(name, inputs, outcome.outputs, outcome.status)
            return int(outcome.outputs.get("hAdapter") or outcome.outputs.get("hDevice") or 0)

        adapter = call("D3DKMTOpenAdapterFromLuid", AdapterLuid={"LowPart": 1, "HighPart": 0})
        for number in range(CALLS - 1):
            call("D3DKMTCreateDevice", hAdapter=adapter if number % 7 else 0)
    return path


def index_lines(trace: Trace, first: int, last: int | None, prefix: str) -> Iterator[str]:
    for call in trace.calls(first, last):
        yield f"{prefix} {call.index} {os.getpid()}"


def test_the_lines_are_those_of_each_call_in_order(trace: Path) -> None:
    with Trace(trace) as opened:
        assert len(list(opened.ranges())) > 10
        for first, last in ((0, None), (5, 300), (31, 32), (499, 900), (600, None)):
            lines = list(results_of_calls(opened, index_lines, "#", first=first, last=last, jobs=3))
            indexes = range(first, CALLS if last is None else min(last + 1, CALLS))
            assert [line.rpartition(" ")[0] for line in lines] == [f"# {index}" for index in indexes]
        pids = {line.split()[2] for line in results_of_calls(opened, index_lines, "#", jobs=3)}
        assert str(os.getpid()) not in pids
        assert 1 < len(pids) <= 3
        # A small trace is not worth another process.
        assert {line.split()[2] for line in results_of_calls(opened, index_lines, "#")} == {str(os.getpid())}


def failing_lines(trace: Trace, first: int, last: int | None) -> Iterator[str]:
    for call in trace.calls(first, last):
        if call.index == 100:
            raise TraceError("call 100 is damaged")
        yield str(call.index)


@pytest.mark.parametrize("jobs", [1, 2])
def test_the_lines_before_an_error_come_first(trace: Path, jobs: int) -> None:
    lines: list[str] = []
    with Trace(trace) as opened, pytest.raises(TraceError, match="call 100 is damaged"):
        lines.extend(results_of_calls(opened, failing_lines, jobs=jobs))
    assert lines == [str(index) for index in range(100)]


def fatal_lines(_trace: Trace, _first: int, _last: int | None) -> Iterator[str]:
    os.kill(os.getpid(), signal.SIGTERM)
    yield ""


def test_a_killed_process_is_an_error(trace: Path) -> None:
    with Trace(trace) as opened, pytest.raises(TraceError, match=r"cannot read .*t\.kmt: a process of tracekmt was"):
        list(results_of_calls(opened, fatal_lines, jobs=2))


@pytest.mark.parametrize(
    "words",
    [["dump"], ["dump", "--json"], ["dump", "--where", "failed and index > 40"], ["dump", "--calls", "0-400/3,Open*"]],
    ids=" ".join,
)
def test_dump_prints_the_same(
    command: Callable[..., subprocess.CompletedProcess[str]], trace: Path, words: list[str]
) -> None:
    one, two = (command(*words, trace, "--jobs", jobs) for jobs in (1, 2))
    assert one.stdout == two.stdout != ""
    assert (one.returncode, one.stderr) == (two.returncode, two.stderr) == (0, "")


@pytest.mark.parametrize("words", [["check"], ["stats"], ["stats", "--json"], ["diff", "--json"]], ids=" ".join)
def test_two_processes_find_the_same(
    command: Callable[..., subprocess.CompletedProcess[str]], trace: Path, tmp_path: Path, words: list[str]
) -> None:
    tracekmt.replay(trace, faults=["D3DKMTCreateDevice@20=STATUS_NO_MEMORY"], output=tmp_path / "other.kmt")
    traces = [tmp_path / "other.kmt", trace] if "diff" in words else [tmp_path / "other.kmt"]
    results = [command(*words, *traces, "--jobs", jobs) for jobs in (1, 2, 3)]
    assert len({(result.returncode, result.stdout, result.stderr) for result in results}) == 1
    assert results[0].stdout
    assert results[0].returncode == ("stats" not in words)


def test_histories_of_two_processes_are_those_of_one(trace: Path, tmp_path: Path) -> None:
    """The second trace names functions and modules that the first one lacks."""
    tracekmt.replay(trace, faults=["D3DKMTCreateDevice@20=STATUS_NO_MEMORY"], output=tmp_path / "other.kmt")
    for paths in ((trace, tmp_path / "other.kmt"), (tmp_path / "other.kmt", trace), (ROOT / "traces/demo.kmt", trace)):
        with Trace(paths[0]) as first, Trace(paths[1]) as second:
            one, two = (read_histories(first, second, jobs) for jobs in (1, 2))
            for expected, found in zip(one, two, strict=True):
                assert found.trace is expected.trace
                assert pickle.dumps(found) == pickle.dumps(expected)
                assert found.names == expected.names


def killed() -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return 1


def killed_while_it_sends() -> bytes:
    """Return more than a pipe holds. The process is killed while the other one reads it."""
    threading.Timer(0.5, killed).start()
    return bytes(8 << 20)


def refused() -> int:
    raise TraceError("call 100 is damaged")


def test_a_second_process_that_ends(trace: Path) -> None:
    with pytest.raises(TraceError, match="a process of tracekmt was killed"), second_process(2, killed) as result:
        result()
    with second_process(2, killed_while_it_sends) as large:
        time.sleep(1.5)
        with pytest.raises(TraceError, match="was killed"):
            large()
    for jobs in (1, 2):
        with pytest.raises(TraceError, match="call 100 is damaged"), second_process(jobs, refused) as result:
            result()
    with second_process(2, os.getpid) as result:
        assert result() != os.getpid()


def test_a_second_process_ends_with_its_context() -> None:
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt), second_process(2, time.sleep, 60):
        raise KeyboardInterrupt
    assert time.monotonic() - began < 30


def test_an_invalid_condition_is_an_error(
    command: Callable[..., subprocess.CompletedProcess[str]], trace: Path
) -> None:
    result = command("dump", trace, "--where", "nonsense ==", "--jobs", 2)
    assert result.returncode == 2
    assert result.stderr.startswith("tracekmt: invalid condition")


def test_json_lines_are_the_same(trace: Path, tmp_path: Path) -> None:
    for jobs in (1, 2):
        convert(trace, tmp_path / f"{jobs}.jsonl", "jsonl", jobs=jobs)
    assert (tmp_path / "1.jsonl").read_bytes() == (tmp_path / "2.jsonl").read_bytes()


def test_ctrl_c_ends_all_processes(trace: Path) -> None:
    words = [sys.executable, "-m", "tracekmt", "dump", "--json", "--jobs", "2", str(trace)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None
    process.stdout.read(1)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 2
    assert errors.decode().strip() == "tracekmt: interrupted"
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
