"""Compares what handles, addresses and other bound values refer to on two sides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from tracekmt.codec import json_form
from tracekmt.differ.columns import DEAD, FIRST, NO_BIRTH, NULL, UNKNOWN, is_same
from tracekmt.differ.history import History, is_asked_for
from tracekmt.differ.pairing import Pairing
from tracekmt.findings import Side
from tracekmt.spec.types import Kind
from tracekmt.trace.call import BoundValue, TracedCall

Numbers = Mapping[str, int]
"""Numbers of the objects that the values of one argument refer to, by path."""

NumbersOfPair = tuple[Numbers, Numbers]
Texts = tuple[str, str]
"""Values of both sides as text."""


class CallPair(NamedTuple):
    """A call on both sides.

    Attributes:
        left: Position of the call on the first side.
        right: Position of the call on the second side.
        call: The call on the first side.
        other: The call on the second side.
        inputs: Numbers of the objects in the inputs.
    """

    left: int
    right: int
    call: TracedCall
    other: TracedCall
    inputs: NumbersOfPair


@dataclass(frozen=True)
class References:
    """The objects of two traces.

    Attributes:
        left: The calls of the first trace.
        right: The calls of the second trace.
        pairing: Calls and objects that belong together.
        paths: Paths by number.
    """

    left: History
    right: History
    pairing: Pairing
    paths: list[str]

    def compare(
        self, pair: CallPair, numbers: NumbersOfPair, bound: BoundValue, kind: Kind, values: tuple[Any, Any]
    ) -> Iterator[tuple[Texts, str]]:
        """Yield the difference between two bound values, if there is one.

        Values that no recorded call explains are compared as null or not. Fence values depend on the progress of
        queues, and are not compared. Objects that exist on one side only have a finding where they are created.

        Args:
            pair: The calls.
            numbers: Numbers of the objects in their inputs or outputs.
            bound: The value on the first side.
            kind: Its kind.
            values: The values on both sides.

        Yields:
            The values as texts, and a message.
        """
        first, second = values
        if kind.binding == "fence" or kind.varies:
            return
        if bool(first) != bool(second):
            texts = ("live", "null") if first else ("null", "live")
            yield texts, f"{bound.path} is {texts[1]}"
            return
        a, b = (side.get(bound.path, UNKNOWN) for side in numbers)
        if UNKNOWN in (a, b) or NULL in (a, b):
            return
        if is_same(a, b, self.pairing.objects):
            if kind.binding == "range" and not self._is_same_address(pair, kind, a, b, first, second):
                yield self._addresses(pair, kind, a, b, first, second), f"{bound.path} is another address"
        elif not (self._is_gone(a, "a") and self._is_gone(b, "b")):
            texts = self._text("a", a, bound, first), self._text("b", b, bound, second)
            yield texts, f"{bound.path} is another {kind.name if kind.binding == 'per_machine' else 'object'}"

    def _is_same_address(self, pair: CallPair, kind: Kind, a: int, b: int, first: int, second: int) -> bool:
        """Return True if two addresses in the same range mean the same.

        The address of a new range is the one that the caller asked for on both sides, or on none.
        """
        objects = self.left.objects, self.right.objects
        if objects[0].births[a] == pair.left and objects[1].births[b] == pair.right:
            return is_asked_for(pair.call.bound_inputs, kind, first) == is_asked_for(
                pair.other.bound_inputs, kind, second
            )
        return first == second or first - objects[0].values[a] == second - objects[1].values[b]

    def _is_gone(self, number: int, side: Side) -> bool:
        """Return True if an object has no counterpart on the other side, or no longer exists."""
        counterparts = self.pairing.objects if side == "a" else self.pairing.left_objects
        return number == DEAD or not counterparts[number]

    def _addresses(self, pair: CallPair, kind: Kind, a: int, b: int, first: int, second: int) -> Texts:
        """Return two addresses as offsets. The address of a new range is an offset in the range that contains it."""
        if self.left.objects.births[a] == pair.left:
            a, b = _outer(pair.call, pair.inputs[0], kind, a), _outer(pair.other, pair.inputs[1], kind, b)
        offsets = first - self.left.objects.values[a], second - self.right.objects.values[b]
        return f"{self._name('a', a)} + {offsets[0]:#x}", f"{self._name('b', b)} + {offsets[1]:#x}"

    def _text(self, side: Side, number: int, bound: BoundValue, value: object) -> str:
        if bound.kind is not None and bound.kind.binding == "per_machine":
            return str(json_form(bound.type, value))
        return "invalid" if number == DEAD else self._name(side, number)

    def _name(self, side: Side, number: int) -> str:
        """Return an object in the form of findings: "#17.hResource", or "ambient" if it is older than the trace."""
        history = self.left if side == "a" else self.right
        birth, path = history.objects.births[number], self.paths[history.objects.paths[number]]
        return "ambient" if birth == NO_BIRTH else f"#{history.indexes[birth]}.{path}"


def _outer(call: TracedCall, numbers: Numbers, kind: Kind, default: int) -> int:
    """Return the range that a caller asked for an address in."""
    for bound in call.bound_inputs:
        if bound.kind is not None and bound.kind.space.name == kind.space.name and numbers[bound.path] >= FIRST:
            return numbers[bound.path]
    return default
