"""Counts with their nouns."""

from __future__ import annotations

from tracekmt.plural import plural


def test_one_and_several() -> None:
    assert [plural(count, "call") for count in (0, 1, 2)] == ["0 calls", "1 call", "2 calls"]
    assert [plural(count, "process", "processes") for count in (1, 3)] == ["1 process", "3 processes"]
