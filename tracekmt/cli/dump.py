"""tracekmt dump."""

from __future__ import annotations

import json
from pathlib import Path

import click

from tracekmt.cli.options import CALLS_HELP, json_option


@click.command("dump", short_help="Print calls with every structure, before and after.")
@click.argument("trace", type=click.Path(path_type=Path))
@click.option("--calls", "calls", metavar="SET", help=f"Only these: {CALLS_HELP}")
@click.option("--where", metavar="EXPR", help="Only those of which this is true; see below.")
@json_option
def command(trace: Path, calls: str | None, where: str | None, as_json: bool) -> int:
    """Print the calls of TRACE; with --json, a line each.

    EXPR is a condition: failed and call ~ 'Create*' and in.NumAllocations > 1. It compares (== != < <= > >=, ~ with a
    pattern) facts of the call (call, index, status, result, returned, succeeded, failed, thread, caller, time and took
    in ns or as 5ms), and fields before and after it: in.Flags.CreateShared, out.hResource != 0,
    in.pAllocationInfo2[].PrivateDriverDataSize > 64. and, or, not and parentheses join conditions.
    """
    from tracekmt.cli.console import fit, warn
    from tracekmt.report.calls import call_lines
    from tracekmt.text.call_set import parse_calls
    from tracekmt.text.filter import parse_where
    from tracekmt.trace.reader import Trace

    wanted = parse_calls(calls) if calls is not None else None
    found = False
    with Trace(trace) as opened:
        holds = parse_where(where, opened.descriptions) if where is not None else None
        for call in opened.calls(wanted.first, wanted.last) if wanted is not None else opened.calls():
            if (wanted is not None and not wanted(call.index, call.name)) or (holds is not None and not holds(call)):
                continue
            found = True
            if as_json:
                click.echo(json.dumps(call.to_json()))
            else:
                click.echo("\n".join(part for line in call_lines(call) for part in fit(line)) + "\n")
        if not found:
            asked = " and ".join(text for text in (calls, where) if text)
            why = f"no call is in {asked}" if asked else "it has no calls"
            click.echo(f"tracekmt: {trace}: {why}", err=True)
        warn(opened.warning)
    return 0
