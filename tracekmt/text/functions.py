"""Names of functions as users write them: patterns, with or without the prefix of the interface's exports."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from fnmatch import fnmatchcase

from tracekmt.calls import CALLS, EXPORT_PREFIXES
from tracekmt.errors import UsageError

_SUGGESTIONS = 3


def matches_function(pattern: str, name: str) -> bool:
    """Return True if a pattern matches the name of a function, with or without its prefix."""
    return fnmatchcase(name, pattern) or fnmatchcase(_short(name), pattern)


def described_functions(pattern: str) -> list[str]:
    """Return the described functions that a pattern matches."""
    return [name for name in CALLS if matches_function(pattern, name)]


def check_function(pattern: str, where: str = "") -> None:
    """Refuse the misspelt name of a function.

    A pattern with wildcards may match nothing. A full name may be that of an undescribed function.

    Args:
        pattern: A name or a pattern.
        where: Place of the name, for the message.

    Raises:
        UsageError: The name is neither described nor one of the interface.
    """
    if not set("*?[") & set(pattern) and not pattern.startswith(EXPORT_PREFIXES) and not described_functions(pattern):
        raise unknown_function(pattern, where)


def check_allowed(patterns: Iterable[str]) -> None:
    """Refuse patterns of `--allow` that match no described function.

    Raises:
        UsageError: A pattern matches nothing.
    """
    for pattern in patterns:
        if not described_functions(pattern):
            raise unknown_function(pattern, "--allow")


def is_allowed(name: str, patterns: Iterable[str]) -> bool:
    """Return True if the patterns of `--allow` include a function."""
    return any(matches_function(pattern, name) for pattern in patterns)


def unknown_function(name: str, where: str = "") -> UsageError:
    """Create the error for the name of a function that is not described. It suggests the nearest names."""
    near = get_close_matches(_short(name).lower(), {_short(known).lower(): None for known in CALLS}, _SUGGESTIONS)
    names = [known for short in near for known in CALLS if _short(known).lower() == short]
    advice = f"did you mean {' or '.join(names)}?" if names else "see `tracekmt calls`"
    return UsageError(f"unknown function{f' in {where}' if where else ''}: {name} ({advice})")


def _short(name: str) -> str:
    for prefix in EXPORT_PREFIXES:
        name = name.removeprefix(prefix)
    return name
