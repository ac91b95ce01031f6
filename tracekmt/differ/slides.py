"""Distances between the places of the same memory in two runs.

The system places modules, heaps and stacks at random. A program that computes the size of a range of GPU addresses from
its own addresses hands on that distance.
"""

from __future__ import annotations

from tracekmt.differ.causes import as_number
from tracekmt.differ.columns import NO_BIRTH
from tracekmt.differ.history import History
from tracekmt.differ.keys import LEAST_DISTANCE
from tracekmt.differ.pairing import Pairing
from tracekmt.findings import Finding
from tracekmt.trace.reader import TracedCall


class Slides:
    """Distances between two runs."""

    def __init__(self, left: History, right: History, pairing: Pairing) -> None:
        bases = {module.name: module.base for module in right.trace.modules}
        distances = {bases[module.name] - module.base for module in left.trace.modules if module.name in bases}
        distances |= {
            right.objects.values[b] - left.objects.values[a]
            for a, b in enumerate(pairing.objects)
            if b and left.objects.chosen[a] and left.objects.births[a] != NO_BIRTH
        }
        self._distances = {abs(distance) for distance in distances if abs(distance) >= LEAST_DISTANCE}

    def explain(self, call: TracedCall, finding: Finding) -> bool:
        """Return True if a number of a call about addresses differs by such a distance."""
        first, second = as_number(finding.recorded), as_number(finding.replayed)
        if first is None or second is None or abs(second - first) not in self._distances:
            return False
        return any(bound.kind is not None and bound.kind.binding == "range" for bound in call.bound_inputs)
