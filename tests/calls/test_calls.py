"""The descriptions against the facts: names, offsets, sizes, bits and enumerations as Microsoft's headers have them."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.calls.facts import (
    DIRECTIONS,
    ENUMS,
    EXTERNAL,
    FUNCTIONS,
    STRUCTS,
    TYPE_NAMES,
    bits,
    flat,
    inner_fields,
    pair,
)
from tracekmt.calls import CALLS, FAMILIES, kinds, raw_call
from tracekmt.ntstatus import status
from tracekmt.spec import serial
from tracekmt.spec.checks import check, check_all, kind_of, misnamed, unused
from tracekmt.spec.describe import describe, unknowns
from tracekmt.spec.layout import lay_out, measure
from tracekmt.spec.paths import element, fields, structures
from tracekmt.spec.types import ABIS, CallSpec, Enum, Field, Flags, Float, Integer, Kind, Struct, Type, Union, length_of

SUPPORT = {call.name for call in FAMILIES["support"]}
"""Calls of the rest of the system, which the facts do not have."""

THUNKS = {name: call for name, call in CALLS.items() if name not in SUPPORT}
MODULES = sorted((Path(__file__).parents[2] / "tracekmt" / "calls").glob("*.py"))
# What issue and interface have that no version of d3dkmthk.h declares as a structure of its own.
COMPARED: Counter[str] = Counter()


def described() -> dict[str, Struct]:
    """Every described structure; parts of a structure that the header leaves unnamed come with the whole."""
    found: dict[str, Struct] = {}
    for call in CALLS.values():
        for struct in structures(call.argument):
            assert found.setdefault(struct.name, struct) is struct, f"{struct.name} is described twice"
    return {name: struct for name, struct in found.items() if struct.name in STRUCTS}


def compare_fields(struct: Struct, facts: list[dict[str, Any]], where: str) -> None:
    layouts = [lay_out(struct, abi) for abi in ABIS]
    places = [
        (slot.field.name, abi, slot.offset, slot.size)
        for abi, one in zip(ABIS, layouts, strict=True)
        for slot in one.slots
    ]
    expected = [
        (name, abi, place[n], pair(fact["size"])[n]) for name, fact, place in flat(facts) for n, abi in enumerate(ABIS)
    ]
    assert sorted(places) == sorted(expected), where
    COMPARED["fields"] += len(expected) // 2
    COMPARED["places"] += len(expected)
    for name, fact, _ in flat(facts):
        compare_type(struct.field(name).type, fact, f"{where}.{name}")
        compare_notes(struct.field(name), fact, where)


def compare_type(type_: Type, fact: dict[str, Any], where: str) -> None:
    inner, _ = element(type_)
    if isinstance(inner, Flags):
        wide = any(
            width > 1 and not name.startswith("Reserved") for name, (_, width) in bits(inner_fields(fact)).items()
        )
        expected = {n: p for n, p in bits(inner_fields(fact)).items() if wide or not n.startswith("Reserved")}
        found = {bit.name: (bit.position, bit.width) for bit in inner.bits}
        aliases = {n for n, place in expected.items() if n not in found and place in found.values()}
        assert found == {n: p for n, p in expected.items() if n not in aliases}, where
        COMPARED["bits"] += len(found)
    elif isinstance(inner, Enum):
        compare_enum(inner)
    elif isinstance(inner, Union):
        facts = {name: (each, place) for name, each, place in flat(inner_fields(fact))}
        assert [arm.name for arm in inner.arms] == list(facts), where
        for arm in inner.arms:
            each, place = facts[arm.name]
            assert place == (0, 0), where
            assert tuple(measure(arm.type, abi)[0] for abi in ABIS) == pair(each["size"]), where
            compare_type(arm.type, each, f"{where}.{arm.name}")
    elif isinstance(inner, Struct) and inner.name not in STRUCTS and "fields" in fact:
        compare_fields(inner, fact["fields"], where)


def compare_notes(field: Field, fact: dict[str, Any], where: str) -> None:
    """What the header says beside a field: its type's name, its direction, its length."""
    inner, _ = element(field.type)
    declared = fact.get("declared", "").partition("[")[0].removeprefix("const ").strip(" *")
    if isinstance(inner, (Integer, Float)) and declared:
        assert inner.name in (declared, *TYPE_NAMES.get(declared, ())), f"{where}.{field.name} is a {declared}"
        COMPARED["type names"] += 1
    if "dir" in fact and (where, field.name) not in DIRECTIONS:
        assert field.direction == fact["dir"], f"{where}.{field.name}: the header says {fact['dir']}"
        COMPARED["directions"] += 1
    length = length_of(field.type)
    if "length" in fact and length is not None:
        said = fact["length"].partition(":")[2].replace(" ", "").lstrip("*")
        assert said == f"{length.path}+{length.add}" if length.add else said == length.path, f"{where}.{field.name}"
        COMPARED["lengths"] += 1


