"""The commands: output, exit status, and errors of one or two lines."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import tracekmt
from tracekmt.calls import CALLS
from tracekmt.cli import COMMANDS
from tracekmt.resources import resource
from tracekmt.trace.events import Header, Module
from tracekmt.trace.frames import MAGIC
from tracekmt.trace.writer import Writer

Command = Callable[..., subprocess.CompletedProcess[str]]
DEMO = resource("traces", "demo.kmt")
STAND_ALONE = resource("traces", "stand-alone-allocation.kmt")


def test_help_lists_every_command(command: Command) -> None:
    text = command("--help").stdout
    for name in COMMANDS:
        assert f"\n  {name} " in text
        assert command(name, "--help").returncode == 0
    assert command("--version").stdout == f"tracekmt, version {tracekmt.__version__}\n"


def test_help_groups_the_options_of_a_command(command: Command) -> None:
    lines = command("record", "--help").stdout.splitlines()
    headings = [line for line in lines if line.endswith(":") and not line.startswith(" ")]
    assert headings == ["Target:", "Capture:", "Limits:", "Output:", "Options:"]
    assert max(map(len, lines)) <= 80


BAD = {
    "random": os.urandom(500),
    "empty": b"",
    "later": MAGIC + (7).to_bytes(4, "little") + os.urandom(100),
    "cut": DEMO.read_bytes()[:40],
    "missing": None,
}


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize(
    "words",
    [("info",), ("stats",), ("dump",), ("dump", "--json"), ("replay",), ("diff", DEMO), ("replay", "--json")],
)
def test_an_invalid_trace(command: Command, tmp_path: Path, kind: str, words: tuple[str, ...]) -> None:
    data = BAD[kind]
    if data is not None:
        (tmp_path / "x.kmt").write_bytes(data)
    result = command(*words, "x.kmt")
    assert result.returncode == 2
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith(("tracekmt: x.kmt: ", "tracekmt: cannot open x.kmt: "))


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("fly",),
        ("replay",),
        ("replay", DEMO, "--on", "toaster"),
        ("replay", DEMO, "--profile", "xbox"),
        ("replay", DEMO, "--video-memory", "lots"),
        ("replay", DEMO, "--min-compared", "0"),
        ("replay", DEMO, "--min-compared", "1000"),
        ("replay", DEMO, "--min-compared", "101%"),
        ("replay", DEMO, "--min-compared", "most"),
        ("dump", DEMO, "--calls", "a b"),
        ("dump", DEMO, "--where", "failde"),
        ("trim", DEMO, "--calls", "900", "-o", "x.kmt"),
        ("trim", DEMO, "--calls", "1", "-o", DEMO, "-f"),
        ("convert", DEMO, "-o", "x.txt"),
        ("convert", DEMO, "-o", "-"),
        ("convert", DEMO, "-o", "-", "--to", "kmt"),
        ("convert", "nothing.jsonl", "-o", "x.kmt"),
        ("calls", "D3DKMTNothing"),
        ("record",),
        ("record", "-p", "1", "--", "true"),
        ("record", "--", "/no/such/program"),
        ("record", "--duration", "soon", "--", "true"),
        ("record", "--last", "much", "--", "true"),
        ("record", "--until-status", "STATUS_NOPE", "--", "true"),
        ("record", "--after", "2s", "--", "true"),
        ("record", "--spool", "/no/such/folder", "--", "true"),
        ("diff", DEMO),
    ],
    ids=str,
)
def test_an_invalid_request(command: Command, words: tuple[object, ...]) -> None:
    result = command(*words)
    if words:
        assert result.returncode == 2
        assert 1 <= len(result.stderr.splitlines()) <= 2
        assert "Traceback" not in result.stderr
    else:
        assert "Usage" in result.stdout + result.stderr


def test_replay(command: Command, tmp_path: Path) -> None:
    same = command("replay", DEMO)
    assert (same.returncode, same.stderr) == (0, "")
    assert "no differences" in same.stdout
    cut = command("replay", STAND_ALONE, "--video-memory", "1MB")
    assert cut.returncode == 1
    report = json.loads(command("replay", STAND_ALONE, "--video-memory", "1MB", "--json").stdout)
    assert report["same"] is False
    assert report["calls"]["compared"] == 6
    first = report["findings"][0]
    assert (first["index"], first["thread"], first["call"]) == (2, 0, "D3DKMTCreateAllocation2")
    assert (first["recorded"], first["replayed"]) == ("STATUS_SUCCESS", "STATUS_GRAPHICS_NO_VIDEO_MEMORY")
    assert set(first) == {
        "kind",
        "cause",
        "cause_side",
        "count",
        "repeats",
        "group",
        "index",
        "other_index",
        "call",
        "thread",
        "path",
        "handle_kind",
        "recorded",
        "replayed",
        "message",
        "accepted",
    }


def test_diff(command: Command, tmp_path: Path) -> None:
    fault = ("--fail", "D3DKMTCreateAllocation2@2=STATUS_NO_MEMORY")
    command("replay", DEMO, *fault, "-o", "outcome.kmt")
    result = command("diff", DEMO, "outcome.kmt")
    assert (result.returncode, result.stderr) == (1, "")
    assert "    A         STATUS_SUCCESS (0x00000000)\n    B         STATUS_NO_MEMORY" in result.stdout
    assert command("diff", DEMO, "outcome.kmt", "--again", "outcome.kmt").returncode == 1
    data = json.loads(command("diff", DEMO, "outcome.kmt", "--json").stdout)
    first = data["findings"][0]
    assert (first["a"], first["b"]) == (first["recorded"], first["replayed"]) == ("STATUS_SUCCESS", "STATUS_NO_MEMORY")
    assert (first["count"], first["repeats"], first["cause"], first["cause_side"]) == (1, [], None, None)


def test_a_summary_of_two_traces(command: Command) -> None:
    result = command("diff", DEMO, DEMO, "--format", "summary")
    assert (result.returncode, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= 80 or any("against" in line for line in lines if len(line) > 80)
    for text in ("function", "CreateAllocation2", "median life", "no differences"):
        assert text in result.stdout


def test_every_form_of_a_report(command: Command, tmp_path: Path) -> None:
    fault = ("--fail", "D3DKMTCreateAllocation2@2=STATUS_NO_MEMORY")
    result = command("replay", DEMO, *fault, "--junit", "j.xml", "--html", "r.html", "--github")
    assert (result.returncode, result.stderr) == (1, "")
    page = (tmp_path / "r.html").read_text("utf-8")
    assert "<th>recorded</th><th>replayed</th>" in page
    assert '<tr class="differs"><td>outcome</td><td>STATUS_SUCCESS</td><td>STATUS_NO_MEMORY</td></tr>' in page
    assert result.stdout.count("::error title=D3DKMTCreateAllocation2 differs::") == 2
    assert "STATUS_NO_MEMORY" in (tmp_path / "j.xml").read_text()
    assert "STATUS_NO_MEMORY" in (tmp_path / "r.html").read_text()
    refused = command("replay", DEMO, *fault, "--junit", "j.xml")
    assert (refused.returncode, len(refused.stderr.splitlines())) == (2, 1)
    assert command("replay", DEMO, *fault, "--junit", "j.xml", "-f").returncode == 1
    assert command("replay", DEMO, *fault, "--junit", "-").stdout.startswith("<?xml")
    assert command("diff", DEMO, DEMO, "--html", "-").stdout.startswith("<!DOCTYPE html>")


def test_rules_and_baseline(command: Command, tmp_path: Path) -> None:
    fault = ("--fail", "D3DKMTCreateAllocation2@2=STATUS_NO_MEMORY")
    rule = "action = 'tolerate'\nreason = 'known'\nfunction = '*Allocation2'\n"
    (tmp_path / "rules.toml").write_text(f"[[rule]]\n{rule}")
    ruled = command("replay", DEMO, *fault, "--rules", "rules.toml")
    assert ruled.returncode == 0
    assert "accepted  known (not counted as a difference)" in ruled.stdout
    assert command("replay", DEMO, *fault, "--baseline", "b.json").returncode == 2
    assert command("replay", DEMO, *fault, "--update-baseline").returncode == 2
    assert command("replay", DEMO, *fault, "--baseline", "b.json", "--update-baseline").returncode == 0
    assert command("replay", DEMO, *fault, "--baseline", "b.json").returncode == 0
    assert command("replay", DEMO, "--fail", "D3DKMTCloseAdapter@1=STATUS_NO_MEMORY", "--baseline", "b.json").returncode
    (tmp_path / "pyproject.toml").write_text(f"[[tool.tracekmt.rule]]\n{rule}")
    assert command("replay", DEMO, *fault).returncode == 0


def test_the_text_report(command: Command) -> None:
    text = command("replay", STAND_ALONE, "--video-memory", "1MB").stdout
    assert (
        text
        == f"""\
{STAND_ALONE} against simulator: 2 calls differ

