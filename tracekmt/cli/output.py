"""The gate of all output: no text from a file or a program reaches a terminal or a log raw."""

from __future__ import annotations

import click

from tracekmt.printable import printable, printable_lines


def echo(text: object = "", *, err: bool = False) -> None:
    """Print lines, with escapes for what a terminal or a CI would act upon.

    Args:
        text: The lines.
        err: Print to stderr.
    """
    click.echo(printable_lines(str(text)), err=err)


def echo_styled(text: str, rest: str = "", *, colour: str | None = None, bold: bool = False) -> None:
    """Print a text in a style, followed by a plain rest of the line. The style appears on terminals only."""
    click.echo(click.style(printable_lines(text), fg=colour, bold=bold) + printable_lines(rest))


def echo_command(line: str, *, err: bool = False) -> None:
    """Print a command to GitHub, whose contents are escaped."""
    click.echo(line, err=err)


def replace_line(text: str = "") -> None:
    """Replace the current line of the terminal at stderr."""
    click.echo(f"\r\x1b[K{printable(text)}", nl=False, err=True)
