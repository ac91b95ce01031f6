"""tracekmt info."""

from __future__ import annotations

import json
from pathlib import Path

import click

from tracekmt.cli.options import json_option


@click.command("info", short_help="Say what a trace is, where it comes from, and how complete it is.")
@click.argument("trace", type=click.Path(path_type=Path))
@click.option("--modules", "with_modules", is_flag=True, help="List the files that were mapped in the process, too.")
@json_option
def command(trace: Path, with_modules: bool, as_json: bool) -> int:
    """Say what TRACE is, where it comes from, how complete it is, and which calls it holds."""
    from tracekmt.cli.console import print_table
    from tracekmt.report.summary import summarise, summary_lines
    from tracekmt.trace.reader import Trace

    with Trace(trace) as opened:
        summary = summarise(opened)
    if as_json:
        click.echo(json.dumps(summary, default=repr))
        return 0
    for line in summary_lines(summary):
        click.echo(line)
    if with_modules:
        print_table(
            ("module", "base", "bytes", "path"),
            [(each["name"], each["base"], f"{each['size']:,}", each["path"]) for each in summary["modules"]],
        )
    print_table(
        ("function", "status", "calls"),
        [(each["call"], each["status"], str(each["count"])) for each in summary["functions"]],
    )
    return 0
