"""Whole matrices on this machine: outputs, exit statuses, and runs that are broken off and go on."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shlex
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from junitparser import JUnitXml

import tracekmt
from tests.matrix.conftest import TARGETS, Matrix, table
from tests.replayer.test_thunks_target import record
from tests.skips import LINUX_PART

# The library of their tables is one of the tests on Linux only.
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason=LINUX_PART)

NAMES = [f"traces/{number:03}.kmt" for number in range(4)]
KILLS = 20 if "TRACEKMT_SOAK" in os.environ else 3


def results(folder: Path) -> dict[str, Any]:
    """Return the results of a folder without times."""
    found = {}
    for path in (folder / "done").glob("*.json"):
        result = json.loads(path.read_text())
        found[path.name] = {name: value for name, value in result.items() if name not in ("started", "seconds")}
    return found


def start(folder: Path, *words: str) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-m", "tracekmt", "matrix", "matrix.toml", *words]
    pipe = subprocess.PIPE
    return subprocess.Popen(arguments, cwd=folder, stdout=pipe, stderr=pipe, text=True, start_new_session=True)


def test_a_matrix_has_the_outcomes_of_its_replays(command: Matrix, folder: Path) -> None:
    result = command("matrix", "matrix.toml", "-o", "out", "--jobs", 2)
    assert (result.returncode, result.stderr) == (1, "")
    assert result.stdout.splitlines()[-1] == "out/report.html has all of them"
    rows = {(row["trace"], row["target"]): row for row in table(folder / "out" / "results.parquet")}
    assert list(rows) == [(name, target) for name in NAMES for target in TARGETS]
    findings = Counter((row["trace"], row["target"]) for row in table(folder / "out" / "findings.parquet"))
    for (name, _), row in rows.items():
        words = shlex.split(row["command"])
        assert words[:3] == ["tracekmt", "replay", name]
        options = dict(zip(words[3::2], words[4::2], strict=True))
        names = {"--profile": "profile", "--video-memory": "video_memory"}
        settings: dict[str, Any] = {names[option]: value for option, value in options.items() if option in names}
        report = tracekmt.replay(folder / name, **settings, faults=[options["--fail"]] if "--fail" in options else None)
        assert row["outcome"] == ("same" if report.same else "differs")
        assert (row["compared"], row["calls"]) == (report.calls.compared, report.total)
        assert row["differing"] == report.differing
        assert findings[name, row["target"]] == len(report.findings)
        assert (row["tries"], row["runs"], row["reason"]) == (1, 1, None)
    assert {row["outcome"] for row in rows.values()} == {"same", "differs"}


def test_junit_has_a_suite_for_each_trace_and_target(command: Matrix, folder: Path) -> None:
    (folder / "traces" / "bad.kmt").write_bytes(b"no trace")
    result = command("matrix", "traces/000.kmt", "traces/001.kmt", "traces/bad.kmt", "--on", "windows", "-o", "out")
    assert result.returncode == 2
    suites = list(JUnitXml.fromfile(str(folder / "out" / "junit.xml")))
    names = ["traces/000.kmt", "traces/001.kmt", "traces/bad.kmt"]
    assert [suite.name for suite in suites] == [f"{name} against windows" for name in names]
    assert [(suite.failures > 0, suite.errors) for suite in suites] == [(True, 0), (False, 0), (False, 1)]
    assert "not a tracekmt trace" in (folder / "out" / "junit.xml").read_text()


def test_what_is_done_is_not_done_again(command: Matrix, folder: Path) -> None:
    assert command("matrix", "traces/001.kmt", "traces/002.kmt", "--on", "windows", "-o", "out").returncode == 0
    before = {path: path.stat().st_mtime_ns for path in (folder / "out" / "done").iterdir()}
    assert command("matrix", "traces", "--on", "windows", "--on", "wsl", "-o", "out").returncode == 1
    after = {path: path.stat().st_mtime_ns for path in (folder / "out" / "done").iterdir()}
    assert len(before) == 2
    assert len(after) == 8
    assert before.items() <= after.items()


def test_a_killed_run_goes_on_and_does_nothing_twice(command: Matrix, folder: Path) -> None:
    assert command("matrix", "matrix.toml", "-o", "whole").returncode == 1
    chance = random.Random(3)
    kept: dict[Path, int] = {}
    for _ in range(KILLS):
        run = start(folder, "-o", "killed", "--jobs", "2")
        time.sleep(chance.uniform(0.5, 2.5))
        with contextlib.suppress(ProcessLookupError):
            os.killpg(run.pid, signal.SIGKILL)
        run.communicate()
        done = {path: path.stat().st_mtime_ns for path in folder.glob("killed/done/*.json")}
        assert kept.items() <= done.items()
        kept = done
    assert command("matrix", "matrix.toml", "-o", "killed").returncode == 1
    done = {path: path.stat().st_mtime_ns for path in folder.glob("killed/done/*.json")}
    assert kept.items() <= done.items()
    assert results(folder / "killed") == results(folder / "whole")


def await_results(folder: Path, count: int) -> None:
    until = time.monotonic() + 60
    while len(list(folder.glob("done/*.json"))) < count:
        assert time.monotonic() < until
        time.sleep(0.01)


def workers_of(pid: int) -> list[int]:
    """Return the ids of the processes that replay for another process."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == pid and b"tracekmt.matrix.worker" in (path / "cmdline").read_bytes():
                found.append(int(path.name))
    return found


