"""The trace of what was sent to a target, and of what it answered."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from pathlib import Path

from tracekmt.differ.compare import Outcome
from tracekmt.replayer.simulator_target import Target, Transcript
from tracekmt.trace.call import TracedCall
from tracekmt.trace.events import Enter, Header, Leave, header_fields
from tracekmt.trace.writer import Writer, now
from tracekmt.version import VERSION


class OutcomeTrace:
    """A full trace, with the target's identity in its header."""

    def __init__(self, path: Path, target: Target, source: Header, *, force: bool) -> None:
        header = Header(
            **header_fields(target.abi),
            created=now(),
            tool=f"tracekmt {VERSION}",
            settings={"replayed_on": target.name, "recorded_by": source.settings.get("recorded_by", "")},
            machine=target.machine,
        )
        self._writer = Writer(path, header, force=force)
        self._numbers: dict[str, int] = {}
        self._sequence = 0
        self._events: deque[tuple[TracedCall, bool]] = deque()
        self._answers: dict[int, tuple[Outcome, Transcript] | None] = {}
        self._under_way: dict[int, tuple[int, TracedCall, Transcript]] = {}

    def enters(self, call: TracedCall) -> None:
        """A call begins in the recording, and in this trace when it has been answered."""
        self._events.append((call, False))

    def leaves(self, call: TracedCall) -> None:
        """It returns there."""
        self._events.append((call, True))
        self._write()

    def answered(self, call: TracedCall, answer: tuple[Outcome, Transcript] | None) -> None:
        """What the target answered and was sent; None where the call was not made."""
        self._answers[call.index] = answer
        self._write()

    def _write(self) -> None:
        """Whatever can be written: events stand in the recording's order, and a call may be answered later."""
        while self._events and self._events[0][0].index in self._answers:
            call, leaves = self._events.popleft()
            answer = self._answers[call.index]
            if answer is not None:
                self._leave(call, answer[1]) if leaves else self._enter(call, *answer)
            if leaves:
                del self._answers[call.index]

    def _enter(self, call: TracedCall, outcome: Outcome, sent: Transcript) -> None:
        if call.name not in self._numbers:
            self._numbers[call.name] = len(self._numbers)
            self._writer.describe(self._numbers[call.name], replace(call.spec, argument=outcome.argument))
        self._under_way[call.index] = self._sequence, call, sent
        arguments, before = tuple(sent.arguments), tuple(sent.before)
        number, begins = self._numbers[call.name], call.enter_ns
        enter = Enter(self._sequence, call.enter.thread, number, begins, 0, arguments, before, call.index)
        self._writer.events([enter], flush=False)
        self._sequence += 1

    def _leave(self, call: TracedCall, sent: Transcript) -> None:
        entered, _, _ = self._under_way.pop(call.index)
        if sent.result is not None:
            ends = call.leave_ns or call.enter_ns
            leave = Leave(self._sequence, entered, ends, sent.result, tuple(sent.after))
            self._writer.events([leave], flush=False)
            self._sequence += 1

    def close(self) -> None:
        """Finish the file. What never returned in the recording may have done so here."""
        for call, leaves in list(self._events):
            if not leaves and call.index not in self._answers:
                self._answers[call.index] = None
        self._write()
        for _, call, sent in list(self._under_way.values()):
            self._leave(call, sent)
        self._writer.end("replayed")
        self._writer.close()
