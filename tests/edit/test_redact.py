"""Redaction removes names, paths and private data, keeps the rest, and keeps equal contents equal."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tracekmt
from tests.strategies import arguments, examples
from tracekmt.calls import CALLS
from tracekmt.codec import FieldValue, Unreadable, decode, encode, iter_values
from tracekmt.codec.memory import Arena, Recorded
from tracekmt.convert import convert
from tracekmt.edit.recover import recover
from tracekmt.edit.redact import REDACTED, redacted_data, redacted_regions, redacted_text
from tracekmt.edit.trim import trim
from tracekmt.resources import resource
from tracekmt.spec.types import (
    WCHAR_SIZE,
    Abi,
    ByteArray,
    Bytes,
    CountedString,
    Payload,
    RawWindow,
    WCharArray,
    WString,
)
from tracekmt.text.call_set import parse_calls
from tracekmt.trace.events import Header, Module
from tracekmt.trace.reader import Trace
from tracekmt.trace.writer import Writer

ABIS: tuple[Abi, ...] = ("x64", "x86", "wsl")
DEMO = resource("traces", "demo.kmt")


def expected(field_value: FieldValue, abi: Abi) -> Any:
    value, type_ = field_value.value, field_value.type
    if isinstance(type_, (WString, WCharArray, CountedString)) and isinstance(value, str):
        # The length is in WCHARs. A character may need two.
        size = WCHAR_SIZE[abi] if not isinstance(type_, CountedString) else 2
        units = len(value.encode("utf-16-le" if size == 2 else "utf-32-le", "surrogatepass")) // size
        return redacted_text(value).ljust(units, ".")
    is_private = isinstance(type_, (Bytes, RawWindow, Payload)) or (isinstance(type_, ByteArray) and type_.tail)
    return redacted_data(value) if is_private and isinstance(value, bytes) else value


@pytest.mark.parametrize("name", sorted(CALLS))
@settings(max_examples=examples(8), deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_only_text_and_data_change(name: str, data: st.DataObject) -> None:
    spec, abi = CALLS[name], data.draw(st.sampled_from(ABIS))
    drawn = data.draw(arguments(spec, abi))
    arena = Arena(abi)
    parameters = encode(spec, abi, arena, drawn.values, drawn.kind_of)
    regions = tuple(arena.regions())
    argument = deepcopy(decode(spec, abi, Recorded(regions), parameters, None, drawn.kind_of))
    for field_value in iter_values(spec.argument, argument):
        field_value.values[field_value.key] = expected(field_value, abi)
    redacted = redacted_regions(spec, abi, parameters, regions, None, drawn.kind_of)
    assert [(address, size, len(data)) for address, size, data in redacted] == [
        (address, size, len(data)) for address, size, data in regions
    ]
    assert decode(spec, abi, Recorded(redacted), parameters, None, drawn.kind_of) == argument
    assert redacted_regions(spec, abi, parameters, regions, Recorded(regions), drawn.kind_of) == redacted


def test_a_tail_after_its_structure_is_redacted_once() -> None:
    """Regression: the end of a tail that is longer than its field was redacted twice."""
    spec, arena = CALLS["D3DKMTQueryAdapterInfo"], Arena("x64")
    tail = bytes(8) + b"\1"
    parameters = encode(spec, "x64", arena, {"Type": 48, "pPrivateDriverData": {"ValueType": 3, "OutputBinary": tail}})
    redacted = redacted_regions(spec, "x64", parameters, tuple(arena.regions()))
    value = decode(spec, "x64", Recorded(redacted), parameters)
    assert isinstance(value, dict)
    assert value["pPrivateDriverData"]["OutputBinary"] == redacted_data(tail)


def test_replacements_keep_length_and_equality() -> None:
    assert redacted_text("") == ""
    assert redacted_text("abc") != redacted_text("abd")
    assert len(redacted_text("x" * 500)) == 500
    assert redacted_data(bytes(9)) == bytes(9)
    assert redacted_data(b"secret") == redacted_data(b"secret") != redacted_data(b"Secret")
    assert len(redacted_data(b"x" * 500)) == 500


def test_memory_after_a_string_is_removed() -> None:
    """The recorder copies more than a string without a length, because it does not search for its end."""
    spec = CALLS["D3DKMTOpenAdapterFromDeviceName"]
    arena = Arena("x64")
    parameters = encode(spec, "x64", arena, {"pDeviceName": "PCI#VEN"})
    regions = tuple(
        (address, size, data + b"neighbour" if index == 1 else data)
        for index, (address, size, data) in enumerate(arena.regions())
    )
    redacted = redacted_regions(spec, "x64", parameters, regions)
    assert redacted[1][2][16:] == bytes(len(redacted[1][2]) - 16)
    value = decode(spec, "x64", Recorded(redacted), parameters)
    assert not isinstance(value, Unreadable)
    assert value is not None
    assert value["pDeviceName"] == redacted_text("PCI#VEN")


def test_a_redacted_trace(tmp_path: Path) -> None:
    path, once, twice = tmp_path / "secret.kmt", tmp_path / "once.kmt", tmp_path / "twice.kmt"
    header = Header("x64", process={"name": "Unreleased Game.exe", "argv": ["--level", "secret level"], "pid": 7})
    with tracekmt.open(DEMO) as trace:
        writer = Writer(path, header)
        for spec_id, spec in trace.specs.items():
            writer.describe(spec_id, spec)
        writer.module(Module("Unreleased Game.exe", "C:\\Users\\someone\\Unreleased Game.exe", 4096, 4096))
        writer.events(trace.events())
        writer.end("the process ended")
        writer.close()
    convert(path, once, "kmt", redact=True)
    convert(once, twice, "kmt", redact=True)
    with Trace(once) as first, Trace(twice) as second, Trace(path) as before:
        assert first.header.redacted == REDACTED
        assert first.header.process["pid"] == 7
        everything = repr([first.header, first.modules, list(first.events())])
        for secret in ("Unreleased", "secret", "someone", "RGBA8", "KMTS"):
            assert secret not in everything
        assert everything == repr([second.header, second.modules, list(second.events())])
        for old, new in zip(before.calls(), first.calls(), strict=True):
            assert (new.outcome_text, new.enter_ns, new.leave_ns) == (old.outcome_text, old.enter_ns, old.leave_ns)
            handles = {
                field_value.path: field_value.value
                for field_value in iter_values(old.spec.argument, old.outputs)
                if field_value.path[:1] == "h"
            }
            redacted = {
                field_value.path: field_value.value for field_value in iter_values(new.spec.argument, new.outputs)
            }
            assert handles.items() <= redacted.items()


def test_equal_contents_stay_equal(tmp_path: Path) -> None:
    convert(DEMO, tmp_path / "r.kmt", "kmt", redact=True)
    report = tracekmt.diff(tmp_path / "r.kmt", tmp_path / "r.kmt")
    assert report.same
    convert(DEMO, tmp_path / "r.jsonl", "jsonl", redact=True)
    assert "RGBA8" not in (tmp_path / "r.jsonl").read_text()
    convert(tmp_path / "r.jsonl", tmp_path / "back.kmt", "kmt")
    with Trace(tmp_path / "back.kmt") as back, Trace(tmp_path / "r.kmt") as once:
        assert list(back.events()) == list(once.events())
    convert(DEMO, tmp_path / "plain.jsonl", "jsonl")
    convert(tmp_path / "plain.jsonl", tmp_path / "late.kmt", "kmt", redact=True)
    with Trace(tmp_path / "late.kmt") as late, Trace(tmp_path / "r.kmt") as once:
        assert list(late.events()) == list(once.events())


def test_no_path_reappears(tmp_path: Path) -> None:
    """The damage of a recovered trace and the source of a trimmed one are file names."""
    home = tmp_path / "someone-s"
    home.mkdir()
    damaged = bytearray(DEMO.read_bytes())
    with Trace(DEMO) as trace:
        damaged[trace._index.frames[-1].offset + 40] ^= 1
    (home / "secret.kmt").write_bytes(damaged)
    recover(home / "secret.kmt", tmp_path / "recovered.kmt")
    convert(tmp_path / "recovered.kmt", home / "redacted-secret.kmt", "kmt", redact=True)
    convert(DEMO, home / "whole-secret.kmt", "kmt", redact=True)
    trim(home / "whole-secret.kmt", parse_calls("3-8"), tmp_path / "part.kmt")
    for path in (home / "redacted-secret.kmt", tmp_path / "part.kmt"):
        with Trace(path) as trace:
            assert "secret" not in repr([trace.header, trace.damage.removeprefix(str(path)) if trace.damage else ""])
            assert trace.header.redacted == REDACTED
