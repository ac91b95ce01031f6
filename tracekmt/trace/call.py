"""One recorded call."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from tracekmt import codec
from tracekmt.codec import Unreadable
from tracekmt.memory import Recorded
from tracekmt.ntstatus import Status
from tracekmt.spec.types import Call
from tracekmt.trace.events import Enter, Leave
from tracekmt.trace.objects import depends_on_objects

if TYPE_CHECKING:
    from tracekmt.trace.reader import Trace

Argument = dict[str, Any] | Unreadable | None


class TracedCall:
    """One recorded call.

    index counts calls from 0, thread is a small number by first appearance, times are nanoseconds from the first
    event. status, result, outputs and leave_ns are None for a call that never returned; status is so too for a function
    that gives no NTSTATUS, and result for one that does.
    """

    def __init__(self, trace: Trace, index: int, enter: Enter, leave: Leave | None) -> None:
        self._trace = trace
        self.index = index
        self.enter = enter
        self.leave = leave
        self.call: Call = trace.description(enter.call)
        self.name = self.call.name
        self.thread: int = trace.threads[enter.thread]
        self.status: Status | None = None
        self.result: int | None = None
        if leave is not None and self.call.returns == "NTSTATUS":
            self.status = Status(leave.result & 0xFFFFFFFF)
        elif leave is not None and self.call.returns == "BOOLEAN":
            self.result = leave.result & 0xFF
        self.enter_ns = enter.time - trace.start_time
        self.leave_ns = None if leave is None else leave.time - trace.start_time

    @property
    def returned(self) -> bool:
        """Whether the call came back before the recording ended."""
        return self.leave is not None

    @property
    def succeeded(self) -> bool:
        """Whether the call came back and did what it was asked."""
        return self.returned and (self.status is None or self.status.succeeded)

    @cached_property
    def inputs(self) -> Argument:
        """The argument as the call was entered with it; None for NULL."""
        return self.decode_inputs(self._kind_of)

    @cached_property
    def outputs(self) -> Argument:
        """The argument as the call left it."""
        if self.leave is None:
            return None
        return self.decode_outputs(self._kind_of)

    @property
    def caller(self) -> str | None:
        """Module and offset of the instruction behind the call; None where unknown."""
        return self._trace.place(self.enter.caller)

    def to_json(self) -> dict[str, Any]:
        """The call as a line of `dump --json`."""
        argument = self.call.argument
        return {
            "index": self.index,
            "call": self.name,
            "thread": self.thread,
            "caller": self.caller,
            "returned": self.returned,
            "status": self.status.name if self.status is not None else None,
            "code": self.status.code if self.status is not None else None,
            "result": self.result,
            "in": codec.to_json(argument, self.inputs),
            "out": codec.to_json(argument, self.outputs),
            "enter_ns": str(self.enter_ns),
            "leave_ns": str(self.leave_ns) if self.leave_ns is not None else None,
        }

    def decode_inputs(self, kind_of: codec.KindOf | None) -> Argument:
        """The same, with another idea of what handles lead to."""
        regions = Recorded(self.enter.regions)
        return codec.decode(self.call, self._trace.header.layout, regions, self.enter.arguments, None, kind_of)

    def decode_outputs(self, kind_of: codec.KindOf | None) -> Argument:
        """The same, with another idea of what handles lead to."""
        assert self.leave is not None
        before, after = Recorded(self.enter.regions), Recorded(self.leave.regions)
        return codec.decode(self.call, self._trace.header.layout, after, self.enter.arguments, before, kind_of)

    @property
    def _kind_of(self) -> codec.KindOf | None:
        return self._trace.objects.at(self.index) if depends_on_objects(self.call) else None
