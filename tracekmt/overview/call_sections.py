"""Sections of the page about the calls of a trace. Each function yields the HTML of one section."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tracekmt.overview.charts import Frame, strip
from tracekmt.overview.parts import Data, area_figure, command_line, duration_text, omitted, paragraph, share_of
from tracekmt.overview.tables import Markup, named, table
from tracekmt.plural import plural

AREAS = 7
"""Number of families with a colour. The other families share the last colour."""

FAILURE_ROWS, FUNCTION_ROWS, THREAD_ROWS = 30, 30, 24


def calls(data: Data) -> Iterator[str]:
    """Yield calls over time by family."""
    families = data["families"]
    if not families:
        yield paragraph("The trace has no calls.")
        return
    shown, others = families[:AREAS], families[AREAS:]
    if len(others) == 1:
        shown, others = families, []
    series = [(f"c{number}", family["over_time"]) for number, family in enumerate(shown)]
    if others:
        series.append(("c7", [sum(values) for values in zip(*(family["over_time"] for family in others), strict=True)]))
    duration = int(data["duration_ns"])
    width = duration_text((duration + 1) // data["intervals"])
    names = ", ".join(family["family"] for family in shown)
    frame = Frame(
        *("calls-chart", "Calls over time by family"),
        f"Stacked areas of the calls that began in each {width}. From the bottom: {names}.",
        duration,
    )
    if data["calls"] > 1:
        yield area_figure(frame, series, f"Calls that began in each {width}, by family of functions.")
    yield table(
        ("family", "#calls", "#share", "#failed", "#time in calls"),
        (
            (
                named(f"swatch-{'c7' if number >= len(shown) else f'c{number}'}", family["family"]),
                *(f"{family['calls']:,}", share_of(family["calls"], data["calls"])),
                *(f"{family['failed']:,}" if family["failed"] else "", duration_text(family["time_ns"])),
            )
            for number, family in enumerate(families)
        ),
    )
    if others:
        yield paragraph(f"The last {len(others)} families share one colour.")


def failures(data: Data) -> Iterator[str]:
    """Yield failed calls."""
    rows = data["failures"]
    if not rows:
        yield paragraph("No call failed.")
        return
    text = f"{plural(data['failed'], 'call')} of {data['calls']:,} failed ({share_of(data['failed'], data['calls'])})."
    if data["failed"] == 1:
        yield paragraph(text)
    else:
        frame = Frame(
            *("failures-chart", "Failed calls over time", "Failed calls by the time at which they began."),
            *(int(data["duration_ns"]), 70),
        )
        yield area_figure(frame, [("bad", data["failed_over_time"])], text)
    shown = rows[:FAILURE_ROWS]
    has_injected = any(failure["injected"] for failure in rows)
    columns = ["function", "status", "#calls", "#first", "#at", "#last"]
    yield table(
        [*columns, "#injected"] if has_injected else columns,
        (
            (
                *(failure["call"], failure["status"], f"{failure['calls']:,}", f"#{failure['first']}"),
                *(duration_text(failure["first_ns"]), f"#{failure['last']}" if failure["calls"] > 1 else ""),
                *([f"{failure['injected']:,}"] if has_injected else []),
            )
            for failure in shown
        ),
    )
    yield omitted(len(rows), len(shown), "row", "tracekmt stats has all")
    yield command_line(data, [failure["first"] for failure in shown[:10]])


def under_way(data: Data) -> Iterator[str]:
    """Yield calls that did not return."""
    entries = data["under_way"]
    yield table(
        ("@call", "function", "#thread", "#entered at", "state"),
        (
            (
                *(f"#{entry['index']}", entry["call"], str(entry["thread"]), duration_text(entry["enter_ns"])),
                "left by a jump or an exception" if entry["abandoned"] else "under way at the end",
            )
            for entry in entries
        ),
    )
    yield omitted(data["did_not_return"], len(entries), "call", "these are the last ones")
    yield command_line(data, [entry["index"] for entry in entries])


def slowest(data: Data) -> Iterator[str]:
    """Yield the slowest calls, and the time by function."""
    longest, waits = data["slowest"], data["longest_waits"]
    if not longest and not waits:
        yield paragraph("No call took measurable time.")
        return
    if longest:
        yield paragraph("Calls that took the longest." + (" Calls that wait by design are below." if waits else ""))
        yield from _slow_calls(data, longest)
    if waits:
        yield "<h3>Longest waits</h3>"
        yield from _slow_calls(data, waits)
    yield "<h3>Time by function</h3>"
    functions = data["functions"]
    total = max(sum(int(function["time_ns"]) for function in functions), 1)
    yield table(
        (
            "function",
            "#calls",
            "#failed",
            "#time",
            "#share",
            "#mean",
            "#longest",
        ),
        (
            (
                *(function["call"], f"{function['calls']:,}", f"{function['failed']:,}" if function["failed"] else ""),
                *(duration_text(function["time_ns"]), share_of(int(function["time_ns"]), total)),
                duration_text(int(function["time_ns"]) // function["calls"]),
                duration_text(function["longest_ns"]),
            )
            for function in functions[:FUNCTION_ROWS]
        ),
    )
    yield omitted(len(functions), FUNCTION_ROWS, "function", "tracekmt stats has all")


def _slow_calls(data: Data, entries: Sequence[Data]) -> Iterator[str]:
    longest = int(entries[0]["time_ns"])
    yield table(
        ("@call", "function", "#took", "~", "status", "#at", "#thread"),
        (
            (
                *(f"#{entry['index']}", entry["call"], duration_text(entry["time_ns"])),
                _bar(int(entry["time_ns"]), longest),
                *(entry["status"], duration_text(entry["enter_ns"]), str(entry["thread"])),
            )
            for entry in entries
        ),
    )
    yield command_line(data, [entry["index"] for entry in entries[:10]])


def _bar(value: int, maximum: int) -> Markup:
    return Markup(
        '<svg class="strip" aria-hidden="true" viewBox="0 0 100 100" preserveAspectRatio="none">'
        f'<rect class="c0" x="0" y="25" width="{100 * value / maximum:.4g}" height="50"/></svg>'
    )


def threads(data: Data) -> Iterator[str]:
    """Yield threads."""
    rows = data["threads"]
    if not rows:
        yield paragraph("The trace has no threads.")
    shown = sorted(rows, key=lambda thread: -thread["calls"])[:THREAD_ROWS]
    yield table(
        (
            "#thread",
            "#system id",
            "#calls",
            "#failed",
            "#time in calls",
            "#longest",
            "~calls over time",
        ),
        (
            (
                *(str(thread["thread"]), str(thread["system_id"]), f"{thread['calls']:,}"),
                *(f"{thread['failed']:,}" if thread["failed"] else "", duration_text(thread["time_ns"])),
                duration_text(thread["longest_ns"]),
                Markup(strip(thread["over_time"], "c0", "calls over time")) if "over_time" in thread else "",
            )
            for thread in shown
        ),
    )
    yield omitted(len(rows), len(shown), "thread", "tracekmt report --json has all")
