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
@force_option
def command(file: Path, output: Path, form: str | None, force: bool) -> int:
    """Write FILE in another form, by the two endings: .kmt is a trace, .jsonl is lines of JSON.

    A trace that becomes lines of JSON and a trace again is the same trace. A .kmt from an older version of the format
    becomes one of this version.
    """
    from tracekmt.cli.console import progress_bar
    from tracekmt.convert import jsonl
    from tracekmt.trace.copy import open_copy, refuse_output, write_copy
    from tracekmt.trace.reader import Trace

    to = form or _form(output)
    if str(output) == "-" and to == "kmt":
        raise UsageError("a trace is no text; give -o the name of a file")
    if _is_lines(file):
        if to == "jsonl":
            raise UsageError(f"{file}: is lines of JSON already")
        with progress_bar("converting") as on_progress:
            calls = jsonl.from_lines(file, output, force=force, on_progress=on_progress)
        click.echo(f"{output}: {calls} calls", err=True)
        return 0
    with Trace(file) as trace, progress_bar("converting") as on_progress:
        if to == "kmt":
            write_copy(trace, open_copy(trace, output, force=force), trace.events())
        elif str(output) == "-":
            for line in jsonl.to_lines(trace):
                click.echo(line)
        else:
            refuse_output(file, output, force=force)
            with output.open("w", encoding="utf-8", newline="\n") as lines:
                lines.writelines(f"{line}\n" for line in jsonl.to_lines(trace, on_progress))
        if trace.torn:
            click.echo(f"tracekmt: {trace.torn}; the calls before it are whole", err=True)
        if str(output) != "-":
            click.echo(f"{output}: {len(trace)} calls", err=True)
    return 0


def _form(path: Path) -> str:
    form = path.suffix[1:].lower()
    if form not in FORMS:
        endings = ", ".join(f".{each}" for each in FORMS)
        raise UsageError(f"{path}: the name does not say what to write; end it in {endings}, or give --to")
    return form


def _is_lines(path: Path) -> bool:
    """Whether a file is lines of JSON: by its ending, else by its first byte."""
    if path.suffix.lower() in (".kmt", ".jsonl"):
        return path.suffix.lower() == ".jsonl"
    try:
        with path.open("rb") as file:
            return file.read(1) == b"{"
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or 'cannot be read'}") from None
