"""A check of locks: an allocation is unlocked as often as it was locked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from tracekmt.checker.rule import Check, misuse, name_of
from tracekmt.findings import Finding
from tracekmt.objects.identity import Bindings, Identity
from tracekmt.objects.lifetimes import iter_handles
from tracekmt.trace.call import TracedCall

_LOCKS, _UNLOCKS = ("D3DKMTLock", "D3DKMTLock2"), ("D3DKMTUnlock", "D3DKMTUnlock2")


class UnlockWithoutLock(Check):
    """Finds unlocks of allocations that are not locked. Allocations older than the trace may be locked already."""

    def __init__(self) -> None:
        self._locks: Counter[Identity] = Counter()

    def on_leave(
        self, call: TracedCall, bindings: Bindings, created: list[Identity], destroyed: list[Identity]
    ) -> Iterator[Finding]:
        """Count the locks, and yield a finding for each allocation that is unlocked too often."""
        if call.name in _LOCKS and call.succeeded:
            for _, identity in _allocations(call, bindings):
                self._locks[identity] += 1
        for path, identity in _allocations(call, bindings) if call.name in _UNLOCKS else ():
            if not self._locks[identity]:
                message = f"{path} is not locked, or was unlocked before"
                yield misuse(call, "unlock without lock", message, path=path, on=name_of(identity))
            elif call.succeeded:
                self._locks[identity] -= 1
        for identity in destroyed:
            self._locks.pop(identity, None)


def _allocations(call: TracedCall, bindings: Bindings) -> Iterator[tuple[str, Identity]]:
    """Yield the allocations of a call that were created in the trace, each with the path of its handle."""
    for bound, kind in iter_handles(call.bound_inputs):
        identity = bindings.find(kind, bound.value) if "llocation" in bound.pattern else None
        if identity is not None and identity.index is not None:
            yield bound.path, identity
