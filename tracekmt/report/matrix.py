"""The rules of the simulator as a table: function by rule, source and confidence."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tracekmt.plural import plural

WIDTH = 80
CONFIDENCES = ("Windows-verified", "Microsoft source", "documentation", "reverse engineering", "assumption")

Row = Mapping[str, Any]
"""Result of `describe_rules`, with the `name` and the `family` of the function.

Each rule may have `machines`: its outcome on observed machines, as `with_machines` returns it.
"""

_OUTCOMES = {"holds": "held on", "does not hold": "not on", "flaky": "varies on", "not reached": "not reached on"}


def matrix_lines(rows: Iterable[Row]) -> Iterator[str]:
    """Yield the lines of the table for a terminal: each function with its rules, then the totals."""
    rows = list(rows)
    for row in rows:
        yield f"{row['name']}  ({_state(row)})"
        for rule in row["rules"]:
            yield from _wrapped(f"{rule['status']}: {rule['what']}", 4)
            yield from _wrapped(f"{rule['confidence']}: {rule['source']}{_setting(rule)}", 8)
            for line in machine_lines(rule):
                yield from _wrapped(line, 8)
        if row["limits"]:
            yield from _wrapped(f"limit: {row['limits']}", 4)
        yield ""
    for line in totals(rows):
        yield from _wrapped(line, 0)


def machine_lines(rule: Mapping[str, Any]) -> Iterator[str]:
    """Yield the line with the observed machines on which a rule held, did not hold or was not reached."""
    machines: Mapping[str, Any] = rule.get("machines", {})
    parts = []
    for outcome, title in _OUTCOMES.items():
        found = {name: machine for name, machine in machines.items() if machine["outcome"] == outcome}
        names = [
            name if outcome in ("holds", "not reached") else f"{name} ({', '.join(machine['observed'])})"
            for name, machine in found.items()
        ]
        parts += [f"{title}: {', '.join(names)}"] if names else []
    if parts:
        yield "; ".join(parts)


def totals(rows: Iterable[Row]) -> Iterator[str]:
    """Yield the number of functions with rules, and of the rules by confidence and by machine."""
    rows = list(rows)
    modelled = sum(row["modelled"] for row in rows)
    yield f"{modelled} of {plural(len(rows), 'function')} with rules."
    counts = Counter(rule["confidence"] for row in rows for rule in row["rules"])
    yield "Rules by confidence: " + ", ".join(f"{name} {counts[name]}" for name in CONFIDENCES) + "."
    machines = [rule.get("machines", {}) for row in rows for rule in row["rules"]]
    held = {
        name: sum(each[name]["outcome"] == "holds" for each in machines if name in each) for name in _names(machines)
    }
    if held:
        yield "Rules that held on observed machines: " + ", ".join(f"{name} {held[name]}" for name in held) + "."


def _names(machines: Iterable[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for each in machines for name in each))


def markdown_matrix(rows: Iterable[Row]) -> str:
    """Return a Markdown page with the table, by family."""
    rows = list(rows)
    lines = [
        "# Rules of the simulator",
        "",
        *totals(rows),
        "",
        "The tables have the number of rules of each function, by the confidence of their sources. The page of a",
        "function has the rules in the order of their checks.",
        "",
    ]
    header = ["function", *CONFIDENCES, "limit"]
    for family in dict.fromkeys(row["family"] for row in rows):
        lines += [f"## {family}", "", f"| {' | '.join(header)} |", f"| {' | '.join(['---'] * len(header))} |"]
        lines += [_markdown_row(row) for row in rows if row["family"] == family]
        lines.append("")
    lines += ["## Statuses that no source defines", "", "| assumption | function | rule | status |"]
    lines += ["| --- | --- | --- | --- |"]
    lines += [
        f"| `{rule['setting']}` | [{row['name']}]({row['name']}.md) | {rule['what']} | {rule['status']} |"
        for row in sorted(rows, key=lambda row: str(row["name"]))
        for rule in row["rules"]
        if rule["setting"]
    ]
    return "\n".join(lines) + "\n"


def _markdown_row(row: Row) -> str:
    counts = Counter(rule["confidence"] for rule in row["rules"])
    numbers = [str(counts[name] or "") for name in CONFIDENCES]
    return f"| [{row['name']}]({row['name']}.md) | {' | '.join(numbers)} | {row['limits']} |"


def _state(row: Row) -> str:
    return plural(len(row["rules"]), "rule") if row["modelled"] else "not simulated"


def _setting(rule: Mapping[str, str]) -> str:
    return f" (assumptions.{rule['setting']})" if rule["setting"] else ""


def _wrapped(text: str, indent: int) -> Iterator[str]:
    yield from textwrap.wrap(
        text, WIDTH, initial_indent=" " * indent, subsequent_indent=" " * (indent + 2), break_long_words=False
    )