def compare_enum(enum: Enum) -> None:
    assert dict(enum.members) == ENUMS[enum.name], enum.name
    COMPARED["enumeration values"] += len(enum.members)


@pytest.mark.parametrize("name", sorted(described()))
def test_a_structure_is_as_the_headers_have_it(name: str) -> None:
    struct, fact = described()[name], STRUCTS[name]
    assert tuple(measure(struct, abi)[0] for abi in ABIS) == pair(fact["size"])
    assert tuple(measure(struct, abi)[1] for abi in ABIS) == pair(fact["align"])
    COMPARED["structures"] += 1
    compare_fields(struct, fact["fields"], name)


def test_all_of_them_were_compared(capsys: pytest.CaptureFixture[str]) -> None:
    COMPARED.clear()
    for name in described():
        test_a_structure_is_as_the_headers_have_it(name)
    for call in THUNKS.values():
        for type_ in all_types(call):
            if isinstance(type_, Enum):
                compare_enum(type_)
    with capsys.disabled():
        print(
            f"\n{len(THUNKS)} functions against the headers: {', '.join(f'{n} {what}' for what, n in COMPARED.items())}"
        )
    assert COMPARED["structures"] > 200
    assert COMPARED["places"] > 2000


def all_types(call: CallSpec) -> Iterator[Type]:
    for struct in structures(call.argument):
        for field in struct.fields():
            yield element(field.type)[0]
            yield from (case for _, _, case in getattr(field.type, "cases", ()))


def test_structures_of_the_system_s_own_headers_have_their_sizes() -> None:
    outside = {s for call in CALLS.values() for s in structures(call.argument) if s.name in EXTERNAL}
    assert {s.name for s in outside} == {"LUID", "GUID", "tagRECT", "tagPOINT", "OBJECT_ATTRIBUTES"}
    for struct in outside:
        assert [measure(struct, abi)[0] for abi in ABIS] == EXTERNAL[struct.name], struct.name


def test_no_structure_is_left_uncompared() -> None:
    whole = set(described()) | set(EXTERNAL) | set(THUNKS)
    for call in THUNKS.values():
        for struct in structures(call.argument):
            assert struct.name in whole or struct.name.partition(".")[0] in STRUCTS, struct.name


@pytest.mark.parametrize("call", THUNKS.values(), ids=THUNKS)
def test_a_function_takes_what_the_headers_say(call: CallSpec) -> None:
    fact = FUNCTIONS[call.name]
    assert fact["returns"] == call.returns
    types = [parameter["type"].removeprefix("const ").removeprefix("struct ") for parameter in fact["params"]]
    if not call.argument.parameters:
        assert types == [f"{call.argument.name} *"]
        return
    # Names that the headers leave out are the contract's; how many there are, and which are pointers, is theirs.
    assert len(call.argument.members) == len(types)
    for field, type_ in zip(call.argument.fields(), types, strict=True):
        assert (field.name[0] == "p") == (
            type_.endswith("*") or type_ == "POBJECT_ATTRIBUTES"
        ) or field.name == "hObjects"


