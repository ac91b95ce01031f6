"""Parts of sections: paragraphs, charts, commands, and values as text."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tracekmt.overview.charts import PEAK_CLASS, Frame, area_chart
from tracekmt.plural import plural
from tracekmt.report.calls import format_duration
from tracekmt.report.markup import escaped
from tracekmt.report.share import percentage

Data = dict[str, Any]
"""Numbers of a trace, or a part of them; see `tracekmt.overview.gather`."""


def paragraph(text: str) -> str:
    """Return a paragraph of plain text."""
    return f"<p>{escaped(text)}</p>"


def command_line(data: Data, indexes: Sequence[int]) -> str:
    """Return the command that shows calls in full."""
    name = shlex.quote(Path(data["trace"]).name)
    command = f"tracekmt dump {name} --calls {','.join(map(str, sorted(set(indexes))))} -v"
    noun = "it" if len(indexes) == 1 else "them"
    return f'<p class="command">To see {noun} in full: <code>{escaped(command)}</code></p>'


def omitted(rows: int, shown: int, noun: str, command: str) -> str:
    """Return a paragraph about the rows of a table that are not shown, an empty text if all are."""
    return paragraph(f"and {plural(rows - shown, noun)} more; {command}") if rows > shown else ""


def duration_text(nanoseconds: Any) -> str:
    """Return a duration, which JSON has as text, with one decimal."""
    return format_duration(int(nanoseconds), 1)


def share_of(count: int, total: int) -> str:
    """Return a share as a percentage, with "<0.1%" for a small one."""
    return "<0.1%" if count and 1000 * count < total else percentage(count, total)


def figure(chart: str) -> str:
    """Return a chart in its place on the page."""
    return f"<figure>{chart}</figure>"


def area_figure(frame: Frame, series: Sequence[tuple[str, Sequence[int]]], text: str) -> str:
    """Return a text and a chart of stacked areas. The text says so if the chart cuts peaks."""
    chart = area_chart(frame, series)
    cut = " A number above the chart is that of a peak that the chart cuts." if PEAK_CLASS in chart else ""
    return paragraph(text + cut) + figure(chart)
