"""The value form, by rows of the reference: the Python value, the JSON value, and the accepted inputs."""

from __future__ import annotations

import enum
import json
import math
from typing import Any

import pytest

from tracekmt.calls import CALLS
from tracekmt.calls.kinds import LUID, OBJECT_ATTRIBUTES, nt_handle
from tracekmt.codec import Unreadable, decode, encode, to_json
from tracekmt.codec.memory import Arena
from tracekmt.errors import UsageError
from tracekmt.spec import types as t
from tracekmt.spec.checks import check
from tracekmt.spec.dsl import (
    BOOLEAN,
    BYTE,
    DWORD,
    LARGE_INTEGER,
    LONG,
    SIZE_T,
    UINT,
    UINT64,
    ULONG_PTR,
    USHORT,
    flags,
    group,
    in_,
    out,
    parameters,
    structure,
)
from tracekmt.spec.dsl import enum as enumeration

OBJECT = t.Kind("object")
HANDLE = nt_handle(OBJECT)
POINT = structure("POINT", in_("x", LONG), in_("y", LONG))
COLOR = enumeration("COLOR", RED=1, GREEN=2, FAR=0xFFFFFFFF)
NARROW = flags("NARROW", "A", "B", t.Bit("D", 3))
WIDE = flags("WIDE", t.Bit("Low", 0, 4), t.Bit("On", 4), t.Bit("Reserved", 5, 27))


def call_of(*members: t.Field | t.Union) -> t.CallSpec:
    spec = t.CallSpec("F", structure("S", *members))
    assert check(spec) == []
    return spec


def through(spec: t.CallSpec, value: Any, abi: t.Abi = "x64", kind_of: Any = None) -> Any:
    arena = Arena(abi)
    return decode(spec, abi, arena, encode(spec, abi, arena, value), None, kind_of)


def json_of(spec: t.CallSpec, value: Any) -> Any:
    text = json.dumps(to_json(spec.argument, value))
    assert through(spec, json.loads(text)) == value, "the JSON form is an input form"
    return json.loads(text)


# A field's type, an input value, its Python form, its JSON form.
ROWS: list[tuple[t.Type, Any, Any, Any]] = [
    (POINT, {"x": 1}, {"x": 1, "y": 0}, {"x": 1, "y": 0}),
    (t.Pointer(POINT), {"y": -2}, {"x": 0, "y": -2}, {"x": 0, "y": -2}),
    (t.Pointer(UINT), 7, 7, 7),
    (t.Pointer(UINT), None, None, None),
    (t.Pointer(t.Pointer(UINT)), 7, 7, 7),
    (BYTE, 255, 255, 255),
    (USHORT, "0xffff", 0xFFFF, 0xFFFF),
    (LONG, -1, -1, -1),
    (BOOLEAN, True, 1, 1),
    (DWORD, "123", 123, 123),
    (UINT64, 1 << 63, 1 << 63, str(1 << 63)),
    (SIZE_T, 5, 5, "5"),
    (ULONG_PTR, "0x10", 16, "16"),
    (LARGE_INTEGER, -1, -1, "-1"),
    (HANDLE, 0, 0, "0x0"),
    (HANDLE, 0xABCDEF, 0xABCDEF, "0xabcdef"),
    (t.Address("void *"), 0x1000, 0x1000, "0x1000"),
    (t.Address("void *"), 0, None, None),
    (NARROW, ["A", "D"], 9, ["A", "D"]),
    (NARROW, 0x8000000A, 0x8000000A, ["B", "D", "0x80000000"]),
    (NARROW, {"A": 1, "B": 0}, 1, ["A"]),
    (NARROW, "A | B", 3, ["A", "B"]),
    (flags("NOTHING"), 5, 5, ["0x5"]),
    (flags("LONG_WORD", "Z", size=8), 1 << 63 | 1, 1 << 63 | 1, ["Z", "0x8000000000000000"]),
    (WIDE, {"Low": 9, "On": 1}, {"Low": 9, "On": 1, "Reserved": 0}, {"Low": 9, "On": 1, "Reserved": 0}),
    (WIDE, 0x25, {"Low": 5, "On": 0, "Reserved": 1}, {"Low": 5, "On": 0, "Reserved": 1}),
    (COLOR, "GREEN", 2, "GREEN"),
    (COLOR, 0xFFFFFFFF, 0xFFFFFFFF, "FAR"),
    (COLOR, 77, 77, 77),
    (LUID, {"LowPart": 1}, {"LowPart": 1, "HighPart": 0}, {"LowPart": 1, "HighPart": 0}),
    (t.WCharArray(4), "ab", "ab", "ab"),
    (t.WCharArray(2), "\ud800x", "\ud800x", "\ud800x"),
    (t.WString("PCWSTR"), "", "", ""),
    (t.WString("PCWSTR"), "\\\\?\\\udc00", "\\\\?\\\udc00", "\\\\?\\\udc00"),
    (t.CountedString("UNICODE_STRING"), "a\0b", "a\0b", "a\0b"),
    (t.Pointer(t.CountedString("UNICODE_STRING")), "name", "name", "name"),
    (t.ByteArray("BYTE", 3), b"\1", b"\1\0\0", "010000"),
    (t.Array(UINT, 3), [1], [1, 0, 0], [1, 0, 0]),
    (t.Array(UINT64, 2), [1, 2], [1, 2], ["1", "2"]),
    (t.Float("FLOAT", 4), 0.5, 0.5, 0.5),
    (t.Float("double", 8), "-inf", -math.inf, "-inf"),
]