def test_ctrl_c_keeps_what_is_done(command: Matrix, folder: Path) -> None:
    run = start(folder, "-o", "out", "--jobs", "2")
    await_results(folder / "out", 3)
    workers = workers_of(run.pid)
    os.killpg(run.pid, signal.SIGINT)
    output, errors = run.communicate(timeout=60)
    assert run.returncode == 130
    assert errors == "tracekmt: interrupted (run the same command again to go on)\n"
    assert "not done" in output
    outcomes = Counter(row["outcome"] for row in table(folder / "out" / "results.parquet"))
    assert 3 <= outcomes.total() - outcomes["not done"] < 24
    assert workers
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)
    assert command("matrix", "matrix.toml", "-o", "out").returncode == 1
    assert "not done" not in {row["outcome"] for row in table(folder / "out" / "results.parquet")}


def test_workers_end_with_a_killed_run(folder: Path) -> None:
    run = start(folder, "-o", "out", "--jobs", "2")
    await_results(folder / "out", 1)
    workers = workers_of(run.pid)
    run.kill()
    run.communicate()
    until = time.monotonic() + 30
    while any(Path(f"/proc/{worker}").exists() for worker in workers):
        assert time.monotonic() < until
        time.sleep(0.01)
    assert workers


def test_shards_are_merged_into_the_whole(command: Matrix, folder: Path) -> None:
    assert command("matrix", "matrix.toml", "-o", "whole").returncode == 1
    shards = [f"shard-{number}" for number in (1, 2, 3)]
    for number, shard in enumerate(shards, 1):
        assert command("matrix", "matrix.toml", "--shard", f"{number}/3", "-o", shard).returncode in (0, 1)
    counts = [len(results(folder / shard)) for shard in shards]
    assert min(counts) > 0
    assert sum(counts) == 24
    merged = command("merge", *shards, "-o", "merged")
    assert (merged.returncode, merged.stderr) == (1, "")
    assert results(folder / "merged") == results(folder / "whole")
    columns = ("trace", "target", "outcome", "compared", "differing")
    rows = [
        [[row[name] for name in columns] for row in table(folder / name / "results.parquet")]
        for name in ("merged", "whole")
    ]
    assert rows[0] == rows[1]
    missing = command("merge", *shards[:2], "-o", "missing")
    assert missing.returncode == 2
    assert f"{counts[2]} not done" in missing.stdout


def test_results_that_differ_between_folders_are_flaky(command: Matrix, folder: Path) -> None:
    for name in ("a", "b"):
        assert command("matrix", "traces/001.kmt", "traces/002.kmt", "-o", name).returncode == 0
    path = sorted((folder / "b" / "done").iterdir())[0]
    result = json.loads(path.read_text())
    result["report"]["calls"]["compared"] -= 1
    path.write_text(json.dumps(result))
    merged = command("merge", "a", "b", "-o", "merged", "--json")
    assert merged.returncode == 1
    data = json.loads(merged.stdout)
    assert data["outcomes"] == {"same": 1, "flaky": 1}
    assert [(row["trace"], row["outcome"]) for row in data["special"]] == [(result["trace"], "flaky")]
    assert len(results(folder / "merged")) == 3
    (folder / "traces" / "001.kmt").write_bytes((folder / "traces" / "000.kmt").read_bytes())
    assert command("matrix", "traces/001.kmt", "-o", "c").returncode == 1
    other = command("merge", "a", "c", "-o", "other")
    assert (other.returncode, other.stdout) == (2, "")
    assert "traces/001.kmt or simulator differs from that of the folders before it" in other.stderr


