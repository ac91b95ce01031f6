"""Reproducers compile for every system, make the recorded calls with live objects, and print differences."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

import tracekmt
from tests.convert.programs import COMPILERS, compile_program, run, write_reproducer
from tests.native import FOLDER
from tests.replayer.test_hostile import DEMO as OLD_DEMO
from tests.replayer.test_hostile import frames_of
from tests.skips import LINUX_PROGRAMS
from tests.strategies import arguments, examples
from tracekmt.calls import CALLS
from tracekmt.calls.kinds import DEVICE, NT_HANDLE
from tracekmt.convert import convert
from tracekmt.convert.c.text import comment, identifier, literal
from tracekmt.edit.trim import trim
from tracekmt.errors import Error, UsageError
from tracekmt.resources import resource
from tracekmt.spec import serial
from tracekmt.spec.checks import check
from tracekmt.spec.dsl import UINT, enum, flags, in_, inout, structure
from tracekmt.spec.types import Bytes, CallSpec, Integer, Pointer, WCharArray
from tracekmt.text.call_set import parse_calls
from tracekmt.trace.builder import Builder
from tracekmt.trace.events import Header
from tracekmt.trace.frames import FrameKind, pack_frame, preamble

SAMPLES = sorted(resource("traces", "demo.kmt").parent.glob("*.kmt"))
STAND_ALONE = resource("traces", "stand-alone-allocation.kmt")
Command = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason=LINUX_PROGRAMS)


@pytest.fixture(scope="module")
def thunks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compile the libdxcore.so of the tests."""
    return compile_program(FOLDER / "thunks.c", tmp_path_factory.mktemp("thunks") / "libdxcore.so", "x64", "-Wno-error")


def library(folder: Path, text: str) -> Path:
    """Compile a library that overrides functions of another."""
    source = folder / "override.c"
    source.write_text(f"#include <stdint.h>\n#include <stdlib.h>\n{text}\n")
    return compile_program(source, folder / "override.so")


def outcome(command: Command, trace: Path, printed: str, folder: Path) -> Path:
    """Convert the output of a reproducer into a trace."""
    (folder / "repro.txt").write_text(printed)
    done = command("convert", folder / "repro.txt", "--from", trace, "-o", folder / "outcome.kmt", "-f")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    return folder / "outcome.kmt"


def read_calls(trace: Path) -> list[dict[str, Any]]:
    with tracekmt.open(trace) as opened:
        return [call.to_json() for call in opened.calls()]


@pytest.mark.parametrize("system", COMPILERS)
@pytest.mark.parametrize("trace", SAMPLES, ids=lambda path: path.stem)
def test_samples_compile(trace: Path, system: str, tmp_path: Path) -> None:
    compile_program(write_reproducer(trace, tmp_path), tmp_path / "repro", system)


def test_equal_run_has_no_differences(command: Command, thunks: Path, tmp_path: Path) -> None:
    status, printed = run(compile_program(write_reproducer(STAND_ALONE, tmp_path), tmp_path / "repro"), thunks)
    assert (status, "DIFFERENT" in printed, printed.splitlines()[-1]) == (0, False, "end 6 calls, 0 different")
    report = tracekmt.diff(STAND_ALONE, outcome(command, STAND_ALONE, printed, tmp_path))
    assert (report.same, report.calls.compared, report.findings) == (True, 6, [])


def test_created_handles_are_used(command: Command, thunks: Path, tmp_path: Path) -> None:
    """Handles differ from the recording, and every later call gets the handles of this run."""
    trace = tmp_path / "trace.kmt"
    with tracekmt.create(trace) as builder:
        builder.add("D3DKMTOpenAdapterFromLuid", {"AdapterLuid": {"LowPart": 7}}, {"hAdapter": 0x111})
        builder.add("D3DKMTCreateDevice", {"hAdapter": 0x111}, {"hDevice": 0x222})
        infos = [{"pPrivateDriverData": b"abc"}, {"pPrivateDriverData": b""}]
        outputs = {"pAllocationInfo2": [{"hAllocation": 0x333}, {"hAllocation": 0x444}]}
        builder.add("D3DKMTCreateAllocation2", {"hDevice": 0x222, "pAllocationInfo2": infos}, outputs)
        builder.add("D3DKMTDestroyAllocation2", {"hDevice": 0x222, "phAllocationList": [0x444, 0x333]})
        builder.add("D3DKMTDestroyDevice", {"hDevice": 0x222})
    status, printed = run(compile_program(write_reproducer(trace, tmp_path), tmp_path / "repro"), thunks)
    assert status == 0, printed
    calls = read_calls(outcome(command, trace, printed, tmp_path))
    assert calls[2]["in"]["hDevice"] == calls[1]["out"]["hDevice"] == "0x40000040"
    assert calls[3]["in"]["phAllocationList"] == ["0x400000c0", "0x40000080"]
    assert tracekmt.diff(trace, tmp_path / "outcome.kmt").same


