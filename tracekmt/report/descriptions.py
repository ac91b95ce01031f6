"""Formats call descriptions: as text for a terminal, and as Markdown pages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tracekmt.plural import plural
from tracekmt.report.matrix import machine_lines
from tracekmt.spec.describe import open_unions, unknowns
from tracekmt.spec.types import CallSpec

Description = Mapping[str, Any]
"""A part of the result of `describe`."""


def description_lines(description: Description) -> Iterator[str]:
    """Yield the lines of a description for a terminal.

    Args:
        description: Result of `describe`. It may have the keys "first_build" and "other_layouts": the first build of
            Windows with these layouts, and the descriptions with others. The key "simulator" may have the result of
            `describe_rules`.
    """
    yield _signature(description)
    if description.get("other_layouts"):
        yield _layouts_text(description)
    yield "    x64    x86  direction  field: type"
    yield from _field_lines(description["fields"], "")
    for payload in description["payloads"]:
        x64, x86 = payload["size"]["x64"], payload["size"]["x86"]
        yield f"{payload['path']} when {payload['when']}: {payload['type']}, {x64} bytes, x86 {x86}"
        yield from _field_lines(payload["fields"], "  ")
    for verb in ("creates", "destroys"):
        yield from (f"{verb} {_object_text(part)}" for part in description[verb])
    if description["blocks"] is not None:
        yield "may block" + _when(description["blocks"])
    yield from (f"undescribed memory  {memory}" for memory in description["unseen"])
    if description["disturbs"]:
        yield f"side effect  {description['disturbs']}"
    if description["statuses"]:
        yield "statuses  " + ", ".join(description["statuses"])
    yield from (f"source    {source}" for source in description["sources"])
    if "simulator" in description:
        yield from _simulator_lines(description["simulator"])


def _layouts_text(description: Description) -> str:
    def name(first: int) -> str:
        return f"since build {first}" if first else "of the oldest builds"

    others = " and ".join(name(other["first_build"]) for other in description["other_layouts"])
    return f"layouts {name(description['first_build'])} of Windows (others: {others}; see --build)"


def _simulator_lines(simulator: Description) -> Iterator[str]:
    if simulator["modelled"]:
        yield "rules of the simulator, in order:"
    else:
        yield "unmodelled by the simulator, rules for its handles:"
    for rule in simulator["rules"]:
        yield f"    {rule['status']}: {rule['what']}"
        yield f"        {rule['confidence']}: {rule['source']}"
        yield from (f"        {line}" for line in machine_lines(rule))
    yield from (f"otherwise  {line}" for line in str(simulator["effect"]).splitlines()[:1])


def coverage_lines(specs: Iterable[CallSpec]) -> Iterator[str]:
    """Yield lines with the number of described functions, and with the facts that no description has."""
    specs = list(specs)
    with_undescribed_memory = [spec.name for spec in specs if spec.undescribed_memory]
    unknown_directions = {spec.name: len(unknowns(spec)) for spec in specs if unknowns(spec)}
    yield f"{plural(len(specs), 'described function')}."
    if with_undescribed_memory:
        count, names = len(with_undescribed_memory), ", ".join(with_undescribed_memory)
        yield f"{plural(count, 'function')} with undescribed memory, to which no argument points: {names}."
    unions = sorted({struct for spec in specs for struct in open_unions(spec)})
    if unions:
        yield f"Unions whose arm in effect no source documents, in {', '.join(unions)}."
    if unknown_directions:
        count, names = sum(unknown_directions.values()), ", ".join(unknown_directions)
        yield f"{plural(count, 'field')} whose direction no source documents, in {names}."


def markdown_page(description: Description) -> str:
    """Return a Markdown page about a call; see `description_lines`."""
    lines = [
        f"# {description['name']}",
        "",
        f"`{_signature(description)}`",
        "",
        f"Family: {description['family']}",
        "",
        *([_layouts_text(description), ""] if description.get("other_layouts") else []),
        *_table(description["fields"]),
    ]
    for payload in description["payloads"]:
        x64, x86 = payload["size"]["x64"], payload["size"]["x86"]
        lines += [
            "",
            f"## {payload['path']} when {payload['when']}",
            "",
            f"{payload['type']}, {x64} bytes (x86: {x86})",
        ]
        lines += ["", *_table(payload["fields"])] if payload["fields"] else []
    for title, verb in (("Creates", "creates"), ("Destroys", "destroys")):
        if description[verb]:
            lines += ["", f"## {title}", "", *(f"- {_object_text(part)}" for part in description[verb])]
    if description["blocks"] is not None:
        lines += ["", "## Blocking", "", f"The call may block{_when(description['blocks'])}."]
    if description["unseen"]:
        lines += ["", "## Undescribed memory", "", *(f"- {memory}" for memory in description["unseen"])]
    if description["disturbs"]:
        lines += ["", "## Side effect", "", f"The call {description['disturbs']}."]
        lines += ["", "A replay on real thunks sends it only with `--allow`."]
    if description["statuses"]:
        lines += ["", "## Statuses", "", *(f"- {status}" for status in description["statuses"])]
    if "simulator" in description:
        lines += _simulator_section(description["simulator"])
    lines += ["", "## Sources", "", *(f"- {source}" for source in description["sources"])]
    return "\n".join(lines) + "\n"


def _simulator_section(simulator: Description) -> Iterator[str]:
    yield from ("", "## Simulator", "")
    if not simulator["modelled"]:
        yield from ("Unmodelled.", "")
    for rule in simulator["rules"]:
        details = "; ".join([f"{rule['confidence']}: {rule['source']}", *machine_lines(rule)])
        yield f"1. {rule['status']}: {rule['what']} ({details})"
    yield from ("", str(simulator["effect"]))


def markdown_index(families: Mapping[str, Iterable[CallSpec]]) -> str:
    """Return a Markdown page with links to the pages of all calls, by family."""
    lines = ["# Described functions", ""]
    for family, specs in families.items():
        lines += [f"## {family}", "", *(f"- [{spec.name}]({spec.name}.md)" for spec in specs), ""]
    return "\n".join([*lines, *coverage_lines(spec for specs in families.values() for spec in specs)]) + "\n"


def _signature(description: Description) -> str:
    sizes = f"{description['size']['x64']} bytes, x86 {description['size']['x86']}"
    parameters = f"{description['structure']} *" if description["structure"] else "plain parameters"
    returns = "" if description["returns"] == "NTSTATUS" else f", returns {description['returns']}"
    return f"{description['name']}({parameters})  {sizes}{returns}"


def _field_lines(fields: Iterable[Description], indent: str) -> Iterator[str]:
    for field in fields:
        x64, x86 = ("+".join(map(str, field[abi])) for abi in ("x64", "x86"))
        notes = f"  ({', '.join(_notes(field))})" if _notes(field) else ""
        yield f"{x64:>7}{x86:>7}  {field['direction']:<9}  {indent}{field['path']}: {field['type']}{notes}"
        for bit, mask in (field["bits"] or {}).items():
            direction = (field["bit_directions"] or {}).get(bit)
            yield f"{'':27}0x{mask:<8x} {indent}{bit}" + (f" ({direction})" if direction else "")


def _notes(field: Description) -> list[str]:
    minimum = f", at least {field['least']}" if field["least"] else ""
    notes = [f"length {field['length']}{minimum}"] if field["length"] else []
    notes += [field["kind"]] if field["kind"] else []
    return notes + ([f"when {field['when']}"] if field["when"] else [])


def _table(fields: Iterable[Description]) -> list[str]:
    rows = ["| x64 | x86 | direction | field | type | notes |", "| --- | --- | --- | --- | --- | --- |"]
    for field in fields:
        x64, x86 = ("+".join(map(str, field[abi])) for abi in ("x64", "x86"))
        notes = _notes(field) + [f"`{bit}` 0x{mask:x}" for bit, mask in (field["bits"] or {}).items()]
        notes += [f"{name} = {value}" for name, value in (field["values"] or {}).items()]
        cells = [x64, x86, field["direction"], f"`{field['path']}`", f"`{field['type']}`", "<br>".join(notes)]
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def _object_text(part: Description) -> str:
    return f"{part['kind']} at {part['path']}{_when(part['when'])}"


def _when(conditions: list[str]) -> str:
    return f" when {' and '.join(conditions)}" if conditions else ""
