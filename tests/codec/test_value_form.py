"""The value form, row by row of the reference: what Python gets, what JSON holds, what is taken as input."""

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
    into,
    out,
    parameters,
    structure,
)
from tracekmt.spec.dsl import enum as enumeration
from tracekmt.spec.types import (
    Abi,
    Address,
    Array,
    Bit,
    Blob,
    Bytes,
    Call,
    Characters,
    Count,
    CountedString,
    Field,
    Float,
    Integer,
    Kind,
    Overlay,
    Payload,
    Pointer,
    Records,
    Struct,
    Text,
    Type,
    When,
)

OBJECT = Kind("object")
HANDLE = nt_handle(OBJECT)
POINT = structure("POINT", into("x", LONG), into("y", LONG))
COLOR = enumeration("COLOR", RED=1, GREEN=2, FAR=0xFFFFFFFF)
NARROW = flags("NARROW", "A", "B", Bit("D", 3))
WIDE = flags("WIDE", Bit("Low", 0, 4), Bit("On", 4), Bit("Reserved", 5, 27))


def call_of(*members: Field | Overlay) -> Call:
    call = Call("F", structure("S", *members))
    assert check(call) == []
    return call


def through(call: Call, value: Any, abi: Abi = "x64", kind_of: Any = None) -> Any:
    arena = Arena(abi)
    return decode(call, abi, arena, encode(call, abi, arena, value), None, kind_of)


def json_of(call: Call, value: Any) -> Any:
    text = json.dumps(to_json(call.argument, value))
    assert through(call, json.loads(text)) == value, "what JSON holds is taken as input"
    return json.loads(text)


# A field's type, a value given for it, what Python gets, what JSON holds.
ROWS: list[tuple[Type, Any, Any, Any]] = [
    (POINT, {"x": 1}, {"x": 1, "y": 0}, {"x": 1, "y": 0}),
    (Pointer(POINT), {"y": -2}, {"x": 0, "y": -2}, {"x": 0, "y": -2}),
    (Pointer(UINT), 7, 7, 7),
    (Pointer(UINT), None, None, None),
    (Pointer(Pointer(UINT)), 7, 7, 7),
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
    (Address("void *"), 0x1000, 0x1000, "0x1000"),
    (Address("void *"), 0, None, None),
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
    (Characters(4), "ab", "ab", "ab"),
    (Characters(2), "\ud800x", "\ud800x", "\ud800x"),
    (Text("PCWSTR"), "", "", ""),
    (Text("PCWSTR"), "\\\\?\\\udc00", "\\\\?\\\udc00", "\\\\?\\\udc00"),
    (CountedString("UNICODE_STRING"), "a\0b", "a\0b", "a\0b"),
    (Pointer(CountedString("UNICODE_STRING")), "name", "name", "name"),
    (Blob("BYTE", 3), b"\1", b"\1\0\0", "010000"),
    (Array(UINT, 3), [1], [1, 0, 0], [1, 0, 0]),
    (Array(UINT64, 2), [1, 2], [1, 2], ["1", "2"]),
    (Float("FLOAT", 4), 0.5, 0.5, 0.5),
    (Float("double", 8), "-inf", -math.inf, "-inf"),
]


@pytest.mark.parametrize(("type_", "given", "python", "form"), ROWS, ids=lambda value: str(value)[:40])
def test_a_row_of_the_table(type_: Type, given: Any, python: Any, form: Any) -> None:
    call = call_of(into("v", type_))
    value = through(call, {"v": given})
    assert value == {"v": python}
    assert through(call, {"v": given}, "x86") == value
    assert through(call, {"v": given}, "wsl") == value
    assert json_of(call, value) == {"v": form}


def test_nan_is_a_string_in_json() -> None:
    call = call_of(into("v", Float("FLOAT", 4)))
    value = through(call, {"v": math.nan})
    assert math.isnan(value["v"])
    assert to_json(call.argument, value) == {"v": "nan"}