@pytest.mark.parametrize(("type_", "value", "python", "form"), ROWS, ids=lambda value: str(value)[:40])
def test_a_row_of_the_table(type_: t.Type, value: Any, python: Any, form: Any) -> None:
    spec = call_of(in_("v", type_))
    decoded = through(spec, {"v": value})
    assert decoded == {"v": python}
    assert through(spec, {"v": value}, "x86") == decoded
    assert through(spec, {"v": value}, "wsl") == decoded
    assert json_of(spec, decoded) == {"v": form}


def test_nan_is_a_string_in_json() -> None:
    spec = call_of(in_("v", t.Float("FLOAT", 4)))
    value = through(spec, {"v": math.nan})
    assert math.isnan(value["v"])
    assert to_json(spec.argument, value) == {"v": "nan"}


def test_python_gets_enumerations_and_flags() -> None:
    value = through(call_of(in_("c", COLOR), in_("n", NARROW), in_("r", flags("NOTHING"))), {"c": 1, "n": 9})
    assert isinstance(value["c"], enum.IntEnum)
    assert value["c"].name == "RED"
    assert isinstance(value["n"], enum.IntFlag)
    assert isinstance(value["r"], enum.IntFlag)
    assert not isinstance(through(call_of(in_("c", COLOR)), {"c": 9})["c"], enum.IntEnum)


def test_object_attributes() -> None:
    spec = call_of(in_("p", t.Pointer(OBJECT_ATTRIBUTES)))
    value = through(spec, {"p": {"ObjectName": "\\Shared\\thing", "Attributes": 0x40}})
    assert value["p"] == {
        "RootDirectory": 0,
        "ObjectName": "\\Shared\\thing",
        "Attributes": 0x40,
        "SecurityDescriptor": None,
        "SecurityQualityOfService": None,
    }
    assert json_of(spec, value)["p"]["RootDirectory"] == "0x0"
    odd = through(spec, {"p": {"Length": 5}})
    assert odd["p"]["Length"] == 5


ARRAYS = call_of(
    in_("a", t.Pointer(UINT, "n")),
    in_("b", t.Pointer(POINT, "n")),
    in_("n", UINT),
    in_("d", t.Bytes("s")),
    in_("s", UINT),
)


