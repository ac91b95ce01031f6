"""The output of a reproducer is converted, or refused with file and line, and never gives a traceback."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import tracekmt
from tests.strategies import examples
from tracekmt.convert.c.output_format import escape_name, trace_fingerprint
from tracekmt.convert.c.output_target import read_back
from tracekmt.errors import Error, TraceError, UsageError
from tracekmt.resources import resource
from tracekmt.trace.reader import TracedCall

TRACE = resource("traces", "stand-alone-allocation.kmt")

Read = Callable[["str | bytes"], list[TracedCall]]
FIELDS = {
    "D3DKMTOpenAdapterFromLuid": ["  hAdapter 0x555"],
    "D3DKMTCreateDevice": ["  hDevice 0x666"],
    "D3DKMTCreateAllocation2": [
        "  pAllocationInfo2[0].hAllocation 0x777",
        "  pAllocationInfo2[0].pPrivateDriverData " + 31 * "ab",
    ],
}


def reproducer_output(fingerprint: str = "") -> str:
    """Return the output of a reproducer of the sample that has no differences."""
    with tracekmt.open(TRACE) as trace:
        lines = [
            f"tracekmt reproducer 1 trace {fingerprint or trace_fingerprint(trace.header)} calls 6 pointers 8 wchar 2",
            "note a remark",
        ]
        for call in trace.calls():
            lines += [f"call {call.index} {call.name}", "result 0x00000000"]
            lines += FIELDS.get(call.name, [])
    return "\n".join([*lines, "end 6 calls, 0 different", ""])


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def read_it(text: str | bytes) -> list[TracedCall]:
        path = tmp_path / "repro.txt"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        read_back(path, TRACE, tmp_path / "out.kmt", force=True)
        with tracekmt.open(tmp_path / "out.kmt") as trace:
            calls = list(trace.calls())
            assert all(call.to_json() for call in calls)
            return calls

    return read_it


@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["lf", "crlf"])
def test_printed_values(read: Read, end: str) -> None:
    calls = read(reproducer_output().replace("\n", end))
    info = calls[2].outputs["pAllocationInfo2"][0]  # type: ignore[index]
    assert (info["hAllocation"], info["pPrivateDriverData"]) == (0x777, b"\xab" * 31)
    assert calls[3].inputs["phAllocationList"] == [0x777]  # type: ignore[index]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("tracekmt reproducer 1", "tracekmt reproducer 2", r"line 1: unsupported version: 2"),
        ("tracekmt reproducer 1", "reproducer", r"line 1: not the output of a reproducer"),
        ("note a remark", "anything", r"line 2: unexpected line in the output of a reproducer: 'anything'"),
        ("call 3 ", "call 2 ", r"line 13: call 2 is duplicated"),
        ("call 3 D3DKMTDestroyAllocation2", "call 3 Other", r"line 13: .* does not have this call: 3 Other"),
        ("call 3 ", "call 9999999 ", r"does not have this call: 9999999"),
        ("hAllocation 0x777", "hAllocation 0x777777777", r"line 9: invalid output of the call"),
        ("hAllocation 0x777", "hAllocation abc", r"line 11: .*hAllocation: invalid value: abc"),
        ("hAllocation 0x777", "hOther 0x777", r"unknown field of the call: pAllocationInfo2\[0\]\.hOther"),
        ("calls 6 pointers", "calls 7 pointers", r"line 19: invalid number of calls: 6 \(expected 7"),
        ("end 6", "end 6 calls, 0 different\nend 6", r"unexpected line after the end line"),
        ("abab\n", "abab\n  pAllocationInfo2[0].hAllocation 0x1\n", r"line 13: .*is duplicated"),
    ],
)
def test_invalid_output(read: Read, tmp_path: Path, old: str, new: str, message: str) -> None:
    text = reproducer_output()
    assert old in text
    with pytest.raises(Error, match=message) as caught:
        read(text.replace(old, new, 1))
    assert "repro.txt" in str(caught.value)
    assert len(str(caught.value).splitlines()) <= 2
    assert not list(tmp_path.glob("*.part"))


def test_output_of_a_different_trace(read: Read) -> None:
    with pytest.raises(UsageError, match=r"line 1: output of a different trace"):
        read(reproducer_output("0123456789abcdef"))


@pytest.mark.parametrize("line_count", [3, 5, 9, 12, 16])
def test_truncated_output(read: Read, line_count: int) -> None:
    """The calls before the truncation are complete, and the last one did not return."""
    calls = read("\n".join(reproducer_output().split("\n")[:line_count]) + "\n")
    assert calls
    assert [call.returned for call in calls] == [True] * (len(calls) - 1) + [False]


@settings(max_examples=examples(150), suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.integers(0, 2000), st.binary(max_size=12), st.booleans())
@example(0, b"", True)
def test_noise(read: Read, at: int, noise: bytes, cut: bool) -> None:
    text = reproducer_output().encode()
    with suppress(Error):  # anything else is a traceback
        read(text[:at] + noise + (b"" if cut else text[at + len(noise) :]))


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"none\.txt"):
        read_back(tmp_path / "none.txt", TRACE, tmp_path / "out.kmt")
    (tmp_path / "out.kmt").touch()
    with pytest.raises(UsageError, match="already exists"):
        read_back(tmp_path / "none.txt", TRACE, tmp_path / "out.kmt")


def test_on_the_command_line(command: Callable[..., CompletedProcess[str]], tmp_path: Path) -> None:
    (tmp_path / "repro.txt").write_text(reproducer_output())
    done = command("convert", "repro.txt", "--from", TRACE, "-o", "out.kmt")
    assert (done.returncode, done.stderr) == (0, "out.kmt: 6 calls\n")
    assert command("diff", TRACE, "out.kmt").returncode == 0
    assert command("convert", "repro.txt", "--from", TRACE, "-o", "out.c").returncode == 2
    assert command("convert", "repro.txt", "--from", TRACE, "-o", "new.kmt", "--redact").returncode == 2
    assert command("convert", "repro.txt", "--from", "repro.txt", "-o", "new.kmt").returncode == 2


def test_escape_name() -> None:
    assert escape_name("pInfo[0].hAllocation") == "pInfo[0].hAllocation"
    assert escape_name("a b\n\\é") == "a\\u0020b\\u000a\\u005c\\u00e9"


def test_fingerprint_of_older_outputs() -> None:
    """Outputs of older reproducers contain these fingerprints."""
    fingerprints = {"demo": "426bfe0019698a36", "stand-alone-allocation": "48fe6ebe3c0e2565"}
    for name, fingerprint in fingerprints.items():
        with tracekmt.open(resource("traces", f"{name}.kmt")) as trace:
            assert trace_fingerprint(trace.header) == fingerprint
