"""The one model of findings. Everything that shows results is a view of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Literal

FindingKind = Literal["status", "handle", "field", "data", "missing", "extra", "opaque"]


@dataclass(frozen=True)
class Finding:
    """One difference. index, other_index: the call on either side. path: dotted from the argument's root. cause: the
    call whose difference brought this one about. accepted: why it does not count, demanded: why it does, where somebody
    has said so."""

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
    accepted: str | None = None
    demanded: str | None = None

    @property
    def counts(self) -> bool:
        """Whether it makes two outcomes differ."""
        return self.accepted is None and (self.kind != "opaque" or self.demanded is not None)

    @property
    def group(self) -> str:
        """What repeats of one difference have in common."""
        place = f" {self.pattern}" if self.pattern else ""
        return f"{self.kind} {self.call}{place}: {self.recorded} -> {self.replayed}"

    def to_dict(self) -> dict[str, Any]:
        """As it stands in JSON."""
        return {
            "kind": self.kind,
            "cause": self.cause,
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
    """How many calls there were of which sort; those that differ are counted from the findings."""

    compared: int = 0
    skipped: int = 0
    unmodelled: int = 0
    lost: int = 0
    in_flight: int = 0
    ambient_handles: int = 0
    injected: int = 0
    ignored: int = 0


@dataclass
class Report:
    """The result of a replay or a diff. names: what was compared with what. notes: what else a reader must know, such
    as that a trace is torn. functions: how many calls of each were compared. stopped: why calls at the end were not
    made."""

    names: tuple[str, str]
    calls: Counts = field(default_factory=Counts)
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    functions: Counter[str] = field(default_factory=Counter)
    stopped: str | None = None

    @property
    def same(self) -> bool:
        """Whether nothing differs, as far as it could be compared."""
        return not any(finding.counts for finding in self.findings)

    @property
    def verdict(self) -> str:
        """What came of it, in a few words."""
        if not self.same:
            return f"{self.differing} calls differ"
        return "the same" if self.stopped is None else "the same as far as it went"

    @property
    def differing(self) -> int:
        """Calls with a difference."""
        return len({(f.index, f.other_index) for f in self.findings if f.counts})

    @property
    def opaque(self) -> int:
        """Calls of which a part could not be compared."""
        return len({(f.index, f.other_index) for f in self.findings if f.kind == "opaque"})

    def to_dict(self) -> dict[str, Any]:
        """As it stands in JSON."""
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
            "findings": [finding.to_dict() for finding in self.findings],
            "notes": list(self.notes),
            "stopped": self.stopped,
        }
