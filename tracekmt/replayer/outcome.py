"""The trace of what was sent to a target, and of what it answered."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tracekmt.differ.compare import Outcome
from tracekmt.replayer.targets import Sent, Target
from tracekmt.trace.call import TracedCall
from tracekmt.trace.events import Enter, Header, Leave, told_of
from tracekmt.trace.writer import Writer, now
from tracekmt.version import VERSION


class OutcomeTrace:
    """A full trace, with the target's identity in its header."""

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
        number, sequence = self._numbers[call.name], self._sequence
        begins, ends = call.enter_ns, call.leave_ns or call.enter_ns
        enter = Enter(
            sequence, call.enter.thread, number, begins, 0, tuple(sent.arguments), tuple(sent.before), call.index
        )
        self._writer.events([enter], flush=False)
        if sent.result is not None:
            leave = Leave(sequence + 1, sequence, ends, sent.result, tuple(sent.after))
            self._writer.events([leave], flush=False)
        self._sequence += 2

    def close(self) -> None:
        """Finish the file."""
        self._writer.end("replayed")
        self._writer.close()
