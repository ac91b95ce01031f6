"""Sections of the page about memory and objects. Each function yields the HTML of one section."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tracekmt.overview.charts import Frame, Line, line_chart, state_strip, strip
from tracekmt.overview.memory import NOT_RESIDENT, OFFERED, RESIDENT
from tracekmt.overview.parts import Data, command_line, duration_text, figure, omitted, paragraph
from tracekmt.overview.tables import Cell, Markup, named, table
from tracekmt.plural import plural
from tracekmt.text.units import format_size

OBJECT_ROWS, LEAK_ROWS = 40, 30
_LOCAL = "local"
_FAR_BUDGET = 4
"""A budget of more than this many times the other values is not drawn, because it would flatten them."""

_STATE_CLASSES = {NOT_RESIDENT: "state-out", RESIDENT: "state-in", OFFERED: "state-offered"}


def memory(data: Data) -> Iterator[str]:
    """Yield memory over time."""
    numbers = data["memory"]
    budgets = numbers["budgets"]
    local = next((budget for budget in budgets if budget["group"] == _LOCAL), None)
    if not numbers["requested"]["peak"] and not budgets and not numbers["trims"]["count"] and not numbers["unsized"]:
        yield paragraph("The trace shows neither allocations nor budgets.")
        return
    if not numbers["requested"]["peak"]:
        yield paragraph("The trace shows the size of none of its allocations.")
    else:
        yield paragraph(
            "Memory of the allocations that this program created, as far as its calls show their sizes. "
            "Resident is what it asked to be resident and did not evict."
        )
        if numbers["unsized"]:
            yield paragraph(f"Allocations of unknown size count 0: up to {numbers['unsized']:,} at once.")
        yield from _program_chart(data, local)
    for number, budget in enumerate(budgets):
        if budget is not local or not numbers["requested"]["peak"]:
            yield from _budget_chart(data, budget, number)
    if not budgets:
        yield paragraph("The program did not ask for its budget (D3DKMTQueryVideoMemoryInfo).")
    yield from _trims(data)
    yield from _largest(data)


def _program_chart(data: Data, local: Data | None) -> Iterator[str]:
    memory = data["memory"]
    shown = [name for name in ("requested", "resident", "offered") if memory[name]["peak"]]
    # Programs offer memory rarely. A line at 0 would only hide the axis.
    lines = [
        Line(name, [value if value or name != "offered" else None for value in memory[name]["over_time"]])
        for name in shown
    ]
    drawn, note = _budget_lines(local, memory["requested"]["peak"]) if local is not None else ([], "")
    lines += drawn
    trims = memory["trims"]["largest"]
    duration = int(data["duration_ns"])
    marks = [min(max(100 * int(trim["time_ns"]) / max(duration, 1), 0), 100) for trim in trims]
    frame = Frame(
        *("memory-chart", "Memory over time"),
        f"Lines over time: {', '.join(line.css_class for line in lines)}. "
        f"{plural(len(marks), 'mark')} at requests of the kernel to trim.",
        duration,
        240,
        format_size,
    )
    yield figure(line_chart(frame, lines, marks))
    texts = {
        "requested": "all live allocations",
        "resident": "asked to be resident",
        "offered": "offered to the kernel",
    }
    rows: list[Sequence[Cell]] = [
        (
            named(f"swatch-{name}", name),
            *(texts[name], format_size(memory[name]["peak"]), duration_text(memory[name]["peak_ns"])),
            format_size(memory[name]["over_time"][-1]),
        )
        for name in shown
    ]
    if local is not None:
        rows += _budget_rows(local, is_drawn=bool(drawn))
    yield table(("line", "meaning", "#most", "#at", "#at the end"), rows)
    if local is not None:
        yield paragraph(f"{note} {_answers_text(local)}".strip())


def _budget_rows(budget: Data, *, is_drawn: bool) -> Iterator[Sequence[Cell]]:
    """Yield the rows of the budget and of the usage of one memory group."""
    name = f"{budget['group']} memory of adapter {budget['adapter']}"
    for key, css_class in (("budget", "budget"), ("usage", "usage")):
        values = [value for value in budget[key] if value is not None]
        if values:
            label: Cell = named(f"swatch-{css_class}", key) if is_drawn or key == "usage" else key
            yield label, f"{name}, as the kernel answered", format_size(max(values)), "", format_size(values[-1])


def _held(values: Sequence[int | None]) -> list[int | None]:
    """Return answers, each of which holds until the next one."""
    held: list[int | None] = []
    for value in values:
        held.append(value if value is not None or not held else held[-1])
    return held


def _budget_lines(budget: Data, peak: int) -> tuple[list[Line], str]:
    """Return the lines of a budget and of its usage, and a note if the budget is too large for the chart."""
    usage = Line("usage", _held(budget["usage"]))
    highest = max([peak, *(value for value in budget["usage"] if value is not None)], default=0)
    most = max((value for value in budget["budget"] if value is not None), default=0)
    if most > _FAR_BUDGET * max(highest, 1):
        return [usage], f"The budget, up to {format_size(most)}, is far above this chart."
    return [Line("budget", _held(budget["budget"])), usage], ""


def _budget_chart(data: Data, budget: Data, number: int) -> Iterator[str]:
    title = f"{budget['group']} memory of adapter {budget['adapter']}"
    lines, note = _budget_lines(budget, 0)
    frame = Frame(
        *(f"budget-{number}", f"Budget and usage: {title}", "Lines over time, as the kernel answered."),
        int(data["duration_ns"]),
        110,
        format_size,
    )
    yield f"<h3>{title[0].upper()}{title[1:]}</h3>"
    yield figure(line_chart(frame, lines))
    rows = _budget_rows(budget, is_drawn=not note)
    yield table(("line", "meaning", "#most", "#", "#last answer"), rows)
    yield paragraph(f"{note} {_answers_text(budget)}".strip())


def _answers_text(budget: Data) -> str:
    return (
        f"The {budget['group']} usage was over the budget in {budget['over']:,} of "
        f"{plural(budget['answers'], 'answer')}, and the smallest budget was {format_size(budget['least'])}."
    )


def _trims(data: Data) -> Iterator[str]:
    trims, size = data["memory"]["trims"], data["memory"]["bytes"]
    moved = [
        f"{format_size(size[key])} {text}"
        for key, text in (
            ("resident", "became resident"),
            ("evicted", "were evicted by D3DKMTEvict"),
            ("offered", "were offered"),
            ("discarded", "were discarded while they were offered"),
        )
        if size[key]
    ]
    yield "<h3>Residency and trims</h3>"
    yield paragraph(f"In all, {', '.join(moved)}.") if moved else paragraph("The residency of no allocation changed.")
    if not trims["count"]:
        yield paragraph("The kernel did not ask the program to trim its memory.")
        return
    text = f"{plural(trims['count'], 'time')}, {format_size(trims['bytes'])} in all"
    yield paragraph(
        f"The kernel asked the program to trim {text}. "
        "Released is what it evicted and offered before its next D3DKMTMakeResident."
    )
    yield table(
        (
            "@mark",
            "@call",
            "function",
            "#at",
            "#to trim",
            "#released",
            "#resident then",
        ),
        (
            (
                *(str(number), f"#{trim['index']}", trim["call"], duration_text(trim["time_ns"])),
                *(format_size(trim["bytes"]), format_size(trim["released"]), format_size(trim["resident"])),
            )
            for number, trim in enumerate(trims["largest"], 1)
        ),
    )
    yield omitted(trims["count"], len(trims["largest"]), "request", "these are the largest ones")


def _largest(data: Data) -> Iterator[str]:
    largest = data["memory"]["largest"]
    if not largest:
        return
    yield "<h3>Largest allocations</h3>"
    key = (("swatch-state-in", "resident"), ("swatch-state-out", "not resident"), ("swatch-state-offered", "offered"))
    names = "".join(f"<span>{named(css_class, name)}</span>" for css_class, name in key)
    yield f'<p class="key">{names}</p>'
    yield table(
        (
            "allocation",
            "#size",
            "#lived from",
            "#until",
            "#made resident",
            "#evicted",
            "~state over time",
        ),
        (
            (
                *(allocation["allocation"], format_size(allocation["bytes"]), duration_text(allocation["created_ns"])),
                "the end" if allocation["destroyed_ns"] is None else duration_text(allocation["destroyed_ns"]),
                *(f"{allocation['times_resident']:,}", f"{allocation['evictions']:,}"),
                Markup(state_strip(data["intervals"], list(_spans(allocation, data)), "residency over time")),
            )
            for allocation in largest
        ),
    )


def _spans(allocation: Data, data: Data) -> Iterator[tuple[int, int, str]]:
    """Yield first interval, end and class of each state of an allocation."""
    count, duration = data["intervals"], int(data["duration_ns"]) + 1
    end = count
    if allocation["destroyed_ns"] is not None:
        end = min(int(allocation["destroyed_ns"]) * count // duration + 1, count)
    starts = [state["interval"] for state in allocation["states"]]
    for state, start, stop in zip(allocation["states"], starts, [*starts[1:], end], strict=True):
        yield start, stop, _STATE_CLASSES[state["state"]]


def objects(data: Data) -> Iterator[str]:
    """Yield live objects by kind."""
    if not data["objects"]:
        yield paragraph("No call created or destroyed an object.")
        return
    yield table(
        (
            "kind",
            "#created",
            "#destroyed",
            "#most alive",
            "#at",
            "~alive over time",
        ),
        (
            (
                *(entry["kind"], f"{entry['created']:,}", f"{entry['destroyed']:,}", f"{entry['peak']:,}"),
                duration_text(entry["peak_ns"]),
                Markup(strip(entry["over_time"], "c0", f"live objects over time, at most {entry['peak']}")),
            )
            for entry in data["objects"][:OBJECT_ROWS]
        ),
    )
    yield omitted(len(data["objects"]), OBJECT_ROWS, "kind", "tracekmt report --json has all")


def leaks(data: Data) -> Iterator[str]:
    """Yield objects that no call destroyed."""
    rows = data["leaks"]
    if not rows:
        yield paragraph("Every object that the trace shows was destroyed.")
        return
    yield paragraph("Objects that no recorded call destroyed. The system destroys them when the process ends.")
    yield table(
        ("kind", "#objects", "#size", "created by", "#first", ""),
        (
            (
                *(leak["kind"], f"{leak['count']:,}", format_size(leak["bytes"]) if leak["bytes"] else ""),
                *(leak["call"], f"#{leak['first']}"),
                "possibly destroyed by another interface" if leak["external"] else "",
            )
            for leak in rows[:LEAK_ROWS]
        ),
    )
    yield omitted(len(rows), LEAK_ROWS, "row", "tracekmt report --json has all")
    yield command_line(data, [leak["first"] for leak in rows[:10]])
