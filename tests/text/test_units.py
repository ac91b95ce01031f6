"""Parsing of memory sizes and durations."""

from __future__ import annotations

import pytest

from tracekmt.errors import UsageError
from tracekmt.text.units import format_size, parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "size"), [("64MB", 64 << 20), ("2GB", 2 << 30), ("1 KiB", 1024), ("100", 100), (7, 7)]
)
def test_a_size_is_parsed(text: object, size: int) -> None:
    assert parse_size(text) == size  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["", "much", "-1", -1, "1.5GB", "5PB"])
def test_an_invalid_size_is_an_error(text: object) -> None:
    with pytest.raises(UsageError, match="invalid size"):
        parse_size(text)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90.0), ("2.5s", 2.5), ("500ms", 0.5), ("10m", 600.0), ("1 h", 3600.0)]
)
def test_a_duration_is_parsed(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "-1s", "1y", "1e5", "1.5.5s"])
def test_an_invalid_duration_is_an_error(text: str) -> None:
    with pytest.raises(UsageError, match="invalid duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1024, "1 KB"),
        (3 << 29, "1.5 GB"),
        (1 << 45, "32 TB"),
        (1 << 55, "32768 TB"),
    ],
)
def test_sizes_for_users(size: int, text: str) -> None:
    assert format_size(size) == text
