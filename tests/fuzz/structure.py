"""Fuzzer of the commands: traces with valid frames and checksums, and hostile values in them.

python tests/fuzz/structure.py FINDINGS [--seconds N] [--seed N]

Each trace goes to one command, in a child process with 1 GB of addresses and 10 s of processor time. A finding is an
exit status other than 0, 1 or 2, an internal error, or output that a terminal or a CI log would obey. The traces of
findings are kept in the folder FINDINGS. The exit status is 1 with findings.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import os
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgpack

sys.path.insert(0, str(Path(__file__).parents[2]))

from tracekmt import cli
from tracekmt.trace.frames import VERSION, FrameReader, pack_frame, preamble

ROOT = Path(__file__).parents[2]
BASES = ((ROOT / "tests/data/format-0.kmt", 0), *((path, None) for path in sorted((ROOT / "traces").glob("*.kmt"))))
LARGEST_BASE = 40_000
MEMORY, SECONDS = 1 << 30, 10
COMMANDS = (
    *(["info"], ["info", "--json"], ["dump"], ["dump", "--json"], ["stats"], ["stats", "--json"]),
    *(["check"], ["check", "--json"], ["replay"], ["replay", "--together"], ["replay", "--github"], ["diff"]),
    *(["trim", "--calls", "0-", "-o", "OUT.kmt"], ["recover", "-o", "OUT.kmt"], ["convert", "-o", "OUT.jsonl"]),
    *(["convert", "-o", "OUT.c"], ["convert", "-o", "OUT.kmt"], ["convert", "--redact", "-o", "OUT.kmt"]),
)
HOSTILE: tuple[Any, ...] = (
    *(0, 1, -1, 2, 255, 1 << 16, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 40, (1 << 62) + 1, (1 << 63) - 1),
    *((1 << 64) - 1, -(1 << 63), 0.5, float("nan"), float("inf"), None, True, False, "", b"", [], {}),
    *("\x1b[2J", "a\n::add-mask::x", "\u202eabc", "\u2028##[group]", "x" * 70_000, b"\0" * 70_000, "../../x", "%n%s"),
    *({"": {}}, [[]], [None] * 1000, {"unreadable": 1}, "D3DKMTEscape", "hDevice", "STATUS_SUCCESS"),
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths of all values in a value."""
    found = [path]
    if isinstance(value, list):
        for index, item in enumerate(value[:200]):
            found += places(item, (*path, index))
    elif isinstance(value, dict):
        for key, item in value.items():
            found += places(item, (*path, key))
    return found


