"""Names of functions as users write them."""

from __future__ import annotations

import pytest

from tracekmt.errors import UsageError
from tracekmt.text.call_set import parse_calls
from tracekmt.text.functions import check_function, described_functions, matches_function, unknown_function


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("D3DKMTCreateAllocation2", "D3DKMTCreateAllocation2", True),
        ("CreateAllocation2", "D3DKMTCreateAllocation2", True),
        ("Create*", "D3DKMTCreateDevice", True),
        ("Create*", "NtGdiDdDDICreateDevice", True),
        ("*Allocation*", "D3DKMTDestroyAllocation2", True),
        ("NtClose", "NtClose", True),
        ("Allocation2", "D3DKMTCreateAllocation2", False),
        ("createdevice", "D3DKMTCreateDevice", False),
    ],
)
def test_a_pattern_matches_with_or_without_the_prefix(pattern: str, name: str, matches: bool) -> None:
    assert matches_function(pattern, name) is matches
    assert bool(matches and name.startswith("D3DKMT")) is (name in described_functions(pattern)) or name[:2] == "Nt"


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("CreateAlocation2", "D3DKMTCreateAllocation2"),
        ("D3DKMTCreateAlocation2", "D3DKMTCreateAllocation2"),
        ("createdevice", "D3DKMTCreateDevice"),
        ("waitforverticalblankevent", "D3DKMTWaitForVerticalBlankEvent"),
    ],
)
def test_an_unknown_name_gets_the_nearest_ones(name: str, near: str) -> None:
    text = str(unknown_function(name, "--functions"))
    assert text.startswith(f"unknown function in --functions: {name} (did you mean {near}")


def test_a_name_that_resembles_no_other() -> None:
    assert str(unknown_function("Zzz")) == "unknown function: Zzz (see `tracekmt calls`)"


def test_only_misspelt_names_are_refused() -> None:
    for accepted in ("CreateDevice", "D3DKMTNotYetKnown", "Zzz*", "NtClose"):
        check_function(accepted)
        parse_calls(accepted)
    with pytest.raises(UsageError, match=r"unknown function in the call set: CreateDevise \(did you mean"):
        parse_calls("0-3,CreateDevise")
