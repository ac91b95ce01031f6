"""The replay: calls go to the target in the order in which they were entered, and are compared where they returned."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from tracekmt.calls.kinds import ADAPTER_LUID
from tracekmt.differ.compare import Comparison, Entered, Outcome
from tracekmt.errors import UsageError
from tracekmt.replayer.targets import Sent, SimulatorTarget, Target, luids_on, simulator_for
from tracekmt.report.findings import Report
from tracekmt.simulator import Simulator
from tracekmt.trace.events import Enter, Header, Leave, told_of
from tracekmt.trace.reader import Trace, TracedCall
from tracekmt.trace.writer import Writer, now
from tracekmt.version import VERSION


def replay(
    path: str | os.PathLike[str],
    on: Any = "simulator",
    *,
    output: str | os.PathLike[str] | None = None,
    force: bool = False,
    on_progress: Callable[[int, int], None] = lambda done, calls: None,
    **settings: Any,
) -> Report:
    """Replay the trace at `path` on a target: "simulator", or a `Simulator`.

    settings: for a simulator that is made here: profile, video_memory, system_memory, faults. output: a new trace of
    what was sent and answered. on_progress gets the calls done and their number.
    """
    if output is not None:
        output = Path(output)
        if output.exists() and Path(path).exists() and output.samefile(path):
            raise UsageError(f"{output}: is the trace itself; give the outcome another name")
    with Trace(Path(path)) as trace:
        target = _target(on, trace, settings)
        report = Report(names=(str(path), target.name))
        report.calls.lost = trace.lost
        report.notes += [trace.warning] if trace.warning else []
        writer = _Outcome(Path(output), target, force=force) if output else None
        try:
            _run(trace, target, report, writer, on_progress)
        finally:
            if writer is not None:
                writer.close()
    return report


def _target(on: Any, trace: Trace, settings: dict[str, Any]) -> Target:
    if isinstance(on, Simulator):
        if any(value is not None for value in settings.values()):
            raise UsageError("a simulator that is given keeps its own settings; leave out " + ", ".join(settings))
        return SimulatorTarget(on, trace.layout)
    if callable(getattr(on, "adopt", None)):  # what is a target already
        target: Target = on
        return target
    if on == "simulator":
        return SimulatorTarget(simulator_for(trace, **settings), trace.layout)
    raise UsageError(f"{on} is no target; this version replays on: simulator")


def _run(
    trace: Trace,
    target: Target,
    report: Report,
    writer: _Outcome | None,
    on_progress: Callable[[int, int], None],
) -> None:
    comparison = Comparison(report)
    if isinstance(target, SimulatorTarget):
        for recorded, live in luids_on(trace, target.simulator):
            comparison.bindings.learn(ADAPTER_LUID, _luid(recorded), _luid(live))
            report.notes.append(f"adapter {recorded} of the trace is adapter {live} of the simulator")
    under_way: dict[int, tuple[Entered, Outcome]] = {}
    for index, left in trace.timeline():
        if left:
            if index in under_way:
                comparison.leave(*under_way.pop(index))
            on_progress(report.calls.compared, len(trace))
            continue
        entered = comparison.enter(trace[index], target.adopt)
        try:
            answer = target.call(entered)
        except UsageError as error:
            raise UsageError(f"{trace.path}: call {index} cannot be sent to the {target.name}: {error}") from None
        if answer is None:
            report.calls.skipped += 1
            continue
        outcome, sent = answer
        if writer is not None:
            writer.add(entered.call, outcome, sent)
        under_way[index] = entered, outcome
    report.calls.in_flight = len(under_way)
    report.notes += [f"never injected: {what}" for what in target.waiting]


def _luid(parts: tuple[int, int]) -> dict[str, int]:
    return {"LowPart": parts[0], "HighPart": parts[1]}


class _Outcome:
    """The trace of what was sent and answered."""

    def __init__(self, path: Path, target: Target, *, force: bool) -> None:
        header = Header(
            **told_of(target.abi),
            created=now(),
            tool=f"tracekmt {VERSION}",
            settings={"replayed_on": target.name},
            machine=target.machine,
        )
        self._writer = Writer(path, header, force=force)
        self._numbers: dict[str, int] = {}
        self._sequence = 0

    def add(self, call: TracedCall, outcome: Outcome, sent: Sent) -> None:
        """Append a call as the target saw it, at its recorded times."""
        if call.name not in self._numbers:
            self._numbers[call.name] = len(self._numbers)
            self._writer.describe(self._numbers[call.name], replace(call.call, argument=outcome.argument))
        arguments, before, after = sent
        number, sequence = self._numbers[call.name], self._sequence
        enter = Enter(sequence, call.enter.thread, number, call.enter_ns, 0, arguments, tuple(before), call.index)
        leave = Leave(
            sequence + 1,
            sequence,
            call.leave_ns or call.enter_ns,
            int(outcome.status or outcome.result or 0),
            tuple(after),
        )
        self._writer.events([enter, leave] if outcome.returned else [enter], flush=False)
        self._sequence += 2

    def close(self) -> None:
        self._writer.end("replayed")
        self._writer.close()
