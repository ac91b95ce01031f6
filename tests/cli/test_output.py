"""All output passes through one gate."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tracekmt.cli import output
from tracekmt.printable import printable, printable_lines

PACKAGE = Path(output.__file__).parent.parent

# Calls that print without the gate: file -> reason.
ALLOWED = {
    "cli/output.py": "the gate",
    "cli/console.py": "a table of rich, whose cells are printable, and its progress bar",
    "cli/__init__.py": "flushes standard output, and closes it",
    "convert/__init__.py": "JSON and C, which are ASCII",
    "demo/program.py": "a program that is recorded",
    "record/own_process.py": "an error of the recorder at the end of the recorded program",
    "thunks/process.py": "the output of a library, as printable lines",
    "thunks/worker.py": "frames of msgpack on pipes",
}


def prints(source: str) -> Iterator[str]:
    """Yield what a module prints with, besides the gate."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in (
            *("print", "click.echo", "click.secho", "warnings.warn", "traceback.print_exc"),
            *("logging.info", "logging.warning", "logging.error", "Console"),
        ):
            yield ast.unparse(node.func)
        if isinstance(node, ast.Attribute) and ast.unparse(node) in ("sys.stdout", "sys.stderr"):
            yield ast.unparse(node)


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_prints_past_the_gate(path: Path) -> None:
    name = path.relative_to(PACKAGE).as_posix()
    found = set(prints(path.read_text("utf-8")))
    if name not in ALLOWED:
        # Questions about the streams, such as isatty(), are harmless. They are in modules with a comparison to None.
        assert found <= {"sys.stdout", "sys.stderr", "traceback.print_exc"}
        assert not found & {"sys.stdout", "sys.stderr"} or ".isatty()" in path.read_text("utf-8")


def test_the_walk_finds_prints() -> None:
    source = "import sys\nprint(1)\nclick.echo(2)\nsys.stderr.write('x')\nwarnings.warn('y')\n"
    assert list(prints(source)) == ["print", "click.echo", "warnings.warn", "sys.stderr"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain äöü 漢字", "plain äöü 漢字"),
        ("a\x1b[2Jb", r"a\x1b[2Jb"),
        ("a\x85b\x9b31m", r"a\x85b\x9b31m"),
        ("\u202ereversed\u2066", r"\u202ereversed\u2066"),
        ("line\u2028separator", r"line\u2028separator"),
        ("a\r\nb\tc", r"a\r\nb\tc"),
        ("lone \udc80", r"lone \udc80"),
    ],
)
def test_a_printable_text_is_one_plain_line(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert printable(text).isprintable()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("one\ntwo\tthree", "one\ntwo\tthree"),
        ("::add-mask::x", r"\x3a:add-mask::x"),
        ("a\n  ::error::x", "a\n" + r"  \x3a:error::x"),
        ("##[command]x", r"\x23#[command]x"),
        ("a::b ##[c", "a::b ##[c"),
        ("\x1b]0;t\x07", r"\x1b]0;t\x07"),
    ],
)
def test_lines_are_no_commands(text: str, shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert printable_lines(text) == shown
    output.echo(text)
    output.echo(text, err=True)
    assert capsys.readouterr() == (f"{shown}\n", f"{shown}\n")


def test_a_style_does_not_let_a_text_through(capsys: pytest.CaptureFixture[str]) -> None:
    output.echo_styled("a\x1b[2J", "b\x9b", bold=True)
    assert capsys.readouterr().out == "a\\x1b[2Jb\\x9b\n"


Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.parametrize(
    "words", [("info", "{}"), ("info", "./{}"), ("check", "x/../{}"), ("calls", "--arch={}"), ("{}",)]
)
def test_a_file_name_stays_in_its_line(words: tuple[str, ...], command: Command) -> None:
    for name in ("a\n::error::b.kmt", "\n::error::b.kmt", "b.kmt\n"):
        result = command(*(word.replace("{}", name) for word in words))
        assert result.returncode == 2
        assert "::error" not in [line[:7] for line in result.stderr.splitlines()]
        assert len(result.stderr.splitlines()) == 1 + ("(see " in result.stderr)


def test_a_line_break_alone_is_no_file_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["tracekmt", "\n", "--machine=a\nb"])
    output.echo("one\ntwo a\nb")
    output.echo_styled("x a\nb")
    assert capsys.readouterr().out == "one\ntwo a\\nb\nx a\\nb\n"
