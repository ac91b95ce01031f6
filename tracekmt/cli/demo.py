"""The command `tracekmt demo`."""

from __future__ import annotations

from pathlib import Path

import click

from tracekmt.cli.options import force_option
from tracekmt.cli.output import echo


@click.command("demo", short_help="Record, replay and compare a small program, without a GPU.")
@click.option(
    "-o",
    "--output",
    "folder",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    default=Path("tracekmt-demo"),
    show_default=True,
    help="Folder for the files.",
)
@click.option("--no-live", is_flag=True, help="Record nothing, and use the packaged recording.")
@force_option
@click.pass_context
def command(context: click.Context, folder: Path, no_live: bool, force: bool) -> int:
    """Record a live program, replay its trace, and show a difference.

    The files of an earlier demo in the default folder are overwritten.
    """
    from tracekmt.demo.tour import FILES, run_tour
    from tracekmt.trace.writer import refuse_existing

    is_default = context.get_parameter_source("folder") == click.core.ParameterSource.DEFAULT
    for name in FILES:
        refuse_existing(folder / name, force=force or is_default)
    return run_tour(folder, live=not no_live, say=echo)
