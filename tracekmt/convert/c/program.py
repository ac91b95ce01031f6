"""The program around the calls: one file that needs nothing but a compiler."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from tracekmt.calls import CALLS
from tracekmt.convert.c.calls import write_call
from tracekmt.convert.c.declarations import Declarations
from tracekmt.convert.c.output_format import trace_fingerprint
from tracekmt.convert.c.text import Names, comment, identifier, literal
from tracekmt.convert.c.variables import Given, Made, Variable, Variables
from tracekmt.resources import resource
from tracekmt.spec.types import CallSpec
from tracekmt.trace.reader import Trace, TracedCall

NOTES_LIMIT = 200

_THUNK = re.compile(r"D3DKMT[A-Za-z0-9_]{1,60}")
_WORD = re.compile(r"[A-Za-z_]\w*")
_NO_NAMES = re.compile(r'/\*.*?\*/|"(?:[^"\\\n]|\\.)*"', re.DOTALL)
_RETURNS = {"NTSTATUS": "INT", "BOOLEAN": "UCHAR", "void": "void"}


def write_program(trace: Trace, name: str, on_progress: Callable[[int, int], None]) -> Iterator[str]:
    """The lines of the program that makes a trace's calls, in the order in which they returned; last those that never
    did."""
    begin, end = (resource("reproducer", part).read_text("utf-8") for part in ("begin.c", "end.c"))
    program = _Program(trace, Names(set(_WORD.findall(_NO_NAMES.sub(" ", begin + end)))))
    program.go_through(on_progress)
    yield from _head(trace, name)
    yield ""
    yield from begin.splitlines()
    yield ""
    yield "/* ---- What the calls take, as Microsoft's headers have it. ---- */"
    yield ""
    yield from program.declarations.lines()
    yield from program.lines()
    yield ""
    yield from end.splitlines()


def _head(trace: Trace, name: str) -> Iterator[str]:
    header = trace.header
    process = header.process.get("name")
    yield f"/* A reproducer of {comment(name)}"
    yield " *"
    yield f" * {len(trace)} calls, recorded {comment(header.created)} by {comment(header.tool)}, {trace.abi}"
    if isinstance(process, str):
        yield f" * in the process {comment(process)}"
    if header.trimmed:
        yield f" * cut from {comment(header.trimmed)}"
    yield " *"
    yield " * It makes the calls again, with the recorded inputs, prints what each gave and wrote, and exits with 1"
    yield " * where that is something else than was recorded. What is not set is zero. Handles, addresses and fence"
    yield " * values are those of this run: hDevice_2 is what the call #2 gave."
    yield " *"
    yield " *     x86_64-w64-mingw32-gcc repro.c -o repro.exe    (or i686-w64-mingw32-gcc, or cl /std:c11 repro.c)"
    yield " *     gcc repro.c -o repro -ldl"
    yield " *     repro [LIBRARY]... [--adapter HIGH:LOW]... > repro.txt"
    yield " *     tracekmt convert repro.txt --from TRACE -o outcome.kmt && tracekmt diff TRACE outcome.kmt"
    yield " */"


class _Program:
    """The calls, written as they go by, and what they have in common."""

    def __init__(self, trace: Trace, names: Names) -> None:
        self.declarations = Declarations(names)
        self._trace = trace
        self._names = names
        self._variables = Variables(names)
        self._functions: dict[int, tuple[str, CallSpec]] = {}
        self._calls: list[tuple[Variable | None, str]] = []
        self._made: list[str] = []
        self._notes: dict[str, None] = {}

    def go_through(self, on_progress: Callable[[int, int], None]) -> None:
        """Write the calls of the trace."""
        under_way = {}
        for index, left in self._trace.timeline():
            if not left:
                call = self._trace[index]
                under_way[index] = call, self._variables.enter(call)
                continue
            call, given = under_way.pop(index)
            self._add(call, given, self._variables.leave(call))
            on_progress(len(self._made), len(self._trace))
        for call, given in under_way.values():
            self._note(f"#{call.index} did not return when it was recorded; it is made last")
            self._add(call, given, {})

    def lines(self) -> Iterator[str]:
        """The program's own part: functions, variables, calls, and the tables of them."""
        yield f"#define TRACE {literal(trace_fingerprint(self._trace.header))}"
        yield f"#define CALLS {len(self._made)}"
        yield ""
        for pointer, call in self._functions.values():
            yield f"static {_RETURNS[call.returns]}(THUNK *{pointer})({self.declarations.function(call)});"
        yield ""
        yield from self._variable_lines()
        yield ""
        for variable, line in self._calls:
            if variable is None or variable.used:
                yield line
        yield from _table("static void (*const calls[])(void)", self._made)
        yield from _table("static struct luid *const luids[]", [f"&{each.name}" for each in self._luids()])
        yield from _table("static const char *const notes[]", [literal(comment(each)) for each in self._all_notes()])
        yield ""
        yield "static void find_functions(void)"
        yield "{"
        for pointer, call in self._functions.values():
            yield f"    {pointer} = find({literal(call.name)});"
        yield "}"
        yield ""
        yield "static void make_what_came_from_outside(void)"
        yield "{"
        for variable, text in self._variables.outside.values():
            yield f"    {variable.name} = {text};"
        yield "}"

    def _add(self, call: TracedCall, given: dict[str, Given], made: dict[str, Made]) -> None:
        if call.spec.raw or not (_THUNK.fullmatch(call.name) or call.name in CALLS):
            why = "nobody has described it" if call.spec.raw else "it is none of the thunks"
            self._note(f"#{call.index} {call.name} is left out: {why}")
            self._calls += [(None, f"/* {comment(f'#{call.index} {call.name} is left out: {why}')} */"), (None, "")]
            return
        if call.enter.spec_id not in self._functions:
            self._functions[call.enter.spec_id] = self._names.new(identifier_of(call.name)), call.spec
            self.declarations.function(call.spec)
        name = self._names.new(f"call_{call.index}")
        function = self._functions[call.enter.spec_id][0]
        written = write_call(call, name, function, given, made, self.declarations, self._names)
        self._calls += written.lines
        self._made.append(name)
        for note in written.notes:
            self._note(note)
        for path, each in given.items():
            if each.note:
                self._note(f"#{call.index} {path}: {each.note}; {each.text} is given")

    def _note(self, text: str) -> None:
        if len(self._notes) < NOTES_LIMIT:
            self._notes[text] = None

    def _all_notes(self) -> Iterator[str]:
        yield from self._notes
        if len(self._notes) == NOTES_LIMIT:
            yield "and more of that kind, which the comments in the source say"
        for variable, text in self._variables.outside.values():
            yield f"{variable.comment}: {'0' if text == '0' else 'a new one, or 0,'} is given"

    def _luids(self) -> list[Variable]:
        return [each for each in self._variables.luids.values() if each.used]

    def _variable_lines(self) -> Iterator[str]:
        for luid in self._variables.luids.values():
            if luid.used:
                low, high = f"0x{luid.low:x}u", f"{luid.high}" if luid.high > -(1 << 31) else "(-2147483647 - 1)"
                numbers = f"{low}, {high}, {int(luid.asked)}, 0, {low}, {high}"
                yield f"static struct luid {luid.name} = {{{numbers}}}; /* {comment(luid.comment)} */"
        for variable in self._variables.all:
            if variable.used:
                yield f"static {variable.type} {variable.name}; /* {comment(variable.comment)} */"


def identifier_of(function: str) -> str:
    """The name of a function's pointer: its own."""
    return function if _WORD.fullmatch(function) else identifier(function)


def _table(declaration: str, items: list[str]) -> Iterator[str]:
    yield f"{declaration} = {{"
    yield from (f"    {item}," for item in items)
    yield "    0,"
    yield "};"
