"""Calls of a reproducer that are cases: each is announced by lines, and repeated."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tracekmt.convert.c.text import comment, literal

REPEATS = 3
"""Number of times that the program makes each case."""

_CONSTANT = ("static const ", "static ALIGNED const ")
_ZERO = re.compile(r"static (union \{ .* \} \w+|[^;{]*)(;.*)")


@dataclass(frozen=True)
class Cases:
    """The cases of a program. The calls before the first case set up its objects.

    Attributes:
        title: Lines for the first comment.
        captions: Lines that the program prints before a case, by the index of its call.
        needs: Indexes of the calls before the first case that a case requires. The program skips it if one has failed.
        untried: Lines that the program prints before all calls.
    """

    title: Sequence[str]
    captions: Mapping[int, Sequence[str]]
    needs: Mapping[int, Sequence[int]]
    untried: Sequence[str]


def caption_statements(lines: Sequence[str], function: str) -> Iterator[str]:
    """Yield the statements before the call of a case. A case of a missing function prints nothing."""
    yield f"if (!{function}) return;"
    yield "is_case = 1;"
    yield from (f'PRINT("%s\\n", {literal(line)});' for line in lines)


def skip_statements(needs: Sequence[int]) -> Iterator[str]:
    """Yield the statements that skip a case, if a call that it requires has failed."""
    if needs:
        yield f"if (!({' && '.join(f'is_ready[{index}]' for index in needs)})) {{"
        yield "    skip_call();"
        yield "    return;"
        yield "}"


def fresh_memory(line: str) -> str:
    """Return a declaration of memory that has its first value in each call of the function."""
    if line.startswith(_CONSTANT):
        return line
    match = _ZERO.fullmatch(line)
    return line.removeprefix("static ") if match is None else f"{match[1]} = {{0}}{match[2]}"


def definitions(setup_count: int) -> Iterator[str]:
    """Yield the definitions that let the program repeat its cases."""
    yield f"#define SETUP {setup_count}"
    yield f"#define REPEATS {REPEATS}"
    yield "static int is_ready[SETUP + 1]; /* calls before the first case that have succeeded */"


def print_function(cases: Cases, functions: Mapping[str, str]) -> Iterator[str]:
    """Yield the function that prints the functions that no library exports, and the untried cases.

    Args:
        cases: The cases.
        functions: Name of the pointer to each function, by the name of the function.
    """
    yield "static void print_cases(void)"
    yield "{"
    for name, pointer in functions.items():
        yield f"    if (!{pointer}) puts({literal(f'missing {name}')});"
    for line in cases.untried:
        yield f"    puts({literal(line)});"
    yield "}"
    yield ""


def title_lines(cases: Cases) -> Iterator[str]:
    """Yield the first comment of the program."""
    yield "/*"
    yield from (f" * {comment(line)}".rstrip() for line in cases.title)
    yield " */"
