"""The command `tracekmt record`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tracekmt.cli.help import GroupedCommand, option_under
from tracekmt.cli.options import PROGRAM_SETTINGS
from tracekmt.cli.output import echo
from tracekmt.errors import UsageError

if TYPE_CHECKING:
    from tracekmt.record.limits import StopConditions
    from tracekmt.record.process.children import ChildWatcher, OnChild
    from tracekmt.record.session import Recording

_target = option_under("Target")
_capture = option_under("Capture")
_limit = option_under("Limits")
_output = option_under("Output")


@click.command(
    "record",
    cls=GroupedCommand,
    short_help="Record the calls of a program into a trace.",
    context_settings=PROGRAM_SETTINGS,
)
@click.argument("program", nargs=-1, type=click.UNPROCESSED)
@_target("-p", "--pid", type=int, multiple=True, metavar="PID", help="Attach to a running process. Repeatable.")
@_target("-n", "--name", multiple=True, metavar="NAME", help="Attach to the running process NAME. Repeatable.")
@_target("-w", "--wait", metavar="NAME", help="Wait for the next process NAME, and attach to it.")
@_target("--children", is_flag=True, help="Record child processes, too, each into its own file.")
@_target("--host", metavar="HOST[:PORT]", help="Record on another machine, which runs frida-server.")
@_capture("--module", multiple=True, metavar="LIBRARY", help="Hook the exports of LIBRARY. Repeatable.")
@_capture("--functions", multiple=True, metavar="GLOB", help="Record only functions that match GLOB. Repeatable.")
@_capture(
    "--thunks",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Hook the addresses in FILE, which the program writes, instead of exports.",
)
@_capture("--redact", is_flag=True, help="Keep names, paths and private data out of the trace.")
@_capture(
    "--inject",
    multiple=True,
    metavar="FAULT",
    help="Let calls fail in the program: FUNCTION@N=STATUS [if CONDITION]. Repeatable, see above.",
)
@_limit("--duration", metavar="TIME", help="Stop after TIME: 90, 2.5s, 10m.")
@_limit("--max-size", metavar="SIZE", help="Stop when the trace has SIZE bytes: 500MB, 2GB.")
@_limit("--until-status", metavar="STATUS", help="Stop when a call returns STATUS: STATUS_DEVICE_REMOVED.")
@_limit("--after", metavar="TIME", help="Continue for TIME after that status.")
@_limit("--last", metavar="SIZE", help="Flight recorder: keep only the newest SIZE of calls.")
@_output(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Trace to write.  [default: PROGRAM.TIME.kmt]",
)
@_output("-f", "--force", is_flag=True, help="Overwrite existing output files.")
@_output(
    "--spool",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    metavar="FOLDER",
    help="Folder for the buffer that is shared with the process.  [default: /dev/shm]",
)
def command(
    program: tuple[str, ...],
    pid: tuple[int, ...],
    name: tuple[str, ...],
    wait: str | None,
    children: bool,
    host: str | None,
    module: tuple[str, ...],
    functions: tuple[str, ...],
    thunks: Path | None,
    redact: bool,
    inject: tuple[str, ...],
    output: Path | None,
    force: bool,
    spool: Path | None,
    **limit_values: str | None,
) -> int:
    """Record the calls of PROGRAM, or of a running process, until it ends.

    PROGRAM and its arguments follow after --. Ctrl-C ends the recording, and the process continues.

    With several processes, each has its own file, with the process id in the name.

    FAULT is FUNCTION@N=STATUS: call N of a function, counted from 1, is not made and returns STATUS.
    D3DKMTLock2@3+10=STATUS_NO_MEMORY is call 3 and every tenth call after it. Behind the status, `after` makes the
    call and replaces its status, `delay=20ms` makes it late, and out.NumBytesToTrim=4096 sets a field. At the end,
    `if in.NumAllocations > 1 and in.Flags.CreateShared` selects calls by fields of the argument structure.

    The exit status is that of PROGRAM, or 128 + the number of the signal that ended it. It is 2 if the recording failed
    or has no calls.
    """
    from tracekmt.cli.recording import ProgressLine, record_group, record_one
    from tracekmt.record.group import RecordingGroup
    from tracekmt.record.process.targets import await_process, find_process, open_device
    from tracekmt.record.session import Recording

    limits = _stop_conditions(**limit_values)
    if sum([bool(program), bool(pid or name), wait is not None]) != 1:
        raise UsageError("record requires either a program (-- PROGRAM ARG...) or a process (-p PID, -n NAME, -w NAME)")
    if output is None:
        stem = Path(program[0]).name if program else wait or (name[0] if name else f"process.{pid[0]}")
        output = Path(f"{stem}.{time.strftime('%Y%m%dT%H%M%S')}.kmt")
    progress_line = ProgressLine()

    def make(path: Path, watcher: ChildWatcher | None = None, on_child: OnChild | None = None) -> Recording:
        return Recording(
            path,
            modules=module,
            functions=functions,
            faults=inject,
            hand_over=thunks,
            force=force,
            redact=redact,
            limits=limits,
            spool=spool,
            host=host,
            children=watcher,
            on_child=on_child,
            on_progress=progress_line if watcher is None else lambda progress: None,
        )

    device = open_device(host)
    pids = [*pid, *(find_process(device, process_name) for process_name in name)]
    if wait is not None:
        echo(f"waiting for a process {wait} (Ctrl-C to cancel)", err=True)
        pids = [await_process(device, wait)]
    if children or len(pids) > 1:
        if host is not None or thunks is not None:
            raise UsageError("several processes cannot be recorded with --host or --thunks")
        return record_group(
            RecordingGroup(device, make, output, children=children), functions, program, pids, progress_line
        )
    return record_one(make(output), output, functions, program, pids)


def _stop_conditions(
    duration: str | None, max_size: str | None, last: str | None, until_status: str | None, after: str | None
) -> StopConditions:
    from tracekmt import ntstatus
    from tracekmt.record.limits import StopConditions
    from tracekmt.text.units import parse_duration, parse_size

    if after is not None and until_status is None:
        raise UsageError("--after requires --until-status")
    return StopConditions(
        duration=None if duration is None else parse_duration(duration),
        max_size=None if max_size is None else parse_size(max_size),
        last=None if last is None else parse_size(last),
        until_status=None if until_status is None else ntstatus.status(until_status),
        after=0.0 if after is None else parse_duration(after),
    )
