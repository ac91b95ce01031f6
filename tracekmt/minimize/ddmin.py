"""Delta debugging: a small subset of items that still has a property (Zeller and Hildebrandt, 2002, ddmin)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


def ddmin(items: Sequence[T], holds: Callable[[list[T]], bool]) -> list[T]:
    """Return a subset of items that has a property, and loses it without any single item if that was tried.

    Args:
        items: The items. They have the property.
        holds: Returns True if a subset has the property.
    """
    current, parts = list(items), 2
    while len(current) >= 2:
        size = -(-len(current) // parts)
        chunks = [current[start : start + size] for start in range(0, len(current), size)]
        smaller = _first_that_holds(chunks, holds)
        if smaller is not None:
            current, parts = smaller, 2
            continue
        complements = [[item for item in current if item not in set(chunk)] for chunk in chunks] if parts > 2 else []
        smaller = _first_that_holds(complements, holds)
        if smaller is not None:
            current, parts = smaller, max(parts - 1, 2)
            continue
        if parts >= len(current):
            break
        parts = min(2 * parts, len(current))
    return [] if len(current) == 1 and holds([]) else current


def _first_that_holds(subsets: Sequence[list[T]], holds: Callable[[list[T]], bool]) -> list[T] | None:
    return next((subset for subset in subsets if holds(subset)), None)
