"""The command `tracekmt sql`, and `tracekmt convert` to Parquet: output, pipes and errors."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tracekmt.resources import resource

pytest.importorskip("pyarrow")
pytest.importorskip("duckdb")

from tracekmt.cli.sql import cell, plain

Command = Callable[..., subprocess.CompletedProcess[str]]
DEMO = resource("traces", "demo.kmt")


def test_a_table(command: Command) -> None:
    result = command("sql", DEMO, 'select call, index as "[/red]" from calls where failed or index = 3')
    assert result.returncode == 0
    assert result.stderr == ""
    lines = [line.split() for line in result.stdout.splitlines() if line.strip()]
    assert lines[0] == ["call", "[/red]"]
    assert lines[2] == ["D3DKMTCreateDevice", "3"]
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_lines_of_json(command: Command) -> None:
    result = command("sql", DEMO, "select index, returned, inputs.hDevice from CreateAllocation2 limit 1", "--json")
    (line,) = map(json.loads, result.stdout.splitlines())
    assert line["returned"] is True
    assert isinstance(line["index"], int)
    assert isinstance(line["hDevice"], int)


def test_a_long_answer_is_cut_and_says_so(command: Command) -> None:
    result = command("sql", DEMO, "select * from range(3000)")
    assert result.stderr == "tracekmt: only the first 1,000 rows are shown (--json prints all of them)\n"
    assert len(command("sql", DEMO, "select * from range(3000)", "--json").stdout.splitlines()) == 3000


@pytest.mark.parametrize("query", ["selec 1", "select nope from calls", "select '\x1b[2J' from nope", ""])
def test_mistakes_are_two_plain_lines(command: Command, query: str) -> None:
    result = command("sql", DEMO, query)
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.startswith("tracekmt: ")
    assert 1 <= len(result.stderr.splitlines()) <= 2
    assert "\x1b" not in result.stderr


def test_values_in_plain_forms() -> None:
    from decimal import Decimal

    assert plain([b"\x00\xff", {"a": (1, None)}, float("inf"), Decimal("1.5")]) == [
        "00ff",
        {"a": [1, None]},
        "inf",
        "1.5",
    ]
    assert cell(None) == ""
    assert cell({"a": [1]}) == '{"a": [1]}'
    assert cell("x" * 300) == "x" * 200 + "..."


def test_parquet_on_a_pipe_is_the_file(command: Command, tmp_path: Path) -> None:
    assert command("convert", DEMO, "-o", "x.parquet").stderr == "x.parquet: 19 calls\n"
    words = [sys.executable, "-m", "tracekmt", "convert", str(DEMO), "-o", "-", "--to", "parquet"]
    result = subprocess.run(words, capture_output=True, check=True)
    assert result.stdout == (tmp_path / "x.parquet").read_bytes()
    assert result.stderr == b""


@pytest.mark.parametrize(
    ("libraries", "words", "extra"),
    [
        (["pyarrow"], ["convert", DEMO, "-o", "x.parquet"], "parquet"),
        (["pyarrow"], ["convert", DEMO, "-o", "x", "--to", "parquet"], "parquet"),
        (["duckdb"], ["sql", DEMO, "select 1"], "sql"),
        (["duckdb", "pyarrow"], ["sql", DEMO, "select 1"], "sql"),
    ],
)
def test_a_missing_library_is_named_with_its_extra(
    tmp_path: Path, libraries: list[str], words: list[str], extra: str
) -> None:
    program = f"import sys; sys.modules.update(dict.fromkeys({libraries}))\nfrom tracekmt.cli import main\nmain()"
    argv = [sys.executable, "-c", program, *map(str, words)]
    result = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    (line,) = result.stderr.splitlines()
    assert line.endswith(f"(pip install 'tracekmt[{extra}]')")
    assert list(tmp_path.iterdir()) == []
