"""Replays pairs on the workers of a dask cluster.

Workers read the traces at the same paths, or fetch them from their URLs. A worker replays in a separate process, so
that a trace cannot kill the worker.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from tracekmt.errors import UsageError
from tracekmt.matrix.key import describe
from tracekmt.matrix.local import OnAnswer
from tracekmt.matrix.plan import Pair
from tracekmt.matrix.process import ReplayProcess, replay_or_set_aside
from tracekmt.matrix.targets import Target

WORKERLESS_SECONDS = 30.0
"""Time after which a pair is given up if no worker has what it needs."""

_POLL_SECONDS = 1.0

_LOGGERS = ("distributed", "distributed.client", "distributed.gc", "tornado.application")
"""The loggers to which dask gives levels when it is imported (distributed/config.py, 2026.8.0)."""

_of_thread = threading.local()


@contextmanager
def connect(address: str) -> Iterator[Any]:
    """Connect to a scheduler.

    Args:
        address: Its address, such as tcp://10.0.0.1:8786.

    Yields:
        The client.

    Raises:
        UsageError: dask's library is not installed, or the scheduler cannot be reached.
    """
    try:
        import distributed
    except ImportError:
        raise UsageError("--scheduler requires distributed (pip install 'tracekmt[cluster]')") from None
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL)  # errors of this command have one or two lines
    try:
        connect_to: Any = distributed.Client
        client = connect_to(address, set_as_default=False)
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot reach the scheduler {address}: {error}") from None
    try:
        yield client
    finally:
        client.close()


def describe_there(client: Any, target: Target) -> dict[str, Any]:
    """Return the description of a target on a worker that has what the target needs.

    Raises:
        UsageError: There is no such worker, or it cannot load the library.
    """
    settings = target.settings()
    if not target.is_real:
        return describe(target.on, settings)
    _require_worker(client, target.needs, target.name)
    task = client.submit(_describe, _absolute({"on": target.on})["on"], settings, resources=target.needs, pure=False)
    description: dict[str, Any] | str = task.result()
    if isinstance(description, str):
        raise UsageError(description)
    return description


def _describe(on: str, settings: Mapping[str, Any]) -> dict[str, Any] | str:
    try:
        return describe(on, settings)
    except UsageError as error:
        return str(error)


def replay_there(client: Any, pairs: Sequence[Pair], on_answer: OnAnswer) -> None:
    """Replay pairs on the workers.

    A pair whose worker is lost goes to another one, as often as the scheduler allows it (allowed-failures of dask).

    Args:
        client: The client; see `connect`.
        pairs: The pairs.
        on_answer: Receives the answers in this thread.

    Raises:
        UsageError: The scheduler is lost, or no worker has what a pair needs. Other pairs are replayed before.
    """
    for needs, target in {tuple(pair.needs.items()): pair.target for pair in pairs}.items():
        _require_worker(client, dict(needs), target)
    ended: queue.SimpleQueue[Any] = queue.SimpleQueue()
    waiting = {}
    for pair in pairs:
        future = client.submit(_replay_on_worker, _absolute(pair.work), resources=dict(pair.needs), pure=False)
        waiting[future.key] = future, pair
        future.add_done_callback(ended.put)
    last_seen: dict[tuple[Any, ...], float] = {}
    missing: set[str] = set()
    try:
        while waiting:
            try:
                future, pair = waiting.pop(ended.get(timeout=_POLL_SECONDS).key)
                on_answer(pair, _answer(future))
            except queue.Empty:
                for key in _without_worker(client, waiting, last_seen):
                    future, pair = waiting.pop(key)
                    future.cancel()
                    missing.add(_text(pair.needs))
            except KeyError:
                continue  # cancelled above
    finally:
        client.cancel([future for future, _ in waiting.values()])
    if missing:
        raise UsageError(f"no worker has {' or '.join(sorted(missing))} any more (run the same command again to go on)")


def _replay_on_worker(work: Mapping[str, Any]) -> dict[str, Any]:
    """Replay a pair on a worker, in a process that belongs to the thread of the task."""
    from distributed import get_worker

    if not hasattr(_of_thread, "process"):
        _of_thread.process = ReplayProcess()
    worker: Any = get_worker()
    return {**replay_or_set_aside(_of_thread.process, work), "worker": str(worker.name)}


def _answer(future: Any) -> dict[str, Any]:
    if future.status == "cancelled":
        raise UsageError("lost the scheduler (run the same command again to go on)")
    error = future.exception()
    if error is None:
        answer: dict[str, Any] = future.result()
        return answer
    if type(error).__name__ == "KilledWorker":
        return _set_aside("every worker that replayed it was lost")
    return _set_aside(f"the worker failed: {type(error).__name__}: {str(error)[:200]}")


def _set_aside(reason: str) -> dict[str, Any]:
    return {"set_aside": reason, "tries": 0, "started": time.time(), "seconds": 0.0}


def _require_worker(client: Any, needs: Mapping[str, float], target: str) -> None:
    if not _has_worker(client, needs):
        raise UsageError(f"{target}: no worker of the cluster has {_text(needs)}")


def _has_worker(client: Any, needs: Mapping[str, float]) -> bool:
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    return any(
        all(worker.get("resources", {}).get(name, 0) >= amount for name, amount in needs.items()) for worker in workers
    )


def _without_worker(
    client: Any, waiting: Mapping[str, tuple[Any, Pair]], last_seen: dict[tuple[Any, ...], float]
) -> list[str]:
    """Return the keys of the tasks for which there has been no worker for WORKERLESS_SECONDS."""
    now = time.monotonic()
    lost = set()
    for needs in {tuple(pair.needs.items()) for _, pair in waiting.values()}:
        if _has_worker(client, dict(needs)):
            last_seen[needs] = now
        elif now - last_seen.setdefault(needs, now) > WORKERLESS_SECONDS:
            lost.add(needs)
    return [key for key, (_, pair) in waiting.items() if tuple(pair.needs.items()) in lost]


def _text(needs: Mapping[str, float]) -> str:
    return ", ".join(f"{amount:g} {name}" for name, amount in needs.items()) or "time for it"


def _absolute(work: Mapping[str, Any]) -> dict[str, Any]:
    """Return the input of a replay with absolute paths, because workers run in other folders."""
    kind, _, library = work["on"].partition(":")
    paths = {name: os.path.abspath(work[name]) for name in ("trace", "rules") if work.get(name) is not None}
    return {**work, **paths, "on": f"{kind}:{os.path.abspath(library)}" if library else kind}
