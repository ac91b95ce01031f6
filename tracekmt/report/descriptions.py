"""A described call told to people: as text for a terminal, and as a page for a browser."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tracekmt.spec.describe import open_unions, unknowns
from tracekmt.spec.types import CallSpec

Told = Mapping[str, Any]


def description_lines(told: Told) -> Iterator[str]:
    """What `describe` gives, for a terminal."""
    yield _signature(told)
    yield "    x64    x86  direction  field: type"
    yield from _fields(told["fields"], "")
    for payload in told["payloads"]:
        x64, x86 = payload["size"]["x64"], payload["size"]["x86"]
        yield f"{payload['path']} when {payload['when']}: {payload['type']}, {x64} bytes, x86 {x86}"
        yield from _fields(payload["fields"], "  ")
    for verb in ("creates", "destroys"):
        yield from (f"{verb} {_life(each)}" for each in told[verb])
    if told["blocks"] is not None:
        yield "may wait for others" + (f" when {' and '.join(told['blocks'])}" if told["blocks"] else "")
    yield from (f"not seen  {what}" for what in told["unseen"])
    yield from (f"disturbs  {what}" for what in [told["disturbs"]] if what)
    if told["statuses"]:
        yield "statuses  " + ", ".join(told["statuses"])
    yield from (f"source    {source}" for source in told["sources"])
    if "simulator" in told:
        yield from _simulated(told["simulator"])


def _simulated(played: Told) -> Iterator[str]:
    """How the simulator answers, rule by rule."""
    yield "refused by the simulator, in this order:" if played["modelled"] else "not modelled by the simulator:"
    for rule in played["rules"]:
        yield f"    {rule['status']}: {rule['what']}"
        yield f"        {rule['confidence']}: {rule['source']}"
    yield from (f"otherwise  {line}" for line in str(played["effect"]).splitlines()[:1])


def coverage_lines(calls: Iterable[CallSpec]) -> Iterator[str]:
    """What the descriptions together do not say."""
    calls = list(calls)
    unseen = [call.name for call in calls if call.undescribed_memory]
    undirected = {call.name: len(unknowns(call)) for call in calls if unknowns(call)}
    yield f"{len(calls)} functions are described."
    if unseen:
        yield f"{len(unseen)} of them use memory that nothing in their arguments leads to: {', '.join(unseen)}."
    unions = sorted({struct for call in calls for struct in open_unions(call)})
    if unions:
        yield f"No source says when what is in a union of {', '.join(unions)}."
    if undirected:
        fields = f"{sum(undirected.values())} fields, in {', '.join(undirected)}"
        yield f"No source says whether the call reads or writes {fields}."


def markdown_page(told: Told) -> str:
    """A page about one call."""
    lines = [f"# {told['name']}", "", f"`{_signature(told)}`", "", f"Family: {told['family']}", ""]
    lines += _table(told["fields"])
    for payload in told["payloads"]:
        x64, x86 = payload["size"]["x64"], payload["size"]["x86"]
        lines += [
            "",
            f"## {payload['path']} when {payload['when']}",
            "",
            f"{payload['type']}, {x64} bytes (x86: {x86})",
        ]
        lines += ["", *_table(payload["fields"])] if payload["fields"] else []
    for title, verb in (("Creates", "creates"), ("Destroys", "destroys")):
        if told[verb]:
            lines += ["", f"## {title}", "", *(f"- {_life(each)}" for each in told[verb])]
    if told["blocks"] is not None:
        lines += ["", "## Waiting", "", "May wait for others" + _when(told["blocks"]) + "."]
    if told["unseen"]:
        lines += ["", "## Not seen", "", *(f"- {what}" for what in told["unseen"])]
    if told["disturbs"]:
        lines += ["", "## Disturbs", "", f"Sent again to real thunks, it {told['disturbs']}: only with `--allow`."]
    if told["statuses"]:
        lines += ["", "## Statuses", "", *(f"- {status}" for status in told["statuses"])]
    if "simulator" in told:
        lines += _played(told["simulator"])
    lines += ["", "## Sources", "", *(f"- {source}" for source in told["sources"])]
    return "\n".join(lines) + "\n"


def _played(told: Told) -> Iterator[str]:
    """How the simulator answers, on a page."""
    yield from ("", "## In the simulator", "")
    if not told["modelled"]:
        yield from ("Not modelled.", "")
    for rule in told["rules"]:
        yield f"1. {rule['status']}: {rule['what']} ({rule['confidence']}: {rule['source']})"
    yield from ("", str(told["effect"]))


def markdown_index(calls: Mapping[str, Iterable[CallSpec]]) -> str:
    """The page that leads to the others, by family."""
    lines = ["# Described functions", ""]
    for family, members in calls.items():
        lines += [f"## {family}", "", *(f"- [{call.name}]({call.name}.md)" for call in members), ""]
    return "\n".join([*lines, *coverage_lines(call for members in calls.values() for call in members)]) + "\n"


def _signature(told: Told) -> str:
    sizes = f"{told['size']['x64']} bytes, x86 {told['size']['x86']}"
    takes = f"{told['structure']} *" if told["structure"] else "plain parameters"
    gives = "" if told["returns"] == "NTSTATUS" else f", gives {told['returns']}"
    return f"{told['name']}({takes})  {sizes}{gives}"


def _fields(fields: Iterable[Told], indent: str) -> Iterator[str]:
    for field in fields:
        x64, x86 = ("+".join(map(str, field[abi])) for abi in ("x64", "x86"))
        note = f"  ({', '.join(_notes(field))})" if _notes(field) else ""
        yield f"{x64:>7}{x86:>7}  {field['direction']:<9}  {indent}{field['path']}: {field['type']}{note}"
        for bit, mask in (field["bits"] or {}).items():
            direction = (field["bit_directions"] or {}).get(bit)
            yield f"{'':27}0x{mask:<8x} {indent}{bit}" + (f" ({direction})" if direction else "")


def _notes(field: Told) -> list[str]:
    least = f", at least {field['least']}" if field["least"] else ""
    notes = [f"length {field['length']}{least}"] if field["length"] else []
    notes += [field["kind"]] if field["kind"] else []
    return notes + ([f"when {field['when']}"] if field["when"] else [])


def _table(fields: Iterable[Told]) -> list[str]:
    rows = ["| x64 | x86 | direction | field | type | notes |", "| --- | --- | --- | --- | --- | --- |"]
    for field in fields:
        x64, x86 = ("+".join(map(str, field[abi])) for abi in ("x64", "x86"))
        notes = _notes(field) + [f"`{bit}` 0x{mask:x}" for bit, mask in (field["bits"] or {}).items()]
        notes += [f"{name} = {value}" for name, value in (field["values"] or {}).items()]
        cells = [x64, x86, field["direction"], f"`{field['path']}`", f"`{field['type']}`", "<br>".join(notes)]
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def _life(part: Told) -> str:
    return f"{part['kind']} at {part['path']}{_when(part['when'])}"


def _when(conditions: list[str]) -> str:
    return f" when {' and '.join(conditions)}" if conditions else ""
