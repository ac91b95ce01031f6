"""Options of several commands, and the output of reports."""

from __future__ import annotations

import json
import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from tracekmt.cli import BISECT_SKIP
from tracekmt.cli.help import option_under
from tracekmt.cli.output import echo, echo_command
from tracekmt.errors import UsageError
from tracekmt.findings import DIFF_SIDES
from tracekmt.plural import plural

if TYPE_CHECKING:
    from tracekmt.differ.policy import TracePair
    from tracekmt.findings import Report
    from tracekmt.report.comparison import Comparison

F = TypeVar("F", bound=Callable[..., Any])

CALLS_HELP = "17, 0-100, 0-100/2, 3,8,20-, a pattern of names, @file."

force_option = click.option("-f", "--force", is_flag=True, help="Overwrite existing output files.")
output_option = click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), metavar="FILE", help="Trace to write."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")

jobs_option = click.option(
    "--jobs",
    type=click.IntRange(min=1),
    metavar="N",
    help="Number of processes.  [default: one for each processor; one for a small file and on Windows]",
)

PROGRAM_SETTINGS = {"ignore_unknown_options": False, "allow_interspersed_args": False}
"""Settings of a command whose arguments are a program with its own options."""

_DIFFERENT = 1
_PATH = click.Path(path_type=Path)
_report = option_under("Report")
_simulator = option_under("Simulator")


