"""Conditions: the calls that they select, and the errors for invalid ones."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tracekmt
from tracekmt.errors import UsageError
from tracekmt.resources import resource
from tracekmt.text.filter import DEPTH_LIMIT, LENGTH_LIMIT, parse_where

DEMO = resource("traces", "demo.kmt")


def chosen(text: str, path: Path = DEMO) -> list[int]:
    with tracekmt.open(path) as trace:
        holds = parse_where(text, trace.specs.values())
        return [call.index for call in trace.calls() if holds(call)]


@pytest.mark.parametrize(
    ("text", "indexes"),
    [
        ("failed", [9, 10, 13, 14, 15]),
        ("not failed and call ~ 'Destroy*'", [5, 8, 11, 16, 17]),
        ("call ~ 'D3DKMTDestroyDevice'", [11, 17]),
        ('call == "D3DKMTCloseAdapter" and thread != 0', [18]),
        ("status == STATUS_NO_MEMORY", [14]),
        ("status = STATUS_GRAPHICS_NO_VIDEO_MEMORY or status = STATUS_NO_VIDEO_MEMORY", [9]),
        ("status == 0xc0000017", [14]),
        ("status ~ 'STATUS_*MEMORY'", [9, 14]),
        ("status !~ '*SUCCESS'", [9, 10, 13, 14, 15]),
        ("in.NumAllocations > 1", [6]),
        ("in.NumAllocations >= 1 and index <= 7", [4, 6, 7]),
        ("in.Flags.CreateShared", [6, 10]),
        ("in.Flags ~ 'CreateSh*'", [6, 10]),
        ("in.hDevice == 0x40000080 and succeeded and call ~ 'Create*'", [4, 7]),
        ("out.pAllocationInfo2[].hAllocation == 0x40000100", [4]),
        ("out.pAllocationInfo2[0].hAllocation == 0x40000100", [4]),
        ("out.pAllocationInfo2[1].hAllocation", [6]),
        ("out.pAllocationInfo2.hAllocation == 0x40000100", [4]),
        ("in.pAllocationInfo2[].pPrivateDriverData ~ '4b4d5453*' and index == 4", [4]),
        ("in.pAllocationInfo2[].PrivateDriverDataSize == 31 and index < 5", [4]),
        ("in.phAllocationList == NULL and call ~ 'Destroy*'", [8, 16]),
        ("took > 1ms", [2, 3]),
        ("took >= 1.5ms", [2]),
        ("time < 2000us", [0, 1]),
        ("in.PrivateRuntimeDataSize > 64MB", []),
        ("not (index >= 1)", [0]),
        ("not not index = 3", [3]),
        ("(index = 1 or index = 2) and (thread = 1)", [1]),
        ("caller ~ 'libffi*' and index < 2", [0, 1]),
        ("in.AdapterLuid.LowPart == 2", [1]),
        ("result", []),
        ("call ~ 'Create*' and in.hResource == NULL and index < 5", [4]),
        ("in.hDevice != NULL and index < 5", [4]),
        ("in.hDevice == '0x40000080' and succeeded and call ~ 'Create*'", [4, 7]),
        ("in.NumAllocations == '2'", [6]),
    ],
)
def test_a_condition_selects_calls(text: str, indexes: list[int]) -> None:
    assert chosen(text) == indexes


def test_enumerations_and_calls_that_never_returned(tmp_path: Path) -> None:
    path = tmp_path / "made.kmt"
    with tracekmt.create(path) as trace:
        for kind in ("D3DDDI_FENCE", "D3DDDI_MONITORED_FENCE"):
            trace.add("D3DKMTCreateSynchronizationObject2", {"Info": {"Type": kind}}, None, None)
    assert chosen("in.Info.Type == D3DDDI_MONITORED_FENCE", path) == [1]
    assert chosen("in.Info.Type ~ 'D3DDDI_*'", path) == [0, 1]
    assert chosen("in.Info.Type == 3", path) == [0]
    assert chosen("not returned and not failed and not succeeded", path) == [0, 1]
    assert chosen("status == STATUS_SUCCESS or took >= 0 or out.hSyncObject == 0", path) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a value is missing at the end, at column 1: "),
        ("in.NumAllocatoins > 1", "no function of the trace has a field 'NumAllocatoins', at column 4: in.NumAlloc"),
        ("in.", "no function of the trace has a field '', at column 4: in."),
        ("failde", "unknown name 'failde' (expected a status"),
        ("status == STATUS_NOPE", "unknown name 'STATUS_NOPE' (expected a status"),
        ("in.NumAllocations >", "a value is missing at the end, at column 20"),
        ("failed failed", "unexpected 'failed', at column 8: failed failed"),
        ("((failed)", "missing ), at column 10: ((failed)"),
        ("in.pAllocationInfo2[0 > 1", "missing ], at column 23"),
        ("failed and or failed", "unexpected 'or' (expected a value), at column 12"),
        ("took > 5parsec", "5parsec is neither a time nor a size, at column 8"),
        ("__import__('os')", "unknown name '__import__'"),
        ("status == 'STATUS_BOGUS'", "invalid NTSTATUS: STATUS_BOGUS"),
        ("in.pAllocationInfo2[0.5].hAllocation == 1", "invalid element number: 0.5, at column 21"),
        ("index == $", "unexpected '$', at column 10: index == $"),
        ("(" * (DEPTH_LIMIT + 2), "too many nested parentheses"),
        ("failed or " * LENGTH_LIMIT, f"(expected at most {LENGTH_LIMIT})"),
        ("failed or " * 40 + "5parsec", "at column 401: ...failed or failed or failed or 5parsec"),
    ],
)
def test_an_invalid_condition_is_an_error(text: str, message: str) -> None:
    with pytest.raises(UsageError) as error:
        chosen(text)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


WORDS = ("failed", "and", "or", "not", "(", ")", "in", ".", "out", "hDevice", "[", "]", "0", "1.5ms", "==", "~", "'*'")


@given(st.one_of(st.text(max_size=60), st.lists(st.sampled_from(WORDS), max_size=20).map(" ".join)))
def test_any_text_is_a_condition_or_an_error(text: str) -> None:
    try:
        chosen(text)
    except UsageError as error:
        assert "\n" not in str(error)  # noqa: PT017 (most texts raise, some do not)
