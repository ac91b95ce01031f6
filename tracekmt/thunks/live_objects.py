"""What calls have made and nobody has ended yet, on the side that really has it; and the calls that end it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from tracekmt.objects.identity import Identity
from tracekmt.objects.lifetimes import Lifetimes
from tracekmt.spec.types import Abi, CallSpec, Destroys, Kind
from tracekmt.trace.call import TracedCall
from tracekmt.trace.events import Enter, Leave, Region


class LiveObjects:
    """The objects that live in one process, as the calls made there go by."""

    def __init__(self, abi: Abi) -> None:
        self._origin = _LiveOrigin(abi)
        self._lifetimes = Lifetimes()
        self._living: dict[Identity, None] = {}
        self._counts: Counter[Kind] = Counter()
        self._count = 0

    def made(
        self,
        call: CallSpec,
        arguments: Sequence[int],
        result: int,
        before: Sequence[Region],
        after: Sequence[Region],
    ) -> None:
        """A call was made and has come back."""
        if not call.creates and not call.destroys:
            return
        self._count += 1
        self._origin.call = call
        enter = Enter(0, 0, 0, 0, 0, tuple(arguments), tuple(before), self._count)
        told = TracedCall(self._origin, self._count, enter, Leave(1, 0, 0, result, tuple(after)))
        self._lifetimes.on_enter(told)
        born, dead = self._lifetimes.on_leave(told)
        self._living.update(dict.fromkeys(born))
        self._counts.update(identity.kind for identity in born)
        for identity in dead:
            if identity in self._living:
                del self._living[identity]
                self._counts[identity.kind] -= 1

    def count(self, kind: Kind) -> int:
        """How many objects of a kind live."""
        return self._counts[kind]

    def endings(
        self, calls: Iterable[CallSpec], has: Callable[[str], bool]
    ) -> Iterator[tuple[CallSpec, dict[str, Any]]]:
        """The calls, with their inputs, that end everything: the youngest first. What came with its owner goes with
        it. Each is to be made before the next is asked for."""
        known = [call for call in calls if call.destroys and has(call.name)]
        for identity in reversed(list(self._living)):
            together = any(owner.index == identity.index for owner in identity.within)
            if identity in self._living and identity.kind.binding == "handle" and not together:
                ending = _ending(identity, known)
                if ending is not None:
                    yield ending


def _ending(identity: Identity, calls: Sequence[CallSpec]) -> tuple[CallSpec, dict[str, Any]] | None:
    """A call that ends an object: of several the last described, which is the newest version."""
    for call in reversed(calls):
        for destroys in call.destroys:
            if destroys.kind.space == identity.kind.space:
                return call, _inputs(identity, call, destroys)
    return None


def _inputs(identity: Identity, call: CallSpec, destroys: Destroys) -> dict[str, Any]:
    """The object in its place, and its owners in theirs; what must not be set is not."""
    unset = {when.path for when in destroys.when if when.negate}
    inputs: dict[str, Any] = {}
    for field in call.argument.fields():
        kind = getattr(field.type, "kind", None)
        if field.direction != "out" and isinstance(kind, Kind) and field.name not in unset:
            owner = _owner(identity, kind)
            inputs.update({field.name: owner.recorded} if owner is not None else {})
    name = destroys.path.removesuffix("[]")
    inputs[name] = [identity.recorded] if destroys.path != name else identity.recorded
    return inputs


def _owner(identity: Identity, kind: Kind) -> Identity | None:
    for owner in identity.within:
        found = owner if owner.kind.space == kind.space else _owner(owner, kind)
        if found is not None:
            return found
    return None


class _LiveOrigin:
    """What a call needs to know of where it is from."""

    start_time = 0

    def __init__(self, abi: Abi) -> None:
        self.abi: Abi = abi
        self.threads = {0: 0}
        self.call: CallSpec | None = None

    def description(self, number: int) -> CallSpec:
        """The call that is being made."""
        assert self.call is not None
        return self.call

    def kinds_at(self, index: int) -> None:
        """What handles lead to is not known here."""
        return

    def place(self, address: int) -> None:
        """Nor is any module."""
        return
