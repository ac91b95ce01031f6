"""Sizes of memory in words."""

from __future__ import annotations

import pytest

from tracekmt.errors import UsageError
from tracekmt.text.units import parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "size"), [("64MB", 64 << 20), ("2GB", 2 << 30), ("1 KiB", 1024), ("100", 100), (7, 7)]
)
def test_sizes_are_read(text: object, size: int) -> None:
    assert parse_size(text) == size  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["", "much", "-1", -1, "1.5GB", "5PB"])
def test_other_words_are_refused(text: object) -> None:
    with pytest.raises(UsageError, match="is no size"):
        parse_size(text)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90.0), ("2.5s", 2.5), ("500ms", 0.5), ("10m", 600.0), ("1 h", 3600.0)]
)
def test_lengths_of_time(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "-1s", "1y", "1e5", "1.5.5s"])
def test_what_is_no_length_of_time(text: str) -> None:
    with pytest.raises(UsageError, match="is no length of time"):
        parse_duration(text)
