"""Long traces in parts: what is joined equals the replay of the whole, and a trace with dependent parts stays whole."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import tracekmt
from tests.minimize.workload import PLANTS, Workload
from tests.skips import LINUX_PART
from tracekmt.matrix import parts as parts_module
from tracekmt.matrix import store
from tracekmt.matrix.cut import Part, find_parts, join_parts, replay_part
from tracekmt.matrix.matrix import run_matrix
from tracekmt.matrix.plan import parse_request

ROUND_CALLS, ROUNDS = 60, 5
Change = Callable[[Workload, int], None]


def write_rounds(path: Path, change: Change = lambda work, number: None, *, is_ambient: bool = False) -> Path:
    """Write a trace of several rounds. At the end of each, its devices are destroyed."""
    with tracekmt.create(path) as builder:
        work = Workload(builder, random.Random(5))
        work.call("DestroyKeyedMutex", hKeyedMutex=work.mutex)
        if is_ambient:
            builder.add("D3DKMTDestroyDevice", {"hDevice": 0x12340})
        for number in range(ROUNDS):
            work.run(ROUND_CALLS)
            PLANTS[number](work)
            change(work, number)
            for device in work.devices:
                work.call("DestroyDevice", hDevice=device)
            work.allocations.clear()
            work.fences.clear()
            work.devices = [work.call("CreateDevice", hAdapter=work.adapter).outputs["hDevice"] for _ in range(3)]
    return path


def cut(path: Path) -> list[Part]:
    with tracekmt.open(path) as trace:
        return find_parts(trace, ROUND_CALLS // 2)


@pytest.fixture(scope="module")
def long_trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_rounds(tmp_path_factory.mktemp("cut") / "long.kmt")


@pytest.mark.parametrize("settings", [{}, {"video_memory": "1MB", "system_memory": "1MB"}, {"profile": "wine"}])
def test_joined_parts_are_the_whole(long_trace: Path, settings: dict[str, Any]) -> None:
    parts = cut(long_trace)
    assert len(parts) == ROUNDS
    assert [part.end for part in parts[:-1]] == [part.first for part in parts[1:]]
    assert [part.needed for part in parts] == [[], *[[0]] * (ROUNDS - 1)]
    whole = tracekmt.replay(long_trace, **settings)
    assert whole.findings
    assert vars(join_parts([replay_part(long_trace, part, settings) for part in parts])) == vars(whole)


def keep_a_mutex(work: Workload, number: int) -> None:
    work.call("CreateKeyedMutex", InitialValue=0)


def keep_a_device(work: Workload, number: int) -> None:
    work.devices.pop()


def use_a_dead_device(work: Workload, number: int) -> None:
    if number == 3:
        work.call("CreateContext", hDevice=use_a_dead_device.device)  # type: ignore[attr-defined]
    use_a_dead_device.device = work.devices[0]  # type: ignore[attr-defined]


@pytest.mark.parametrize(("change", "ends"), [(keep_a_mutex, []), (keep_a_device, []), (use_a_dead_device, [1, 2, 4])])
def test_a_trace_is_not_cut_between_calls_that_depend_on_each_other(
    long_trace: Path, tmp_path: Path, change: Change, ends: list[int]
) -> None:
    parts = cut(write_rounds(tmp_path / "changed.kmt", change))
    assert len(parts) == len(ends) + 1


def test_a_trace_with_older_objects_stays_whole(tmp_path: Path) -> None:
    assert len(cut(write_rounds(tmp_path / "older.kmt", is_ambient=True))) == 1


@pytest.mark.skipif(sys.platform != "linux", reason=LINUX_PART)
def test_a_matrix_replays_parts_and_goes_on(long_trace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text('[[rule]]\naction = "tolerate"\nfunction = "Lock2"\nreason = "known"\n')
    targets = ("windows", "wine", "wsl --fail CreateDevice@2=STATUS_NO_MEMORY")
    request = parse_request([str(long_trace)], targets, rules, None)

    def results(folder: Path) -> list[Any]:
        found = [json.loads(path.read_text()) for path in sorted((folder / "done").iterdir())]
        return [(result["key"], result["target"], result["report"]) for result in found]

    run_matrix(request, tmp_path / "whole", jobs=1)
    for name, value in (("LONG_CALLS", 100), ("SMALL_FILE", 0), ("PART_CALLS", ROUND_CALLS // 2)):
        monkeypatch.setattr(parts_module, name, value)

    @contextmanager
    def interrupting(title: str) -> Iterator[Callable[[int, int], None]]:
        def on_progress(done: int, total: int) -> None:
            if title == "replaying" and total > 1 and done == 3:
                raise KeyboardInterrupt

        yield on_progress

    _, is_interrupted = run_matrix(request, tmp_path / "out", jobs=1, on_progress=interrupting)
    assert is_interrupted
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "parts").iterdir()}
    assert len(kept) == 3
    assert len(list((tmp_path / "out" / "cuts").iterdir())) == 1
    written: dict[Path, int] = {}
    write_json = store.write_json
    monkeypatch.setattr(store, "write_json", lambda path, data: (written.update({path: 1}), write_json(path, data)))
    summary, is_interrupted = run_matrix(request, tmp_path / "out", jobs=2)
    assert (is_interrupted, summary.exit_status) == (False, 1)
    assert not kept.keys() & written.keys()
    assert len([path for path in written if path.parent.name == "parts"]) == 2 * ROUNDS - 3
    assert results(tmp_path / "out") == results(tmp_path / "whole")
    assert list((tmp_path / "out" / "parts").iterdir()) == []
    parts = [json.loads(path.read_text()).get("parts") for path in (tmp_path / "out" / "done").iterdir()]
    assert sorted(map(str, parts)) == [str(ROUNDS), str(ROUNDS), "None"]
