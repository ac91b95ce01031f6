"""tracekmt convert."""

from __future__ import annotations

from pathlib import Path

import click

from tracekmt.cli.options import CALLS_HELP, force_option
from tracekmt.errors import UsageError

FORMS = ("kmt", "jsonl", "c")


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
@click.option("--calls", "calls", metavar="SET", help=f"Of a reproducer, the calls that it makes: {CALLS_HELP}")
@click.option(
    "--from",
    "trace",
    type=click.Path(path_type=Path),
    metavar="TRACE",
    help="FILE is what the reproducer of this trace printed.",
)
@click.option("--redact", is_flag=True, help="Take out names, paths and private data; lengths and hashes stay.")
@force_option
def command(
    file: Path, output: Path, form: str | None, calls: str | None, trace: Path | None, redact: bool, force: bool
) -> int:
    """Write FILE in another form, by the two endings: .kmt is a trace, .jsonl is lines of JSON, .c is a reproducer.

    A trace that becomes lines of JSON and a trace again is the same trace. A .kmt from an older version of the format
    becomes one of this version.

    A reproducer is one file of C that makes the calls again, prints what they gave, and exits with 1 where that is not
    what was recorded. What it printed becomes a trace with --from, for tracekmt diff.
    """
    from tracekmt.cli.console import progress_bar, warn
    from tracekmt.convert import convert
    from tracekmt.text.call_set import parse_calls

    to = form or _form(output)
    if str(output) == "-" and to == "kmt":
        raise UsageError("a trace is no text; give -o the name of a file")
    if trace is not None:
        return _read_back(file, trace, output, to, bool(calls or redact), force=force)
    chosen = parse_calls(calls) if calls is not None else None
    with progress_bar("converting") as on_progress:
        done = convert(file, output, to, calls=chosen, redact=redact, force=force, on_progress=on_progress)
    warn(done.warning)
    if str(output) != "-":
        click.echo(f"{output}: {done.calls} calls", err=True)
    return 0


def _read_back(printed: Path, trace: Path, output: Path, to: str, more: bool, *, force: bool) -> int:
    from tracekmt.convert.c.output_target import read_back

    if to != "kmt" or more:
        raise UsageError("--from makes a trace (.kmt) of a printout, and goes with neither --calls nor --redact")
    report = read_back(printed, trace, output, force=force)
    click.echo(f"{output}: {report.calls.compared} calls", err=True)
    return 0


def _form(path: Path) -> str:
    form = path.suffix[1:].lower()
    if form not in FORMS:
        endings = ", ".join(f".{each}" for each in FORMS)
        raise UsageError(f"{path}: the name does not say what to write; end it in {endings}, or give --to")
    return form
