"""Writes the outputs of a matrix from the results in its folder: two tables, JUnit XML and the page."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from tracekmt.edit.copy import replace_on_success
from tracekmt.errors import UsageError
from tracekmt.findings import Report
from tracekmt.matrix import store
from tracekmt.matrix.outcomes import Row, Summary, fingerprint, read_rows
from tracekmt.matrix.page import page
from tracekmt.matrix.plan import Pair
from tracekmt.matrix.tables import Tables
from tracekmt.report.junit import junit_of

JUNIT, PAGE = "junit.xml", "report.html"


def write_outputs(folder: Path) -> Summary:
    """Write the outputs of a folder, and return its summary.

    Raises:
        UsageError: The plan or a result is damaged, or an output cannot be written.
    """
    pairs, shard = store.read_plan(folder)
    summary = Summary(list(dict.fromkeys(pair.target for pair in pairs)))

    def reports(tables: Tables) -> Iterator[Report]:
        for row in read_rows(folder, pairs, shard):
            tables.add(row)
            summary.add(row)
            yield _junit_report(row)

    with Tables(folder) as tables, replace_on_success(folder / JUNIT) as part:
        part.write_text(junit_of(reports(tables)), "utf-8", "backslashreplace")
    with replace_on_success(folder / PAGE) as part:
        part.write_text(page(summary), "utf-8", "backslashreplace")
    return summary


def _junit_report(row: Row) -> Report:
    """Return the report of a row for its suite. Without a result, it has the reason as its error."""
    report = next((report for report in row.reports if not report.same), None) or next(iter(row.reports), None)
    if report is None:
        report = Report((row.pair.trace, row.pair.target))
    if row.outcome in ("flaky", "failed", "set aside", "not done", "nothing compared"):
        report.stopped = f"without a result: {row.outcome}: {row.reason}"
    return report


def merge(folders: Sequence[Path], to: Path) -> Summary:
    """Write the results of several folders into a new one, and the outputs of all of them.

    Results of one key that differ become runs of their pair, which is then flaky.

    Args:
        folders: Folders of matrices, such as those of shards.
        to: The new folder.

    Raises:
        UsageError: A folder has no matrix, or the folders have different traces or targets under one name.
    """
    plans = [store.read_plan(folder) for folder in folders]
    pairs: dict[tuple[str, str, int], Pair] = {}
    for folder, (plan, _) in zip(folders, plans, strict=True):
        for pair in plan:
            if pairs.setdefault((pair.trace, pair.target, pair.run), pair).key != pair.key:
                raise UsageError(f"{folder}: {pair.trace} or {pair.target} differs from that of the folders before it")
    store.prepare(to)
    store.write_plan(to, pairs.values(), None)
    for folder in folders:
        for path in sorted((folder / store.DONE).glob("*.json")):
            _merge_result(path, to)
    return write_outputs(to)


def _merge_result(path: Path, to: Path) -> None:
    """Copy a result, unless the folder has it already. A result that differs gets the number of another run."""
    result = store.read_result(path)
    key, run = result["key"], result["run"]
    while (present := store.result_path(to, key, run)).exists():
        if fingerprint(store.read_result(present)) == fingerprint(result):
            return
        run += 1
    with replace_on_success(present) as part:
        shutil.copyfile(path, part)
