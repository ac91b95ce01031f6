"""Generate pages of the documentation site: run by mkdocs-gen-files during `mkdocs build`.

The command reference comes from click, and the pages of the described functions from `tracekmt calls --markdown`. The
pages at the top of the repository are copied, with their links adapted.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator
from inspect import cleandoc
from pathlib import Path

import click
import mkdocs_gen_files
from click.testing import CliRunner

from tracekmt.cli import cli

ROOT = Path(__file__).parent.parent
COPIED = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "traces/README.md": "traces.md",
}
FUNCTIONS = "functions"
WIDE_PAGE = "---\nhide:\n  - toc\n---\n\n"
"""Front matter that leaves the room of the table of contents to the table of fields."""

_LINK = re.compile(r"\]\((?!https?:)([^)#]+)")


def write(path: str, text: str) -> None:
    """Add a page to the site."""
    with mkdocs_gen_files.open(path, "w") as page:
        page.write(text)


def run(*arguments: str) -> str:
    """Return the output of a tracekmt command."""
    result = CliRunner().invoke(cli, arguments, standalone_mode=False, catch_exceptions=False)
    return str(result.output)


def adapt_links(text: str, folder: Path) -> str:
    """Return the text of a page of a folder with its links as seen from the site."""

    def site_link(link: re.Match[str]) -> str:
        path = (folder / link[1]).as_posix()
        return f"]({COPIED.get(path, path.removeprefix('docs/'))}"

    return _LINK.sub(site_link, text)


def copy_pages() -> None:
    """Copy the pages at the top of the repository."""
    for source, page in COPIED.items():
        write(page, adapt_links((ROOT / source).read_text("utf-8"), Path(source).parent))


def command_lines(command: click.Command, context: click.Context) -> Iterator[str]:
    """Yield the Markdown lines of one command: its help, its usage and its options."""
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    yield from (f"## {context.command_path}", "", cleandoc(command.help or ""), "", "```text", usage, "```", "")
    yield from ("| option | effect |", "| --- | --- |")
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None and isinstance(parameter, click.Option):
            option, effect = (text.replace("|", "\\|") for text in record)
            yield f"| `{option}` | {effect} |"
    yield ""


def command_page() -> None:
    """Write the command reference."""
    group = click.Context(cli, info_name="tracekmt")
    lines = ["# Commands", "", "`tracekmt COMMAND --help` shows the same text.", "", *command_lines(cli, group)]
    for name in cli.list_commands(group):
        command = cli.get_command(group, name)
        assert command is not None
        lines += command_lines(command, click.Context(command, info_name=name, parent=group))
    write("commands.md", "\n".join(lines))


def function_pages() -> None:
    """Write a page for every described function, and an index with the number of modelled functions."""
    with tempfile.TemporaryDirectory() as folder:
        run("calls", "--markdown", folder)
        pages = {path.name: path.read_text("utf-8") for path in Path(folder).iterdir()}
    names = [spec["name"] for spec in json.loads(run("calls", "--json"))]
    modelled = [name for name in names if json.loads(run("calls", name, "--json"))["simulator"]["modelled"]]
    pages["index.md"] += f"\nThe simulator models {len(modelled)} of the {len(names)} functions.\n"
    for name, text in pages.items():
        write(f"{FUNCTIONS}/{name}", WIDE_PAGE + text if name.startswith("D3DKMT") else text)


copy_pages()
command_page()
function_pages()