def test_python_gets_enumerations_and_flags() -> None:
    value = through(call_of(into("c", COLOR), into("n", NARROW), into("r", flags("NOTHING"))), {"c": 1, "n": 9})
    assert isinstance(value["c"], enum.IntEnum)
    assert value["c"].name == "RED"
    assert isinstance(value["n"], enum.IntFlag)
    assert isinstance(value["r"], enum.IntFlag)
    assert not isinstance(through(call_of(into("c", COLOR)), {"c": 9})["c"], enum.IntEnum)


def test_object_attributes() -> None:
    call = call_of(into("p", Pointer(OBJECT_ATTRIBUTES)))
    value = through(call, {"p": {"ObjectName": "\\Shared\\thing", "Attributes": 0x40}})
    assert value["p"] == {
        "RootDirectory": 0,
        "ObjectName": "\\Shared\\thing",
        "Attributes": 0x40,
        "SecurityDescriptor": None,
        "SecurityQualityOfService": None,
    }
    assert json_of(call, value)["p"]["RootDirectory"] == "0x0"
    odd = through(call, {"p": {"Length": 5}})
    assert odd["p"]["Length"] == 5


ARRAYS = call_of(
    into("a", Pointer(UINT, "n")),
    into("b", Pointer(POINT, "n")),
    into("n", UINT),
    into("d", Bytes("s")),
    into("s", UINT),
)


def test_lengths() -> None:
    assert through(ARRAYS, {"a": [1, 2], "b": [{}, {}], "d": "0aff"})["n"] == 2
    assert through(ARRAYS, {"d": b"ab"})["s"] == 2
    assert through(ARRAYS, {"d": b"ab", "s": 4})["d"] == b"ab\0\0"
    assert through(ARRAYS, {"a": None, "n": 9}) == {"a": None, "b": None, "n": 9, "d": None, "s": 0}
    assert through(ARRAYS, {"d": {"capacity": 3}})["d"] == bytes(3)
    assert through(ARRAYS, {"d": b""})["d"] == b""
    with pytest.raises(UsageError, match=r"^F: b: has 1 elements where a has 2$"):
        through(ARRAYS, {"a": [1, 2], "b": [{}]})


def test_a_large_buffer_may_be_given_by_its_length() -> None:
    assert through(ARRAYS, {"d": b"x", "s": 5 << 20})["d"] == b"x".ljust(5 << 20, b"\0")


def test_lengths_further_away() -> None:
    inner = structure("IN", into("n", UINT))
    call = call_of(into("p", Pointer(UINT, Count("in_.n", plus=1))), into("in_", inner))
    assert through(call, {"p": [1, 2, 3]}) == {"p": [1, 2, 3], "in_": {"n": 2}}
    assert through(call, {"p": [1], "in_": {"n": 3}})["p"] == [1, 0, 0, 0]
    row = structure("ROW", into("p", Pointer(UINT, Count("n", up=1))))
    call = call_of(into("rows", Pointer(row, "m")), into("m", UINT), into("n", UINT))
    assert through(call, {"rows": [{"p": [1, 2]}, {"p": [3, 4]}], "n": 2})["rows"] == [{"p": [1, 2]}, {"p": [3, 4]}]
    call = call_of(out("t", Text("WCHAR *", Count("c", behind=True))), into("c", Pointer(UINT)))
    assert through(call, {"t": "abc"}) == {"t": "abc", "c": 3}
    assert through(call, {"t": {"capacity": 8}}) == {"t": "", "c": 8}


def test_a_fixed_array_shows_what_its_count_says() -> None:
    call = call_of(into("n", UINT), into("a", Array(UINT, 4, used="n")))
    assert through(call, {"a": [5, 6]}) == {"n": 2, "a": [5, 6]}
    assert through(call, {"n": 9, "a": [5]}) == {"n": 9, "a": [5, 0, 0, 0]}
    assert through(call, {"n": 1, "a": [5, 6]})["a"] == [5]


