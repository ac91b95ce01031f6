"""Rules of users for known differences.

    [[rule]]
    action = "ignore"                         # remove the finding
                                              # tolerate: report it, but do not count it
                                              # require: count it, even if only a driver can compute the value
    function = "*QueryStatistics"             # a pattern. Omitted keys match everything
    path = "pAllocationInfo2[].hAllocation"   # a pattern for the path of the finding, with or without indexes
    kind = "field"
    recorded = "STATUS_SUCCESS"               # patterns for the texts in the report
    replayed = "STATUS_NO_MEMORY"
    when = "in.NumAllocations > 1"            # condition on the call in the first trace; see dump --where
    target = "simulator*"                     # a pattern for the name of the target
    reason = "known issue 17"

The first matching rule decides. A rule that removes a finding also removes the findings that it caused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Any, get_args

from tracekmt.errors import UsageError
from tracekmt.findings import Finding, FindingKind, Report, Side
from tracekmt.ntstatus import status
from tracekmt.spec.types import CallSpec
from tracekmt.text.filter import CallPredicate, parse_where
from tracekmt.text.functions import check_function, matches_function
from tracekmt.text.toml import read_toml

ACTIONS = ("ignore", "tolerate", "require")
ALIASES = {"demand": "require"}
"""Former names of actions."""

PATTERNS = ("function", "path", "kind", "recorded", "replayed", "target")
SIDES = {"a": "recorded", "b": "replayed"}
"""Names of the sides of a diff, with the patterns that they are other names of."""

CallAt = Callable[[int], Any]
"""Returns the call of a trace with an index."""


@dataclass(frozen=True)
class DiffRule:
    """A rule for findings.

    Attributes:
        action: One of ACTIONS.
        reason: Reason for the rule.
        patterns: Patterns by key, see PATTERNS.
        when: Condition on the call in the first trace, if any.
        source: File and number of the rule.
    """

    action: str
    reason: str
    patterns: Mapping[str, str]
    when: CallPredicate | None
    source: str

    def matches(self, finding: Finding, target: str, call_at: CallAt) -> bool:
        """Return True if the rule applies to a finding."""
        texts = {
            "function": (finding.call,),
            "path": (finding.path or "", finding.pattern or ""),
            "kind": (finding.kind,),
            "recorded": (finding.recorded or "",),
            "replayed": (finding.replayed or "",),
            "target": (target,),
        }
        if not all(any(_matches(key, text, pattern) for text in texts[key]) for key, pattern in self.patterns.items()):
            return False
        return self.when is None or (finding.index is not None and self.when(call_at(finding.index)))


def _matches(key: str, text: str, pattern: str) -> bool:
    if key == "function":
        return matches_function(pattern, text)
    # Brackets belong to paths here. fnmatch would read them as a set of characters.
    if fnmatchcase(text, pattern.replace("[", "[[]")):
        return True
    return key in SIDES.values() and text.startswith("STATUS_") and text == _status_name(pattern)


@lru_cache
def _status_name(text: str) -> str | None:
    """Return the name of a status in any form that users write, None for other texts."""
    try:
        return status(text).name
    except UsageError:
        return None


def read_rules(path: Path, specs: Iterable[CallSpec]) -> list[DiffRule]:
    """Read the rules of a file.

    Args:
        path: A file of rules, or a pyproject.toml with rules in [tool.tracekmt].
        specs: Descriptions of the calls that conditions can refer to.
    """
    specs = list(specs)
    document: Any = read_toml(path)
    if path.name == "pyproject.toml":
        document = document.get("tool", {}).get("tracekmt", {})
    entries = document.get("rule", []) if isinstance(document, dict) else None
    if not isinstance(entries, list) or any(key != "rule" for key in document):
        raise UsageError(f"{path}: invalid rules (expected [[rule]] tables)")
    return [_parse_rule(f"{path}: rule {number}", entry, specs) for number, entry in enumerate(entries, 1)]


def _parse_rule(source: str, entry: Any, specs: Iterable[CallSpec]) -> DiffRule:
    if not isinstance(entry, dict):
        raise UsageError(f"{source}: invalid rule (expected a table)")
    entry = {SIDES.get(key, key): value for key, value in entry.items()}
    for key, value in entry.items():
        if key not in (*PATTERNS, "action", "when", "reason"):
            raise UsageError(f"{source}: unknown key: {key} (expected {', '.join(PATTERNS)}, action, when or reason)")
        if not isinstance(value, str):
            raise UsageError(f"{source}: invalid {key}: {value} (expected text)")
    action = ALIASES.get(entry.get("action", ""), entry.get("action", ""))
    if action not in ACTIONS:
        raise UsageError(f"{source}: invalid action: {action or 'none'} (expected {', '.join(ACTIONS)})")
    if not entry.get("reason", "").strip():
        raise UsageError(f"{source}: reason is required")
    if "kind" in entry and entry["kind"] not in get_args(FindingKind):
        raise UsageError(f"{source}: invalid kind: {entry['kind']} (expected {', '.join(get_args(FindingKind))})")
    try:
        when = parse_where(entry["when"], specs) if "when" in entry else None
    except UsageError as error:
        raise UsageError(f"{source}: {error}") from None
    patterns = {key: entry[key] for key in PATTERNS if key in entry}
    check_function(patterns.get("function", "*"), source)
    if not patterns and when is None:
        raise UsageError(f"{source}: matches every finding (expected a pattern or a condition)")
    return DiffRule(action, entry["reason"].strip(), patterns, when, source)


def apply_rules(report: Report, rules: Iterable[DiffRule], call_at: CallAt) -> None:
    """Apply rules to the findings of a report. Rules without a finding become notes."""
    rules = list(rules)
    unused = list(rules)
    kept: list[Finding] = []
    rules_by_call: dict[tuple[Side, int], list[DiffRule | None]] = {}
    for finding in report.findings:
        matching = next((rule for rule in rules if rule.matches(finding, report.names[1], call_at)), None)
        if finding.cause_key is not None and matching is None:
            matching = _rule_of_cause(rules_by_call.get(finding.cause_key, []))
        else:
            rules_by_call.setdefault(finding.call_key, []).append(matching)
        if matching in unused:
            unused.remove(matching)
        if matching is None:
            kept.append(finding)
        elif matching.action == "ignore":
            report.calls.ignored += 1
        elif matching.action == "tolerate":
            kept.append(replace(finding, accepted=matching.reason))
        else:
            kept.append(replace(finding, required=matching.reason))
    report.findings[:] = kept
    report.notes += [f"{rule.source} ({rule.action}: {rule.reason}) matched no finding" for rule in unused]


def _rule_of_cause(rules: list[DiffRule | None]) -> DiffRule | None:
    """Return the rule for a finding from the rules of its cause.

    Rules that remove or accept every finding of the cause apply to the findings that it caused.
    """
    if rules and all(rule is not None and rule.action != "require" for rule in rules):
        return rules[0]
    return None
