"""Comparison of the descriptions with Microsoft's headers: names, offsets, sizes, bits and enumerations."""

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
    EARLIER,
    ENUMS,
    EXTERNAL,
    FUNCTIONS,
    NAMING,
    STRUCTS,
    TYPE_NAMES,
    bits,
    flat,
    inner_fields,
    pair,
)
from tracekmt.calls import (
    CALLS,
    DESCRIPTIONS,
    EXPORT_PREFIXES,
    FAMILIES,
    LAYOUT_BUILDS,
    calls_of_build,
    forms,
    kinds,
    layout_build,
    raw_call,
)
from tracekmt.ntstatus import status
from tracekmt.spec import serial
from tracekmt.spec.checks import check, check_all, misnamed, unused
from tracekmt.spec.checks.naming import Problem, naming_problems
from tracekmt.spec.describe import describe, unknowns
from tracekmt.spec.forms import builds_with_changes
from tracekmt.spec.layout import lay_out, measure
from tracekmt.spec.paths import element, element_kind, fields, structures
from tracekmt.spec.types import ABIS, CallSpec, Enum, Field, Flags, Float, Integer, Kind, Struct, Type, Union, length_of

SUPPORT = {spec.name for spec in FAMILIES["support"]}
"""Other system calls, which the facts do not contain."""

THUNKS = {name: spec for name, spec in CALLS.items() if name not in SUPPORT}
MODULES = sorted((Path(__file__).parents[2] / "tracekmt" / "calls").glob("*.py"))
COMPARED: Counter[str] = Counter()
"""Number of compared facts by sort."""


def described() -> dict[str, Struct]:
    """Return every described structure. Parts that the header leaves unnamed are compared with the whole."""
    structs: dict[str, Struct] = {}
    for spec in CALLS.values():
        for struct in structures(spec.argument):
            assert structs.setdefault(struct.name, struct) is struct, f"{struct.name} is described twice"
    return {name: struct for name, struct in structs.items() if struct.name in STRUCTS}


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
        # "Padding" are bits that the header leaves without a name.
        actual = {bit.name: (bit.position, bit.width) for bit in inner.bits if bit.name != "Padding"}
        aliases = {name for name, place in expected.items() if name not in actual and place in actual.values()}
        assert actual == {name: place for name, place in expected.items() if name not in aliases}, where
        COMPARED["bits"] += len(actual)
    elif isinstance(inner, Enum):
        compare_enum(inner)
    elif isinstance(inner, Union):
        facts = {name: (arm_fact, place) for name, arm_fact, place in flat(inner_fields(fact))}
        assert [arm.name for arm in inner.arms] == list(facts), where
        for arm in inner.arms:
            arm_fact, place = facts[arm.name]
            assert place == (0, 0), where
            assert tuple(measure(arm.type, abi)[0] for abi in ABIS) == pair(arm_fact["size"]), where
            compare_type(arm.type, arm_fact, f"{where}.{arm.name}")
    elif isinstance(inner, Struct) and inner.name not in STRUCTS and "fields" in fact:
        compare_fields(inner, fact["fields"], where)


def compare_notes(field: Field, fact: dict[str, Any], where: str) -> None:
    """Compare the notes of the header beside a field: type name, direction and length."""
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
        note = fact["length"].partition(":")[2].replace(" ", "").lstrip("*")
        assert note == f"{length.path}+{length.add}" if length.add else note == length.path, f"{where}.{field.name}"
        COMPARED["lengths"] += 1


def compare_enum(enum: Enum) -> None:
    assert dict(enum.members) == ENUMS[enum.name], enum.name
    COMPARED["enumeration values"] += len(enum.members)


@pytest.mark.parametrize("name", sorted(described()))
def test_a_structure_equals_that_of_the_headers(name: str) -> None:
    struct, fact = described()[name], STRUCTS[name]
    assert tuple(measure(struct, abi)[0] for abi in ABIS) == pair(fact["size"])
    assert tuple(measure(struct, abi)[1] for abi in ABIS) == pair(fact["align"])
    COMPARED["structures"] += 1
    compare_fields(struct, fact["fields"], name)


@pytest.mark.parametrize("name", sorted(set(described()) & set(EARLIER)))
def test_a_structure_of_an_earlier_build_has_its_layout(name: str) -> None:
    """No field of WDDM 3.0 is elsewhere. Newer fields may use space that was reserved."""
    specs = calls_of_build(layout_build(22000, "x64")).values()
    struct = next(struct for spec in specs for struct in structures(spec.argument) if struct.name == name)
    assert tuple(measure(struct, abi)[0] for abi in ABIS) == pair(EARLIER[name]["size"])
    for number, abi in enumerate(ABIS):
        places = {slot.field.name: (slot.offset, slot.size) for slot in lay_out(struct, abi).slots}
        for field_name, fact, place in flat(EARLIER[name]["fields"]):
            assert places[field_name] == (place[number], pair(fact["size"])[number]), field_name


