"""The command `tracekmt doctor`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from tracekmt.cli.options import force_option, json_option
from tracekmt.cli.output import echo, echo_styled
from tracekmt.errors import UsageError

_MARKS = {True: ("yes", "green"), False: ("no", "red"), None: ("note", "yellow")}


@click.command("doctor", short_help="Check what this machine can record and replay.")
@click.option("-p", "--pid", type=int, metavar="PID", help="Check this process, too.")
@click.option("--selftest", is_flag=True, help="Record and replay small programs, and pack the results.")
@click.option("--clean", is_flag=True, help="Remove the buffers that killed recorders left behind, with their calls.")
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE.zip", help="Results of --selftest.")
@force_option
@json_option
def command(pid: int | None, selftest: bool, clean: bool, output: Path | None, force: bool, as_json: bool) -> int:
    """Check what this machine can record and replay, and print a remedy for each problem.

    With -p, also check whether a process can be recorded.
    """
    if selftest and output is None:
        raise UsageError("--selftest requires -o FILE.zip")
    if clean:
        if selftest or pid is not None or output is not None or as_json:
            raise UsageError("--clean takes no other option")
        return _clean()
    if output is not None:
        if not selftest:
            raise UsageError("-o requires --selftest")
        return _selftest(output, force=force)
    from tracekmt.cli.console import fit
    from tracekmt.doctor.checks import examine_machine, examine_process
    from tracekmt.printable import printable

    checks = list(examine_machine())
    if pid is not None:
        checks += examine_process(pid)
    if as_json:
        echo(json.dumps([check.to_dict() for check in checks]))
        return 0
    for check in checks:
        mark, colour = _MARKS[check.ok]
        advice = f"; {check.advice}" if check.advice else ""
        for line in fit(printable(f"{mark:<5}{check.name:<12}{check.finding}{advice}")):
            echo_styled(line[:5], line[5:], colour=colour)
    return 0


def _clean() -> int:
    from tracekmt.doctor.leftovers import leftover_buffers
    from tracekmt.plural import plural
    from tracekmt.record.buffer.shared_buffer import default_folder

    failures = 0
    leftovers = leftover_buffers(default_folder())
    for leftover in leftovers:
        try:
            leftover.path.unlink()
            echo(f"removed {leftover.path} ({leftover.size >> 20:,} MB)")
        except OSError as error:
            failures += 1
            echo(f"cannot remove {leftover.path}: {error.strerror}", err=True)
    echo(f"{plural(len(leftovers) - failures, 'leftover buffer')} removed from {default_folder()}", err=True)
    return 2 if failures else 0


def _selftest(output: Path, *, force: bool) -> int:
    from tracekmt.doctor.selftest import selftest

    is_ok = selftest(output, force=force, say=lambda line: echo(line, err=True))
    echo(f"{output}: {'all parts work' if is_ok else 'some parts failed (see summary.json)'}")
    return 0 if is_ok else 1
