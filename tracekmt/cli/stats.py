"""The command `tracekmt stats`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from tracekmt.cli.options import jobs_option, json_option
from tracekmt.cli.output import echo


@click.command("stats", short_help="Count calls, times, bytes and objects, and list leaks.")
@click.argument("trace", type=click.Path(path_type=Path))
@jobs_option
@json_option
def command(trace: Path, jobs: int | None, as_json: bool) -> int:
    """Count the calls of TRACE by function and status, count its objects by kind, and list objects never destroyed."""
    from tracekmt.cli.console import print_table, progress_bar, warn
    from tracekmt.report.stats import function_rows, leak_lines, measure, object_rows
    from tracekmt.trace.reader import Trace

    with Trace(trace) as opened, progress_bar("counting") as on_progress:
        stats = measure(opened, on_progress, jobs)
    if as_json:
        echo(json.dumps(stats))
        return 0
    print_table(("function", "calls", "time", "mean", "bytes"), function_rows(stats))
    print_table(("objects", "created", "destroyed", "most", "from start to end"), object_rows(stats))
    for line in leak_lines(stats):
        echo(line)
    warn(opened.warning)
    return 0