def test_lengths() -> None:
    assert through(ARRAYS, {"a": [1, 2], "b": [{}, {}], "d": "0aff"})["n"] == 2
    assert through(ARRAYS, {"d": b"ab"})["s"] == 2
    assert through(ARRAYS, {"d": b"ab", "s": 4})["d"] == b"ab\0\0"
    assert through(ARRAYS, {"a": None, "n": 9}) == {"a": None, "b": None, "n": 9, "d": None, "s": 0}
    assert through(ARRAYS, {"d": {"capacity": 3}})["d"] == bytes(3)
    assert through(ARRAYS, {"d": b""})["d"] == b""
    with pytest.raises(UsageError, match=r"^F: b: has length 1, but a has length 2$"):
        through(ARRAYS, {"a": [1, 2], "b": [{}]})


def test_a_large_buffer_may_be_only_its_length() -> None:
    assert through(ARRAYS, {"d": b"x", "s": 5 << 20})["d"] == b"x".ljust(5 << 20, b"\0")


def test_lengths_in_other_structures() -> None:
    inner = structure("IN", in_("n", UINT))
    spec = call_of(in_("p", t.Pointer(UINT, t.Length("in_.n", add=1))), in_("in_", inner))
    assert through(spec, {"p": [1, 2, 3]}) == {"p": [1, 2, 3], "in_": {"n": 2}}
    assert through(spec, {"p": [1], "in_": {"n": 3}})["p"] == [1, 0, 0, 0]
    row = structure("ROW", in_("p", t.Pointer(UINT, t.Length("n", parent=1))))
    spec = call_of(in_("rows", t.Pointer(row, "m")), in_("m", UINT), in_("n", UINT))
    assert through(spec, {"rows": [{"p": [1, 2]}, {"p": [3, 4]}], "n": 2})["rows"] == [{"p": [1, 2]}, {"p": [3, 4]}]
    spec = call_of(out("t", t.WString("WCHAR *", t.Length("c", deref=True))), in_("c", t.Pointer(UINT)))
    assert through(spec, {"t": "abc"}) == {"t": "abc", "c": 3}
    assert through(spec, {"t": {"capacity": 8}}) == {"t": "", "c": 8}


def test_a_fixed_array_has_as_many_elements_as_its_count() -> None:
    spec = call_of(in_("n", UINT), in_("a", t.Array(UINT, 4, used="n")))
    assert through(spec, {"a": [5, 6]}) == {"n": 2, "a": [5, 6]}
    assert through(spec, {"n": 9, "a": [5]}) == {"n": 9, "a": [5, 0, 0, 0]}
    assert through(spec, {"n": 1, "a": [5, 6]})["a"] == [5]


UNIONS = call_of(
    in_("t", UINT),
    t.Union((in_("number", UINT, t.Condition("t", 1)), in_("name", t.WCharArray(4), t.Condition("t", any_of=(2, 3))))),
    in_("u", t.Union((in_("x", UINT, t.Condition("t", 1)), in_("y", POINT)), name="U")),
)


def test_unions() -> None:
    assert through(UNIONS, {"t": 1, "number": 5, "u": {"x": 6}}) == {"t": 1, "number": 5, "u": {"x": 6}}
    assert through(UNIONS, {"t": 3, "name": "ab"}) == {"t": 3, "name": "ab", "u": {"y": {"x": 0, "y": 0}}}
    assert through(UNIONS, {"t": 9}) == {"t": 9, "u": {"y": {"x": 0, "y": 0}}}
    kept = through(UNIONS, {"t": 9, "union@4": {"raw": b"\1\2"}})
    assert kept["union@4"] == {"raw": b"\1\2" + bytes(6)}
    assert json_of(UNIONS, kept)["union@4"] == {"raw": "0102000000000000"}


def test_unnamed_structures_in_unions() -> None:
    spec = call_of(
        in_("t", UINT), t.Union((in_("a", UINT64, t.Condition("t", 1)), group(in_("b", UINT), in_("c", UINT))))
    )
    assert through(spec, {"b": 1, "c": 2}) == {"t": 0, "b": 1, "c": 2}
    assert through(spec, {"t": 1, "a": 1 << 32 | 7}) == {"t": 1, "a": 1 << 32 | 7}
    with pytest.raises(UsageError, match=r"^F: a: is not in effect; give b, c instead$"):
        through(spec, {"a": 1})


