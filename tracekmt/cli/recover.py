"""tracekmt recover."""

from __future__ import annotations

from pathlib import Path

import click

from tracekmt.cli.options import force_option, output_option


@click.command("recover", short_help="Make a sealed trace of what a damaged or unfinished one holds.")
@click.argument("trace", type=click.Path(path_type=Path))
@output_option
@force_option
def command(trace: Path, output: Path, force: bool) -> int:
    """Write what TRACE holds up to its first damage to FILE, with a new index; TRACE stays as it is."""
    from tracekmt.edit.recover import recover

    calls, wrong = recover(trace, output, force=force)
    click.echo(f"{output}: {calls} calls" + (f"; {wrong}" if wrong else "; nothing was wrong"))
    return 0
