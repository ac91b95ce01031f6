"""Applies rules and a baseline to a report."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tracekmt.differ.baseline import apply_baseline, read_baseline, write_baseline
from tracekmt.differ.rules import CallAt, DiffRule, apply_rules, read_rules
from tracekmt.findings import Report
from tracekmt.plural import plural
from tracekmt.spec.types import CallSpec
from tracekmt.trace.reader import Trace

PROJECT = Path("pyproject.toml")


class TracePair:
    """Reader of the calls of two traces. Each trace is opened when its first call is read."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths
        self._stack = ExitStack()
        self._open: dict[int, Trace] = {}

    def __enter__(self) -> TracePair:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def at(self, side: int) -> CallAt | None:
        """Return a function that reads the calls of a trace by index, or None if the trace does not exist."""
        if side >= len(self._paths):
            return None

        def call(index: int) -> Any:
            if side not in self._open:
                self._open[side] = self._stack.enter_context(Trace(self._paths[side]))
            return self._open[side][index]

        return call


def load_rules(path: Path | None, specs: Iterable[CallSpec]) -> list[DiffRule]:
    """Read the rules of a file, by default of the project in the current folder.

    Args:
        path: The file. None for ./pyproject.toml, if it exists.
        specs: Descriptions of the calls that conditions of rules can refer to.
    """
    if path is not None:
        return read_rules(path, specs)
    return read_rules(PROJECT, specs) if PROJECT.exists() else []


def apply_policy(
    report: Report, rules: Sequence[DiffRule], baseline: Path | None, call_at: CallAt | None, *, update: bool = False
) -> None:
    """Apply rules to a report, then the baseline.

    Args:
        report: The report. Its findings are replaced.
        rules: The rules.
        baseline: The file with the baseline, if any.
        call_at: Reads the calls of the first trace.
        update: Write the baseline before it is applied.
    """
    assert call_at is not None
    apply_rules(report, rules, call_at)
    if baseline is None:
        return
    if update:
        count = write_baseline(baseline, report)
        report.notes.append(f"{baseline}: {plural(count, 'known finding')} written")
    apply_baseline(report, read_baseline(baseline), baseline)
