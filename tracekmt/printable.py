"""Text from files and programs in a form that no terminal, log or CI acts upon."""

from __future__ import annotations

import re

_COMMAND = re.compile(r"^(\s*)(::|##\[)", re.MULTILINE)


def printable(text: str) -> str:
    """Return a text as one line, with escapes for control, separator and bidirectional characters."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def printable_lines(text: str) -> str:
    """Return lines for a terminal or a log: as `printable`, but with tabs, and without commands to a CI.

    GitHub and Azure obey lines that begin with "::" or "##[". Their first character becomes an escape.
    """
    lines = ("\t".join(map(printable, line.split("\t"))) for line in text.split("\n"))
    return _COMMAND.sub(lambda match: f"{match[1]}\\x{ord(match[2][0]):02x}{match[2][1:]}", "\n".join(lines))
