"""What users say of differences beforehand: rules, with a reason, for those that are known to mean nothing or more.

    [[rule]]
    action = "ignore"                         # it is not reported; tolerate: it is, and does not count;
                                              # demand: it counts, even where only a driver can answer
    function = "*QueryStatistics"             # a pattern; of the rest, what is left out is any
    path = "pAllocationInfo2[].hAllocation"   # a pattern; of a finding's path, with or without its numbers
    kind = "field"
    recorded = "STATUS_SUCCESS"               # patterns, as the report has them
    replayed = "STATUS_NO_MEMORY"
    when = "in.NumAllocations > 1"            # of the call in the first trace; see dump --where
    target = "simulator*"                     # a pattern of what the outcomes came from
    reason = "why"

The first rule that fits decides. What follows from a difference that a rule takes away goes with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, get_args

from tracekmt.errors import UsageError
from tracekmt.findings import Finding, FindingKind, Report
from tracekmt.spec.types import CallSpec
from tracekmt.text.filter import CallPredicate, parse_where
from tracekmt.text.toml import read_toml

ACTIONS = ("ignore", "tolerate", "demand")
PATTERNS = ("function", "path", "kind", "recorded", "replayed", "target")

CallAt = Callable[[int], Any]
"""The call of the first trace with an index."""


@dataclass(frozen=True)
class DiffRule:
    """One rule. patterns: of what it asks for, by the name of it. told: where it stands, for people."""

    action: str
    reason: str
    patterns: Mapping[str, str]
    when: CallPredicate | None
    told: str

    def fits(self, finding: Finding, target: str, call_at: CallAt) -> bool:
        """Whether it is about a finding."""
        found = {
            "function": (finding.call,),
            "path": (finding.path or "", finding.pattern or ""),
            "kind": (finding.kind,),
            "recorded": (finding.recorded or "",),
            "replayed": (finding.replayed or "",),
            "target": (target,),
        }
        if not all(any(_like(text, pattern) for text in found[name]) for name, pattern in self.patterns.items()):
            return False
        return self.when is None or (finding.index is not None and self.when(call_at(finding.index)))


def _like(text: str, pattern: str) -> bool:
    # Brackets are part of paths, and no sets of letters.
    return fnmatchcase(text, pattern.replace("[", "[[]"))


def read_rules(path: Path, calls: Iterable[CallSpec]) -> list[DiffRule]:
    """The rules of a file: its own, or those in the [tool.tracekmt] of a pyproject.toml. calls: what conditions may be
    about."""
    calls = list(calls)
    found: Any = read_toml(path)
    if path.name == "pyproject.toml":
        found = found.get("tool", {}).get("tracekmt", {})
    given = found.get("rule", []) if isinstance(found, dict) else None
    if not isinstance(given, list) or any(key != "rule" for key in found):
        raise UsageError(f"{path}: rules stand as [[rule]]")
    return [_rule(path, number, each, calls) for number, each in enumerate(given, 1)]


def _rule(path: Path, number: int, given: Any, calls: Iterable[CallSpec]) -> DiffRule:
    told = f"{path}: rule {number}"
    if not isinstance(given, dict) or not all(isinstance(value, str) for value in given.values()):
        raise UsageError(f"{told}: what a rule says is text")
    for key in given:
        if key not in (*PATTERNS, "action", "when", "reason"):
            raise UsageError(f"{told}: {key} is nothing a rule can ask for; there are {', '.join(PATTERNS)} and when")
    if given.get("action") not in ACTIONS:
        raise UsageError(f"{told}: action is one of {', '.join(ACTIONS)}")
    if not given.get("reason", "").strip():
        raise UsageError(f"{told}: has no reason; whoever reads the report will ask for one")
    if "kind" in given and given["kind"] not in get_args(FindingKind):
        raise UsageError(f"{told}: kind is one of {', '.join(get_args(FindingKind))}")
    try:
        when = parse_where(given["when"], calls) if "when" in given else None
    except UsageError as error:
        raise UsageError(f"{told}: {error}") from None
    patterns = {name: given[name] for name in PATTERNS if name in given}
    if not patterns and when is None:
        raise UsageError(f"{told}: fits everything; say at least which function")
    return DiffRule(given["action"], given["reason"].strip(), patterns, when, told)


def apply_rules(report: Report, rules: Iterable[DiffRule], call_at: CallAt) -> None:
    """Have the rules decide about a report's findings; which of them fitted nothing becomes a note."""
    unused = list(rules)
    given = list(unused)
    kept: list[Finding] = []
    decided: dict[int, list[DiffRule | None]] = {}
    for finding in report.findings:
        rule = next((each for each in given if each.fits(finding, report.names[1], call_at)), None)
        if finding.cause is not None and rule is None:
            rule = _of_cause(decided.get(finding.cause, []))
        elif finding.index is not None:
            decided.setdefault(finding.index, []).append(rule)
        if rule in unused:
            unused.remove(rule)
        if rule is None:
            kept.append(finding)
        elif rule.action == "ignore":
            report.calls.ignored += 1
        elif rule.action == "tolerate":
            kept.append(replace(finding, accepted=rule.reason))
        else:
            kept.append(replace(finding, demanded=rule.reason))
    report.findings[:] = kept
    report.notes += [f"{rule.told} ({rule.action}: {rule.reason}) fitted nothing" for rule in unused]


def _of_cause(rules: list[DiffRule | None]) -> DiffRule | None:
    """What takes away all that is known of a cause takes away what follows from it."""
    if rules and all(rule is not None and rule.action != "demand" for rule in rules):
        return rules[0]
    return None
