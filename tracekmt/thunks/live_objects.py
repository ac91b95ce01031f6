"""Tracks the objects that calls to a library created, and the calls that destroy them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tracekmt.objects.identity import Identity
from tracekmt.objects.lifetimes import Lifetimes
from tracekmt.spec.types import Abi, CallSpec, Destroys, Kind, kind_of
from tracekmt.trace.call import TracedCall
from tracekmt.trace.events import Enter, Leave, Region


class LiveObjects:
    """The live objects of one process."""

    def __init__(self, abi: Abi) -> None:
        self._origin = _LiveOrigin(abi)
        self._lifetimes = Lifetimes()
        self._live: dict[Identity, None] = {}
        self._counts: Counter[Kind] = Counter()
        self._call_count = 0

    def on_return(
        self,
        spec: CallSpec,
        arguments: Sequence[int],
        result: int,
        before: Sequence[Region],
        after: Sequence[Region],
    ) -> None:
        """Handle a call that returned.

        Args:
            spec: Description of the function.
            arguments: Arguments of the call.
            result: Return value.
            before: Memory of the argument before the call.
            after: Memory of the argument after the call.
        """
        if not spec.creates and not spec.destroys:
            return
        self._call_count += 1
        enter = Enter(0, 0, 0, 0, 0, tuple(arguments), tuple(before), self._call_count)
        call = TracedCall(self._origin, self._call_count, spec, enter, Leave(1, 0, 0, result, tuple(after)))
        self._lifetimes.on_enter(call)
        created, destroyed = self._lifetimes.on_leave(call)
        self._live.update(dict.fromkeys(created))
        self._counts.update(identity.kind for identity in created)
        for identity in destroyed:
            if identity in self._live:
                del self._live[identity]
                self._counts[identity.kind] -= 1

    def count(self, kind: Kind) -> int:
        """Return the number of live objects of a kind."""
        return self._counts[kind]

    def destroying_calls(
        self, specs: Iterable[CallSpec], has: Callable[[str], bool]
    ) -> Iterator[tuple[CallSpec, dict[str, Any]]]:
        """Yield calls with their inputs that destroy all live objects, newest first.

        An object that was created by the call that created its owner is destroyed with the owner. Each call must be
        made before the next one is requested.

        Args:
            specs: Described calls.
            has: Returns True if a function can be called.
        """
        available = [spec for spec in specs if spec.destroys and has(spec.name)]
        for identity in reversed(list(self._live)):
            has_owner_of_same_call = any(owner.index == identity.index for owner in identity.within)
            if identity in self._live and identity.kind.binding == "handle" and not has_owner_of_same_call:
                destroying_call = _destroying_call(identity, available)
                if destroying_call is not None:
                    yield destroying_call


def _destroying_call(identity: Identity, specs: Sequence[CallSpec]) -> tuple[CallSpec, dict[str, Any]] | None:
    """Return a call that destroys an object. Of several functions the last described one is the newest version."""
    for spec in reversed(specs):
        for destroys in spec.destroys:
            if destroys.kind.space == identity.kind.space:
                return spec, _inputs(identity, spec, destroys)
    return None


def _inputs(identity: Identity, spec: CallSpec, destroys: Destroys) -> dict[str, Any]:
    """Return inputs with the object and its owners. Fields that must be null for the destruction are omitted."""
    null_fields = {condition.path for condition in destroys.when if condition.negate}
    inputs: dict[str, Any] = {}
    for field in spec.argument.fields():
        kind = kind_of(field.type)
        if field.direction != "out" and kind is not None and field.name not in null_fields:
            owner = _owner(identity, kind)
            inputs.update({field.name: owner.recorded} if owner is not None else {})
    name = destroys.path.removesuffix("[]")
    inputs[name] = [identity.recorded] if destroys.path != name else identity.recorded
    return inputs


def _owner(identity: Identity, kind: Kind) -> Identity | None:
    for owner in identity.within:
        match = owner if owner.kind.space == kind.space else _owner(owner, kind)
        if match is not None:
            return match
    return None


class _LiveOrigin:
    """Origin of calls that are made now; see `Origin`."""

    path = Path("the answer of the library")
    start_time = 0
    faults = ()

    def __init__(self, abi: Abi) -> None:
        self.abi: Abi = abi
        self.threads = {0: 0}

    def kinds_at(self, index: int) -> None:
        """Return None: the kinds of live handles are not tracked."""
        return

    def module_offset(self, address: int) -> None:
        """Return None: the modules are unknown."""
        return
