"""Every walk over description types refuses a type that it does not know, in the type checker and at run time."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import shutil
import subprocess
import sys
import traceback
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest

import tracekmt
from tracekmt import codec
from tracekmt.codec import bound_values, programs, readers, regions, values
from tracekmt.codec.context import StructContext
from tracekmt.codec.encode import _Encoder
from tracekmt.codec.json_form import _present_converter
from tracekmt.codec.memory import Arena, Recorded
from tracekmt.convert.c import declarations, inputs, output_target, outputs
from tracekmt.convert.c.text import Names
from tracekmt.errors import DescriptionError
from tracekmt.record.agent import plan
from tracekmt.report import calls as report_calls
from tracekmt.simulator import unmodelled
from tracekmt.simulator.request import View
from tracekmt.spec import checks, describe, dispatch, forms, layout, paths, serial
from tracekmt.spec import types as t
from tracekmt.spec.dsl import UINT, in_, structure

PACKAGE = Path(tracekmt.__file__).parent
TYPE_NAMES = {type_.__name__ for type_ in typing.get_args(t.Type)}


@dataclass(frozen=True)
class Chain:
    """A pointer type that is not a member of the union `Type`."""

    to: t.Struct


NEXT = structure("NEXT", in_("x", UINT))
CHAIN: Any = Chain(NEXT)
FIELD = in_("pNext", CHAIN)
FIELD_OUT = t.Field("pNext", CHAIN, "out")
STRUCT = structure("S", in_("n", UINT), FIELD)
SPEC = t.CallSpec("F", STRUCT)


def context() -> StructContext:
    return StructContext(SimpleNamespace(), b"", b"", None)  # type: ignore[arg-type]


def view() -> Any:
    slot = SimpleNamespace(field=FIELD, offset=8)
    struct_layout = SimpleNamespace(slot=lambda name: slot, struct=STRUCT, abi="x64")
    return SimpleNamespace(layout=struct_layout, address=0x1000)


def method(cls: type, name: str) -> Callable[..., Any]:
    """A method, bound to an object that accepts everything."""
    return partial(getattr(cls, name), MagicMock())


def exhausted(items: Iterator[Any]) -> None:
    """Run a generator to its end."""
    for _ in items:
        pass


def present_column(type_: Any) -> Any:
    """Call a walk of a module that requires pyarrow."""
    pytest.importorskip("pyarrow")
    module: Any = importlib.import_module("tracekmt.tables.arguments")
    return module._present_column(type_)


WALKS: dict[str, Callable[[], Any]] = {
    "spec.paths.has_bound_values": lambda: paths.has_bound_values(CHAIN),
    "codec.bound_values._in_place": lambda: bound_values._in_place(FIELD, CHAIN, "p", "p", 0, "x64", ()),
    "codec.encode._Encoder.pointee": lambda: method(_Encoder, "pointee")(CHAIN, 1, "p", context()),
    "codec.encode._Encoder.value": lambda: method(_Encoder, "value")(CHAIN, 1, "p", context()),
    "codec.json_form._present_converter": lambda: _present_converter(CHAIN),
    "codec.programs._Structure._typed": lambda: method(programs._Structure, "_typed")(FIELD, CHAIN, None),
    "codec.programs._reach": lambda: programs._reach(CHAIN),
    "codec.readers._pointer": lambda: readers._pointer(CHAIN, "x64", ()),
    "codec.readers.reader_of": lambda: readers.reader_of(CHAIN, "x64", ()),
    "codec.regions._Walk.pointee": lambda: exhausted(method(regions._Walk, "pointee")(CHAIN, 1, 1, context())),
    "codec.regions._Walk.value": lambda: exhausted(method(regions._Walk, "value")(CHAIN, 1, b"", b"", context())),
    "codec.regions._may_be_data": lambda: regions._may_be_data(CHAIN),
    "codec.values._iter_nested": lambda: exhausted(values._iter_nested(FIELD, CHAIN, {"p": 1}, "p", "p", "p")),
    "convert.c.declarations.Declarations._parts": lambda: method(declarations.Declarations, "_parts")(CHAIN, []),
    "convert.c.inputs.Inputs._pointer": lambda: method(inputs.Inputs, "_pointer")(CHAIN, 1, "p", "p", ()),
    "convert.c.inputs.Inputs.assign_value": lambda: method(inputs.Inputs, "assign_value")(CHAIN, 1, "p", "p", ()),
    "convert.c.output_target._parse_value": lambda: output_target._parse_value(CHAIN, "1", "p"),
    "convert.c.outputs.Outputs._field_value": lambda: method(outputs.Outputs, "_field_value")(
        FIELD_OUT, CHAIN, 1, "p", "p"
    ),
    "convert.c.outputs.Outputs._scalar": lambda: method(outputs.Outputs, "_scalar")(
        FIELD_OUT, CHAIN, 1, "p", "p", compared=True
    ),
    "convert.c.outputs.Outputs.print_value": lambda: method(outputs.Outputs, "print_value")(
        FIELD_OUT, CHAIN, 1, "p", "p"
    ),
    "record.agent.plan._Compiler.type_pointers": lambda: exhausted(
        method(plan._Compiler, "type_pointers")(CHAIN, 0, (), 1, [])
    ),
    "record.agent.plan._has_pointers": lambda: plan._has_pointers(CHAIN),
    "report.calls._field_lines": lambda: exhausted(report_calls._field_lines("p", 1, CHAIN, 1, 1, 1)),
    "simulator.unmodelled.has_local_handles": lambda: unmodelled.has_local_handles(CHAIN),
    "simulator.unmodelled.locate": lambda: unmodelled.locate(view(), "pNext"),
    "spec.checks._check_type": lambda: exhausted(
        checks._check_type(CHAIN, "p", checks._CheckContext(STRUCT, (), (), "F"))
    ),
    "spec.describe.type_name": lambda: describe.type_name(CHAIN),
    "spec.forms._type_for": lambda: forms._type_for(CHAIN, 0),
    "spec.layout.measure": lambda: layout.measure(CHAIN, "x64"),
    "spec.paths.element": lambda: paths.element(CHAIN),
    "spec.paths.fields": lambda: exhausted(paths.fields(STRUCT)),
    "spec.paths.structures": lambda: exhausted(paths.structures(CHAIN)),
    "spec.types.is_described_pointer": lambda: t.is_described_pointer(CHAIN),
    "spec.types.kind_of": lambda: t.kind_of(CHAIN),
    "spec.types.length_of": lambda: t.length_of(CHAIN),
    "tables.arguments._present_column": lambda: present_column(CHAIN),
}
"""A call of every function that ends in `assert_never`, with the unknown type."""

LENIENT: dict[str, Any] = {
    "spec.paths.has_bound_values": True,
    "spec.layout.measure": (8, 8),
    "spec.paths.element": (CHAIN, False),
    "spec.types.is_described_pointer": True,
    "spec.types.kind_of": None,
    "spec.types.length_of": None,
}
"""Functions that other walks call first, with a result as if the unknown type were known."""


def resolve(name: str) -> Any:
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(("tracekmt", *parts[:end])))
        except ImportError:
            continue
        for part in parts[end:]:
            found = getattr(found, part)
        return found
    raise KeyError(name)


@pytest.fixture
def be_lenient(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Let all walks except one accept the unknown type, in every module that imported them."""

    def patch(exception: str) -> None:
        for name, result in LENIENT.items():
            if name == exception:
                continue
            original = resolve(name)

            def lenient(type_: Any, *rest: Any, original: Any = original, result: Any = result) -> Any:
                return result if type_ is CHAIN else original(type_, *rest)

            for module_name, module in list(sys.modules.items()):
                if module_name.partition(".")[0] == "tracekmt":
                    for attribute, value in list(vars(module).items()):
                        if value is original:
                            monkeypatch.setattr(module, attribute, lenient)

    return patch


