"""The value form: encoding to memory and decoding, in each ABI."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.calls.every_form import FORMS
from tests.strategies import arguments, examples
from tracekmt.calls import CALLS
from tracekmt.codec import Unreadable, decode, encode, iter_values, to_json
from tracekmt.codec.memory import Arena, Recorded
from tracekmt.errors import UsageError
from tracekmt.spec.types import ABIS, Abi, CallSpec

CREATE = CALLS["D3DKMTCreateAllocation2"]


def there_and_back(spec: CallSpec, abi: Abi, value: Any, kind_of: Any = None) -> Any:
    arena = Arena(abi, 1)
    return decode(spec, abi, arena, encode(spec, abi, arena, value), None, kind_of)


def contains(whole: Any, part: Any) -> bool:
    """Return True if `part` is `whole` without its lengths."""
    if isinstance(part, dict):
        return all(key in whole and contains(whole[key], value) for key, value in part.items())
    if isinstance(part, list):
        return len(whole) == len(part) and all(map(contains, whole, part))
    return bool(whole == part)


def created(value: dict[str, Any], abi: Abi = "x64") -> Any:
    return there_and_back(CREATE, abi, value)


@pytest.mark.parametrize("name", sorted(FORMS))
@settings(max_examples=examples(8), deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_values_to_bytes_to_values_is_the_identity(name: str, data: st.DataObject) -> None:
    spec, abi = FORMS[name], data.draw(st.sampled_from(ABIS))
    drawn = data.draw(arguments(spec, abi))
    first = there_and_back(spec, abi, drawn.values, drawn.kind_of)
    assert contains(first, drawn.values)
    assert there_and_back(spec, abi, first, drawn.kind_of) == first
    text = json.loads(json.dumps(to_json(spec.argument, first)))
    assert there_and_back(spec, abi, text, drawn.kind_of) == first


def test_the_json_form() -> None:
    value = created(
        {
            "hDevice": 0x40000040,
            "Flags": ["CreateResource", "0x80000000"],
            "pPrivateDriverData": b"\x00\xff",
            "hPrivateRuntimeResourceHandle": 0xABC,
            "pAllocationInfo2": [{"pSystemMem": 0x1000, "VidPnSourceId": 3, "Unused": 5}],
        }
    )
    form = to_json(CREATE.argument, value)
    assert form["hDevice"] == "0x40000040"
    assert form["hResource"] == "0x0"
    assert form["pPrivateRuntimeData"] is None
    assert form["pPrivateDriverData"] == "00ff"
    assert form["PrivateDriverDataSize"] == 2
    assert form["NumAllocations"] == 1
    assert form["Flags"] == ["CreateResource", "0x80000000"]
    assert form["hPrivateRuntimeResourceHandle"] == "0xabc"
    (element,) = form["pAllocationInfo2"]
    assert element["pSystemMem"] == "0x1000"
    assert element["GpuVirtualAddress"] == "0x0"
    assert element["Unused"] == "5"
    assert element["Reserved"] == ["0"] * 5
    assert "hSection" not in element
    assert "Priority" not in element
    assert "pStandardAllocation" not in form
    assert "pAllocationInfo" not in form


def test_the_form_follows_the_declared_type_not_the_abi(abi: Abi) -> None:
    value = created(
        {"Flags": ["StandardAllocation"], "pStandardAllocation": {"Type": 1, "ExistingHeapData": {"Size": 4096}}}, abi
    )
    form = to_json(CREATE.argument, value)["pStandardAllocation"]
    assert form == {
        "Type": "D3DKMT_STANDARDALLOCATIONTYPE_EXISTINGHEAP",
        "ExistingHeapData": {"Size": "4096"},
        "Flags": [],
    }


def test_arms_follow_flags_of_the_outer_structure_too() -> None:
    value = created(
        {
            "Flags": ["ExistingSection"],
            "pAllocationInfo2": [{"hSection": 0x88, "Flags": ["OverridePriority"], "Priority": 7}],
        }
    )
    (element,) = value["pAllocationInfo2"]
    assert (element["hSection"], element["Priority"]) == (0x88, 7)
    assert "pSystemMem" not in element


@pytest.mark.parametrize(
    "flags",
    [
        0x3,
        ["CreateResource", "CreateShared"],
        {"CreateResource": 1, "CreateShared": 1, "ReadOnly": 0},
        "CreateResource|CreateShared",
        "0x3",
    ],
)
def test_a_flag_word_has_several_input_forms(flags: Any) -> None:
    assert int(created({"Flags": flags})["Flags"]) == 3


@pytest.mark.parametrize("number", [64, "64", "0x40"])
def test_an_integer_may_be_text(number: Any) -> None:
    assert created({"hDevice": number})["hDevice"] == 64


def test_a_missing_length_is_inferred_and_an_explicit_one_wins() -> None:
    assert created({"pAllocationInfo2": [{}, {}]})["NumAllocations"] == 2
    value = created({"pAllocationInfo2": [{"VidPnSourceId": 4}], "NumAllocations": 3})
    assert [element["VidPnSourceId"] for element in value["pAllocationInfo2"]] == [4, 0, 0]
    assert created({"pPrivateDriverData": b"ab", "PrivateDriverDataSize": 4})["pPrivateDriverData"] == b"ab\0\0"
    value = created({"NumAllocations": 5})
    assert (value["pAllocationInfo2"], value["NumAllocations"]) == (None, 5)
    assert created({"pPrivateDriverData": {"capacity": 6}})["pPrivateDriverData"] == bytes(6)


def test_an_absurd_count_costs_nothing() -> None:
    value = created({"pAllocationInfo2": [{}], "NumAllocations": 0xFFFFFFFF})
    assert value["NumAllocations"] == 0xFFFFFFFF
    assert isinstance(value["pAllocationInfo2"][-1], Unreadable)
    assert len(value["pAllocationInfo2"]) < 20000


WRONG = [
    ({"pAllocationInfo": []}, "pAllocationInfo: is not in effect; give pAllocationInfo2 instead"),
    ({"pStandardAllocation": {}}, "pStandardAllocation: is not in effect; give pPrivateDriverData instead"),
    ({"Flags": ["StandardAllocation"], "pPrivateDriverData": b""}, "give pStandardAllocation instead"),
    (
        {"pAllocationInfo2": [{"hSection": 1, "pSystemMem": 1}]},
        "pAllocationInfo2[0].hSection: is not in effect; give pSystemMem",
    ),
    ({"hDevise": 1}, "hDevise: D3DKMT_CREATEALLOCATION has no such field"),
    ({"Flags": ["CreateRessource"]}, "Flags: D3DKMT_CREATEALLOCATIONFLAGS has no bit 'CreateRessource'"),
    ({"hDevice": 1 << 32}, "hDevice: 4294967296 does not fit into 32 bits"),
    ({"hDevice": "many"}, "hDevice: invalid value: 'many' (expected a number)"),
    ({"pPrivateRuntimeData": "xyz"}, "pPrivateRuntimeData: invalid value: 'xyz' (expected bytes or hex digits)"),
    ({"pAllocationInfo2": 7}, "pAllocationInfo2: invalid value: 7 (expected a list)"),
    (
        {"pAllocationInfo2": [7]},
        "pAllocationInfo2[0]: invalid value: 7 (expected the fields of D3DDDI_ALLOCATIONINFO2)",
    ),
    (
        {"pAllocationInfo2": [{"Reserved": [0] * 6}]},
        "pAllocationInfo2[0].Reserved: invalid value: [0, 0, 0, 0, 0, 0] (expected a list of at most 5)",
    ),
    (
        {"Flags": ["StandardAllocation"], "pStandardAllocation": {"Type": "HEAP"}},
        "pStandardAllocation.Type: D3DKMT_STANDARDALLOCATIONTYPE has no member 'HEAP'",
    ),
    ("argument", "invalid value: 'argument' (expected the fields of D3DKMT_CREATEALLOCATION)"),
]


@pytest.mark.parametrize(("value", "message"), WRONG, ids=[message for _, message in WRONG])
def test_an_error_names_the_field(value: Any, message: str) -> None:
    with pytest.raises(UsageError) as error:
        created(value)
    assert message in str(error.value)
    assert str(error.value).startswith("D3DKMTCreateAllocation2: ")


def test_null_and_unreadable_arguments() -> None:
    assert there_and_back(CREATE, "x64", None) is None
    assert there_and_back(CREATE, "x64", {"unreadable": "0x10"}) == Unreadable(0x10)
    assert to_json(CREATE.argument, Unreadable(0x10)) == {"unreadable": "0x10"}


def test_unreadable_memory_survives_decoding_and_encoding() -> None:
    arena = Arena("x64")
    address = encode(CREATE, "x64", arena, {"pPrivateRuntimeData": b"abcdef", "pAllocationInfo2": [{}, {}]})
    regions = arena.regions()
    start = {size: at for at, size, _ in regions}
    cut = [(at, size, data[:3] if size == 6 else data[:100] if size == 192 else data) for at, size, data in regions]
    value = decode(CREATE, "x64", Recorded(cut), address)
    assert isinstance(value, dict)
    assert value["pPrivateRuntimeData"] == Unreadable(start[6] + 3 - 3, b"abc")
    assert isinstance(value["pAllocationInfo2"][0], dict)
    assert value["pAllocationInfo2"][1] == Unreadable(start[192] + 96, bytes(4))
    form = to_json(CREATE.argument, value)
    assert form["pPrivateRuntimeData"] == {"unreadable": hex(start[6]), "read": "616263"}
    assert created(form)["pPrivateRuntimeData"] == Unreadable(start[6])


def test_at_return_arrays_have_the_smaller_count_and_buffers_their_capacity() -> None:
    before, after = Arena("x64"), Arena("x64")
    value = {"pAllocationInfo2": [{}, {}, {}], "pPrivateDriverData": b"abcdef"}
    address = encode(CREATE, "x64", before, value)
    encode(CREATE, "x64", after, {**value, "NumAllocations": 2, "PrivateDriverDataSize": 4})
    outputs = decode(CREATE, "x64", after, address, before)
    assert isinstance(outputs, dict)
    assert len(outputs["pAllocationInfo2"]) == 2
    assert outputs["pPrivateDriverData"] == b"abcdef"
    inverse = decode(CREATE, "x64", before, address, after)
    assert isinstance(inverse, dict)
    assert len(inverse["pAllocationInfo2"]) == 2


def test_field_values_have_paths_and_patterns() -> None:
    value = created({"pAllocationInfo2": [{}, {}]})
    fields = {field_value.path: field_value for field_value in iter_values(CREATE.argument, value)}
    assert fields["pAllocationInfo2[1].hAllocation"].pattern == "pAllocationInfo2[].hAllocation"
    fields["hDevice"].values[fields["hDevice"].key] = 9
    assert value["hDevice"] == 9
