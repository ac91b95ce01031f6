"""Kinds of the objects behind handles at one point of a trace, for calls whose form depends on them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

from tracekmt import codec
from tracekmt.codec import BoundLocation, FieldValue
from tracekmt.errors import Error
from tracekmt.spec.paths import structures
from tracekmt.spec.types import CallSpec, Creates, Kind

_KIND_BITS = 16
_KIND_MASK = (1 << _KIND_BITS) - 1
_END = 1 << 128  # behind every place


@lru_cache(maxsize=4096)
def depends_on_objects(spec: CallSpec) -> bool:
    """Return True if the kinds of input objects select union arms of the argument."""
    conditions = (field.when for struct in structures(spec.argument) for field in struct.fields())
    return any(condition is not None and condition.kind is not None for condition in conditions)


def ambiguous_kinds(specs: Iterable[CallSpec]) -> set[Kind | None]:
    """Return the kinds that stay ambiguous because a more specific kind exists.

    For example, the specific kind of an object that was opened from a shared handle is unknown.
    """
    return {creates.kind.base for spec in specs for creates in spec.creates}


def creates_handles(spec: CallSpec) -> bool:
    """Return True if a function can create objects with handles."""
    return any(creates.kind.binding == "handle" for creates in spec.creates)


def created_handles(
    created: Iterable[Creates], outputs: Iterable[FieldValue | BoundLocation], ambiguous: set[Kind | None]
) -> Iterator[tuple[int, Kind | None]]:
    """Yield the handles that a successful call created, with their kinds. An ambiguous kind is None.

    Args:
        created: What the call creates with its inputs.
        outputs: Values of the outputs, at least those with a kind.
        ambiguous: Kinds that stay ambiguous.
    """
    kinds = {
        creates.path: None if creates.kind in ambiguous else creates.kind
        for creates in created
        if creates.kind.binding == "handle"
    }
    for bound in outputs if kinds else ():
        if bound.pattern in kinds and isinstance(bound.value, int):
            yield bound.value, kinds[bound.pattern]


def handles_of_values(
    spec: CallSpec, inputs: Any, outputs: Any, ambiguous: set[Kind | None]
) -> Iterator[tuple[int, Kind | None]]:
    """Yield the handles that a successful call created, with their kinds, from its decoded inputs and outputs."""
    created = [
        creates
        for creates in spec.creates
        if isinstance(inputs, dict)
        and all(codec.condition_holds(condition, spec.argument, inputs) for condition in creates.when)
    ]
    yield from created_handles(created, codec.iter_values(spec.argument, outputs), ambiguous)


class HandleKinds:
    """Kinds of the objects behind handles at each point of a trace. It is read as far as it was asked for.

    A place is a number that grows with the events of the trace.

    Args:
        created: Place of the leave event, handle and kind of every created object, in order. The kind is None where it
            is ambiguous.
    """

    def __init__(self, created: Iterable[tuple[int, int, Kind | None]]) -> None:
        self._created = iter(created)
        self._read_to = -1
        self._is_reading = False
        self._error: Error | None = None
        self._kinds: list[Kind | None] = []
        self._numbers: dict[Kind | None, int] = {}
        # Place and number of the kind in one number. Programs create millions of handles, and few change their kind.
        self._first: dict[int, int] = {}
        self._later: dict[int, list[int]] = {}

    def at(self, place: int) -> codec.KindOf:
        """Return the kinds of handles at an event. The kind of an object never seen created is None."""
        limit = place << _KIND_BITS

        def kind_of(handle: int) -> Kind | None:
            # The kinds of handles may also select the form of the call that is being read. Those before it are known.
            if self._read_to < place and not self._is_reading:
                self._read(place)
            entries = (*self._later.get(handle, ())[::-1], self._first.get(handle, limit))
            entry = next((entry for entry in entries if entry < limit), None)
            return None if entry is None else self._kinds[entry & _KIND_MASK]

        return kind_of

    def _read(self, place: int) -> None:
        """Read the creations up to a place, and the first one behind it.

        Raises:
            TraceError: A call cannot be read.
        """
        if self._error is not None:
            raise self._error
        self._is_reading = True
        try:
            for created_at, handle, kind in self._created:
                self._add(created_at, handle, kind)
                self._read_to = created_at
                if created_at >= place:
                    return
        except Error as error:
            self._error = error
            raise
        finally:
            self._is_reading = False
        self._read_to = _END

    def _add(self, place: int, handle: int, kind: Kind | None) -> None:
        number = self._numbers.setdefault(kind, len(self._kinds))
        if number == len(self._kinds):
            self._kinds.append(kind)
        entry = place << _KIND_BITS | number
        last = self._later[handle][-1] if handle in self._later else self._first.setdefault(handle, entry)
        if last & _KIND_MASK != number:
            self._later.setdefault(handle, []).append(entry)