def test_one_difference_is_one_finding(command: Command, thunks: Path, tmp_path: Path) -> None:
    override = library(
        tmp_path, "int32_t D3DKMTDestroyAllocation2(void *arg) { return arg ? (int32_t)0xC000000D : 0; }"
    )
    status, printed = run(
        compile_program(write_reproducer(STAND_ALONE, tmp_path), tmp_path / "repro"), override, thunks
    )
    assert status == 1
    assert [line for line in printed.splitlines() if "DIFFERENT" in line] == [
        "result 0xc000000d  DIFFERENT: recorded 0x00000000 STATUS_SUCCESS"
    ]
    report = tracekmt.diff(STAND_ALONE, outcome(command, STAND_ALONE, printed, tmp_path))
    assert [(finding.kind, finding.index, finding.replayed) for finding in report.findings] == [
        ("status", 3, "STATUS_INVALID_PARAMETER")
    ]


def test_written_fields_are_compared_and_opaque_data_only_printed(
    command: Command, thunks: Path, tmp_path: Path
) -> None:
    text = """
    int32_t D3DKMTCreateDevice(uint32_t *arg) { arg[3] = 0; arg[6] = 9; return 0; }
    int32_t D3DKMTCreateAllocation2(uint8_t *arg) {
      uint8_t *info = *(uint8_t **)(arg + 48);
      **(uint8_t **)(info + 16) ^= 1; *(uint32_t *)info = 5;
      return 0;
    }"""
    status, printed = run(
        compile_program(write_reproducer(STAND_ALONE, tmp_path), tmp_path / "repro"), library(tmp_path, text), thunks
    )
    assert status == 1
    assert [line.split()[0] for line in printed.splitlines() if "DIFFERENT" in line] == ["hDevice", "CommandBufferSize"]
    report = tracekmt.diff(STAND_ALONE, outcome(command, STAND_ALONE, printed, tmp_path))
    first = {(finding.kind, finding.path) for finding in report.findings if finding.cause is None}
    assert first == {("field", "CommandBufferSize"), ("handle", "hDevice")}
    assert ("opaque", "pAllocationInfo2[0].pPrivateDriverData") in [
        (finding.kind, finding.path) for finding in report.findings
    ]


def test_crash_keeps_the_calls_before_it(command: Command, thunks: Path, tmp_path: Path) -> None:
    override = library(tmp_path, "int32_t D3DKMTDestroyAllocation2(void *arg) { (void)arg; abort(); }")
    status, printed = run(
        compile_program(write_reproducer(STAND_ALONE, tmp_path), tmp_path / "repro"), override, thunks
    )
    assert status < 0
    calls = read_calls(outcome(command, STAND_ALONE, printed, tmp_path))
    assert [(call["call"], call["returned"]) for call in calls][2:] == [
        ("D3DKMTCreateAllocation2", True),
        ("D3DKMTDestroyAllocation2", False),
    ]
    assert calls[3]["in"]["phAllocationList"] == ["0x40000080"]


def test_calls_that_did_not_return_come_last(thunks: Path, tmp_path: Path) -> None:
    trace = tmp_path / "trace.kmt"
    with tracekmt.create(trace) as builder:
        builder.add("D3DKMTDestroyDevice", {"hDevice": 1}, status=None)
        builder.add("D3DKMTCloseAdapter", {"hAdapter": 2}, status="STATUS_INVALID_PARAMETER")
    status, printed = run(compile_program(write_reproducer(trace, tmp_path), tmp_path / "repro"), thunks)
    assert re.findall(r"^(call .*|result .*)", printed, re.MULTILINE) == [
        "call 1 D3DKMTCloseAdapter",
        "result 0x00000000  DIFFERENT: recorded 0xc000000d STATUS_INVALID_PARAMETER",
        "call 0 D3DKMTDestroyDevice",
        "result 0x00000000  DIFFERENT: recorded did not return",
    ]
    assert (status, "note #0 did not return" in printed) == (1, True)


