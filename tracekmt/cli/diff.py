"""The command `tracekmt diff`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tracekmt.cli.help import GroupedCommand
from tracekmt.cli.options import ReportOptions, compare_and_report, force_option, report_options


@click.command("diff", cls=GroupedCommand, short_help="Compare the outcomes of two traces, call by call.")
@click.argument("a", type=click.Path(path_type=Path))
@click.argument("b", type=click.Path(path_type=Path))
@report_options
@force_option
def command(a: Path, b: Path, **report_values: Any) -> int:
    """Compare the outcomes of A and B: two recordings, or a recording and the outcome trace of a replay."""
    from tracekmt.differ.diff import diff_traces

    return compare_and_report(lambda: diff_traces(a, b), (a, b), ReportOptions(**report_values))
