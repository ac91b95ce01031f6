"""Descriptions told to people."""

from __future__ import annotations

import pytest

from tracekmt.calls import CALLS, FAMILIES, family_of
from tracekmt.report.descriptions import coverage_lines, description_lines, markdown_index, markdown_page
from tracekmt.spec.describe import describe


@pytest.mark.parametrize("name", CALLS)
def test_every_call_can_be_told(name: str) -> None:
    told = describe(CALLS[name], family_of(name))
    lines = list(description_lines(told))
    assert lines[0].startswith(f"{name}(")
    for field in told["fields"]:
        assert any(f"  {field['path']}: {field['type']}" in line for line in lines)
    assert f"# {name}\n" in markdown_page(told)


def test_what_a_call_in_full_says() -> None:
    lines = list(description_lines(describe(CALLS["D3DKMTWaitForSynchronizationObjectFromCpu"], "sync")))
    assert (
        "   16+8    8+4  in         ObjectHandleArray[]: D3DKMT_HANDLE *  (length ObjectCount, sync object)"
        not in lines
    )
    assert "    8+8    8+4  in         ObjectHandleArray[]: D3DKMT_HANDLE *  (length ObjectCount, sync object)" in lines
    assert "may wait for others when hAsyncEvent is not set" in lines
    lines = list(description_lines(describe(CALLS["D3DKMTCreateAllocation2"], "allocation")))
    assert "                           0x4000     Zeroed (out)" in lines
    assert (
        "creates global share at hGlobalShare when Flags.CreateShared is set and Flags.NtSecuritySharing is not set"
        in lines
    )
    lines = list(description_lines(describe(CALLS["D3DKMTQueryAdapterInfo"], "adapter")))
    wanted = "pPrivateDriverData when Type is KMTQAITYPE_GETSEGMENTSIZE: D3DKMT_SEGMENTSIZEINFO, 24 bytes, x86 24"
    assert wanted in lines


def test_what_is_not_known_is_counted() -> None:
    lines = "\n".join(coverage_lines(CALLS.values()))
    assert "3 of them use memory that nothing in their arguments leads to: D3DKMTRender, D3DKMTSubmitCommand" in lines
    assert "10 fields, in D3DKMTQueryAdapterInfo, D3DKMTEscape" in lines
    assert lines in markdown_index(FAMILIES)
