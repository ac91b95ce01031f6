"""Tables and progress on a terminal."""

from __future__ import annotations

import shutil
import sys
import textwrap
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

import click

_SHOWN_SECONDS = 0.1
_NARROWEST = 40
_NUMBERS = ("calls", "time", "mean", "bytes", "made", "ended")


def print_table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table without lines, as wide as the terminal allows. What stands in it is data, never markup."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from tracekmt.report.calls import printable

    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for header in headers:
        table.add_column(header, overflow="fold", justify="right" if header in _NUMBERS else "left")
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    Console(highlight=False).print(table)


def warn(warning: str | None) -> None:
    """Something to know, on stderr, if there is anything."""
    if warning:
        click.echo(f"tracekmt: {warning}", err=True)


def fit(line: str) -> list[str]:
    """A line as it fits the terminal: what is too long goes on below, further in. As it is where there is none."""
    width = shutil.get_terminal_size().columns if sys.stdout is not None and sys.stdout.isatty() else 0
    if width < _NARROWEST or len(line) <= width:
        return [line]
    indent = " " * (len(line) - len(line.lstrip()) + 8)
    return textwrap.wrap(line, width, subsequent_indent=indent, break_on_hyphens=False)


@contextmanager
def progress_bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr for work that may be long, nothing where stderr is no terminal. Call it with (done, of)."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield lambda done, of: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=None)
        shown = 0.0

        def show(done: int, of: int) -> None:
            nonlocal shown
            if (now := time.monotonic()) - shown >= _SHOWN_SECONDS:
                shown = now
                progress.update(task, completed=done, total=of)

        yield show
