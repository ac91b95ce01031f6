"""The layers of the design: who may import whom, and where Microsoft's names may stand."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "tracekmt"
HOOKS = PACKAGE.parent / "hooks"

BASE = {"errors", "version"}
DATA = BASE | {"spec", "memory", "ntstatus", "sizes", "resources"}
# What each part of the package may import from the rest of it.
ALLOWED = {
    "errors": set(),
    "version": set(),
    "resources": set(),
    "sizes": BASE,
    "ntstatus": BASE,
    "callset": BASE,
    "whose": set(),
    "spec": BASE,
    "memory": {"spec"},
    "bindings": {"spec"},
    "calls": {"spec"},
    "codec": BASE | {"spec", "memory"},
    "trace": DATA | {"codec"},
    "toml": BASE,
    "simulator": DATA | {"codec", "calls", "where", "toml"},
    "record": DATA | {"codec", "calls", "simulator", "trace", "redact", "report", "thunks", "whose"},
    "report": DATA | {"calls", "codec", "trace", "bindings", "lifetimes"},
    "lifetimes": {"spec", "codec", "trace", "bindings"},
    "trim": DATA | {"codec", "trace", "bindings", "lifetimes"},
    "recover": DATA | {"codec", "trace", "redact"},
    "redact": DATA | {"codec", "trace"},
    "extents": {"calls", "codec", "trace"},
    "printout": {"errors", "spec", "trace"},
    # A reproducer binds what stands for something as a replay does, and is made of a part of a trace.
    "convert": DATA | {"calls", "codec", "trace", "redact", "trim", "bindings", "lifetimes", "printout", "extents"},
    "where": DATA | {"calls", "codec"},
    "differ": DATA | {"codec", "trace", "bindings", "lifetimes", "report", "where", "toml"},
    "thunks": DATA | {"calls", "codec", "trace", "bindings", "lifetimes"},
    "replayer": DATA
    | {"calls", "codec", "trace", "bindings", "lifetimes", "report", "differ", "simulator", "thunks"}
    | {"trim", "whose", "printout", "extents"},
    "pytest_plugin": None,
    "demo": None,
    "cli": None,
    "__init__": None,
    "__main__": None,
}
# Parts that know no function: those that describe or play Microsoft's interface, and those on top, may.
GENERIC = (
    *("spec", "memory", "bindings", "lifetimes", "codec", "trace", "record"),
    *("report", "differ", "replayer", "callset", "trim", "where", "redact", "recover"),
)


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    """The parts of the package that a module imports when it is imported or type-checked."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        found |= {name.split(".")[1] for name in names if name.startswith("tracekmt.")}
    return found - {part_of(path)}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_what_is_below_it(path: Path) -> None:
    allowed = ALLOWED[part_of(path)]
    if allowed is not None:
        assert imports(path) <= allowed


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
        "print(sorted({name.split('.')[0] for name in sys.modules} & {'frida', 'msgpack', 'rich', 'backports'}))\n"
        "print('tracekmt.spec' in sys.modules)\n"
    )
    result = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert result.stdout.splitlines()[-2:] == ["[]", "False"]


def test_hooks_stay_small() -> None:
    lines = {path.name: len(path.read_text("utf-8").splitlines()) for path in HOOKS.iterdir()}
    assert lines["recorder.c"] < 600
    assert lines["agent.js"] < 320
