"""Formats a report as an HTML page.

The page is one file, makes no requests, and needs no script: its script only adds a filter. Contents of a trace are
escaped text. No other script can run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from tracekmt.findings import Finding, Report
from tracekmt.plural import plural
from tracekmt.report.comparison import FUNCTION_COLUMNS, OBJECT_COLUMNS, Comparison
from tracekmt.report.markup import document, escaped
from tracekmt.report.share import share_line
from tracekmt.report.text import group_findings
from tracekmt.resources import resource

MAX_CALLS = 200
"""Maximum number of findings whose calls the page contains."""

MAX_LISTED = 50
"""Maximum number of calls in a list of repetitions or consequences."""

NEIGHBOURS = 3
"""Number of calls of the same thread that the page shows before and after a finding."""

_SEARCH = 100
"""Number of calls to search for those of the same thread."""

CallAt = Callable[[int], Any]
"""Returns the call of a trace with an index."""


def html_page(
    report: Report,
    call_at: CallAt | None = None,
    other_at: CallAt | None = None,
    comparison: Comparison | None = None,
) -> str:
    """Return the page.

    Args:
        report: The report.
        call_at: Reads the recorded calls, if the page is to contain them.
        other_at: Reads the calls of the other side.
        comparison: Numbers of the two traces of a diff.
    """
    style, script = (resource("pages", name).read_text("utf-8") for name in ("report.css", "report.js"))
    names = " against ".join(Path(name).name or name for name in report.names)
    body = [*_head(report)]
    body += _origin_tables(comparison) if comparison is not None else []
    body += _findings(report, call_at, other_at)
    body += _number_tables(comparison) if comparison is not None else []
    return document(f"{names}: {report.verdict}", style, "\n".join(body), script)


def _head(report: Report) -> Iterator[str]:
    verdict_class = "verdict same" if report.same and report.stopped is None else "verdict"
    first, second = map(escaped, report.names)
    yield f'<h1>{first} against {second}: <span class="{verdict_class}">{escaped(report.verdict)}</span></h1>'
    counts = report.to_dict()["calls"]
    items = [
        f"<li>{name.replace('_', ' ')} {counts[name]}</li>" for name in counts if counts[name] or name == "compared"
    ]
    yield f'<ul class="counts">{"".join(items)}</ul>'
    yield f"<p>{escaped(share_line(report))}</p>"
    if report.stopped is not None:
        yield f"<p>stopped {escaped(report.stopped)}</p>"
    yield from (f"<p>note: {escaped(note)}</p>" for note in report.notes)


def _origin_tables(comparison: Comparison) -> Iterator[str]:
    yield from _table("What is compared", ("", "A", "B"), comparison.origin_rows(), "origin")
    yield from _table("Answers about adapters that differ", ("", "A", "B"), comparison.fact_rows(), "origin")


def _number_tables(comparison: Comparison) -> Iterator[str]:
    yield from _table("Calls by function", FUNCTION_COLUMNS, comparison.function_rows(), "numbers")
    yield from _table("Objects", OBJECT_COLUMNS, comparison.object_rows(), "numbers")


def _table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], table_class: str) -> Iterator[str]:
    """Yield a table, nothing without rows. A row without a name belongs to the row before it."""
    lines = [
        f"<tr{'' if row[0] else ' class=second'}>{''.join(f'<td>{escaped(cell)}</td>' for cell in row)}</tr>"
        for row in rows
    ]
    if not lines:
        return
    head = "".join(f"<th>{escaped(column)}</th>" for column in columns)
    yield f'<h2>{title}</h2>\n<div class="wide"><table class="{table_class}"><thead><tr>{head}</tr></thead><tbody>'
    yield from lines
    yield "</tbody></table></div>"


def _findings(report: Report, call_at: CallAt | None, other_at: CallAt | None) -> Iterator[str]:
    groups = group_findings(report)
    if groups:
        yield "<h2>Findings</h2>"
    yield "<main>"
    for number, (group, caused) in enumerate(groups):
        calls = (call_at, other_at) if number < MAX_CALLS else (None, None)
        yield from _article(group, caused, report.sides, calls)
    yield "</main>"


def _article(
    group: Sequence[Finding],
    caused: Sequence[Finding],
    sides: tuple[str, str],
    calls: tuple[CallAt | None, CallAt | None],
) -> Iterator[str]:
    first = group[0]
    path = f"  {first.path}" if first.path else ""
    classes = "accepted" if first.accepted is not None else "" if first.counts else "opaque"
    yield f'<article class="{classes}" data-kind="{first.kind}" data-text="{escaped(first.group.lower())}">'
    title = f"#{first.call_key[1]} {first.call}{path}"
    yield f'<h3>{escaped(title)}<span class="kind">{first.kind}</span></h3>'
    values = zip(sides, (first.recorded, first.replayed), strict=True)
    cells = "".join(
        f'<div><div class="label">{side}</div><code>{escaped("" if value is None else value)}</code></div>'
        for side, value in values
    )
    yield f'<div class="sides">{cells}</div>'
    if first.message:
        yield f"<p>{escaped(first.message)}</p>"
    if first.accepted is not None:
        yield f"<p>accepted: {escaped(first.accepted)}</p>"
    repeats = (f"#{index}" for finding in group for index in (finding.call_key[1], *finding.repeats))
    count = sum(finding.count for finding in group) - 1
    yield from _list(f"repeated {plural(count, 'more time')}", islice(repeats, 1, None))
    names = (f"#{finding.call_key[1]} {finding.call}" for finding in caused)
    yield from _list(f"caused {plural(len(caused), 'more finding')}", names)
    both = _read(calls[0], first.index), _read(calls[1], first.other_index)
    yield from _whole_call(both, sides)
    yield from _neighbours(both, sides, calls)
    yield "</article>"


def _list(title: str, names: Iterator[str]) -> Iterator[str]:
    listed = list(islice(names, MAX_LISTED))
    if listed:
        more = "" if next(names, None) is None else ", ..."
        yield f"<details><summary>{title}</summary><code>{escaped(', '.join(listed))}{more}</code></details>"


def _read(call_at: CallAt | None, index: int | None) -> Any:
    return None if call_at is None or index is None else call_at(index)


def _whole_call(both: tuple[Any, Any], sides: tuple[str, str]) -> Iterator[str]:
    """Yield the fields of a call on both sides. Fields that differ are marked."""
    if both == (None, None):
        return
    fields = [dict(_fields(call)) for call in both]
    head = "".join(f"<th>{side}</th>" for side in sides)
    yield "<details><summary>whole call</summary>"
    yield f'<div class="wide"><table class="call"><thead><tr><th></th>{head}</tr></thead><tbody>'
    for name in {**fields[0], **fields[1]}:
        values = [side.get(name, "") for side in fields]
        differs = ' class="differs"' if all(call is not None for call in both) and values[0] != values[1] else ""
        cells = "".join(f"<td>{escaped(value)}</td>" for value in values)
        yield f"<tr{differs}><td>{escaped(name)}</td>{cells}</tr>"
    yield "</tbody></table></div></details>"


def _fields(call: Any) -> Iterator[tuple[str, str]]:
    """Yield the fields of a call with their values: status, inputs and outputs."""
    if call is None:
        return
    data = call.to_json()
    yield "thread", str(data["thread"])
    yield "caller", str(data["caller"] or "unknown")
    yield "outcome", call.outcome_text
    inputs = dict(_flat(data["in"], "in"))
    yield from inputs.items()
    for name, value in _flat(data["out"], "out"):
        if inputs.get(f"in{name[3:]}") != value:
            yield name, value


def _flat(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Yield the plain values inside a value with their paths."""
    if isinstance(value, Mapping):
        for name, member in value.items():
            yield from _flat(member, f"{path}.{name}")
    elif isinstance(value, list) and any(isinstance(item, (Mapping, list)) for item in value):
        for number, item in enumerate(value):
            yield from _flat(item, f"{path}[{number}]")
    else:
        yield path, " | ".join(map(str, value)) if isinstance(value, list) else str(value)


