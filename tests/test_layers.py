"""The layers of the design: who may import whom, and where Microsoft's names may stand."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "tracekmt"
HOOKS = PACKAGE.parent / "hooks"

BASE = {"budgets", "core", "errors", "futex", "plural", "printable", "private_file", "system", "version"}
DATA = BASE | {"codec", "ntstatus", "resources", "spec"}
# The parts of the package that each part may import. None: all of them.
ALLOWED = {
    "budgets": {"errors"},
    "core": set(),
    "errors": set(),
    "futex": set(),
    "plural": set(),
    "printable": set(),
    "private_file": set(),
    "system": set(),
    "version": set(),
    "resources": set(),
    "findings": {"plural"},
    "ntstatus": BASE,
    "spec": BASE,
    "calls": {"spec"},
    "codec": BASE | {"spec"},
    "text": DATA | {"calls"},
    "trace": DATA,
    "objects": DATA | {"calls", "trace"},
    "edit": DATA | {"objects", "trace"},
    "simulator": DATA | {"calls", "text"},
    "record": DATA | {"calls", "edit", "text", "trace"},
    "machine": DATA | {"calls", "simulator", "text", "trace"},
    "report": DATA | {"calls", "findings", "objects", "trace"},
    "differ": DATA | {"findings", "objects", "text", "trace"},
    "thunks": DATA | {"calls", "objects", "trace"},
    "replayer": DATA
    | {"calls", "differ", "edit", "findings", "machine", "objects", "simulator", "text", "thunks", "trace"},
    "convert": DATA
    | {"activity", "calls", "differ", "edit", "findings", "objects", "replayer", "tables", "text", "trace"},
    "checker": DATA | {"calls", "findings", "objects", "replayer", "simulator", "trace"},
    "activity": DATA | {"calls", "objects", "simulator", "trace"},
    "overview": DATA | {"activity", "calls", "objects", "report", "simulator", "text", "trace"},
    "top": DATA | {"activity", "text"},
    "tables": DATA | {"activity", "calls", "objects", "trace"},
    "run": DATA | {"calls", "simulator", "trace"},
    "atlas": DATA | {"calls", "convert", "edit", "simulator", "trace"},
    "minimize": DATA
    | {"calls", "convert", "differ", "edit", "findings", "record", "replayer", "run", "simulator", "text", "trace"},
    "matrix": DATA
    | {"calls", "differ", "edit", "findings", "objects", "replayer", "report", "simulator", "tables", "text"}
    | {"thunks", "trace"},
    "torture": DATA | {"calls", "objects", "report", "simulator", "text", "trace"},
    "doctor": None,
    "demo": None,
    "cli": None,
    "pytest_plugin": None,
    "__init__": None,
    "__main__": None,
}
# Parts that name no function. Parts that describe or simulate Microsoft's interface, and those on top, may.
GENERIC = ("spec", "codec", "trace", "objects", "edit", "text", "record", "findings", "report", "differ", "replayer")


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def module_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def imports(path: Path) -> set[str]:
    """The modules of the package that a module imports: at import, inside functions, or for type checking alone."""
    known = {module_of(other) for other in modules()}
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names} & known
        elif isinstance(node, ast.ImportFrom) and node.module in known:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= names & known
            found |= {node.module} if names - known else set()
    return found - {module_of(path)}


def cycles(graph: dict[str, set[str]]) -> list[list[str]]:
    """The strongly connected components of more than one module (Tarjan's algorithm)."""
    index: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(module: str) -> None:
        index[module] = lowest[module] = len(index)
        stack.append(module)
        for imported in sorted(graph[module]):
            if imported not in index:
                visit(imported)
                lowest[module] = min(lowest[module], lowest[imported])
            elif imported in stack:
                lowest[module] = min(lowest[module], index[imported])
        if lowest[module] == index[module]:
            component = stack[stack.index(module) :]
            del stack[stack.index(module) :]
            if len(component) > 1:
                found.append(sorted(component))

    for module in sorted(graph):
        if module not in index:
            visit(module)
    return found


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_what_is_below_it(path: Path) -> None:
    allowed = ALLOWED[part_of(path)]
    parts = {name.split(".")[1] for name in imports(path) if "." in name} - {part_of(path)}
    if allowed is not None:
        assert parts <= allowed


def test_no_modules_import_each_other() -> None:
    """Type-checking imports and imports inside functions count, and so do imports within one part."""
    assert cycles({module_of(path): imports(path) for path in modules()}) == []


def test_a_cycle_is_found() -> None:
    assert cycles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == [["b", "c"]]


def test_every_part_has_its_rule() -> None:
    assert set(ALLOWED) == {part_of(path) for path in modules()}


def test_the_generic_layers_name_no_function() -> None:
    generic = [path for path in modules() if part_of(path) in GENERIC] + sorted(HOOKS.iterdir())
    assert len(generic) > 25
    for path in generic:
        assert "D3DKMT" not in path.read_text("utf-8"), path


def test_frida_is_imported_by_the_recorder_alone() -> None:
    for path in modules():
        names = {
            alias.name
            for node in ast.walk(ast.parse(path.read_text("utf-8")))
            if isinstance(node, ast.Import)
            for alias in node.names
        }
        assert "frida" not in names or part_of(path) == "record", path


def test_each_library_of_an_extra_is_imported_by_one_module() -> None:
    importers: dict[str, list[str]] = {"duckdb": [], "pyarrow": []}
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = (
                    [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
                )
                for library in importers.keys() & {name.split(".")[0] for name in names}:
                    importers[library].append(module_of(path))
    assert {library: set(names) for library, names in importers.items()} == {
        "duckdb": {"tracekmt.tables.query"},
        "pyarrow": {"tracekmt.tables.arrow"},
    }


def test_a_replay_needs_no_frida() -> None:
    program = (
        "import sys; sys.modules['frida'] = None\n"
        "import tracekmt\n"
        "from tracekmt.resources import resource\n"
        "assert tracekmt.replay(resource('traces', 'demo.kmt')).same\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_help_loads_nothing_heavy() -> None:
    program = (
        "import sys\n"
        "from tracekmt.cli import cli\n"
        "cli.main(['--help'], standalone_mode=False)\n"
        "heavy = {'frida', 'msgpack', 'rich', 'backports', 'pyarrow', 'duckdb'}\n"
        "print(sorted({name.split('.')[0] for name in sys.modules} & heavy))\n"
        "print('tracekmt.spec' in sys.modules)\n"
    )
    result = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert result.stdout.splitlines()[-2:] == ["[]", "False"]


def test_hooks_stay_small() -> None:
    lines = {path.name: len(path.read_text("utf-8").splitlines()) for path in HOOKS.iterdir()}
    assert lines["recorder.c"] < 600
    assert lines["agent.js"] < 320
