"""Charts as SVG: stacked areas, lines with marks, and strips for table cells.

The data are drawn in a nested SVG with a viewBox that is stretched to the width of the page. The text beside them
is not stretched, so that it stays readable on a phone. Classes give the colours; see pages/overview.css.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tracekmt.report.markup import escaped

PLOT_HEIGHT = 100
"""Height of a plot in the units of its viewBox. Its width is the number of intervals."""

PEAK_CLASS = "cut-peak"
"""Class of the numbers of peaks that a chart cuts."""

_TOP, _BOTTOM = 18, 22  # Pixels above the plot, for marks, and below it, for times.
_MAX_TICKS, _TIME_TICKS = 4, 8
_MARK_DISTANCE = 5  # Percent of the width that the text of a mark needs.
_FAR_PEAK = 3
"""A peak of more than this many times the 97th percentile is cut."""

_TIME_UNITS = (("s", 10**9), ("ms", 10**6), ("us", 10**3), ("ns", 1))


@dataclass(frozen=True)
class Line:
    """One line of a chart.

    Attributes:
        css_class: Class with its colour and dashes.
        values: A value for each interval. None where the line has a gap.
    """

    css_class: str
    values: Sequence[int | None]


@dataclass(frozen=True)
class Frame:
    """Everything around the data of a chart.

    Attributes:
        name: Unique name on the page.
        title: Title for readers that do not see the chart.
        description: Its content in one or two sentences.
        duration: Nanoseconds from the left end to the right end.
        height: Height of the plot in pixels.
        format_value: Returns a value of the vertical axis as text.
    """

    name: str
    title: str
    description: str
    duration: int
    height: int = 200
    format_value: Callable[[int], str] = "{:,}".format


def size_ticks(maximum: int) -> list[int]:
    """Return round sizes in bytes from 0 to at least a maximum."""
    step = 1 << (-(-maximum // _MAX_TICKS) - 1).bit_length() if maximum else 1
    return _ticks(step, maximum)


def count_ticks(maximum: int) -> list[int]:
    """Return round numbers from 0 to at least a maximum."""
    return _ticks(_round_step(maximum, _MAX_TICKS), maximum)


def _ticks(step: int, maximum: int) -> list[int]:
    return [step * number for number in range(-(-max(maximum, 1) // step) + 1)]


def _round_step(maximum: int, count: int) -> int:
    """Return a number with the first digit 1, 2 or 5, of which `count` reach a maximum."""
    power = 1
    while True:
        for digit in (1, 2, 5):
            if digit * power * count >= maximum:
                return digit * power
        power *= 10


def time_ticks(duration: int) -> list[tuple[float, str]]:
    """Return round times of a duration as percentages of it, with their texts."""
    whole = max(duration, 1)
    unit, size = next(((unit, size) for unit, size in _TIME_UNITS if whole >= size))
    return [
        (100 * time / whole, f"{time / size:g} {unit}") for time in range(0, whole, _round_step(whole, _TIME_TICKS))
    ]


def area_chart(frame: Frame, series: Sequence[tuple[str, Sequence[int]]]) -> str:
    """Return a chart of stacked areas. Rare peaks that would flatten the rest are cut, with their numbers above them.

    Args:
        frame: The rest of the chart.
        series: Class and values of each area, the lowest one first.
    """
    totals = [sum(values) for values in zip(*(values for _, values in series), strict=True)]
    top = _cut(totals)
    ticks = count_ticks(top)
    base = [0] * len(totals)
    areas = []
    for css_class, values in series:
        upper = [min(low + value, ticks[-1]) for low, value in zip(base, values, strict=True)]
        areas.append(f'<path class="area {css_class}" d="{_steps(upper, ticks[-1])}{_steps_back(base, ticks[-1])}Z"/>')
        base = upper
    peaks = [
        (100 * (position + 0.5) / len(totals), f"{total:,}")
        for position, total in enumerate(totals)
        if total > ticks[-1]
    ]
    return _chart(frame, len(totals), ticks, areas, _mark_texts(PEAK_CLASS, peaks))


def _cut(totals: Sequence[int]) -> int:
    """Return the largest value, or a smaller one if few values are far larger than the others."""
    most, common = max(totals), sorted(totals)[len(totals) * 97 // 100]
    return common if most > _FAR_PEAK * common > 0 else most


def line_chart(frame: Frame, lines: Sequence[Line], marks: Sequence[float] = ()) -> str:
    """Return a chart of lines.

    Args:
        frame: The rest of the chart.
        lines: The lines, the lowest one first.
        marks: Marked times as percentages of the width, in order. They are numbered from 1.
    """
    ticks = size_ticks(max((value for line in lines for value in line.values if value is not None), default=0))
    paths = (f'<path class="line {line.css_class}" d="{_line(line.values, ticks[-1])}"/>' for line in lines)
    around = [*_mark_lines(frame, marks), *_mark_texts("mark", _numbered(marks))]
    return _chart(frame, len(lines[0].values), ticks, paths, around)


def _chart(frame: Frame, width: int, ticks: Sequence[int], data: Iterable[str], around: Iterable[str]) -> str:
    names = f"{frame.name}-title {frame.name}-text"
    size = f'width="100%" height="{_TOP + frame.height + _BOTTOM}"'
    plot_size = f'y="{_TOP}" width="100%" height="{frame.height}" viewBox="0 0 {width} {PLOT_HEIGHT}"'
    parts = [
        f'<svg class="chart" role="img" {size} aria-labelledby="{names}">',
        f'<title id="{frame.name}-title">{escaped(frame.title)}</title>',
        f'<desc id="{frame.name}-text">{escaped(frame.description)}</desc>',
        *_grid(frame, ticks),
        *around,
        f'<svg class="plot" {plot_size} preserveAspectRatio="none">',
        *data,
        "</svg>",
        *_labels(frame, ticks),
        "</svg>",
    ]
    return "".join(parts)


def _grid(frame: Frame, ticks: Sequence[int]) -> Iterator[str]:
    for tick in ticks:
        y = _tick_y(frame, tick, ticks)
        yield f'<line class="grid" x1="0%" x2="100%" y1="{y}" y2="{y}"/>'


def _labels(frame: Frame, ticks: Sequence[int]) -> Iterator[str]:
    for tick in ticks[1:]:
        text = escaped(frame.format_value(tick))
        yield f'<text class="value" x="-8" y="{_tick_y(frame, tick, ticks) + 4}">{text}</text>'
    bottom = _TOP + frame.height + 16
    for percent, text in time_ticks(frame.duration):
        anchor = ' class="first"' if percent == 0 else ' class="last"' if percent > 98 else ""
        yield f'<text{anchor} x="{percent:.4g}%" y="{bottom}">{escaped(text)}</text>'


def _tick_y(frame: Frame, tick: int, ticks: Sequence[int]) -> int:
    return _TOP + frame.height - frame.height * tick // ticks[-1]


def _mark_lines(frame: Frame, marks: Sequence[float]) -> Iterator[str]:
    for percent in marks:
        yield f'<line class="mark" x1="{percent:.4g}%" x2="{percent:.4g}%" y1="{_TOP}" y2="{_TOP + frame.height}"/>'


def _numbered(marks: Sequence[float]) -> Iterator[tuple[float, str]]:
    """Yield the numbers of marks. Marks that are close to each other share a text."""
    groups: list[list[int]] = []
    for position, percent in enumerate(marks):
        if groups and percent - marks[groups[-1][0]] < _MARK_DISTANCE:
            groups[-1].append(position)
        else:
            groups.append([position])
    for group in groups:
        first, last = group[0] + 1, group[-1] + 1
        yield marks[group[0]], str(first) if first == last else f"{first}-{last}"


def _mark_texts(css_class: str, texts: Iterable[tuple[float, str]]) -> Iterator[str]:
    """Yield texts above the plot. A text that would touch the one before is left out."""
    last = -100.0
    for percent, text in texts:
        if percent - last >= _MARK_DISTANCE:
            last = percent
            side = " first" if percent < _MARK_DISTANCE else " last" if percent > 100 - _MARK_DISTANCE else ""
            yield f'<text class="{css_class}{side}" x="{percent:.4g}%" y="12">{text}</text>'


def strip(values: Sequence[int], css_class: str, text: str) -> str:
    """Return a small area chart for a table cell.

    Args:
        values: A value for each interval.
        css_class: Class with its colour.
        text: Its content, for readers that do not see it.
    """
    top = max(max(values, default=0), 1)
    path = f'<path class="area {css_class}" d="{_steps(values, top)}{_steps_back([0] * len(values), top)}Z"/>'
    return _strip(len(values), path, text)


def state_strip(count: int, spans: Sequence[tuple[int, int, str]], text: str) -> str:
    """Return a bar of states for a table cell.

    Args:
        count: Number of intervals.
        spans: First interval, end and class of each state.
        text: Its content, for readers that do not see it.
    """
    bars = "".join(
        f'<rect class="{css_class}" x="{start}" y="20" width="{end - start}" height="60"/>'
        for start, end, css_class in spans
        if end > start
    )
    return _strip(count, bars, text)


def _strip(width: int, content: str, text: str) -> str:
    return (
        f'<svg class="strip" role="img" aria-label="{escaped(text)}" viewBox="0 0 {width} {PLOT_HEIGHT}" '
        f'preserveAspectRatio="none">{content}</svg>'
    )


def _y(value: int, maximum: int) -> str:
    return f"{PLOT_HEIGHT - PLOT_HEIGHT * value / maximum:.5g}"


def _steps(values: Sequence[int], maximum: int) -> str:
    """Return the path of steps from left to right. Neighbours of one value share a step."""
    steps = (
        f"H{position}V{_y(value, maximum)}"
        for position, (before, value) in enumerate(pairwise(values), 1)
        if value != before
    )
    return f"M0 {_y(values[0], maximum)}{''.join(steps)}H{len(values)}"


def _steps_back(values: Sequence[int], maximum: int) -> str:
    steps = (
        f"H{position}V{_y(values[position - 1], maximum)}"
        for position in range(len(values) - 1, 0, -1)
        if values[position] != values[position - 1]
    )
    return f"V{_y(values[-1], maximum)}{''.join(steps)}H0"


def _line(values: Sequence[int | None], maximum: int) -> str:
    parts: list[str] = []
    last: int | None = None
    for position, value in enumerate(values):
        if value is not None and value != last:
            parts.append(f"{'M' if last is None else 'H'}{position}{' ' if last is None else 'V'}{_y(value, maximum)}")
        elif value is None and last is not None:
            parts.append(f"H{position}")
        last = value
    return "".join([*parts, f"H{len(values)}" if last is not None else ""])
