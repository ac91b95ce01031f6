"""Formatted descriptions."""

from __future__ import annotations

import pytest

from tracekmt.calls import CALLS, FAMILIES, family_of
from tracekmt.report.descriptions import coverage_lines, description_lines, markdown_index, markdown_page
from tracekmt.spec.describe import describe


@pytest.mark.parametrize("name", CALLS)
def test_every_call_is_formatted(name: str) -> None:
    description = describe(CALLS[name], family_of(name))
    lines = list(description_lines(description))
    assert lines[0].startswith(f"{name}(")
    for field in description["fields"]:
        assert any(f"  {field['path']}: {field['type']}" in line for line in lines)
    assert f"# {name}\n" in markdown_page(description)


def test_the_lines_of_a_call() -> None:
    lines = list(description_lines(describe(CALLS["D3DKMTWaitForSynchronizationObjectFromCpu"], "sync")))
    assert (
        "   16+8    8+4  in         ObjectHandleArray[]: D3DKMT_HANDLE *  (length ObjectCount, sync object)"
        not in lines
    )
    assert "    8+8    8+4  in         ObjectHandleArray[]: D3DKMT_HANDLE *  (length ObjectCount, sync object)" in lines
    assert "may block when hAsyncEvent is not set" in lines
    lines = list(description_lines(describe(CALLS["D3DKMTCreateAllocation2"], "allocation")))
    assert "                           0x4000     Zeroed (out)" in lines
    assert (
        "creates global share at hGlobalShare when Flags.CreateShared is set and Flags.NtSecuritySharing is not set"
        in lines
    )
    lines = list(description_lines(describe(CALLS["D3DKMTQueryAdapterInfo"], "adapter")))
    payload = "pPrivateDriverData when Type is KMTQAITYPE_GETSEGMENTSIZE: D3DKMT_SEGMENTSIZEINFO, 24 bytes, x86 24"
    assert payload in lines


def test_unknown_facts_are_counted() -> None:
    lines = "\n".join(coverage_lines(CALLS.values()))
    assert (
        "3 functions with undescribed memory, to which no argument points: D3DKMTRender, D3DKMTSubmitCommand" in lines
    )
    assert "10 fields whose direction no source documents, in D3DKMTQueryAdapterInfo, D3DKMTEscape" in lines
    assert lines in markdown_index(FAMILIES)
