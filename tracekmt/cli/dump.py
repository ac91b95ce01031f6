"""tracekmt dump."""

from __future__ import annotations

import json
from pathlib import Path

import click

from tracekmt.cli.options import json_option


@click.command("dump", short_help="Print calls with every structure, before and after.")
@click.argument("trace", type=click.Path(path_type=Path))
@click.option("--calls", "calls", metavar="SET", help="Only these: 17, 0-100, 0-100/2, 3,8,20-, a pattern, @file.")
@json_option
def command(trace: Path, calls: str | None, as_json: bool) -> int:
    """Print the calls of TRACE; with --json, a line each."""
    from tracekmt.callset import parse_calls
    from tracekmt.report.calls import call_lines
    from tracekmt.trace.reader import Trace

    wanted = parse_calls(calls) if calls is not None else None
    found = False
    with Trace(trace) as opened:
        for call in opened.calls():
            if wanted is not None and not wanted(call.index, call.name):
                continue
            found = True
            if as_json:
                click.echo(json.dumps(call.to_json()))
            else:
                click.echo("\n".join(call_lines(call)) + "\n")
        if not found:
            why = f"no call is in {calls}" if calls else "it has no calls"
            click.echo(f"tracekmt: {trace}: {why}", err=True)
        if opened.torn:
            click.echo(f"tracekmt: {opened.torn}; the calls before it are whole", err=True)
    return 0
