"""The command `tracekmt top`."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tracekmt.cli.help import GroupedCommand, option_under
from tracekmt.cli.options import PROGRAM_SETTINGS, json_option
from tracekmt.cli.output import echo
from tracekmt.errors import UsageError

if TYPE_CHECKING:
    from tracekmt.activity.current import Snapshot
    from tracekmt.record.agent.hooks import Hooks
    from tracekmt.record.limits import Progress
    from tracekmt.record.session import Recording
    from tracekmt.trace.events import Enter, Leave, Lost

    Begin = Callable[[Callable[[Snapshot], None], Callable[[], bool]], Recording]

_target = option_under("Target")
_capture = option_under("Capture")


@click.command("top", cls=GroupedCommand, short_help="Watch the calls of a program.", context_settings=PROGRAM_SETTINGS)
@click.argument("program", nargs=-1, type=click.UNPROCESSED)
@_target("-p", "--pid", type=int, metavar="PID", help="Attach to a running process.")
@_target("-n", "--name", metavar="NAME", help="Attach to the running process NAME.")
@_capture("--module", multiple=True, metavar="LIBRARY", help="Hook the exports of LIBRARY. Repeatable.")
@_capture("--functions", multiple=True, metavar="GLOB", help="Watch only functions that match GLOB. Repeatable.")
@click.option("--interval", default="1s", show_default=True, metavar="TIME", help="Time between updates.")
@json_option
def command(
    program: tuple[str, ...],
    pid: int | None,
    name: str | None,
    module: tuple[str, ...],
    functions: tuple[str, ...],
    interval: str,
    as_json: bool,
) -> int:
    """Show the calls of PROGRAM, or of a running process, while it runs: rates, failures, memory and objects.

    q or Ctrl-C ends the view, and the process continues. Memory and objects are those created since the start.

    With --json, or if the output is not a terminal, each update is a line of JSON. The view requires the library
    Textual: pip install 'tracekmt[top]'. It discards the output of PROGRAM.

    The exit status is that of PROGRAM, as for `tracekmt record`.
    """
    from tracekmt.cli.console import warn
    from tracekmt.cli.recording import explain_no_calls
    from tracekmt.record.process.targets import find_process, open_device
    from tracekmt.text.units import parse_duration

    seconds = parse_duration(interval)
    if seconds <= 0:
        raise UsageError(f"invalid --interval: {interval} (expected more than 0)")
    if sum([bool(program), pid is not None, name is not None]) != 1:
        raise UsageError("top requires either a program (-- PROGRAM ARG...) or a process (-p PID, -n NAME)")
    if name is not None:
        pid = find_process(open_device(None), name)
    has_view = not as_json and sys.stdout.isatty()
    with tempfile.TemporaryDirectory(prefix="tracekmt-") as folder:
        begin = partial(_begin, Path(folder) / "none.kmt", module, functions, program, pid, seconds)
        progress = _view(begin, program, pid) if has_view else _print_lines(begin)
    if not progress.calls and not progress.lost:
        warn(explain_no_calls(progress, functions))
    return progress.exit_status or 0


def _begin(
    trace: Path,
    modules: Sequence[str],
    functions: Sequence[str],
    program: Sequence[str],
    pid: int | None,
    seconds: float,
    show: Callable[[Snapshot], None],
    is_leaving: Callable[[], bool],
) -> Recording:
    """Start a program or attach to a process.

    Args:
        trace: Path in a folder for temporary files.
        modules: Libraries to hook, see `Recording`.
        functions: Patterns of the functions to hook.
        program: The program to start, with its arguments. Empty: the process is running.
        pid: Id of the running process.
        seconds: Time between two snapshots.
        show: Receives the snapshots, the last one at the end of the recording.
        is_leaving: Returns True when the remaining events do not count.
    """
    from tracekmt.activity.current import CurrentActivity
    from tracekmt.record.session import Recording

    activity = CurrentActivity()
    shown = 0.0

    def on_progress(progress: Progress) -> None:
        nonlocal shown
        elapsed = progress.elapsed
        if progress.ended is not None or elapsed - shown >= seconds:
            shown = elapsed
            show(activity.snapshot(elapsed, progress.lost, progress.ended))

    def observe(hooks: Hooks, events: Sequence[Enter | Leave | Lost]) -> None:
        if not is_leaving():
            activity.on_events(hooks.specs, hooks.abi, events)

    recording = Recording(
        trace,
        modules=modules,
        functions=functions,
        on_progress=on_progress,
        observer=observe,
    )
    if pid is None:
        recording.spawn(program)
    else:
        recording.attach(pid)
    return recording


def _print_lines(begin: Begin) -> Progress:
    has_reader = True

    def show(snapshot: Snapshot) -> None:
        nonlocal has_reader
        try:
            echo(json.dumps(snapshot.to_json()))
        except BrokenPipeError:
            has_reader = False

    def is_leaving() -> bool:
        return not has_reader

    return begin(show, is_leaving).run(until=is_leaving)


def _view(begin: Begin, program: Sequence[str], pid: int | None) -> Progress:
    try:
        from tracekmt.top.view import TopView
    except ImportError:
        raise UsageError("the view requires Textual: pip install 'tracekmt[top]' (or use --json)") from None

    view = TopView(f"process {pid}" if pid is not None else program[0], lambda: recording.run(until=view.is_stopping))
    with _discarded_output() if program else nullcontext():
        recording = begin(view.publish, view.is_stopping)
    try:
        view.run()
    finally:
        view.finish()
    if view.error is not None:
        raise view.error
    return recording.progress


@contextmanager
def _discarded_output() -> Iterator[None]:
    """Let processes that start now write to nowhere."""
    kept = {number: os.dup(number) for number in (1, 2)}
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        for number in kept:
            os.dup2(nowhere, number)
        yield
    finally:
        for number, copy in kept.items():
            os.dup2(copy, number)
            os.close(copy)
        os.close(nowhere)