def _neighbours(
    both: tuple[Any, Any], sides: tuple[str, str], calls: tuple[CallAt | None, CallAt | None]
) -> Iterator[str]:
    """Yield the calls of the same thread around a call, on both sides beside each other."""
    columns = [
        [] if call is None or call_at is None else list(_around(call, call_at))
        for call, call_at in zip(both, calls, strict=True)
    ]
    if not any(columns):
        return
    head = "".join(f"<th>{side}</th>" for side in sides)
    yield "<details><summary>calls of the thread around it</summary>"
    yield f'<div class="wide"><table class="call"><thead><tr>{head}</tr></thead><tbody>'
    for place in range(2 * NEIGHBOURS + 1):
        cells = "".join(f"<td>{escaped(dict(column).get(place, ''))}</td>" for column in columns)
        yield f"<tr{' class=here' if place == NEIGHBOURS else ''}>{cells}</tr>"
    yield "</tbody></table></div></details>"


def _around(call: Any, call_at: CallAt) -> Iterator[tuple[int, str]]:
    """Yield calls of one thread as lines, with their places: NEIGHBOURS for the call itself."""
    yield NEIGHBOURS, _call_line(call)
    for step in (-1, 1):
        place, index = NEIGHBOURS, call.index
        for _ in range(_SEARCH):
            index += step
            try:
                other = call_at(index) if index >= 0 else None
            except IndexError:
                other = None
            if other is None:
                break
            if other.thread == call.thread:
                place += step
                yield place, _call_line(other)
            if abs(place - NEIGHBOURS) == NEIGHBOURS:
                break


def _call_line(call: Any) -> str:
    return f"#{call.index} {call.name}: {call.outcome_text}"
