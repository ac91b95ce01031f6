"""The atlas: a case for each rule, a C program that runs them, and machines read from its output."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import tracekmt
from tests.convert.programs import COMPILERS, STRICT
from tests.native import skip_without
from tests.skips import LINUX_PART
from tests.windows import wine_environment
from tracekmt.atlas.cases import Atlas, can_block, write_atlas
from tracekmt.atlas.observed import differences, read_machines
from tracekmt.calls import CALLS
from tracekmt.convert import convert
from tracekmt.errors import UsageError
from tracekmt.simulator import BEHAVIOURS
from tracekmt.simulator.rule import rule_name

Command = Callable[..., subprocess.CompletedProcess[str]]
REGISTERS = 6
LEAST_CASES = 450


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("atlas")


@pytest.fixture(scope="module")
def atlas(folder: Path) -> Atlas:
    return write_atlas(folder / "atlas.kmt")


@pytest.fixture(scope="module")
def source(folder: Path, atlas: Atlas) -> Path:
    """Return the C program of all cases that cannot block or disturb a machine."""
    assert atlas.cases
    path = folder / "atlas.c"
    convert(folder / "atlas.kmt", path, "c", calls=lambda _, name: not can_block(name))
    return path


@pytest.fixture(scope="module")
def printed(folder: Path, source: Path) -> Path:
    """Return the output of the program on the simulator."""
    if sys.platform != "linux":
        pytest.skip(LINUX_PART)
    if shutil.which("gcc") is None:
        skip_without("gcc")
    library, program, output = folder / "libatlas.so", folder / "atlas", folder / "printed.txt"
    functions = folder / "library.c"
    functions.write_text("".join(f"int {name}(void) {{ return 0xC00000BB; }}\n" for name in CALLS))
    subprocess.run(["gcc", "-shared", "-fPIC", "-w", functions, "-o", library], check=True)
    subprocess.run(["gcc", "-w", source, "-o", program, "-ldl"], check=True)
    words = [sys.executable, "-m", "tracekmt", "run", "--module", library.name, "--", str(program), str(library)]
    with output.open("wb") as file:
        subprocess.run(words, stdout=file, check=False, timeout=120)
    return output


def test_most_rules_have_a_case(atlas: Atlas) -> None:
    simulator = tracekmt.Simulator()
    rules = {rule_name(name, rule) for name in BEHAVIOURS for rule in simulator.rules(name)}
    rules |= {rule_name(name, BEHAVIOURS[name].null) for name in BEHAVIOURS if not CALLS[name].argument.parameters}
    covered = {case.rule for case in atlas.cases}
    assert len(covered) > LEAST_CASES
    assert covered | set(atlas.uncovered) == rules
    assert not covered & set(atlas.uncovered)
    assert sum(bool(case.later) for case in atlas.cases) > 50


def test_a_case_is_the_call_that_breaks_its_rule(folder: Path, atlas: Atlas) -> None:
    with tracekmt.open(folder / "atlas.kmt") as trace:
        for case in atlas.cases:
            call = trace[case.index]
            assert call.status is not None
            assert (call.name, call.status.name) == (case.rule.partition(": ")[0], case.status)
    assert tracekmt.replay(folder / "atlas.kmt").same


def test_the_atlas_is_the_same_each_time(folder: Path, atlas: Atlas, tmp_path: Path) -> None:
    assert write_atlas(tmp_path / "again.kmt") == atlas
    assert (tmp_path / "again.kmt").read_bytes() == (folder / "atlas.kmt").read_bytes()


@pytest.mark.parametrize("system", COMPILERS)
def test_it_compiles_without_warnings(source: Path, tmp_path: Path, system: str) -> None:
    if sys.platform != "linux":
        pytest.skip(LINUX_PART)
    compiler, *options = COMPILERS[system]
    if shutil.which(compiler) is None:
        skip_without(f"{compiler}, to build reproducers with")
    subprocess.run([compiler, *options, *STRICT, "-c", source, "-o", tmp_path / "atlas.o"], check=True)


def test_every_rule_holds_on_the_simulator(printed: Path) -> None:
    """A function with more parameters than registers stays the library's."""
    (machine,) = read_machines(printed)
    assert machine.complete
    wrong = {seen.case.rule.partition(": ")[0] for seen in machine.observations if seen.holds is False}
    assert all(len(CALLS[name].argument.members) > REGISTERS for name in wrong), wrong
    assert sum(seen.holds is True for seen in machine.observations) > 400


