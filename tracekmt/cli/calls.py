"""tracekmt calls."""

from __future__ import annotations

import json
from pathlib import Path

import click

from tracekmt.cli.options import json_option
from tracekmt.errors import UsageError


@click.command("calls", short_help="List the described functions, or tell one in full.")
@click.argument("name", required=False)
@json_option
@click.option(
    "--markdown",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Write a page for every function into FOLDER, and an index.",
)
def command(name: str | None, as_json: bool, folder: Path | None) -> int:
    """List the described functions by family; with NAME, every field of its argument, what it creates and destroys, how
    the simulator answers it, and where that is known from."""
    from tracekmt.calls import CALLS, FAMILIES, family_of
    from tracekmt.report.descriptions import coverage_lines, description_lines
    from tracekmt.simulator.simulator import describe_rules
    from tracekmt.spec.describe import describe

    if folder is not None:
        if name is not None or as_json:
            raise UsageError("--markdown writes about every function; give it alone")
        return _write_pages(folder)
    if name is None:
        if as_json:
            click.echo(json.dumps([{"name": each, "family": family_of(each)} for each in CALLS]))
            return 0
        for family, members in FAMILIES.items():
            click.echo(click.style(family, bold=True))
            for call in members:
                click.echo(f"    {call.name}")
        click.echo("\n" + "\n".join(coverage_lines(CALLS.values())))
        return 0
    if name not in CALLS:
        raise UsageError(f"{name} is not described; tracekmt calls lists the functions that are")
    told = {**describe(CALLS[name], family_of(name)), "simulator": describe_rules(name)}
    click.echo(json.dumps(told) if as_json else "\n".join(description_lines(told)))
    return 0


def _write_pages(folder: Path) -> int:
    from tracekmt.calls import CALLS, FAMILIES, family_of
    from tracekmt.report.descriptions import markdown_index, markdown_page
    from tracekmt.simulator.simulator import describe_rules
    from tracekmt.spec.describe import describe

    pages = {
        f"{name}.md": markdown_page({**describe(call, family_of(name)), "simulator": describe_rules(name)})
        for name, call in CALLS.items()
    }
    pages["index.md"] = markdown_index(FAMILIES)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for page, text in pages.items():
            (folder / page).write_text(text, "utf-8")
    except OSError as error:
        raise UsageError(f"{folder}: cannot be written: {error.strerror}") from None
    click.echo(f"{folder}: {len(pages)} pages; begin with {folder / 'index.md'}")
    return 0