def test_the_descriptions_do_not_contradict_themselves() -> None:
    assert check_all(CALLS.values()) == []


def test_names_are_microsoft_s_and_no_structure_is_without_use() -> None:
    assert misnamed(THUNKS.values(), FUNCTIONS, [*STRUCTS, *EXTERNAL]) == []
    modules = [importlib.import_module(f"tracekmt.calls.{path.stem}") for path in MODULES if path.stem != "__init__"]
    made = [value for module in modules for value in vars(module).values() if isinstance(value, Struct)]
    assert len(made) > 200
    assert unused(CALLS.values(), made) == []


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_facts_have_sources_and_statuses_have_names(call: CallSpec) -> None:
    assert call.sources
    assert [status(name).name for name in call.statuses] == list(call.statuses)
    assert call.statuses or call.returns != "NTSTATUS"


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_every_handle_has_a_kind(call: CallSpec) -> None:
    for path, field, _ in fields(call.argument, arms=call.union_arms):
        inner, _ = element(field.type)
        if getattr(inner, "name", "") in ("D3DKMT_HANDLE", "HANDLE"):
            kind = kind_of(field.type)
            assert kind is not None, path
            assert kind.name != "unknown", path


def test_what_no_source_says_is_counted() -> None:
    found = {call.name: unknowns(call) for call in CALLS.values() if unknowns(call)}
    assert set(found) == {"D3DKMTQueryAdapterInfo", "D3DKMTEscape"}
    assert sum(map(len, found.values())) == 10


def test_every_call_has_one_family() -> None:
    assert sum(len(calls) for calls in FAMILIES.values()) == len(CALLS)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_a_description_is_data(path: Path) -> None:
    """No function bodies (kinds has three that name a type), no code in strings, no offsets."""
    tree = ast.parse(path.read_text("utf-8"))
    assert not any(isinstance(node, ast.Lambda) for node in ast.walk(tree))
    functions = [node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    allowed = {"kinds": {"handle", "nt_handle", "fence"}, "__init__": {"_collect_families", "family_of", "raw_call"}}
    assert set(functions) <= allowed.get(path.stem, set())
    names = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert not names & {"eval", "exec", "compile", "offset"}


@pytest.mark.parametrize("call", [*CALLS.values(), raw_call("D3DKMTNew")], ids=lambda call: call.name)
def test_a_description_survives_json(call: CallSpec) -> None:
    again = serial.call_from_data(json.loads(json.dumps(serial.to_data(call))))
    assert serial.to_data(again) == serial.to_data(call)
    assert check(again) == []
    for abi in ABIS:
        assert serial.layouts_of(again, abi) == serial.layouts_of(call, abi)


def test_kinds_say_how_they_are_bound() -> None:
    made = [value for value in vars(kinds).values() if isinstance(value, Kind)]
    assert {kind.binding for kind in made} == {"handle", "range", "fence", "per_machine", "literal"}
    assert len({kind.name for kind in made}) == len(made)


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_told_in_full_a_call_has_the_contract_s_keys(call: CallSpec) -> None:
    told = json.loads(json.dumps(describe(call, "family")))
    assert {
        "name",
        "family",
        "structure",
        "size",
        "fields",
        "creates",
        "uses",
        "destroys",
        "statuses",
        "sources",
    } <= set(told)
    for field in told["fields"]:
        assert field["direction"] in ("in", "out", "inout", "unknown")
        assert {"path", "type", "direction", "x64", "x86", "length", "kind", "bits"} <= set(field)
    assert dataclasses.is_dataclass(call)


def test_no_exception_is_kept_that_is_none() -> None:
    facts = {(s, n): fact for s in described() for n, fact, _ in flat(STRUCTS[s]["fields"])}
    for struct, field in DIRECTIONS:
        assert described()[struct].field(field).direction != facts[struct, field]["dir"], (struct, field)
