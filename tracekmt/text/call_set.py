"""Sets of calls as people write them: "17", "0-100", "0-100/2", "3,8,20-", "*Allocation*", "@file"."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from tracekmt.errors import UsageError

_RANGE = re.compile(r"(\d{1,18})(-(\d{0,18}))?(/([1-9]\d{0,17}))?")

_LAST = 10**18


@dataclass(frozen=True)
class CallSet:
    """A test of a call's index and name. first, last: no call outside of these indexes is in it."""

    tests: tuple[Callable[[int, str], bool], ...]
    first: int
    last: int

    def __call__(self, index: int, name: str) -> bool:
        """Whether a call is in it."""
        return any(test(index, name) for test in self.tests)


def parse_calls(text: str) -> CallSet:
    """A set of calls from its text. Parts are joined by commas; @file holds parts, a line or a comma apart. UsageError
    names the part that is none."""
    parts = [_parse_part(part) for part in _parts(text)]
    if not parts:
        raise UsageError(f"{text or 'an empty set'}: names no calls; write indexes as 17, 0-100, 0-100/2, or a pattern")
    return CallSet(
        tuple(part for part, _, _ in parts), min(first for _, first, _ in parts), max(last for _, _, last in parts)
    )


def _parts(text: str, nested: bool = False) -> Iterator[str]:
    for part in (piece.strip() for piece in re.split(r"[,\n]", text)):
        if part.startswith("@") and not nested:
            try:
                yield from _parts(Path(part[1:]).read_text("utf-8"), nested=True)
            except (OSError, UnicodeDecodeError) as error:
                raise UsageError(f"{part[1:]}: cannot be read as a list of calls ({type(error).__name__})") from None
        elif part:
            yield part


def _parse_part(part: str) -> tuple[Callable[[int, str], bool], int, int]:
    if match := _RANGE.fullmatch(part):
        first, last = int(match[1]), match[3]
        end = first if match[2] is None else int(last) if last else _LAST
        step = int(match[5] or 1)
        return lambda index, _: first <= index <= end and (index - first) % step == 0, first, end
    if re.fullmatch(r"[\w*?\[\]!]+", part) and not part[0].isdigit():
        return lambda _, name: fnmatchcase(name, part), 0, _LAST
    raise UsageError(f"{part}: is no set of calls; write indexes as 17, 0-100, 0-100/2, 20-, or a pattern of names")