def test_the_kind_of_an_object_decides_a_union() -> None:
    spec = call_of(
        in_("h", t.Integer("HANDLE", 4, kind=OBJECT)),
        t.Union(
            (
                in_("list", t.Pointer(UINT64, "n"), t.Condition("h", kind=OBJECT)),
                in_("one", UINT64, t.Condition("h", kind=t.Kind("x"))),
            )
        ),
        in_("n", UINT),
    )
    inputs = {"h": 1, "list": [4, 5]}
    assert through(spec, inputs, kind_of=lambda handle: OBJECT)["list"] == [4, 5]
    assert through(spec, {"h": 1, "one": 6}, kind_of=lambda handle: t.Kind("x"))["one"] == 6
    assert through(spec, {"h": 1, "one": 6})["union@8"] == {"raw": (6).to_bytes(8, "little")}
    assert "union@8" in through(spec, {"h": 1, "one": 6}, "x86"), "the name is x64's in both ABIs"
    with pytest.raises(UsageError, match=r"give only one of them"):
        through(spec, {"list": [1], "one": 1})


PAYLOAD = call_of(
    in_("t", UINT),
    in_("p", t.Payload("s", "t", ((1, "POINT", POINT), (2, "NUMBER", UINT)))),
    in_("s", UINT),
)


def test_payloads() -> None:
    assert through(PAYLOAD, {"t": 1, "p": {"x": 1, "y": 2}}) == {"t": 1, "p": {"x": 1, "y": 2}, "s": 8}
    assert through(PAYLOAD, {"t": 2, "p": 7}) == {"t": 2, "p": 7, "s": 4}
    assert through(PAYLOAD, {"t": 9, "p": "0a"}) == {"t": 9, "p": b"\n", "s": 1}
    assert through(PAYLOAD, {"t": 1, "p": {"x": 1, "y": 2}, "s": 4})["p"] == {"x": 1}
    assert through(PAYLOAD, {"t": 1, "p": {"x": 1}, "s": 10})["p"] == {"x": 1, "y": 0, "rest": b"\0\0"}
    assert through(PAYLOAD, {"t": 1, "p": {"capacity": 8}})["p"] == {"x": 0, "y": 0}
    longer = through(PAYLOAD, {"t": 1, "p": {"x": 1, "rest": b"abc"}})
    assert (longer["s"], json_of(PAYLOAD, longer)["p"]["rest"]) == (11, "616263")
    with pytest.raises(UsageError, match=r"^F: p: invalid value: .* \(expected bytes, as t selects no structure\)$"):
        through(PAYLOAD, {"t": 9, "p": {"x": 1}})


def test_a_payload_s_value_in_place() -> None:
    spec = CALLS["D3DKMTQueryAdapterInfo"]
    inputs = {"Type": "KMTQAITYPE_QUERYREGISTRY", "pPrivateDriverData": {"ValueType": 1, "OutputString": "C:\\Windows"}}
    value = through(spec, inputs)
    assert value["PrivateDriverDataSize"] == 544 + 2 * len("C:\\Windows")
    assert value["pPrivateDriverData"]["OutputString"] == "C:\\Windows"
    number = through(spec, {"Type": 48, "pPrivateDriverData": {"ValueType": 4, "OutputDword": 9}})
    assert (number["PrivateDriverDataSize"], number["pPrivateDriverData"]["OutputDword"]) == (552, 9)


def test_records_of_their_own_length() -> None:
    record = structure("RECORD", in_("size", UINT), in_("a", UINT), in_("b", UINT))
    spec = call_of(in_("p", t.VariableRecords(record, "room", "n", "size")), in_("room", UINT), in_("n", UINT))
    value = through(spec, {"p": [{"size": 8, "a": 1}, {"a": 2, "b": 3}]})
    assert value == {"p": [{"size": 8, "a": 1}, {"size": 12, "a": 2, "b": 3}], "room": 20, "n": 2}
    assert json_of(spec, value)["p"][0] == {"size": 8, "a": 1}
    assert through(spec, {"p": {"capacity": 100}, "n": 3})["p"] == [], "records without a length end the list"


