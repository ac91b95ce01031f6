"""The command `tracekmt trim`."""

from __future__ import annotations

from pathlib import Path

import click

from tracekmt.cli.options import CALLS_HELP, force_option, output_option
from tracekmt.cli.output import echo
from tracekmt.plural import plural

_SHOWN = 10
"""Number of handles to show that cannot be followed."""


@click.command("trim", short_help="Extract calls from a trace, with the calls that they depend on.")
@click.argument("trace", type=click.Path(path_type=Path))
@click.option("--calls", "calls", required=True, metavar="SET", help=f"Calls to extract: {CALLS_HELP}")
@output_option
@force_option
def command(trace: Path, calls: str, output: Path, force: bool) -> int:
    """Write the calls of TRACE in SET to a new trace, with the calls that they depend on.

    Indexes, times and threads do not change.
    """
    from tracekmt.edit.trim import trim
    from tracekmt.text.call_set import parse_calls

    result = trim(trace, parse_calls(calls), output, force=force)
    dependencies = plural(result.dependencies, "dependency", "dependencies")
    count = result.selected + result.dependencies
    for handle in result.unfollowed[:_SHOWN]:
        echo(f"tracekmt: cannot follow a handle: {handle}", err=True)
    if len(result.unfollowed) > _SHOWN:
        echo(f"tracekmt: and {plural(len(result.unfollowed) - _SHOWN, 'more handle')}", err=True)
    echo(f"{output}: {count} of {plural(result.total, 'call')} ({result.selected} selected, {dependencies})")
    return 0