@pytest.mark.parametrize("name", WALKS)
def test_a_walk_refuses_an_unknown_type(name: str, be_lenient: Callable[[str], None]) -> None:
    be_lenient(name)
    with pytest.raises(DescriptionError, match="unsupported type in a description: Chain") as error:
        WALKS[name]()
    *_, caller, last = traceback.extract_tb(error.value.__traceback__)
    assert last.filename == dispatch.__file__
    assert (caller.filename, caller.name) == (
        inspect.unwrap(resolve(name)).__code__.co_filename,
        name.rpartition(".")[2],
    )


# Everything that uses a description as a whole, with a field of an unknown type.

ARGUMENT = {"n": 1, "pNext": 0x2000}


def traced_call() -> Any:
    return SimpleNamespace(
        index=0,
        name="F",
        spec=SPEC,
        thread=0,
        caller="",
        enter_ns=0,
        injection=None,
        leave_ns=None,
        status=None,
        outcome_text="",
        inputs=ARGUMENT,
        outputs=None,
    )


def memory() -> Recorded:
    return Recorded([(0x1000, 16, bytes(16))])


ENTRIES: dict[str, Callable[[], Any]] = {
    "layout": lambda: layout.lay_out(STRUCT, "x64"),
    "check": lambda: checks.check(SPEC),
    "to_data": lambda: serial.to_data(SPEC),
    "layouts_of": lambda: serial.layouts_of(SPEC, "x64"),
    "describe": lambda: describe.describe(SPEC, "family"),
    "compile_plan": lambda: plan.compile_plan([(0, SPEC)], "x64"),
    "decode": lambda: codec.decode(SPEC, "x64", memory(), [0x1000]),
    "encode": lambda: codec.encode(SPEC, "x64", Arena("x64"), ARGUMENT),
    "regions": lambda: exhausted(regions.spans(SPEC, "x64", memory(), [0x1000])),
    "finder": lambda: codec.finder(SPEC, "x64"),
    "to_json": lambda: codec.to_json(STRUCT, ARGUMENT),
    "iter_values": lambda: exhausted(codec.iter_values(STRUCT, ARGUMENT)),
    "C declaration": lambda: declarations.Declarations(Names()).declare(CHAIN, "p"),
    "report": lambda: exhausted(report_calls.call_lines(traced_call())),
    "simulator": lambda: unmodelled.locate(View(memory(), layout.lay_out(STRUCT, "x64"), 0x1000), "pNext"),
}


