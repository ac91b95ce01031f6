"""The command `tracekmt info`."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from tracekmt.cli.options import json_option
from tracekmt.cli.output import echo


@click.command("info", short_help="Show the origin, the completeness and the functions of a trace.")
@click.argument("traces", metavar="TRACE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--modules", "with_modules", is_flag=True, help="List the modules of the process, too.")
@json_option
def command(traces: tuple[Path, ...], with_modules: bool, as_json: bool) -> int:
    """Show the origin of TRACE, its completeness, its machine, and its calls by function and status.

    Of several traces, it also shows the global handles with the calls that made and opened them.
    """
    from tracekmt.machine.learn import learn_machine, machine_lines
    from tracekmt.replayer.together import shared_handles
    from tracekmt.report.summary import summarise
    from tracekmt.trace.reader import Trace

    with ExitStack() as stack:
        opened = [stack.enter_context(Trace(trace)) for trace in traces]
        summaries = [{**summarise(trace), "learned": learn_machine(trace)} for trace in opened]
        shared = shared_handles(opened) if len(opened) > 1 else []
    if as_json:
        data = summaries[0] if len(summaries) == 1 else {"traces": summaries, "shared": shared}
        echo(json.dumps(data, default=repr))
        return 0
    for summary in summaries:
        _print_summary(summary, list(machine_lines(summary["learned"])), with_modules=with_modules)
    _print_shared(shared)
    return 0


def _print_summary(summary: dict[str, Any], machine: list[str], *, with_modules: bool) -> None:
    from tracekmt.cli.console import print_table
    from tracekmt.printable import printable
    from tracekmt.report.summary import summary_lines

    for line in summary_lines(summary):
        echo(line)
    for line in machine:
        echo(printable(f"{'machine':<14}{line}"))
    if with_modules:
        print_table(
            ("module", "base", "bytes", "path"),
            [(module["name"], module["base"], f"{module['size']:,}", module["path"]) for module in summary["modules"]],
        )
    print_table(
        ("function", "status", "calls"),
        [(entry["call"], entry["status"], str(entry["count"])) for entry in summary["functions"]],
    )


def _print_shared(shared: list[dict[str, Any]]) -> None:
    from tracekmt.cli.console import print_table

    def ends(entries: list[dict[str, Any]]) -> str:
        return ", ".join(f"{Path(entry['trace']).name} #{entry['index']}" for entry in entries) or "-"

    if shared:
        rows = [(row["handle"], ends(row["made"]), ends(row["opened"])) for row in shared]
        print_table(("shared handle", "made by", "opened by"), rows)
