"""One call as a function of C."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from tracekmt.codec import Unreadable
from tracekmt.convert.c.declarations import Declarations
from tracekmt.convert.c.inputs import Inputs
from tracekmt.convert.c.output_format import escape_name
from tracekmt.convert.c.outputs import Outputs
from tracekmt.convert.c.text import Names, comment, literal
from tracekmt.convert.c.variables import Given, Made, Variable
from tracekmt.objects.caller_memory import caller_memory_size
from tracekmt.trace.reader import TracedCall

ARGUMENT = "arg"


@dataclass
class Written:
    """A call as text. A variable beside a line says that the line is only wanted where that is used."""

    lines: list[tuple[Variable | None, str]]
    notes: list[str]


def write_call(
    call: TracedCall,
    name: str,
    function: str,
    given: Mapping[str, Given],
    made: Mapping[str, Made],
    declarations: Declarations,
    names: Names,
) -> Written:
    """The function `name` that makes a call, by the pointer `function`."""
    inputs = Inputs(declarations, given, call.abi, Names((ARGUMENT,), names), partial(caller_memory_size, call))
    argument, values = _argument(call, declarations, inputs)
    result = "did not return" if call.leave is None else call.answer
    head = f"#{call.index} thread {call.thread} {call.name}, recorded {result}"
    lines: list[tuple[Variable | None, str]] = [(None, f"/* {comment(head)} */"), (None, f"static void {name}(void)")]
    behind = Outputs(declarations, inputs, made, succeeded=call.succeeded)
    _show(call, behind, values)
    lines.append((None, "{"))
    lines += [(None, f"    {line}") for line in inputs.memory + behind.memory]
    lines += [(None, f"    {line}") for line in inputs.lines]
    lines.append(
        (None, f"    if (!entering({call.index}u, {literal(escape_name(call.name))}, {function} != 0)) return;")
    )
    lines += [(None, f"    {line}") for line in _made(call, function, argument)]
    lines += [(variable, f"    {line}") for variable, line in behind.lines]
    lines += [(None, "    leaving();"), (None, "}"), (None, "")]
    return Written(lines, [f"#{call.index} {note}" for note in inputs.notes])


def _argument(call: TracedCall, declarations: Declarations, inputs: Inputs) -> tuple[str, dict[str, str]]:
    """What the function is called with, and the names of its parameters, where it has some."""
    struct, values = call.spec.argument, call.inputs
    if struct.parameters:
        names: dict[str, str] = {}
        found = values if isinstance(values, dict) else {}
        for field in struct.fields():
            names[field.name] = inputs.local(field.name)
            inputs.memory.append(f"static {declarations.declare(field.type, names[field.name])};")
        for field in struct.fields():
            if field.name in found:
                inputs.put(field.type, found[field.name], names[field.name], field.name, (found,))
        return ", ".join(names.values()), names
    if isinstance(values, dict):
        inputs.memory.append(f"static struct {declarations.struct(struct)} {ARGUMENT};")
        inputs.fill(struct, values, ARGUMENT, "", ())
        return f"&{ARGUMENT}", {}
    if isinstance(values, Unreadable):
        return f"bad_memory(0, 0) /* could not be read at 0x{values.address:x} */", {}
    return "0", {}


def _show(call: TracedCall, behind: Outputs, names: Mapping[str, str]) -> None:
    outputs: Any = call.outputs
    if not isinstance(outputs, dict):
        return
    if call.spec.argument.parameters:
        for name, value in outputs.items():
            field = call.spec.argument.field(name)
            behind.value(field, field.type, value, names[name], name)
    else:
        behind.show(call.spec.argument, outputs, ARGUMENT, "")


def _made(call: TracedCall, function: str, argument: str) -> Iterator[str]:
    came_back = int(call.returned)
    if call.spec.returns == "void":
        yield f"{function}({argument});"
        yield f"returned_nothing({came_back});"
        return
    mask = " & 0xFFu" if call.spec.returns == "BOOLEAN" else ""
    recorded = 0 if call.leave is None else call.leave.result & (0xFF if mask else 0xFFFFFFFF)
    told = call.answer if call.status is None else f"{call.status.code} {call.status.name}"
    yield f"returned((UINT){function}({argument}){mask}, 0x{recorded:x}u, {came_back}, {literal(told)});"
