"""The command `tracekmt demo`."""

from __future__ import annotations

from pathlib import Path

import click

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
def command(folder: Path, no_live: bool) -> int:
    """Record a live program, replay its trace, and show a difference."""
    from tracekmt.demo.tour import run_tour

    return run_tour(folder, live=not no_live, say=echo)
