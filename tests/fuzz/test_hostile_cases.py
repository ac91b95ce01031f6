"""Attacks on readers of traces: plain errors, without contents of the file that a terminal or a CI log would obey."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

resource = pytest.importorskip("resource")

CASES = Path(__file__).parents[3] / "shared" / "cases" / "hostile"
NAMES = [path.stem for path in sorted(CASES.glob("*.kmt"))]
COMMANDS = (
    *(("info",), ("info", "--json"), ("dump",), ("dump", "--json"), ("stats",), ("stats", "--json"), ("check",)),
    *(("replay",), ("replay", "--together"), ("replay", "--github"), ("replay", "--junit", "-"), ("diff",)),
    *(("trim", "--calls", "0-", "-o"), ("recover", "-o"), ("convert", "--to", "jsonl", "-o"), ("convert", "-o")),
)
MEMORY, SECONDS = 1 << 30, 10


def limit_memory() -> None:
    """Limit the memory of a command that is about to start."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))


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
        preexec_fn=limit_memory,
    )
    assert done.returncode in (0, 1, 2), done.stderr
    assert "internal error" not in done.stderr
    assert len(done.stderr.splitlines()) <= 2
    for line in (done.stdout + done.stderr).split("\n"):
        assert line.replace("\t", "").isprintable()
        assert not line.lstrip().startswith(("::", "##[")) or words[-1] == "--github"
