"""The table of the simulator's rules: every function has its rules, or the reason why it has none."""

from __future__ import annotations

from typing import Any

from tracekmt.calls import CALLS, family_of
from tracekmt.report.matrix import WIDTH, markdown_matrix, matrix_lines
from tracekmt.simulator import BEHAVIOURS
from tracekmt.simulator.behaviours import ASSUMPTIONS, describe_rules


def rows() -> list[dict[str, Any]]:
    return [{"name": name, "family": family_of(name), **describe_rules(name)} for name in CALLS]


def test_every_function_has_rules_or_a_reason() -> None:
    assert all(behaviour.modelled or behaviour.limits for behaviour in BEHAVIOURS.values())
    assert all(row["rules"] for row in rows())


def test_the_lines_fit_a_terminal() -> None:
    lines = list(matrix_lines(rows()))
    words = max((line for line in lines if len(line) > WIDTH), key=len, default="")
    assert len(words.split()) <= 1, words
    heads = [line for line in lines if line and not line.startswith(" ")]
    assert [line.partition("  ")[0] for line in heads[: len(CALLS)]] == list(CALLS)
    start = lines.index("D3DKMTEvict  (4 rules)")
    assert lines[start + 1 : start + 9] == [
        "    STATUS_INVALID_PARAMETER: the argument is NULL",
        "        assumption: by analogy with calls in Wine's conformance test",
        "    STATUS_INVALID_PARAMETER: hDevice is not a device handle",
        "        Windows-verified: Wine dlls/win32u/tests/d3dkmt.c",
        "    STATUS_INVALID_PARAMETER: a handle in AllocationList is not an allocation of",
        "      the device",
        "        documentation: Microsoft documentation: D3DDDI_MAKERESIDENT, which names",
        "          no status (assumptions.foreign_allocation)",
    ]


def test_the_page_lists_what_no_source_defines() -> None:
    page = markdown_matrix(rows())
    assert all(f"[{name}]({name}.md)" in page for name in CALLS)
    assert all(f"| `{setting}` |" in page for setting in ASSUMPTIONS)
    limit = "only the recorded machine knows the answer"
    assert any(
        line.startswith("| [D3DKMTQueryStatistics]") and line.endswith(f"| {limit} |") for line in page.splitlines()
    )
