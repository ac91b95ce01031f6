"""Checks of fences: signals that go backwards, and waits for values that no call signals."""

from __future__ import annotations

from collections.abc import Iterator

from tracekmt.checker.rule import Check, misuse, name_of
from tracekmt.findings import Finding
from tracekmt.objects.identity import Bindings, Identity
from tracekmt.objects.lifetimes import fence_owners
from tracekmt.trace.call import TracedCall

_CREATE = "D3DKMTCreateSynchronizationObject2"


class Fences(Check):
    """Finds signals below an earlier value, and waits that cannot end.

    The second rule is for fences that only the calls of the trace can signal. Those of queues, those that another
    process can open, and those that are older than the trace are left out.
    """

    def __init__(self) -> None:
        self._signalled: dict[Identity, int] = {}
        self._waits: list[tuple[TracedCall, str, Identity, int]] = []
        self._own: set[Identity] = set()

    def on_enter(self, call: TracedCall, bindings: Bindings) -> Iterator[Finding]:
        """Yield a finding for each signal below the current value, and remember waits."""
        is_signal, is_wait = "Signal" in call.name, "WaitFor" in call.name
        for path, fence, value in _fence_values(call, bindings) if is_signal or is_wait else ():
            if is_wait:
                self._waits.append((call, path, fence, value))
                continue
            current = self._signalled.get(fence, 0)
            if value < current and not _may_rewind(call):
                message = f"{path} signals {value}, after a signal of {current}"
                yield misuse(call, "fence goes backwards", message, path=path, on=name_of(fence))
            self._signalled[fence] = value if _may_rewind(call) else max(value, current)

    def on_leave(
        self, call: TracedCall, bindings: Bindings, created: list[Identity], destroyed: list[Identity]
    ) -> tuple[()]:
        """Remember initial values, and the fences that no other process can open."""
        if call.name != _CREATE:
            return ()
        for identity in created:
            self._signalled[identity] = call.number("Info.MonitoredFence.InitialFenceValue")
        if not call.number("Info.Flags.Shared"):
            self._own.update(created)
        return ()

    def at_end(self, bindings: Bindings, *, is_complete: bool) -> Iterator[Finding]:
        """Yield a finding for each wait that never returned, or that the GPU still waits for."""
        for call, path, fence, value in self._waits:
            signalled = self._signalled.get(fence, 0)
            is_open = not call.returned or "FromGpu" in call.name
            if is_open and fence in self._own and signalled < value:
                message = f"{path} waits for {value}, and no call signals more than {signalled}"
                yield misuse(call, "wait cannot end", message, path=path, on=name_of(fence))


def _may_rewind(call: TracedCall) -> bool:
    return call.spec.argument.has("Flags") and bool(call.number("Flags.AllowFenceRewind"))


def _fence_values(call: TracedCall, bindings: Bindings) -> Iterator[tuple[str, Identity, int]]:
    """Yield the fence values of a call, each with its path and its fence."""
    owners = fence_owners(bindings, call.bound_inputs)
    for bound in call.bound_inputs:
        if bound.path in owners and bound.field.direction == "in" and isinstance(bound.value, int):
            yield bound.path, owners[bound.path], bound.value
