"""Two traces as a whole: origin, adapters, times and objects."""

from __future__ import annotations

import random
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

import tracekmt
from tracekmt.report.comparison import LEAST_TIMES, Comparison, compare_numbers, rank_test

VERSIONS = {"a": 31 << 48 | 101 << 16 | 5186, "b": 31 << 48 | 101 << 16 | 5200}


def write(path: Path, *, time: int = 1000, failed: int = 0, version: int = VERSIONS["a"]) -> Path:
    """Write a trace of 20 queries of some time each, an allocation that lives for them, and the driver's version."""
    with tracekmt.create(path) as trace:
        adapter = {"hAdapter": 0x40000000}
        trace.add("D3DKMTOpenAdapterFromLuid", {"AdapterLuid": {"LowPart": 1}}, adapter)
        query = {
            **adapter,
            "Type": "KMTQAITYPE_UMD_DRIVER_VERSION",
            "pPrivateDriverData": {"DriverVersion": version},
            "PrivateDriverDataSize": 8,
        }
        trace.add("D3DKMTQueryAdapterInfo", {**query, "pPrivateDriverData": {"DriverVersion": 0}}, query)
        trace.add("D3DKMTCreateDevice", adapter, {"hDevice": 0x40000040})
        now = 10**6
        for number in range(20):
            duration = time + 7 * number
            status = 0xC000000D if number < failed else 0
            trace.add("D3DKMTQueryVideoMemoryInfo", adapter, status=status, enter_ns=now, leave_ns=now + duration)
            now += duration + 100
        trace.add("D3DKMTDestroyDevice", {"hDevice": 0x40000040}, enter_ns=now, leave_ns=now + 10)
    return path


def compare(tmp_path: Path, **b: int) -> Comparison:
    first, second = write(tmp_path / "a.kmt"), write(tmp_path / "b.kmt", **b)
    return compare_numbers(first, second, lambda done, total: None)


def test_both_sides_are_named(tmp_path: Path) -> None:
    rows = {label: (a, b) for label, a, b in compare(tmp_path, version=VERSIONS["b"]).origin_rows()}
    assert rows["driver"] == ("31.0.101.5186", "31.0.101.5200")
    assert rows["file"] == (str(tmp_path / "a.kmt"), str(tmp_path / "b.kmt"))
    assert rows["calls"] == ("24", "24")


def test_answers_about_adapters_that_differ(tmp_path: Path) -> None:
    assert list(compare(tmp_path).fact_rows()) == []
    other = tmp_path / "other"
    other.mkdir()
    (row,) = compare(other, version=VERSIONS["b"]).fact_rows()
    assert row == ("adapter 0 DriverVersion", "31.0.101.5186", "31.0.101.5200")


def test_functions(tmp_path: Path) -> None:
    rows = list(compare(tmp_path, time=9000, failed=3).function_rows())
    queries = rows.index(next(row for row in rows if row[0] == "D3DKMTQueryVideoMemoryInfo"))
    assert rows[queries][1:6] == ("A", "20", "0", "1.1 us", "1.1 us")
    assert rows[queries + 1][:6] == ("", "B", "20", "3", "9.1 us", "9.1 us")
    assert rows[queries + 1][-1] == "slower"
    assert {row[-1] for row in rows} == {"", "slower"}, "other functions have too few calls for a test"


def test_objects(tmp_path: Path) -> None:
    rows = [row for row in compare(tmp_path).object_rows() if row[0] == "device"]
    assert [row[:4] for row in rows] == [("device", "A", "1", "1")]
    assert rows[0][4].endswith("us") or rows[0][4].endswith("ms")


numbers = st.lists(st.integers(0, 50), min_size=LEAST_TIMES, max_size=40)


@given(numbers, numbers)
def test_the_rank_test_has_two_sides(first: list[int], second: list[int]) -> None:
    score, probability = rank_test(first, second)
    other_score, other_probability = rank_test(second, first)
    assert abs(score + other_score) < 1e-9
    assert abs(probability - other_probability) < 1e-9
    assert 0 <= probability <= 1


def test_the_rank_test_counts_pairs() -> None:
    """Its score is the number of pairs in which the second value is larger, ties counting half, and standardised."""
    first, second = [1, 4, 4, 9, 12, 30], [4, 10, 11, 12, 40, 41, 50]
    larger = sum((b > a) + (b == a) / 2 for a in first for b in second)
    score, _ = rank_test(first, second)
    assert (score > 0) == (larger > len(first) * len(second) / 2)
    n, m = len(first), len(second)
    ties = sum(count**3 - count for count in (3, 2))
    deviation = (n * m / 12 * (n + m + 1 - ties / ((n + m) * (n + m - 1)))) ** 0.5
    assert abs(score - (larger - n * m / 2) / deviation) < 1e-9


def test_equal_distributions_are_rarely_told_apart() -> None:
    chance = random.Random(5)
    alarms = 0
    for _ in range(500):
        first, second = ([chance.gauss(0, 1) for _ in range(30)] for _ in range(2))
        alarms += rank_test(first, second)[1] < 0.01  # type: ignore[arg-type]
    assert alarms <= 15
