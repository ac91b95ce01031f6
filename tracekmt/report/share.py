"""The share of a trace that a replay or a diff compared, in one line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from tracekmt.findings import Report
from tracekmt.plural import plural
from tracekmt.printable import printable

MAX_FUNCTIONS = 5


def share_line(report: Report) -> str:
    """Return how many calls were compared or checked, and the functions of the others, the most frequent first."""
    if report.is_check:
        return f"checked {plural(report.total, 'call')}"
    return share_text(report.total, report.calls.compared, report.not_compared.items())


def share_text(total: int, compared: int, others: Iterable[tuple[str, Counter[str]]]) -> str:
    """Return a share as text.

    Args:
        total: Number of all calls.
        compared: Number of compared calls.
        others: Reasons for the other calls, each with the number of calls by function.
    """
    parts = [f"compared {compared} of {plural(total, 'call')} ({percentage(compared, total)})"]
    for reason, functions in others:
        count = sum(functions.values())
        named = [f"{printable(name)} {number}" for name, number in functions.most_common(MAX_FUNCTIONS)]
        more = f", and {len(functions) - MAX_FUNCTIONS} more" if len(functions) > MAX_FUNCTIONS else ""
        parts.append(f"{reason} {count} ({percentage(count, total)}): {', '.join(named)}{more}")
    return "; ".join(parts)


def percentage(count: int, total: int) -> str:
    """Return a share as a percentage that is rounded down, so that 100% is all and 0% is none or nearly none."""
    tenths = 1000 * count // max(total, 1)
    return f"{tenths / 10:.1f}".removesuffix(".0") + "%"
