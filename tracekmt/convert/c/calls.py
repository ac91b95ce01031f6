"""Writes each call as a C function."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from tracekmt.codec import Unreadable
from tracekmt.convert.c.cases import Cases, caption_statements, fresh_memory, skip_statements
from tracekmt.convert.c.declarations import Declarations
from tracekmt.convert.c.inputs import Inputs
from tracekmt.convert.c.output_format import escape_name
from tracekmt.convert.c.outputs import Outputs
from tracekmt.convert.c.text import Names, comment, literal
from tracekmt.convert.c.variables import InputExpression, Variable
from tracekmt.objects.caller_memory import caller_memory_size
from tracekmt.trace.reader import TracedCall

ARGUMENT = "arg"


@dataclass
class CallSource:
    """C source of one call.

    Attributes:
        lines: The lines. A line with a variable is omitted if the variable is unused.
        notes: Remarks that the program prints.
    """

    lines: list[tuple[Variable | None, str]]
    notes: list[str]


def write_call(
    call: TracedCall,
    name: str,
    function: str,
    input_expressions: Mapping[str, InputExpression],
    output_variables: Mapping[str, Variable],
    declarations: Declarations,
    names: Names,
    cases: Cases | None = None,
) -> CallSource:
    """Write the C function of a call.

    Args:
        call: The call.
        name: Name of the C function.
        function: Name of the pointer to the thunk.
        input_expressions: Expressions that replace recorded inputs, by path.
        output_variables: Variables that the outputs set, by path.
        declarations: Declarations of the program. The structures of the call are added.
        names: Global names of the program.
        cases: Cases of the program. Their calls are repeated, so each call begins with fresh memory.
    """
    local_names = Names((ARGUMENT,), names)
    inputs = Inputs(declarations, input_expressions, call.abi, local_names, partial(caller_memory_size, call))
    argument, parameters = _argument(call, declarations, inputs)
    outputs = Outputs(declarations, inputs, output_variables, succeeded=call.succeeded)
    _print_outputs(call, outputs, parameters)
    title = f"#{call.index} thread {call.thread} {call.name}, recorded {call.outcome_text}"
    enter_call = f"if (!enter_call({call.index}u, {literal(escape_name(call.name))}, {function} != 0)) return;"
    memory = inputs.memory + outputs.memory
    caption: list[str] = []
    skip: list[str] = []
    if cases is not None:
        memory = [fresh_memory(line) for line in memory]
        lines_of_case = cases.captions.get(call.index)
        caption = [] if lines_of_case is None else list(caption_statements(lines_of_case, function))
        skip = list(skip_statements(cases.needs.get(call.index, ())))
    body: list[tuple[Variable | None, str]] = [
        *((None, line) for line in memory + inputs.lines + caption),
        (None, enter_call),
        *((None, line) for line in skip),
        *((None, line) for line in _call_statements(call, function, argument)),
        *outputs.lines,
        (None, "leave_call();"),
    ]
    lines: list[tuple[Variable | None, str]] = [
        (None, f"/* {comment(title)} */"),
        (None, f"static void {name}(void)"),
        (None, "{"),
        *((variable, f"    {line}") for variable, line in body),
        (None, "}"),
        (None, ""),
    ]
    return CallSource(lines, [f"#{call.index} {note}" for note in inputs.notes])


def _argument(call: TracedCall, declarations: Declarations, inputs: Inputs) -> tuple[str, dict[str, str]]:
    """Return the arguments of the call, and the C variables of its plain parameters by name."""
    struct, values = call.spec.argument, call.inputs
    if struct.parameters:
        parameters: dict[str, str] = {}
        parameter_values = values if isinstance(values, dict) else {}
        for field in struct.fields():
            parameters[field.name] = inputs.local(field.name)
            inputs.memory.append(f"static {declarations.declare(field.type, parameters[field.name])};")
        for field in struct.fields():
            if field.name in parameter_values:
                value = parameter_values[field.name]
                inputs.assign_value(field.type, value, parameters[field.name], field.name, (parameter_values,))
        return ", ".join(parameters.values()), parameters
    if isinstance(values, dict):
        inputs.memory.append(f"static struct {declarations.struct(struct)} {ARGUMENT};")
        inputs.assign_struct(struct, values, ARGUMENT, "", ())
        return f"&{ARGUMENT}", {}
    if isinstance(values, Unreadable):
        return f"bad_memory(0, 0) /* unreadable at 0x{values.address:x} */", {}
    return "0", {}


def _print_outputs(call: TracedCall, outputs: Outputs, parameters: Mapping[str, str]) -> None:
    values: Any = call.outputs
    if not isinstance(values, dict):
        return
    if call.spec.argument.parameters:
        for name, value in values.items():
            field = call.spec.argument.field(name)
            outputs.print_value(field, field.type, value, parameters[name], name)
    else:
        outputs.print_struct(call.spec.argument, values, ARGUMENT, "")


def _call_statements(call: TracedCall, function: str, argument: str) -> Iterator[str]:
    did_return = int(call.returned)
    if call.spec.returns == "void":
        yield f"{function}({argument});"
        yield f"returned_nothing({did_return});"
        return
    mask = " & 0xFFu" if call.spec.returns == "BOOLEAN" else ""
    recorded = 0 if call.leave is None else call.leave.result & (0xFF if mask else 0xFFFFFFFF)
    outcome = call.outcome_text if call.status is None else f"{call.status.code} {call.status.name}"
    yield f"returned((UINT){function}({argument}){mask}, 0x{recorded:x}u, {did_return}, {literal(outcome)});"