UNIONS = call_of(
    into("t", UINT),
    Overlay((into("number", UINT, When("t", 1)), into("name", Characters(4), When("t", one_of=(2, 3))))),
    into("u", Overlay((into("x", UINT, When("t", 1)), into("y", POINT)), name="U")),
)


def test_unions() -> None:
    assert through(UNIONS, {"t": 1, "number": 5, "u": {"x": 6}}) == {"t": 1, "number": 5, "u": {"x": 6}}
    assert through(UNIONS, {"t": 3, "name": "ab"}) == {"t": 3, "name": "ab", "u": {"y": {"x": 0, "y": 0}}}
    assert through(UNIONS, {"t": 9}) == {"t": 9, "u": {"y": {"x": 0, "y": 0}}}
    kept = through(UNIONS, {"t": 9, "union@4": {"raw": b"\1\2"}})
    assert kept["union@4"] == {"raw": b"\1\2" + bytes(6)}
    assert json_of(UNIONS, kept)["union@4"] == {"raw": "0102000000000000"}


def test_unnamed_structures_in_unions() -> None:
    call = call_of(into("t", UINT), Overlay((into("a", UINT64, When("t", 1)), group(into("b", UINT), into("c", UINT)))))
    assert through(call, {"b": 1, "c": 2}) == {"t": 0, "b": 1, "c": 2}
    assert through(call, {"t": 1, "a": 1 << 32 | 7}) == {"t": 1, "a": 1 << 32 | 7}
    with pytest.raises(UsageError, match=r"^F: a: is not in effect here; give b, c instead$"):
        through(call, {"a": 1})


def test_what_only_an_object_decides() -> None:
    call = call_of(
        into("h", Integer("HANDLE", 4, kind=OBJECT)),
        Overlay(
            (into("list", Pointer(UINT64, "n"), When("h", kind=OBJECT)), into("one", UINT64, When("h", kind=Kind("x"))))
        ),
        into("n", UINT),
    )
    given = {"h": 1, "list": [4, 5]}
    assert through(call, given, kind_of=lambda handle: OBJECT)["list"] == [4, 5]
    assert through(call, {"h": 1, "one": 6}, kind_of=lambda handle: Kind("x"))["one"] == 6
    assert through(call, {"h": 1, "one": 6})["union@8"] == {"raw": (6).to_bytes(8, "little")}
    assert "union@8" in through(call, {"h": 1, "one": 6}, "x86"), "the name is x64's in both ABIs"
    with pytest.raises(UsageError, match=r"give only one of them"):
        through(call, {"list": [1], "one": 1})


