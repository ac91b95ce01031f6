"""The simulator's rules with marks, which show the expressions that a test evaluated.

Field paths and flag names are strings, and the requests of predicates have the type Any. A misspelt name is an error
only when it is evaluated, and `and` may skip it.
"""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, FunctionType, ModuleType
from typing import Any, NamedTuple

import tracekmt.simulator
from tracekmt.simulator.profile import Profile
from tracekmt.simulator.request import Behaviour

RULES = "tracekmt.simulator.rules"
PROFILES = "tracekmt.simulator.profiles"
_MARK = "__mark__"

Change = Callable[[str, str], str]
"""Maps name and source of a module to the source to load."""


class Mark(NamedTuple):
    """An expression in a function that looks up a name, or an assignment to a path.

    Attributes:
        path: File of the module.
        function: First line of the innermost function or lambda.
        line: Line of the expression.
        text: Source of the expression.
    """

    path: str
    function: int
    line: int
    text: str


class MarkedRules:
    """A copy of all rules and profiles with marks.

    Attributes:
        behaviours: Behaviours of the modelled functions.
        profiles: Profiles by name.
        marks: All marks.
        evaluated: Indexes of the marks whose look-up succeeded. A test clears it.
    """

    behaviours: dict[str, Behaviour]
    profiles: dict[str, Profile]

    def __init__(self, change: Change = lambda name, source: source) -> None:
        self.marks: list[Mark] = []
        self.evaluated: set[int] = set()
        self._change = change
        with _fresh_imports(_Finder(self)):
            self.behaviours = importlib.import_module(RULES).BEHAVIOURS
            self.profiles = importlib.import_module(PROFILES).PROFILES

    def compile(self, name: str, path: str, source: str) -> CodeType:
        """Compile a module with marks."""
        tree = _Marker(path, self.marks).visit(ast.parse(self._change(name, source)))
        return compile(ast.fix_missing_locations(tree), path, "exec", dont_inherit=True)

    def mark(self, index: int, value: Any = None) -> Any:
        """Set a mark, and return the value of its expression."""
        self.evaluated.add(index)
        return value

    def marks_of(self, function: object) -> set[int]:
        """Return the indexes of the marks in a function."""
        assert isinstance(function, FunctionType)
        key = function.__code__.co_filename, function.__code__.co_firstlineno
        return {index for index, mark in enumerate(self.marks) if (mark.path, mark.function) == key}


class _Marker(ast.NodeTransformer):
    """Wraps the expressions in functions that look up a name. The mark is set after the look-up."""

    def __init__(self, path: str, marks: list[Mark]) -> None:
        self.path = path
        self.marks = marks
        self.functions: list[int] = []

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        self.functions.append(node.lineno)
        node.body = self.generic_visit(ast.Module(node.body, [])).body  # type: ignore[attr-defined]
        self.functions.pop()
        return node

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        self.functions.append(node.lineno)
        node.body = self.visit(node.body)
        self.functions.pop()
        return node

    def visit_Assign(self, node: ast.Assign) -> Any:
        paths = [target for target in node.targets if isinstance(target, ast.Subscript)] if self.functions else []
        texts = [ast.unparse(path) for path in paths]
        self.generic_visit(node)
        return [node, *(ast.Expr(self.wrap(path, text)) for path, text in zip(paths, texts, strict=True))]

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        node.value = node.value and self.visit(node.value)
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        return self.visit_look_up(node)

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        return self.visit_look_up(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        return self.visit_look_up(node)

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        return self.visit_look_up(node)

    def visit_look_up(self, node: ast.expr) -> ast.AST:
        text = ast.unparse(node)
        self.generic_visit(node)
        is_read = isinstance(getattr(node, "ctx", ast.Load()), ast.Load)
        return self.wrap(node, text, node) if self.functions and is_read else node

    def wrap(self, position: ast.expr, text: str, *value: ast.expr) -> ast.expr:
        self.marks.append(Mark(self.path, self.functions[-1], position.lineno, text))
        index = ast.Constant(len(self.marks) - 1)
        return ast.copy_location(ast.Call(ast.Name(_MARK, ast.Load()), [index, *value], []), position)


class _Loader(SourceFileLoader):
    def __init__(self, name: str, path: str, rules: MarkedRules) -> None:
        super().__init__(name, path)
        self.rules = rules

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        return self.rules.compile(fullname, path, self.get_data(path).decode())

    def exec_module(self, module: ModuleType) -> None:
        setattr(module, _MARK, self.rules.mark)
        super().exec_module(module)


class _Finder(MetaPathFinder):
    def __init__(self, rules: MarkedRules) -> None:
        self.rules = rules

    def find_spec(self, fullname: str, path: Any, target: ModuleType | None = None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(fullname, path, target) if _has_rules(fullname) else None
        if spec is not None and spec.origin is not None:
            spec.loader = _Loader(fullname, spec.origin, self.rules)
        return spec


def _has_rules(module: str) -> bool:
    return module in (RULES, PROFILES) or module.startswith(RULES + ".")


@contextmanager
def _fresh_imports(finder: MetaPathFinder) -> Iterator[None]:
    """Import the modules with rules through a finder, and restore the original modules afterwards."""
    originals = {name: sys.modules.pop(name) for name in list(sys.modules) if _has_rules(name)}
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in [name for name in sys.modules if _has_rules(name)]:
            del sys.modules[name]
        sys.modules.update(originals)
        for name in (RULES, PROFILES):
            setattr(tracekmt.simulator, name.rpartition(".")[2], originals[name])
