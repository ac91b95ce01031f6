"""Writes the atlas as a C program."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from tracekmt.atlas.cases import Case, write_atlas
from tracekmt.convert.c import Cases, write_program
from tracekmt.edit.copy import replace_on_success
from tracekmt.trace.reader import Trace
from tracekmt.version import VERSION

_TITLE = (
    f"The atlas of rules, written by tracekmt {VERSION}",
    "",
    "The program creates objects. Then it makes calls that break one rule of the simulator each, or two rules to tell",
    "which is checked first. It prints each case: the calls that it requires, the expected status, the call and the",
    "result. Each case is repeated. A result that differs is printed after the word again.",
    "",
    "    x86_64-w64-mingw32-gcc atlas.c -o atlas.exe    (or i686-w64-mingw32-gcc, or cl /std:c11 atlas.c)",
    "    gcc atlas.c -o atlas -ldl",
    "    atlas [LIBRARY]... [--adapter HIGH:LOW]... > printed.txt",
    "    tracekmt atlas --read printed.txt",
)


def write_atlas_program(output: Path, *, is_whole: bool = False) -> list[Case]:
    """Write the C program, and return its cases.

    Args:
        output: Path of the program. An existing file is overwritten.
        is_whole: Include calls that can wait for other programs or disturb the machine.
    """
    with TemporaryDirectory(prefix="tracekmt-") as folder:
        path = Path(folder) / "atlas.kmt"
        cases = write_atlas(path, is_whole=is_whole)
        tried = [case for case in cases if not case.untried]
        captions = {case.index: list(_caption(case)) for case in tried}
        needs = {case.index: case.needs for case in tried}
        announced = Cases(_TITLE, captions, needs, list(_untried(cases)))
        with Trace(path) as trace, replace_on_success(output) as part:
            lines = write_program(trace, "the atlas", lambda done, total: None, ["*"], announced)
            part.write_text("".join(f"{line}\n" for line in lines), "utf-8", newline="\n")
    return cases


def _caption(case: Case) -> Iterator[str]:
    """Yield the lines that announce a case. `output_format` parses them."""
    after = f" after {','.join(map(str, case.needs))}" if case.needs else ""
    yield f"case {case.number}{after}: {case.status} {case.rule.partition(': ')[2]}"
    if case.later:
        yield f"before {case.later.partition(': ')[2]}"


def _untried(cases: list[Case]) -> Iterator[str]:
    """Yield the lines about the cases that are not tried, by reason."""
    for reason in dict.fromkeys(case.untried for case in cases if case.untried):
        yield f"not tried: {reason}"
        yield from (f"case {case.number}: {case.status} {case.rule}" for case in cases if case.untried == reason)