PAYLOAD = call_of(
    into("t", UINT),
    into("p", Payload("s", "t", ((1, "POINT", POINT), (2, "NUMBER", UINT)))),
    into("s", UINT),
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
    with pytest.raises(UsageError, match=r"^F: p: takes bytes: what t says has no described form$"):
        through(PAYLOAD, {"t": 9, "p": {"x": 1}})


def test_a_payload_s_value_in_place() -> None:
    call = CALLS["D3DKMTQueryAdapterInfo"]
    given = {"Type": "KMTQAITYPE_QUERYREGISTRY", "pPrivateDriverData": {"ValueType": 1, "OutputString": "C:\\Windows"}}
    value = through(call, given)
    assert value["PrivateDriverDataSize"] == 544 + 2 * len("C:\\Windows")
    assert value["pPrivateDriverData"]["OutputString"] == "C:\\Windows"
    number = through(call, {"Type": 48, "pPrivateDriverData": {"ValueType": 4, "OutputDword": 9}})
    assert (number["PrivateDriverDataSize"], number["pPrivateDriverData"]["OutputDword"]) == (552, 9)


def test_records_of_their_own_length() -> None:
    record = structure("RECORD", into("size", UINT), into("a", UINT), into("b", UINT))
    call = call_of(into("p", Records(record, "room", "n", "size")), into("room", UINT), into("n", UINT))
    value = through(call, {"p": [{"size": 8, "a": 1}, {"a": 2, "b": 3}]})
    assert value == {"p": [{"size": 8, "a": 1}, {"size": 12, "a": 2, "b": 3}], "room": 20, "n": 2}
    assert json_of(call, value)["p"][0] == {"size": 8, "a": 1}
    assert through(call, {"p": {"capacity": 100}, "n": 3})["p"] == [], "records without a length end the list"


PLAIN = Call(
    "F",
    parameters(
        "F",
        into("n", UINT),
        into("p", Pointer(UINT, "n")),
        into("b", BOOLEAN),
        out("q", Pointer(HANDLE)),
        into("c", COLOR),
    ),
)


@pytest.mark.parametrize("abi", ["x64", "x86"])
def test_plain_parameters(abi: Abi) -> None:
    arena = Arena(abi)
    words = encode(PLAIN, abi, arena, {"p": [1, 2], "b": 1, "q": 5, "c": "RED"})
    assert len(words) == 5
    before = decode(PLAIN, abi, arena, words)
    assert before == {"n": 2, "p": [1, 2], "b": 1, "q": 5, "c": 1}
    # What lies above a parameter in its register is nobody's.
    dirty = tuple(word | 0xDEAD << 32 if index in (0, 2) else word for index, word in enumerate(words))
    assert decode(PLAIN, abi, arena, dirty if abi == "x64" else words) == before
    after = decode(PLAIN, abi, arena, words, arena)
    assert after == {"p": [1, 2], "q": 5}, "afterwards only what pointers lead to"


WRONG: list[tuple[Type, Any, str]] = [
    (UINT, "12 monkeys", "takes a number, not '12 monkeys'"),
    (UINT, "1_0", "takes a number, not '1_0'"),
    (UINT, 1.5, "takes a number, not 1.5"),
    (UINT, -1, "-1 does not fit into 32 bits (x64)"),
    (UINT, [1], "takes a number, not [1]"),
    (UINT, "9" * 6000, "takes a number, not '999999999999...9999999999999'"),
    (UINT, 10**6000, "int does not fit into 32 bits (x64)"),
    (POINT, {"rest": "00"}, "v.rest: POINT has no such field"),
    (Array(UINT, 2), range(1 << 30), "has 1073741824 elements; a list has at most 1048576"),
    (Address("HANDLE"), Unreadable(-5), "-5 does not fit into 64 bits (x64)"),
    (NARROW, ["C"], "NARROW has no bit 'C'"),
    (NARROW, {"C": 0}, "NARROW has no bit 'C'"),
    (NARROW, {"A": 2}, "v.A: 2 does not fit into its bits"),
    (WIDE, {"Low": 16}, "v.Low: 16 does not fit into its bits"),
    (COLOR, "BLUE", "COLOR has no 'BLUE'"),
    (Blob("BYTE", 2), b"abc", "has 3 bytes; there is room for 2"),
    (Blob("BYTE", 2), [1, 2], "takes bytes or hex digits, not [1, 2]"),
    (Blob("BYTE", 2), "abc", "takes bytes or hex digits, not 'abc'"),
    (Characters(2), "abc", "has 6 bytes; there is room for 4"),
    (Characters(2), b"ab", "takes a string, not b'ab'"),
    (Text("PCWSTR"), 5, "takes a string, not 5"),
    (Array(UINT, 2), "12345", "takes a list, not '12345'"),
    (Array(UINT, 2), [1, 2, 3], "takes a list of at most 2, not [1, 2, 3]"),
    (POINT, 5, "takes the fields of POINT, not 5"),
    (POINT, {"z": 1}, "v.z: POINT has no such field"),
    (Float("FLOAT", 4), "much", "takes a number, not 'much'"),
    (Float("FLOAT", 4), 1e300, "1e+300 does not fit into 32 bits"),
    (Overlay((into("x", UINT),), name="U"), {"z": 1}, "v.z: U has no such arm"),
    (Overlay((into("x", UINT),), name="U"), {}, "takes one arm of U: give x, not {}"),
]


@pytest.mark.parametrize(("type_", "given", "message"), WRONG, ids=[message for *_, message in WRONG])
def test_what_is_wrong_is_named(type_: Type, given: Any, message: str) -> None:
    with pytest.raises(UsageError) as error:
        through(call_of(into("v", type_)), {"v": given})
    assert str(error.value).startswith("F: v")
    assert str(error.value).endswith(message)


CHOICE = call_of(
    into("Which", UINT),
    Overlay((into("a", UINT, When("Which", equals=1)), into("b", UINT, When("Which", equals=2)))),
    into("c", Overlay((into("a", UINT, When("Which", equals=1)), into("b", UINT, When("Which", equals=2))), name="U")),
)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"Which": 1, "b": 5}, "F: b: is not in effect here; give a instead"),
        ({"Which": 1, "a": 4, "b": 5}, "F: b: is not in effect here; give a instead"),
        ({"Which": 1, "a": 4, "union@4": {"raw": "00"}}, "F: a: is not in effect beside the other"),
        ({"Which": 1, "union@4": {"raw": "00"}}, "F: union@4: is not in effect here; give a instead"),
        ({"Which": 1, "c": {"a": 1, "b": 2}}, "F: c: takes one arm of U: give a, not"),
        ({"Which": 1, "c": {"raw": "00"}}, "F: c.raw: is not in effect here; give a instead"),
    ],
)
def test_the_right_arm_is_named(given: Any, message: str) -> None:
    with pytest.raises(UsageError) as error:
        through(CHOICE, given)
    assert str(error.value).startswith(message)


