"""Programs on the simulator: what they get, and what becomes of them and of us."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.skips import LINUX_PART

if sys.platform != "linux":
    pytest.skip(LINUX_PART, allow_module_level=True)

import tracekmt
from tests.native import LIBRARY_STATUS
from tests.record.client import wait_for
from tests.run.conftest import Program
from tracekmt.replayer.together import replay_together

Command = Callable[..., subprocess.CompletedProcess[str]]
CREATE_FENCE, WAIT = "D3DKMTCreateSynchronizationObject2", "D3DKMTWaitForSynchronizationObjectFromCpu"


def test_a_program_and_its_child_on_one_machine(program: Program, command: Command, tmp_path: Path) -> None:
    """The program checks memory, fences, waits and sharing. Its traces replay the same."""
    trace = tmp_path / "run.kmt"
    run = command("run", "--children", *program.options, "-o", trace, "--", *program.argv())
    assert (run.returncode, run.stdout) == (0, ""), run.stderr
    traces = sorted(tmp_path.glob("run*.kmt"))
    assert len(traces) == 2
    for report in replay_together(traces):
        assert report.same
        assert report.calls.compared == report.total > 9
    with tracekmt.open(trace) as opened:
        assert opened.header.settings["answered_by"] == "simulator"
        assert all(call.returned for call in opened.calls())


def test_calls_of_eight_threads(program: Program, command: Command, tmp_path: Path) -> None:
    trace = tmp_path / "run.kmt"
    run = command("run", *program.options, "-o", trace, "--", *program.argv("calls", "8"))
    assert run.returncode == 0, run.stderr
    with tracekmt.open(trace) as opened:
        assert Counter(call.name for call in opened.calls())[WAIT] == 8 * 250
    assert tracekmt.replay(trace).same


def test_without_a_trace(program: Program, command: Command, tmp_path: Path) -> None:
    run = command("run", *program.options, "--", *program.argv("calls", "8"))
    assert run.returncode == 0
    assert run.stderr == "simulated: 8002 calls; the process ended with status 0\n"
    assert list(tmp_path.iterdir()) == []


def test_an_injected_failure(program: Program, command: Command, tmp_path: Path) -> None:
    """The program gets the status. The trace and its replay know where it is from."""
    trace, fault = tmp_path / "run.kmt", "CreateSynchronizationObject2@1=STATUS_NO_MEMORY"
    run = command("run", *program.options, "--fail", fault, "-o", trace, "--", *program.argv("wait"))
    assert run.returncode == 1
    assert f"injected: {fault}: 1 call" in run.stderr
    with tracekmt.open(trace) as opened:
        injected = {call.name: call.injection for call in opened.calls() if call.injection is not None}
    assert {name: injection.text for name, injection in injected.items()} == {CREATE_FENCE: fault}
    assert tracekmt.replay(trace).same


def test_a_machine_with_little_memory(program: Program, command: Command, tmp_path: Path) -> None:
    trace = tmp_path / "run.kmt"
    run = command("run", *program.options, "--system-memory", "0MB", "-o", trace, "--", *program.argv())
    assert run.returncode == 1
    assert "D3DKMTCreateAllocation2  STATUS_NO_MEMORY" in run.stderr


def test_a_profile(program: Program, command: Command, tmp_path: Path) -> None:
    """A machine file names the adapters. The program asks for another one."""
    machine = tmp_path / "machine.toml"
    machine.write_text("[[adapters]]\nluid = [7, 0]\n")
    run = command("run", *program.options, "--profile", machine, "--", *program.argv("calls", "8"))
    assert run.returncode == 1
    assert "D3DKMTOpenAdapterFromLuid  STATUS_INVALID_PARAMETER" in run.stderr


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_end_of_the_simulator(program: Program, tmp_path: Path, number: int) -> None:
    """The program goes on with the functions of the library. A call that waits for an answer is made there."""
    run, output = start(program, tmp_path)
    run.send_signal(number)
    run.wait(20)
    wait_for(lambda: output.read_text("utf-8") == f"waiting\n{LIBRARY_STATUS}\n", 20)


def test_the_end_of_the_program(program: Program, tmp_path: Path) -> None:
    run, _ = start(program, tmp_path)
    (child,) = [pid for pid in os.listdir("/proc") if pid.isdigit() and is_program(pid, program)]
    os.kill(int(child), signal.SIGKILL)
    assert run.wait(20) == 128 + signal.SIGKILL
    with tracekmt.open(tmp_path / "run.kmt") as opened:
        assert [call.name for call in opened.calls() if not call.returned] == [WAIT]


def start(program: Program, folder: Path) -> tuple[subprocess.Popen[bytes], Path]:
    """Start `tracekmt run` with a program that waits. Return the command, and the file with the program's output."""
    output = folder / "output.txt"
    arguments = ["run", *program.options, "-o", str(folder / "run.kmt"), "--", *program.argv("wait")]
    with output.open("wb") as file:
        run = subprocess.Popen([sys.executable, "-m", "tracekmt", *arguments], stdout=file)
    wait_for(lambda: output.read_text("utf-8") == "waiting\n", 60)
    return run, output


def is_program(pid: str, program: Program) -> bool:
    try:
        return Path(f"/proc/{pid}/exe").resolve() == program.path
    except OSError:
        return False


SEVEN = """
typedef unsigned long long word;
int NtDuplicateObject(word process, word handle, word target, word *to, unsigned access, unsigned attributes,
                      unsigned options)
{
    volatile word sum = process + handle + target + access + attributes + options;
    *to = sum;
    return (int)options;
}
"""
CALLS_SEVEN = """
#include <dlfcn.h>
#include <stdio.h>
typedef unsigned long long word;
int main(int argc, char **argv)
{
    word to = 0, self = ~0ULL;
    int (*duplicate)(word, word, word, word *, unsigned, unsigned, unsigned);
    duplicate = dlsym(dlopen(argv[argc - 1], RTLD_NOW), "NtDuplicateObject");
    printf("%x ", duplicate(self, self, self, &to, 0x10, 0x20, 2));
    printf("%llx\\n", to);
    return 0;
}
"""


def test_a_function_with_seven_parameters(command: Command, tmp_path: Path) -> None:
    """The last one is on the stack. A recorded function gets it, and the simulator does."""
    for name, text, options in (("seven.so", SEVEN, ["-shared", "-fPIC"]), ("calls", CALLS_SEVEN, ["-ldl"])):
        (tmp_path / f"{name}.c").write_text(text)
        subprocess.run(["gcc", "-O1", tmp_path / f"{name}.c", "-o", tmp_path / name, *options], check=True)
    words = ["--module", "seven.so", "--", tmp_path / "calls", tmp_path / "seven.so"]
    recorded = command("record", "-o", tmp_path / "recorded.kmt", *words)
    assert (recorded.returncode, recorded.stdout) == (0, "2 2f\n")
    run = command("run", "-o", tmp_path / "run.kmt", *words)
    status, handle = run.stdout.split()
    assert (run.returncode, status, int(handle, 16) >= 1 << 20) == (0, "0", True)
    for trace in ("recorded.kmt", "run.kmt"):
        with tracekmt.open(tmp_path / trace) as opened:
            (call,) = opened.calls()
            assert isinstance(call.inputs, dict)
            assert (call.name, call.inputs["Options"], call.returned) == ("NtDuplicateObject", 2, True)
