"""Queries: those of docs/sql.md, mistakes, and what a query cannot do."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.tables.scenario import DEVICE, LARGE, MIB, NT_HANDLE, VERSION, write_scenario
from tracekmt.calls import raw_call
from tracekmt.convert import convert
from tracekmt.errors import TraceError, UsageError
from tracekmt.trace.events import Enter, Header, Leave
from tracekmt.trace.writer import Writer

pytest.importorskip("pyarrow")
pytest.importorskip("duckdb")

import duckdb

from tracekmt.tables.dataset import write_tables
from tracekmt.tables.query import run_query

PAGE = Path(__file__).parents[2] / "docs" / "sql.md"
QUESTIONS = dict(re.findall(r"^### ([^\n]*\?)\n\n```sql\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE))

ANSWERS: dict[str, list[Sequence[Any]]] = {
    "Who allocates most?": [("game.exe", 1, 4 * MIB), ("d3d11.dll", 1, MIB)],
    "Which calls fail?": [("D3DKMTCreateDevice", "STATUS_INVALID_PARAMETER", "0xc000000d", 2, 9)],
    "Which calls take longest?": [
        (13, "D3DKMTLock2", 0, "STATUS_SUCCESS", 5.0),
        (0, "D3DKMTOpenAdapterFromLuid", 0, "STATUS_SUCCESS", 0.001),
    ],
    "What leaks?": [
        ("allocation", "D3DKMTCreateAllocation2", 1, 4 * MIB, 4),
        ("adapter", "D3DKMTOpenAdapterFromLuid", 1, None, 0),
        ("device", "D3DKMTCreateDevice", 1, None, 2),
        ("resource", "D3DKMTCreateAllocation2", 1, None, 4),
        ("resource", "D3DKMTOpenResourceFromNtHandle", 1, None, 12),
    ],
    "How does memory grow?": [(0, 5 * MIB, 5 * MIB), (3, -MIB, 4 * MIB)],
    "How does residency compare with the budget?": [
        (6e-06, "local", 8 * MIB, 0, 0, 0.0),
        (1.000001, "local", 8 * MIB, 5 * MIB, 5 * MIB, 62.5),
    ],
    "Which calls are the two ends of a shared handle?": [
        (NT_HANDLE, 11, "D3DKMTShareObjects", 12, "D3DKMTOpenResourceFromNtHandle")
    ],
    "Which calls come from which module?": [
        ("game.exe", "D3DKMTCreateDevice", 2, 2),
        ("game.exe", "D3DKMTQueryVideoMemoryInfo", 2, 0),
        ("unknown", "D3DKMTCloseAdapter", 1, 0),
        ("d3d11.dll", "D3DKMTCreateAllocation2", 1, 0),
    ],
    "How do times differ between drivers?": [("31.0.15.4601", "D3DKMTCreateAllocation2", 2, 1000.0, 1000.0)],
    "How many calls are there in each second?": [(0, 7, 0), (1, 6, 2), (3, 3, 0)],
}
"""The first rows of each answer."""


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scenario(tmp_path_factory.mktemp("scenario") / "game.kmt")


def answer(source: Path, query: str) -> list[Sequence[Any]]:
    with run_query(source, query) as found:
        return list(found.rows)


@pytest.mark.parametrize("question", sorted({*QUESTIONS, *ANSWERS}))
def test_the_page_answers_ten_questions(trace: Path, question: str) -> None:
    assert len(QUESTIONS) == 10
    expected = ANSWERS[question]
    assert answer(trace, QUESTIONS[question])[: len(expected)] == expected


def test_times_of_two_drivers(trace: Path, tmp_path: Path) -> None:
    other = write_scenario(tmp_path / "other.kmt", VERSION + 1)
    for path in (trace, other):
        convert(path, tmp_path / f"{path.stem}.parquet", "parquet")
    with duckdb.connect() as connection:
        connection.execute(f"create view calls as from read_parquet('{tmp_path}/*.parquet')")
        rows = connection.execute(QUESTIONS["How do times differ between drivers?"]).fetchall()
    assert [row[:3] for row in rows[:2]] == [
        ("31.0.15.4601", "D3DKMTCreateAllocation2", 2),
        ("31.0.15.4602", "D3DKMTCreateAllocation2", 2),
    ]


def test_arguments_are_columns_with_and_without_the_prefix(trace: Path) -> None:
    query = "select outputs.pAllocationInfo2[1].hAllocation from {} where list_contains(inputs.Flags, 'CreateResource')"
    for name in ("CreateAllocation2", "D3DKMTCreateAllocation2", "d3dkmtcreateallocation2", '"CreateAllocation2"'):
        assert answer(trace, query.format(name)) == [(LARGE,)]
    assert answer(trace, "select outputs.pPrivateDriverData->>'$.DriverVersion' from QueryAdapterInfo") == [
        (str(VERSION),)
    ]
    assert answer(trace, "select inputs.hDevice from CreateAllocation2 semi join calls using (index)")[0] == (DEVICE,)
    assert answer(trace, "from DestroyDevice") == []


def test_a_folder_and_a_file_answer_as_the_trace_does(trace: Path, tmp_path: Path) -> None:
    for name in ("it's", "calls.parquet"):
        convert(trace, tmp_path / name, "parquet")
    for question, query in QUESTIONS.items():
        assert answer(tmp_path / "it's", query) == answer(trace, query), question
    query = QUESTIONS["Which calls fail?"]
    assert answer(tmp_path / "calls.parquet", query) == answer(trace, query)


def test_only_named_tables_are_converted(trace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted: list[list[str]] = []

    def watch(opened: Any, folder: Path, name: str, tables: Any, *rest: Any) -> None:
        wanted.append(sorted(tables))
        write_tables(opened, folder, name, tables, *rest)

    monkeypatch.setattr("tracekmt.tables.query.write_tables", watch)
    answer(trace, "select 1")
    answer(trace, 'select count(*) from Calls join "objects" on created_index = index')
    answer(trace, "from Evict")
    assert wanted == [[], ["calls", "objects"], ["D3DKMTEvict"]]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("selec 1", 'Parser Error: syntax error at or near "selec"'),
        ("select nope from calls", 'Referenced column "nope" not found'),
        ("select * from nope", "Table with name nope does not exist"),
        ("", "invalid query: no statement"),
        ("select cast(call as int) from calls", "Conversion Error"),
        ("from read_csv('/etc/passwd')", "Cannot access file"),
        ("copy calls to 'out.csv'", "Cannot access file"),
        ("attach 'other.db'", "Cannot access file"),
        ("set memory_limit = '1GB'", "the configuration has been locked"),
    ],
)
def test_mistakes_and_files_of_others(trace: Path, query: str, message: str) -> None:
    with pytest.raises(UsageError) as error:
        answer(trace, query)
    assert message in str(error.value)
    assert len(str(error.value).splitlines()) <= 2


def test_equal_names_of_columns_become_different(trace: Path) -> None:
    with run_query(trace, "select index, index, index as index_2, call from calls limit 1") as found:
        assert found.columns == ["index", "index_2", "index_2_2", "call"]


def test_a_damaged_trace_is_named(trace: Path, tmp_path: Path) -> None:
    (tmp_path / "torn.kmt").write_bytes(trace.read_bytes()[:-100])
    with run_query(tmp_path / "torn.kmt", "from calls") as found:
        assert "the calls before the damage are complete" in str(found.warning)
        assert len(list(found.rows)) == 16


def test_functions_in_a_trace_may_have_any_name(tmp_path: Path) -> None:
    names = ["calls", "D3DKMTobjects", "D3DKMTFoo", "Foo", "foo", 'x"y', "select"]
    writer = Writer(tmp_path / "x.kmt", Header("x64"))
    for number, name in enumerate(names):
        writer.describe(number, raw_call(name))
        writer.events(
            [
                Enter(2 * number, 7, number, number, 0, (5,), (), number),
                Leave(2 * number + 1, 2 * number, number, 0, ()),
            ]
        )
    writer.end("x")
    writer.close()
    convert(tmp_path / "x.kmt", tmp_path / "out", "parquet")
    for source in (tmp_path / "x.kmt", tmp_path / "out"):
        assert answer(source, "select count(*) from calls") == [(len(names),)]
        assert answer(source, "select call from calls_ union all select call from d3dkmtobjects_") == [
            ("calls",),
            ("D3DKMTobjects",),
        ]
        assert ("D3DKMTFoo",) in answer(source, "select call from D3DKMTFoo")
        assert answer(source, 'select call from "x_y"') == [('x"y',)]
        assert answer(source, "select count(*) from objects") == [(0,)]


def test_a_mistake_is_found_before_the_conversion(trace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tracekmt.tables.query.write_tables", lambda *_: pytest.fail("the trace is converted"))
    with pytest.raises(UsageError, match="not found in FROM"):
        answer(trace, "select nope from calls")


def test_invalid_sources(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="cannot open"):
        answer(tmp_path / "nothing.kmt", "select 1")
    with pytest.raises(UsageError, match="invalid folder of tables"):
        answer(tmp_path, "from calls")
    with pytest.raises(UsageError, match=r"cannot read .*nothing\.parquet"):
        answer(tmp_path / "nothing.parquet", "from calls")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1")
    with pytest.raises(UsageError, match="it is not a Parquet file"):
        answer(tmp_path / "bad.parquet", "from calls")
