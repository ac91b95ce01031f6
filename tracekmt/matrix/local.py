"""Replays pairs on this machine, in several processes at once."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from tracekmt.matrix.plan import Pair
from tracekmt.matrix.process import ReplayProcess, replay_or_set_aside

OnAnswer = Callable[[Pair, dict[str, Any]], None]
"""Receives a pair and the answer of its replay; see `replay_or_set_aside`."""

_THUNKS = "thunks"
"""Resource of every target on thunks. This machine has one of each resource."""

_POLL_SECONDS = 0.2


def replay_here(pairs: Sequence[Pair], jobs: int, on_answer: OnAnswer) -> None:
    """Replay pairs. Those that need the same resource are replayed one at a time.

    Args:
        pairs: The pairs.
        jobs: Number of processes.
        on_answer: Receives the answers in this thread.
    """
    waiting = _Waiting(pairs)
    answers: queue.SimpleQueue[tuple[Pair, dict[str, Any]] | Exception] = queue.SimpleQueue()
    processes = [ReplayProcess() for _ in range(min(jobs, len(pairs)))]
    threads = [threading.Thread(target=_replay, args=(process, waiting, answers), daemon=True) for process in processes]
    for thread in threads:
        thread.start()
    try:
        for _ in pairs:
            answer = _next(answers)
            if isinstance(answer, Exception):
                raise answer
            on_answer(*answer)
    finally:
        waiting.stop()
        for process in processes:
            process.stop()
        for thread, process in zip(threads, processes, strict=True):
            thread.join()
            process.close()


def _next(answers: queue.SimpleQueue[Any]) -> Any:
    """Return the next answer. On Windows, Ctrl-C does not end a wait without a time limit."""
    while True:
        try:
            return answers.get(timeout=_POLL_SECONDS)
        except queue.Empty:
            continue


def _replay(process: ReplayProcess, waiting: _Waiting, answers: queue.SimpleQueue[Any]) -> None:
    """Replay pairs until none waits."""
    try:
        while (pair := waiting.take()) is not None:
            answer = replay_or_set_aside(process, pair.work)
            waiting.release(pair)
            if not waiting.is_stopped:
                answers.put((pair, answer))
    except Exception as error:
        answers.put(error)


class _Waiting:
    """Pairs that wait for a process and for the resources that they need."""

    def __init__(self, pairs: Sequence[Pair]) -> None:
        self.is_stopped = False
        self._by_needs: dict[frozenset[str], deque[Pair]] = {}
        for pair in pairs:
            self._by_needs.setdefault(_needs(pair), deque()).append(pair)
        self._in_use: set[str] = set()
        self._changed = threading.Condition()

    def take(self) -> Pair | None:
        """Return a pair whose resources are free, and use these. Wait for one. None if no pair is left."""
        with self._changed:
            while not self.is_stopped and any(self._by_needs.values()):
                for needs, pairs in self._by_needs.items():
                    if pairs and not needs & self._in_use:
                        self._in_use |= needs
                        return pairs.popleft()
                self._changed.wait()
            return None

    def release(self, pair: Pair) -> None:
        """Free the resources of a pair."""
        with self._changed:
            self._in_use -= _needs(pair)
            self._changed.notify_all()

    def stop(self) -> None:
        """Let no further pair be taken."""
        with self._changed:
            self.is_stopped = True
            self._changed.notify_all()


def _needs(pair: Pair) -> frozenset[str]:
    return frozenset(pair.needs) | ({_THUNKS} if pair.work["on"].startswith(_THUNKS) else set())
