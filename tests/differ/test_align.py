"""Alignment of two traces."""

from __future__ import annotations

from collections import defaultdict

from tracekmt.differ.align import NO_PARTNER, allocate_pairs


def test_indexes_with_wide_gaps_need_little_memory() -> None:
    assert isinstance(allocate_pairs(10**15, 3), defaultdict)
    assert allocate_pairs(10**15, 3)[7] == NO_PARTNER
    assert len(allocate_pairs(5, 3)) == 6
