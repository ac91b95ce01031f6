"""Writes the outcome trace of a replay: the calls that were sent to the target, and their outcomes."""

from __future__ import annotations

from collections import deque
from pathlib import Path

from tracekmt.calls import form_like
from tracekmt.differ.outcome import Outcome
from tracekmt.replayer.target import Target, Transcript
from tracekmt.trace.call import TracedCall
from tracekmt.trace.events import Enter, Header, Leave, header_fields
from tracekmt.trace.writer import Writer, now
from tracekmt.version import VERSION


class OutcomeTrace:
    """A complete trace with the target in its header.

    Events have the order of the recording. A call may be answered after later events of the recording, so events wait
    in a queue until their calls are answered.
    """

    def __init__(self, path: Path, target: Target, source: Header) -> None:
        header = Header(
            **header_fields(target.abi),
            created=now(),
            tool=f"tracekmt {VERSION}",
            settings={
                "replayed_on": target.name,
                "recorded_by": source.settings.get("recorded_by", ""),
                **{name: source.settings[name] for name in ("inject",) if name in source.settings},
            },
            machine=target.machine,
        )
        self._writer = Writer(path, header, force=True)
        self._spec_ids: dict[tuple[str, bool], int] = {}
        self._sequence = 0
        self._events: deque[tuple[TracedCall, bool]] = deque()
        self._answers: dict[int, tuple[Outcome, Transcript] | None] = {}
        self._under_way: dict[int, tuple[int, TracedCall, Transcript]] = {}

    def on_enter(self, call: TracedCall) -> None:
        """Queue the enter event of a call."""
        self._events.append((call, False))

    def on_leave(self, call: TracedCall) -> None:
        """Queue the leave event of a call, and write the events that are complete."""
        self._events.append((call, True))
        self._write()

    def on_answer(self, call: TracedCall, answer: tuple[Outcome, Transcript] | None) -> None:
        """Store the answer of the target to a call, None if the call was not sent."""
        self._answers[call.index] = answer
        self._write()

    def _write(self) -> None:
        """Write queued events up to the first call without an answer."""
        while self._events and self._events[0][0].index in self._answers:
            call, is_leave = self._events.popleft()
            answer = self._answers[call.index]
            if answer is not None:
                self._leave(call, answer[1]) if is_leave else self._enter(call, *answer)
            if is_leave:
                del self._answers[call.index]

    def _enter(self, call: TracedCall, outcome: Outcome, transcript: Transcript) -> None:
        spec_id = self._describe(call, outcome)
        self._under_way[call.index] = self._sequence, call, transcript
        arguments, before = tuple(transcript.arguments), tuple(transcript.before)
        enter = Enter(self._sequence, call.enter.thread, spec_id, call.enter_ns, 0, arguments, before, call.index)
        self._writer.events([enter], flush=False)
        self._sequence += 1

    def _describe(self, call: TracedCall, outcome: Outcome) -> int:
        """Return the id of the description that the memory of an outcome has.

        It is the current one, or that of the recording for an outcome that is taken from there.
        """
        current = form_like(call.spec)
        is_current = current is not None and current.argument is outcome.argument
        key = call.name, is_current
        if key not in self._spec_ids:
            self._spec_ids[key] = len(self._spec_ids)
            self._writer.describe(self._spec_ids[key], current if current is not None and is_current else call.spec)
        return self._spec_ids[key]

    def _leave(self, call: TracedCall, transcript: Transcript) -> None:
        enter_sequence, _, _ = self._under_way.pop(call.index)
        if transcript.result is not None:
            time = call.leave_ns or call.enter_ns
            leave = Leave(self._sequence, enter_sequence, time, transcript.result, tuple(transcript.after))
            self._writer.events([leave], flush=False)
            self._sequence += 1

    def close(self) -> None:
        """Write the remaining events and finish the file.

        Calls that never returned in the recording may have returned in the replay.
        """
        for call, is_leave in list(self._events):
            if not is_leave and call.index not in self._answers:
                self._answers[call.index] = None
        self._write()
        for _, call, transcript in list(self._under_way.values()):
            self._leave(call, transcript)
        self._writer.end("replayed")
        self._writer.close()
