"""The command `tracekmt info`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from tracekmt.cli.options import json_option


@click.command("info", short_help="Show the origin, the completeness and the functions of a trace.")
@click.argument("trace", type=click.Path(path_type=Path))
@click.option("--modules", "with_modules", is_flag=True, help="List the modules of the process, too.")
@json_option
def command(trace: Path, with_modules: bool, as_json: bool) -> int:
    """Show the origin of TRACE, its completeness, and its calls by function and status."""
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
            [(module["name"], module["base"], f"{module['size']:,}", module["path"]) for module in summary["modules"]],
        )
    print_table(
        ("function", "status", "calls"),
        [(entry["call"], entry["status"], str(entry["count"])) for entry in summary["functions"]],
    )
    return 0
