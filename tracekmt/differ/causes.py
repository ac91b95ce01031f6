"""Which difference caused which: a difference spreads through objects, ranges of addresses, fences and numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tracekmt.differ.columns import NO_BIRTH
from tracekmt.differ.history import History
from tracekmt.differ.pairing import Pairing
from tracekmt.findings import Finding, Side

SMALL = 256
"""Smallest number that is followed. Smaller ones occur for too many reasons."""


@dataclass(frozen=True)
class Root:
    """The call whose difference caused others."""

    side: Side
    index: int


class Causes:
    """Roots of the differences found so far."""

    def __init__(self, histories: Mapping[Side, History], pairing: Pairing) -> None:
        self._histories, self._pairing = histories, pairing
        self._roots: dict[Side, dict[int, Root]] = {"a": {}, "b": {}}
        self._absent: dict[Side, dict[int, Root]] = {"a": {}, "b": {}}
        self._affected: dict[Side, dict[int, Root]] = {"a": {}, "b": {}}
        self._numbers: dict[tuple[str, str], tuple[tuple[str, str | None], Root]] = {}

    def set_root(self, side: Side, position: int, root: Root, *, is_absent: bool = False) -> None:
        """Note that a call differs, and why.

        Args:
            side: Side of the call.
            position: Its position.
            root: The cause.
            is_absent: The objects that the call creates do not exist on the other side.
        """
        self._roots[side].setdefault(position, root)
        if is_absent:
            self._absent[side].setdefault(position, root)

    def root_of(self, side: Side, position: int) -> Root | None:
        """Return why a call differs, None if no difference was found so far."""
        return self._roots[side].get(position)

    def affect(self, side: Side, objects: Iterable[int], root: Root) -> None:
        """Note that a difference decides when some objects are destroyed, or when their fences have their values."""
        other_side: Side = "b" if side == "a" else "a"
        counterparts = self._pairing.objects if side == "a" else self._pairing.left_objects
        for number in objects:
            self._affected[side].setdefault(number, root)
            if counterparts[number]:
                self._affected[other_side].setdefault(counterparts[number], root)

    def from_objects(self, side: Side, position: int, *, absent_only: bool = False) -> Root | None:
        """Return the root of the newest input object that a difference affects.

        Args:
            side: Side of the call.
            position: Its position.
            absent_only: Only objects that do not exist on the other side count.
        """
        history, roots = self._histories[side], (self._absent if absent_only else self._roots)[side]
        newest, root = NO_BIRTH, None
        for number in history.inputs[position]:
            birth = history.objects.births[number]
            if birth > newest and birth in roots:
                newest, root = birth, roots[birth]
            elif root is None:
                root = self._affected[side].get(number)
        return root

    def of_pair(self, left: int, right: int) -> Root | None:
        """Return the root of the inputs of a pair of calls."""
        return self.from_objects("a", left) or self.from_objects("b", right)

    def of_number(self, finding: Finding) -> Root | None:
        """Return the root of the first difference between the same two numbers, in another field."""
        pair = _numbers(finding)
        field, root = self._numbers.get(pair, (None, None)) if pair is not None else (None, None)
        return None if field == (finding.call, finding.pattern) else root

    def add_number(self, finding: Finding, root: Root) -> None:
        """Note where two different numbers were first seen."""
        pair = _numbers(finding)
        if pair is not None:
            self._numbers.setdefault(pair, ((finding.call, finding.pattern), root))


def _numbers(finding: Finding) -> tuple[str, str] | None:
    """Return the two numbers of a finding about a field, if they are large enough to have one origin."""
    if finding.kind not in ("input", "field") or finding.recorded is None or finding.replayed is None:
        return None
    numbers = as_number(finding.recorded), as_number(finding.replayed)
    is_large = all(number is not None and abs(number) >= SMALL for number in numbers)
    return (finding.recorded, finding.replayed) if is_large else None


def as_number(text: str | None) -> int | None:
    """Return the number in the text of a finding."""
    try:
        return int(text or "", 0)
    except ValueError:
        return None
