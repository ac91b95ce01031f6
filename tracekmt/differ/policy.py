"""What rules and a baseline make of a report."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tracekmt.differ.baseline import apply_baseline, read_baseline, write_baseline
from tracekmt.differ.rules import CallAt, DiffRule, apply_rules, read_rules
from tracekmt.findings import Report
from tracekmt.spec.types import CallSpec
from tracekmt.trace.reader import Trace

PROJECT = Path("pyproject.toml")


class TracePair:
    """The calls of traces, which are opened when somebody asks for one."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths
        self._stack = ExitStack()
        self._open: dict[int, Trace] = {}

    def __enter__(self) -> TracePair:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def at(self, side: int) -> CallAt | None:
        """What gives the calls of a trace by their indexes; None where there is no such trace."""
        if side >= len(self._paths):
            return None

        def call(index: int) -> Any:
            if side not in self._open:
                self._open[side] = self._stack.enter_context(Trace(self._paths[side]))
            return self._open[side][index]

        return call


def load_rules(path: Path | None, calls: Iterable[CallSpec]) -> list[DiffRule]:
    """The rules of a file, or those of the project that this is run in."""
    if path is not None:
        return read_rules(path, calls)
    return read_rules(PROJECT, calls) if PROJECT.exists() else []


def apply_policy(
    report: Report, rules: Sequence[DiffRule], baseline: Path | None, call_at: CallAt | None, *, update: bool = False
) -> None:
    """Have rules decide first, then the baseline, which `update` writes anew."""
    assert call_at is not None
    apply_rules(report, rules, call_at)
    if baseline is None:
        return
    if update:
        count = write_baseline(baseline, report)
        report.notes.append(f"{baseline}: {count} known findings written")
    apply_baseline(report, read_baseline(baseline), baseline)