PLAIN = t.CallSpec(
    "F",
    parameters(
        "F",
        in_("n", UINT),
        in_("p", t.Pointer(UINT, "n")),
        in_("b", BOOLEAN),
        out("q", t.Pointer(HANDLE)),
        in_("c", COLOR),
    ),
)


@pytest.mark.parametrize("abi", ["x64", "x86"])
def test_plain_parameters(abi: t.Abi) -> None:
    arena = Arena(abi)
    words = encode(PLAIN, abi, arena, {"p": [1, 2], "b": 1, "q": 5, "c": "RED"})
    assert len(words) == 5
    before = decode(PLAIN, abi, arena, words)
    assert before == {"n": 2, "p": [1, 2], "b": 1, "q": 5, "c": 1}
    # The upper bits of a parameter's register are undefined.
    dirty = tuple(word | 0xDEAD << 32 if index in (0, 2) else word for index, word in enumerate(words))
    assert decode(PLAIN, abi, arena, dirty if abi == "x64" else words) == before
    after = decode(PLAIN, abi, arena, words, arena)
    assert after == {"p": [1, 2], "q": 5}, "at return only the memory behind pointers"


WRONG: list[tuple[t.Type, Any, str]] = [
    (UINT, "12 monkeys", "invalid value: '12 monkeys' (expected a number)"),
    (UINT, "1_0", "invalid value: '1_0' (expected a number)"),
    (UINT, 1.5, "invalid value: 1.5 (expected a number)"),
    (UINT, -1, "-1 does not fit into 32 bits (x64)"),
    (UINT, [1], "invalid value: [1] (expected a number)"),
    (UINT, "9" * 6000, "invalid value: '999999999999...9999999999999' (expected a number)"),
    (UINT, 10**6000, "int does not fit into 32 bits (x64)"),
    (POINT, {"rest": "00"}, "v.rest: POINT has no such field"),
    (t.Array(UINT, 2), range(1 << 30), "has 1073741824 elements, but a list may have at most 1048576"),
    (t.Address("HANDLE"), Unreadable(-5), "-5 does not fit into 64 bits (x64)"),
    (NARROW, ["C"], "NARROW has no bit 'C'"),
    (NARROW, {"C": 0}, "NARROW has no bit 'C'"),
    (NARROW, {"A": 2}, "v.A: 2 does not fit into its bits"),
    (WIDE, {"Low": 16}, "v.Low: 16 does not fit into its bits"),
    (COLOR, "BLUE", "COLOR has no member 'BLUE'"),
    (t.ByteArray("BYTE", 2), b"abc", "has 3 bytes, but the field has room for 2"),
    (t.ByteArray("BYTE", 2), [1, 2], "invalid value: [1, 2] (expected bytes or hex digits)"),
    (t.ByteArray("BYTE", 2), "abc", "invalid value: 'abc' (expected bytes or hex digits)"),
    (t.WCharArray(2), "abc", "has 6 bytes, but the field has room for 4"),
    (t.WCharArray(2), b"ab", "invalid value: b'ab' (expected a string)"),
    (t.WString("PCWSTR"), 5, "invalid value: 5 (expected a string)"),
    (t.Array(UINT, 2), "12345", "invalid value: '12345' (expected a list)"),
    (t.Array(UINT, 2), [1, 2, 3], "invalid value: [1, 2, 3] (expected a list of at most 2)"),
    (POINT, 5, "invalid value: 5 (expected the fields of POINT)"),
    (POINT, {"z": 1}, "v.z: POINT has no such field"),
    (t.Float("FLOAT", 4), "much", "invalid value: 'much' (expected a number)"),
    (t.Float("FLOAT", 4), 1e300, "1e+300 does not fit into 32 bits"),
    (t.Union((in_("x", UINT),), name="U"), {"z": 1}, "v.z: U has no such arm"),
    (t.Union((in_("x", UINT),), name="U"), {}, "invalid value: {} (expected one arm of U: x)"),
]


