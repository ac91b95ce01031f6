"""The command `tracekmt dump`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from tracekmt.cli.options import CALLS_HELP, jobs_option, json_option
from tracekmt.cli.output import echo

if TYPE_CHECKING:
    from tracekmt.text.call_set import CallSet
    from tracekmt.trace.reader import Trace


DumpForm = Literal["json", "all fields"] | int
"""Form of a call: a line of JSON, lines with all fields, or one line of at most so many characters."""


@click.command("dump", short_help="Print calls with their arguments before and after.")
@click.argument("trace", type=click.Path(path_type=Path))
@click.option("--calls", "calls", metavar="SET", help=f"Print only these calls: {CALLS_HELP}")
@click.option("--where", metavar="EXPR", help="Print only calls that satisfy this condition (see above).")
@click.option("-v", "--verbose", is_flag=True, help="Print every field before and after each call.")
@jobs_option
@json_option
def command(trace: Path, calls: str | None, where: str | None, verbose: bool, jobs: int | None, as_json: bool) -> int:
    """Print the calls of TRACE, a line each, with the fields that are not zero. -v and --json have every field.

    EXPR is a condition such as: failed and call ~ 'Create*' and in.NumAllocations > 1

    Properties of a call: call, index, status, result, returned, succeeded, failed, thread, caller, time and took (in
    ns, or as 5ms).

    Fields before and after the call: in.Flags.CreateShared, out.hResource != 0,
    in.pAllocationInfo2[].PrivateDriverDataSize > 64.

    Comparisons are ==, !=, <, <=, > and >=, and ~ and !~ with a pattern. Conditions are joined by and, or, not and
    parentheses.
    """
    from tracekmt.cli.console import line_width, warn
    from tracekmt.text.call_set import parse_calls
    from tracekmt.trace.parallel import results_of_calls
    from tracekmt.trace.reader import Trace

    call_set = parse_calls(calls) if calls is not None else None
    first, last = (call_set.first, call_set.last) if call_set is not None else (0, None)
    form: DumpForm = "json" if as_json else "all fields" if verbose else line_width()
    is_empty = True
    with Trace(trace) as opened:
        for line in results_of_calls(opened, dump_lines, call_set, where, form, first=first, last=last, jobs=jobs):
            is_empty = False
            echo(line)
        if is_empty:
            filters = " and ".join(text for text in (calls, where) if text)
            warn(f"{trace}: no call matches {filters}" if filters else f"{trace}: no calls")
        warn(opened.warning)
    return 0


def dump_lines(
    trace: Trace, first: int, last: int | None, call_set: CallSet | None, where: str | None, form: DumpForm
) -> Iterator[str]:
    """Yield the lines of each call in a range that the filters select."""
    from tracekmt.cli.console import fit
    from tracekmt.report.calls import call_line, call_lines
    from tracekmt.text.filter import parse_where

    satisfies = parse_where(where, trace.specs.values()) if where is not None else None
    for call in trace.calls(first, last):
        if call_set is not None and not call_set(call.index, call.name):
            continue
        if satisfies is not None and not satisfies(call):
            continue
        if form == "json":
            yield json.dumps(call.to_json())
        elif isinstance(form, int):
            yield call_line(call, form)
        else:
            yield "\n".join(part for line in call_lines(call) for part in fit(line)) + "\n"
