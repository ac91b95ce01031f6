"""The command `tracekmt report`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from tracekmt.cli.options import force_option, json_option
from tracekmt.cli.output import echo
from tracekmt.errors import UsageError


@click.command("report", short_help="Write an overview of a trace as a page with charts.")
@click.argument("trace", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, allow_dash=True),
    metavar="FILE",
    help="HTML page to write, or - for standard output.",
)
@force_option
@json_option
def command(trace: Path, output: Path | None, force: bool, as_json: bool) -> int:
    """Write an overview of TRACE as one HTML page, which needs no network and no scripts.

    The page has calls over time, failures, the slowest calls, memory against budgets, objects, leaks, threads and the
    origin of the trace. --json prints the numbers.
    """
    from tracekmt.cli.console import progress_bar, warn
    from tracekmt.edit.copy import refuse_output, replace_on_success
    from tracekmt.overview.gather import gather
    from tracekmt.overview.page import page
    from tracekmt.trace.reader import Trace

    if output is None and not as_json:
        raise UsageError("report requires a page to write (-o FILE.html), or --json")
    is_stdout = str(output) == "-"
    if is_stdout and as_json:
        raise UsageError("cannot write a page and JSON to standard output (use -o FILE.html)")
    if output is not None and not is_stdout:
        refuse_output(trace, output, force=force)
    with Trace(trace) as opened, progress_bar("counting") as on_progress:
        data = gather(opened, on_progress=on_progress)
    if is_stdout:
        echo(page(data).removesuffix("\n"))
    elif output is not None:
        with replace_on_success(output) as part:
            part.write_text(page(data), "utf-8", errors="backslashreplace", newline="\n")
    if as_json:
        echo(json.dumps(data, default=repr))
    warn(opened.warning)
    return 0
