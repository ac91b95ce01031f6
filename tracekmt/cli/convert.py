"""tracekmt convert."""

from __future__ import annotations

from pathlib import Path

import click

from tracekmt.cli.options import force_option
from tracekmt.errors import UsageError

FORMS = ("kmt", "jsonl")


@click.command("convert", short_help="Write a trace as lines of JSON, or as a trace again.")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path, allow_dash=True),
    metavar="FILE",
    help="Where to; - is standard output.",
)
@click.option("--to", "form", type=click.Choice(FORMS), help="What to write, where the ending does not say.")
@click.option("--redact", is_flag=True, help="Take out names, paths and private data; lengths and hashes stay.")
@force_option
def command(file: Path, output: Path, form: str | None, redact: bool, force: bool) -> int:
    """Write FILE in another form, by the two endings: .kmt is a trace, .jsonl is lines of JSON.

    A trace that becomes lines of JSON and a trace again is the same trace. A .kmt from an older version of the format
    becomes one of this version.
    """
    from tracekmt.cli.console import progress_bar, warn
    from tracekmt.convert import convert

    to = form or _form(output)
    if str(output) == "-" and to == "kmt":
        raise UsageError("a trace is no text; give -o the name of a file")
    with progress_bar("converting") as on_progress:
        done = convert(file, output, to, redact=redact, force=force, on_progress=on_progress)
    warn(done.warning)
    if str(output) != "-":
        click.echo(f"{output}: {done.calls} calls", err=True)
    return 0


def _form(path: Path) -> str:
    form = path.suffix[1:].lower()
    if form not in FORMS:
        endings = ", ".join(f".{each}" for each in FORMS)
        raise UsageError(f"{path}: the name does not say what to write; end it in {endings}, or give --to")
    return form