#2  thread 0  D3DKMTCreateAllocation2
    recorded  STATUS_SUCCESS (0x00000000)
    replayed  STATUS_GRAPHICS_NO_VIDEO_MEMORY (0xc01e0100)
    reason    an allocation is larger than the budget of video memory (Microsoft documentation: D3DKMTCreateAllocation2)
    caused    1 more finding: #3 D3DKMTDestroyAllocation2

2 differ
compared 6 of 6 calls (100%)
"""
    )


def test_an_outcome_is_written_and_not_over_another(command: Command, tmp_path: Path) -> None:
    assert command("replay", DEMO, "-o", "out.kmt").returncode == 0
    again = command("replay", DEMO, "-o", "out.kmt")
    assert again.returncode == 2
    assert "-f" in again.stderr
    assert command("replay", DEMO, "-o", "out.kmt", "-f", "--video-memory", "1MB").returncode == 1
    diff = command("diff", DEMO, "out.kmt", "--json")
    assert diff.returncode == 1
    assert json.loads(diff.stdout)["findings"][0]["replayed"] == "STATUS_GRAPHICS_NO_VIDEO_MEMORY"


def test_bisect(command: Command, tmp_path: Path) -> None:
    assert command("replay", DEMO, "--bisect").returncode == 0
    assert command("replay", STAND_ALONE, "--bisect", "--video-memory", "1MB").returncode == 1
    assert command("replay", "missing.kmt", "--bisect").returncode == 125
    assert command("replay", DEMO, "--bisect", "--min-compared", "99").returncode == 125
    assert command("replay", STAND_ALONE, "--min-compared", "100%").returncode == 0
    assert command("replay", DEMO, "--bisect", "--nope").returncode == 125


def test_dump_json_is_a_line_for_every_call(command: Command) -> None:
    result = command("dump", DEMO, "--json")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    with tracekmt.open(DEMO) as trace:
        assert lines == [json.loads(json.dumps(call.to_json())) for call in trace.calls()]
    creates = [line for line in lines if line["call"] == "D3DKMTCreateAllocation2"]
    for line in creates:
        for side in ("in", "out"):
            assert {"hDevice", "hResource", "hGlobalShare", "NumAllocations", "Flags"} <= set(line[side])
            for element in line[side]["pAllocationInfo2"]:
                assert {
                    "hAllocation",
                    "pSystemMem",
                    "pPrivateDriverData",
                    "VidPnSourceId",
                    "Flags",
                    "GpuVirtualAddress",
                    "Unused",
                    "Reserved",
                } <= set(element)


def test_dump_as_text(command: Command) -> None:
    lines = command("dump", STAND_ALONE, "--calls", "3-", "-v").stdout.splitlines()
    assert lines[0] == "#3 D3DKMTDestroyAllocation2 = STATUS_SUCCESS (0x00000000)"
    assert lines[1].startswith("    thread 0 from ")
    assert lines[2:7] == [
        "    hDevice           0x40000040",
        "    hResource         0x0",
        "    phAllocationList  [0x40000080]",
        "    AllocationCount   1",
        "    Flags             0",
    ]
    create = command("dump", STAND_ALONE, "--calls", "*Create*2", "-v").stdout
    assert "        hAllocation            0x0 -> 0x40000080\n" in create
    assert "31 bytes: 4b4d5453 01000000 00000001 00000000" in create


def test_dump_has_a_line_for_each_call(command: Command) -> None:
    lines = command("dump", STAND_ALONE).stdout.splitlines()
    assert lines[0].startswith("#0 D3DKMTOpenAdapterFromLuid = STATUS_SUCCESS  AdapterLuid {LowPart: ")
    assert lines[1] == "#1 D3DKMTCreateDevice = STATUS_SUCCESS  hAdapter 0x40000000  hDevice 0x0 -> 0x40000040"
    assert lines[2].startswith("#2 D3DKMTCreateAllocation2 = STATUS_SUCCESS  hDevice 0x40000040  NumAllocations 1  ")
    assert "hAllocation 0x0 -> 0x40000080  pAllocationInfo2[0].pPrivateDriverData 31 bytes  " in lines[2]
    assert max(map(len, lines)) <= 200
    assert len(lines) == len(command("dump", STAND_ALONE, "--json").stdout.splitlines())
    (null,) = command("dump", DEMO, "--where", "failed").stdout.splitlines()[:1]
    assert " = STATUS_" in null


def test_dump_into_a_pipe_that_closes(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "tracekmt", "dump", str(resource("traces", "intel-opencl.kmt")), "--json"]
    with (tmp_path / "errors").open("wb") as errors:
        dump = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=errors)
        assert dump.stdout is not None
        assert json.loads(dump.stdout.readline())
        dump.stdout.close()
        assert dump.wait() == 2
    assert (tmp_path / "errors").read_bytes() == b""


def test_info(command: Command) -> None:
    summary = json.loads(command("info", DEMO, "--json").stdout)
    numbers = [summary[key] for key in ("calls", "lost", "in_flight", "complete", "format")]
    assert numbers == [19, 0, 0, True, 1]
    assert len(summary["threads"]) == 2
    assert sum(row["count"] for row in summary["functions"]) == 19
    text = command("info", DEMO).stdout
    assert "19 in 2 threads" in text
    assert "STATUS_DEVICE_REMOVED" in text
    assert max(map(len, text.splitlines()[6:])) <= 80


def test_a_damaged_trace_is_read_up_to_the_damage(command: Command, tmp_path: Path) -> None:
    (tmp_path / "torn.kmt").write_bytes(DEMO.read_bytes()[:-60])
    result = command("dump", "torn.kmt", "--json")
    assert result.returncode == 0
    assert len(result.stdout.splitlines()) >= 17
    assert "is truncated; the calls before the damage are complete" in result.stderr
    summary = json.loads(command("info", "torn.kmt", "--json").stdout)
    assert summary["complete"] is False
    assert "is truncated" in summary["torn"]


def test_recover(command: Command, tmp_path: Path) -> None:
    (tmp_path / "torn.kmt").write_bytes(DEMO.read_bytes()[:-60])
    result = command("recover", "torn.kmt", "-o", "whole.kmt")
    assert (result.returncode, result.stderr) == (0, "")
    assert "whole.kmt: 19 calls (torn.kmt: the frame at byte" in result.stdout
    assert json.loads(command("info", "whole.kmt", "--json").stdout)["complete"] is False
    assert command("dump", "whole.kmt", "--json").stdout == command("dump", DEMO, "--json").stdout
    again = command("recover", DEMO, "-o", "whole.kmt")
    assert (again.returncode, again.stdout) == (2, "")
    assert "already exists" in again.stderr
    assert command("recover", DEMO, "-o", "whole.kmt", "-f").stdout == "whole.kmt: 19 calls (no damage)\n"


@pytest.mark.parametrize("words", [("trim", DEMO, "--calls", "1-"), ("recover", DEMO), ("replay", DEMO)])
def test_a_trace_is_no_text_for_standard_output(command: Command, tmp_path: Path, words: tuple[str, ...]) -> None:
    result = command(*words, "-o", "-")
    assert (result.returncode, result.stdout) == (2, "")
    assert "cannot write a trace to standard output" in result.stderr
    assert not (tmp_path / "-").exists()


def test_an_empty_dump_is_reported(command: Command) -> None:
    result = command("dump", DEMO, "--calls", "1000-")
    assert (result.returncode, result.stdout) == (0, "")
    assert "no call matches 1000-" in result.stderr


def test_control_codes_do_not_reach_the_terminal(command: Command, tmp_path: Path) -> None:
    with tracekmt.create(tmp_path / "odd.kmt", machine={}) as trace:
        trace._writer.module(Module("\x1b[2J.dll", "", 0x1000, 0x1000))
        trace.add("D3DKMTOpenAdapterFromGdiDisplayName", {"DeviceName": "\x1b[2J\ud800\n"})
    for options in ((), ("-v",)):
        text = command("dump", "odd.kmt", *options)
        assert (text.returncode, text.stderr) == (0, "")
        assert r"\x1b[2J\ud800\n" in text.stdout
        assert "\x1b" not in text.stdout
    writer = Writer(tmp_path / "header.kmt", Header("x64", tool="\x1b[2J\ud800"))
    writer.close()
    info = command("info", "header.kmt")
    assert info.returncode == 0
    assert r"\x1b[2J\ud800" in info.stdout
    assert "\x1b" not in info.stdout


def test_calls(command: Command) -> None:
    rows = json.loads(command("calls", "--json").stdout)
    assert [row["name"] for row in rows] == list(CALLS)
    assert {"adapter", "device", "allocation", "sharing", "synchronization object"} <= {row["family"] for row in rows}
    description = json.loads(command("calls", "D3DKMTCreateAllocation2", "--json").stdout)
    assert description["structure"] == "D3DKMT_CREATEALLOCATION"
    assert description["size"] == {"x64": 72, "x86": 44}
    fields = {field["path"]: field for field in description["fields"]}
    data = fields["pAllocationInfo2[].pPrivateDriverData"]
    assert (data["x64"], data["x86"], data["length"], data["direction"]) == (
        [16, 8],
        [8, 4],
        "PrivateDriverDataSize",
        "inout",
    )
    assert fields["pAllocationInfo2[].hAllocation"]["kind"] == "allocation"
    assert fields["Flags"]["bits"]["StandardAllocation"] == 0x10000
    assert fields["hDevice"]["bits"] is None
    assert {creates["kind"] for creates in description["creates"]} == {"resource", "allocation", "global share"}
    for name in ("D3DKMTCreateAllocation2", "D3DKMTShareObjects", "D3DKMTCheckExclusiveOwnership"):
        text = command("calls", name)
        assert text.returncode == 0
        assert name in text.stdout
    listed = command("calls").stdout
    assert "\nallocation\n    D3DKMTCreateAllocation\n" in listed
    assert f"{len(CALLS)} described functions." in listed
    assert "D3DKMTRender" in listed.splitlines()[-3]


def test_a_page_for_every_function(command: Command, tmp_path: Path) -> None:
    assert command("calls", "--markdown", "pages").returncode == 0
    pages = {path.name for path in (tmp_path / "pages").iterdir()}
    assert pages == {f"{name}.md" for name in CALLS} | {"index.md", "matrix.md"}
    index = (tmp_path / "pages" / "index.md").read_text("utf-8")
    for name in CALLS:
        assert f"[{name}]({name}.md)" in index
        page = (tmp_path / "pages" / f"{name}.md").read_text("utf-8")
        assert page.startswith(f"# {name}\n")
        rows = [line for line in page.splitlines() if line.startswith("|")]
        assert all(row.count(" | ") == 5 for row in rows)
    wrong = command("calls", "D3DKMTLock", "--markdown", "pages")
    assert (wrong.returncode, wrong.stderr) == (
        2,
        "tracekmt: --markdown writes all functions (remove NAME, --json and --matrix)\n",
    )


def test_the_matrix_of_rules(command: Command) -> None:
    shown = command("calls", "MakeResident", "--matrix")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.startswith(
        "D3DKMTMakeResident  (5 rules)\n    STATUS_INVALID_PARAMETER: the argument is NULL\n"
    )
    rows = json.loads(command("calls", "--matrix", "--json").stdout)
    assert [row["name"] for row in rows] == list(CALLS)
    assert {rule["confidence"] for row in rows for rule in row["rules"]} >= {"Windows-verified", "assumption"}
    unknown = command("calls", "Nothing", "--matrix")
    assert (unknown.returncode, unknown.stderr) == (2, "tracekmt: unknown function: Nothing (see `tracekmt calls`)\n")


def test_the_layouts_of_a_build(command: Command) -> None:
    latest, earlier = command("calls", "DestroyDoorbell"), command("calls", "DestroyDoorbell", "--build", "22631")
    assert "layouts since build 26100 of Windows (others: of the oldest builds; see --build)\n" in latest.stdout
    assert " hDoorbell: D3DKMT_HANDLE  (doorbell)\n" in latest.stdout
    assert " hHwQueue: D3DKMT_HANDLE  (hardware queue)\n" in earlier.stdout
    described = json.loads(command("calls", "CreateNativeFence", "--json").stdout)
    sizes = {form["first_build"]: form["size"] for form in (described, *described["other_layouts"])}
    assert sizes == {26100: {"x64": 216, "x86": 216}, 0: {"x64": 64, "x86": 64}}
    wrong = command("calls", "--build", "22631")
    assert (wrong.returncode, wrong.stderr) == (2, "tracekmt: --build shows one function (add its NAME)\n")
    misspelt = command("calls", "CreateAlocation2")
    assert misspelt.stderr.startswith(
        "tracekmt: unknown function: CreateAlocation2 (did you mean D3DKMTCreateAllocation2"
    )


def test_record_from_the_command_line(command: Command, native: Path, tmp_path: Path) -> None:
    (tmp_path / "journal").write_bytes(bytes(4096))
    argv = [native / "client", native / "libdxcore.so", tmp_path / "journal", "work", 2, 5]
    result = command("record", "-o", "out.kmt", "--", *argv)
    assert (result.returncode, result.stderr) == (7, "out.kmt: 18 calls; the process ended with status 7\n")
    assert command("record", "-o", "out.kmt", "--", *argv).returncode == 2
    over = command("record", "-f", "-o", "out.kmt", "--", *argv)
    assert (over.returncode, over.stderr) == (7, "out.kmt: 18 calls; the process ended with status 7\n")
    assert command("replay", "out.kmt").returncode == 0
    idle = command("record", "-o", "idle.kmt", "--", "true")
    assert idle.returncode == 2
    assert "no call was recorded: the process never loaded libdxcore.so" in idle.stderr
    other = command("record", "-o", "other.kmt", "--functions", "D3DKMTLock2", "--", *argv)
    assert other.returncode == 2
    assert "no call was recorded: no function of libdxcore.so matches --functions D3DKMTLock2" in other.stderr


def test_an_internal_error_is_a_plain_line(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    program = (
        "import tracekmt.cli, tracekmt.cli.calls as calls\n"
        "calls.command.callback = lambda **_: 1 / 0\n"
        "tracekmt.cli.main()\n"
    )
    result = subprocess.run([sys.executable, "-c", program, "calls"], capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert result.stderr.splitlines()[0] == "tracekmt: internal error in tracekmt: ZeroDivisionError: division by zero"


def test_the_public_python_calls(tmp_path: Path) -> None:
    with tracekmt.open(DEMO) as trace:
        first = trace[0]
        assert next(trace.calls()).name == first.name
    simulator = tracekmt.Simulator(profile="windows")
    outcome = simulator.call("D3DKMTOpenAdapterFromLuid", {"AdapterLuid": {"LowPart": 1, "HighPart": 0}})
    assert (outcome.status, outcome.status.name) == (0, "STATUS_SUCCESS")
    assert simulator.process() is not simulator
    assert tracekmt.replay(str(DEMO)).to_dict()["same"] is True
    assert tracekmt.diff(DEMO, str(DEMO)).same
    assert issubclass(tracekmt.TraceError, tracekmt.Error)


def test_dump_fits_the_terminal() -> None:
    """Long lines are wrapped to the width of the terminal."""
    pty = pytest.importorskip("pty")
    output = bytearray()

    def take(number: int) -> bytes:
        data = os.read(number, 4096)
        output.extend(data)
        return data

    script = (
        "import os, sys; os.environ['COLUMNS'] = '60'; os.execv(sys.executable, "
        f"[sys.executable, '-m', 'tracekmt', 'dump', {str(DEMO)!r}, '-v', '--calls', '4'])"
    )
    pty.spawn([sys.executable, "-c", script], take)
    lines = output.decode().replace("\r", "").splitlines()
    assert max(map(len, lines)) <= 60
    together = "".join("".join(lines).split())
    assert "31bytes:4b4d5453010000000000000100000000524742413820323034387832303438PrivateDriverDataSize31" in together


def test_trim_stats_and_convert(command: Command, tmp_path: Path) -> None:
    result = command("trim", DEMO, "--calls", "17", "-o", "part.kmt")
    assert (result.returncode, result.stdout) == (0, "part.kmt: 3 of 19 calls (1 selected, 2 dependencies)\n")
    assert command("trim", DEMO, "--calls", "17", "-o", "part.kmt").returncode == 2
    assert command("replay", "part.kmt").returncode == 0
    assert "trimmed from  19 calls of demo.kmt" in command("info", "part.kmt").stdout
    stats = command("stats", DEMO)
    assert "D3DKMTCreateAllocation2                  8" in stats.stdout
    assert max(map(len, stats.stdout.splitlines())) <= 80
    assert json.loads(command("stats", DEMO, "--json").stdout)["calls"] == 19
    assert command("convert", "part.kmt", "-o", "part.jsonl").returncode == 0
    lines = command("convert", "part.kmt", "-o", "-", "--to", "jsonl").stdout
    assert lines == (tmp_path / "part.jsonl").read_text()
    assert command("convert", "part.jsonl", "-o", "back.kmt").returncode == 0
    assert command("dump", "back.kmt", "--json").stdout == command("dump", "part.kmt", "--json").stdout
    chosen = command("dump", DEMO, "--where", "failed and call ~ 'Create*' and in.NumAllocations > 0", "--json").stdout
    assert [json.loads(line)["index"] for line in chosen.splitlines()] == [9, 10, 13, 14, 15]


def test_record_redacted(command: Command, native: Path, tmp_path: Path) -> None:
    """Neither the name of the program nor private data reach the trace."""
    (tmp_path / "journal").write_bytes(bytes(4096))
    argv = [native / "client", native / "libdxcore.so", tmp_path / "journal", "work", 1, 5]
    assert command("record", "-o", "plain.kmt", "--", *argv).returncode == 7
    assert command("record", "--redact", "-o", "redacted.kmt", "--", *argv).returncode == 7
    summary = json.loads(command("info", "redacted.kmt", "--json").stdout)
    assert summary["redacted"] == "names, paths and private data"
    assert "client" not in json.dumps(summary)
    with tracekmt.open(tmp_path / "plain.kmt") as plain, tracekmt.open(tmp_path / "redacted.kmt") as redacted:
        assert len(plain) == len(redacted) > 0
        assert [call.outcome_text for call in plain.calls()] == [call.outcome_text for call in redacted.calls()]
        assert not any("libdxcore" in module.path for module in redacted.modules)
        assert any("libdxcore" in module.path for module in plain.modules)


def test_record_lists_failed_calls(command: Command, native: Path, tmp_path: Path) -> None:
    (tmp_path / "journal").write_bytes(bytes(4096))
    argv = [native / "client", native / "libdxcore.so", tmp_path / "journal", "bad", 1, 1]
    lines = command("record", "-o", "out.kmt", "--", *argv).stderr.splitlines()
    assert lines == [
        "out.kmt: 8 calls; the process ended with status 7",
        "       7  D3DKMTCreateAllocation2  STATUS_INVALID_PARAMETER",
    ]


def test_numbers_of_the_upper_half_are_shown_and_selected(command: Command, tmp_path: Path) -> None:
    """Wine has escapes of 0x80000000 and above."""
    path = tmp_path / "t.kmt"
    with tracekmt.create(path) as trace:
        for number in (0x80000000, "0x80000001", -0x80000000, 1):
            trace.add("D3DKMTEscape", {"hAdapter": 5, "Type": number})
    assert [line.split()[1] for line in command("dump", path, "-v").stdout.splitlines() if " Type " in line] == [
        *("0x80000000", "0x80000001", "0x80000000", "D3DKMT_ESCAPE_VIDMM"),
    ]
    selected = command("dump", path, "--json", "--where", "in.Type == 0x80000000").stdout.splitlines()
    assert [json.loads(line)["in"]["Type"] for line in selected] == [0x80000000] * 2