def test_the_forms_of_functions_have_the_sizes_of_their_kits() -> None:
    """Sizes of the structures in kits 19041, 20348, 22000 and 22621."""
    sizes = {
        ("D3DKMT_CREATENATIVEFENCE", 22621): (64, 64),
        ("D3DKMT_CREATENATIVEFENCE", 26100): (216, 216),
        ("D3DKMT_OPENNATIVEFENCEFROMNTHANDLE", 22621): (48, 48),
        ("D3DKMT_OPENNATIVEFENCEFROMNTHANDLE", 26100): (176, 176),
        ("D3DKMT_CREATE_DOORBELL", 22621): (56, 36),
        ("D3DKMT_CREATE_DOORBELL", 26100): (72, 44),
        ("D3DKMT_FLIPMODEL_PRESENTHISTORYTOKEN", 22621): (1064, 1064),
        ("D3DKMT_FLIPMODEL_PRESENTHISTORYTOKEN", 26100): (1056, 1056),
        ("D3DKMT_MULTIPLANE_OVERLAY3", 20348): (56, 36),
        ("D3DKMT_MULTIPLANE_OVERLAY3", 22000): (80, 64),
        ("D3DKMT_PRESENT_MULTIPLANE_OVERLAY3", 19041): (72, 52),
        ("D3DKMT_PRESENT_MULTIPLANE_OVERLAY3", 20348): (80, 56),
    }
    for (name, build), size in sizes.items():
        specs = calls_of_build(layout_build(build, "x64")).values()
        struct = next(struct for spec in specs for struct in structures(spec.argument) if struct.name == name)
        assert tuple(measure(struct, abi)[0] for abi in ABIS) == size, (name, build)


def test_the_builds_with_changes_are_listed() -> None:
    specs = [spec for specs in DESCRIPTIONS.values() for spec in specs]
    assert set(LAYOUT_BUILDS) - {0} == set().union(*map(builds_with_changes, specs))
    for build in LAYOUT_BUILDS:
        assert check_all(calls_of_build(build).values()) == []


def test_a_build_selects_the_form() -> None:
    assert [layout_build(build, "x64") for build in (None, 1, 19045, 20348, 22631, 26100, 28000)] == [
        *(26100, 0, 0, 20348, 22000, 26100, 26100)
    ]
    assert layout_build(None, "wsl") == layout_build(26100, "wsl") == 22000
    doorbell = forms("D3DKMTDestroyDoorbell")
    assert {build: [field.name for field in spec.argument.fields()] for build, spec in doorbell.items()} == {
        0: ["hHwQueue"],
        26100: ["hDoorbell"],
    }
    assert [spec.destroys != () for spec in doorbell.values()] == [False, True]
    assert list(forms("D3DKMTCreateAllocation2")) == [0]
    assert calls_of_build(0)["D3DKMTCreateAllocation2"] is CALLS["D3DKMTCreateAllocation2"]


def test_all_of_them_were_compared(capsys: pytest.CaptureFixture[str]) -> None:
    COMPARED.clear()
    for name in described():
        test_a_structure_equals_that_of_the_headers(name)
    for spec in THUNKS.values():
        for type_ in all_types(spec):
            if isinstance(type_, Enum):
                compare_enum(type_)
    with capsys.disabled():
        counts = ", ".join(f"{count} {name}" for name, count in COMPARED.items())
        print(f"\n{len(THUNKS)} functions against the headers: {counts}")
    assert COMPARED["structures"] > 200
    assert COMPARED["places"] > 2000


def all_types(spec: CallSpec) -> Iterator[Type]:
    for struct in structures(spec.argument):
        for field in struct.fields():
            yield element(field.type)[0]
            yield from (case for _, _, case in getattr(field.type, "cases", ()))


def test_structures_of_other_headers_have_the_right_sizes() -> None:
    outside = {s for spec in CALLS.values() for s in structures(spec.argument) if s.name in EXTERNAL}
    assert {s.name for s in outside} == {"LUID", "GUID", "RECTL", "tagRECT", "tagPOINT", "OBJECT_ATTRIBUTES"}
    for struct in outside:
        assert [measure(struct, abi)[0] for abi in ABIS] == EXTERNAL[struct.name], struct.name


def test_no_structure_is_left_uncompared() -> None:
    whole = set(described()) | set(EXTERNAL) | set(THUNKS)
    for spec in THUNKS.values():
        for struct in structures(spec.argument):
            assert struct.name in whole or struct.name.partition(".")[0] in STRUCTS, struct.name


@pytest.mark.parametrize("spec", THUNKS.values(), ids=THUNKS)
def test_a_function_has_the_parameters_of_the_headers(spec: CallSpec) -> None:
    fact = FUNCTIONS[spec.name]
    assert fact["returns"] == spec.returns
    types = [parameter["type"].removeprefix("const ").removeprefix("struct ") for parameter in fact["params"]]
    if not spec.argument.parameters:
        assert types == [f"{spec.argument.name} *"]
        return
    # The headers omit the names of parameters, but not their number and which of them are pointers.
    assert len(spec.argument.members) == len(types)
    for field, type_ in zip(spec.argument.fields(), types, strict=True):
        assert (field.name[0] == "p") == (
            type_.endswith("*") or type_ == "POBJECT_ATTRIBUTES"
        ) or field.name == "hObjects"


