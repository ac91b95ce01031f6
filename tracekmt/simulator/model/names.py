"""Comparison of names."""

from __future__ import annotations


def canonical_name(text: str) -> str:
    """Return a name in the form in which names are compared: in upper case, letter by letter.

    Windows ignores the case of names (Wine's conformance test).
    """
    return "".join(upper if len(upper := letter.upper()) == 1 else letter for letter in text)
