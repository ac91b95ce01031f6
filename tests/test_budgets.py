"""Traces that would take too much memory or time are plain errors with their place."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest

import tracekmt
from tracekmt.budgets import BUDGETS, Budgets, raise_budgets
from tracekmt.errors import TraceError, UsageError
from tracekmt.spec.dsl import UINT, in_, structure
from tracekmt.spec.types import CallSpec, Integer, Pointer
from tracekmt.trace.events import Enter, Header, Leave, spec_to_data
from tracekmt.trace.frames import FrameKind, pack_frame, preamble
from tracekmt.trace.msgpack_objects import count_objects
from tracekmt.trace.writer import Writer


@pytest.fixture(autouse=True)
def default_budgets() -> Iterator[None]:
    yield
    raise_budgets(1)


def write(path: Path, *frames: tuple[int, Any]) -> Path:
    values = [(FrameKind.HEADER, Header("x64").to_data()), *frames]
    path.write_bytes(preamble() + b"".join(pack_frame(FrameKind(kind), value) for kind, value in values))
    return path


def damage(path: Path) -> str:
    with tracekmt.open(path) as trace:
        assert trace.damage is not None
        return trace.damage


def test_a_frame_of_too_many_objects(tmp_path: Path) -> None:
    path = write(tmp_path / "t.kmt", (FrameKind.BLOBS, [{}] * (BUDGETS.frame_objects + 1)))
    assert path.stat().st_size < 1000
    assert "has more than 1000000 objects (--budgets raises the limit)" in damage(path)
    raise_budgets(2)
    assert "malformed blobs" in damage(path)


def test_metadata_of_too_many_bytes(tmp_path: Path) -> None:
    path = write(tmp_path / "t.kmt", (FrameKind.MODULE, ["m" * (5 << 20), "", 0, 0]))
    assert "has more than 4194304 bytes of metadata" in damage(path)


def test_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BUDGETS, "modules", 3)
    frames = [(FrameKind.MODULE, [f"m{number}", "", number, 1]) for number in range(4)]
    with pytest.raises(TraceError, match=r"t\.kmt: byte \d+: more than 3 modules"):
        tracekmt.open(write(tmp_path / "t.kmt", *frames))
    long = [(FrameKind.MODULE, ["m" * (1 << 16), "p", 0, 1])]
    with pytest.raises(TraceError, match="malformed module"):
        tracekmt.open(write(tmp_path / "u.kmt", *long))


def test_descriptions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names are compared in linear time: 20,000 fields are refused or read at once."""
    fields = [in_(f"f{number}", UINT) for number in range(20_000)]
    data = spec_to_data(0, CallSpec("F", structure("S", *fields), sources=("test",)), "x64")
    path = write(tmp_path / "t.kmt", (FrameKind.CALL, data))
    tracekmt.open(path).close()
    monkeypatch.setattr(BUDGETS, "description_objects", 100_000)
    with pytest.raises(TraceError, match=r"byte \d+: more than 100000 objects in descriptions"):
        tracekmt.open(path)


def self_referring(path: Path, depth: int) -> Path:
    """Write a call whose structures all point to one region, `depth` levels deep and eight times on each level."""
    struct = structure("S0", in_("n", UINT))
    for level in range(1, depth + 1):
        struct = structure(f"S{level}", in_("p", Pointer(struct, "n")), in_("n", UINT))
    address, writer = 0x1000, Writer(path, Header("x64"), force=True)
    writer.describe(0, CallSpec("F", struct, sources=("test",)))
    element = address.to_bytes(8, "little") + (8).to_bytes(8, "little")
    region = (address, 128, element * 8)
    writer.events([Enter(0, 1, 0, 0, 0, (address,), (region,)), Leave(1, 0, 0, 0, (region,))])
    writer.close()
    return path


def test_memory_that_points_into_itself(tmp_path: Path) -> None:
    with tracekmt.open(self_referring(tmp_path / "t.kmt", 3)) as trace:
        assert trace[0].inputs is not None
    with (
        tracekmt.open(self_referring(tmp_path / "t.kmt", 12)) as trace,
        pytest.raises(TraceError, match=r"t\.kmt: call 0: an argument has more than 3000000 values"),
    ):
        _ = trace[0].inputs


def test_a_number_for_each_byte(tmp_path: Path) -> None:
    byte, size = Integer("UCHAR", 1), BUDGETS.values + 1
    struct = structure("S", in_("p", Pointer(byte, "n")), in_("n", UINT))
    writer = Writer(tmp_path / "t.kmt", Header("x64"))
    writer.describe(0, CallSpec("F", struct, sources=("test",)))
    argument = (0x2000).to_bytes(8, "little") + size.to_bytes(8, "little")
    regions = ((0x1000, 16, argument), (0x2000, size, bytes(size)))
    writer.events([Enter(0, 1, 0, 0, 0, (0x1000,), regions)])
    writer.close()
    with tracekmt.open(tmp_path / "t.kmt") as trace, pytest.raises(TraceError, match="more than 3000000 values"):
        _ = trace[0].inputs


def test_a_count_without_memory_costs_nothing(tmp_path: Path) -> None:
    """A game passes any count. It is not an attack if there is no memory behind it."""
    with tracekmt.create(tmp_path / "t.kmt") as trace:
        trace.add(
            "D3DKMTEvict", {"hDevice": 1, "AllocationList": tracekmt.Unreadable(0x10), "NumAllocations": 0xFFFFFFFF}
        )
    with tracekmt.open(tmp_path / "t.kmt") as opened:
        assert isinstance(opened[0].inputs, dict)
        assert opened[0].inputs["AllocationList"] == tracekmt.Unreadable(0x10)


def test_unpacked_bytes_depend_on_the_size_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BUDGETS, "unpacked_bytes", 1 << 20)
    monkeypatch.setattr(BUDGETS, "unpacked_bytes_per_byte", 10)
    path = write(tmp_path / "t.kmt", *[(FrameKind.PADDING, bytes(1 << 19))] * 4)
    with pytest.raises(TraceError, match=r"exceeds the limit of \d+ unpacked bytes \(--budgets raises the limit\)"):
        tracekmt.open(path)


@pytest.mark.parametrize(
    "value", [None, 1, -1, 1.5, "a" * 300, b"b" * 70000, [1, [2, {3: 4}]], {"k": [None] * 20}, 1 << 40]
)
def test_objects_are_counted_without_unpacking(value: object) -> None:
    def count(item: object) -> int:
        if isinstance(item, dict):
            return 1 + sum(count(key) + count(part) for key, part in item.items())
        return 1 + sum(map(count, item)) if isinstance(item, list) else 1

    data = msgpack.packb([value] * 3)
    assert count_objects(data, 0) == 1, "the count ends at the limit"
    assert count_objects(data, len(data) - 1) in (count([value] * 3), len(data) - 1)


def test_a_factor_raises_all_budgets() -> None:
    raise_budgets(3)
    assert vars(BUDGETS) == {name: 3 * number for name, number in vars(Budgets()).items()}
    with pytest.raises(UsageError, match="invalid factor of --budgets: 0"):
        raise_budgets(0)
