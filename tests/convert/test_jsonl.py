"""JSON lines: a round trip restores the whole trace, and edited values are never ignored."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tracekmt
from tests.strategies import examples
from tracekmt.calls import CALLS
from tracekmt.convert import convert
from tracekmt.convert.jsonl import from_lines, to_lines
from tracekmt.edit.trim import trim
from tracekmt.errors import Error, UsageError
from tracekmt.resources import resource
from tracekmt.text.call_set import parse_calls
from tracekmt.trace.events import Enter, Header, Leave, Lost, Module
from tracekmt.trace.reader import Trace
from tracekmt.trace.writer import Writer

SAMPLES = sorted(resource("traces", "demo.kmt").parent.glob("*.kmt"))
DEMO = resource("traces", "demo.kmt")


def contents(path: Path) -> dict[str, Any]:
    """Return the content of a trace, independent of its frames."""
    with Trace(path) as trace:
        return {
            "events": list(trace.events()),
            "header": trace.header,
            "specs": {spec_id: spec.name for spec_id, spec in trace.specs.items()},
            "modules": trace.modules,
            "threads": trace.threads,
            "how": (trace.ended, trace.damage, trace.lost, trace.start_time, len(trace)),
            "calls": [call.to_json() for call in trace.calls()],
        }


def check_round_trip(path: Path, folder: Path) -> None:
    lines, back = folder / "lines.jsonl", folder / "back.kmt"
    with Trace(path) as trace:
        lines.write_text("".join(f"{line}\n" for line in to_lines(trace)))
        assert from_lines(lines, back, force=True) == len(trace)
    assert contents(back) == contents(path)
    with Trace(back) as trace:
        assert "".join(f"{line}\n" for line in to_lines(trace)) == lines.read_text()


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_samples(path: Path, tmp_path: Path) -> None:
    check_round_trip(path, tmp_path)


def test_a_part_of_a_trace(tmp_path: Path) -> None:
    trim(DEMO, parse_calls("8,17"), tmp_path / "part.kmt")
    check_round_trip(tmp_path / "part.kmt", tmp_path)


REGIONS = st.lists(st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 2**40), st.binary(max_size=80)), max_size=3).map(
    tuple
)


@st.composite
def recordings(draw: st.DrawFn) -> list[Enter | Leave | Lost]:
    """Generate events of calls that overlap, that never return, that are lost, and with gaps in the indexes."""
    events: list[Enter | Leave | Lost] = []
    in_flight: list[Enter] = []
    time, index = draw(st.integers(0, 2**50)), 0
    for sequence in range(draw(st.integers(0, 12))):
        time += draw(st.integers(0, 10**9))
        match draw(st.sampled_from(("enter", "leave", "lost"))):
            case "enter":
                index += draw(st.sampled_from((1, 1, 1, 5)))
                arguments = tuple(draw(st.lists(st.integers(0, 2**64 - 1), max_size=2)))
                caller, thread = draw(st.integers(0, 2**64 - 1)), draw(st.integers(0, 3))
                in_flight.append(Enter(sequence, thread, 0, time, caller, arguments, draw(REGIONS), index))
                events.append(in_flight[-1])
            case "leave" if in_flight:
                enter = in_flight.pop(draw(st.integers(0, len(in_flight) - 1)))
                regions = draw(st.sampled_from((enter.regions, draw(REGIONS))))
                events.append(Leave(sequence, enter.sequence, time, draw(st.integers(0, 2**64 - 1)), regions))
            case "lost":
                events.append(Lost(sequence, draw(st.integers(1, 2**40))))
    return events


@settings(max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=recordings(), text=st.text(max_size=20), ended=st.booleans(), wchar=st.sampled_from((2, 4)))
def test_any_recording(tmp_path: Path, events: list[Enter | Leave | Lost], text: str, ended: bool, wchar: int) -> None:
    header = Header("x64", process={"name": text}, settings={"a": [1, None, text]}, wchar=wchar, clock={"wall": 2**60})
    writer = Writer(tmp_path / "made.kmt", header, force=True)
    writer.describe(0, CALLS["D3DKMTDestroyAllocation2"])
    writer.module(Module(text, "/" + text, 2**63, 4096))
    writer.events(events)
    if ended:
        writer.end(text, None)
    writer.close()
    check_round_trip(tmp_path / "made.kmt", tmp_path)


def lines_of(path: Path) -> list[Any]:
    with Trace(path) as trace:
        return [json.loads(line) for line in to_lines(trace)]


def write_lines(folder: Path, lines: list[Any]) -> Path:
    path = folder / "x.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_without_raw_the_values_are_converted(tmp_path: Path) -> None:
    lines = lines_of(DEMO)
    for line in lines:
        line.pop("raw", None)
    lines[3]["in"]["Flags"] = ["LegacyMode"]
    from_lines(write_lines(tmp_path, lines), tmp_path / "back.kmt")
    with tracekmt.open(DEMO) as before, tracekmt.open(tmp_path / "back.kmt") as after:
        assert after.header == before.header
        for old, new in zip(before.calls(), after.calls(), strict=True):
            changes = {"caller": None, "in": lines[3]["in"]} if old.index == 2 else {"caller": None}
            assert new.to_json() == old.to_json() | changes


def test_handwritten_lines(tmp_path: Path) -> None:
    """Handwritten lines need only the calls."""
    lines = [
        {"call": "D3DKMTOpenAdapterFromLuid", "in": {"AdapterLuid": {"LowPart": 1}}, "out": {"hAdapter": "0x40000000"}},
        {"call": "D3DKMTCloseAdapter", "in": {"hAdapter": "0x40000000"}, "status": "STATUS_INVALID_PARAMETER"},
        {"call": "D3DKMTCloseAdapter", "in": {"hAdapter": 5}, "returned": False, "thread": 3},
    ]
    assert from_lines(write_lines(tmp_path, lines), tmp_path / "back.kmt") == 3
    with tracekmt.open(tmp_path / "back.kmt") as trace:
        assert [call.outcome_text for call in trace.calls()] == [
            "STATUS_SUCCESS",
            "STATUS_INVALID_PARAMETER",
            "did not return",
        ]
        assert trace[0].outputs["hAdapter"] == 0x40000000  # type: ignore[index]


def change(at: int, *path: Any, to: Any) -> Callable[[list[Any]], None]:
    def apply(lines: list[Any]) -> None:
        container = lines[at]
        for step in path[:-1]:
            container = container[step]
        container[path[-1]] = to

    return apply


def drop(at: int, *path: Any) -> Callable[[list[Any]], None]:
    def apply(lines: list[Any]) -> None:
        container = lines[at]
        for step in path[:-1]:
            container = container[step]
        del container[path[-1]]

    return apply


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (change(3, "in", "hAdapter", to="0x1"), 'line 4: "in" does not match its "raw"'),
        (change(3, "status", to="STATUS_NO_MEMORY"), 'line 4: "status" does not match its "raw"'),
        (drop(3, "raw"), 'line 4: missing "raw", which earlier lines have'),
        (drop(1, "raw"), 'line 3: unexpected "raw", which earlier lines do not have'),
        (drop(3, "raw", "enter"), "line 4: missing field: enter"),
        (drop(0, "header"), "line 1: missing field: header"),
        (change(0, "header", "abi", to="arm"), "line 1: the header has no valid ABI"),
        (change(0, "descriptions", 0, "description", to={}), "a description"),
        (change(3, "raw", "enter", "regions", 0, to=["0x1", 4]), "line 4: "),
        (change(3, "raw", "enter", "time", to=5), "line 4: invalid number: 5 (expected a string of digits)"),
        (change(3, "raw", "thread", to=-1), "line 4: invalid number: -1 (expected an integer"),
        (change(3, "raw", "enter", "time", to=str(2**80)), "line 4: "),
        (change(3, "index", to=0), "line 4: "),
        (change(3, "raw", "arguments", to=["0x" + "f" * 20]), "(expected at most 64 bits)"),
        (change(3, "raw", "enter", "regions", to=[["0x" + "f" * 20, 8, "00"]]), "(expected at most 64 bits)"),
        (lambda lines: lines.insert(2, [1]), "line 3: invalid line: [1] (expected a JSON object)"),
        (lambda lines: lines.append({"tracekmt": "end"}), "line 22: unexpected line after the end line"),
        (lambda lines: lines.insert(3, {"tracekmt": "video"}), "line 4: invalid \"tracekmt\": 'video'"),
        (lambda lines: lines.pop(0), "line 1: missing trace header"),
    ],
)
def test_invalid_lines_are_named(tmp_path: Path, spoil: Callable[[list[Any]], None], message: str) -> None:
    lines = lines_of(DEMO)
    spoil(lines)
    with pytest.raises(Error) as error:
        from_lines(write_lines(tmp_path, lines), tmp_path / "back.kmt")
    assert message in str(error.value)
    assert str(error.value).startswith(str(tmp_path / "x.jsonl"))
    assert not (tmp_path / "back.kmt").exists()


@pytest.mark.parametrize("time", [float("inf"), float("nan"), 1.5])
def test_times_are_whole_numbers(tmp_path: Path, time: float) -> None:
    lines = [lines_of(DEMO)[0], {"call": "D3DKMTCloseAdapter", "in": {"hAdapter": 1}, "enter_ns": time}]
    (tmp_path / "x.jsonl").write_text("\n".join(map(json.dumps, lines)))
    with pytest.raises(UsageError, match=r"invalid time: .*expected a string of digits"):
        from_lines(tmp_path / "x.jsonl", tmp_path / "back.kmt")


@pytest.mark.parametrize("data", [b"\xff\xfe", b"{", b"[" * 100_000, b"12\n", b'{"tracekmt": "trace"}\n'])
def test_invalid_files(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.jsonl").write_bytes(data)
    with pytest.raises(UsageError):
        from_lines(tmp_path / "x.jsonl", tmp_path / "back.kmt")


@settings(max_examples=examples(300), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_value_gives_an_error_or_a_trace(tmp_path: Path, data: st.DataObject) -> None:
    lines = lines_of(DEMO)[:4]
    if data.draw(st.booleans()):
        for line in lines:
            line.pop("raw", None)
    container: Any = lines[data.draw(st.integers(0, 3))]
    while True:
        keys = sorted(container) if isinstance(container, dict) else range(len(container))
        key = data.draw(st.sampled_from(keys))
        if not (isinstance(container[key], (dict, list)) and container[key] and data.draw(st.booleans())):
            break
        container = container[key]
    junk = st.one_of(st.none(), st.integers(), st.text(max_size=5), st.booleans(), st.floats())
    container[key] = data.draw(st.one_of(junk, st.lists(junk, max_size=3), st.dictionaries(st.text(max_size=3), junk)))
    try:
        from_lines(write_lines(tmp_path, lines), tmp_path / "back.kmt", force=True)
    except Error:
        return
    contents(tmp_path / "back.kmt")


def test_a_failed_conversion_keeps_the_existing_file(tmp_path: Path) -> None:
    """A conversion replaces an existing file only after the output is complete."""
    kept = tmp_path / "kept.kmt"
    kept.write_bytes(b"precious")
    with pytest.raises(UsageError):
        from_lines(write_lines(tmp_path, [{"call": "D3DKMTNope", "in": {}}]), kept, force=True)
    assert kept.read_bytes() == b"precious"
    damaged = bytearray(DEMO.read_bytes())
    with Trace(DEMO) as trace:
        damaged[trace._index.frames[-1].offset + 40] ^= 1
    (tmp_path / "damaged.kmt").write_bytes(damaged)
    for form, redact in (("jsonl", False), ("kmt", False), ("kmt", True)):
        with pytest.raises(Error):
            convert(tmp_path / "damaged.kmt", kept, form, redact=redact, force=True)
        assert kept.read_bytes() == b"precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["damaged.kmt", "kept.kmt", "x.jsonl"]
