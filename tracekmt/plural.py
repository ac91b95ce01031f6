"""Counts with their nouns: "1 call", "2 calls"."""

from __future__ import annotations


def plural(count: int, noun: str, plural_noun: str | None = None) -> str:
    """Return a count with its noun, "0 calls", "1 call" or "2 calls".

    Args:
        count: Number of things.
        noun: Noun for one thing.
        plural_noun: Noun for other counts, if it is not `noun` with an s.
    """
    return f"{count} {noun if count == 1 else plural_noun or noun + 's'}"
