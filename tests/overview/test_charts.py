"""Charts: well-formed SVG whose data stay inside its frame, with round numbers on its axes."""

from __future__ import annotations

import random
import re
from xml.etree import ElementTree as ET

import pytest

from tracekmt.overview.charts import (
    PEAK_CLASS,
    PLOT_HEIGHT,
    Frame,
    Line,
    area_chart,
    count_ticks,
    line_chart,
    size_ticks,
    state_strip,
    strip,
    time_ticks,
)

Svg = ET.Element
FRAME = Frame("name", "Calls <b>", "a & b", 14_500_000_000)
MB = 1 << 20


def parse(svg: str) -> Svg:
    return ET.fromstring(svg)


def classes(svg: Svg, css_class: str) -> list[Svg]:
    return [element for element in svg.iter() if css_class in element.get("class", "").split()]


def points(path: str) -> list[tuple[float, float]]:
    """Return the corners of a path of absolute moves, horizontal and vertical lines."""
    x = y = 0.0
    corners = []
    for command, numbers in re.findall(r"([MHVZ])([\d. ]*)", path):
        match command, [float(number) for number in numbers.split()]:
            case "M", [x, y]:
                pass
            case "H", [x]:
                pass
            case "V", [y]:
                pass
        corners.append((x, y))
    return corners


def random_values(count: int, seed: int) -> list[int]:
    chance = random.Random(seed)
    return [chance.choice((0, 0, chance.randrange(50), chance.randrange(10_000))) for _ in range(count)]


def test_the_texts_of_a_chart_are_escaped() -> None:
    svg = parse(area_chart(FRAME, [("c0", [1, 2])]))
    assert svg.get("role") == "img"
    assert [svg[0].tag, svg[0].text, svg[1].tag, svg[1].text] == ["title", "Calls <b>", "desc", "a & b"]
    assert svg.get("aria-labelledby") == f"{svg[0].get('id')} {svg[1].get('id')}"
    assert parse(strip([1], "c0", 'a"<b')).get("aria-label") == 'a"<b'


@pytest.mark.parametrize("seed", range(20))
def test_data_stay_inside_the_frame(seed: int) -> None:
    areas = [(f"c{number}", random_values(60, 10 * seed + number)) for number in range(8)]
    lines = [Line("resident", random_values(60, seed)), Line("budget", [None, *random_values(59, seed + 1)])]
    for svg in (area_chart(FRAME, areas), line_chart(FRAME, lines), strip(areas[0][1], "c0", "")):
        for path in parse(svg).iter("path"):
            for x, y in points(path.get("d", "")):
                assert 0 <= x <= 60
                assert 0 <= y <= PLOT_HEIGHT


def test_areas_are_stacked() -> None:
    svg = parse(area_chart(FRAME, [("low", [2, 0]), ("high", [2, 4])]))
    low, high = (points(area.get("d", "")) for area in classes(svg, "area"))
    assert low[:4] == [(0, 50), (1, 50), (1, 100), (2, 100)]
    assert high[:2] == [(0, 0), (2, 0)]
    assert high[-3:-1] == [(1, 50), (0, 50)]


def test_a_rare_peak_is_cut_and_has_its_number() -> None:
    svg = parse(area_chart(FRAME, [("c0", [*[10] * 50, 9000, *[10] * 49])]))
    assert [peak.text for peak in classes(svg, PEAK_CLASS)] == ["9,000"]
    assert [text.text for text in classes(svg, "value")][-1] == "10"
    even = parse(area_chart(FRAME, [("c0", [10, 20] * 50)]))
    assert classes(even, PEAK_CLASS) == []


def test_values_that_are_mostly_zero_are_not_cut() -> None:
    svg = parse(area_chart(FRAME, [("c0", [*[0] * 59, 40])]))
    assert classes(svg, PEAK_CLASS) == []
    assert [text.text for text in classes(svg, "value")][-1] == "40"


def test_a_line_has_gaps_where_values_are_missing() -> None:
    svg = parse(line_chart(FRAME, [Line("budget", [None, 4, 4, None, 2])]))
    (line,) = classes(svg, "line")
    assert line.get("d") == "M1 0H3M4 50H5"


def test_marks_that_are_close_share_their_numbers() -> None:
    svg = parse(line_chart(FRAME, [Line("resident", [1, 2])], [0, 1, 2, 50, 99.9]))
    assert len([line for line in svg.iter("line") if line.get("class") == "mark"]) == 5
    texts = [text for text in svg.iter("text") if "mark" in text.get("class", "")]
    assert [text.text for text in texts] == ["1-3", "4", "5"]
    assert [text.get("class") for text in texts] == ["mark first", "mark", "mark last"]


@pytest.mark.parametrize("maximum", [0, 1, 3, 9, 40, 41, 99, 12_345, 10**9])
def test_numbers_on_the_axis_are_round_and_few(maximum: int) -> None:
    ticks = count_ticks(maximum)
    assert ticks[0] == 0
    assert ticks[-1] >= max(maximum, 1)
    assert 2 <= len(ticks) <= 5
    assert str(ticks[1]).rstrip("0") in ("1", "2", "5")


@pytest.mark.parametrize(
    ("maximum", "expected"),
    [
        (0, [0, 1]),
        (545 * MB, [0, 256 * MB, 512 * MB, 768 * MB]),
        (3 << 30, [0, 1 << 30, 2 << 30, 3 << 30]),
    ],
)
def test_sizes_on_the_axis_are_powers_of_two(maximum: int, expected: list[int]) -> None:
    assert size_ticks(maximum) == expected


@pytest.mark.parametrize("maximum", [1 << 62, (1 << 64) - 1, 1 << 80])
def test_an_absurd_size_has_an_axis(maximum: int) -> None:
    assert size_ticks(maximum)[-1] >= maximum
    assert len(size_ticks(maximum)) < 10


@pytest.mark.parametrize(
    ("duration", "first", "last"),
    [
        (0, "0 ns", "0 ns"),
        (5, "0 ns", "4 ns"),
        (14_500_000_000, "0 s", "14 s"),
        (186_368_414, "0 ms", "150 ms"),
        (1_500_000_000, "0 s", "1.4 s"),
    ],
)
def test_times_on_the_axis(duration: int, first: str, last: str) -> None:
    ticks = time_ticks(duration)
    assert (ticks[0][1], ticks[-1][1]) == (first, last)
    assert len(ticks) <= 9
    assert all(0 <= percent <= 100 for percent, _ in ticks)


def test_a_strip_of_states_leaves_out_empty_ones() -> None:
    svg = parse(state_strip(60, [(0, 10, "state-out"), (10, 10, "state-in"), (10, 60, "state-offered")], "states"))
    bars = [(bar.get("class"), bar.get("x"), bar.get("width")) for bar in svg.iter("rect")]
    assert bars == [("state-out", "0", "10"), ("state-offered", "10", "50")]
