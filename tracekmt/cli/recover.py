"""The command `tracekmt recover`."""

from __future__ import annotations

from pathlib import Path

import click

from tracekmt.cli.options import force_option, output_option
from tracekmt.cli.output import echo
from tracekmt.plural import plural


@click.command("recover", short_help="Write the calls of a damaged or unfinished trace to a sealed one.")
@click.argument("trace", type=click.Path(path_type=Path))
@output_option
@force_option
def command(trace: Path, output: Path, force: bool) -> int:
    """Write the calls of TRACE before its damage to a sealed trace. TRACE does not change.

    The shared buffer of a killed recorder is read, too, if it still exists.
    """
    from tracekmt.edit.recover import recover

    call_count, damage = recover(trace, output, force=force)
    echo(f"{output}: {plural(call_count, 'call')} ({damage or 'no damage'})")
    return 0
