"""Differences between runs of one side, which a comparison of the sides has to expect."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from tracekmt.findings import Finding, Report, Side

LEAST_CALLS = 2
"""Number of calls in which a field has to vary until it is noise, and in half of the function's calls."""

_ONE_SIDED = ("missing", "extra")
_FIELD_KINDS = ("input", "field", "data")


class Noise:
    """Calls and fields that vary between runs.

    Attributes:
        runs: Files of the other runs of each side.
    """

    def __init__(self) -> None:
        self.runs: dict[Side, list[Path]] = {"a": [], "b": []}
        self._calls: dict[Side, set[tuple[int, str, str | None]]] = {"a": set(), "b": set()}
        self._fields: set[tuple[str, str, str | None]] = set()
        self._functions: set[str] = set()

    def add(self, side: Side, path: Path, report: Report) -> None:
        """Add a comparison of one side with another run of it.

        Args:
            side: The side.
            path: File of the other run.
            report: The comparison. Its first trace is the side.
        """
        self.runs[side].append(path)
        varying: Counter[tuple[str, str, str | None]] = Counter()
        for finding in report.findings:
            if not finding.counts:
                continue
            if finding.kind in _ONE_SIDED:
                self._functions.add(finding.call)
            if finding.index is not None:
                calls = self._calls[side]
                calls.update((index, _group(finding), finding.pattern) for index in (finding.index, *finding.repeats))
            if finding.kind in _FIELD_KINDS:
                varying[finding.call, finding.kind, finding.pattern] += finding.count
        for field, count in varying.items():
            if count >= max(LEAST_CALLS, report.functions[field[0]] / 2):
                self._fields.add(field)

    def explain(self, finding: Finding) -> Literal["call", "field"] | None:
        """Return whether the call or the field of a finding varies between runs, None if neither does."""
        if (finding.call, finding.kind, finding.pattern) in self._fields:
            return "field"
        for calls, index in zip(self._calls.values(), (finding.index, finding.other_index), strict=True):
            if index is not None and (index, _group(finding), finding.pattern) in calls:
                return "call"
        return "call" if finding.kind in _ONE_SIDED and finding.call in self._functions else None


def _group(finding: Finding) -> str:
    return "one side" if finding.kind in _ONE_SIDED else finding.kind


def distance(report: Report) -> tuple[int, int]:
    """Return how much two runs differ: in calls with a cause, and in all calls."""
    causes = (finding for finding in report.findings if finding.counts and finding.cause is None)
    return sum(finding.count for finding in causes), report.differing


def note(noise: Noise, findings: Iterable[Finding], names: tuple[str, str]) -> list[str]:
    """Return remarks about the noise: which runs belong to which side, and what was left out."""
    kinds: Counter[str | None] = Counter()
    for finding in findings:
        kinds[noise.explain(finding)] += finding.count
    lines = [
        f"runs of {name}: {', '.join(map(str, noise.runs[side]))}"
        for side, name in zip(noise.runs, names, strict=True)
        if noise.runs[side]
    ]
    total = sum(kinds.values())
    parts = [f"{kinds['field']} in fields that vary", f"{kinds['call']} in calls that vary"]
    if kinds[None]:
        parts.append(f"{kinds[None]} that follow from these")
    if total:
        lines.append(f"not counted, because it varies between runs: {total} ({', '.join(parts)})")
    return lines