def test_runs_that_differ_are_flaky(command: Matrix, folder: Path, kernel: Path) -> None:
    record(folder / "recorded.kmt").rename(folder / "real.kmt")
    env = {"KERNEL_DO": "Lock2:1:c000000d", "KERNEL_ONCE": str(folder / "once"), "KERNEL_BUILD": "77"}
    words = ("matrix", "real.kmt", "--on", f"thunks:{kernel}", "--on", "windows", "--runs", 2, "-o", "out")
    result = command(*words, env=env)
    assert result.returncode == 1
    line = next(line for line in result.stdout.splitlines() if line.startswith("flaky: "))
    assert line == f"flaky: real.kmt on thunks:{kernel}: 1 call with differences in 1, no differences in 1"
    row = table(folder / "out" / "results.parquet")[0]
    assert (row["outcome"], row["runs"], row["driver"]) == ("flaky", 2, "0.0.0.77")
    assert {row["run"] for row in table(folder / "out" / "findings.parquet") if row["call"] == "D3DKMTLock2"} == {1}
    assert "first seen on <b>thunks:" in (folder / "out" / "report.html").read_text()
    # A driver of another build has other results.
    assert command(*words, env={**env, "KERNEL_BUILD": "78"}).returncode == 2
    assert "recorded on a different driver build" in (folder / "out" / "junit.xml").read_text()


def test_a_trace_that_kills_its_process_is_set_aside(command: Matrix, folder: Path, kernel: Path) -> None:
    record(folder / "recorded.kmt").rename(folder / "real.kmt")
    (folder / "matrix.toml").write_text(
        'traces = ["real.kmt", "traces/001.kmt"]\n'
        f'[[targets]]\non = "thunks:{kernel}"\nname = "real"\ntimeout = "60s"\n'
    )
    environment = {"KERNEL_DO": "OpenAdapterFromLuid:1:hang", "KERNEL_LOG": str(folder / "log")}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        run = start(folder, "-o", "out", "--jobs", "1")
    killed: set[int] = set()
    until = time.monotonic() + 60
    while run.poll() is None and time.monotonic() < until:
        hangs = (folder / "log").exists() and (folder / "log").read_text().count("\nprocess ") > len(killed)
        for worker in workers_of(run.pid) if hangs else ():
            if worker not in killed:
                killed.add(worker)
                os.kill(worker, signal.SIGKILL)
        time.sleep(0.01)
    output, errors = run.communicate()
    assert (run.returncode, errors) == (2, "")
    assert len(killed) == 4
    first, second = table(folder / "out" / "results.parquet")
    for row in (first, second):
        assert (row["outcome"], row["tries"]) == ("set aside", 2)
        assert row["reason"].startswith("tried 2 times: its process was killed by SIGKILL, with ")
    assert "set aside: real.kmt on real: tried 2 times: its process was killed by SIGKILL" in output
    assert command("matrix", "matrix.toml", "-o", "out").returncode == 2
    assert table(folder / "out" / "results.parquet")[0] == first
    command("matrix", "matrix.toml", "-o", "out", "--retry")
    assert table(folder / "out" / "results.parquet")[0]["outcome"] == "same"


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("matrix", "traces"), "Missing option '-o'"),
        (("matrix", "missing.kmt", "-o", "out"), "cannot open missing.kmt"),
        (("matrix", "traces", "--on", "toaster", "-o", "out"), "invalid target: toaster"),
        (("matrix", "traces", "--on", "thunks:./missing.so", "-o", "out"), "cannot load missing.so"),
        (("matrix", "traces", "--rules", "missing.toml", "-o", "out"), "cannot read missing.toml"),
        (("matrix", "traces", "--resources", "GPU", "-o", "out"), "invalid --resources: GPU (no target is on thunks"),
        (("matrix", "traces", "--shard", "3/2", "-o", "out"), "invalid shard: 3/2 (expected I/N, from 1/N to N/N)"),
        (("matrix", "traces", "-o", "traces"), "cannot write traces: it has other files"),
        (("matrix", "traces", "-o", "out", "--scheduler", "127.0.0.1:9"), "cannot reach the scheduler 127.0.0.1:9"),
        (("merge", "traces", "-o", "out"), "cannot read traces/plan.json"),
    ],
)
def test_a_request_that_cannot_be_carried_out(
    command: Matrix, folder: Path, words: tuple[str, ...], problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT", "1s")
    result = command(*words)
    assert (result.returncode, result.stdout) == (2, "")
    assert problem in result.stderr
    assert len(result.stderr.splitlines()) <= 2


@pytest.mark.parametrize(
    ("library", "words", "extra"),
    [
        ("pyarrow", ("traces",), "parquet"),
        ("distributed", ("traces", "--scheduler", "127.0.0.1:9"), "cluster"),
        ("fsspec", ("file:///traces",), "remote"),
    ],
)
def test_a_missing_library_is_one_line_before_the_work(
    folder: Path, library: str, words: tuple[str, ...], extra: str
) -> None:
    program = (
        f"import sys; sys.modules[{library!r}] = None\n"
        f"sys.argv = ['tracekmt', 'matrix', '-o', 'out', *{words!r}]\n"
        "from tracekmt.cli import main; main()\n"
    )
    result = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.count("\n") == 1
    assert f"pip install 'tracekmt[{extra}]'" in result.stderr
    assert not list(folder.glob("out/done/*"))