def test_a_machine_with_other_statuses(folder: Path, printed: Path, atlas: Atlas, tmp_path: Path) -> None:
    """Its file makes the simulator answer as the machine did."""
    changed = tmp_path / "other.txt"
    text = printed.read_text("ascii")
    cases = [case for case in atlas.cases if not case.later and f"\ncall {case.index} " in text]
    other = {case.index: "0xc0000022" for case in cases[20:300:40]}
    for index, status in other.items():
        text = re.sub(rf"(?m)^(call {index} \w+\nresult )0x\w+", rf"\g<1>{status}", text)
    changed.write_text(text, "ascii")
    (machine,) = read_machines(changed)
    profile = tmp_path / "other.toml"
    profile.write_text(machine.to_toml(), "utf-8")
    simulated = simulated_statuses(folder / "atlas.kmt", profile)
    assert len(other) > 5
    assert {index: simulated[index] for index in other} == dict.fromkeys(other, "STATUS_ACCESS_DENIED")


def simulated_statuses(trace: Path, profile: Path) -> dict[int, str]:
    """Make the calls of a trace on a simulator with a machine file, and return the statuses by index."""
    simulator = tracekmt.Simulator(str(profile), adapters=[{"luid": [1, 0]}])
    with tracekmt.open(trace) as opened:
        return {call.index: simulator.call(call.name, call.inputs).status.name for call in opened.calls()}


def test_the_command(command: Command, printed: Path, tmp_path: Path) -> None:
    written = command("atlas", "-o", tmp_path / "atlas.c")
    assert written.returncode == 0
    assert "rules have no case" in written.stdout
    assert (tmp_path / "atlas.c").stat().st_size < 1 << 20
    run = command("atlas", "--read", printed, "-o", tmp_path / "machine.toml")
    assert "0 because the function is missing" in run.stdout
    assert tracekmt.Simulator(str(tmp_path / "machine.toml"))
    rows = json.loads(command("atlas", "--read", printed, "--json").stdout)
    assert {row["holds"] for row in rows["cases"]} >= {True, None}
    same = command("atlas", "--read", printed, "--read", printed)
    assert (same.returncode, same.stdout.split(": ")[1].split(" ")[0]) == (0, "0")


def test_two_machines_differ(printed: Path, tmp_path: Path) -> None:
    lines = printed.read_text("ascii").splitlines()
    at = next(number for number, line in enumerate(lines) if line == "result 0xc000000d")
    lines[at] = "result 0xc0000001"
    (tmp_path / "other.txt").write_text("\n".join(lines) + "\n")
    first, second = read_machines(printed, tmp_path / "other.txt")
    assert [(a.status, b.status) for a, b in differences(first, second)] == [
        ("STATUS_INVALID_PARAMETER", "STATUS_UNSUCCESSFUL")
    ]


def test_output_of_another_program_is_refused(printed: Path, command: Command, tmp_path: Path) -> None:
    other = tmp_path / "other.txt"
    other.write_text(re.sub(r"trace \w+", "trace 0123456789abcdef", printed.read_text("ascii")), "ascii")
    with pytest.raises(UsageError, match="printed by the atlas of another version"):
        read_machines(other)
    for words in ((), ("--read", printed, "--read", printed, "--read", printed), ("--read", printed, "--all")):
        assert command("atlas", *words).returncode == 2


def test_on_wine(source: Path, tmp_path: Path) -> None:
    """No call ends the program. The statuses that Wine returns are those of the machine file."""
    compiler = "x86_64-w64-mingw32-gcc"
    if sys.platform != "linux":
        pytest.skip(LINUX_PART)
    if shutil.which("wine") is None or shutil.which(compiler) is None:
        skip_without("Wine, and a compiler for it")
    program, printed = tmp_path / "atlas.exe", tmp_path / "wine.txt"
    subprocess.run([compiler, "-w", source, "-o", program], check=True)
    with printed.open("wb") as file:
        environment = wine_environment(tmp_path / "prefix")
        subprocess.run(["wine", program, "--keep-going"], env=environment, stdout=file, timeout=300, check=False)
    (machine,) = read_machines(printed)
    assert machine.complete
    assert sum(seen.holds is True for seen in machine.observations) > 10
    assert any(seen.holds is False for seen in machine.observations)
    (tmp_path / "wine.toml").write_text(machine.to_toml(), "utf-8")
    simulated = simulated_statuses(source.with_suffix(".kmt"), tmp_path / "wine.toml")
    differing = {seen.case.index: seen.status for seen in machine.observations if seen.holds is False}
    assert {index: simulated[index] for index in differing} == differing
