"""Model of findings and reports. Every output format is a view of this model."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from tracekmt.plural import plural

NotCompared = Literal["taken", "outputs taken", "unmodelled", "not sent"]
"""Why a call was not compared: see `Counts`. A call that was not sent is skipped."""

FindingKind = Literal["status", "handle", "field", "data", "input", "missing", "extra", "moved", "opaque", "misuse"]

Side = Literal["a", "b"]
"""A side of a comparison: the recording or the first trace, and the replay or the second trace."""


DIFF_SIDES = ("A", "B")
"""What the sides of a comparison of two traces are called."""


_MASK_BITS = 512


@dataclass(frozen=True)
class Finding:
    """One difference, or one value that could not be compared.

    Attributes:
        kind: Kind of the finding.
        call: Name of the function.
        index: Index of the call in the recording, or in the first trace.
        other_index: Index of the call on the other side.
        thread: Number of the thread.
        recorded: Value in the recording, or in the first trace.
        replayed: Value on the other side.
        message: Explanation for users, may be empty.
        path: Path of the field from the argument's root, with dots.
        pattern: `path` without array indexes.
        handle_kind: Kind of the handle, if the field is a handle.
        cause: Index of the call whose difference caused this finding.
        cause_side: Side of the call whose difference caused this finding, "b" if it exists only there.
        repeats: Indexes of the other calls with the same difference. Calls that exist only on side b have theirs there.
        accepted: Reason why the finding does not count, from a rule or a baseline.
        required: Reason why the finding always counts, from a rule.
        rule: Rule of the interface that the call breaks, for the kind "misuse".
        object: Object of the misuse: its kind, and the call and the field that it was born in.
    """

    kind: FindingKind
    call: str
    index: int | None
    other_index: int | None
    thread: int | None
    recorded: str | None
    replayed: str | None
    message: str
    path: str | None = None
    pattern: str | None = None
    handle_kind: str | None = None
    cause: int | None = None
    cause_side: Side = "a"
    repeats: Sequence[int] = ()
    accepted: str | None = None
    required: str | None = None
    rule: str | None = None
    object: str | None = None

    @property
    def counts(self) -> bool:
        """True if the finding counts as a difference."""
        return self.accepted is None and (self.kind != "opaque" or self.required is not None)

    @property
    def count(self) -> int:
        """Number of calls with this difference."""
        return 1 + len(self.repeats)

    @property
    def call_key(self) -> tuple[Side, int]:
        """Side and index of the call, as other findings name it as their cause."""
        return ("a", self.index) if self.index is not None else ("b", self.other_index or 0)

    @property
    def cause_key(self) -> tuple[Side, int] | None:
        """Side and index of the call that caused this finding."""
        return None if self.cause is None else (self.cause_side, self.cause)

    @property
    def group(self) -> str:
        """Common key of repeated findings."""
        field_text = f" {self.pattern}" if self.pattern else ""
        if self.rule is not None:
            return f"{self.rule}: {self.call}{field_text}"
        return f"{self.kind} {self.call}{field_text}: {self.recorded} -> {self.replayed}"

    def to_dict(self) -> dict[str, Any]:
        """Return the finding in its JSON form."""
        misuse = {} if self.rule is None else {"rule": self.rule, "object": self.object}
        return misuse | {
            "kind": self.kind,
            "cause": self.cause,
            "cause_side": None if self.cause is None else self.cause_side,
            "count": self.count,
            "repeats": list(self.repeats),
            "group": self.group,
            "index": self.index,
            "other_index": self.other_index,
            "call": self.call,
            "thread": self.thread,
            "path": self.path,
            "handle_kind": self.handle_kind,
            "recorded": self.recorded,
            "replayed": self.replayed,
            "message": self.message,
            "accepted": self.accepted,
        }


@dataclass
class Counts:
    """Numbers of calls. Differing and opaque calls are counted from the findings.

    Attributes:
        compared: Calls whose outcomes were compared, or whose status alone was.
        skipped: Calls that were not sent to the target.
        taken: Calls whose outcome or outputs were taken from the recording.
        unmodelled: Calls that the simulator does not model.
        lost: Events lost in the recording.
        in_flight: Calls that never returned.
        ambient_handles: Handles older than the trace.
        injected: Injected failures.
        ignored: Findings removed by rules.
    """

    compared: int = 0
    skipped: int = 0
    taken: int = 0
    unmodelled: int = 0
    lost: int = 0
    in_flight: int = 0
    ambient_handles: int = 0
    injected: int = 0
    ignored: int = 0


@dataclass
class Report:
    """Result of a replay or a diff.

    Attributes:
        names: Names of the two sides.
        sides: What the sides are called in a sentence.
        calls: Numbers of calls.
        total: Number of all calls, with those that were not compared.
        is_check: True for a check of one trace, whose calls are compared with rules.
        findings: The findings, in the order of the calls.
        notes: Remarks for the reader, for example that a trace is damaged.
        functions: Number of compared calls by function.
        not_compared: Number of calls that were not compared as a whole, by function and reason.
        noise: Findings that vary between runs of one side, and do not count.
        stopped: Reason why the last calls were not made.
    """

    names: tuple[str, str]
    sides: tuple[str, str] = ("recorded", "replayed")
    calls: Counts = field(default_factory=Counts)
    total: int = 0
    is_check: bool = False
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    functions: Counter[str] = field(default_factory=Counter)
    not_compared: dict[NotCompared, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    noise: list[Finding] = field(default_factory=list)
    stopped: str | None = None

    @property
    def same(self) -> bool:
        """True if no finding counts as a difference."""
        return not any(finding.counts for finding in self.findings)

    @property
    def verdict(self) -> str:
        """Result in a few words."""
        if self.is_check:
            return f"{plural(self.differing, 'call')} with misuse" if self.differing else "no misuse"
        if not self.same:
            return f"{plural(self.differing, 'call')} {'differs' if self.differing == 1 else 'differ'}"
        accepted = f"no new differences ({self.accepted} accepted)" if self.accepted else "no differences"
        return accepted if self.stopped is None else f"{accepted} before it stopped"

    @property
    def accepted(self) -> int:
        """Number of differences that a rule or a baseline accepts."""
        return sum(1 for finding in self.findings if finding.accepted is not None)

    @property
    def differing(self) -> int:
        """Number of calls with a difference."""
        return _count_calls(finding for finding in self.findings if finding.counts)

    @property
    def opaque(self) -> int:
        """Number of calls of which a part could not be compared."""
        return _count_calls(finding for finding in self.findings if finding.kind == "opaque")

    def to_dict(self) -> dict[str, Any]:
        """Return the report in its JSON form."""
        counts = vars(self.calls)
        return {
            "same": self.same,
            "calls": {
                "compared": counts["compared"],
                "differing": self.differing,
                "skipped": counts["skipped"],
                "opaque": self.opaque,
                **{name: counts[name] for name in counts if name not in ("compared", "skipped")},
            },
            "findings": [self._finding_data(finding) for finding in self.findings],
            "noise": [self._finding_data(finding) for finding in self.noise],
            "notes": list(self.notes),
            "stopped": self.stopped,
        }

    def _finding_data(self, finding: Finding) -> dict[str, Any]:
        """Return a finding in its JSON form, with the values by the names of the sides if these are A and B."""
        data = finding.to_dict()
        return data | {"a": finding.recorded, "b": finding.replayed} if self.sides == DIFF_SIDES else data


def _count_calls(findings: Iterable[Finding]) -> int:
    """Return the number of calls that findings are about. Findings can be about millions of calls."""
    masks: dict[tuple[Side, int], int] = defaultdict(int)  # one bit a call, in numbers of _MASK_BITS bits
    for finding in findings:
        side, own_index = finding.call_key
        for index in (own_index, *finding.repeats):
            masks[side, index // _MASK_BITS] |= 1 << index % _MASK_BITS
    return sum(mask.bit_count() for mask in masks.values())