def test_unreadable_memory_is_unreadable(thunks: Path, tmp_path: Path) -> None:
    """The library probes its inputs, as a kernel does."""
    trace = tmp_path / "trace.kmt"
    with tracekmt.create(trace) as builder:
        bad = {"unreadable": "0x10"}
        for infos in (bad, [{"pPrivateDriverData": bad, "PrivateDriverDataSize": 5}], [{}, bad]):
            inputs = {"hDevice": 1, "NumAllocations": 2 if isinstance(infos, list) and len(infos) > 1 else 1}
            builder.add(
                "D3DKMTCreateAllocation2", {**inputs, "pAllocationInfo2": infos}, status="STATUS_INVALID_PARAMETER"
            )
    status, printed = run(compile_program(write_reproducer(trace, tmp_path), tmp_path / "repro"), thunks)
    assert (status, printed.count("result 0xc000000d\n")) == (0, 3), printed


def test_calls_with_side_effects_are_omitted_unless_they_are_allowed(tmp_path: Path, command: Command) -> None:
    with tracekmt.create(tmp_path / "t.kmt") as builder:
        builder.add("D3DKMTEscape", {"hAdapter": 1})
        builder.add("D3DKMTMarkDeviceAsError", {"hDevice": 2})
        builder.add("D3DKMTEscape", {"hAdapter": 1})
        builder.add("D3DKMTCloseAdapter", {"hAdapter": 1})
    assert command("convert", "t.kmt", "-o", "t.c").returncode == 0
    text = (tmp_path / "t.c").read_text()
    assert re.findall(r"^static void call_(\d)\(", text, re.MULTILINE) == ["3"]
    assert " *     D3DKMTEscape, 2 calls: it does what only the driver knows\n" in text
    assert "#1 D3DKMTMarkDeviceAsError is omitted: it loses a device" in text
    assert command("convert", "t.kmt", "-o", "t.c", "-f", "--allow", "Escape").returncode == 0
    text = (tmp_path / "t.c").read_text()
    assert re.findall(r"^static void call_(\d)\(", text, re.MULTILINE) == ["0", "2", "3"]
    for words, message in ((["--allow", "Escap", "-o", "u.c"], "Escap"), (["--allow", "*", "-o", "u.kmt"], ".c")):
        refused = command("convert", "t.kmt", *words)
        assert (refused.returncode, message in refused.stderr) == (2, True), refused.stderr


def test_caller_memory_has_the_size_in_the_call(tmp_path: Path) -> None:
    trace = tmp_path / "trace.kmt"
    with tracekmt.create(trace) as builder:
        info = [{"pSystemMem": 0x70000000}]
        heap = {"Type": "D3DKMT_STANDARDALLOCATIONTYPE_EXISTINGHEAP", "ExistingHeapData": {"Size": 0x23000}}
        inputs = {
            "hDevice": 1,
            "pAllocationInfo2": info,
            "Flags": "CreateResource | StandardAllocation | ExistingSysMem",
        }
        builder.add("D3DKMTCreateAllocation2", {**inputs, "pStandardAllocation": heap})
        builder.add("D3DKMTCreateAllocation2", {"hDevice": 1, "pAllocationInfo2": info})
        builder.add("D3DKMTCreateAllocation2", {"hDevice": 1, "pAllocationInfo2": [{"pSystemMem": 0x70000010}]})
    text = write_reproducer(trace, tmp_path).read_text()
    assert text.count("= pages(143360); /* was 0x70000000 */") == 1
    assert text.count("= pages(65536); /* was 0x70000000, size unknown */") == 1
    assert text.count("= (UCHAR *)pages(65552) + 0x10; /* was 0x70000010, size unknown */") == 1
    assert '"#1 pAllocationInfo2[0].pSystemMem opaque: size unknown, 65536 bytes are allocated"' in text


