"""Files and folders of tables are whole or not there, and one row group at a time is in memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tables.scenario import write_scenario
from tracekmt.convert import convert
from tracekmt.errors import UsageError
from tracekmt.resources import resource

pytest.importorskip("pyarrow")

from tracekmt.tables import dataset
from tracekmt.tables.arrow import pa, parquet

DEMO = resource("traces", "demo.kmt")


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_file_has_the_calls(tmp_path: Path) -> None:
    assert convert(DEMO, tmp_path / "x.parquet", "parquet").calls == 19
    table = parquet.read_table(tmp_path / "x.parquet")
    assert table.num_rows == 19
    assert table.column("trace").to_pylist() == ["demo.kmt"] * 19
    assert names(tmp_path) == ["x.parquet"]


def test_a_folder_has_every_table(tmp_path: Path) -> None:
    path = write_scenario(tmp_path / "x.kmt")
    convert(path, tmp_path / "out", "parquet")
    found = names(tmp_path / "out")
    assert found[-3:] == ["calls.parquet", "objects.parquet", "residency.parquet"]
    assert "arguments/D3DKMTCreateAllocation2.parquet" in found
    assert len(found) == 3 + 12


def test_a_redacted_trace_is_not_named(tmp_path: Path) -> None:
    convert(DEMO, tmp_path / "x.parquet", "parquet", redact=True)
    assert set(parquet.read_table(tmp_path / "x.parquet").column("trace").to_pylist()) == {"a redacted trace"}


def test_row_groups_are_of_a_limited_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, many: bytes) -> None:
    (tmp_path / "many.kmt").write_bytes(many)
    monkeypatch.setattr(dataset, "ROWS", 5)
    convert(tmp_path / "many.kmt", tmp_path / "x.parquet", "parquet")
    groups = parquet.read_metadata(tmp_path / "x.parquet")
    assert groups.num_row_groups > 2
    assert all(groups.row_group(number).num_rows < 8 for number in range(groups.num_row_groups))
    monkeypatch.setattr(dataset, "ROW_BYTES", 1)
    convert(tmp_path / "many.kmt", tmp_path / "y.parquet", "parquet")
    assert parquet.read_metadata(tmp_path / "y.parquet").num_row_groups > groups.num_row_groups
    assert parquet.read_table(tmp_path / "y.parquet") == parquet.read_table(tmp_path / "x.parquet")


def test_a_folder_is_replaced_only_if_it_has_tables_alone(tmp_path: Path) -> None:
    out = tmp_path / "out"
    convert(write_scenario(tmp_path / "x.kmt"), out, "parquet")
    with pytest.raises(UsageError, match="already exists"):
        convert(DEMO, out, "parquet")
    convert(DEMO, out, "parquet", force=True)
    assert "arguments/D3DKMTEvict.parquet" not in names(out)
    for other in ("notes.txt", "mine.parquet", "arguments/notes.txt"):
        (out / other).write_text("precious")
        with pytest.raises(UsageError, match="it has other files, such as"):
            convert(DEMO, out, "parquet", force=True)
        assert (out / other).read_text() == "precious"
        (out / other).unlink()
    (tmp_path / "file").write_text("precious")
    with pytest.raises(UsageError, match="it is a file"):
        convert(DEMO, tmp_path / "file", "parquet", force=True)


def test_a_failed_conversion_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise pa.ArrowInvalid("no space")

    monkeypatch.setattr(dataset, "activity_batches", fail)
    with pytest.raises(pa.ArrowInvalid):
        convert(DEMO, tmp_path / "out", "parquet")
    assert list(tmp_path.iterdir()) == []


def test_an_empty_trace_has_empty_tables(tmp_path: Path) -> None:
    import tracekmt

    with tracekmt.create(tmp_path / "x.kmt"):
        pass
    convert(tmp_path / "x.kmt", tmp_path / "x.parquet", "parquet")
    convert(tmp_path / "x.kmt", tmp_path / "out", "parquet")
    assert parquet.read_table(tmp_path / "x.parquet").num_rows == 0
    assert names(tmp_path / "out") == ["calls.parquet", "objects.parquet", "residency.parquet"]