def test_the_descriptions_do_not_contradict_themselves() -> None:
    assert check_all(CALLS.values()) == []


def test_names_are_those_of_the_interface_and_all_structures_are_used() -> None:
    assert misnamed(THUNKS.values(), FUNCTIONS, [*STRUCTS, *EXTERNAL]) == []
    modules = [importlib.import_module(f"tracekmt.calls.{path.stem}") for path in MODULES if path.stem != "__init__"]
    structs = [value for module in modules for value in vars(module).values() if isinstance(value, Struct)]
    assert len(structs) > 200
    assert unused([spec for specs in DESCRIPTIONS.values() for spec in specs], structs) == []


def naming(spec: CallSpec) -> list[Problem]:
    return naming_problems(spec, kinds.HANDLE_NAMES, (*EXPORT_PREFIXES, "Nt"))


@pytest.mark.parametrize("spec", CALLS.values(), ids=CALLS)
def test_a_description_agrees_with_its_names(spec: CallSpec) -> None:
    assert [str(problem) for problem in naming(spec) if (spec.name, problem.path) not in NAMING] == []


def test_every_exception_from_the_naming_rules_is_used() -> None:
    used = {(problem.spec_name, problem.path) for spec in CALLS.values() for problem in naming(spec)}
    assert set(NAMING) == used
    assert all(NAMING.values())


@pytest.mark.parametrize("spec", CALLS.values(), ids=CALLS)
def test_facts_have_sources_and_statuses_have_names(spec: CallSpec) -> None:
    assert spec.sources
    assert [status(name).name for name in spec.statuses] == list(spec.statuses)
    assert spec.statuses or spec.returns != "NTSTATUS"


@pytest.mark.parametrize("spec", CALLS.values(), ids=CALLS)
def test_every_handle_has_a_kind(spec: CallSpec) -> None:
    for path, field, _ in fields(spec.argument, arms=spec.union_arms):
        inner, _ = element(field.type)
        if getattr(inner, "name", "") in ("D3DKMT_HANDLE", "HANDLE"):
            kind = element_kind(field.type)
            assert kind is not None, path
            assert kind.name != "unknown", path


def test_undocumented_directions_are_counted() -> None:
    undocumented = {spec.name: unknowns(spec) for spec in CALLS.values() if unknowns(spec)}
    assert set(undocumented) == {"D3DKMTQueryAdapterInfo", "D3DKMTEscape"}
    assert sum(map(len, undocumented.values())) == 10


def test_every_call_has_one_family() -> None:
    assert sum(len(specs) for specs in FAMILIES.values()) == len(CALLS)


@pytest.mark.parametrize("path", [path for path in MODULES if path.stem != "__init__"], ids=lambda path: path.stem)
def test_a_description_is_data(path: Path) -> None:
    """No functions (except three short forms in kinds), no code in strings, no offsets."""
    tree = ast.parse(path.read_text("utf-8"))
    assert not any(isinstance(node, ast.Lambda) for node in ast.walk(tree))
    functions = [node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    allowed = {"handle", "nt_handle", "fence"} if path.stem == "kinds" else set()
    assert set(functions) <= allowed
    names = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert not names & {"eval", "exec", "compile", "offset"}


@pytest.mark.parametrize("spec", [*CALLS.values(), raw_call("D3DKMTNew")], ids=lambda spec: spec.name)
def test_a_description_survives_json(spec: CallSpec) -> None:
    again = serial.spec_from_data(json.loads(json.dumps(serial.to_data(spec))))
    assert serial.to_data(again) == serial.to_data(spec)
    assert check(again) == []
    for abi in ABIS:
        assert serial.layouts_of(again, abi) == serial.layouts_of(spec, abi)


def test_every_binding_is_used_and_kinds_have_unique_names() -> None:
    all_kinds = [value for value in vars(kinds).values() if isinstance(value, Kind)]
    assert {kind.binding for kind in all_kinds} == {"handle", "range", "fence", "per_machine", "literal"}
    assert len({kind.name for kind in all_kinds}) == len(all_kinds)


@pytest.mark.parametrize("spec", CALLS.values(), ids=CALLS)
def test_a_described_function_has_the_documented_keys(spec: CallSpec) -> None:
    data = json.loads(json.dumps(describe(spec, "family")))
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
    } <= set(data)
    for field in data["fields"]:
        assert field["direction"] in ("in", "out", "inout", "unknown")
        assert {"path", "type", "direction", "x64", "x86", "length", "kind", "bits"} <= set(field)
    assert dataclasses.is_dataclass(spec)


def test_every_exception_from_the_noted_directions_is_used() -> None:
    facts = {(s, n): fact for s in described() for n, fact, _ in flat(STRUCTS[s]["fields"])}
    for struct, field in DIRECTIONS:
        assert described()[struct].field(field).direction != facts[struct, field]["dir"], (struct, field)
