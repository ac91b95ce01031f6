"""The page of a matrix: traces by targets, and findings that are the same across traces.

The page is one file, makes no requests, and needs no script. Contents of traces are escaped text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from tracekmt.matrix.outcomes import OUTCOMES, WITHOUT_RESULT, Group, Outcome, Summary
from tracekmt.matrix.plan import Pair
from tracekmt.plural import plural
from tracekmt.report.markup import document, escaped
from tracekmt.resources import resource

MAX_GROUPS, MAX_ROWS, MAX_LISTED = 500, 5000, 100
"""Numbers of findings, of traces, and of names in a list that the page contains. The tables have all."""

_MARKS: dict[Outcome, str] = {
    "same": "same",
    "differs": "different",
    "flaky": "flaky",
    **dict.fromkeys(WITHOUT_RESULT, "without"),
}
_TITLES: dict[Outcome, str] = {"differs": "different"}


def page(summary: Summary) -> str:
    """Return the page of a summary."""
    style = "".join(resource("pages", name).read_text("utf-8") for name in ("report.css", "matrix.css"))
    script = resource("pages", "report.js").read_text("utf-8")
    return document(f"matrix: {summary_text(summary)}", style, "\n".join(_body(summary)), script)


def summary_text(summary: Summary) -> str:
    """Return the number of pairs by outcome."""
    counts = summary.counts
    parts = [f"{counts[outcome]} {_TITLES.get(outcome, outcome)}" for outcome in OUTCOMES if counts[outcome]]
    return f"{plural(sum(counts.values()), 'pair')}: {', '.join(parts)}"


def _body(summary: Summary) -> Iterator[str]:
    mark = "verdict same" if summary.exit_status == 0 else "verdict"
    traces, targets = plural(len(summary.cells), "trace"), plural(len(summary.targets), "target")
    yield f'<h1>{traces} by {targets}: <span class="{mark}">{escaped(summary_text(summary))}</span></h1>'
    yield from _special(summary.special)
    yield from _grid(summary)
    yield from _findings(summary)


def _special(special: Mapping[tuple[str, Outcome, str], Sequence[Pair]]) -> Iterator[str]:
    """Yield the pairs whose outcome has a reason, with commands that repeat it."""
    for outcome in OUTCOMES:
        each = [(trace, reason, pairs) for (trace, other, reason), pairs in special.items() if other == outcome]
        if not each:
            continue
        title = "stopped with differences" if outcome == "differs" else outcome
        count = sum(len(pairs) for _, _, pairs in each)
        yield f'<h2>{title[0].upper()}{title[1:]}: {plural(count, "pair")}</h2><ul class="special">'
        for trace, reason, pairs in each[:MAX_LISTED]:
            yield f"<li><b>{escaped(trace)}</b> on {_names(pair.target for pair in pairs)}: {escaped(reason)}"
            yield f'<code class="command">{escaped(pairs[0].command)}</code></li>'
        yield f"</ul>{_more(len(each) - MAX_LISTED, 'trace')}"


def _more(count: int, noun: str) -> str:
    return f"<p>{plural(count, f'more {noun}')} in the tables.</p>" if count > 0 else ""


def _grid(summary: Summary) -> Iterator[str]:
    """Yield the table of traces by targets: those with differences first, the others folded if there are many."""
    targets = [name for name in summary.order if name in summary.targets]
    split: tuple[dict[str, Mapping[str, tuple[Outcome, str, str]]], ...] = ({}, {})
    for trace, cells in summary.cells.items():
        split[all(outcome == "same" for outcome, _, _ in cells.values())][trace] = cells
    yield "<h2>Traces by targets</h2>"
    yield from _legend(summary)
    different, same = split
    if different:
        yield from _grid_table(summary, targets, different)
    if same:
        title = f"{plural(len(same), 'trace')} with no differences on any target"
        yield f"<details{'' if different else ' open'}><summary>{title}</summary>"
        yield from _grid_table(summary, targets, same)
        yield "</details>"


def _legend(summary: Summary) -> Iterator[str]:
    counts = summary.counts
    items = [
        f'<li><span class="cell {_MARKS[outcome]}">{counts[outcome]}</span> {_TITLES.get(outcome, outcome)}</li>'
        for outcome in OUTCOMES
        if counts[outcome]
    ]
    yield f'<ul class="counts legend">{"".join(items)}</ul>'


def _grid_table(
    summary: Summary, targets: Sequence[str], rows: Mapping[str, Mapping[str, tuple[Outcome, str, str]]]
) -> Iterator[str]:
    yield '<div class="wide"><table class="grid"><thead><tr><th>trace</th>'
    for target in targets:
        numbers = summary.targets[target]
        parts = [f"{numbers[outcome]} {_TITLES.get(outcome, outcome)}" for outcome in OUTCOMES if numbers[outcome]]
        lines = "".join(f"<small>{part}</small>" for part in parts)
        yield f'<th scope="col">{escaped(target)}{lines}</th>'
    yield "</tr></thead><tbody>"
    for trace, cells in list(rows.items())[:MAX_ROWS]:
        line = "".join(_cell(*cells[target]) if target in cells else "<td></td>" for target in targets)
        yield f'<tr><th scope="row">{escaped(trace)}</th>{line}</tr>'
    yield f"</tbody></table></div>{_more(len(rows) - MAX_ROWS, 'trace')}"


def _cell(outcome: Outcome, text: str, detail: str) -> str:
    return f'<td class="cell {_MARKS[outcome]}" title="{escaped(detail)}">{escaped(text)}</td>'


def _findings(summary: Summary) -> Iterator[str]:
    groups = sorted(summary.groups.values(), key=lambda group: (-group.pairs, group.signature))
    if groups:
        yield f"<h2>Findings: {plural(len(groups), 'kind')}</h2>"
    yield "<main>"
    for group in groups[:MAX_GROUPS]:
        yield from _article(group, summary.order)
    yield f"</main>{_more(len(groups) - MAX_GROUPS, 'kind')}"


def _article(group: Group, order: Sequence[str]) -> Iterator[str]:
    yield f'<article data-kind="{escaped(group.kind)}" data-text="{escaped(group.signature.lower())}">'
    path = f"  {group.path}" if group.path else ""
    yield f'<h3>{escaped(group.call + path)}<span class="kind">{escaped(group.kind)}</span></h3>'
    values = (("recorded", group.recorded), ("replayed", group.replayed))
    yield '<div class="sides">'
    for side, value in values:
        yield f'<div><div class="label">{side}</div><code>{escaped("" if value is None else value)}</code></div>'
    yield "</div>"
    if group.message:
        yield f"<p>{escaped(group.message)}</p>"
    yield f'<p class="seen">{_first_seen(group)}</p>'
    targets = [target for target in order if target in group.traces]
    where = f"{plural(group.calls, 'call')} in {plural(group.pairs, 'pair')}"
    yield f"<details><summary>{where}, on {plural(len(targets), 'target')}</summary><ul>"
    for target in targets:
        yield f"<li><b>{escaped(target)}</b>: {_names(group.traces[target])}</li>"
    yield f'</ul></details><code class="command">{escaped(group.first.command)}</code></article>'


def _first_seen(group: Group) -> str:
    driver = f" (driver {escaped(group.first.driver)})" if group.first.driver else ""
    recorded = f", recorded on driver {escaped(group.recorded_driver)}" if group.recorded_driver else ""
    return f"first seen on <b>{escaped(group.first.target)}</b>{driver}, with {escaped(group.first.trace)}{recorded}"


def _names(names: Iterable[str]) -> str:
    listed = list(names)
    more = f", and {len(listed) - MAX_LISTED} more" if len(listed) > MAX_LISTED else ""
    return escaped(", ".join(listed[:MAX_LISTED])) + more