def test_adapter_of_another_machine(command: Command, tmp_path: Path) -> None:
    """The first adapter of the machine replaces the recorded one. --adapter selects another."""
    text = """
    int32_t D3DKMTEnumAdapters2(uint32_t *arg) {
      uint32_t *info = *(uint32_t **)(arg + 2);
      info[0] = 1; info[1] = 0xAB; info[2] = 0xCD; arg[0] = 1;
      return 0;
    }
    int32_t D3DKMTCloseAdapter(uint32_t *arg) { (void)arg; return 0; }
    int32_t D3DKMTOpenAdapterFromLuid(uint32_t *arg) { arg[2] = 0x40; return arg[1] == 0xCD ? 0 : 1; }
    """
    trace = tmp_path / "trace.kmt"
    with tracekmt.create(trace) as builder:
        builder.add("D3DKMTOpenAdapterFromLuid", {"AdapterLuid": {"LowPart": 7, "HighPart": 1}}, {"hAdapter": 1})
    program, machine = compile_program(write_reproducer(trace, tmp_path), tmp_path / "repro"), library(tmp_path, text)
    status, printed = run(program, machine)
    assert (status, "note adapter 1:7 is replaced by cd:ab" in printed) == (0, True)
    outcome(command, trace, printed, tmp_path)
    assert run(program, machine, "--adapter", "1:2")[0] == 1
    assert run(program, machine, "--adapter", "x")[0] == 2
    assert run(program, tmp_path / "nothing.so")[0] == 2


def test_what_is_of_no_adapter_and_what_is_the_process_itself(tmp_path: Path) -> None:
    trace, own = tmp_path / "trace.kmt", (1 << 64) - 1
    with tracekmt.create(trace) as builder:
        for low, status in ((7, 0), (7, 0xC000000D), (8, 0xC000000D)):
            luid = {"LowPart": low, "HighPart": 0}
            builder.add("D3DKMTOpenAdapterFromLuid", {"AdapterLuid": luid}, {"hAdapter": 0}, status)
        processes = {"SourceProcessHandle": own, "SourceHandle": own, "TargetProcessHandle": own}
        builder.add("NtDuplicateObject", processes, {"TargetHandle": 4})
    text = convert_calls(trace, tmp_path)
    assert re.findall(r"AdapterLuid\.LowPart = (.*);", text) == ["luid_0_7.low", "luid_0_7.low", "8u"]
    assert text.count("= (ULONG_PTR)-1;") == 3


def convert_calls(trace: Path, folder: Path) -> str:
    """Return the C functions of the calls of a trace."""
    return write_reproducer(trace, folder).read_text().partition("static void call_0")[2]


def in_both_directions(data: Any) -> Any:
    """Return a description without kinds, in which every field is compared."""
    if isinstance(data, dict):
        node_type = data.get("is")
        omitted = {"creates", "destroys", "of" if node_type == "Field" else ""}
        omitted |= {"kind"} if node_type in ("Integer", "Address", "Struct") else set()
        result = {name: in_both_directions(value) for name, value in data.items() if name not in omitted}
        if node_type == "Field":  # Addresses differ in every run.
            result["direction"] = "in" if data["type"]["is"] == "Address" else "inout"
        return result
    return [in_both_directions(item) for item in data] if isinstance(data, list) else data


@pytest.mark.parametrize("abi", ["wsl", "x86"])
def test_every_value_of_every_description(command: Command, abi: str, tmp_path: Path) -> None:
    """Calls that change nothing: the printed values are the inputs, which are the recorded values."""
    specs = {name: serial.spec_from_data(in_both_directions(serial.to_data(spec))) for name, spec in CALLS.items()}
    specs = {name: spec for name, spec in specs.items() if not check(spec)}
    assert len(specs) > 100
    trace = tmp_path / "all.kmt"
    header = Header("x64" if abi == "wsl" else "x86", created="now", wchar=4 if abi == "wsl" else 2)
    with Builder(trace, specs, header=header) as builder:
        for name, spec in specs.items():
            for values in draw_arguments(spec, abi):
                outcome_fields = {"result": 1} if spec.returns == "BOOLEAN" else {}
                builder.add(name, values, None if spec.argument.parameters else values, **outcome_fields)
    source = write_reproducer(trace, tmp_path)
    for system in COMPILERS:
        compile_program(source, tmp_path / "repro.o", system, "-c")
    system = "x64" if abi == "wsl" else "x86"
    functions = (f"int {name}(void) {{ return {int(spec.returns == 'BOOLEAN')}; }}\n" for name, spec in specs.items())
    (tmp_path / "stub.c").write_text("".join(functions))
    stub = compile_program(tmp_path / "stub.c", tmp_path / "stub.so", system)
    _, printed = run(compile_program(source, tmp_path / "repro", system), stub)
    # The size of a structure with WCHARs differs on Linux, whose WCHAR has four bytes.
    different = [line for line in printed.splitlines() if "DIFFERENT" in line]
    assert [line for line in different if abi == "wsl" or "DataSize " not in line] == []
    findings = tracekmt.diff(trace, outcome(command, trace, printed, tmp_path)).findings
    assert [finding for finding in findings if abi == "wsl" or not str(finding.path).endswith("DataSize")] == []


