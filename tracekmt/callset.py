"""Sets of calls as people write them: "17", "0-100", "0-100/2", "3,8,20-", "*Allocation*", "@file"."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from tracekmt.errors import UsageError

_RANGE = re.compile(r"(\d{1,18})(-(\d{0,18}))?(/([1-9]\d{0,17}))?")

CallSet = Callable[[int, str], bool]


def parse_calls(text: str) -> CallSet:
    """A test of a call's index and name. Parts are joined by commas; @file holds parts, a line or a comma apart.
    UsageError names the part that is none."""
    tests = [_parse_part(part) for part in _parts(text)]
    if not tests:
        raise UsageError(f"{text or 'an empty set'}: names no calls; write indexes as 17, 0-100, 0-100/2, or a pattern")
    return lambda index, name: any(test(index, name) for test in tests)


def _parts(text: str, nested: bool = False) -> Iterator[str]:
    for part in (piece.strip() for piece in re.split(r"[,\n]", text)):
        if part.startswith("@") and not nested:
            try:
                yield from _parts(Path(part[1:]).read_text("utf-8"), nested=True)
            except (OSError, UnicodeDecodeError) as error:
                raise UsageError(f"{part[1:]}: cannot be read as a list of calls ({type(error).__name__})") from None
        elif part:
            yield part


def _parse_part(part: str) -> CallSet:
    if match := _RANGE.fullmatch(part):
        first, last = int(match[1]), match[3]
        end = first if match[2] is None else int(last) if last else None
        step = int(match[5] or 1)
        return lambda index, _: first <= index and (end is None or index <= end) and (index - first) % step == 0
    if re.fullmatch(r"[\w*?\[\]!]+", part) and not part[0].isdigit():
        return lambda _, name: fnmatchcase(name, part)
    raise UsageError(f"{part}: is no set of calls; write indexes as 17, 0-100, 0-100/2, 20-, or a pattern of names")
