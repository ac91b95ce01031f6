"""Regenerate the facts of this repository from the fact files: python tools/update_facts.py FOLDER

It writes `tests/data/ddi.json` and `tracekmt/data/ntstatus.json`. FOLDER contains ddi.json (WDDM 3.0), ddi-new.json,
ddi-changed.json (both kit 26100), ddi-undeclared.json, ntstatus.json and ntstatus-new.json.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
TABLES = ("structs", "payloads", "external", "aliases", "enums")

# Lengths that the header notes and ddi.json lacks.
LENGTHS = {
    ("D3DKMT_OUTPUTDUPL_GET_POINTER_SHAPE_DATA", "pShapeBuffer"): "bytes:BufferSizeSupplied",
    ("D3DKMT_OUTPUTDUPL_METADATA", "pBuffer"): "bytes:BufferSizeSupplied",
}

# Kit 26100 has these codes for names that ntstatus.json has at other codes.
STATUS_CODES = {"STATUS_GRAPHICS_DRIVER_MISMATCH": 0xC01E0009, "STATUS_PKU2U_CERT_FAILURE": 0xC000042F}


def read(path: Path) -> dict[str, Any]:
    """Read a fact file."""
    data: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return data


def merged_interface(folder: Path) -> dict[str, Any]:
    """Return the interface of kit 26100. "earlier" has the structures of WDDM 3.0 that changed."""
    base, *newer = (read(folder / f"ddi{part}.json") for part in ("", "-undeclared", "-new", "-changed"))
    merged: dict[str, Any] = {"functions": list(base["functions"]), "earlier": {}}
    merged |= {table: dict(base[table]) for table in TABLES}
    for facts in newer:
        merged["functions"] += facts["functions"]
        for table in TABLES:
            merged[table] |= facts[table]
    for name, struct in {**base["structs"], **base["payloads"]}.items():
        newest = merged["structs"].get(name) or merged["payloads"][name]
        if newest != struct:
            merged["earlier"][name] = struct
    merged["structs"] |= {
        name: merged["payloads"].pop(name) for name in set(merged["payloads"]) & set(merged["structs"])
    }
    for (struct_name, field_name), length in LENGTHS.items():
        field = next(field for field in merged["structs"][struct_name]["fields"] if field.get("name") == field_name)
        field["length"] = length
    return merged


def without_empty_fields(data: Any) -> Any:
    """Remove bit fields of zero width: they have no name and only end a word."""
    if isinstance(data, list):
        return [without_empty_fields(item) for item in data if not (isinstance(item, dict) and item.get("bits") == 0)]
    if isinstance(data, dict):
        return {key: without_empty_fields(value) for key, value in data.items()}
    return data


def merged_statuses(folder: Path) -> dict[str, list[str]]:
    """Return the names of each status code. The first name of a code is the one to display."""
    names: dict[int, list[str]] = {}
    for file in ("ntstatus.json", "ntstatus-new.json"):
        for code, code_names in read(folder / file).items():
            known = names.setdefault(int(code, 16), [])
            known += [name for name in code_names if name not in known and name not in STATUS_CODES]
    for name, number in STATUS_CODES.items():
        names.setdefault(number, []).append(name)
    return {f"0x{number:08X}": names[number] for number in sorted(names) if names[number]}


def main(folder: Path) -> None:
    """Write both files."""
    interface = without_empty_fields(merged_interface(folder))
    rows = [f'"{table}": {_table(content)}' for table, content in interface.items()]
    (ROOT / "tests" / "data" / "ddi.json").write_text("{\n" + ",\n".join(rows) + "\n}\n", "utf-8")
    statuses = [f'"{code}": {json.dumps(names)}' for code, names in merged_statuses(folder).items()]
    (ROOT / "tracekmt" / "data" / "ntstatus.json").write_text("{\n" + ",\n".join(statuses) + "\n}\n", "utf-8")


def _table(content: Any) -> str:
    """Return a table with one entry a line."""
    if isinstance(content, list):
        return "[\n" + ",\n".join(json.dumps(item) for item in content) + "\n]"
    return "{\n" + ",\n".join(f"{json.dumps(name)}: {json.dumps(content[name])}" for name in sorted(content)) + "\n}"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