@pytest.mark.parametrize(("type_", "value", "message"), WRONG, ids=[message for *_, message in WRONG])
def test_an_error_names_the_field(type_: t.Type, value: Any, message: str) -> None:
    with pytest.raises(UsageError) as error:
        through(call_of(in_("v", type_)), {"v": value})
    assert str(error.value).startswith("F: v")
    assert str(error.value).endswith(message)


CHOICE = call_of(
    in_("Which", UINT),
    t.Union((in_("a", UINT, t.Condition("Which", equals=1)), in_("b", UINT, t.Condition("Which", equals=2)))),
    in_(
        "c",
        t.Union(
            (in_("a", UINT, t.Condition("Which", equals=1)), in_("b", UINT, t.Condition("Which", equals=2))), name="U"
        ),
    ),
)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"Which": 1, "b": 5}, "F: b: is not in effect; give a instead"),
        ({"Which": 1, "a": 4, "b": 5}, "F: b: is not in effect; give a instead"),
        ({"Which": 1, "a": 4, "union@4": {"raw": "00"}}, "F: a: is a second arm of one union"),
        ({"Which": 1, "union@4": {"raw": "00"}}, "F: union@4: is not in effect; give a instead"),
        ({"Which": 1, "c": {"a": 1, "b": 2}}, "F: c: invalid value: "),
        ({"Which": 1, "c": {"raw": "00"}}, "F: c.raw: is not in effect; give a instead"),
    ],
)
def test_the_right_arm_is_named(value: Any, message: str) -> None:
    with pytest.raises(UsageError) as error:
        through(CHOICE, value)
    assert str(error.value).startswith(message)


def test_a_union_within_an_arm() -> None:
    """In an open union any arm is encoded at its offset, and the decoded value is the union's bytes."""
    inner = t.Union(
        (in_("x", UINT, t.Condition("n", equals=1)), in_("y", t.ByteArray("BYTE", 8), t.Condition("n", equals=2)))
    )
    spec = call_of(
        in_("k", UINT), t.Union((in_("s", t.ByteArray("BYTE", 16)), group(in_("n", UINT), inner)), open=True)
    )

    def union_bytes(arm: Any) -> bytes:
        return bytes(through(spec, {"k": 1, **arm})["union@4"]["raw"])

    assert union_bytes({}) == bytes(16)
    assert union_bytes({"n": 1, "x": 7}) == b"\1\0\0\0\7" + bytes(11)
    assert union_bytes({"y": "0102030405060708"}) == bytes(4) + bytes(range(1, 9)) + bytes(4)
    assert union_bytes({"s": b"abc"}) == b"abc" + bytes(13)
    for wrong in ({"x": 1, "y": ""}, {"s": "", "x": 1}):
        with pytest.raises(UsageError, match="is a second arm of one union"):
            union_bytes(wrong)
    decidable = group(in_("n", UINT), inner, when=t.Condition("k", equals=1))
    problems = check(t.CallSpec("F", structure("S", in_("k", UINT), t.Union((decidable, in_("z", UINT))))))
    assert any("an arm contains an unnamed union" in problem for problem in problems)


def test_a_bit_may_select_the_name_of_others() -> None:
    spec = CALLS["D3DKMTGetDeviceState"]

    def code(word: Any) -> Any:
        value = through(
            spec, {"StateType": "D3DKMT_DEVICESTATE_PAGE_FAULT", "PageFaultState": {"FaultErrorCode": word}}
        )
        return value["PageFaultState"]["FaultErrorCode"]

    assert code(3) == {"IsDeviceSpecificCode": 1, "DeviceSpecificCode": 1}
    assert code(4) == {"IsDeviceSpecificCode": 0, "GeneralErrorCode": 2}
    for word in (
        {"IsDeviceSpecificCode": 1, "DeviceSpecificCode": 5},
        {"GeneralErrorCode": 7, "IsDeviceSpecificCode": 0},
    ):
        assert code(word) == word
    with pytest.raises(UsageError, match="GeneralErrorCode: is not in effect; give DeviceSpecificCode instead"):
        code({"IsDeviceSpecificCode": 1, "GeneralErrorCode": 5})
    with pytest.raises(UsageError, match="DeviceSpecificCode: is not in effect; give GeneralErrorCode instead"):
        code({"DeviceSpecificCode": 5})


