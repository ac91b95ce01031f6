"""Replays a trace: sends its calls to a target and compares the outcomes.

Calls are sent in the order of their enter events, and compared at their leave events. A call that waits for other calls
on the target is sent at its leave event, when the condition that it waited for is met.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from tracekmt.codec.memory import Arena, MemoryFault
from tracekmt.differ.compare import Comparison
from tracekmt.differ.outcome import EnteredCall, Outcome
from tracekmt.edit.copy import refuse_output, replace_on_success
from tracekmt.edit.trim import DEVICE_REMOVED, closure
from tracekmt.errors import UsageError
from tracekmt.findings import Report
from tracekmt.plural import plural
from tracekmt.replayer.layouts import layout_notes
from tracekmt.replayer.lookahead import (
    Changes,
    Event,
    Lookahead,
    SentAhead,
    changes_of,
    depends_on,
    may_be_passed,
    signals,
)
from tracekmt.replayer.outcome_trace import OutcomeTrace
from tracekmt.replayer.select import ThunksOptions, select_target
from tracekmt.replayer.target import PostingTarget, Target, Transcript, may_block
from tracekmt.replayer.thunks_target import ReplayStopped
from tracekmt.spec.paths import structures
from tracekmt.spec.types import Bytes, CallSpec, Payload
from tracekmt.thunks.process import LibraryProcessDied
from tracekmt.trace.events import Region
from tracekmt.trace.reader import Trace, TracedCall

_DRIVER_MISMATCH = "its private data is for a different driver build"
_DEPENDS_ON_SKIPPED = "it depends on a call that was not sent"


def replay(
    path: str | os.PathLike[str],
    on: Any = "simulator",
    *,
    output: str | os.PathLike[str] | None = None,
    force: bool = False,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    on_plan: Callable[[Iterable[str]], None] = lambda lines: None,
    **settings: Any,
) -> Report:
    """Replay a trace on a target and compare the outcomes.

    Args:
        path: The trace.
        on: The target: "simulator" or a `Simulator`; "thunks" for the thunks of this system; "thunks:PATH" for a
            library that exports thunks.
        output: File for a trace of the calls that were sent and their outcomes.
        force: Overwrite `output`.
        on_progress: Receives the number of compared calls and the number of all calls.
        on_plan: Receives the lines of the replay plan, before a call is sent to real thunks.
        settings: For "simulator": profile, video_memory, system_memory, faults. For thunks: see `ThunksOptions`.

    Raises:
        UsageError: The target or a setting is invalid.
        TraceError: The trace cannot be read.
    """
    if output is not None:
        output = Path(output)
        refuse_output(Path(path), output, force=force)
    with Trace(Path(path)) as trace:
        target, options = select_target(on, trace, settings, on_plan)
        with closing(target), ExitStack() as files:
            report = new_report(trace, target)
            writer = None
            if output is not None:
                part = files.enter_context(replace_on_success(output))
                writer = files.enter_context(closing(OutcomeTrace(part, target, trace.header)))
            Replay(trace, target, options, report, writer, on_progress).run()
    return report


def new_report(trace: Trace, target: Target) -> Report:
    """Create the report of a replay that has not begun."""
    report = Report(names=(str(trace.path), target.name), total=len(trace))
    report.calls.lost = trace.lost
    report.notes += [trace.warning] if trace.warning else []
    return report


@dataclass
class Replay:
    """One replay of a trace, or of the calls that restore the live objects after a restart of the target.

    Attributes:
        trace: The trace.
        target: Receiver of the calls.
        options: Settings for thunks.
        report: The report so far.
        writer: Outcome trace, if any.
        on_progress: Receives the number of compared calls and the number of all calls.
        only: Indexes of the calls to send. None for all calls.
        under_way: Calls that were entered and have not returned in the recording, with their outcomes.
        blocking: Calls that may block, and are sent at their leave events.
        opaque: Reasons why differences of calls are not comparable, by index.
        skipped_waits: Number of waits that were not sent because they would never end.
        passed: Calls that were sent and have not returned in the recording, with what they change, by index. Calls
            behind them may be sent; see `lookahead`.
        ahead: Calls that were sent before their places, by index.
        events: The events of the replay, while it runs on a target that begins calls ahead.
    """

    trace: Trace
    target: Target
    options: ThunksOptions
    report: Report
    writer: OutcomeTrace | None = None
    on_progress: Callable[[int, int], None] = lambda done, total: None
    only: set[int] | None = None
    under_way: dict[int, tuple[EnteredCall, Outcome | None]] = field(default_factory=dict)
    blocking: dict[int, TracedCall] = field(default_factory=dict)
    opaque: dict[int, str] = field(default_factory=dict)
    skipped_waits: int = 0
    passed: dict[int, Changes] = field(default_factory=dict)
    ahead: dict[int, SentAhead] = field(default_factory=dict)
    events: Lookahead | None = None

    def run(self) -> None:
        """Send the calls and compare their outcomes."""
        self.begin()
        try:
            events: Iterator[Event] = self.trace.call_events()
            if isinstance(self.target, PostingTarget):
                self.events = Lookahead(events)
                events = iter(self.events)
            for call, is_leave in events:
                if self.only is not None and call.index not in self.only:
                    continue
                if is_leave:
                    self.on_leave(call.index)
                else:
                    self.on_enter(call)
        except ReplayStopped as stopped:
            self.report.stopped = str(stopped)
        self.finish()

    def begin(self) -> None:
        """Bind the values that are known before the first call."""
        self.comparison = Comparison(self.report)
        self.report.notes += [*layout_notes(self.trace), *self.target.begin(self.trace, self.comparison.bindings)]

    def finish(self) -> None:
        """Complete the report after the last call."""
        self.comparison.finish()
        self._forget_ahead()
        self.report.calls.in_flight = len(self.under_way) + len(self.blocking)
        self.report.notes += self.target.notes()
        if self.skipped_waits:
            waits = plural(self.skipped_waits, "wait")
            self.report.notes.append(f"not sent: {waits} for events that never happen in this replay")

    def on_enter(self, call: TracedCall) -> None:
        """Handle an enter event of the recording."""
        if self.writer is not None:
            self.writer.on_enter(call)
        if self.target.waits(call):
            self.blocking[call.index] = call
        else:
            self.send(call)

    def on_leave(self, index: int) -> None:
        """Handle a leave event of the recording."""
        if index in self.blocking:
            self.send(self.blocking.pop(index))
        self.passed.pop(index, None)
        entered, outcome = self.under_way.pop(index)
        if self.writer is not None:
            self.writer.on_leave(entered.call)
        finding_count = len(self.report.findings)
        if outcome is None:
            self.comparison.skip_call(entered)
            self.opaque[index] = _DEPENDS_ON_SKIPPED
        else:
            self.comparison.on_leave(entered, outcome)
        if len(self.report.findings) > finding_count:
            self.mark_opaque(entered.call, finding_count)
        self.on_progress(self.report.calls.compared, self.report.total)
        if outcome is not None and self.target.real and not outcome.returned:
            self.resume_after(entered.call, outcome.reason)
        elif outcome is not None and self.target.real and _lost_device(entered.call, outcome):
            self.resume_after(entered.call, "the device is lost")

    def send(self, call: TracedCall) -> None:
        """Make a call on the target."""
        try:
            sent = self.ahead.pop(call.index, None)
            entered, findings, _ = self._enter(call) if sent is None else sent
            self.report.findings += findings
            # The fence it waits on will never be signalled in this replay, so skip the call.
            skip = self.target.real and entered.cause is not None and may_block(call) and _uses_fences(call)
            self.skipped_waits += skip
            answer = None if skip else self._answer(entered)
        except LibraryProcessDied as died:
            raise ReplayStopped(f"before call {call.index}: {self.target.name} {died}") from None
        except UsageError as error:
            name = self.target.name
            raise UsageError(f"{self.trace.path}: cannot send call {call.index} to {name}: {error}") from None
        self.under_way[call.index] = entered, None
        if answer is None:
            self.report.calls.skipped += 1
            self.report.not_compared["not sent"][call.name] += 1
            if self.writer is not None:
                self.writer.on_answer(call, None)
            return
        outcome, transcript = answer
        if self.writer is not None:
            is_foreign = call.injection is not None and call.abi != self.target.abi
            self.writer.on_answer(call, None if is_foreign else (outcome, transcript))
        self.under_way[call.index] = entered, outcome
        if self.target.real and not outcome.returned and not call.returned:
            self.report.notes.append(f"call {call.index} did not return on either side: {outcome.reason}")
            self.resume_after(call, outcome.reason)

    def _answer(self, entered: EnteredCall) -> tuple[Outcome, Transcript] | None:
        """Make a call on the target, unless the recorder answered it. Its faults are part of the recording."""
        injection = entered.call.injection
        if injection is None or injection.kind == "delayed":
            if self.events is not None and may_be_passed(entered.call.spec):
                self.passed.setdefault(entered.call.index, changes_of(entered))
                if self._post(entered):
                    self._send_ahead(self.events)
            return self.target.call(entered)
        if injection.kind == "answered":
            return injected_answer(entered, injection.text)
        answer = self.target.call(entered)
        if answer is None:
            return None
        outcome, transcript = answer
        assert entered.call.leave is not None
        outcome = replace(outcome, status=entered.call.status, taken=None, injected=(injection.text,))
        return outcome, transcript._replace(result=entered.call.leave.result)

    def _enter(self, call: TracedCall) -> SentAhead:
        """Create and translate the inputs of a call."""
        ambient_handles = self.report.calls.ambient_handles
        findings = list(self.target.prepare(call, self.comparison.bindings))
        entered = self.comparison.on_enter(call, self.target.adopt)
        return SentAhead(entered, findings, self.report.calls.ambient_handles - ambient_handles)

    def _post(self, entered: EnteredCall) -> bool:
        # The type of a protocol is checked once in `run`, because that is slow.
        return cast("PostingTarget", self.target).post(entered)

    def _send_ahead(self, events: Lookahead) -> None:
        """Send the calls whose inputs do not depend on the calls that the target makes now."""
        for call, is_leave in events.coming():
            index = call.index
            if self.only is not None and index not in self.only:
                continue
            if is_leave:
                if index not in self.passed:
                    return
                continue
            if index not in self.ahead:
                if not call.returned or call.injection is not None or self.target.waits(call):
                    return
                if depends_on(call, self.passed.values()):
                    return
                try:
                    self.ahead[index] = self._enter(call)
                except (LibraryProcessDied, UsageError):
                    return  # the call reports it at its place, if it is reached
            entered = self.ahead[index].entered
            if not self._post(entered) or not may_be_passed(entered.call.spec):
                return
            self.passed[index] = changes_of(entered)

    def _forget_ahead(self) -> None:
        """Forget the calls that were sent ahead, because their places are not reached."""
        for sent in self.ahead.values():
            self.report.calls.ambient_handles -= sent.ambient_handles
        self.ahead.clear()
        self.passed.clear()

    def resume_after(self, call: TracedCall, reason: str | None) -> None:
        """Restart a target that was lost at a call, and create its live objects again.

        Raises:
            ReplayStopped: The options do not allow it, or the objects could not be created.
        """
        if not self.options.keep_going:
            raise ReplayStopped(f"at call {call.index}: {reason} (--keep-going continues after it)")
        live_objects = list(self.comparison.bindings.live_objects())
        creators = {
            identity.index for identity in live_objects if identity.index is not None and identity.live is not None
        }
        creators |= set(self.signals(call.index))
        needed = (
            {index for index in closure(self.trace, creators, call.index) if index < call.index} if creators else set()
        )
        self._forget_ahead()
        self.target.restart()
        restoration = Replay(self.trace, self.target, self.options, Report(names=self.report.names), only=needed)
        restoration.run()
        if restoration.report.stopped is not None:
            raise ReplayStopped(
                f"after call {call.index}, during the creation of its live objects: {restoration.report.stopped}"
            )
        self.comparison.rebind(restoration.comparison.bindings, (entered for entered, _ in self.under_way.values()))

    def signals(self, end: int) -> Iterator[int]:
        """Yield the calls before the index `end` that signalled a fence. Live fences have the values of these calls."""
        signalling = {spec_id for spec_id, spec in self.trace.specs.items() if signals(spec)}
        for index, spec_id in self.trace.spec_ids():
            if index >= end:
                return
            if spec_id in signalling and self.trace[index].succeeded:
                yield index

    def mark_opaque(self, call: TracedCall, start: int) -> None:
        """Make findings opaque that follow from a skipped call or from private data of a different driver build.

        Args:
            call: The call of the findings.
            start: Position of its first finding.
        """
        findings = self.report.findings
        new_findings = findings[start:]
        if self.options.foreign and any(finding.cause is None for finding in new_findings) and _has_private_data(call):
            self.opaque[call.index] = _DRIVER_MISMATCH
        for position, finding in enumerate(new_findings, start):
            reason = self.opaque.get(call.index if finding.cause is None else finding.cause)
            if reason is not None:
                message = f"{finding.message}; {reason}" if finding.message else reason
                findings[position] = replace(finding, kind="opaque", message=message)


def injected_answer(entered: EnteredCall, fault: str) -> tuple[Outcome, Transcript]:
    """Return the recorded outcome of a call that the recorder answered, with the handles of the target."""
    call = entered.call
    assert call.leave is not None
    outcome = Outcome(
        call.status,
        call.spec.argument,
        None,
        call.index,
        injected=(fault,),
        unchanged=True,
        bound_outputs={bound.path: bound for bound in call.bound_outputs},
    )
    before, after = (_with_live_handles(entered, regions) for regions in (call.enter.regions, call.leave.regions))
    return outcome, Transcript(call.enter.arguments, before, after, call.leave.result)


def _with_live_handles(entered: EnteredCall, regions: Sequence[Region]) -> list[Region]:
    """Return recorded memory with the inputs of the target, as far as they have a place in it."""
    arena = Arena.holding(entered.call.abi, regions)
    if arena is None:
        return list(regions)
    for address, data in entered.patches() or ():
        with suppress(MemoryFault):
            arena.write(address, data)
    return arena.regions()


def _uses_fences(call: TracedCall) -> bool:
    return any(bound.field.fence_handle is not None for bound in call.bound_inputs)


def _lost_device(call: TracedCall, outcome: Outcome) -> bool:
    """Return True if the device was lost in the replay only. Every later call on it would fail."""
    return outcome.status in DEVICE_REMOVED and call.status not in DEVICE_REMOVED


def _has_private_data(call: TracedCall) -> bool:
    """Return True if the inputs of a call contain private driver data."""
    return _takes_private_data(call.spec) and call.inputs is not None


def _takes_private_data(spec: CallSpec) -> bool:
    return any(
        isinstance(field.type, Payload) or (isinstance(field.type, Bytes) and field.type.opaque)
        for struct in structures(spec.argument)
        for field in struct.fields()
    )
