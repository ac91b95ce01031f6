"""The command `tracekmt diff`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tracekmt.cli.help import GroupedCommand, option_under
from tracekmt.cli.options import ReportOptions, compare_and_report, force_option, jobs_option, report_options

_comparison = option_under("Comparison")


@click.command("diff", cls=GroupedCommand, short_help="Compare two traces, call by call.")
@click.argument("a", type=click.Path(path_type=Path))
@click.argument("b", type=click.Path(path_type=Path))
@_comparison(
    "--again",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Another run of A or B. What varies between runs does not count. May be repeated.",
)
@_comparison("--outcomes-only", is_flag=True, help="Compare what the calls returned, not what the program asked for.")
@jobs_option
@report_options("text", "json", "summary")
@force_option
def command(
    a: Path, b: Path, again: tuple[Path, ...], outcomes_only: bool, jobs: int | None, **report_values: Any
) -> int:
    """Compare the calls of A and B: two recordings, or a recording and the outcome trace of a replay."""
    from tracekmt.cli.console import progress_bar
    from tracekmt.differ.diff import diff_traces
    from tracekmt.findings import Report

    def compare() -> Report:
        with progress_bar("comparing") as on_progress:
            return diff_traces(a, b, again=again, outcomes_only=outcomes_only, jobs=jobs, on_progress=on_progress)

    return compare_and_report(compare, (a, b), ReportOptions(**report_values))
