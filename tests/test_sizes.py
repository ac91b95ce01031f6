"""Sizes of memory in words."""

from __future__ import annotations

import pytest

from tracekmt.errors import UsageError
from tracekmt.sizes import parse_size


@pytest.mark.parametrize(
    ("text", "size"), [("64MB", 64 << 20), ("2GB", 2 << 30), ("1 KiB", 1024), ("100", 100), (7, 7)]
)
def test_sizes_are_read(text: object, size: int) -> None:
    assert parse_size(text) == size  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["", "much", "-1", -1, "1.5GB", "5PB"])
def test_other_words_are_refused(text: object) -> None:
    with pytest.raises(UsageError, match="is no size"):
        parse_size(text)  # type: ignore[arg-type]
