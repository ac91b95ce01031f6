"""The command `tracekmt run`."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

from tracekmt.cli.help import GroupedCommand, option_under
from tracekmt.cli.options import PROGRAM_SETTINGS, simulator_options, simulator_settings
from tracekmt.errors import UsageError

if TYPE_CHECKING:
    from tracekmt.record.process.children import ChildWatcher, OnChild
    from tracekmt.record.session import Recording
    from tracekmt.run.answerer import Answerer
    from tracekmt.simulator import Simulator

KEPT_SIZE = 1 << 20
"""Bytes of the newest calls that are kept for the summary, without a trace to write."""

_target = option_under("Target")
_simulator = option_under("Simulator")
_output = option_under("Output")


@click.command(
    "run",
    cls=GroupedCommand,
    short_help="Run a program on the simulator.",
    context_settings=PROGRAM_SETTINGS,
)
@click.argument("program", nargs=-1, required=True, type=click.UNPROCESSED)
@_target("--children", is_flag=True, help="Run child processes on the same machine, too.")
@_target("--module", multiple=True, metavar="LIBRARY", help="Answer the exports of LIBRARY. Repeatable.")
@_simulator(
    "--like",
    type=click.Path(path_type=Path),
    metavar="TRACE",
    help="Simulate the machine of TRACE, and answer as it did what only a real machine knows.",
)
@simulator_options
@_output("-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Trace to write.")
@_output("-f", "--force", is_flag=True, help="Overwrite existing output files.")
def command(
    program: tuple[str, ...],
    children: bool,
    module: tuple[str, ...],
    like: Path | None,
    profile: str | None,
    video_memory: str | None,
    system_memory: str | None,
    faults: tuple[str, ...],
    output: Path | None,
    force: bool,
) -> int:
    """Run PROGRAM with a simulator instead of the graphics kernel.

    PROGRAM and its arguments follow after --. It needs the library with the thunks, but no GPU. The simulator answers
    every thunk that is described. All other functions of the library stay as they are.

    Contents of allocations and values of fences are real memory, which all processes of the run share. A call that
    waits for a fence or a keyed mutex returns when another thread or process ends the wait. The simulator executes no
    commands of the GPU. It needs 64-bit Linux.

    The exit status is that of PROGRAM, or 128 + the number of the signal that ended it. It is 2 if the run failed.
    """
    from tracekmt.cli.recording import ProgressLine, record_group, record_one
    from tracekmt.record.group import RecordingGroup
    from tracekmt.record.limits import StopConditions
    from tracekmt.record.process.targets import open_device
    from tracekmt.record.session import Recording
    from tracekmt.run.answerer import Answerer
    from tracekmt.run.simulated_machine import SimulatedMachine

    if sys.platform != "linux":
        raise UsageError(
            f"programs run on the simulator on Linux only, not on {sys.platform}; "
            "a Python program can do so itself: tracekmt.recording(FILE, simulator=tracekmt.Simulator())"
        )
    settings = simulator_settings(profile, video_memory, system_memory, faults)
    machine = SimulatedMachine(_simulator_like(like, settings))
    answerers: list[Answerer] = []
    with ExitStack() as stack:
        stack.callback(machine.close)
        label = None if output else Path(program[0]).name
        limits = StopConditions(last=None if output else KEPT_SIZE)
        if output is None:
            output = Path(stack.enter_context(TemporaryDirectory(prefix="tracekmt-"))) / f"{Path(program[0]).name}.kmt"

        def make(path: Path, watcher: ChildWatcher | None = None, on_child: OnChild | None = None) -> Recording:
            answerers.append(Answerer(machine))
            return Recording(
                path,
                modules=module,
                force=force,
                limits=limits,
                children=watcher,
                on_child=on_child,
                on_progress=progress_line if watcher is None else lambda progress: None,
                answerer=answerers[-1],
            )

        progress_line = ProgressLine()
        if children:
            group = RecordingGroup(open_device(None), make, output, children=True)
            status = record_group(group, (), program, [], progress_line)
        else:
            status = record_one(make(output), output, (), program, [], label)
        for answerer in answerers:
            if answerer.error is not None:
                raise answerer.error
        return status


def _simulator_like(like: Path | None, settings: dict[str, Any]) -> Simulator:
    """Return a simulator with the settings, and with the machine and the answers of a trace."""
    from tracekmt.replayer.simulated_machine import simulator_for
    from tracekmt.run.recorded_answers import RecordedAnswers
    from tracekmt.simulator import Simulator
    from tracekmt.trace.reader import Trace

    if like is None:
        return Simulator(**{name: value for name, value in settings.items() if value is not None})
    with Trace(like) as trace:
        simulator = simulator_for(trace, **settings)
        simulator.machine.answer_query = RecordedAnswers(trace).answer
    return simulator
