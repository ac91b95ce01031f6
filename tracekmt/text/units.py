"""Parsing of memory sizes and durations."""

from __future__ import annotations

import re

from tracekmt.errors import UsageError

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def parse_size(value: int | str) -> int:
    """Parse a size in bytes from 65536, "64KB", "64 MiB" or "2GB" (units of 1024).

    Raises:
        UsageError: The value is not a size.
    """
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    match = re.fullmatch(r"(\d{1,18})\s*([KMGT]?)(?:i?B)?", str(value).strip(), re.IGNORECASE)
    if match is None:
        raise UsageError(f"invalid size: {value} (expected a form such as 65536, 64KB, 64MB or 2GB)")
    return int(match[1]) * _UNITS[match[2].upper()]


_SECONDS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


def parse_duration(text: str) -> float:
    """Parse a duration in seconds from "90", "2.5s", "500ms", "10m" or "1h".

    Raises:
        UsageError: The text is not a duration.
    """
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)\s*(ms|s|min|m|h|)", text.strip())
    if match is None:
        raise UsageError(f"invalid duration: {text} (expected a form such as 90, 2.5s, 500ms, 10m or 1h)")
    return float(match[1]) * _SECONDS[match[2]]


NANOSECONDS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9}
"""Nanoseconds of the units of times in conditions."""


def parse_nanoseconds(text: str) -> int:
    """Parse a time of a condition in nanoseconds from "5000", "20us", "2.5ms" or "5s".

    Raises:
        UsageError: The text is not such a time.
    """
    match = re.fullmatch(r"(\d{1,18}(?:\.\d{1,9})?)(ns|us|ms|s|)", text.strip())
    if match is None:
        raise UsageError(f"invalid time: {text} (expected a form such as 5000, 20us, 2.5ms or 5s)")
    return round(float(match[1]) * NANOSECONDS[match[2] or "ns"])


def format_size(size: int) -> str:
    """Return a size in bytes as text in the largest unit that it has at least one of, such as "7.8 GB"."""
    value, unit = float(size), "bytes"
    for name in ("KB", "MB", "GB", "TB"):
        if value < 1024:
            break
        value, unit = value / 1024, name
    return f"{value:.1f}".removesuffix(".0") + f" {unit}"
