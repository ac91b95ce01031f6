"""Attacks on readers of traces: plain errors, without contents of the file that a terminal or a CI log would obey."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("resource")

from tests.fuzz.structure import limit_resources, problem

CASES = Path(__file__).parents[3] / "shared" / "cases" / "hostile"
NAMES = [path.stem for path in sorted(CASES.glob("*.kmt"))]
COMMANDS = (
    *(("info",), ("info", "--json"), ("dump",), ("dump", "--json"), ("stats",), ("stats", "--json"), ("check",)),
    *(("replay",), ("replay", "--together"), ("replay", "--github"), ("replay", "--junit", "-"), ("diff",)),
    *(("trim", "--calls", "0-", "-o"), ("recover", "-o"), ("convert", "--to", "jsonl", "-o"), ("convert", "-o")),
)


@pytest.mark.skipif(sys.platform == "win32" or not NAMES, reason="the hostile cases are not part of a clone")
@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("name", NAMES)
def test_a_hostile_trace_gives_a_plain_answer(name: str, words: tuple[str, ...], tmp_path: Path) -> None:
    """Within 1 GB of addresses and 10 s of processor time, whatever the answer is."""
    trace = str(CASES / f"{name}.kmt")
    command, *options = words
    arguments = [command, trace, *([trace] if command == "diff" else []), *options]
    if options[-1:] == ["-o"]:
        arguments.append(str(tmp_path / ("out.c" if words == ("convert", "-o") else "out.kmt")))
    done = subprocess.run(
        [sys.executable, "-m", "tracekmt", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        preexec_fn=limit_resources,
    )
    assert problem(list(words), done.returncode, done.stdout + done.stderr) is None
    assert len(done.stderr.splitlines()) <= 2