def test_a_union_within_an_arm() -> None:
    """Nobody says which arm is in effect: whichever is given is laid out, at its place, and told as bytes."""
    inner = Overlay((into("x", UINT, When("n", equals=1)), into("y", Blob("BYTE", 8), When("n", equals=2))))
    call = call_of(into("k", UINT), Overlay((into("s", Blob("BYTE", 16)), group(into("n", UINT), inner)), open=True))

    def room(given: Any) -> bytes:
        return bytes(through(call, {"k": 1, **given})["union@4"]["raw"])

    assert room({}) == bytes(16)
    assert room({"n": 1, "x": 7}) == b"\1\0\0\0\7" + bytes(11)
    assert room({"y": "0102030405060708"}) == bytes(4) + bytes(range(1, 9)) + bytes(4)
    assert room({"s": b"abc"}) == b"abc" + bytes(13)
    for wrong in ({"x": 1, "y": ""}, {"s": "", "x": 1}):
        with pytest.raises(UsageError, match="is not in effect beside the other"):
            room(wrong)
    decided = group(into("n", UINT), inner, when=When("k", equals=1))
    problems = check(Call("F", structure("S", into("k", UINT), Overlay((decided, into("z", UINT))))))
    assert any("a union inside of an arm" in problem for problem in problems)


def test_bits_with_a_name_of_their_own_while_another_is_set() -> None:
    call = CALLS["D3DKMTGetDeviceState"]

    def code(given: Any) -> Any:
        value = through(
            call, {"StateType": "D3DKMT_DEVICESTATE_PAGE_FAULT", "PageFaultState": {"FaultErrorCode": given}}
        )
        return value["PageFaultState"]["FaultErrorCode"]

    assert code(3) == {"IsDeviceSpecificCode": 1, "DeviceSpecificCode": 1}
    assert code(4) == {"IsDeviceSpecificCode": 0, "GeneralErrorCode": 2}
    for given in (
        {"IsDeviceSpecificCode": 1, "DeviceSpecificCode": 5},
        {"GeneralErrorCode": 7, "IsDeviceSpecificCode": 0},
    ):
        assert code(given) == given
    with pytest.raises(UsageError, match="GeneralErrorCode: is not in effect here; give DeviceSpecificCode instead"):
        code({"IsDeviceSpecificCode": 1, "GeneralErrorCode": 5})
    with pytest.raises(UsageError, match="DeviceSpecificCode: is not in effect here; give GeneralErrorCode instead"):
        code({"DeviceSpecificCode": 5})