def draw_arguments(spec: CallSpec, abi: Any) -> list[Any]:
    drawn: list[Any] = []

    @seed(7)
    @settings(
        max_examples=examples(4),
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    @given(arguments(spec, abi))
    def draw(argument: Any) -> None:
        drawn.append(argument.values)

    draw()
    return drawn


HOSTILE = [
    "int",
    "linux",
    "errno",
    "EOF",
    "NULL",
    "arg",
    "enter_call",
    "printf",
    "call_0",
    "main",
    "\u017ftruct",
    "_Static_assert",
]
ENDS = '*/ system("touch hacked"); /* "; \\ ??/ \n } #error \r\n \\'


def test_hostile_names(tmp_path: Path) -> None:
    """Every name in the trace has another meaning in C."""
    inner = structure("int", *(inout(name, UINT) for name in HOSTILE), inout("text", WCharArray(40)))
    bits = flags(f"flags.{ENDS.replace('.', '')}"[:5], *("volatile", "Flag"))
    choice = enum("enum", unsigned=1, signed=2)
    names = ("D3DKMTCreateAllocation2", "system", 'D3DKMT");system("x', "D3DKMTint", "printf")
    calls = {}
    for number, name in enumerate(names):
        argument = structure(
            ("struct", "D3DKMT_CREATEALLOCATION", 'x"; #error', ENDS, "UNICODE_STRING")[number],
            inout("data", Bytes("size")),
            in_("size", UINT),
            inout("inner", Pointer(inner)),
            inout("bits", bits),
            inout("choice", choice),
            inout("handle", Integer("int", 4, signed=True, kind=NT_HANDLE)),
            inout("other", Integer("int", 8, signed=True, kind=DEVICE)),
        )
        calls[name] = CallSpec(name, argument)
    header = Header("x64", created=ENDS, tool=ENDS, process={"name": ENDS}, trimmed=ENDS)
    trace = tmp_path / "hostile.kmt"
    with Builder(trace, calls, header=header) as builder:
        for name in names:
            fields = dict.fromkeys(HOSTILE, 1)
            values = {
                "data": ENDS.encode(),
                "inner": {**fields, "text": ENDS[:39]},
                "bits": 3,
                "choice": 1,
                "handle": -5,
                "other": -7,
            }
            builder.add(name, values, values)
    source = write_reproducer(trace, tmp_path)
    text = source.read_text()
    assert text.isascii()
    assert "\n#error" not in text
    for system in COMPILERS:
        compile_program(source, tmp_path / "repro.o", system, "-c", "-trigraphs")
    stub = library(tmp_path, "int D3DKMTCreateAllocation2(void) { return 0; }\nint D3DKMTint(void) { return 0; }")
    status, printed = run(compile_program(source, tmp_path / "repro"), stub)
    assert (status, printed.splitlines()[-1]) == (1, "end 2 calls, 2 different"), printed
    assert {line.split()[0] for line in printed.splitlines() if "DIFFERENT" in line} == {"handle", "other"}
    assert printed.count("is omitted: not a thunk") == 3
    assert not list(tmp_path.glob("hacked"))


@pytest.mark.parametrize("options", [["-std=c99", "-trigraphs"], ["-std=gnu17"]], ids=" ".join)
def test_text_in_strings_and_comments(options: list[str], tmp_path: Path) -> None:
    """The program prints every string unchanged, and no text ends its comment."""
    texts: list[str] = ["??/", "\\", "*/", "/*", "\x001", "\xff0", 'a"b', "??=", "\\\n", "é1", "\udc80", "%s"]

    @seed(3)
    @settings(max_examples=examples(300), database=None, deadline=None, phases=[Phase.generate])
    @given(st.text(st.sampled_from('*/\\?"\n\r%0aé') | st.characters(), max_size=30))
    def draw(text: str) -> None:
        texts.append(text)

    draw()
    lines = [f"/* {comment(text)} */ put({literal(text)}, sizeof {literal(text)} - 1);" for text in texts]
    source = tmp_path / "texts.c"
    head = "#include <stdio.h>\nstatic void put(const char *text, size_t size) { fwrite(text, 1, size, stdout); }\n"
    source.write_text(head + "int main(void) {\n" + "\n".join(lines) + "\nreturn 0; }\n", encoding="ascii")
    program = compile_program(source, tmp_path / "texts", "x64", *options)
    done = subprocess.run([program], capture_output=True, check=True)
    assert done.stdout == b"".join(text.encode("utf-8", "surrogatepass") for text in texts)


@given(st.text(max_size=200))
def test_any_name_becomes_an_identifier(name: str) -> None:
    assert re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", identifier(name))


@settings(max_examples=examples(60), suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_any_memory(tmp_path: Path, data: st.DataObject) -> None:
    """Recorded regions with replaced bytes give a program or an error of tracekmt."""
    frames = frames_of(OLD_DEMO)
    for value in data.draw(
        st.lists(st.sampled_from([v for k, v in frames if k in (FrameKind.ENTER, FrameKind.LEAVE)]))
    ):
        for region in value[-1]:
            at = data.draw(st.integers(0, len(region[2])))
            noise = data.draw(st.binary(max_size=16))[: len(region[2]) - at]
            region[2] = region[2][:at] + noise + region[2][at + len(noise) :]
    path = tmp_path / "any.kmt"
    path.write_bytes(preamble(0) + b"".join(pack_frame(FrameKind(kind), value) for kind, value in frames))
    try:
        convert(path, tmp_path / "any.c", "c", force=True)
    except Error:
        return
    assert (tmp_path / "any.c").read_text().isascii()


def test_selected_calls_with_their_dependencies(command: Command, thunks: Path, tmp_path: Path) -> None:
    demo = resource("traces", "demo.kmt")
    done = command("convert", demo, "--calls", "5", "-o", "part.c")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    status, printed = run(compile_program(tmp_path / "part.c", tmp_path / "repro"), thunks)
    assert re.findall(r"^call (\d+)", printed, re.MULTILINE) == ["0", "2", "4", "5"]
    assert status == 0
    calls = read_calls(outcome(command, demo, printed, tmp_path))
    assert [call["index"] for call in calls] == [0, 2, 4, 5]
    refused = command("convert", demo, "--calls", "5", "-o", "part.jsonl")
    assert (refused.returncode, "--calls requires a reproducer" in refused.stderr) == (2, True)


def test_on_the_command_line(command: Command, tmp_path: Path) -> None:
    shown = command("convert", STAND_ALONE, "-o", "-", "--to", "c")
    assert shown.stdout == write_reproducer(STAND_ALONE, tmp_path).read_text()
    refused = command("convert", STAND_ALONE, "-o", tmp_path / "stand-alone-allocation.c")
    assert (refused.returncode, "already exists" in refused.stderr) == (2, True)
    lines = tmp_path / "lines.jsonl"
    convert(STAND_ALONE, lines, "jsonl")
    convert(lines, tmp_path / "lines.c", "c")
    assert (tmp_path / "lines.c").read_text().count("static void call_") == 6
    redacted = command("convert", STAND_ALONE, "-o", "redacted.c", "--redact")
    assert redacted.returncode == 0
    assert "stand-alone" not in (tmp_path / "redacted.c").read_text()
    with pytest.raises(UsageError, match="no call is selected"):
        convert(STAND_ALONE, tmp_path / "none.c", "c", calls=parse_calls("99"))


def test_trimmed_trace_has_the_same_fingerprint(tmp_path: Path) -> None:
    part = tmp_path / "part.kmt"
    trim(STAND_ALONE, parse_calls("2"), part)
    fingerprints = {
        re.findall(r'#define TRACE "(\w+)"', write_reproducer(trace, tmp_path).read_text())[0]
        for trace in (STAND_ALONE, part)
    }
    assert len(fingerprints) == 1
