"""The atlas: a case for each rule, a C program that runs them, and machines read from its output."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

import tracekmt
from tests.convert.programs import COMPILERS, STRICT
from tests.native import skip_without
from tests.skips import LINUX_PART
from tests.windows import wine_environment
from tracekmt.atlas.cases import FIRST, Case, write_atlas
from tracekmt.atlas.observed import differences, read_machine
from tracekmt.atlas.program import write_atlas_program
from tracekmt.calls import CALLS
from tracekmt.errors import UsageError
from tracekmt.simulator import BEHAVIOURS
from tracekmt.simulator.rule import SUCCESS, rule_name

Command = Callable[..., subprocess.CompletedProcess[str]]
UNTRIED = {
    "no parameter of the function is a handle of the interface": 21,
    "its structures differ between builds of Windows": 10,
    "it requires a machine whose memory is used up": 9,
    "it requires a device that owns a display": 7,
    "no call breaks it before another rule": 8,
    "it requires a 32-bit process": 3,
    "it requires an adapter older than WDDM 2.0": 2,
    "it requires 4 GB of private data": 2,
    "it requires a stopped adapter": 1,
}
TRIED_BY_ALL = 97


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("atlas")


@pytest.fixture(scope="module")
def cases(folder: Path) -> list[Case]:
    return write_atlas(folder / "atlas.kmt")


@pytest.fixture(scope="module")
def source(folder: Path) -> Path:
    """Return the C program of all cases that cannot block or disturb a machine."""
    assert write_atlas_program(folder / "atlas.c")
    return folder / "atlas.c"


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


def test_every_rule_has_a_case_or_a_reason(cases: list[Case]) -> None:
    simulator = tracekmt.Simulator()
    rules = {rule_name(name, rule) for name in BEHAVIOURS for rule in simulator.rules(name)}
    rules |= {rule_name(name, BEHAVIOURS[name].null) for name in BEHAVIOURS if not CALLS[name].argument.parameters}
    single = [case for case in cases if not case.later]
    assert Counter(case.rule for case in single) == Counter(rules)
    assert [case.number for case in cases] == list(range(1, len(cases) + 1))
    reasons = Counter(case.untried for case in single if case.untried)
    assert {reason: count for reason, count in reasons.items() if "(--all)" not in reason} == UNTRIED
    assert sum(count for reason, count in reasons.items() if "(--all)" in reason) == TRIED_BY_ALL
    assert sum(not case.untried for case in single) == len(rules) - sum(reasons.values()) == 525
    assert sum(bool(case.later) for case in cases) == 81


def test_the_whole_atlas_tries_what_only_the_machine_does_not_prevent(tmp_path: Path) -> None:
    reasons = Counter(case.untried for case in write_atlas(tmp_path / "whole.kmt", is_whole=True) if case.untried)
    assert reasons == UNTRIED


def test_the_first_cases_are_those_of_the_page_about_create_allocation(folder: Path, cases: list[Case]) -> None:
    """Four statuses and two restrictions. Two statuses require a machine without memory."""
    assert tuple(case.rule for case in cases[:6]) == FIRST
    assert [case.status for case in cases[:6]] == [
        "STATUS_DEVICE_REMOVED",
        "STATUS_INVALID_PARAMETER",
        "STATUS_NO_MEMORY",
        "STATUS_GRAPHICS_NO_VIDEO_MEMORY",
        "STATUS_INVALID_PARAMETER",
        "STATUS_INVALID_PARAMETER",
    ]
    assert [bool(case.untried) for case in cases[:6]] == [False, False, True, True, False, False]
    with tracekmt.open(folder / "atlas.kmt") as trace:
        lost, _, _, _, shared, grown = ([trace[need].name for need in case.needs] for case in cases[:6])
    assert lost == ["D3DKMTCreateDevice", "D3DKMTMarkDeviceAsError"]
    assert shared == ["D3DKMTCreateDevice"]
    assert grown == ["D3DKMTCreateDevice", "D3DKMTCreateAllocation2"]


def test_a_case_is_the_call_that_breaks_its_rule(folder: Path, cases: list[Case]) -> None:
    with tracekmt.open(folder / "atlas.kmt") as trace:
        for case in cases:
            if case.untried:
                continue
            call = trace[case.index]
            assert call.status is not None
            assert (call.name, call.status.name) == (case.rule.partition(": ")[0], case.status)
            assert all(trace[need].succeeded and need < case.index for need in case.needs)
    assert tracekmt.replay(folder / "atlas.kmt").same


def test_the_atlas_is_the_same_each_time(folder: Path, cases: list[Case], tmp_path: Path) -> None:
    assert write_atlas(tmp_path / "again.kmt") == cases
    assert (tmp_path / "again.kmt").read_bytes() == (folder / "atlas.kmt").read_bytes()


@pytest.mark.parametrize("system", COMPILERS)
def test_it_compiles_without_warnings(source: Path, tmp_path: Path, system: str) -> None:
    if sys.platform != "linux":
        pytest.skip(LINUX_PART)
    compiler, *options = COMPILERS[system]
    if shutil.which(compiler) is None:
        skip_without(f"{compiler}, to build reproducers with")
    subprocess.run([compiler, *options, *STRICT, "-c", source, "-o", tmp_path / "atlas.o"], check=True)


def test_every_rule_holds_on_the_simulator(printed: Path, cases: list[Case]) -> None:
    machine = read_machine(printed)
    assert machine.complete
    outcomes = Counter(seen.outcome for seen in machine.observations)
    tried = sum(not case.untried for case in cases)
    assert outcomes == {"holds": tried, "not reached": len(cases) - tried}
    assert {seen.reason for seen in machine.observations if seen.reason} == {case.untried for case in cases} - {""}


def change_results(printed: Path, changed: Path, results: dict[int, str], line: str = "result") -> Path:
    """Copy an output with other results of cases, by the number of the case."""
    text = printed.read_text("ascii")
    for number, result in results.items():
        text, count = re.subn(
            rf"(?m)^(case {number}[ :].*\n(?:before .*\n)?call .*\n)result 0x\w+", rf"\g<1>{line} {result}", text
        )
        assert count == 1
    changed.write_text(text, "ascii")
    return changed


def tried_cases(cases: list[Case]) -> list[Case]:
    return [case for case in cases if not case.untried and not case.later]


def test_a_machine_with_other_statuses(folder: Path, printed: Path, cases: list[Case], tmp_path: Path) -> None:
    """Its file makes the simulator answer as the machine did."""
    other = tried_cases(cases)[20:500:40]
    changed = change_results(printed, tmp_path / "other.txt", {case.number: "0xc0000022" for case in other})
    profile = tmp_path / "other.toml"
    profile.write_text(read_machine(changed).to_toml(), "utf-8")
    simulated = simulated_statuses(folder / "atlas.kmt", profile)
    assert len(other) > 5
    assert {case.index: simulated[case.index] for case in other} == {
        case.index: "STATUS_ACCESS_DENIED" for case in other
    }


def test_repetitions_that_differ_are_flaky(command: Command, printed: Path, cases: list[Case], tmp_path: Path) -> None:
    flaky, crashed = tried_cases(cases)[10], tried_cases(cases)[11]
    text = printed.read_text("ascii")
    for case, again in ((flaky, "0xc0000022"), (crashed, "crashed")):
        text = re.sub(rf"(?m)^(case {case.number}[ :].*\ncall .*\nresult .*\n)", rf"\g<1>again {again}\n", text)
    (tmp_path / "flaky.txt").write_text(text, "ascii")
    machine = read_machine(tmp_path / "flaky.txt")
    assert [seen.rule for seen in machine.observations if seen.outcome == "flaky"] == [flaky.rule, crashed.rule]
    assert machine.rules[flaky.rule].observed == (flaky.status, "STATUS_ACCESS_DENIED")
    assert machine.rules[crashed.rule].observed == (crashed.status, "STATUS_ACCESS_VIOLATION")
    assert flaky.rule not in machine.to_toml()
    run = command("atlas", "--read", tmp_path / "flaky.txt")
    assert run.returncode == 1
    assert "2 are flaky" in run.stdout


def test_a_case_whose_object_was_not_created_is_not_reached(printed: Path, cases: list[Case], tmp_path: Path) -> None:
    text, count = re.subn(
        r"(?m)^(call \d+ D3DKMTMarkDeviceAsError\n)result 0x0+$", r"\g<1>result 0xc00000bb", printed.read_text("ascii")
    )
    assert count == 1
    (tmp_path / "other.txt").write_text(text, "ascii")
    seen = read_machine(tmp_path / "other.txt").rules[cases[0].rule]
    assert (seen.outcome, seen.observed) == ("not reached", ())
    assert re.fullmatch(r"D3DKMTMarkDeviceAsError, which it requires, failed", seen.reason)


def simulated_statuses(trace: Path, profile: Path) -> dict[int, str]:
    """Make the calls of a trace on a simulator with a machine file, and return the statuses by index."""
    simulator = tracekmt.Simulator(str(profile), adapters=[{"luid": [1, 0]}])
    with tracekmt.open(trace) as opened:
        return {call.index: simulator.call(call.name, call.inputs).status.name for call in opened.calls()}


def test_the_command(command: Command, printed: Path, tmp_path: Path) -> None:
    written = command("atlas", "-o", tmp_path / "atlas.c")
    assert written.returncode == 0
    assert "160 rules not tried:" in written.stdout
    assert (tmp_path / "atlas.c").stat().st_size < 1 << 20
    run = command("atlas", "--read", printed, "-o", tmp_path / "machine.toml")
    assert (run.returncode, "606 hold, 0 do not" in run.stdout) == (0, True)
    assert "    9  it requires a machine whose memory is used up" in run.stdout
    whole = command("atlas", "--read", printed, "-v").stdout
    assert whole.count("\n    holds\n") == 606
    assert whole.count("\n    not reached: it requires a machine whose memory is used up\n") == 9
    assert tracekmt.Simulator(str(tmp_path / "machine.toml"))
    rows = json.loads(command("atlas", "--read", printed, "--json").stdout)
    assert {row["holds"] for row in rows["cases"]} == {True, None}
    same = command("atlas", "--read", printed, "--read", printed)
    assert (same.returncode, same.stdout.split(": ")[1].split(" ")[0]) == (0, "0")


def test_two_machines_differ(command: Command, printed: Path, cases: list[Case], tmp_path: Path) -> None:
    case = tried_cases(cases)[7]
    other = change_results(printed, tmp_path / "other.txt", {case.number: "0xc0000001"})
    pairs = list(differences(read_machine(printed), read_machine(other)))
    assert [(a.observed, b.observed) for a, b in pairs] == [((case.status,), ("STATUS_UNSUCCESSFUL",))]
    run = command("atlas", "--read", printed, "--read", other, "--json")
    assert run.returncode == 1
    assert json.loads(run.stdout) == [{"rule": case.rule, "later": None, "a": case.status, "b": "STATUS_UNSUCCESSFUL"}]


def test_output_without_cases_is_refused(printed: Path, command: Command, tmp_path: Path) -> None:
    text = printed.read_text("ascii")
    head = text[: text.index("not tried:")]
    (tmp_path / "other.txt").write_text(head, "ascii")
    with pytest.raises(UsageError, match="no cases"):
        read_machine(tmp_path / "other.txt")
    for words in (
        (),
        ("--read", printed, "--read", printed, "--read", printed),
        ("--read", printed, "--all"),
        ("--read", printed, "-v", "--json"),
    ):
        assert command("atlas", *words).returncode == 2


def test_a_null_list_breaks_another_rule_in_a_32_bit_process(printed: Path, tmp_path: Path) -> None:
    name = "D3DKMTOpenResource: the list of allocations is NULL"
    text, count = re.subn(r"(?m)(?<=pointers )8", "4", printed.read_text("ascii"))
    assert count == 1
    (tmp_path / "x86.txt").write_text(text, "ascii")
    rules = read_machine(tmp_path / "x86.txt").rules
    assert rules[name].outcome == "not reached"
    assert rules[f"{name}, in a 32-bit process"].observed == ("STATUS_INVALID_PARAMETER",)


def test_rules_of_another_version_are_left_out(printed: Path, cases: list[Case], tmp_path: Path) -> None:
    """A later version has other rules, and reads the output all the same."""
    case = tried_cases(cases)[30]
    reason = case.rule.partition(": ")[2]
    text, count = re.subn(
        rf"(?m)^(case {case.number}[ :].*) {re.escape(reason)}$", r"\g<1> another rule", printed.read_text("ascii")
    )
    assert count == 1
    (tmp_path / "other.txt").write_text(re.sub(r"trace \w+", "trace 0123456789abcdef", text), "ascii")
    machine = read_machine(tmp_path / "other.txt")
    assert machine.rules[case.rule].reason == "the output does not have it"
    assert all("another rule" not in rule for rule in machine.rules)


def test_every_rule_can_be_observed_not_to_hold(folder: Path, cases: list[Case]) -> None:
    """The call succeeds by the machine file, even if it breaks a later rule too, or has nothing to work on."""
    with tracekmt.open(folder / "atlas.kmt") as trace:
        setup = [trace[index] for index in range(min(case.index for case in cases if not case.untried))]
        for case in tried_cases(cases)[::7]:
            simulator = tracekmt.Simulator(adapters=[{"luid": [1, 0]}], assumptions={case.rule: SUCCESS})
            for call in setup:
                simulator.call(call.name, call.inputs)
            assert simulator.call(trace[case.index].name, trace[case.index].inputs).status.name == SUCCESS, case.rule


def test_a_status_of_two_broken_rules_wins(folder: Path, cases: list[Case]) -> None:
    pairs = {case.index: f"{case.rule}, before: {case.later.partition(': ')[2]}" for case in cases if case.later}
    assumptions = dict.fromkeys(pairs.values(), "STATUS_ACCESS_DENIED")
    simulator = tracekmt.Simulator(adapters=[{"luid": [1, 0]}], assumptions=assumptions)
    with tracekmt.open(folder / "atlas.kmt") as trace:
        for call in trace.calls():
            expected = "STATUS_ACCESS_DENIED" if call.index in pairs else call.outcome_text.split()[-1]
            assert simulator.call(call.name, call.inputs).status.name == expected


def test_a_machine_with_another_order_of_checks(printed: Path, cases: list[Case], tmp_path: Path) -> None:
    """Only a pair whose status the first rule does not explain has an entry."""
    pair = next(case for case in cases if case.later)
    other = change_results(printed, tmp_path / "other.txt", {pair.number: "0xc0000022"})
    name = f"{pair.rule}, before: {pair.later.partition(': ')[2]}"
    assert read_machine(other).to_toml().splitlines()[2:] == [f'{json.dumps(name)} = "STATUS_ACCESS_DENIED"']


def test_on_wine(folder: Path, source: Path, cases: list[Case], tmp_path: Path) -> None:
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
        subprocess.run(["wine", program], env=environment, stdout=file, timeout=300, check=False)
    machine = read_machine(printed)
    assert machine.complete
    assert sum(seen.outcome == "holds" for seen in machine.observations) > 20
    assert any(seen.outcome == "does not hold" for seen in machine.observations)
    (tmp_path / "wine.toml").write_text(machine.to_toml(), "utf-8")
    simulated = simulated_statuses(folder / "atlas.kmt", tmp_path / "wine.toml")
    indexes = {(case.rule, case.later.partition(": ")[2]): case.index for case in cases}
    observed = {indexes[seen.rule, seen.later]: seen.observed[0] for seen in machine.observations if seen.observed}
    assert {index: simulated[index] for index in observed} == observed
    trace = tmp_path / "recorded.kmt"
    subprocess.run(
        [sys.executable, "-m", "tracekmt", "record", "-o", trace, "--", "wine", program],
        env=environment,
        stdout=subprocess.DEVNULL,
        timeout=300,
        check=False,
    )
    report = tracekmt.replay(trace, on=tracekmt.Simulator(str(tmp_path / "wine.toml")))
    assert report.same
    assert report.to_dict()["calls"]["compared"] > 80
