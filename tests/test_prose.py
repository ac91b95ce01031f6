"""Prose of the documents, help texts, messages, docstrings and comments: words, first lines, and names that exist."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from tracekmt.cli import cli

ROOT = Path(__file__).parent.parent

FORBIDDEN = {
    "whoever": r"whoever",
    "nobody": r"nobody",
    "somebody": r"somebody",
    "is no": r"(?<!there )(?:is|are|was|were) no",  # "there is no process 5" is plain English
    "stands for": r"(?:stands?|stood|standing) for",
    "leads to": r"(?:leads?|led|leading) (?:to|there)",
    "what lies": r"what (?:lies|stands|lives)",
    "told": r"told",
    "of its own": r"of (?:its|their) own",
    "anew": r"anew",
    "goes with": r"(?:go|goes|went|going) with",
    "is demanded": r"(?:is|are|was|were) demanded",
    "to be had": r"to be had",
    "comes to be": r"(?:comes?|came) to be",
    "hands over": r"hand(?:s|ed)? over",
    "looks after": r"look(?:s|ed)? after",
}
FORBIDDEN_PATTERNS = {name: re.compile(rf"\b(?:{pattern})\b", re.IGNORECASE) for name, pattern in FORBIDDEN.items()}

FORBIDDEN_BEGINNING = re.compile(r"(?:What|How|Whether|As|Whoever|It|The same|Who|That)\b")

DOCUMENTS = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "docs/*.md", "traces/README.md")

EXCUSED = {
    ("tracekmt/objects/adapters.py", "told"): "the name of a key of `info --json`, which stays",
}
"""Places that may have a forbidden word, as (file, word), and the reasons."""

EXAMPLE_FILES = {
    f"tracekmt/{folder}/{name}.py" for folder in ("calls", "simulator/rules") for name in ("FAMILY", "overlay")
}
"""Files that the documents let the reader write."""

FILE_NAME = re.compile(
    r"(?<![\w/])(?:tracekmt|tests|hooks|tools|benchmarks|reproducer|docs)/[\w/-]+\.(?:py|c|js|md|json)\b"
)
MODULE_NAME = re.compile(r"\btracekmt(?:\.[a-z_]+){2,}\b")

Place = tuple[str, int, str]
"""File, line number and text."""


def test_documents_have_no_forbidden_words() -> None:
    assert _unexcused(_forbidden_words(_document_lines())) == []


def test_help_texts_have_no_forbidden_words() -> None:
    assert _unexcused(_forbidden_words(_help_lines())) == []


def test_code_has_no_forbidden_words() -> None:
    assert _unexcused(_forbidden_words(_code_texts())) == []


def test_every_excuse_is_used() -> None:
    found = {
        (file, word) for file, _, word, _ in _forbidden_words((*_document_lines(), *_help_lines(), *_code_texts()))
    }
    assert set(EXCUSED) - found == set(), "unused excuses"


def test_docstrings_begin_with_the_thing() -> None:
    failures = [
        f"{path.relative_to(ROOT).as_posix()}:{line}: {text}"
        for path in sorted((ROOT / "tracekmt").rglob("*.py"))
        for line, text in _bad_first_lines(path.read_text("utf-8"))
    ]
    assert failures == []


def test_named_files_and_modules_exist() -> None:
    assert list(_missing_names((*_document_lines(), *_code_texts(), *_test_lines()))) == []


def test_missing_files_and_modules_are_found() -> None:
    text = "tracekmt/spool.py\ntracekmt.trace.spool\ntracekmt.trace.reader.Trace\ntests/test_prose.py"
    assert list(_missing_names([("file", 1, text)])) == ["file:1: tracekmt/spool.py", "file:2: tracekmt.trace.spool"]


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("whoever", "Whoever calls it waits."),
        ("nobody", "Nobody knows the size."),
        ("somebody", "until somebody reads it"),
        ("is no", "foo is no target"),
        ("stands for", "the number stands for a handle"),
        ("leads to", "the pointer leads to memory"),
        ("what lies", "what lies behind the pointer"),
        ("told", "the answers told by the driver"),
        ("of its own", "a thread of its own"),
        ("anew", "objects are made anew"),
        ("goes with", "--selftest goes with -o"),
        ("is demanded", "100 at least are demanded"),
        ("to be had", "no memory is to be had"),
        ("comes to be", "the object came to be"),
        ("hands over", "hands over the buffer"),
        ("looks after", "looks after the workers"),
    ],
)
def test_each_forbidden_word_is_found(word: str, text: str) -> None:
    assert [hit[:3] for hit in _forbidden_words([("file", 7, text)])] == [("file", 7, word)]


def test_every_forbidden_word_has_a_sample() -> None:
    (mark,) = test_each_forbidden_word_is_found.pytestmark  # type: ignore[attr-defined]
    assert {word for word, _ in mark.args[1]} == set(FORBIDDEN)


def test_plain_text_is_accepted() -> None:
    places = [
        ("file", 1, "there is no process 5"),
        ("file", 2, "`told` has the answers"),
        ("file", 3, "Nothing is known, and nodes are untold."),
    ]
    assert list(_forbidden_words(places)) == []


def test_texts_of_code_are_found() -> None:
    """Names, keys and code are not texts. Docstrings, comments and messages are."""
    source = '"""Whoever reads."""\ntold = row["told"]  # nobody waits\nraise Error(f"{told} is no target")\n'
    hits = _forbidden_words(_python_texts("module.py", source))
    assert sorted((line, word) for _, line, word, _ in hits) == [(1, "whoever"), (2, "nobody"), (3, "is no")]


def test_the_line_of_a_long_docstring_is_named() -> None:
    source = 'def function():\n    """First line.\n\n    Nobody waits.\n    """\n'
    assert [hit[1] for hit in _forbidden_words(_python_texts("module.py", source))] == [4]


@pytest.mark.parametrize("beginning", ["What", "How", "Whether", "As", "Whoever", "It", "The same", "Who", "That"])
def test_each_bad_first_line_is_found(beginning: str) -> None:
    text = f"{beginning} a call ended."
    source = (
        f'class Public:\n    def public(self):\n        """{text}"""\n\n    def _private(self):\n        """{text}"""\n'
    )
    assert list(_bad_first_lines(source)) == [(2, text)]
    assert list(_bad_first_lines(f'"""{text}"""\n')) == [(1, text)]
    assert list(_bad_first_lines('"""Items of a list."""\n')) == []


def _unexcused(hits: Iterator[tuple[str, int, str, str]]) -> list[str]:
    return [f"{file}:{line}: {word}: {text}" for file, line, word, text in hits if (file, word) not in EXCUSED]


def _forbidden_words(places: Iterator[Place] | list[Place] | tuple[Place, ...]) -> Iterator[tuple[str, int, str, str]]:
    """Yield file, line, forbidden word and line of text. Names between backticks are not words."""
    for file, first_line, text in places:
        for line, content in enumerate(text.splitlines(), first_line):
            words = re.sub(r"`[^`]*`", "``", content)
            for word, pattern in FORBIDDEN_PATTERNS.items():
                if pattern.search(words):
                    yield file, line, word, content.strip()


def _missing_names(places: Iterator[Place] | list[Place] | tuple[Place, ...]) -> Iterator[str]:
    """Yield the names of files and modules that do not exist."""
    for file, first_line, text in places:
        for line, content in enumerate(text.splitlines(), first_line):
            for name in FILE_NAME.findall(content):
                if name not in EXAMPLE_FILES and not (ROOT / name).exists():
                    yield f"{file}:{line}: {name}"
            for name in MODULE_NAME.findall(content):
                if not _resolves(name):
                    yield f"{file}:{line}: {name}"


def _resolves(name: str) -> bool:
    """Return True if a dotted name is a package or module, or an attribute of a module or package."""
    path = ROOT
    for part in name.split("."):
        if (path / part).is_dir():
            path /= part
        elif (path / f"{part}.py").exists():
            return True
        else:
            return re.search(rf"\b{part}\b", (path / "__init__.py").read_text("utf-8")) is not None
    return True


def _document_lines() -> Iterator[Place]:
    for pattern in DOCUMENTS:
        paths = sorted(ROOT.glob(pattern))
        assert paths, pattern
        for path in paths:
            yield path.relative_to(ROOT).as_posix(), 1, path.read_text("utf-8")


def _help_lines() -> Iterator[Place]:
    def visit(command: click.Command, parent: click.Context | None, name: str) -> Iterator[Place]:
        with click.Context(command, info_name=name, parent=parent, terminal_width=100) as context:
            yield f"{context.command_path} --help", 1, command.get_help(context)
            for child in sorted(getattr(command, "commands", {})):
                yield from visit(command.commands[child], context, child)  # type: ignore[attr-defined]

    yield from visit(cli, None, "tracekmt")


def _test_lines() -> Iterator[Place]:
    for folder in ("tests", "tools", "benchmarks"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            if path != Path(__file__):
                yield path.relative_to(ROOT).as_posix(), 1, path.read_text("utf-8")


def _code_texts() -> Iterator[Place]:
    for path in sorted((ROOT / "tracekmt").rglob("*.py")):
        yield from _python_texts(path.relative_to(ROOT).as_posix(), path.read_text("utf-8"))
    for path in sorted((ROOT / "hooks").iterdir()):
        yield path.relative_to(ROOT).as_posix(), 1, path.read_text("utf-8")


def _python_texts(file: str, source: str) -> Iterator[Place]:
    """Yield comments, docstrings and strings with a space: names, keys and formats have none."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield file, token.start[0], token.string
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            yield file, node.lineno, node.value


def _bad_first_lines(source: str) -> Iterator[tuple[int, str]]:
    """Yield line and first line of the public docstrings that begin with a forbidden word."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            name = getattr(node, "name", "")
            first_line = (ast.get_docstring(node) or "").partition("\n")[0]
            if FORBIDDEN_BEGINNING.match(first_line) and not (name.startswith("_") and not name.startswith("__")):
                yield getattr(node, "lineno", 1), first_line
