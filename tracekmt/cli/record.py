"""tracekmt record."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tracekmt.cli.options import force_option
from tracekmt.errors import UsageError

if TYPE_CHECKING:
    from tracekmt.record.session import Progress


@click.command(
    "record",
    short_help="Record a program's calls into a trace.",
    context_settings={"ignore_unknown_options": False, "allow_interspersed_args": False},
)
@click.argument("program", nargs=-1, type=click.UNPROCESSED)
@click.option("-p", "--pid", type=int, metavar="PID", help="Attach to a running process instead.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The trace to write.  [default: PROGRAM.TIME.kmt]",
)
@click.option("--module", metavar="LIBRARY", help="The library that exports the functions, by file name.")
@click.option("--functions", multiple=True, metavar="GLOB", help="Only functions of this name; may be repeated.")
@click.option(
    "--thunks",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A table of addresses that the program writes, instead of exports.",
)
@click.option("--redact", is_flag=True, help="Keep names, paths and private data out of the trace.")
@force_option
def command(
    program: tuple[str, ...],
    pid: int | None,
    output: Path | None,
    module: str | None,
    functions: tuple[str, ...],
    thunks: Path | None,
    redact: bool,
    force: bool,
) -> int:
    """Start PROGRAM with its arguments (after --), or attach to a process, and record its calls until it ends.

    Ctrl-C ends the recording and leaves the process running.
    """
    from tracekmt.record.session import Recording

    if bool(program) == (pid is not None):
        raise UsageError("give either a program to start (tracekmt record -- PROGRAM ARG...) or a process (-p PID)")
    if output is None:
        stem = Path(program[0]).name if program else f"process.{pid}"
        output = Path(f"{stem}.{time.strftime('%Y%m%dT%H%M%S')}.kmt")
    recording = Recording(
        output,
        module=module,
        functions=functions,
        hand_over=thunks,
        force=force,
        redact=redact,
        on_progress=_Line(),
    )
    if pid is not None:
        recording.attach(pid)
    else:
        recording.spawn(program)
    progress = recording.run()
    lost = f", {progress.lost} events lost" if progress.lost else ""
    click.echo(f"{output}: {progress.calls} calls{lost}; {progress.ended}", err=True)
    if not progress.hooked and not progress.calls:
        click.echo(
            "tracekmt: no function was hooked: the process never loaded the library; name it with --module", err=True
        )
    return 0


class _Line:
    """One live line on a terminal, nothing elsewhere."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._shown = 0.0

    def __call__(self, progress: Progress) -> None:
        elapsed = time.monotonic() - self._started
        if not sys.stderr.isatty() or (elapsed - self._shown < 0.2 and progress.ended is None):
            return
        self._shown = elapsed
        line = f"\r{progress.calls} calls, {progress.lost} lost, {elapsed:.0f} s (Ctrl-C ends the recording) "
        click.echo("\r" + " " * len(line) + "\r" if progress.ended else line, nl=False, err=True)
