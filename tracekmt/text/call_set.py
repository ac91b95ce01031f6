"""Parsing of call sets: "17", "0-100", "0-100/2", "3,8,20-", "*Allocation*", "@file"."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tracekmt.errors import UsageError
from tracekmt.text.functions import check_function, matches_function

_RANGE = re.compile(r"(\d{1,18})(-(\d{0,18}))?(/([1-9]\d{0,17}))?")

_LAST = 10**18
"""Index that no call has, the end of an open range."""

_EXPECTED = "(expected 17, 0-100, 0-100/2, 20-, @FILE or a pattern of names)"


@dataclass(frozen=True)
class CallSet:
    """A set of calls.

    Attributes:
        tests: Tests of an index and a function's name. A call that passes one of them is in the set.
        first: First index that may be in the set.
        last: Last index that may be in the set.
    """

    tests: tuple[Callable[[int, str], bool], ...]
    first: int
    last: int

    def __call__(self, index: int, name: str) -> bool:
        """Return True if a call is in the set."""
        return any(test(index, name) for test in self.tests)


def parse_calls(text: str) -> CallSet:
    """Parse a call set. Commas separate its parts, and @FILE reads parts separated by commas or newlines.

    Raises:
        UsageError: A part is not valid, or there is none.
    """
    parts = [_parse_part(part) for part in _parts(text)]
    if not parts:
        raise UsageError(f"invalid call set: {text or 'empty'} {_EXPECTED}")
    return CallSet(
        tuple(part for part, _, _ in parts), min(first for _, first, _ in parts), max(last for _, _, last in parts)
    )


def _parts(text: str, nested: bool = False) -> Iterator[str]:
    for part in (piece.strip() for piece in re.split(r"[,\n]", text)):
        if part.startswith("@") and not nested:
            try:
                yield from _parts(Path(part[1:]).read_text("utf-8-sig"), nested=True)
            except (OSError, UnicodeDecodeError) as error:
                raise UsageError(f"cannot read {part[1:]}: {_reason(error)}") from None
        elif part:
            yield part


def _reason(error: OSError | UnicodeDecodeError) -> str:
    return error.strerror or type(error).__name__ if isinstance(error, OSError) else "not UTF-8 text"


def _parse_part(part: str) -> tuple[Callable[[int, str], bool], int, int]:
    if match := _RANGE.fullmatch(part):
        first, last = int(match[1]), match[3]
        end = first if match[2] is None else int(last) if last else _LAST
        step = int(match[5] or 1)
        return partial(_is_in_range, first, end, step), first, end
    if re.fullmatch(r"[\w*?\[\]!]+", part) and not part[0].isdigit():
        check_function(part, "the call set")
        return partial(_has_name, part), 0, _LAST
    raise UsageError(f"invalid call set: {part} {_EXPECTED}")


def _is_in_range(first: int, end: int, step: int, index: int, _name: str) -> bool:
    return first <= index <= end and (index - first) % step == 0


def _has_name(pattern: str, _index: int, name: str) -> bool:
    return matches_function(pattern, name)