@pytest.mark.parametrize("entry", ENTRIES)
def test_a_description_with_an_unknown_type_is_refused(entry: str) -> None:
    with pytest.raises(DescriptionError, match="unsupported type in a description: Chain"):
        ENTRIES[entry]()


def test_data_with_an_unknown_type_is_refused() -> None:
    data = serial.to_data(t.CallSpec("F", structure("S", in_("p", UINT))))
    data["argument"]["members"][0]["type"] = {"is": "Chain", "to": serial.to_data(NEXT)}
    with pytest.raises(DescriptionError, match="invalid part in a description"):
        serial.spec_from_data(data)


def test_a_plan_refuses_the_pointers_of_a_case_that_is_not_a_structure() -> None:
    payload = t.Payload("n", "t", ((0, "ZERO", t.Array(t.Pointer(UINT), 2)),))
    spec = t.CallSpec("F", structure("S", in_("t", UINT), in_("n", UINT), in_("p", payload)))
    assert checks.check(spec) == []
    with pytest.raises(DescriptionError, match="t: cannot record the pointers of a payload case"):
        plan.compile_plan([(0, spec)], "x64")


# The source text: which functions are walks, and that none of them has a silent last case.


def functions(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, ast.FunctionDef]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef):
            yield from functions(node, f"{prefix}{node.name}.")
        elif isinstance(node, ast.FunctionDef):
            yield f"{prefix}{node.name}", node
            yield from functions(node, f"{prefix}{node.name}.")


def is_assert_never(statement: ast.stmt) -> bool:
    call = statement.value if isinstance(statement, (ast.Expr, ast.Return)) else None
    return isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "assert_never"


