"""tracekmt stats."""

from __future__ import annotations

import json
from pathlib import Path

import click

from tracekmt.cli.options import json_option


@click.command("stats", short_help="Count calls, times, bytes and objects; name what was never ended.")
@click.argument("trace", type=click.Path(path_type=Path))
@json_option
def command(trace: Path, as_json: bool) -> int:
    """Say what the calls of TRACE amount to by function and status, how many objects of each kind lived, and which
    were never ended."""
    from tracekmt.cli.console import print_table, progress_bar, warn
    from tracekmt.report.stats import function_rows, leak_lines, measure, object_rows
    from tracekmt.trace.reader import Trace

    with Trace(trace) as opened, progress_bar("counting") as on_progress:
        told = measure(opened, on_progress)
    if as_json:
        click.echo(json.dumps(told))
        return 0
    print_table(("function", "calls", "time", "mean", "bytes"), function_rows(told))
    print_table(("objects", "made", "ended", "most", "from start to end"), object_rows(told))
    for line in leak_lines(told):
        click.echo(line)
    warn(opened.warning)
    return 0
