"""tracekmt calls."""

from __future__ import annotations

import json

import click

from tracekmt.cli.options import json_option
from tracekmt.errors import UsageError


@click.command("calls", short_help="List the described functions, or tell one in full.")
@click.argument("name", required=False)
@json_option
def command(name: str | None, as_json: bool) -> int:
    """List the described functions; with NAME, every field of its argument, and what it creates and destroys."""
    from tracekmt.calls import CALLS, family_of
    from tracekmt.cli.console import print_table
    from tracekmt.spec.describe import describe

    if name is None:
        rows = [{"name": each, "family": family_of(each)} for each in CALLS]
        if as_json:
            click.echo(json.dumps(rows))
        else:
            print_table(("function", "family"), [(row["name"], row["family"]) for row in rows])
        return 0
    if name not in CALLS:
        raise UsageError(f"{name} is not described; tracekmt calls lists the functions that are")
    told = describe(CALLS[name], family_of(name))
    if as_json:
        click.echo(json.dumps(told))
        return 0
    click.echo(f"{told['name']}({told['structure']} *)  {told['size']['x64']} bytes, x86 {told['size']['x86']}")
    click.echo("    x64    x86  direction  field: type")
    for field in told["fields"]:
        notes = [f"length {field['length']}"] if field["length"] else []
        notes += [field["kind"]] if field["kind"] else []
        x64, x86 = ("+".join(map(str, field[abi])) for abi in ("x64", "x86"))
        note = f"  ({', '.join(notes)})" if notes else ""
        click.echo(f"{x64:>7}{x86:>7}  {field['direction']:<9}  {field['path']}: {field['type']}{note}")
        for bit, mask in (field["bits"] or {}).items():
            click.echo(f"{'':27}0x{mask:<8x} {bit}")
    for verb in ("creates", "destroys"):
        for each in told[verb]:
            when = f" when {' and '.join(each['when'])}" if each["when"] else ""
            click.echo(f"{verb} {each['kind']} at {each['path']}{when}")
    click.echo("statuses  " + ", ".join(told["statuses"]))
    for source in told["sources"]:
        click.echo(f"source    {source}")
    return 0
