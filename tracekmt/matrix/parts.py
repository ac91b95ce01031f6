"""Long traces in parts: which traces are cut, and the results of parts that become one result."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tracekmt.errors import Error
from tracekmt.matrix import store
from tracekmt.matrix.cut import LONG_CALLS, PART_CALLS, join_parts
from tracekmt.matrix.plan import Pair
from tracekmt.matrix.work import CUT, apply_rules, report_data, restore_report
from tracekmt.trace.parallel import SMALL_FILE
from tracekmt.trace.reader import Trace

CUTS, PARTS = "cuts", "parts"


class Parts:
    """The pairs of a matrix, those of long traces in parts.

    A trace is cut for the simulator without injected failures, which count calls from the beginning of the trace.
    """

    def __init__(self, folder: Path, pairs: Sequence[Pair]) -> None:
        """Find the pairs with long traces.

        Args:
            folder: Folder of the matrix.
            pairs: The pairs to replay.
        """
        self._folder, self._pairs = folder, pairs
        self._long = {path for path in {pair.work["trace"] for pair in pairs if _may_be_cut(pair)} if _is_long(path)}

    def uncut(self) -> list[Pair]:
        """Return work that cuts the long traces which have not been cut."""
        waiting = {}
        for pair in self._pairs:
            if self._is_long(pair) and not self._cut_path(pair).exists():
                waiting[pair.work["hash"]] = replace(pair, work={**pair.work, "on": CUT, "least": PART_CALLS}, needs={})
        return list(waiting.values())

    def keep_cut(self, pair: Pair, answer: dict[str, Any]) -> None:
        """Keep the parts of a trace. One that cannot be cut is replayed as a whole."""
        if "parts" in answer:
            (self._folder / CUTS).mkdir(exist_ok=True)
            store.write_json(self._cut_path(pair), answer["parts"])

    def pairs(self) -> list[Pair]:
        """Return the pairs to replay, each part of a long trace as one. Join the parts that are complete."""
        waiting: list[Pair] = []
        for pair in self._pairs:
            parts = list(self._parts_of(pair))
            missing = [part for part in parts if not self._part_path(part, part.work["number"]).exists()]
            waiting += missing if parts else [pair]
            if parts and not missing:
                self._join(parts[0])
        return waiting

    def keep(self, pair: Pair, answer: dict[str, Any]) -> None:
        """Keep the result of a pair, or of a part. The last part of a trace makes the result of the pair."""
        if "part" not in pair.work:
            store.write_result(self._folder, pair, answer)
            return
        (self._folder / PARTS).mkdir(exist_ok=True)
        store.write_json(self._part_path(pair, pair.work["number"]), answer)
        if all(self._part_path(pair, number).exists() for number in range(pair.work["count"])):
            self._join(pair)

    def _is_long(self, pair: Pair) -> bool:
        return pair.work["trace"] in self._long and _may_be_cut(pair)

    def _parts_of(self, pair: Pair) -> Iterator[Pair]:
        """Yield the parts of a pair, none if its trace stays whole."""
        if not self._is_long(pair) or not self._cut_path(pair).exists():
            return
        parts = store.read_result(self._cut_path(pair))
        for number, part in enumerate(parts if len(parts) > 1 else ()):
            yield replace(pair, work={**pair.work, "part": part, "number": number, "count": len(parts)})

    def _cut_path(self, pair: Pair) -> Path:
        return self._folder / CUTS / f"{pair.work['hash']}.json"

    def _part_path(self, pair: Pair, number: int) -> Path:
        return self._folder / PARTS / f"{pair.key}.{pair.run}.{number}.json"

    def _join(self, pair: Pair) -> None:
        """Write the result of a pair from those of its parts."""
        paths = [self._part_path(pair, number) for number in range(pair.work["count"])]
        store.write_result(self._folder, pair, _join_answers(pair, [store.read_result(path) for path in paths]))
        for path in paths:
            path.unlink()


def _join_answers(pair: Pair, answers: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the answer about a trace from those about its parts: the first one without a report, if there is one."""
    numbers = {
        "tries": max(answer["tries"] for answer in answers),
        "started": min(answer["started"] for answer in answers),
        "seconds": sum(answer["seconds"] for answer in answers),
        "parts": len(answers),
    }
    for answer in answers:
        if "report" not in answer:
            return {**answer, **numbers}
    names = (pair.work["trace"], "simulator")
    report = join_parts([restore_report(answer["report"], names) for answer in answers])
    try:
        apply_rules(report, Path(pair.work["trace"]), pair.work["rules"])
    except Error as error:
        return {"error": str(error), **numbers}
    return {**answers[0], "report": report_data(report), **numbers}


def _may_be_cut(pair: Pair) -> bool:
    return pair.work["on"] == "simulator" and not pair.work["settings"].get("faults")


def _is_long(path: str) -> bool:
    """Return True if a trace is long. One that cannot be read is not."""
    if Path(path).stat().st_size < SMALL_FILE:
        return False
    try:
        with Trace(Path(path)) as trace:
            return len(trace) > LONG_CALLS
    except Error:
        return False
