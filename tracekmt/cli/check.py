"""The command `tracekmt check`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tracekmt.cli.help import GroupedCommand
from tracekmt.cli.options import ReportOptions, compare_and_report, force_option, jobs_option, report_options


@click.command("check", cls=GroupedCommand, short_help="Find misuse that a trace shows by itself.")
@click.argument("trace", type=click.Path(path_type=Path))
@jobs_option
@report_options("text", "json")
@force_option
def command(trace: Path, jobs: int | None, **report_values: Any) -> int:
    """Find misuse of the interface in TRACE, without another side.

    Objects destroyed twice, used after their destruction or never destroyed, unlocks without a lock, GPU ranges freed
    twice or mapped over each other, fences that go backwards, waits that cannot end, storms of failures, and calls
    that a known rule refuses although they succeeded.
    """
    from tracekmt.checker.check import check_trace
    from tracekmt.cli.console import progress_bar

    with progress_bar("checking") as on_progress:
        options = ReportOptions(**report_values)
        return compare_and_report(lambda: check_trace(trace, on_progress, jobs), (trace,), options)
