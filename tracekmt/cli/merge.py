"""The command `tracekmt merge`."""

from __future__ import annotations

from pathlib import Path

import click

from tracekmt.cli.options import json_option


@click.command("merge", short_help="Join the results of the shards of a matrix.")
@click.argument("folders", metavar="FOLDER...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="New folder for all results.",
)
@json_option
def command(folders: tuple[Path, ...], output: Path, as_json: bool) -> int:
    """Join the results of FOLDERs that `tracekmt matrix` wrote, for example with --shard, in a new one.

    A pair whose results differ between the folders is flaky. A pair without a result in any of them is not done.

    The exit status is 2 if a pair has no result, else 1 if a pair differs or is flaky, else 0.
    """
    from tracekmt.cli.matrix import print_summary
    from tracekmt.matrix.outputs import merge
    from tracekmt.matrix.tables import require_pyarrow

    require_pyarrow()
    summary = merge(folders, output)
    print_summary(summary, output, as_json=as_json)
    return summary.exit_status
