"""The command `tracekmt matrix`."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tracekmt.cli.help import GroupedCommand, option_under
from tracekmt.cli.options import json_option
from tracekmt.cli.output import echo
from tracekmt.plural import plural

if TYPE_CHECKING:
    from tracekmt.matrix.outcomes import Summary

INTERRUPTED = 130
_MAX_NAMED = 10

_what = option_under("Targets")
_where = option_under("Where it runs")


@click.command("matrix", cls=GroupedCommand, short_help="Replay many traces on many targets, here or on a cluster.")
@click.argument("words", metavar="[FILE.toml | TRACE...]", nargs=-1, required=True)
@_what(
    "--on",
    multiple=True,
    metavar="TARGET",
    help="simulator, a profile, a machine file FILE.toml, thunks or thunks:LIBRARY, with options of `replay` after it: "
    "--on 'wsl --video-memory 64MB'. Repeatable.  [default: simulator]",
)
@_what(
    "--rules",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Rules for findings.  [default: [tool.tracekmt] in ./pyproject.toml]",
)
@_what("--runs", type=click.IntRange(min=1), metavar="N", help="Replay each pair N times, to find flaky ones.")
@_what("--retry", is_flag=True, help="Replay the pairs again that failed or were set aside.")
@_where(
    "--jobs", type=click.IntRange(min=1), metavar="N", help="Number of processes.  [default: one for each processor]"
)
@_where("--scheduler", metavar="ADDRESS", help="Replay on the workers of the dask cluster with this scheduler.")
@_where(
    "--resources",
    multiple=True,
    metavar="[TARGET:]NAME",
    help="Resource of a worker that a replay on thunks needs, or on TARGET, such as GPU. Repeatable.",
)
@_where("--shard", metavar="I/N", help="Replay part I of N of the pairs; `tracekmt merge` joins the folders.")
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Folder for the results. One of an earlier run goes on.",
)
@json_option
def command(
    words: tuple[str, ...],
    on: tuple[str, ...],
    rules: Path | None,
    runs: int | None,
    retry: bool,
    jobs: int | None,
    scheduler: str | None,
    resources: tuple[str, ...],
    shard: str | None,
    output: Path,
    as_json: bool,
) -> int:
    """Replay every TRACE on every TARGET, and write the results to FOLDER.

    TRACE is a file, a folder, a pattern such as 'traces/**/*.kmt', or a URL. FILE.toml lists traces and targets
    instead.

    A pair of a trace and a target that has a result is not replayed again, until the trace, the target, the rules or
    tracekmt change. Ctrl-C keeps the results so far, and the same command goes on.

    FOLDER has report.html, junit.xml, results.parquet and findings.parquet. The exit status is 2 if a pair has no
    result, else 1 if a pair differs or is flaky, else 0.
    """
    from tracekmt.cli.console import progress_bar
    from tracekmt.matrix.matrix import parse_shard, run_matrix
    from tracekmt.matrix.plan import parse_request
    from tracekmt.matrix.targets import add_resources

    request = parse_request(words, on, rules, runs)
    targets = list(request.targets)
    for resource in resources:
        targets = add_resources(targets, resource)
    summary, is_interrupted = run_matrix(
        replace(request, targets=targets),
        output,
        jobs=jobs or os.cpu_count() or 1,
        scheduler=scheduler,
        shard=None if shard is None else parse_shard(shard),
        retry=retry,
        on_progress=progress_bar,
    )
    print_summary(summary, output, as_json=as_json)
    if is_interrupted:
        echo("tracekmt: interrupted (run the same command again to go on)", err=True)
        return INTERRUPTED
    return summary.exit_status


def print_summary(summary: Summary, folder: Path, *, as_json: bool) -> None:
    """Print a summary: outcomes by target, pairs with a reason, and the page."""
    import json
    from itertools import islice

    from tracekmt.cli.console import print_table
    from tracekmt.matrix.outcomes import OUTCOMES
    from tracekmt.matrix.page import summary_text

    if as_json:
        special = [
            {"trace": trace, "target": pair.target, "outcome": outcome, "reason": reason, "command": pair.command}
            for (trace, outcome, reason), pairs in summary.special.items()
            for pair in pairs
        ]
        targets = {name: dict(summary.targets[name]) for name in summary.order if name in summary.targets}
        echo(json.dumps({"outcomes": dict(summary.counts), "targets": targets, "special": special}))
        return
    outcomes = [outcome for outcome in OUTCOMES if summary.counts[outcome]]
    rows = [
        (name, *(str(summary.targets[name][outcome] or "") for outcome in outcomes))
        for name in summary.order
        if name in summary.targets
    ]
    print_table(("target", *outcomes), rows)
    for (trace, outcome, reason), pairs in islice(summary.special.items(), _MAX_NAMED):
        target = pairs[0].target if len(pairs) == 1 else plural(len(pairs), "target")
        echo(f"{outcome}: {trace} on {target}: {reason}")
    if len(summary.special) > _MAX_NAMED:
        echo(f"and {len(summary.special) - _MAX_NAMED} more")
    echo(summary_text(summary))
    echo(f"{folder / 'report.html'} has all of them")
