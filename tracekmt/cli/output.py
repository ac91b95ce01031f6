"""The gate of all output: no text from a file or a program reaches a terminal or a log raw."""

from __future__ import annotations

import re
import sys
from functools import lru_cache

import click

from tracekmt.printable import printable, printable_lines


def echo(text: object = "", *, err: bool = False) -> None:
    """Print lines, with escapes for what a terminal or a CI would act upon.

    Args:
        text: The lines.
        err: Print to stderr.
    """
    click.echo(_lines(str(text)), err=err)


def echo_styled(text: str, rest: str = "", *, colour: str | None = None, bold: bool = False) -> None:
    """Print a text in a style, followed by a plain rest of the line. The style appears on terminals only."""
    click.echo(click.style(_lines(text), fg=colour, bold=bold) + _lines(rest))


def _lines(text: str) -> str:
    """Return printable lines. A file name of the command line stays in one line, whatever characters it has."""
    for word in _words_with_line_breaks(tuple(sys.argv[1:])):
        text = text.replace(word, printable(word))
    return printable_lines(text)


@lru_cache(maxsize=1)
def _words_with_line_breaks(words: tuple[str, ...]) -> tuple[str, ...]:
    """Return the words of the command line, and the names in paths and options, that have a line break in them."""
    parts = {part for word in words for part in (word, *re.split("[/=]", word)) if "\n" in part and not part.isspace()}
    return tuple(sorted(parts, key=len, reverse=True))


def echo_command(line: str, *, err: bool = False) -> None:
    """Print a command to GitHub, whose contents are escaped."""
    click.echo(line, err=err)


def replace_line(text: str = "") -> None:
    """Replace the current line of the terminal at stderr."""
    click.echo(f"\r\x1b[K{printable(text)}", nl=False, err=True)
