"""The command `tracekmt replay`."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

from tracekmt.cli.help import GroupedCommand, option_under
from tracekmt.cli.options import (
    ReportOptions,
    compare_and_report,
    report_all,
    report_options,
    simulator_options,
    simulator_settings,
)
from tracekmt.cli.output import echo
from tracekmt.errors import UsageError

if TYPE_CHECKING:
    from tracekmt.findings import Report

_THUNKS_SETTINGS = ("adapter", "keep_going", "foreign_driver", "allow", "max_allocations", "max_video_memory")

_target = option_under("Target")
_simulator = option_under("Simulator")
_thunks = option_under("Thunks")
_output = option_under("Output")


@click.command("replay", cls=GroupedCommand, short_help="Replay a trace on a target and compare the outcomes.")
@click.argument("traces", metavar="TRACE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@_simulator("--together", is_flag=True, help="Replay the traces as processes of one machine.")
@_target(
    "--on",
    "target",
    default="simulator",
    metavar="TARGET",
    show_default=True,
    help="simulator, thunks (those of this system) or thunks:LIBRARY.",
)
@simulator_options
@_thunks("--adapter", metavar="HIGH:LOW", help="LUID of the adapter to use (see `tracekmt doctor`).")
@_thunks("--timeout", metavar="TIME", help="Time limit of a call.  [default: 10s]")
@_thunks("--keep-going", is_flag=True, help="Continue after a crash or a hang, in a new process.")
@_thunks(
    "--foreign-driver",
    is_flag=True,
    help="Replay even though the trace was recorded on a different driver build.",
)
@_thunks(
    "--allow",
    multiple=True,
    metavar="GLOB",
    help="Send functions that match GLOB in spite of side effects. Repeatable.",
)
@_thunks(
    "--max-allocations",
    type=click.IntRange(min=1),
    metavar="N",
    help="Stop before more than N allocations are live.",
)
@_thunks("--max-video-memory", metavar="SIZE", help="Stop before more video memory is used.")
@report_options("text", "json")
@_output(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="OUTCOME.kmt",
    help="Write a trace of the calls that were sent, and their outcomes.",
)
@_output("-f", "--force", is_flag=True, help="Overwrite existing output files.")
def command(
    traces: tuple[Path, ...],
    together: bool,
    target: str,
    profile: str | None,
    video_memory: str | None,
    system_memory: str | None,
    faults: tuple[str, ...],
    timeout: str | None,
    output: Path | None,
    force: bool,
    **other_values: Any,
) -> int:
    """Replay the calls of TRACE and report where outcomes differ from the recording.

    TRACE may be a folder with traces. The simulator imitates the machine that the trace tells of. The options
    override it.

    On thunks, the calls reach the real kernel and driver. The replay prints its plan first. It does not send functions
    with side effects on the machine.
    """
    from tracekmt.cli.console import progress_bar
    from tracekmt.printable import printable
    from tracekmt.replayer.engine import replay
    from tracekmt.replayer.together import replay_together, traces_in
    from tracekmt.text.units import parse_duration

    thunks_settings = {name: other_values.pop(name) for name in _THUNKS_SETTINGS}
    settings = simulator_settings(profile, video_memory, system_memory, faults)
    options = ReportOptions(**other_values, force=force)
    paths = traces_in(traces)
    with progress_bar("replaying") as on_progress:
        if together:
            if target != "simulator" or output is not None:
                raise UsageError("--together is for the simulator, without --output")
            return report_all(replay_together(paths, on_progress=on_progress, **settings), options)

        def replay_one(path: Path, outcome: Path | None) -> Report:
            return replay(
                path,
                target,
                output=outcome,
                force=force,
                on_progress=on_progress,
                on_plan=lambda lines: echo("\n".join(map(printable, lines)), err=True),
                timeout=None if timeout is None else parse_duration(timeout),
                **thunks_settings,
                **settings,
            )

        if len(paths) > 1:
            if output is not None:
                raise UsageError("--output is for one trace")
            return report_all([replay_one(path, None) for path in paths], options)
        with ExitStack() as stack:
            outcome = output
            if output is None and options.html is not None:
                # The page shows the calls of both sides.
                outcome = Path(stack.enter_context(TemporaryDirectory(prefix="tracekmt-"))) / "outcome.kmt"
            sides = (paths[0],) if outcome is None else (paths[0], outcome)
            return compare_and_report(lambda: replay_one(paths[0], outcome), sides, options)
