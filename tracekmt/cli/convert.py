"""The command `tracekmt convert`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from tracekmt.cli.options import CALLS_HELP, force_option, jobs_option
from tracekmt.cli.output import echo
from tracekmt.errors import UsageError
from tracekmt.plural import plural

BINARY_FORMS = ("pftrace", "parquet")
FORMS = ("kmt", "jsonl", "c", *BINARY_FORMS)


@click.command("convert", short_help="Convert a trace to JSON lines, C, Perfetto or Parquet.")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path, allow_dash=True),
    metavar="FILE",
    help="File to write, or - for standard output.",
)
@click.option("--to", "form", type=click.Choice(FORMS), help="Output format.  [default: the ending of the output]")
@click.option("--calls", "calls", metavar="SET", help=f"Calls of a reproducer: {CALLS_HELP}")
@click.option(
    "--from",
    "trace",
    type=click.Path(path_type=Path),
    metavar="TRACE",
    help="FILE is the output of the reproducer of TRACE.",
)
@click.option(
    "--allow",
    multiple=True,
    metavar="GLOB",
    help="Functions that a reproducer calls in spite of side effects. Repeatable.",
)
@click.option("--redact", is_flag=True, help="Remove names, paths and private data. Lengths and hashes remain.")
@jobs_option
@force_option
def command(
    file: Path,
    output: Path,
    form: str | None,
    calls: str | None,
    trace: Path | None,
    allow: tuple[str, ...],
    redact: bool,
    jobs: int | None,
    force: bool,
) -> int:
    """Convert FILE. The endings name the formats: .kmt, .jsonl (JSON lines), .c (a reproducer), .pftrace (Perfetto),
    .parquet (a table of calls).

    The conversion of a trace to JSON lines and back gives an equal trace. A .kmt of an older format version is
    converted to the current version.

    A reproducer is a C program that makes the calls of a trace and prints the outcomes. It exits with 1 if an outcome
    differs from the recording. --from converts its output into a trace for tracekmt diff.

    A Perfetto trace shows calls, objects, memory and flows on a time line. https://ui.perfetto.dev opens it.

    Of --to parquet and an output without the ending .parquet, the output is a folder of tables: calls, the arguments of
    each function, objects and residency.
    """
    from tracekmt.cli.console import progress_bar, warn
    from tracekmt.convert import convert
    from tracekmt.text.call_set import parse_calls

    to = form or _form(output)
    if str(output) == "-" and to == "kmt":
        raise UsageError("cannot write a trace to standard output (use -o FILE.kmt)")
    if str(output) == "-" and to in BINARY_FORMS and sys.stdout.isatty():
        raise UsageError(f"cannot write .{to} to a terminal (use -o FILE.{to}, or a pipe)")
    if trace is not None:
        return _read_back(file, trace, output, to, bool(calls or allow or redact), force=force)
    call_set = parse_calls(calls) if calls is not None else None
    with progress_bar("converting") as on_progress:
        result = convert(
            *(file, output, to),
            calls=call_set,
            allow=allow,
            redact=redact,
            force=force,
            jobs=jobs,
            on_progress=on_progress,
        )
    warn(result.warning)
    if str(output) != "-":
        echo(f"{output}: {plural(result.calls, 'call')}", err=True)
    return 0


def _read_back(printed: Path, trace: Path, output: Path, to: str, has_filters: bool, *, force: bool) -> int:
    from tracekmt.convert.c.output_target import read_back

    if to != "kmt" or has_filters:
        raise UsageError("--from requires a trace (.kmt) as output, without --calls, --allow and --redact")
    report = read_back(printed, trace, output, force=force)
    echo(f"{output}: {plural(report.calls.compared, 'call')}", err=True)
    return 0


def _form(path: Path) -> str:
    form = path.suffix[1:].lower()
    if form not in FORMS:
        endings = ", ".join(f".{form}" for form in FORMS)
        raise UsageError(f"unknown format of {path} (expected the ending {endings}, or use --to)")
    return form
