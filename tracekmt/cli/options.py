"""Options that several commands have, and what they do with a report."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from tracekmt.cli import BISECT_SKIP
from tracekmt.errors import UsageError

if TYPE_CHECKING:
    from tracekmt.report.findings import Report

F = TypeVar("F", bound=Callable[..., Any])

force_option = click.option("-f", "--force", is_flag=True, help="Overwrite an existing output file.")
output_option = click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), metavar="FILE", help="The new trace."
)
CALLS_HELP = "17, 0-100, 0-100/2, 3,8,20-, a pattern, @file."
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")

_DIFFERENT = 1


def report_options(function: F) -> F:
    """The options of commands that compare."""
    for option in (
        click.option("--bisect", is_flag=True, help="Exit with 0, 1, or 125 for 'cannot tell', for git bisect run."),
        click.option(
            "--min-compared",
            type=click.IntRange(min=1),
            default=1,
            metavar="N",
            show_default=True,
            help="Exit with 2 if fewer calls were compared.",
        ),
        click.option("--json", "as_json", is_flag=True, help="Short for --format json."),
        click.option(
            "--format",
            "form",
            type=click.Choice(["text", "json"]),
            default="text",
            show_default=True,
            help="How to print the report.",
        ),
    ):
        function = option(function)
    return function


def compare_and_report(
    compare: Callable[[], Report], *, form: str, as_json: bool, min_compared: int, bisect: bool
) -> int:
    """Run a comparison, print its report, and give the exit status."""
    try:
        report = compare()
        print_report(report, "json" if as_json else form)
        if report.calls.compared < min_compared:
            raise UsageError(
                f"{report.names[0]}: {report.calls.compared} calls were compared, {min_compared} at least are demanded"
            )
    except Exception as error:
        if not bisect:
            raise
        click.echo(f"tracekmt: {error}", err=True)
        return BISECT_SKIP
    return 0 if report.same else _DIFFERENT


def print_report(report: Report, form: str) -> None:
    """A report on standard output."""
    from tracekmt.report.text import report_lines

    if form == "json":
        click.echo(json.dumps(report.to_dict()))
        return
    for line in report_lines(report):
        click.echo(line)
