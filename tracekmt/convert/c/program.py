"""Writes the C program around the calls: one file without dependencies."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

from tracekmt.calls import CALLS
from tracekmt.convert.c.calls import write_call
from tracekmt.convert.c.cases import Cases, definitions, print_function, title_lines
from tracekmt.convert.c.declarations import Declarations
from tracekmt.convert.c.output_format import trace_fingerprint
from tracekmt.convert.c.text import Names, comment, identifier, literal
from tracekmt.convert.c.variables import InputExpression, LuidVariable, Variable, Variables
from tracekmt.plural import plural
from tracekmt.resources import resource
from tracekmt.spec.types import CallSpec
from tracekmt.text.functions import is_allowed
from tracekmt.trace.reader import Trace, TracedCall

NOTES_LIMIT = 200
"""Maximum number of notes that the program prints. The comments of the calls have all notes."""

_THUNK = re.compile(r"D3DKMT[A-Za-z0-9_]{1,60}")
_WORD = re.compile(r"[A-Za-z_]\w*")
_COMMENT_OR_STRING = re.compile(r'/\*.*?\*/|"(?:[^"\\\n]|\\.)*"', re.DOTALL)
_RETURNS = {"NTSTATUS": "INT", "BOOLEAN": "UCHAR", "void": "void"}


def write_program(
    trace: Trace,
    display_name: str,
    on_progress: Callable[[int, int], None],
    allow: Sequence[str] = (),
    cases: Cases | None = None,
) -> Iterator[str]:
    """Yield the lines of a reproducer.

    The program makes the calls in the order in which they returned. Calls that never returned come last. Calls with
    side effects are omitted, as a replay on thunks omits them: a trace may come from a stranger.

    Args:
        trace: The trace.
        display_name: Name of the trace, for the first comment.
        on_progress: Called with the number of calls done and their total.
        allow: Patterns of functions to call in spite of their side effects.
        cases: Calls that the program announces and repeats.
    """
    begin, end = (resource("reproducer", file_name).read_text("utf-8") for file_name in ("begin.c", "end.c"))
    program = _Program(trace, Names(set(_WORD.findall(_COMMENT_OR_STRING.sub(" ", begin + end)))), allow, cases)
    program.add_calls(on_progress)
    yield from _head_comment(trace, display_name, program.omitted) if cases is None else title_lines(cases)
    yield ""
    yield from begin.splitlines()
    yield ""
    yield "/* ---- Structures of the calls, with the names of Microsoft's headers. ---- */"
    yield ""
    yield from program.declarations.lines()
    yield from program.lines()
    yield ""
    yield from end.splitlines()


def _head_comment(trace: Trace, display_name: str, omitted: Mapping[str, int]) -> Iterator[str]:
    header = trace.header
    process_name = header.process.get("name")
    yield f"/* A reproducer of {comment(display_name)}"
    yield " *"
    yield f" * {len(trace)} calls, recorded {comment(header.created)} by {comment(header.tool)}, {trace.abi}"
    if isinstance(process_name, str):
        yield f" * in the process {comment(process_name)}"
    if header.trimmed:
        yield f" * trimmed from {comment(header.trimmed)}"
    if omitted:
        yield " *"
        yield " * Calls with side effects are omitted. convert --allow FUNCTION includes them."
        for name, count in sorted(omitted.items()):
            yield f" *     {name}, {plural(count, 'call')}: it {CALLS[name].side_effect}"
    yield " *"
    yield " * The program makes the recorded calls with the recorded inputs. It prints the return value of each call"
    yield " * and the fields that the call wrote. It exits with 1 if one of them differs from the recording. Fields"
    yield " * that are not set are zero. Handles, addresses and fence values are those of this run: the handle"
    yield " * hDevice_2 is from call #2."
    yield " *"
    yield " *     x86_64-w64-mingw32-gcc repro.c -o repro.exe    (or i686-w64-mingw32-gcc, or cl /std:c11 repro.c)"
    yield " *     gcc repro.c -o repro -ldl"
    yield " *     repro [LIBRARY]... [--adapter HIGH:LOW]... > repro.txt"
    yield " *     tracekmt convert repro.txt --from TRACE -o outcome.kmt && tracekmt diff TRACE outcome.kmt"
    yield " */"


class _Program:
    """The calls of a trace as C functions, with their shared declarations and variables.

    Attributes:
        declarations: Structures and types that the calls use.
        omitted: Functions whose side effects are not allowed, with the number of their calls.
    """

    def __init__(self, trace: Trace, names: Names, allow: Sequence[str], cases: Cases | None) -> None:
        self.declarations = Declarations(names)
        self.omitted: Counter[str] = Counter()
        self._allow = allow
        self._cases = cases
        self._trace = trace
        self._names = names
        self._variables = Variables(names)
        self._functions: dict[int, tuple[str, CallSpec]] = {}
        self._call_lines: list[tuple[Variable | None, str]] = []
        self._call_names: list[str] = []
        self._notes: dict[str, None] = {}

    def add_calls(self, on_progress: Callable[[int, int], None]) -> None:
        """Add the calls of the trace."""
        in_flight = {}
        for call, returned in self._trace.call_events():
            if not returned:
                in_flight[call.index] = call, self._variables.on_enter(call)
                continue
            _, input_expressions = in_flight.pop(call.index)
            self._add(call, input_expressions, self._variables.on_leave(call))
            on_progress(len(self._call_names), len(self._trace))
        for call, input_expressions in in_flight.values():
            self._note(f"#{call.index} did not return in the recording, so it is called last")
            self._add(call, input_expressions, {})

    def lines(self) -> Iterator[str]:
        """Yield the functions, variables and calls, and the tables of these."""
        yield f"#define TRACE {literal(trace_fingerprint(self._trace.header))}"
        yield f"#define CALLS {len(self._call_names)}"
        if self._cases is not None:
            yield from definitions(min(self._cases.captions, default=0))
        yield ""
        for pointer, spec in self._functions.values():
            yield f"static {_RETURNS[spec.returns]}(THUNK *{pointer})({self.declarations.function(spec)});"
        yield ""
        yield from self._variable_lines()
        yield ""
        for variable, line in self._call_lines:
            if variable is None or variable.used:
                yield line
        yield from _table("static void (*const calls[])(void)", self._call_names)
        yield from _table("static struct luid *const luids[]", [f"&{luid.name}" for luid in self._used_luids()])
        yield from _table("static const char *const notes[]", [literal(comment(note)) for note in self._all_notes()])
        yield ""
        yield "static void find_functions(void)"
        yield "{"
        for pointer, spec in self._functions.values():
            yield f"    {pointer} = find({literal(spec.name)});"
        yield "}"
        yield ""
        if self._cases is not None:
            yield from print_function(self._cases, {spec.name: name for name, spec in self._functions.values()})
        yield "static void create_external_handles(void)"
        yield "{"
        for variable, text in self._variables.external.values():
            yield f"    {variable.name} = {text};"
        yield "}"

    def _add(
        self,
        call: TracedCall,
        input_expressions: dict[str, InputExpression],
        output_variables: dict[str, Variable],
    ) -> None:
        reason = self._refusal(call)
        if reason is not None:
            note = f"#{call.index} {call.name} is omitted: {reason}"
            self._note(note)
            self._call_lines += [(None, f"/* {comment(note)} */"), (None, "")]
            return
        if call.enter.spec_id not in self._functions:
            self._functions[call.enter.spec_id] = self._names.new(pointer_name(call.name)), call.spec
            self.declarations.function(call.spec)
        name = self._names.new(f"call_{call.index}")
        pointer, _ = self._functions[call.enter.spec_id]
        source = write_call(
            call, name, pointer, input_expressions, output_variables, self.declarations, self._names, self._cases
        )
        self._call_lines += source.lines
        self._call_names.append(name)
        for note in source.notes:
            self._note(note)
        for path, expression in input_expressions.items():
            if expression.note:
                self._note(f"#{call.index} {path}: {expression.note} ({expression.text} is passed)")

    def _refusal(self, call: TracedCall) -> str | None:
        """Return the reason why the program does not make a call, None if it does."""
        if call.spec.raw:
            return "undescribed"
        if call.injection is not None and call.injection.kind != "delayed":
            return f"its failure was injected ({call.injection.text})"
        # A trace describes its functions itself. The side effects are those of our descriptions.
        described = CALLS.get(call.name)
        if described is None:
            return None if _THUNK.fullmatch(call.name) else "not a thunk"
        if described.side_effect and not is_allowed(call.name, self._allow):
            self.omitted[call.name] += 1
            return f"it {described.side_effect}"
        return None

    def _note(self, text: str) -> None:
        if len(self._notes) < NOTES_LIMIT:
            self._notes[text] = None

    def _all_notes(self) -> Iterator[str]:
        if self._cases is not None:  # invalid inputs are what a case is for
            return
        yield from self._notes
        if len(self._notes) == NOTES_LIMIT:
            yield "more notes are in the comments of the source"
        for variable, text in self._variables.external.values():
            replacement = "0 is passed" if text == "0" else "a new object is passed on Windows, 0 elsewhere"
            yield f"{variable.comment} ({replacement})"

    def _used_luids(self) -> list[LuidVariable]:
        return [luid for luid in self._variables.luids.values() if luid.used]

    def _variable_lines(self) -> Iterator[str]:
        for luid in self._used_luids():
            low, high = f"0x{luid.low:x}u", f"{luid.high}" if luid.high > -(1 << 31) else "(-2147483647 - 1)"
            initialiser = f"{low}, {high}, {int(luid.needs_lookup)}, 0, {low}, {high}"
            yield f"static struct luid {luid.name} = {{{initialiser}}}; /* {comment(luid.comment)} */"
        for variable in self._variables.all:
            if variable.used:
                yield f"static {variable.type} {variable.name}; /* {comment(variable.comment)} */"


def pointer_name(function: str) -> str:
    """Return the name of the pointer to a function: the name of the function if it is a valid identifier."""
    return function if _WORD.fullmatch(function) else identifier(function)


def _table(declaration: str, items: list[str]) -> Iterator[str]:
    yield f"{declaration} = {{"
    yield from (f"    {item}," for item in items)
    yield "    0,"
    yield "};"