def test_the_address_of_an_unreadable_argument_is_checked() -> None:
    for address in ("x", 1 << 70, -5):
        with pytest.raises(UsageError, match="F: its one parameter: "):
            encode(call_of(in_("v", UINT)), "x64", Arena("x64"), Unreadable(address))  # type: ignore[arg-type]


def test_a_length_behind_an_invalid_pointer() -> None:
    spec = call_of(in_("t", t.WString("PWCHAR", t.Length("n", deref=True))), in_("n", t.Pointer(UINT)))
    assert through(spec, {"t": "", "n": None})["t"] == ""
    assert through(spec, {"t": "", "n": Unreadable(16)})["n"] == Unreadable(16)


def test_a_truncated_array_stays_truncated() -> None:
    spec = call_of(in_("n", UINT), in_("p", t.Pointer(t.Pointer(POINT), "n")), in_("q", t.Pointer(POINT, "n")))
    point = {"x": 1, "y": 2}
    value = through(spec, {"n": 1_000_000, "p": [point, Unreadable(16)], "q": [point, Unreadable(32)]})
    assert [item for item in value["p"] if not isinstance(item, Unreadable)] == [point]
    assert [item for item in value["q"] if not isinstance(item, Unreadable)] == [point]
    assert (len(value["p"]), len(value["q"])) == (2, 2), "missing memory is one item"
    complete = through(spec, {"n": 2, "p": [point, Unreadable(16)]})
    assert complete["p"] == [point, Unreadable(16)], "an invalid pointer is an element like others"


def test_the_longest_strings() -> None:
    spec = call_of(in_("t", t.WString("PCWSTR")), in_("u", t.CountedString("UNICODE_STRING")))
    assert through(spec, {"t": "a" * 32767, "u": "b" * 32767}) == {"t": "a" * 32767, "u": "b" * 32767}
    with pytest.raises(UsageError, match="does not fit into 16 bits"):
        through(spec, {"u": "b" * 32768})


def test_deeply_nested_values_are_refused() -> None:
    deep: Any = {}
    for _ in range(100_000):
        deep = {"x": deep}
    with pytest.raises(UsageError, match=r"has no such field|nested too deeply"):
        through(call_of(in_("v", POINT)), {"v": {"x": 1, "z": deep}})
    with pytest.raises(UsageError, match=r"invalid value: .* \(expected a number\)"):
        through(call_of(in_("v", POINT)), {"v": deep})


def test_unreadable_memory_survives_decoding_and_encoding() -> None:
    spec = call_of(in_("p", t.Pointer(POINT)), in_("t", t.WString("PCWSTR")), in_("d", t.Bytes("s")), in_("s", UINT))
    value = through(spec, {name: {"unreadable": "0x10"} for name in ("p", "t", "d")} | {"s": 4})
    assert value == {"p": Unreadable(16), "t": Unreadable(16), "d": Unreadable(16), "s": 4}
    assert json_of(spec, value)["p"] == {"unreadable": "0x10"}


def test_a_luid_is_one_value() -> None:
    assert isinstance(LUID, t.Struct)
    assert LUID.kind is not None


def test_a_wchar_of_four_bytes() -> None:
    spec = call_of(
        in_("v", t.WCharArray(4)), in_("t", t.WString("PCWSTR")), in_("n", t.WString("WCHAR *", "c")), in_("c", UINT)
    )
    arena = Arena("wsl")
    words = encode(spec, "wsl", arena, {"v": "ab", "t": "\ud800", "n": "xyz"})
    assert decode(spec, "wsl", arena, words) == {"v": "ab", "t": "\ud800", "n": "xyz", "c": 3}
    assert sorted(size for _, size, _ in arena.regions()) == [8, 12, 40]
    arena.write(words[0], b"\xff\xff\xff\xff")
    value = decode(spec, "wsl", arena, words)
    assert isinstance(value, dict)
    assert value["v"] == "\ufffdb", "a unit that is not a code point becomes U+FFFD"
