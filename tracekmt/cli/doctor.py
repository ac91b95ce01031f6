"""tracekmt doctor."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import click

from tracekmt.cli.options import force_option, json_option
from tracekmt.errors import UsageError

_MARKS = {True: ("yes", "green"), False: ("no", "red"), None: ("note", "yellow")}


@click.command("doctor", short_help="Say what can be recorded and replayed on here, and why not.")
@click.option("-p", "--pid", type=int, metavar="PID", help="A process, too.")
@click.option("--selftest", is_flag=True, help="Record and replay small programs, and pack what came of it.")
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Where --selftest packs it.")
@force_option
@json_option
def command(pid: int | None, selftest: bool, output: Path | None, force: bool, as_json: bool) -> int:
    """Look at this machine, and with -p at a process: what can be recorded, and what to do where it cannot."""
    if selftest != (output is not None):
        raise UsageError("--selftest goes with -o FILE.zip")
    if output is not None:
        from tracekmt.doctor.selftest import selftest as run_selftest

        whole = run_selftest(output, force=force, say=lambda line: click.echo(line, err=True))
        click.echo(f"{output}: {'everything works' if whole else 'not everything works; summary.json in it says what'}")
        return 0 if whole else 1
    from tracekmt.cli.console import fit
    from tracekmt.doctor.checks import examine_machine, examine_process
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
