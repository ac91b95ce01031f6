"""The folder of a matrix: shards, results of several runs, and damage."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tracekmt.errors import UsageError
from tracekmt.matrix import store
from tracekmt.matrix.matrix import parse_shard
from tracekmt.matrix.plan import Pair


def pair(number: int, run: int = 1) -> Pair:
    return Pair(hashlib.sha256(bytes([number])).hexdigest(), run, f"{number}.kmt", "target", "command")


def test_every_pair_is_in_one_shard() -> None:
    pairs = [pair(number) for number in range(200)]
    shards = [[each for each in pairs if store.in_shard(each, (number, 3))] for number in (1, 2, 3)]
    assert sorted(each.trace for shard in shards for each in shard) == sorted(each.trace for each in pairs)
    assert min(map(len, shards)) > 40
    assert all(store.in_shard(each, None) for each in pairs)


def test_a_plan_is_read_as_it_was_written(tmp_path: Path) -> None:
    pairs = [pair(number) for number in range(3)]
    store.write_plan(tmp_path, pairs, (1, 2))
    assert store.read_plan(tmp_path) == (pairs, [1, 2])


def test_runs_have_their_results(tmp_path: Path) -> None:
    store.prepare(tmp_path)
    for run in (1, 3):
        store.write_result(tmp_path, pair(0, run), {"error": f"run {run}"})
    assert [result["error"] for result in store.results_of(tmp_path, pair(0).key, 3)] == ["run 1", "run 3"]
    assert list(store.results_of(tmp_path, pair(1).key, 3)) == []


def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("x")
    with pytest.raises(UsageError, match="it has other files"):
        store.prepare(tmp_path)
    with pytest.raises(UsageError, match="cannot write"):
        store.prepare(tmp_path / "precious.txt")
    store.prepare(tmp_path / "new")
    store.prepare(tmp_path / "new")
    store.write_plan(tmp_path / "new", [], None)
    store.prepare(tmp_path / "new")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "not the plan of a matrix"),
        ("[]", "not the plan of a matrix"),
        ('{"format": 1, "pairs": [{}], "shard": null}', "not the plan of a matrix"),
        ('{"format": 2}', "another version of tracekmt wrote it"),
        (None, "expected the folder of a matrix"),
    ],
)
def test_a_damaged_plan_is_an_error(tmp_path: Path, text: str | None, problem: str) -> None:
    if text is not None:
        (tmp_path / store.PLAN).write_text(text)
    with pytest.raises(UsageError, match=problem):
        store.read_plan(tmp_path)


def test_a_damaged_result_is_an_error(tmp_path: Path) -> None:
    store.prepare(tmp_path)
    store.result_path(tmp_path, "key", 1).write_text("{")
    with pytest.raises(UsageError, match=r"damaged \(delete it, and run the matrix again\)"):
        list(store.results_of(tmp_path, "key", 1))


@pytest.mark.parametrize("text", ["", "1", "0/3", "4/3", "a/b", "1/3/5", "-1/3"])
def test_an_invalid_shard_is_an_error(text: str) -> None:
    with pytest.raises(UsageError, match="invalid shard"):
        parse_shard(text)
    assert parse_shard("2/3") == (2, 3)
