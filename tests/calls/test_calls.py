"""The descriptions against the facts: names, offsets, sizes, bits and enumerations as Microsoft's headers have them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tracekmt.calls import CALLS, FAMILIES
from tracekmt.ntstatus import status
from tracekmt.spec.checks import check_all
from tracekmt.spec.layout import lay_out, measure
from tracekmt.spec.types import ABIS, Array, Call, Enum, Flags, Pointer, Struct, Type

FACTS = json.loads((Path(__file__).parent.parent / "data" / "ddi.json").read_text())
STRUCTS = {**FACTS["structs"], **FACTS["payloads"]}


def structures() -> dict[str, Struct]:
    """Every described structure, with the calls' other arms."""
    found: dict[str, Struct] = {}

    def visit(type_: Type) -> None:
        if isinstance(type_, Struct) and type_.name not in found:
            found[type_.name] = type_
            for field in type_.fields():
                visit(field.type)
        elif isinstance(type_, Pointer):
            visit(type_.to)
        elif isinstance(type_, Array):
            visit(type_.of)

    for call in CALLS.values():
        visit(call.argument)
    return found


def pair(value: Any) -> tuple[int, int]:
    return (value[0], value[1]) if isinstance(value, list) else (value, value)


def flat(
    fields: list[dict[str, Any]], base: tuple[int, int] = (0, 0)
) -> Iterator[tuple[str, dict[str, Any], tuple[int, int]]]:
    """Named fields with their offsets in both ABIs, unnamed unions and structures flattened."""
    for field in fields:
        offset = pair(field.get("offset", 0))
        place = (base[0] + offset[0], base[1] + offset[1])
        if "name" in field:
            yield field["name"], field, place
        else:
            yield from flat(field["fields"], place)


def bits(fields: list[dict[str, Any]]) -> dict[str, tuple[int, int]]:
    """The named bits of a word: position and width, without what is reserved."""
    found: dict[str, tuple[int, int]] = {}
    for field in fields:
        if "bit" in field:
            found[field["name"]] = (field["bit"], field["bits"])
        elif "fields" in field:
            found.update(bits(field["fields"]))
    return {name: place for name, place in found.items() if not name.startswith("Reserved")}


@pytest.mark.parametrize("name", [name for name in structures() if name != "LUID"])
def test_a_structure_is_as_the_headers_have_it(name: str) -> None:
    struct, fact = structures()[name], STRUCTS[name]
    assert tuple(measure(struct, abi)[0] for abi in ABIS) == pair(fact["size"])
    assert tuple(measure(struct, abi)[1] for abi in ABIS) == pair(fact["align"])
    expected = {name: (place, pair(field["size"])) for name, field, place in flat(fact["fields"])}
    layouts = [lay_out(struct, abi) for abi in ABIS]
    described = {
        slot.field.name: tuple(
            zip(
                *[(layout.slot(slot.field.name).offset, layout.slot(slot.field.name).size) for layout in layouts],
                strict=True,
            )
        )
        for slot in layouts[0].slots
    }
    assert described == expected


def test_a_luid_is_eight_bytes() -> None:
    assert FACTS["external"]["LUID"] == [8, 8]
    assert [measure(structures()["LUID"], abi) for abi in ABIS] == [(8, 4), (8, 4)]


@pytest.mark.parametrize("name", [name for name in structures() if name != "LUID"])
def test_every_flag_word_has_the_header_s_bits(name: str) -> None:
    for field in structures()[name].fields():
        if isinstance(field.type, Flags):
            fact = next(fact for other, fact, _ in flat(STRUCTS[name]["fields"]) if other == field.name)
            expected = bits(fact["fields"] if "fields" in fact else STRUCTS[fact["type"]]["fields"])
            assert {bit.name: (bit.position, bit.width) for bit in field.type.bits} == expected


def test_enumerations_have_the_header_s_values() -> None:
    enums = {
        field.type.name: field.type
        for struct in structures().values()
        for field in struct.fields()
        if isinstance(field.type, Enum)
    }
    assert enums
    for name, enum in enums.items():
        assert dict(enum.members) == FACTS["enums"][name]


def test_the_headers_know_every_function_and_what_it_takes() -> None:
    functions = {function["name"]: function for function in FACTS["functions"]}
    for call in CALLS.values():
        (parameter,) = functions[call.name]["params"]
        assert parameter["type"].removeprefix("const ") == f"{call.argument.name} *"
        assert functions[call.name]["returns"] == "NTSTATUS"


def test_the_descriptions_do_not_contradict_themselves() -> None:
    assert check_all(CALLS.values()) == []


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_statuses_have_names_and_facts_have_sources(call: Call) -> None:
    assert call.sources
    assert [status(name).name for name in call.statuses] == list(call.statuses)


def test_every_call_has_one_family() -> None:
    assert sum(len(calls) for calls in FAMILIES.values()) == len(CALLS)
