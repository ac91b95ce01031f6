"""A process that replays pairs: reads one as a line of JSON from its input, and writes the result as another one.

The process ends when its input does, so that it never outlives the process that started it, and when it is idle.
"""

from __future__ import annotations

import gc
import json
import os
import queue
import signal
import sys
import threading

from tracekmt.matrix.work import replay_pair

IDLE_SECONDS = 60.0
"""Time without a request after which the process ends. A worker of a cluster keeps its process from task to task."""

_COLLECTION_THRESHOLDS = (100_000, 20, 100)


def main() -> None:
    """Answer requests until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.set_threshold(*_COLLECTION_THRESHOLDS)
    with os.fdopen(os.dup(1), "w", encoding="ascii") as answers:
        os.dup2(2, 1)  # what a library prints is not an answer
        requests: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=_read, args=(requests,), daemon=True).start()
        while True:
            try:
                line = requests.get(timeout=IDLE_SECONDS)
            except queue.Empty:
                return
            answer = json.dumps(replay_pair(json.loads(line)))
            try:
                answers.write(answer + "\n")
                answers.flush()
            except OSError:
                os._exit(0)  # the process that asked was killed


def _read(requests: queue.SimpleQueue[str]) -> None:
    """Read requests. The end of the input ends the process at once, in the middle of a replay too."""
    for line in sys.stdin:
        requests.put(line)
    os._exit(0)


if __name__ == "__main__":
    main()
