"""Options that several commands have, and what they do with a report."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from tracekmt.cli import BISECT_SKIP
from tracekmt.errors import UsageError

if TYPE_CHECKING:
    from tracekmt.differ.policy import TracePair
    from tracekmt.findings import Report

F = TypeVar("F", bound=Callable[..., Any])

force_option = click.option("-f", "--force", is_flag=True, help="Overwrite an existing output file.")
output_option = click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), metavar="FILE", help="The new trace."
)
CALLS_HELP = "17, 0-100, 0-100/2, 3,8,20-, a pattern, @file."
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")

_DIFFERENT = 1
_PATH = click.Path(path_type=Path)


def report_options(function: F) -> F:
    """The options of commands that compare."""
    for option in (
        click.option("--bisect", is_flag=True, help="Exit with 0, 1, or 125 for 'cannot tell', for git bisect run."),
        click.option("--update-baseline", is_flag=True, help="Write the findings to the baseline, and accept them."),
        click.option("--baseline", type=_PATH, metavar="FILE", help="Known findings, which are accepted."),
        click.option(
            "--rules",
            type=_PATH,
            metavar="FILE",
            help="What differences to ignore, tolerate, demand.  [default: [tool.tracekmt] of ./pyproject.toml]",
        ),
        click.option("--github", is_flag=True, help="Annotations and a step summary for GitHub."),
        click.option("--html", type=_PATH, metavar="FILE", help="Write the report as a page."),
        click.option("--junit", type=_PATH, metavar="FILE", help="Write the report as JUnit XML."),
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


@dataclass
class ReportOptions:
    """What the report options ask for."""

    form: str
    as_json: bool
    min_compared: int
    junit: Path | None
    html: Path | None
    github: bool
    rules: Path | None
    baseline: Path | None
    update_baseline: bool
    bisect: bool
    force: bool


def compare_and_report(compare: Callable[[], Report], traces: Sequence[Path], views: ReportOptions) -> int:
    """Run a comparison of traces, have rules and baseline decide about it, show it, and give the exit status."""
    from tracekmt.calls import CALLS
    from tracekmt.differ.policy import TracePair, apply_policy, load_rules
    from tracekmt.trace.writer import refuse_existing

    try:
        for path in (views.junit, views.html):
            if path is not None and str(path) != "-":
                refuse_existing(path, force=views.force)
        rules = load_rules(views.rules, CALLS.values())
        if views.update_baseline and views.baseline is None:
            raise UsageError("--update-baseline writes the file that --baseline names")
        report = compare()
        with TracePair(traces) as calls:
            apply_policy(report, rules, views.baseline, calls.at(0), update=views.update_baseline)
            show(report, calls, views)
        if report.calls.compared < views.min_compared:
            raise UsageError(
                f"{report.names[0]}: {report.calls.compared} calls were compared, {views.min_compared} at least are "
                "demanded"
            )
        if report.stopped is not None and report.same:
            raise UsageError(f"{report.names[0]}: stopped {report.stopped}")
    except Exception as error:
        if not views.bisect:
            raise
        click.echo(f"tracekmt: {error}", err=True)
        return BISECT_SKIP
    return 0 if report.same else _DIFFERENT


def show(report: Report, calls: TracePair, views: ReportOptions) -> None:
    """A report in every form that is asked for."""
    from tracekmt.report.text import report_lines

    if "-" in (str(views.junit), str(views.html)):
        pass  # that is what is printed
    elif views.as_json or views.form == "json":
        click.echo(json.dumps(report.to_dict()))
    else:
        for line in report_lines(report):
            click.echo(line)
    if views.junit is not None:
        from tracekmt.report.junit import junit

        _write(views.junit, junit(report))
    if views.html is not None:
        from tracekmt.report.html import html_page

        _write(views.html, html_page(report, calls.at(0), calls.at(1)))
    if views.github:
        from tracekmt.report.github import annotation_lines, write_summary

        for line in annotation_lines(report):
            click.echo(line, err=views.as_json or views.form == "json")
        if "GITHUB_STEP_SUMMARY" in os.environ:
            write_summary(report, Path(os.environ["GITHUB_STEP_SUMMARY"]))


def _write(path: Path, text: str) -> None:
    try:
        with click.open_file(str(path), "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}") from None