def test_no_address_is_an_address_by_hand() -> None:
    for address in ("x", 1 << 70, -5):
        with pytest.raises(UsageError, match="F: its one parameter: "):
            encode(call_of(into("v", UINT)), "x64", Arena("x64"), Unreadable(address))  # type: ignore[arg-type]


def test_a_length_behind_a_pointer_that_leads_nowhere() -> None:
    call = call_of(into("t", Text("PWCHAR", Count("n", behind=True))), into("n", Pointer(UINT)))
    assert through(call, {"t": "", "n": None})["t"] == ""
    assert through(call, {"t": "", "n": Unreadable(16)})["n"] == Unreadable(16)


def test_an_array_whose_memory_ended_ends_there_again() -> None:
    call = call_of(into("n", UINT), into("p", Pointer(Pointer(POINT), "n")), into("q", Pointer(POINT, "n")))
    point = {"x": 1, "y": 2}
    given = {"n": 1_000_000, "p": [point, Unreadable(16)], "q": [point, Unreadable(32)]}
    value = through(call, given)
    assert [item for item in value["p"] if not isinstance(item, Unreadable)] == [point]
    assert [item for item in value["q"] if not isinstance(item, Unreadable)] == [point]
    assert (len(value["p"]), len(value["q"])) == (2, 2), "what is missing is told once"
    kept = through(call, {"n": 2, "p": [point, Unreadable(16)]})
    assert kept["p"] == [point, Unreadable(16)], "a pointer that leads nowhere is an element like others"


def test_the_longest_strings() -> None:
    call = call_of(into("t", Text("PCWSTR")), into("u", CountedString("UNICODE_STRING")))
    assert through(call, {"t": "a" * 32767, "u": "b" * 32767}) == {"t": "a" * 32767, "u": "b" * 32767}
    with pytest.raises(UsageError, match="does not fit into 16 bits"):
        through(call, {"u": "b" * 32768})


def test_values_that_never_end_are_refused() -> None:
    deep: Any = {}
    for _ in range(100_000):
        deep = {"x": deep}
    with pytest.raises(UsageError, match=r"has no such field|nested too deeply"):
        through(call_of(into("v", POINT)), {"v": {"x": 1, "z": deep}})
    with pytest.raises(UsageError, match=r"takes a number, not"):
        through(call_of(into("v", POINT)), {"v": deep})


def test_unreadable_memory_comes_back_as_it_was() -> None:
    call = call_of(into("p", Pointer(POINT)), into("t", Text("PCWSTR")), into("d", Bytes("s")), into("s", UINT))
    given = {name: {"unreadable": "0x10"} for name in ("p", "t", "d")} | {"s": 4}
    value = through(call, given)
    assert value == {"p": Unreadable(16), "t": Unreadable(16), "d": Unreadable(16), "s": 4}
    assert json_of(call, value)["p"] == {"unreadable": "0x10"}


def test_a_structure_may_be_compared_by_nobody() -> None:
    """LUIDs are one value, not two numbers: a path leads to the whole."""
    assert isinstance(LUID, Struct)
    assert LUID.kind is not None


def test_a_wchar_of_four_bytes() -> None:
    call = call_of(
        into("v", Characters(4)), into("t", Text("PCWSTR")), into("n", Text("WCHAR *", "c")), into("c", UINT)
    )
    arena = Arena("wsl")
    words = encode(call, "wsl", arena, {"v": "ab", "t": "\ud800", "n": "xyz"})
    assert decode(call, "wsl", arena, words) == {"v": "ab", "t": "\ud800", "n": "xyz", "c": 3}
    assert sorted(size for _, size, _ in arena.regions()) == [8, 12, 40]
    arena.write(words[0], b"\xff\xff\xff\xff")
    value = decode(call, "wsl", arena, words)
    assert isinstance(value, dict)
    assert value["v"] == "\ufffdb", "what is no character is shown as none"
