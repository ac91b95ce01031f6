"""Results of a torture as lines, plain data and a page."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import Any

from tracekmt.plural import plural
from tracekmt.printable import printable
from tracekmt.torture.run import BAD, Outcome, Result

_COLUMNS: tuple[Outcome, ...] = ("went on", "ended", "crashed", "hung")

COLUMNS = ("function", "cases", *_COLUMNS, "other", "leaks")
"""Columns of `function_rows`."""

_STYLE = """
:root { color-scheme: light dark; font: 14px/1.45 system-ui, sans-serif; }
body { margin: 2em auto; max-width: 75em; padding: 0 1em; }
table { border-collapse: collapse; width: 100%; }
th, td { border-bottom: 1px solid #8886; padding: .35em .6em; text-align: left; vertical-align: top; }
h2 { font-size: 1.1em; margin: 1.6em 0 .4em; }
pre { background: #8881; font: 12px/1.45 ui-monospace, monospace; padding: .7em; }
pre { overflow-wrap: anywhere; white-space: pre-wrap; }
.crashed, .hung { background: #e5484d33; }
.ended { background: #f5a62333; }
"""


def function_rows(baseline: Result, results: Sequence[Result]) -> Iterator[tuple[str, ...]]:
    """Yield a row for each function: the number of its cases, and of those with each outcome and with leaks."""
    by_function: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        if result.case is not None:
            by_function[result.case.function].append(result)
    for function, each in sorted(by_function.items()):
        counts = Counter(result.outcome for result in each)
        leaking = sum(bool(result.leaks - baseline.leaks) for result in each)
        others = counts["not reached"] + counts["not recorded"]
        numbers = (len(each), *(counts[outcome] for outcome in _COLUMNS), others, leaking)
        yield function, *(str(number or "") for number in numbers)


def case_rows(baseline: Result, results: Sequence[Result]) -> Iterator[tuple[str, ...]]:
    """Yield a row for each case: its number, its fault, what became of the program, and leaks."""
    for result in results:
        if result.case is not None:
            yield str(result.case.number), result.case.fault, outcome_text(result), leaks_text(baseline, result)


def outcome_text(result: Result) -> str:
    """Return what became of the program, with how it ended where that says more."""
    has_detail = result.outcome in ("ended", "crashed", "not recorded")
    return f"{result.outcome} {printable(result.detail)}" if has_detail else result.outcome


def leaks_text(baseline: Result, result: Result) -> str:
    """Return the objects that were never destroyed, beyond those of the run without a fault."""
    return ", ".join(f"{count} {kind}" for kind, count in sorted((result.leaks - baseline.leaks).items()))


def summary_line(results: Sequence[Result]) -> str:
    """Return a line with the number of cases by outcome."""
    counts = Counter(result.outcome for result in results)
    return f"{plural(len(results), 'case')}: " + ", ".join(
        f"{count} {outcome}" for outcome, count in counts.most_common()
    )


def detail_lines(results: Sequence[Result]) -> Iterator[str]:
    """Yield the last calls of programs that crashed or hung, and a command that repeats it, once for each function."""
    for each in _bad_groups(results):
        yield from _group_lines(each)
        yield ""


def _bad_groups(results: Sequence[Result]) -> list[list[Result]]:
    """Return the results of programs that crashed or hung, those with one function and outcome together."""
    groups: dict[tuple[str, str], list[Result]] = defaultdict(list)
    for result in results:
        if result.case is not None and result.outcome in BAD:
            groups[result.case.function, outcome_text(result)].append(result)
    return list(groups.values())


def _group_lines(group: Sequence[Result]) -> Iterator[str]:
    first, numbers = group[0], [str(result.case.number) for result in group[1:] if result.case is not None]
    assert first.case is not None
    yield f"case {first.case.number}: {first.case.fault}: {outcome_text(first)}"
    yield from (f"    {printable(line)}" for line in first.last_calls)
    yield f"    again: {printable(first.command)}"
    if numbers:
        yield f"    the same in {plural(len(numbers), 'other case')}: {', '.join(numbers)}"


def to_data(baseline: Result, results: Sequence[Result]) -> dict[str, Any]:
    """Return the results as plain data."""
    return {
        "baseline": _result_data(baseline, baseline),
        "outcomes": dict(Counter(result.outcome for result in results)),
        "cases": [
            {**result.case._asdict(), **_result_data(baseline, result)} for result in results if result.case is not None
        ],
    }


def _result_data(baseline: Result, result: Result) -> dict[str, Any]:
    return {
        "outcome": result.outcome,
        "detail": result.detail,
        "leaks": dict(result.leaks - baseline.leaks) if result is not baseline else dict(result.leaks),
        "last_calls": list(result.last_calls),
        "trace": str(result.trace),
        "printed": str(result.printed),
        "command": result.command,
    }


def page(title: str, baseline: Result, results: Sequence[Result]) -> str:
    """Return the page: outcomes by function, what crashed and hung with its last calls, and all cases."""
    lines = [
        "<!doctype html>",
        f'<html lang="en"><meta charset="utf-8"><title>{_html(title)}</title><style>{_STYLE}</style>',
        f"<h1>{_html(title)}</h1>",
        f"<p>{_html(summary_line(results))}. Without a fault, the program {_html(_without(baseline))}.</p>",
        *_html_table(COLUMNS, ((cells, "") for cells in function_rows(baseline, results))),
    ]
    for each in _bad_groups(results):
        lines.append(f"<h2>{_html(each[0].case.function)} {_html(outcome_text(each[0]))}</h2>")  # type: ignore[union-attr]
        lines.append(f"<pre>{_html_lines(_group_lines(each))}</pre>")
    tags = (result.outcome.replace(" ", "-") for result in results if result.case is not None)
    rows = zip(case_rows(baseline, results), tags, strict=True)
    lines += ["<h2>All cases</h2>", *_html_table(("case", "fault", "outcome", "leaks"), rows)]
    lines.append("<p>The trace of a case is in this folder, as its number with .kmt, and its output with .txt.</p>")
    return "\n".join([*lines, "</html>"]) + "\n"


def _html_table(header: Sequence[str], rows: Iterable[tuple[Sequence[str], str]]) -> Iterator[str]:
    """Yield the lines of a table. Each row has its cells and its class."""
    yield "<table><tr>" + "".join(f"<th>{_html(cell)}" for cell in header) + "</tr>"
    for cells, tag in rows:
        yield f'<tr class="{tag}">' + "".join(f"<td>{_html(cell)}" for cell in cells) + "</tr>"
    yield "</table>"


def _html_lines(lines: Iterable[str]) -> str:
    return "\n".join(map(_html, lines))


def _without(baseline: Result) -> str:
    return f"ended {baseline.detail}"


def _html(text: str) -> str:
    return escape(printable(text))
