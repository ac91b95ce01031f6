"""Collects findings, and folds those that say the same of many calls into one."""

from __future__ import annotations

import re
from array import array
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import replace

from tracekmt.differ.causes import Root, as_number
from tracekmt.findings import Finding

MAX_CONSEQUENCES = 10_000
"""Number of findings with a cause, above which equal ones with the same cause are folded too."""

MAX_OFFSETS = 8
"""Largest number of ranges of bytes in a message."""

MAX_EQUAL = 10_000
"""Number of equal findings of a replay about calls that are not compared. Later ones are added to the last of these."""

_INDEX = re.compile(r"#\d+")
_UNFOLDED = ("missing", "extra", "moved")


class Findings:
    """Findings of one comparison in their order."""

    def __init__(self) -> None:
        self._findings: list[Finding] = []
        self._places: dict[Hashable, int] = {}
        self._repeats: dict[int, array[int]] = defaultdict(lambda: array("Q"))
        self._opaque: dict[tuple[str, str, str], _OpaqueField] = {}
        self._consequences = 0

    def add(self, finding: Finding) -> int:
        """Add a finding. Return the index of the first call with this finding, on its side."""
        own_index = finding.call_key[1]
        key = self._key(finding)
        if key is None:
            self._findings.append(finding)
            return own_index
        place = self._places.setdefault(key, len(self._findings))
        if place == len(self._findings):
            self._findings.append(finding)
        elif self._findings[place].call_key[1] != own_index:
            repeats = self._repeats[place]
            if not repeats or repeats[-1] != own_index:
                repeats.append(own_index)
        return self._findings[place].call_key[1]

    def _key(self, finding: Finding) -> Hashable | None:
        """Return the key of the findings that are folded into one, None for a finding that never is."""
        if finding.cause is not None:
            self._consequences += 1
            return (finding.cause_key, finding.group) if self._consequences > MAX_CONSEQUENCES else None
        if finding.kind in _UNFOLDED:
            return None
        difference = _difference(finding)
        texts = tuple(_INDEX.sub("#", text or "") for text in (finding.recorded, finding.replayed))
        change = texts if difference is None else difference
        return finding.kind, finding.call, finding.pattern, change

    def add_opaque(self, finding: Finding, first: bytes, second: bytes) -> None:
        """Add a difference in contents that only a driver understands. Each such field is one finding."""
        key = finding.kind, finding.call, finding.pattern or ""
        if key not in self._opaque:
            self._opaque[key] = _OpaqueField(len(self._findings))
            self._findings.append(finding)
        self._opaque[key].add(finding, first, second)

    def finish(self, late_causes: Mapping[Root, Root]) -> list[Finding]:
        """Return all findings.

        Args:
            late_causes: Causes of findings, by the calls of the findings, that were found later than these.
        """
        for place, repeats in self._repeats.items():
            self._findings[place] = _with_repeats(self._findings[place], tuple(repeats))
        for field in self._opaque.values():
            self._findings[field.place] = field.summary(self._findings[field.place])
        return list(_follow_causes(self._findings, late_causes))


class EqualFindings:
    """Folds findings that say the same of very many calls, such as all submissions of a game.

    The first MAX_EQUAL ones stay as they are. The calls of later ones become repeats of the last of these.
    """

    def __init__(self) -> None:
        self._counts: Counter[Hashable] = Counter()
        self._last: dict[int, tuple[Finding, array[int]]] = {}  # by index of its call
        self._repeats: dict[Hashable, array[int]] = {}

    def fold(self, key: Hashable, index: int) -> bool:
        """Count a finding about a call. Return True if it is a repeat of an earlier one."""
        if key in self._repeats:
            self._repeats[key].append(index)
            return True
        self._counts[key] += 1
        return False

    def add(self, key: Hashable, finding: Finding) -> None:
        """Note a finding that is not a repeat."""
        if self._counts[key] == MAX_EQUAL and finding.index is not None:
            self._repeats[key] = array("Q")
            self._last[finding.index] = finding, self._repeats[key]

    def finish(self, findings: list[Finding]) -> None:
        """Add the repeats to a list of findings in place."""
        for place, finding in enumerate(findings):
            last, repeats = self._last.get(-1 if finding.index is None else finding.index, (None, None))
            if last is not None and repeats and finding.group == last.group:
                findings[place] = replace(finding, repeats=repeats)


class _OpaqueField:
    """Differences of one field with contents that only a driver understands.

    Attributes:
        place: Number of its finding.
    """

    def __init__(self, place: int) -> None:
        self.place = place
        self._calls = array("Q")
        self._offsets: set[int] = set()

    def add(self, finding: Finding, first: bytes, second: bytes) -> None:
        """Add the contents of one call."""
        index = finding.call_key[1]
        if not self._calls or self._calls[-1] != index:
            self._calls.append(index)
        self._offsets.update(at for at, (a, b) in enumerate(zip(first, second, strict=False)) if a != b)

    def summary(self, finding: Finding) -> Finding:
        """Return the finding for all calls."""
        offsets = ", ".join(_ranges(sorted(self._offsets))) or "none in common lengths"
        reason = finding.message.partition("; ")[2]
        message = f"{finding.pattern} differs at bytes {offsets}; {reason}"
        return replace(finding, message=message, repeats=tuple(self._calls[1:]))


def _ranges(numbers: list[int]) -> Iterator[str]:
    """Yield runs of numbers as text. After MAX_OFFSETS of them, the last number follows."""
    start = 0
    shown = 0
    for place in range(1, len(numbers) + 1):
        if place == len(numbers) or numbers[place] != numbers[place - 1] + 1:
            if shown == MAX_OFFSETS:
                yield f"... up to {numbers[-1]}"
                return
            first, last = numbers[start], numbers[place - 1]
            yield str(first) if first == last else f"{first}-{last}"
            start = place
            shown += 1


def _difference(finding: Finding) -> int | None:
    """Return the difference of two numbers."""
    first, second = as_number(finding.recorded), as_number(finding.replayed)
    return None if first is None or second is None else second - first


def _with_repeats(finding: Finding, repeats: tuple[int, ...]) -> Finding:
    difference = _difference(finding)
    message = finding.message
    if difference is not None:
        message = f"{finding.pattern} differs by {difference:+} in {len(repeats) + 1} calls"
    return replace(finding, message=message, repeats=repeats)


def _follow_causes(findings: list[Finding], late_causes: Mapping[Root, Root]) -> Iterator[Finding]:
    """Yield the findings with the first cause of each."""
    for finding in findings:
        root = None if finding.cause is None else Root(finding.cause_side, finding.cause)
        root = late_causes.get(root or Root(*finding.call_key), root)
        yield finding if root is None else replace(finding, cause=root.index, cause_side=root.side)
