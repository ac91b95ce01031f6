"""The command `tracekmt dump`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from tracekmt.cli.options import CALLS_HELP, json_option
from tracekmt.cli.output import echo


@click.command("dump", short_help="Print calls with their arguments before and after.")
@click.argument("trace", type=click.Path(path_type=Path))
@click.option("--calls", "calls", metavar="SET", help=f"Print only these calls: {CALLS_HELP}")
@click.option("--where", metavar="EXPR", help="Print only calls that satisfy this condition (see above).")
@json_option
def command(trace: Path, calls: str | None, where: str | None, as_json: bool) -> int:
    """Print the calls of TRACE. With --json, print one line a call.

    EXPR is a condition such as: failed and call ~ 'Create*' and in.NumAllocations > 1

    Properties of a call: call, index, status, result, returned, succeeded, failed, thread, caller, time and took (in
    ns, or as 5ms).

    Fields before and after the call: in.Flags.CreateShared, out.hResource != 0,
    in.pAllocationInfo2[].PrivateDriverDataSize > 64.

    Comparisons are ==, !=, <, <=, > and >=, and ~ and !~ with a pattern. Conditions are joined by and, or, not and
    parentheses.
    """
    from tracekmt.cli.console import fit, warn
    from tracekmt.report.calls import call_lines
    from tracekmt.text.call_set import parse_calls
    from tracekmt.text.filter import parse_where
    from tracekmt.trace.reader import Trace

    call_set = parse_calls(calls) if calls is not None else None
    is_empty = True
    with Trace(trace) as opened:
        satisfies = parse_where(where, opened.specs.values()) if where is not None else None
        for call in opened.calls(call_set.first, call_set.last) if call_set is not None else opened.calls():
            if call_set is not None and not call_set(call.index, call.name):
                continue
            if satisfies is not None and not satisfies(call):
                continue
            is_empty = False
            if as_json:
                echo(json.dumps(call.to_json()))
            else:
                echo("\n".join(part for line in call_lines(call) for part in fit(line)) + "\n")
        if is_empty:
            filters = " and ".join(text for text in (calls, where) if text)
            warn(f"{trace}: no call matches {filters}" if filters else f"{trace}: no calls")
        warn(opened.warning)
    return 0
