"""Recordings of the commands `record` and `run`: progress, outcome and exit status."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tracekmt.cli.output import echo, replace_line
from tracekmt.errors import RecordError
from tracekmt.plural import plural

if TYPE_CHECKING:
    from tracekmt.record.group import RecordingGroup
    from tracekmt.record.limits import Progress
    from tracekmt.record.session import Recording

FAILING_SHOWN = 10
LIVE_SECONDS = 0.2
PLAIN_SECONDS = 10.0


def record_one(
    recording: Recording,
    output: Path,
    functions: tuple[str, ...],
    program: tuple[str, ...],
    pids: list[int],
    label: str | None = None,
) -> int:
    """Record a program or a process until it ends, and print the outcome. Return the exit status.

    Args:
        recording: The recording.
        output: Its trace.
        functions: Patterns of the functions to record.
        program: The program to start, with its arguments. Empty: the process is running.
        pids: Id of the running process.
        label: Name of the recording in its summary. The default is the trace.

    Raises:
        RecordError: There are no calls, or the recording failed.
    """
    if program:
        recording.spawn(program)
    else:
        recording.attach(pids[0])
    progress = recording.run()
    _print_result(output, progress, label=label)
    if not progress.calls and not progress.lost:
        raise RecordError(explain_no_calls(progress, functions))
    return progress.exit_status or 0


def record_group(
    group: RecordingGroup,
    functions: tuple[str, ...],
    program: tuple[str, ...],
    pids: list[int],
    progress_line: ProgressLine,
) -> int:
    """Record a program or processes, each into its own file; see `record_one`."""
    if program:
        group.spawn(program)
    for pid in pids:
        group.attach(pid)
    members = group.run(progress_line)
    for member in members:
        if member.error is not None:
            echo(f"tracekmt: process {member.pid}: {member.error}", err=True)
        else:
            _print_result(member.output, member.recording.progress, f"process {member.pid}, ")
    if any(member.error is not None for member in members):
        return 2
    first = members[0].recording.progress
    if not any(member.recording.progress.calls or member.recording.progress.lost for member in members):
        raise RecordError(explain_no_calls(first, functions))
    return first.exit_status or 0


def explain_no_calls(progress: Progress, functions: tuple[str, ...]) -> str:
    """Return the reason why a recording has no calls, with what it looked for."""
    modules = ", ".join(progress.modules) or "the thunks"
    if progress.hooked:
        hooked = plural(len(progress.hooked), "function")
        return f"no call was recorded: {hooked} of {modules} were hooked, and the process called none of them"
    if not progress.loaded:
        return f"no call was recorded: the process never loaded {modules} (name another library with --module)"
    if functions:
        return f"no call was recorded: no function of {modules} matches --functions {', '.join(functions)}"
    return f"no call was recorded: {modules} exports no function of the interface"


def _print_injections(output: Path) -> None:
    """Print how many calls of a trace got each fault."""
    from tracekmt.report.summary import injected_counts, injected_lines
    from tracekmt.trace.reader import Trace

    with Trace(output) as trace:
        for line in injected_lines(injected_counts(trace)):
            echo(f"injected: {line}", err=True)


def _print_result(output: Path, progress: Progress, process: str = "", label: str | None = None) -> None:
    lost = f", {plural(progress.lost, 'lost event')}" if progress.lost else ""
    echo(f"{label or output}: {process}{plural(progress.calls, 'call')}{lost}; {progress.ended}", err=True)
    for (function, status), count in progress.failing.most_common(FAILING_SHOWN):
        echo(f"{count:>8}  {function}  {status.name}", err=True)
    if len(progress.failing) > FAILING_SHOWN:
        echo("          and more (see `tracekmt stats`)", err=True)
    if progress.faults:
        _print_injections(output)
    if progress.uninjected:
        echo(
            f"tracekmt: too short for a jump, neither failed nor simulated: {', '.join(progress.uninjected)}", err=True
        )
    if progress.undescribed:
        names = ", ".join(f"{name} ({count})" for name, count in progress.undescribed.most_common())
        echo(f"tracekmt: not described, recorded without fields: {names}", err=True)
    if progress.missed:
        echo(f"tracekmt: too short to hook, not recorded: {', '.join(progress.missed)}", err=True)


class ProgressLine:
    """Prints the progress of a recording: one live line on a terminal, otherwise a line every PLAIN_SECONDS."""

    def __init__(self) -> None:
        self._last_elapsed = 0.0
        self._last_calls = 0

    def __call__(self, progress: Progress) -> None:
        """Print the progress, unless it was printed a moment ago."""
        elapsed, on_terminal = progress.elapsed, sys.stderr is not None and sys.stderr.isatty()
        interval = LIVE_SECONDS if on_terminal else PLAIN_SECONDS
        if progress.ended is not None:
            if on_terminal:
                replace_line()
            return
        if elapsed - self._last_elapsed < interval:
            return
        rate = (progress.calls - self._last_calls) / (elapsed - self._last_elapsed)
        self._last_elapsed, self._last_calls = elapsed, progress.calls
        failed = sum(progress.failing.values())
        line = (
            f"{progress.calls:,} calls, {rate:,.0f}/s, {failed:,} failed, {progress.lost:,} lost, "
            f"{progress.size / (1 << 20):,.1f} MB, {elapsed:.0f} s"
        )
        if on_terminal:
            replace_line(line[: shutil.get_terminal_size().columns - 1])
        else:
            echo(line, err=True)
