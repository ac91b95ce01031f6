"""Output on a terminal: tables, warnings, wrapped lines and progress bars."""

from __future__ import annotations

import shutil
import sys
import textwrap
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from tracekmt.cli.output import echo

_UPDATE_SECONDS = 0.1
_MIN_WIDTH = 40
_WIDE = 200
"""Characters of a line where there is no terminal."""
_NUMBER_COLUMNS = (
    *("calls", "failed", "time", "mean", "median", "95 %", "bytes"),
    *("created", "destroyed", "most alive", "median life", "most bytes"),
)
_ASCII_HEAD = "    \n    \n -- \n    \n    \n    \n    \n    \n"
"""The box SIMPLE_HEAD of rich in ASCII. For an encoding without lines rich would choose one with borders."""

_CHART_COLUMN = "from start to end"


def print_table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table that fits the terminal, or 80 columns without a terminal. Headers and cells are never markup."""
    from rich.box import SIMPLE_HEAD, Box
    from rich.console import Console, JustifyMethod
    from rich.table import Table
    from rich.text import Text

    from tracekmt.printable import printable

    has_lines = (getattr(sys.stdout, "encoding", None) or "").lower().startswith("utf")
    table = Table(
        box=SIMPLE_HEAD if has_lines else Box(_ASCII_HEAD, ascii=True),
        pad_edge=False,
        collapse_padding=True,
        header_style="bold",
    )
    for header in headers:
        justify: JustifyMethod = "right" if header in _NUMBER_COLUMNS else "left"
        table.add_column(Text(printable(header)), overflow="fold", justify=justify, no_wrap=header == _CHART_COLUMN)
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    Console(highlight=False, legacy_windows=False).print(table)


def warn(warning: str | None) -> None:
    """Print a warning on stderr, if there is one."""
    if warning:
        echo(f"tracekmt: {warning}", err=True)


def line_width() -> int:
    """Return the number of characters that a line may have: those of the terminal, and many without one."""
    width = shutil.get_terminal_size().columns if sys.stdout is not None and sys.stdout.isatty() else 0
    return _WIDE if width < _MIN_WIDTH else width


def fit(line: str) -> list[str]:
    """Wrap a line to the width of the terminal, with further lines indented. Without a terminal it stays one line."""
    width = line_width()
    if width == _WIDE or len(line) <= width:
        return [line]
    indent = " " * (len(line) - len(line.lstrip()) + 8)
    return textwrap.wrap(line, width, subsequent_indent=indent, break_on_hyphens=False)


@contextmanager
def progress_bar(title: str) -> Iterator[Callable[[int, int], None]]:
    """Show a progress bar on stderr, if stderr is a terminal. Yield a function that takes (done, total)."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(title, total=None)
        last_update = 0.0

        def update(done: int, total: int) -> None:
            nonlocal last_update
            if (now := time.monotonic()) - last_update >= _UPDATE_SECONDS:
                last_update = now
                progress.update(task, completed=done, total=total)

        yield update
