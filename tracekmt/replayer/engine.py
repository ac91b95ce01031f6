"""The replay: calls go to the target in the order in which they were entered, and are compared where they returned.

On a target where a call really waits for others, one that may wait is sent where it returned: by then what it waited
for has happened.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tracekmt.differ.compare import Comparison, Entered, Outcome
from tracekmt.edit.trim import DEVICE_GONE, closure
from tracekmt.errors import UsageError
from tracekmt.findings import Report
from tracekmt.replayer.outcome_trace import OutcomeTrace
from tracekmt.replayer.select import Options, select_target
from tracekmt.replayer.simulator_target import Target
from tracekmt.replayer.thunks_target import ReplayStopped
from tracekmt.spec.paths import structures
from tracekmt.spec.types import Bytes, CallSpec, Payload
from tracekmt.thunks.library import LibraryProcessDied
from tracekmt.trace.reader import Trace, TracedCall

_FOREIGN = "the data in it is for another build of the driver"
_NOT_SENT = "what it needs was made by a call that was not sent"


def replay(
    path: str | os.PathLike[str],
    on: Any = "simulator",
    *,
    output: str | os.PathLike[str] | None = None,
    force: bool = False,
    on_progress: Callable[[int, int], None] = lambda done, calls: None,
    on_plan: Callable[[Iterable[str]], None] = lambda lines: None,
    **settings: Any,
) -> Report:
    """Replay the trace at `path` on a target: "simulator", or a `Simulator`; "thunks", the real ones of this system, or
    "thunks:PATH", a library that exports them.

    settings: for a simulator that is made here profile, video_memory, system_memory, faults; for thunks those of
    `Options`. output: a new trace of what was sent and answered. on_progress gets the calls done and their number.
    on_plan gets lines that say what is going to be done, before real thunks are touched.
    """
    if output is not None:
        output = Path(output)
        if output.exists() and Path(path).exists() and output.samefile(path):
            raise UsageError(f"{output}: is the trace itself; give the outcome another name")
    with Trace(Path(path)) as trace:
        target, options = select_target(on, trace, settings, on_plan)
        with closing(target):
            report = Report(names=(str(path), target.name))
            report.calls.lost = trace.lost
            report.notes += [trace.warning] if trace.warning else []
            writer = OutcomeTrace(Path(output), target, trace.header, force=force) if output else None
            try:
                _Replay(trace, target, options, report, writer, on_progress).run()
            finally:
                if writer is not None:
                    writer.close()
    return report


@dataclass
class _Replay:
    """One replay, or a part of one that brings a new target to where the last one was."""

    trace: Trace
    target: Target
    options: Options
    report: Report
    writer: OutcomeTrace | None = None
    on_progress: Callable[[int, int], None] = lambda done, calls: None
    only: set[int] | None = None
    under_way: dict[int, tuple[Entered, Outcome | None]] = field(default_factory=dict)
    waiting: dict[int, TracedCall] = field(default_factory=dict)
    opaque: dict[int, str] = field(default_factory=dict)
    in_vain: int = 0

    def run(self) -> None:
        """Send every call and compare what came of it."""
        self.comparison = Comparison(self.report)
        self.report.notes += self.target.begin(self.trace, self.comparison.bindings)
        for index, left in self.trace.timeline():
            if self.only is not None and index not in self.only:
                continue
            try:
                self.leave(index) if left else self.enter(self.trace[index])
            except ReplayStopped as stopped:
                self.report.stopped = str(stopped)
                break
        self.report.calls.in_flight = len(self.under_way) + len(self.waiting)
        self.report.notes += self.target.notes()
        if self.in_vain:
            self.report.notes.append(f"not sent: {self.in_vain} calls that would wait for what cannot happen here")

    def enter(self, call: TracedCall) -> None:
        """A call of the recording begins."""
        if self.writer is not None:
            self.writer.enters(call)
        if self.target.real and may_wait(call):
            self.waiting[call.index] = call
        else:
            self.send(call)

    def leave(self, index: int) -> None:
        """A call of the recording returns."""
        if index in self.waiting:
            self.send(self.waiting.pop(index))
        entered, outcome = self.under_way.pop(index)
        if self.writer is not None:
            self.writer.leaves(entered.call)
        before = len(self.report.findings)
        if outcome is None:
            self.comparison.skip_call(entered)
            self.opaque[index] = _NOT_SENT
        else:
            self.comparison.on_leave(entered, outcome)
        self.mark_opaque(entered.call, before)
        self.on_progress(self.report.calls.compared, len(self.trace))
        if outcome is not None and self.target.real and not outcome.returned:
            self.go_on(entered.call, outcome.reason)
        elif outcome is not None and self.target.real and _lost(entered.call, outcome):
            self.go_on(entered.call, "the device is lost")

    def send(self, call: TracedCall) -> None:
        """Make a call on the target."""
        try:
            self.report.findings += self.target.prepare(call, self.comparison.bindings)
            entered = self.comparison.on_enter(call, self.target.adopt)
            # What it would wait for is known never to happen.
            in_vain = self.target.real and entered.cause is not None and may_wait(call) and _for_fences(call)
            self.in_vain += in_vain
            answer = None if in_vain else self.target.call(entered)
        except LibraryProcessDied as gone:
            raise ReplayStopped(f"before call {call.index}: {self.target.name} {gone}") from None
        except UsageError as error:
            name = self.target.name
            raise UsageError(f"{self.trace.path}: call {call.index} cannot be sent to the {name}: {error}") from None
        self.under_way[call.index] = entered, None
        if answer is None:
            self.report.calls.skipped += 1
            if self.writer is not None:
                self.writer.answered(call, None)
            return
        outcome, sent = answer
        if self.writer is not None:
            self.writer.answered(call, (outcome, sent))
        self.under_way[call.index] = entered, outcome
        if self.target.real and not outcome.returned and not call.returned:
            self.report.notes.append(f"call {call.index}, which never returned, does not here: {outcome.reason}")
            self.go_on(call, outcome.reason)

    def go_on(self, call: TracedCall, why: str | None) -> None:
        """The target is gone at a call. Begin anew behind it, with what lived then, if that is asked for."""
        if not self.options.keep_going:
            raise ReplayStopped(f"at call {call.index}: {why}; --keep-going goes on behind it")
        living = list(self.comparison.bindings.living())
        made_by = {each.index for each in living if each.index is not None and each.live is not None}
        made_by |= set(self.signals(call.index))
        needed = {each for each in closure(self.trace, made_by, call.index) if each < call.index} if made_by else set()
        self.target.restart()
        again = _Replay(self.trace, self.target, self.options, Report(names=self.report.names), only=needed)
        again.run()
        if again.report.stopped is not None:
            raise ReplayStopped(f"behind call {call.index}, while what lived was made anew: {again.report.stopped}")
        self.comparison.rebind(again.comparison.bindings, (entered for entered, _ in self.under_way.values()))

    def signals(self, last: int) -> Iterator[int]:
        """The calls up to one that signalled a fence: the values of those that live are what they made them."""
        signalling = {number for number, call in self.trace.described.items() if _signals(call)}
        for index, number in self.trace.functions():
            if index >= last:
                return
            if number in signalling and self.trace[index].succeeded:
                yield index

    def mark_opaque(self, call: TracedCall, since: int) -> None:
        """Findings that say nothing of the target: of what was not sent, and of private data that is another's."""
        findings = self.report.findings
        if self.options.foreign and any(each.cause is None for each in findings[since:]) and _has_private(call):
            self.opaque[call.index] = _FOREIGN
        for place, finding in enumerate(findings[since:], since):
            why = self.opaque.get(call.index if finding.cause is None else finding.cause)
            if why is not None:
                told = f"{finding.message}; {why}" if finding.message else why
                findings[place] = replace(finding, kind="opaque", message=told)


def may_wait(call: TracedCall) -> bool:
    """Whether a call may wait for others, as it was made."""
    return call.spec.may_block_when is not None and (
        not call.spec.may_block_when or call.satisfies(call.spec.may_block_when)
    )


def _signals(call: CallSpec) -> bool:
    """Whether a call is given values for fences, and waits for none."""
    fields = (field for struct in structures(call.argument) for field in struct.fields())
    return call.may_block_when is None and any(
        field.fence_handle is not None and field.direction == "in" for field in fields
    )


def _for_fences(call: TracedCall) -> bool:
    return any(each.field.fence_handle is not None for each in call.bound_inputs)


def _lost(call: TracedCall, outcome: Outcome) -> bool:
    """Whether a device is gone that was not in the recording: whatever is made of it would only say so again."""
    return outcome.status in DEVICE_GONE and call.status not in DEVICE_GONE


def _has_private(call: TracedCall) -> bool:
    """Whether a call is given data that belongs to a driver."""
    return _driver_data(call.spec) and call.inputs is not None


def _driver_data(call: CallSpec) -> bool:
    return any(
        isinstance(field.type, Payload) or (isinstance(field.type, Bytes) and field.type.opaque)
        for struct in structures(call.argument)
        for field in struct.fields()
    )
