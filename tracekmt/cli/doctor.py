"""tracekmt doctor."""

from __future__ import annotations

import dataclasses
import json

import click

from tracekmt.cli.options import json_option

_MARKS = {True: ("yes", "green"), False: ("no", "red"), None: ("note", "yellow")}


@click.command("doctor", short_help="Say what can be recorded and replayed on here, and why not.")
@click.option("-p", "--pid", type=int, metavar="PID", help="A process, too.")
@json_option
def command(pid: int | None, as_json: bool) -> int:
    """Look at this machine, and with -p at a process: what can be recorded, and what to do where it cannot."""
    from tracekmt.cli.console import fit
    from tracekmt.record.doctor import examine_machine, examine_process
    from tracekmt.report.calls import printable

    checks = list(examine_machine())
    if pid is not None:
        checks += examine_process(pid)
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(check) for check in checks]))
        return 0
    for check in checks:
        mark, colour = _MARKS[check.ok]
        advice = f"; {check.advice}" if check.advice else ""
        for line in fit(printable(f"{mark:<5}{check.what:<12}{check.found}{advice}")):
            click.echo(click.style(line[:5], fg=colour) + line[5:])
    return 0
