"""The protocol of replay targets."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple, Protocol, runtime_checkable

from tracekmt.differ.outcome import EnteredCall, Outcome
from tracekmt.findings import Finding
from tracekmt.objects.identity import Bindings
from tracekmt.spec.types import Abi, Kind
from tracekmt.trace.call import TracedCall
from tracekmt.trace.events import Region
from tracekmt.trace.reader import Trace


def may_block(call: TracedCall) -> bool:
    """Return True if a call, with its recorded inputs, may wait for other calls."""
    return call.spec.may_block_when is not None and (
        not call.spec.may_block_when or call.satisfies(call.spec.may_block_when)
    )


class Transcript(NamedTuple):
    """Raw data of a call on a target.

    Attributes:
        arguments: Arguments of the call.
        before: Memory of the argument before the call.
        after: Memory of the argument after the call.
        result: Return value. None if the call did not return.
    """

    arguments: tuple[int, ...]
    before: list[Region]
    after: list[Region]
    result: int | None


@runtime_checkable
class Target(Protocol):
    """A target of a replay.

    Attributes:
        name: Name of the target in reports.
        abi: ABI of the arguments that the target receives.
        machine: Settings of an equal target, for the header of the outcome trace.
        real: True if a call can block, and if a call that does not return takes the target with it.
    """

    name: str
    abi: Abi
    machine: dict[str, Any]
    real: bool

    def begin(self, trace: Trace, bindings: Bindings) -> list[str]:
        """Bind the values that are known before the first call, such as LUIDs, and return notes for the report."""
        ...

    def waits(self, call: TracedCall) -> bool:
        """Return True if a call waits for other calls on this target. It is made when it returned in the recording."""
        ...

    def prepare(self, call: TracedCall, bindings: Bindings) -> Iterable[Finding]:
        """Create the inputs of a call that no call creates, and yield findings for inputs that differ."""
        ...

    def call(self, entered: EnteredCall) -> tuple[Outcome, Transcript] | None:
        """Make a call of the trace. A target whose call did not return must be restarted.

        Returns:
            The outcome and its raw data. None if the target does not make this call.

        Raises:
            UsageError: The target does not accept the inputs.
        """
        ...

    def notes(self) -> Iterable[str]:
        """Return notes for the report at the end of the replay."""
        ...

    def restart(self) -> None:
        """Restart the target without any objects."""
        ...

    def close(self) -> None:
        """Destroy all objects that the calls created."""
        ...

    def adopt(self, kind: Kind, handle: int, call_handles: dict[Kind, int]) -> int | None:
        """Return a handle for an object that no call of the trace creates, None if the target has none.

        Args:
            kind: Kind of the handle.
            handle: Recorded handle.
            call_handles: Handles of other kinds in the same call.
        """
        ...


@runtime_checkable
class PostingTarget(Target, Protocol):
    """A target that makes calls while the replay prepares the next ones."""

    def post(self, entered: EnteredCall) -> bool:
        """Begin a call, whose outcome `call` returns later. Return False if the target cannot begin it now."""
        ...
