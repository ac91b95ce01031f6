"""A command that is killed while it writes leaves its output whole or unchanged."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

import tracekmt
from tracekmt.errors import Error

KILLS = 200 if "TRACEKMT_SOAK" in os.environ else 6 if "CI" in os.environ else 3
"""Number of times that each command is killed at a random moment."""

OLD = b"an existing file"


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a sealed trace, the same without its end, and the same as JSON lines."""
    folder = tmp_path_factory.mktemp("sources")
    simulator = tracekmt.Simulator()
    with tracekmt.create(folder / "sealed.kmt", machine=simulator.machine.settings()) as trace:

        def call(name: str, **inputs: object) -> int:
            outcome = simulator.call(name, inputs)
            trace.add(name, inputs, outcome.outputs, outcome.status)
            return int(outcome.outputs.get("hAdapter") or outcome.outputs.get("hDevice") or 0)

        adapter = call("D3DKMTOpenAdapterFromLuid", AdapterLuid={"LowPart": 1, "HighPart": 0})
        for _ in range(8000):
            call("D3DKMTDestroyDevice", hDevice=call("D3DKMTCreateDevice", hAdapter=adapter))
    sealed = (folder / "sealed.kmt").read_bytes()
    (folder / "unfinished.kmt").write_bytes(sealed[: len(sealed) * 9 // 10])
    words = [sys.executable, "-m", "tracekmt", "convert", "sealed.kmt", "-o", "sealed.jsonl"]
    subprocess.run(words, cwd=folder, check=True, capture_output=True)
    return folder


COMMANDS: dict[str, tuple[str, list[str]]] = {
    "trim": ("out.kmt", ["trim", "sealed.kmt", "--calls", "10-15900"]),
    "recover": ("out.kmt", ["recover", "unfinished.kmt"]),
    "replay": ("out.kmt", ["replay", "sealed.kmt", "--on", "simulator"]),
    "redact": ("out.kmt", ["convert", "sealed.kmt", "--redact"]),
    "to_json": ("out.jsonl", ["convert", "sealed.kmt"]),
    "from_json": ("out.kmt", ["convert", "sealed.jsonl"]),
    "to_c": ("out.c", ["convert", "sealed.kmt"]),
}


def is_whole(path: Path, reference: Path) -> bool:
    """Return True if an output is what the command writes if nothing kills it."""
    if path.suffix != ".kmt" and ".kmt-" not in path.name:
        return path.read_bytes() == reference.read_bytes()
    with tracekmt.open(path) as trace, tracekmt.open(reference) as expected:
        assert len(expected) > 100
        return (len(trace), trace.ended, trace.damage) == (len(expected), expected.ended, expected.damage)


def is_taken_for_whole(path: Path) -> bool:
    """Return True if a file is read as a trace without damage."""
    try:
        with tracekmt.open(path) as trace:
            return trace.damage is None and trace.ended is not None
    except Error:
        return False


class Run:
    """A run of a command in a new folder, which may have an output already.

    Attributes:
        folder: The folder.
        process: The command.
    """

    def __init__(self, folder: Path, sources: Path, words: list[str], name: str, existing: bytes | None) -> None:
        folder.mkdir()
        for source in sources.iterdir():
            (folder / source.name).hardlink_to(source)
        if existing is not None:
            (folder / name).write_bytes(existing)
        argv = [sys.executable, "-m", "tracekmt", *words, "-o", name, *["-f"] * (existing is not None)]
        self.folder = folder
        self.process = subprocess.Popen(argv, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def partial_files(self) -> list[Path]:
        return list(self.folder.glob(".*.part"))

    def wait_until_it_writes(self) -> None:
        deadline = time.monotonic() + 60
        while self.process.poll() is None and not self.partial_files():
            assert time.monotonic() < deadline
            time.sleep(0.001)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_killed_command_leaves_its_output_whole_or_unchanged(sources: Path, tmp_path: Path, command: str) -> None:
    name, words = COMMANDS[command]
    run = Run(tmp_path / "reference", sources, words, name, None)
    run.wait_until_it_writes()
    started = time.monotonic()
    assert run.process.wait(60) == 0
    seconds = time.monotonic() - started
    reference = tmp_path / "reference" / name
    partial = unfinished = 0
    for attempt in range(KILLS):
        chance = random.Random(attempt)
        existing = OLD if chance.random() < 0.5 else None
        run = Run(tmp_path / str(attempt), sources, words, name, existing)
        run.wait_until_it_writes()
        time.sleep(chance.random() ** 2 * seconds * 0.7)
        run.process.kill()
        status = run.process.wait(60)
        output = run.folder / name
        if output.exists() and output.read_bytes() != OLD:
            assert is_whole(output, reference)
        else:
            assert status != 0
            assert output.exists() == (existing is not None)
            unfinished += 1
        for part in run.partial_files():
            partial += 1
            assert not is_taken_for_whole(part) or is_whole(part, reference)
        shutil.rmtree(run.folder)
    print(f"{command}: killed {KILLS} times, {unfinished} times before the end, {partial} partial files")
    assert unfinished
