"""Checks of fences: signals that go backwards, and waits for values that no call signals."""

from __future__ import annotations

from collections.abc import Iterator

from tracekmt.checker.rule import Check, misuse, name_of
from tracekmt.findings import Finding
from tracekmt.objects.identity import Bindings, Identity
from tracekmt.objects.lifetimes import fence_owners, iter_handles
from tracekmt.trace.call import TracedCall

_CREATE, _DESTROY = "D3DKMTCreateSynchronizationObject2", "D3DKMTDestroySynchronizationObject"
_WORK = ("D3DKMTSubmit", "D3DKMTRender", "D3DKMTPresent")
"""First letters of the functions that submit work to the GPU. The work may write to fences."""

CPU = 0
"""Source of the signals of the CPU. Those of the GPU have the handle of their context or queue."""


class Fences(Check):
    """Finds signals below an earlier one of the same source, and waits that cannot end.

    The second rule is for fences that only the calls of the trace can signal, in traces without work of the GPU. The
    fences of queues, those that another process can open, and those that are older than the trace are left out.
    """

    def __init__(self) -> None:
        self._signalled: dict[Identity, dict[int, int]] = {}
        self._waits: list[tuple[TracedCall, str, Identity, int]] = []
        self._own: set[Identity] = set()
        self._works = False

    def on_enter(self, call: TracedCall, bindings: Bindings) -> tuple[()]:
        """Remember waits that never return."""
        self._works |= call.name.startswith(_WORK)
        if "WaitFor" in call.name and not call.returned:
            self._waits += ((call, *wait) for wait in _fence_values(call, bindings))
        return ()

    def on_leave(
        self, call: TracedCall, bindings: Bindings, created: list[Identity], destroyed: list[Identity]
    ) -> Iterator[Finding]:
        """Yield a finding for each signal below the current value. Remember waits of the GPU, and fences."""
        if call.name == _CREATE:
            initial = call.number("Info.MonitoredFence.InitialFenceValue")
            self._signalled.update({identity: {CPU: initial} for identity in created})
            self._own.update(() if call.number("Info.Flags.Shared") else created)
        if call.name == _DESTROY:  # and its waits have ended
            self._own.difference_update(destroyed)
        if "WaitFor" in call.name and "FromGpu" in call.name and call.succeeded:
            self._waits += ((call, *wait) for wait in _fence_values(call, bindings))
        if "Signal" in call.name:
            yield from self._signal(call, bindings)

    def _signal(self, call: TracedCall, bindings: Bindings) -> Iterator[Finding]:
        source, may_rewind = _source(call), _may_rewind(call)
        for path, fence, value in _fence_values(call, bindings):
            values = self._signalled.setdefault(fence, {})
            # The GPU and the CPU signal at unknown times to each other.
            current = values.get(source, 0) if source == CPU and set(values) <= {CPU} else values.get(source)
            if current is not None and value < current and not may_rewind and _is_alone(values, source):
                message = f"{path} signals {value}, after a signal of {current}"
                yield misuse(call, "fence goes backwards", message, path=path, on=name_of(fence))
            if call.succeeded:
                values[source] = value if may_rewind else max(value, values.get(source, 0))

    def at_end(self, bindings: Bindings, *, is_complete: bool) -> Iterator[Finding]:
        """Yield a finding for each wait that never returned, or that the GPU still waits for."""
        for call, path, fence, value in self._waits if not self._works else ():
            signalled = max(self._signalled.get(fence, {}).values(), default=0)
            if fence in self._own and signalled < value:
                message = f"{path} waits for {value}, and no call signals more than {signalled}"
                yield misuse(call, "wait cannot end", message, path=path, on=name_of(fence))


def _is_alone(values: dict[int, int], source: int) -> bool:
    """Return True if no other source than the initial value has signalled the fence."""
    return set(values) <= {CPU, source} if source != CPU else set(values) <= {CPU}


def _source(call: TracedCall) -> int:
    """Return what signals a fence: the CPU, or a context or queue by its handle."""
    if "FromCpu" in call.name:
        return CPU
    handles = (bound.value for bound, kind in iter_handles(call.bound_inputs) if "sync" not in kind.name)
    return next((handle for handle in handles if isinstance(handle, int)), CPU)


def _may_rewind(call: TracedCall) -> bool:
    return call.spec.argument.has("Flags") and bool(call.number("Flags.AllowFenceRewind"))


def _fence_values(call: TracedCall, bindings: Bindings) -> Iterator[tuple[str, Identity, int]]:
    """Yield the fence values of a call, each with its path and its fence."""
    owners = fence_owners(bindings, call.bound_inputs)
    for bound in call.bound_inputs:
        if bound.path in owners and bound.field.direction == "in" and isinstance(bound.value, int):
            yield bound.path, owners[bound.path], bound.value