def class_names(node: ast.AST) -> set[str]:
    """The description types that an expression or a pattern names."""
    names = {part.attr for part in ast.walk(node) if isinstance(part, ast.Attribute)}
    return (names | {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}) & TYPE_NAMES


def pattern_types(case: ast.match_case) -> set[str]:
    patterns = [node.cls for node in ast.walk(case.pattern) if isinstance(node, ast.MatchClass)]
    return {name for pattern in patterns for name in class_names(pattern)}


def test_every_walk_is_tested() -> None:
    found = set()
    for path in sorted(PACKAGE.rglob("*.py")):
        module = ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")
        for name, function in functions(ast.parse(path.read_text("utf-8"))):
            if any(isinstance(node, ast.stmt) and is_assert_never(node) for node in ast.walk(function)):
                found.add(f"{module}.{name}")
    assert found == set(WALKS)


def silent_matches(source: str) -> list[int]:
    """Return the lines of the matches over description types that do not end in `assert_never`."""
    lines = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Match) and any(map(pattern_types, node.cases)):
            *_, last = node.cases
            is_default = isinstance(last.pattern, ast.MatchAs) and last.pattern.pattern is None and last.guard is None
            if not (is_default and len(last.body) == 1 and is_assert_never(last.body[0])):
                lines.append(node.lineno)
    return lines


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_match_over_types_ends_in_assert_never(path: Path) -> None:
    assert silent_matches(path.read_text("utf-8")) == []


MATCH = "match type_:\n    case t.Array(of=of):\n        pass\n    case t.Pointer() | t.Bytes():\n        pass\n"


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        (MATCH, [1]),
        (f"{MATCH}    case _:\n        pass\n", [1]),
        (f"{MATCH}    case _:\n        return type_.name\n", [1]),
        (f"{MATCH}    case _ if len(of):\n        assert_never(type_)\n", [1]),
        (f"{MATCH}    case _:\n        assert_never(type_)\n", []),
        (f"{MATCH}    case _:\n        return assert_never(type_)\n", []),
        ("match value:\n    case int():\n        pass\n", []),
    ],
)
def test_a_silent_match_is_found(source: str, lines: list[int]) -> None:
    assert silent_matches(source) == lines


def test_the_type_checker_finds_every_walk(tmp_path: Path) -> None:
    """A type added to the unions is an error at every `assert_never` of the package."""
    pytest.importorskip("mypy")
    copy = tmp_path / "tracekmt"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    types_file = copy / "spec" / "types.py"
    source = types_file.read_text("utf-8")
    for union in (
        "LeafType = typing.Union[  # noqa: UP007\n",
        "PointerType = typing.Union[",
        "\nType = typing.Union[  # noqa",
    ):
        assert source.count(union) == 1
        head, _, tail = source.partition(union)
        source = f"{head}{union.partition('[')[0]}[Chain, {union.partition('[')[2]}{tail}"
    types_file.write_text(source + "\n\n@dataclass(frozen=True)\nclass Chain:\n    to: Struct\n", "utf-8")
    result = subprocess.run(
        [sys.executable, "-m", "mypy", "--ignore-missing-imports", "--cache-dir", str(tmp_path / "cache"), str(copy)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    errors = set(re.findall(r'(\S+\.py):(\d+): error: Argument 1 to "assert_never"', result.stdout))
    expected = {
        (str(path.relative_to(tmp_path)), str(node.lineno))
        for path in copy.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.stmt) and is_assert_never(node)
    }
    assert len(expected) >= len(WALKS)
    assert errors == expected


def test_the_groups_of_types_cover_the_union() -> None:
    groups = [t.PLAIN_TYPES, t.POINTER_TYPES, (t.CountedString, t.Array, t.Union, t.Struct)]
    classes = [cls for group in groups for cls in group]
    assert len(classes) == len(set(classes))
    assert set(classes) == set(typing.get_args(t.Type))
    assert set(t.POINTER_TYPES) == set(typing.get_args(t.PointerType))
    assert set(t.LEAF_TYPES) == set(typing.get_args(t.LeafType))
    assert set(t.INNER_TYPES) == set(typing.get_args(t.InnerType))
