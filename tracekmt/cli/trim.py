"""tracekmt trim."""

from __future__ import annotations

from pathlib import Path

import click

from tracekmt.cli.options import CALLS_HELP, force_option, output_option


@click.command("trim", short_help="Cut calls out of a trace, with whatever they depend on.")
@click.argument("trace", type=click.Path(path_type=Path))
@click.option("--calls", "calls", required=True, metavar="SET", help=f"The calls: {CALLS_HELP}")
@output_option
@force_option
def command(trace: Path, calls: str, output: Path, force: bool) -> int:
    """Write the calls of TRACE that are in SET to FILE, with the calls that made what they use. Indexes, times and
    threads stay as they were."""
    from tracekmt.edit.trim import trim
    from tracekmt.text.call_set import parse_calls

    done = trim(trace, parse_calls(calls), output, force=force)
    click.echo(
        f"{output}: {done.chosen + done.needed} of {done.of} calls: {done.chosen} chosen, {done.needed} that they need"
    )
    return 0
