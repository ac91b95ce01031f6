"""Outcomes of pairs from the results of their runs, and findings that are the same across traces."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from tracekmt.findings import Report
from tracekmt.matrix.plan import Pair
from tracekmt.matrix.store import in_shard, results_of
from tracekmt.matrix.work import restore_report
from tracekmt.plural import plural

Outcome = Literal["same", "differs", "flaky", "stopped", "nothing compared", "failed", "set aside", "not done"]

OUTCOMES: tuple[Outcome, ...] = (
    *("same", "differs", "flaky", "stopped"),
    *("nothing compared", "failed", "set aside", "not done"),
)
DIFFERENT: tuple[Outcome, ...] = ("differs", "flaky")
WITHOUT_RESULT: tuple[Outcome, ...] = ("stopped", "nothing compared", "failed", "set aside", "not done")


@dataclass(frozen=True)
class Row:
    """A trace on a target, with the results of all its runs.

    Attributes:
        pair: The trace and the target.
        outcome: The outcome of all runs together.
        text: The outcome with its number, for a cell of the page.
        reason: Reason why there is no result, or the difference between the runs.
        results: The result of each run.
        reports: The report of each run that has one.
    """

    pair: Pair
    outcome: Outcome
    text: str
    reason: str | None
    results: Sequence[Mapping[str, Any]]
    reports: Sequence[Report]

    @property
    def compared(self) -> str:
        """The number of compared calls, of all calls."""
        if not self.reports:
            return ""
        return f"compared {self.reports[0].calls.compared} of {plural(self.reports[0].total, 'call')}"


def read_rows(folder: Path, pairs: Iterable[Pair], shard: Sequence[int] | None) -> Iterator[Row]:
    """Yield the pairs of a matrix, or of a shard of it, with their results.

    Args:
        folder: Folder of the matrix.
        pairs: The pairs with their runs.
        shard: The shard, if the folder has only one.
    """
    runs: dict[tuple[str, str], list[Pair]] = {}
    for pair in pairs:
        if in_shard(pair, shard):
            runs.setdefault((pair.trace, pair.target), []).append(pair)
    for each in runs.values():
        yield _row(each[0], list(results_of(folder, each[0].key, len(each))), len(each))


def _row(pair: Pair, results: Sequence[Mapping[str, Any]], wanted: int) -> Row:
    reports = [
        restore_report(result["report"], (pair.trace, pair.target)) for result in results if result.get("report")
    ]

    def row(outcome: Outcome, text: str, reason: str | None = None) -> Row:
        return Row(pair, outcome, text, reason, results, reports)

    if len({fingerprint(result) for result in results}) > 1:
        verdicts = Counter(_verdict(result) for result in results)
        return row("flaky", "flaky", ", ".join(f"{verdict} in {count}" for verdict, count in verdicts.items()))
    if len(results) < wanted:
        return row("not done", "not done", f"{len(results)} of {plural(wanted, 'run')} done")
    first = results[0]
    if not reports:
        outcome: Outcome = "set aside" if "set_aside" in first else "failed"
        return row(outcome, outcome, _verdict(first))
    report = reports[0]
    if not report.same:
        stopped = None if report.stopped is None else f"stopped {report.stopped}"
        return row("differs", f"{report.differing} {'differs' if report.differing == 1 else 'differ'}", stopped)
    if report.stopped is not None:
        return row("stopped", "stopped", f"stopped {report.stopped}")
    if not report.calls.compared:
        return row("nothing compared", "nothing compared", f"compared 0 of {plural(report.total, 'call')}")
    return row("same", "same")


def fingerprint(result: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return the part of a result that is equal in every run of a pair that is not flaky."""
    report = result.get("report")
    if not report:
        return result.get("error"), "set_aside" in result
    findings = sorted((finding["signature"], str(finding["index"]), finding["count"]) for finding in report["findings"])
    return report["stopped"], report["calls"]["compared"], *findings


def _verdict(result: Mapping[str, Any]) -> str:
    report = result.get("report")
    if not report:
        return str(result.get("error") or result.get("set_aside"))
    return "no differences" if report["same"] else f"{plural(report['calls']['differing'], 'call')} with differences"


@dataclass
class Group:
    """A finding that is the same across traces and targets.

    Attributes:
        signature: Its signature.
        kind: Its kind.
        call: Name of the function.
        path: Path of the field, if there is one.
        recorded: Value in the recording.
        replayed: Value of the replay.
        message: Explanation, may be empty.
        first: The first trace with it, on the first target with it.
        recorded_driver: Driver that the first trace was recorded on, if the trace has it.
        calls: Number of calls with the finding.
        traces: Names of the traces by target.
    """

    signature: str
    kind: str
    call: str
    path: str | None
    recorded: str | None
    replayed: str | None
    message: str
    first: Pair
    recorded_driver: str | None
    calls: int = 0
    traces: dict[str, list[str]] = field(default_factory=dict)

    @property
    def pairs(self) -> int:
        """Number of pairs with the finding."""
        return sum(map(len, self.traces.values()))


@dataclass
class Summary:
    """A matrix in numbers, with the findings by signature.

    Attributes:
        order: Names of the targets, in the order of the user.
        targets: Number of pairs by outcome, by target.
        groups: Findings that count and that no other finding caused, by signature.
        cells: Outcome and text by target, by trace.
        special: Pairs that have a reason (flaky, stopped, failed, set aside), by trace, outcome and reason.
    """

    order: Sequence[str]
    targets: dict[str, Counter[Outcome]] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    cells: dict[str, dict[str, tuple[Outcome, str, str]]] = field(default_factory=dict)
    special: dict[tuple[str, Outcome, str], list[Pair]] = field(default_factory=dict)

    @property
    def counts(self) -> Counter[Outcome]:
        """Number of pairs by outcome."""
        return sum(self.targets.values(), Counter())

    @property
    def exit_status(self) -> int:
        """0 if all pairs are the same, or the shard has none; 1 if some differ, 2 if some have no result."""
        counts = self.counts
        if any(counts[outcome] for outcome in WITHOUT_RESULT):
            return 2
        return 1 if any(counts[outcome] for outcome in DIFFERENT) else 0

    def add(self, row: Row) -> None:
        """Add a row."""
        pair = row.pair
        self.targets.setdefault(pair.target, Counter())[row.outcome] += 1
        self.cells.setdefault(pair.trace, {})[pair.target] = row.outcome, row.text, row.reason or row.compared
        if row.reason is not None and row.outcome != "not done":
            self.special.setdefault((pair.trace, row.outcome, row.reason), []).append(pair)
        for result in row.results if row.outcome == "flaky" else row.results[:1]:
            for finding in (result.get("report") or {}).get("findings", ()):
                if finding["cause"] is None and finding["counts"]:
                    self._add_finding(pair, finding, result.get("recorded_driver"))

    def _add_finding(self, pair: Pair, finding: Mapping[str, Any], recorded_driver: str | None) -> None:
        group = self.groups.get(finding["signature"])
        if group is None:
            fields = {name: finding[name] for name in ("signature", "kind", "call", "recorded", "replayed", "message")}
            group = Group(**fields, path=finding["pattern"], first=pair, recorded_driver=recorded_driver)
            self.groups[finding["signature"]] = group
        elif self.order.index(pair.target) < self.order.index(group.first.target):
            group.first, group.recorded_driver = pair, recorded_driver
        group.calls += finding["count"]
        traces = group.traces.setdefault(pair.target, [])
        if pair.trace not in traces[-1:]:
            traces.append(pair.trace)
