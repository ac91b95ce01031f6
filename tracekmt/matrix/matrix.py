"""Replays the pairs of a matrix that have no result yet, here or on a cluster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from tracekmt.errors import UsageError
from tracekmt.matrix import cluster, store
from tracekmt.matrix.key import describe
from tracekmt.matrix.local import OnAnswer, replay_here
from tracekmt.matrix.outcomes import Summary
from tracekmt.matrix.outputs import write_outputs
from tracekmt.matrix.parts import Parts
from tracekmt.matrix.plan import Pair, Request, find_traces, make_pairs
from tracekmt.matrix.tables import require_pyarrow

Progress = Callable[[int, int], None]


def run_matrix(
    request: Request,
    folder: Path,
    *,
    jobs: int,
    scheduler: str | None = None,
    shard: Sequence[int] | None = None,
    retry: bool = False,
    on_progress: Callable[[str], Any] = lambda title: nullcontext(lambda done, total: None),
) -> tuple[Summary, bool]:
    """Replay what has no result yet, and write the outputs.

    Args:
        request: The traces and the targets.
        folder: Folder of the results, new or from an earlier run.
        jobs: Number of processes on this machine.
        scheduler: Address of the scheduler of a cluster.
        shard: I and N: the part I of N of the pairs.
        retry: Replay those again that failed or were set aside.
        on_progress: Returns a context of a function that receives the number of finished things, and of all.

    Returns:
        The summary, and True if Ctrl-C ended the replays. Results until then are kept.

    Raises:
        UsageError: The request cannot be carried out.
    """
    require_pyarrow()
    store.prepare(folder)
    with nullcontext() if scheduler is None else cluster.connect(scheduler) as client:
        descriptions = [
            describe(target.on, target.settings()) if client is None else cluster.describe_there(client, target)
            for target in request.targets
        ]
        with on_progress("reading") as progress:
            traces = find_traces(request.traces, folder / store.FETCHED)
            pairs = make_pairs(request, traces, descriptions, progress)
        store.write_plan(folder, pairs, shard)
        waiting = _without_result(folder, [pair for pair in pairs if store.in_shard(pair, shard)], retry=retry)
        try:
            with on_progress("replaying") as progress:
                is_interrupted = not _replay(waiting, folder, client, jobs, progress)
        except UsageError:
            write_outputs(folder)  # with the results so far
            raise
    return write_outputs(folder), is_interrupted


def _without_result(folder: Path, pairs: Sequence[Pair], *, retry: bool) -> list[Pair]:
    """Return the pairs to replay. Of several traces with the same content, one is replayed."""
    waiting = {}
    for pair in pairs:
        path = store.result_path(folder, pair.key, pair.run)
        if not path.exists() or (retry and not store.read_result(path).get("report")):
            waiting[pair.key, pair.run] = pair
    return list(waiting.values())


def _replay(pairs: Sequence[Pair], folder: Path, client: Any, jobs: int, on_progress: Progress) -> bool:
    """Replay pairs and keep their results. Return False if Ctrl-C ended that."""

    def replay(pairs: Sequence[Pair], keep: OnAnswer) -> None:
        done = 0

        def on_answer(pair: Pair, answer: dict[str, Any]) -> None:
            nonlocal done
            keep(pair, answer)
            done += 1
            on_progress(done, len(pairs))

        if client is not None and pairs:
            cluster.replay_there(client, pairs, on_answer)
        elif pairs:
            replay_here(pairs, jobs, on_answer)

    try:
        parts = Parts(folder, pairs)
        replay(parts.uncut(), parts.keep_cut)
        replay(parts.pairs(), parts.keep)
    except KeyboardInterrupt:
        return False
    return True


def parse_shard(text: str) -> tuple[int, int]:
    """Parse "I/N".

    Raises:
        UsageError: The text is not a shard.
    """
    part, slash, total = text.partition("/")
    if not (slash and part.isdecimal() and total.isdecimal() and 1 <= int(part) <= int(total)):
        raise UsageError(f"invalid shard: {text} (expected I/N, from 1/N to N/N)")
    return int(part), int(total)