def simulator_options(function: F) -> F:
    """Add the settings of a simulator to a command: profile, memory and injected failures."""
    options = (
        _simulator("--profile", metavar="NAME", help="windows, wddm1, wsl, wine, or a TOML file.  [default: windows]"),
        _simulator("--video-memory", metavar="SIZE", help="Video memory of each adapter: 64MB, 2GB."),
        _simulator("--system-memory", metavar="SIZE", help="Memory of the machine."),
        _simulator(
            "--fail",
            "faults",
            multiple=True,
            metavar="FUNCTION@N=STATUS",
            help="Inject a failure: call N of FUNCTION returns STATUS. N+M: also every Mth call after it. "
            "Append 'if in.FIELD > 1' for a condition. adapter@N=stopped, adapter:LUID@N=back, device@N=hung, "
            "video_memory@N=SIZE: change the machine before call N. Repeatable.",
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


def simulator_settings(
    profile: str | None, video_memory: str | None, system_memory: str | None, faults: tuple[str, ...]
) -> dict[str, Any]:
    """Return the values of `simulator_options` as keywords of a simulator. None is the default."""
    return {
        "profile": profile,
        "video_memory": video_memory,
        "system_memory": system_memory,
        "faults": faults or None,
    }


def report_options(*formats: str) -> Callable[[F], F]:
    """Return a decorator that adds the options of commands that compare.

    Args:
        formats: Formats of the printed report. The first one is the default.
    """
    options = (
        _report("--bisect", is_flag=True, help="For git bisect run: exit with 0 or 1, or with 125 to skip."),
        _report("--update-baseline", is_flag=True, help="Write the findings to the baseline, and accept them."),
        _report("--baseline", type=_PATH, metavar="FILE", help="Accept the known findings in FILE."),
        _report(
            "--rules",
            type=_PATH,
            metavar="FILE",
            help="Rules that ignore, tolerate or require findings.  [default: [tool.tracekmt] in ./pyproject.toml]",
        ),
        _report("--github", is_flag=True, help="Print annotations and write a step summary for GitHub."),
        _report("--html", type=_PATH, metavar="FILE", help="Write the report as an HTML page."),
        _report("--junit", type=_PATH, metavar="FILE", help="Write the report as JUnit XML."),
        _report(
            "--min-compared",
            default="1",
            metavar="N|N%",
            show_default=True,
            help="Exit with 2 if fewer calls were compared, as a number or a percentage of all calls.",
        ),
        _report("--json", "as_json", is_flag=True, help="Same as --format json."),
        _report(
            "--format",
            "report_format",
            type=click.Choice(formats),
            default=formats[0],
            show_default=True,
            help="Format of the printed report.",
        ),
    )

    def decorate(function: F) -> F:
        for option in options:
            function = option(function)
        return function

    return decorate


@dataclass
class ReportOptions:
    """Values of the report options.

    Attributes:
        report_format: "text", "json" or "summary".
        as_json: True for JSON.
        min_compared: Minimum number of compared calls, or percentage of all calls.
        junit: File for JUnit XML.
        html: File for the HTML page.
        github: Print annotations and write a step summary.
        rules: File with rules.
        baseline: File with known findings.
        update_baseline: Write the baseline.
        bisect: Exit with a status for `git bisect run`.
        force: Overwrite existing files.
    """

    report_format: str
    as_json: bool
    min_compared: str
    junit: Path | None
    html: Path | None
    github: bool
    rules: Path | None
    baseline: Path | None
    update_baseline: bool
    bisect: bool
    force: bool

    @property
    def prints_json(self) -> bool:
        """True if the printed report is JSON."""
        return self.as_json or self.report_format == "json"


def compare_and_report(compare: Callable[[], Report], traces: Sequence[Path], options: ReportOptions) -> int:
    """Run a comparison, apply the rules and the baseline, write the report, and return the exit status.

    Args:
        compare: Compares the traces.
        traces: The recording and, if it exists, the trace of the other side.
        options: The report options.
    """
    from tracekmt.calls import CALLS
    from tracekmt.differ.policy import TracePair, apply_policy, load_rules

    try:
        _least_compared(options.min_compared, 0)
        for path in (options.junit, options.html):
            refuse_existing_report(path, force=options.force)
        rules = load_rules(options.rules, CALLS.values())
        if options.update_baseline and options.baseline is None:
            raise UsageError("--update-baseline requires --baseline FILE")
        report = compare()
        with TracePair(traces) as calls:
            apply_policy(report, rules, options.baseline, calls.at(0), update=options.update_baseline)
            write_report(report, calls, options, _comparison(report, traces, options))
        _require_compared(report, options)
    except Exception as error:
        if not options.bisect:
            raise
        echo(f"tracekmt: {error}", err=True)
        return BISECT_SKIP
    return 0 if report.same else _DIFFERENT


def report_all(reports: Sequence[Report], options: ReportOptions) -> int:
    """Apply the rules to the reports of several traces, write them, and return the exit status.

    Raises:
        UsageError: An option is for one trace only, or too few calls were compared.
    """
    from tracekmt.calls import CALLS
    from tracekmt.differ.policy import TracePair, apply_policy, load_rules
    from tracekmt.report.share import share_text
    from tracekmt.report.text import report_lines

    if options.html or options.baseline or options.github:
        raise UsageError("--html, --baseline and --github are for one trace")
    rules = load_rules(options.rules, CALLS.values())
    for report in reports:
        with TracePair((Path(report.names[0]),)) as calls:
            apply_policy(report, rules, None, calls.at(0), update=False)
    same = all(report.same for report in reports)
    if options.prints_json:
        rows = [{"trace": report.names[0], **report.to_dict()} for report in reports]
        echo(json.dumps({"same": same, "reports": rows}))
    elif str(options.junit) != "-":
        for report in reports:
            echo("\n".join([*report_lines(report), ""]))
        others: dict[str, Counter[str]] = defaultdict(Counter)
        for reason, functions in (item for report in reports for item in report.not_compared.items()):
            others[reason].update(functions)
        total, compared = sum(report.total for report in reports), sum(report.calls.compared for report in reports)
        echo(f"{plural(len(reports), 'trace')}: {share_text(total, compared, others.items())}")
    if options.junit is not None:
        from tracekmt.report.junit import junit

        refuse_existing_report(options.junit, force=options.force)
        _write(options.junit, junit(*reports))
    for report in reports:
        _require_compared(report, options)
    return 0 if same else _DIFFERENT


def refuse_existing_report(path: Path | None, *, force: bool) -> None:
    """Raise UsageError for an existing file that is not to be overwritten."""
    from tracekmt.trace.writer import refuse_existing

    if path is not None and str(path) != "-":
        refuse_existing(path, force=force)


def _require_compared(report: Report, options: ReportOptions) -> None:
    """Raise UsageError if too few calls were compared, or the replay stopped."""
    if report.calls.compared < _least_compared(options.min_compared, report.total):
        compared = f"{report.calls.compared} of {plural(report.total, 'call')}"
        raise UsageError(
            f"{report.names[0]}: compared only {compared}, but --min-compared requires {options.min_compared}"
        )
    if report.stopped is not None and report.same:
        raise UsageError(f"{report.names[0]}: stopped {report.stopped}")


def _least_compared(text: str, total: int) -> float:
    """Return the number of calls that must be compared, at least 1.

    Raises:
        UsageError: The text is neither a number nor a percentage.
    """
    match = re.fullmatch(r"(\d+)|(\d+(?:\.\d+)?)%", text)
    if match is None or (match[1] and int(match[1]) < 1) or (match[2] and not 0 < float(match[2]) <= 100):
        raise UsageError(f"invalid --min-compared: {text} (expected a number from 1, or a percentage such as 95%)")
    return int(match[1]) if match[1] else max(float(match[2]) * total / 100, 1)


def _comparison(report: Report, traces: Sequence[Path], options: ReportOptions) -> Comparison | None:
    """Return the numbers of the two traces of a diff, if a requested format shows them."""
    if report.sides != DIFF_SIDES or not (options.html or options.report_format == "summary"):
        return None
    from tracekmt.cli.console import progress_bar
    from tracekmt.report.comparison import compare_numbers

    with progress_bar("counting") as on_progress:
        return compare_numbers(traces[0], traces[1], on_progress)


def write_report(
    report: Report, calls: TracePair, options: ReportOptions, comparison: Comparison | None = None
) -> None:
    """Print a report, and write it in the other requested formats."""
    from tracekmt.report.text import report_lines

    if "-" in (str(options.junit), str(options.html)):
        pass  # Standard output has that format.
    elif options.prints_json:
        echo(json.dumps(report.to_dict()))
    else:
        if options.report_format == "summary" and comparison is not None:
            _print_comparison(comparison)
        for line in report_lines(report):
            echo(line)
    if options.junit is not None:
        from tracekmt.report.junit import junit

        _write(options.junit, junit(report))
    if options.html is not None:
        from tracekmt.report.html import html_page

        _write(options.html, html_page(report, calls.at(0), calls.at(1), comparison))
    if options.github:
        from tracekmt.report.github import annotation_lines, write_summary

        for line in annotation_lines(report):
            echo_command(line, err=options.prints_json)
        if "GITHUB_STEP_SUMMARY" in os.environ:
            write_summary(report, Path(os.environ["GITHUB_STEP_SUMMARY"]))


def _print_comparison(comparison: Comparison) -> None:
    from tracekmt.calls import EXPORT_PREFIXES
    from tracekmt.cli.console import print_table
    from tracekmt.report.comparison import FUNCTION_COLUMNS, OBJECT_COLUMNS

    print_table(("", "A", "B"), comparison.origin_rows())
    facts = list(comparison.fact_rows())
    if facts:
        print_table(("answers that differ", "A", "B"), facts)
    rows = ((name.removeprefix(EXPORT_PREFIXES[0]), *cells) for name, *cells in comparison.function_rows())
    print_table(FUNCTION_COLUMNS, rows)
    print_table(OBJECT_COLUMNS, comparison.object_rows())


def _write(path: Path, text: str) -> None:
    try:
        with click.open_file(str(path), "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from None
