"""Validation rules: the statuses the simulator returns for invalid calls, and where each is known from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from tracekmt.simulator.sources import LIKE_OTHERS, WSL

Confidence = Literal["Windows-verified", "Microsoft source", "documentation", "reverse engineering", "assumption"]


@dataclass(frozen=True)
class ValidationRule:
    """If `broken` is true of a request, it is answered with `status`. source and confidence say where that is known
    from."""

    status: str
    what: str
    broken: Callable[[Any], Any]
    source: str
    confidence: Confidence


def invalid(what: str, broken: Callable[[Any], Any], source: str, confidence: Confidence) -> ValidationRule:
    """A rule that is answered with STATUS_INVALID_PARAMETER."""
    return ValidationRule("STATUS_INVALID_PARAMETER", what, broken, source, confidence)


def null(status: str, source: str, confidence: Confidence, what: str = "the argument is NULL") -> ValidationRule:
    """What a NULL argument is answered with."""
    return ValidationRule(status, what, lambda request: True, source, confidence)


NULL_ARGUMENT = null("STATUS_INVALID_PARAMETER", LIKE_OTHERS, "assumption")

FULL = ValidationRule(
    "STATUS_NO_MEMORY", "every slot of the handle table is in use", lambda request: True, LIKE_OTHERS, "assumption"
)
UNREADABLE = ValidationRule(
    "STATUS_INVALID_PARAMETER",
    "the argument, or what it points to, cannot be read or written",
    lambda request: True,
    WSL,
    "Microsoft source",
)
