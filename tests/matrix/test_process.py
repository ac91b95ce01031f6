"""Processes that replay: answers, deaths, and resources that one replay uses at a time."""

from __future__ import annotations

import json
import threading
import time
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import tracekmt
from tracekmt.budgets import BUDGETS
from tracekmt.findings import Finding, Report
from tracekmt.matrix.local import _Waiting
from tracekmt.matrix.plan import Pair
from tracekmt.matrix.process import ReplayProcess, replay_or_set_aside
from tracekmt.matrix.work import replay_pair, report_data, restore_report
from tracekmt.resources import resource
from tracekmt.version import VERSION

DEMO = resource("traces", "demo.kmt")


def work(trace: Path = DEMO, **settings: Any) -> dict[str, Any]:
    on = settings.pop("on", "simulator")
    return {
        "trace": str(trace),
        "url": None,
        "on": on,
        "settings": settings,
        "rules": None,
        "budgets": vars(BUDGETS),
        "version": VERSION,
    }


@pytest.fixture
def process() -> Iterator[ReplayProcess]:
    process = ReplayProcess()
    yield process
    process.close()


def contents(report: Report) -> dict[str, Any]:
    return {name: value for name, value in vars(report).items() if name not in ("names", "noise")}


def test_a_report_survives_its_data() -> None:
    report = tracekmt.replay(DEMO, video_memory="1MB")
    assert not report.same
    restored = restore_report(report_data(report), report.names)
    assert contents(restored) == contents(report)
    assert restored.names == report.names


def test_a_process_answers_one_pair_after_the_other(process: ReplayProcess) -> None:
    for memory in ("1MB", "1GB"):
        answer = process.replay(work(video_memory=memory))
        assert answer == json.loads(json.dumps(replay_pair(work(video_memory=memory))))
        assert answer["report"]["same"] == tracekmt.replay(DEMO, video_memory=memory).same


def test_errors_are_answers(process: ReplayProcess, tmp_path: Path) -> None:
    (tmp_path / "bad.kmt").write_bytes(b"no trace")
    assert "not a tracekmt trace" in process.replay(work(tmp_path / "bad.kmt"))["error"]
    assert "missing.kmt" in process.replay(work(tmp_path / "missing.kmt"))["error"]
    assert "invalid profile" in process.replay(work(profile="xbox"))["error"]
    other = {**work(), "version": "0.0"}
    assert process.replay(other) == {"error": f"this worker has tracekmt {VERSION}, and not 0.0"}


def kill_when_it_runs(process: ReplayProcess, times: int) -> threading.Thread:
    """Kill the process of replays, each time after it has started."""

    def kill() -> None:
        killed: list[Any] = []
        while len(killed) < times:
            running = process._process
            if running is not None and running not in killed:
                killed.append(running)
                running.kill()
            time.sleep(0.001)

    thread = threading.Thread(target=kill)
    thread.start()
    return thread


def test_a_pair_whose_process_dies_is_tried_once_more(process: ReplayProcess) -> None:
    killer = kill_when_it_runs(process, 1)
    answer = replay_or_set_aside(process, work())
    killer.join()
    assert answer["report"]["same"]
    assert answer["tries"] == 2


def test_a_pair_that_kills_its_process_twice_is_set_aside(process: ReplayProcess) -> None:
    killer = kill_when_it_runs(process, 2)
    answer = replay_or_set_aside(process, work())
    killer.join()
    assert "report" not in answer
    assert answer["tries"] == 2
    assert answer["set_aside"].startswith("tried 2 times: its process ")
    assert replay_or_set_aside(process, work())["report"]["same"]


def test_a_stopped_process_replays_nothing(process: ReplayProcess) -> None:
    process.stop()
    assert "set_aside" in replay_or_set_aside(process, work())


def pair(number: int, on: str = "simulator", **needs: float) -> Pair:
    return Pair(str(number), 1, "trace", "target", "command", work={"on": on}, needs=needs)


def test_pairs_with_one_resource_run_one_at_a_time() -> None:
    real = [pair(number, "thunks") for number in (1, 2)]
    gpu = [pair(number, GPU=1) for number in (3, 4)]
    waiting = _Waiting([*real, *gpu, pair(5)])
    assert [waiting.take() for _ in range(3)] == [real[0], gpu[0], pair(5)]
    taken: list[Pair | None] = []
    threads = [threading.Thread(target=lambda: taken.append(waiting.take())) for _ in range(2)]
    for thread in threads:
        thread.start()
    waiting.release(gpu[0])
    while not taken:
        time.sleep(0.001)
    assert taken == [gpu[1]]
    waiting.release(real[0])
    for thread in threads:
        thread.join()
    assert taken == [gpu[1], real[1]]
    assert waiting.take() is None


def test_stopped_work_hands_out_nothing() -> None:
    waiting = _Waiting([pair(1)])
    waiting.stop()
    assert waiting.take() is None


def test_folded_findings_survive_their_data() -> None:
    folded = Finding("opaque", "D3DKMTEscape", 1, 1, 0, "a", "b", "", repeats=array("Q", [3, 5]))
    data = json.loads(json.dumps(report_data(Report(("a", "b"), total=9, findings=[folded]))))
    assert data["calls"]["opaque"] == 3
    (restored,) = restore_report(data, ("a", "b")).findings
    assert restored.to_dict() == folded.to_dict()
