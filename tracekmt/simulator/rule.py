"""Validation rules: the statuses that the simulator returns for invalid calls, with their sources."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from tracekmt.codec.memory import MemoryFault
from tracekmt.simulator.sources import LIKE_OTHERS, WSL, page

Confidence = Literal["Windows-verified", "Microsoft source", "documentation", "reverse engineering", "assumption"]


@dataclass(frozen=True)
class ValidationRule:
    """A reason to reject a call.

    Attributes:
        status: Name of the status that the call returns.
        reason: The reason in words, for reports.
        violated: Predicate of a request, true if the call is rejected.
        source: Where the rule is known from.
        confidence: Kind of the source.
        elsewhere: True if another process or the GPU may decide whether the rule is violated.
        write: Writes the outputs of a call that the rule rejects, None if it writes none.
        detail: Returns the numbers of one case in words, for reports.
        setting: Name under which the settings may define another status, for a status that no source defines.
    """

    status: str
    reason: str
    violated: Callable[[Any], Any]
    source: str
    confidence: Confidence
    elsewhere: bool = False
    write: Callable[[Any], None] | None = None
    detail: Callable[[Any], str] | None = None
    setting: str = ""


def breaks(rule: ValidationRule, request: Any) -> bool:
    """Return True if a request breaks a rule, whatever earlier rules it breaks.

    A rule may need what an earlier rule has checked, such as a live object. A request without it breaks no such rule.
    """
    try:
        return bool(rule.violated(request))
    except (AssertionError, AttributeError, MemoryFault):
        return False


def pair_name(function: str, first: ValidationRule, later: ValidationRule) -> str:
    """Return the name of two rules for settings: the status of calls that break both."""
    return f"{rule_name(function, first)}, before: {later.reason}"


def rule_name(function: str, rule: ValidationRule) -> str:
    """Return the name of a rule for settings: the function and the reason."""
    return f"{function}: {rule.reason}"


def invalid(reason: str, violated: Callable[[Any], Any], source: str, confidence: Confidence) -> ValidationRule:
    """Return a rule that rejects a call with STATUS_INVALID_PARAMETER."""
    return ValidationRule("STATUS_INVALID_PARAMETER", reason, violated, source, confidence)


def unspecified(
    setting: str,
    reason: str,
    violated: Callable[[Any], Any],
    source: str = "no source defines the status",
    *,
    status: str = "STATUS_INVALID_PARAMETER",
    confidence: Confidence = "assumption",
) -> ValidationRule:
    """Return a rule whose status no source defines. The settings may define it."""
    return ValidationRule(status, reason, violated, source, confidence, setting=setting)


def null(status: str, source: str, confidence: Confidence, reason: str = "the argument is NULL") -> ValidationRule:
    """Return the rule for a NULL argument."""
    return ValidationRule(status, reason, lambda request: True, source, confidence)


def device_removed(function: str) -> ValidationRule:
    """Return the rule for a stopped adapter or a lost device. Microsoft's page about the function has the status."""
    return ValidationRule(
        "STATUS_DEVICE_REMOVED",
        "the adapter has stopped, or the device is lost",
        lambda r: r.is_lost,
        page(function),
        "documentation",
    )


SUCCESS, PENDING, TIMEOUT = "STATUS_SUCCESS", "STATUS_PENDING", "STATUS_TIMEOUT"

NULL_ARGUMENT = null("STATUS_INVALID_PARAMETER", LIKE_OTHERS, "assumption")

HANDLE_TABLE_FULL = ValidationRule(
    "STATUS_NO_MEMORY", "every slot of the handle table is in use", lambda request: True, LIKE_OTHERS, "assumption"
)
UNREADABLE = ValidationRule(
    "STATUS_INVALID_PARAMETER",
    "the argument, or memory that it points to, cannot be read or written",
    lambda request: True,
    WSL,
    "Microsoft source",
)
