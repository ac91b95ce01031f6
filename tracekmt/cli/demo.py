"""tracekmt demo."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("demo", short_help="Your first minute: record, replay and compare, here, without a GPU.")
@click.option(
    "-o",
    "--output",
    "folder",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    default=Path("tracekmt-demo"),
    show_default=True,
    help="Where to leave the files.",
)
@click.option("--no-live", is_flag=True, help="Start and record nothing; use the recording that comes along.")
def command(folder: Path, no_live: bool) -> int:
    """Record a live program, replay its trace, and show what a difference looks like."""
    from tracekmt.demo.tour import run_tour

    return run_tour(folder, live=not no_live, say=click.echo)
