"""Runs the program of a case under the recorder, and finds out what became of it."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tracekmt.errors import Error, RecordError
from tracekmt.report.stats import measure
from tracekmt.report.summary import injected_counts
from tracekmt.torture.cases import Case, choose_cases
from tracekmt.trace.reader import Trace

GRACE_SECONDS = 30.0
"""Time after its limit until a recorder is killed that does not end by itself."""

LAST_CALLS = 5
"""Number of the last calls that are kept of a program that crashed or hung."""

Outcome = Literal["went on", "ended", "crashed", "hung", "not reached", "not recorded"]
"""What became of a program: it ended as without the fault, ended with another status, was killed by a signal, or did
not end. Or it did not make the call, or could not be recorded."""

BAD: tuple[Outcome, ...] = ("crashed", "hung")


@dataclass(frozen=True)
class Result:
    """Outcome of one case.

    Attributes:
        case: The case. None for the run without a fault.
        outcome: What became of it.
        detail: How it ended, or why there is no recording.
        leaks: Number of objects of each kind that were never destroyed.
        last_calls: Its last calls, if it crashed or hung.
        trace: The recording.
        printed: File with what the program and the recorder printed.
        command: Command line that repeats the case.
    """

    case: Case | None
    outcome: Outcome
    detail: str
    leaks: Counter[str]
    last_calls: tuple[str, ...]
    trace: Path
    printed: Path
    command: str


def torture(
    argv: Sequence[str],
    folder: Path,
    *,
    functions: Sequence[str] = (),
    limit: int = 100,
    seconds: float = 60.0,
    jobs: int = 1,
    record_options: Sequence[str] = (),
    on_result: Callable[[Result, int], None] = lambda result, total: None,
) -> tuple[Result, list[Result]]:
    """Run a program once without a fault, and then once for each case.

    Args:
        argv: The program and its arguments.
        folder: Existing folder for the traces.
        functions: Patterns of the functions that fail. Empty: all.
        limit: Number of cases at most.
        seconds: Time limit of a run.
        jobs: Number of programs that run at once.
        record_options: Further options of `record`.
        on_result: Receives each result when it is there, and the number of cases.

    Returns:
        The result without a fault, and those of the cases in their order.

    Raises:
        RecordError: The program cannot be recorded, or does not end by itself without a fault.
    """
    runner = _Runner(argv, folder, seconds, record_options)
    baseline = runner.run(None)
    if baseline.outcome in BAD:
        raise RecordError(f"cannot torture {argv[0]}: it {baseline.outcome} without a fault ({baseline.detail})")
    cases: list[Case] = []
    if baseline.outcome != "not recorded":
        with Trace(baseline.trace) as trace:
            cases = choose_cases(trace, functions, limit)
    if not cases:
        raise RecordError(f"cannot torture {argv[0]}: {_last_line(baseline.printed)}")
    results: list[Result] = []
    pool = ThreadPoolExecutor(jobs)
    try:
        for future in as_completed([pool.submit(runner.run, case, baseline) for case in cases]):
            results.append(future.result())
            on_result(results[-1], len(cases))
    finally:
        runner.stop()
        pool.shutdown(cancel_futures=True)
    return baseline, sorted(results, key=lambda result: result.case.number if result.case else 0)


class _Runner:
    """Runs one program with different faults."""

    def __init__(self, argv: Sequence[str], folder: Path, seconds: float, options: Sequence[str]) -> None:
        self._argv, self._folder, self._seconds, self._options = list(argv), folder, seconds, list(options)
        self._running: set[subprocess.Popen[bytes]] = set()
        self._is_stopped = False

    def stop(self) -> None:
        """Kill the recorders that run. Each run then kills its program."""
        self._is_stopped = True
        for process in list(self._running):
            _kill_group(process)

    def run(self, case: Case | None, baseline: Result | None = None) -> Result:
        """Run the program once."""
        name = "baseline" if case is None else f"{case.number:03}"
        trace, printed = self._folder / f"{name}.kmt", self._folder / f"{name}.txt"
        inject = [] if case is None else ["--inject", case.fault]
        options = [*self._options, *inject, "--duration", f"{self._seconds}s", "-f", "-o", str(trace)]
        words = ["record", *options, "--", *self._argv]
        with printed.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "tracekmt", *words],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            self._running.add(process)
            try:
                if self._is_stopped:
                    raise RecordError("interrupted")
                process.wait(self._seconds + GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                pass  # the trace tells
            finally:
                _kill_group(process)
                self._running.discard(process)
                _kill_program(trace, self._argv)  # one that hangs goes on after its recording
        command = shlex.join(["tracekmt", *words])
        return _judge(case, baseline, trace, printed, command)


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a recorder and the processes of its session, or the recorder alone on Windows."""
    if sys.platform == "win32":
        process.kill()
    else:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _kill_program(path: Path, argv: Sequence[str]) -> None:
    """Kill the program of a recording, which has another session than the recorder, if it still runs."""
    with contextlib.suppress(Error, OSError, TypeError):
        with Trace(path) as trace:
            pid = trace.header.process.get("pid")
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:-1]
        if (
            sys.platform != "win32"
            and isinstance(pid, int)
            and [os.fsencode(word) for word in argv] == words[-len(argv) :]
        ):
            os.killpg(pid, signal.SIGKILL)


def _judge(case: Case | None, baseline: Result | None, path: Path, printed: Path, command: str) -> Result:
    """Return the result of a run from its trace."""
    try:
        with Trace(path) as trace:
            leaks = _leaks(trace)
            is_reached = all(fault["calls"] for fault in injected_counts(trace))
            outcome, detail = _outcome(trace.ended or "")
            if not is_reached and outcome not in BAD:
                outcome = "not reached"
            elif baseline is not None and outcome == "ended" and detail == baseline.detail:
                outcome = "went on"
            last = tuple(_last_calls(trace)) if outcome in BAD else ()
    except Error as error:
        detail = _last_line(printed) or str(error)
        return Result(case, "not recorded", detail, Counter(), (), path, printed, command)
    return Result(case, outcome, detail, leaks, last, path, printed, command)


def _last_line(printed: Path) -> str:
    """Return the last line that a program or its recorder printed."""
    lines = printed.read_text("utf-8", "replace").splitlines()
    return lines[-1].removeprefix("tracekmt: ") if lines else ""


def _outcome(ended: str) -> tuple[Outcome, str]:
    """Return what the end of a recording says about the program."""
    if match := re.search(r"\bended (with status \d+)", ended):
        return "ended", match[1]
    if match := re.search(r"\bby (SIG\w+|signal \d+)", ended):
        return "crashed", match[1]
    return "hung", ended or "the recording did not end"


def _leaks(trace: Trace) -> Counter[str]:
    """Count the objects that no call destroyed, by kind."""
    return Counter(leak["kind"] for leak in measure(trace, jobs=1)["leaks"] if not leak["external"])


def _last_calls(trace: Trace) -> list[str]:
    last = list(trace.calls())[-LAST_CALLS:]
    return [f"#{call.index} {call.name} = {call.outcome_text}" for call in last]
