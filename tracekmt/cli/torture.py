"""The command `tracekmt torture`."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tracekmt.cli.help import GroupedCommand
from tracekmt.cli.options import PROGRAM_SETTINGS, json_option
from tracekmt.cli.output import echo
from tracekmt.errors import UsageError

if TYPE_CHECKING:
    from tracekmt.torture.run import Result

_FOUND = 1


@click.command(
    "torture",
    cls=GroupedCommand,
    short_help="Let each call of a program fail once, and see what becomes of it.",
    context_settings=PROGRAM_SETTINGS,
)
@click.argument("program", nargs=-1, required=True, type=click.UNPROCESSED)
@click.option("--cases", default=100, type=click.IntRange(min=1), metavar="N", help="Number of runs.  [default: 100]")
@click.option("--functions", multiple=True, metavar="GLOB", help="Let only these functions fail. Repeatable.")
@click.option("--module", multiple=True, metavar="LIBRARY", help="Hook the exports of LIBRARY. Repeatable.")
@click.option("--limit", default="60s", show_default=True, metavar="TIME", help="Time limit of a run.")
@click.option(
    "--jobs", default=1, type=click.IntRange(min=1), metavar="N", help="Number of programs at once.  [default: 1]"
)
@click.option("--all", "is_whole", is_flag=True, help="List every run.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="New folder for traces, output and the page.  [default: torture-TIME]",
)
@json_option
def command(
    program: tuple[str, ...],
    cases: int,
    functions: tuple[str, ...],
    module: tuple[str, ...],
    limit: str,
    jobs: int,
    is_whole: bool,
    output: Path | None,
    as_json: bool,
) -> int:
    """Run PROGRAM again and again, with one failing call each.

    PROGRAM and its arguments follow after --. The first run learns its calls. Then the first, the last and the middle
    call of each function fail with each documented status, as with `record --inject`.

    A program goes on, ends with another status, crashes or hangs, and may leave objects behind. FOLDER has the trace
    and the output of each run, and report.html. A listed command repeats a run. The table counts runs by function.

    The exit status is 1 if the program crashed or hung, 2 if it cannot be recorded, and 0 otherwise.
    """
    from tracekmt.cli.console import print_table
    from tracekmt.record.interrupt import interrupt_as_ctrl_c
    from tracekmt.text.units import parse_duration
    from tracekmt.torture import report
    from tracekmt.torture.run import BAD, torture

    seconds = parse_duration(limit)
    folder = output or Path(f"torture-{time.strftime('%Y%m%dT%H%M%S')}")
    try:
        folder.mkdir()
    except OSError as error:
        raise UsageError(f"cannot create {folder}: {error.strerror}") from None
    options = [word for library in module for word in ("--module", library)]
    with interrupt_as_ctrl_c():
        baseline, results = torture(
            program,
            folder,
            functions=functions,
            limit=cases,
            seconds=seconds,
            jobs=jobs,
            record_options=options,
            on_result=_print_progress,
        )
    (folder / "report.html").write_text(report.page(f"torture of {program[0]}", baseline, results), "utf-8")
    if as_json:
        echo(json.dumps(report.to_data(baseline, results)))
    else:
        print_table(report.COLUMNS, report.function_rows(baseline, results))
        if is_whole:
            print_table(("case", "fault", "outcome", "leaks"), report.case_rows(baseline, results))
        for line in report.detail_lines(results):
            echo(line)
        echo(report.summary_line(results))
        echo(f"{folder / 'report.html'} has all of them")
    return _FOUND if any(result.outcome in BAD for result in results) else 0


def _print_progress(result: Result, total: int) -> None:
    from tracekmt.torture.report import outcome_text

    if result.case is not None and sys.stderr is not None and sys.stderr.isatty():
        echo(f"case {result.case.number} of {total}: {result.case.fault}: {outcome_text(result)}", err=True)
