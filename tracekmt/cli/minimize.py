"""The command `tracekmt minimize`."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tracekmt.cli.help import GroupedCommand, option_under
from tracekmt.cli.options import force_option, output_option, simulator_options, simulator_settings
from tracekmt.cli.output import echo, replace_line
from tracekmt.errors import UsageError
from tracekmt.plural import plural

if TYPE_CHECKING:
    from tracekmt.minimize.goal import Goal

_LINE_SECONDS, _PLAIN_SECONDS = 0.2, 10.0

_goal = option_under("What must stay")


@click.command("minimize", cls=GroupedCommand, short_help="Reduce a trace to the smallest one that shows a difference.")
@click.argument("trace", type=click.Path(path_type=Path))
@_goal(
    "--on",
    "target",
    default="simulator",
    metavar="TARGET",
    show_default=True,
    help="Target whose replay shows a finding: simulator, thunks or thunks:LIBRARY.",
)
@_goal("--against", metavar="TARGET", help="Target whose replay does not show the finding.")
@_goal("--finding", type=int, metavar="INDEX", help="The finding of call INDEX.  [default: the first cause]")
@_goal("--until", metavar="COMMAND", help="Status 0 of COMMAND instead of a finding. {} is the path of a trace.")
@simulator_options
@output_option
@force_option
@click.option(
    "--reproducer", type=click.Path(path_type=Path), metavar="FILE", help="C program to write, and to try with gcc."
)
def command(
    trace: Path,
    target: str,
    against: str | None,
    finding: int | None,
    until: str | None,
    profile: str | None,
    video_memory: str | None,
    system_memory: str | None,
    faults: tuple[str, ...],
    output: Path,
    force: bool,
    reproducer: Path | None,
) -> int:
    """Write the smallest trace that still shows a difference of TRACE.

    A finding of a replay must stay, by default the first one that no other caused. Calls are removed with the calls
    that depend on them, and only while the finding stays. Then elements, buffers, numbers and flags become fewer and
    smaller, and threads one.

    Every candidate is replayed. Real thunks make each in a process with limits. Ctrl-C writes the smallest trace so
    far.
    """
    from tracekmt.edit.copy import refuse_output
    from tracekmt.minimize.goal import CommandGoal, FindingGoal, Target
    from tracekmt.minimize.minimize import minimize
    from tracekmt.record.interrupt import interrupt_as_ctrl_c

    for path in (output, reproducer):
        if path is not None:
            refuse_output(trace, path, force=force)
    settings = simulator_settings(profile, video_memory, system_memory, faults)
    is_simulator = target == "simulator"
    replayed = Target(target, settings if is_simulator else {})
    goal: Goal
    if until is not None:
        if against is not None or finding is not None:
            raise UsageError("--until has no finding: remove --against and --finding")
        goal = CommandGoal(trace, until)
    else:
        goal = FindingGoal(trace, replayed, Target(against) if against is not None else None, finding)
    echo(f"what must stay: {goal}", err=True)
    with interrupt_as_ctrl_c():
        result = minimize(trace, output, goal, force=force, on_progress=_ProgressLine())
    if sys.stderr.isatty():
        replace_line()
    tries = plural(result.tries, "try", "tries")
    stopped = ", stopped" if result.interrupted else ""
    echo(
        f"{output}: {plural(result.calls, 'call')} of {result.calls_before:,}, "
        f"{result.size:,} bytes of {result.size_before:,} ({tries}{stopped})"
    )
    if result.keeps_values:
        echo("tracekmt: the values stay as recorded: the trace does not show it when it is written again", err=True)
    if reproducer is not None:
        _write_reproducer(output, reproducer, force=force, **_reproducer_target(target, settings))
    return 0


def _reproducer_target(target: str, settings: dict[str, Any]) -> dict[str, Any]:
    library = target.partition(":")[2]
    return {"library": Path(library)} if library else {"settings": settings}


def _write_reproducer(trace: Path, source: Path, *, force: bool, **target: Any) -> None:
    from tracekmt.convert import convert
    from tracekmt.minimize.reproducer import try_reproducer

    # Functions with side effects on the machine are for the simulator only.
    convert(trace, source, "c", allow=[] if "library" in target else ["*"], force=force)
    echo(f"{source}: {try_reproducer(trace, source, **target)}")


class _ProgressLine:
    """Prints the smallest trace so far: one live line on a terminal, otherwise a line every _PLAIN_SECONDS."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def __call__(self, tries: int, calls: int, size: int) -> None:
        is_terminal = sys.stderr.isatty()
        if time.monotonic() - self._last < (_LINE_SECONDS if is_terminal else _PLAIN_SECONDS):
            return
        self._last = time.monotonic()
        line = f"{tries:,} tries, {calls:,} calls and {size:,} bytes left"
        if is_terminal:
            replace_line(line)
        else:
            echo(line, err=True)
