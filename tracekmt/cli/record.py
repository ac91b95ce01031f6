"""tracekmt record."""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tracekmt.cli.options import force_option
from tracekmt.errors import UsageError

if TYPE_CHECKING:
    from tracekmt.record.group import OnChild
    from tracekmt.record.limits import Progress
    from tracekmt.record.process.children import ChildWatcher

FAILING_SHOWN = 10
LIVE_SECONDS = 0.2
PLAIN_SECONDS = 10.0


@click.command(
    "record",
    short_help="Record a program's calls into a trace.",
    context_settings={"ignore_unknown_options": False, "allow_interspersed_args": False},
)
@click.argument("program", nargs=-1, type=click.UNPROCESSED)
@click.option("-p", "--pid", type=int, multiple=True, metavar="PID", help="Attach to a running process instead.")
@click.option("-n", "--name", multiple=True, metavar="NAME", help="Attach to the running process of this name.")
@click.option("-w", "--wait", metavar="NAME", help="Wait for the next process of this name, and attach to it.")
@click.option("--children", is_flag=True, help="Record what the processes start too, each into a file of its own.")
@click.option("--host", metavar="HOST", help="On another machine, where frida-server answers: HOST or HOST:PORT.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The trace to write.  [default: PROGRAM.TIME.kmt]",
)
@click.option(
    "--module", multiple=True, metavar="LIBRARY", help="A library that exports the functions; may be repeated."
)
@click.option("--functions", multiple=True, metavar="GLOB", help="Only functions of this name; may be repeated.")
@click.option(
    "--thunks",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A table of addresses that the program writes, instead of exports.",
)
@click.option("--duration", metavar="TIME", help="End after this long: 90, 2.5s, 10m.")
@click.option("--max-size", metavar="SIZE", help="End when the trace has so many bytes: 500MB, 2GB.")
@click.option("--last", metavar="SIZE", help="Keep only the newest calls, in a trace of about this size: 64MB.")
@click.option("--until-status", metavar="STATUS", help="End when a call gives this status: STATUS_DEVICE_REMOVED.")
@click.option("--after", metavar="TIME", help="Go on so long after that status.")
@click.option(
    "--spool",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    metavar="FOLDER",
    help="Where the memory that is shared with the process lies.  [default: /dev/shm]",
)
@click.option("--redact", is_flag=True, help="Keep names, paths and private data out of the trace.")
@force_option
def command(
    program: tuple[str, ...],
    pid: tuple[int, ...],
    name: tuple[str, ...],
    wait: str | None,
    children: bool,
    host: str | None,
    output: Path | None,
    module: tuple[str, ...],
    functions: tuple[str, ...],
    thunks: Path | None,
    duration: str | None,
    max_size: str | None,
    last: str | None,
    until_status: str | None,
    after: str | None,
    spool: Path | None,
    redact: bool,
    force: bool,
) -> int:
    """Start PROGRAM with its arguments (after --), or attach to a process, and record its calls until it ends.

    Ctrl-C ends the recording and leaves the process running. -p and -n may be repeated: each process then has a file
    of its own, with its number in the name.
    """
    from tracekmt import ntstatus
    from tracekmt.record.group import RecordingGroup
    from tracekmt.record.limits import StopConditions
    from tracekmt.record.process.targets import await_process, find_process, open_device
    from tracekmt.record.session import Recording
    from tracekmt.text.units import parse_duration, parse_size

    if after is not None and until_status is None:
        raise UsageError("--after goes with --until-status")
    limits = StopConditions(
        duration=None if duration is None else parse_duration(duration),
        max_size=None if max_size is None else parse_size(max_size),
        last=None if last is None else parse_size(last),
        until_status=None if until_status is None else ntstatus.status(until_status),
        after=0.0 if after is None else parse_duration(after),
    )
    if sum([bool(program), bool(pid or name), wait is not None]) != 1:
        raise UsageError(
            "give either a program to start (tracekmt record -- PROGRAM ARG...) or a process (-p PID, -n NAME, -w NAME)"
        )
    if output is None:
        stem = Path(program[0]).name if program else wait or (name[0] if name else f"process.{pid[0]}")
        output = Path(f"{stem}.{time.strftime('%Y%m%dT%H%M%S')}.kmt")

    def make(output: Path, family: ChildWatcher | None = None, on_child: OnChild | None = None) -> Recording:
        return Recording(
            output,
            modules=module,
            functions=functions,
            hand_over=thunks,
            force=force,
            redact=redact,
            limits=limits,
            spool=spool,
            host=host,
            family=family,
            on_child=on_child,
            on_progress=line if family is None else lambda progress: None,
        )

    line = _Line()
    device = open_device(host)
    found = [*pid, *(find_process(device, each) for each in name)]
    if wait is not None:
        click.echo(f"waiting for a process {wait}; Ctrl-C to give up", err=True)
        found = [await_process(device, wait)]
    if children or len(found) > 1:
        if host is not None or thunks is not None:
            raise UsageError("several processes are recorded on this machine only, and by their exports")
        several = RecordingGroup(device, make, output, children=children)
        if program:
            several.spawn(program)
        for each in found:
            several.attach(each)
        ended = several.run(line)
        for one in ended:
            _tell(one.output, one.recording.progress, one.pid, one.error)
        return 2 if any(one.error is not None for one in ended) else 0
    recording = make(output)
    if program:
        recording.spawn(program)
    else:
        recording.attach(found[0])
    progress = recording.run()
    _tell(output, progress)
    if not progress.hooked and not progress.calls:
        click.echo(
            "tracekmt: no function was hooked: the process never loaded the library; name it with --module", err=True
        )
    return 0


def _tell(output: Path, progress: Progress, pid: int | None = None, error: Exception | None = None) -> None:
    """What came of a recording."""
    if error is not None:
        click.echo(f"tracekmt: process {pid}: {error}", err=True)
        return
    lost = f", {progress.lost} events lost" if progress.lost else ""
    process = "" if pid is None else f"process {pid}, "
    click.echo(f"{output}: {process}{progress.calls} calls{lost}; {progress.ended}", err=True)
    for (function, status), count in progress.failing.most_common(FAILING_SHOWN):
        click.echo(f"{count:>8}  {function}  {status.name}", err=True)
    if len(progress.failing) > FAILING_SHOWN:
        click.echo("          and others; tracekmt stats has them all", err=True)
    if progress.missed:
        click.echo(f"tracekmt: too short to be hooked, so not recorded: {', '.join(progress.missed)}", err=True)


class _Line:
    """One live line on a terminal, a plain one now and then elsewhere."""

    def __init__(self) -> None:
        self._shown = 0.0
        self._calls = 0

    def __call__(self, progress: Progress) -> None:
        elapsed, on_terminal = progress.elapsed, sys.stderr is not None and sys.stderr.isatty()
        every = LIVE_SECONDS if on_terminal else PLAIN_SECONDS
        if progress.ended is not None:
            if on_terminal:
                click.echo("\r\x1b[K", nl=False, err=True)
            return
        if elapsed - self._shown < every:
            return
        rate = (progress.calls - self._calls) / (elapsed - self._shown)
        self._shown, self._calls = elapsed, progress.calls
        failing = sum(progress.failing.values())
        line = (
            f"{progress.calls:,} calls, {rate:,.0f}/s, {failing:,} failing, {progress.lost:,} lost, "
            f"{progress.size / (1 << 20):,.1f} MB, {elapsed:.0f} s"
        )
        click.echo(
            f"\r\x1b[K{line[: shutil.get_terminal_size().columns - 1]}" if on_terminal else line,
            nl=not on_terminal,
            err=True,
        )