def hostile(chance: random.Random, value: Any) -> Any:
    """Return a value in place of another one."""
    kind = chance.randrange(6)
    if kind == 0 and isinstance(value, int) and not isinstance(value, bool):
        return max(-(1 << 63), min((1 << 64) - 1, value + chance.choice((-1, 1, -value, value, 1 << 32))))
    if kind == 1 and isinstance(value, list):
        return chance.choice((value * 2, value[:-1], value[1:], value[::-1], [value], value * 300))
    if kind == 2 and isinstance(value, (str, bytes)):
        return chance.choice((value * 2, value[:-1], value[: len(value) // 2], value * 1000))
    if kind == 3:
        nested = value
        for _ in range(chance.choice((1, 5, 50, 400))):
            nested = chance.choice(([nested], {"x": nested}))
        return nested
    return copy.deepcopy(chance.choice(HOSTILE))


def damage(chance: random.Random, frames: list[list[Any]]) -> None:
    """Change a few values, and sometimes the order and number of the frames."""
    for _ in range(chance.choice((1, 1, 2, 3, 8))):
        frame = chance.choice(frames)
        *way, last = chance.choice(places(frame[1])[1:] or [()]) or (None,)
        if last is None:
            frame[1] = hostile(chance, frame[1])
            continue
        parent = frame[1]
        for step in way:
            parent = parent[step]
        if chance.random() < 0.15 and isinstance(parent, dict):
            parent[chance.choice(("", "name", "kind", "\x1b[2J", last))] = parent.pop(last)
        elif chance.random() < 0.1:
            del parent[last]
        else:
            parent[last] = hostile(chance, parent[last])
    for _ in range(chance.choice((0, 0, 0, 1, 3))):
        first, second = chance.randrange(len(frames)), chance.randrange(len(frames))
        if chance.random() < 0.5:
            frames.insert(second, copy.deepcopy(frames[first]))
        elif chance.random() < 0.5 and len(frames) > 2:
            del frames[first]
        else:
            frames[first], frames[second] = frames[second], frames[first]


def hostile_trace(chance: random.Random, bases: list[tuple[int, list[list[Any]]]]) -> bytes:
    """Return a trace with valid frames."""
    while True:
        version, base = chance.choice(bases)
        frames = copy.deepcopy(base)
        damage(chance, frames)
        try:
            return preamble(version) + b"".join(pack_frame(kind, value) for kind, value in frames)
        except (ValueError, OverflowError, TypeError, RecursionError, msgpack.PackException):
            continue  # not a msgpack value


def read_bases() -> list[tuple[int, list[list[Any]]]]:
    """Return the frames of the base traces, with the format version of each."""
    bases = []
    for path, version in BASES:
        if path.stat().st_size <= LARGEST_BASE:
            with path.open("rb") as file:
                frames = [[kind, value] for _, kind, value in FrameReader(path, file).scan()]
            bases.append((VERSION if version is None else version, frames))
    return bases


def limit_resources() -> None:
    """Limit the memory and the time of a command that is about to start."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))


def import_commands(folder: Path) -> None:
    """Run every command here once, so that a child process imports nothing."""
    for command, *options in COMMANDS:
        paths = [str(ROOT / "traces/demo.kmt")] * (1 + (command == "diff"))
        words = [option.replace("OUT", str(folder / "warm")) for option in options]
        with Path(os.devnull).open("w") as null, contextlib.redirect_stdout(null), contextlib.redirect_stderr(null):
            cli.cli.main([command, *paths, *words, *(["-f"] * ("-o" in words))], standalone_mode=False)


def run(words: list[str], output: Path) -> int | str:
    """Run a command in a child process, with stdout and stderr in a file. Return its exit status, or what ended it."""
    pid = os.fork()
    if pid == 0:
        descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        limit_resources()
        sys.argv = ["tracekmt", *words]
        status: Any = 3
        try:
            cli.main()
        except SystemExit as error:
            status = error.code or 0
        finally:
            sys.stdout.flush()
            os._exit(status if isinstance(status, int) else 3)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return code if code >= 0 else f"signal {-code}"


def problem(words: list[str], status: int | str, printed: str) -> str | None:
    """Return what is wrong with the outcome of a command, None for a plain one."""
    if status not in (0, 1, 2):
        return f"it ended with {status}"
    if "internal error" in printed:
        return printed[printed.index("internal error") :].splitlines()[0]
    for line in printed.split("\n"):
        if not line.replace("\t", "").isprintable():
            return f"unprintable output: {line!r:.100}"
        if line.lstrip().startswith(("::", "##[")) and "--github" not in words:
            return f"a workflow command: {line!r:.100}"
    return None


def fuzz(findings: Path, seconds: float, seed: int, say: Callable[[str], None]) -> int:
    """Run commands on hostile traces until the time is over. Return the number of findings."""
    chance, bases = random.Random(seed), read_bases()
    findings.mkdir(parents=True, exist_ok=True)
    deadline, runs, found = time.monotonic() + seconds, 0, 0
    with tempfile.TemporaryDirectory() as scratch:
        trace, output = Path(scratch, "t.kmt"), Path(scratch, "output")
        import_commands(Path(scratch))
        while time.monotonic() < deadline:
            trace.write_bytes(hostile_trace(chance, bases))
            command, *options = chance.choice(COMMANDS)
            options = [option.replace("OUT", f"{scratch}/out{runs}") for option in options]
            words = [command, str(trace), *([str(trace)] if command == "diff" else []), *options]
            status = run(words, output)
            reason = problem(words, status, output.read_text(encoding="utf-8", errors="replace"))
            for path in Path(scratch).glob("out[0-9]*"):
                path.unlink()
            runs += 1
            if reason is not None:
                found += 1
                kept = findings / f"{seed}-{runs}.kmt"
                kept.write_bytes(trace.read_bytes())
                say(f"{kept.name}: tracekmt {command} {' '.join(options)}: {reason}")
    say(f"{runs} runs, {found} findings, seed {seed}")
    return found


def main() -> int:
    """Parse the command line and fuzz."""
    parser = argparse.ArgumentParser(description="Run commands on traces with hostile values in valid frames.")
    parser.add_argument("findings", type=Path)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    arguments = parser.parse_args()
    return int(fuzz(arguments.findings, arguments.seconds, arguments.seed, print) > 0)


if __name__ == "__main__":
    sys.exit(main())
