"""tracekmt diff."""

from __future__ import annotations

from pathlib import Path

import click

from tracekmt.cli.options import compare_and_report, report_options


@click.command("diff", short_help="Compare the outcomes of two traces, call by call.")
@click.argument("a", type=click.Path(path_type=Path))
@click.argument("b", type=click.Path(path_type=Path))
@report_options
def command(a: Path, b: Path, form: str, as_json: bool, min_compared: int, bisect: bool) -> int:
    """Compare the outcomes of A and B: two recordings, or a recording and a replay's outcome."""
    from tracekmt.differ import diff

    return compare_and_report(lambda: diff(a, b), form=form, as_json=as_json, min_compared=min_compared, bisect=bisect)
