"""Print the declaration of a function or structure in Microsoft's headers: python tools/facts.py D3DKMTGetScanLine

Sizes and offsets are in bytes, for x64, and in parentheses for x86 if they differ.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FACTS = json.loads((Path(__file__).parent.parent / "tests" / "data" / "ddi.json").read_text("utf-8"))
STRUCTS = {**FACTS["structs"], **FACTS["payloads"]}


def lines(name: str) -> Iterator[str]:
    """Yield the lines about one name. There are none if the headers do not declare it."""
    for function in FACTS["functions"]:
        if function["name"] == name:
            yield f"{function['returns']} {name}({', '.join(parameter['type'] for parameter in function['params'])})"
            for parameter in function["params"]:
                yield from lines(parameter["type"].removeprefix("const ").rstrip(" *"))
    struct = STRUCTS.get(FACTS["aliases"].get(name, name))
    if struct:
        yield f"{struct['kind']} {name}, {_sizes(struct['size'])} bytes"
        yield from _fields(struct["fields"], 1)
    for value, number in FACTS["enums"].get(name, {}).items():
        yield f"    {value} = {number}"


def _fields(fields: list[dict[str, Any]], depth: int) -> Iterator[str]:
    for field in fields:
        if "bit" in field:
            yield f"{'    ' * depth}bit {field['bit']}, {field['bits']} wide: {field['name']}"
            continue
        notes = [field[key] for key in ("dir", "length") if key in field]
        type_ = field.get("declared") or field["type"]
        location = f"{_sizes(field['offset'])}+{_sizes(field['size'])}"
        yield f"{'    ' * depth}{location} {field.get('name', '(unnamed)')}: {type_} {' '.join(notes)}".rstrip()
        yield from _fields(field.get("fields", []), depth + 1)


def _sizes(value: Any) -> str:
    return f"{value[0]}({value[1]})" if isinstance(value, list) else str(value)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        print("\n".join(lines(name)) or f"{name}: the headers declare no such function, structure or enumeration")
