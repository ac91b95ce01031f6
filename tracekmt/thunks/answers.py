"""The answers of a library's process, in the order of the requests."""

from __future__ import annotations

import os
import queue
import selectors
import sys
import threading
import time
from typing import IO, Any, Protocol

import msgpack

from tracekmt.thunks.worker import HEAD_SIZE, decode, receive, value_size

_READ_SIZE = 1 << 20
"""Bytes that are read at once."""

_INVALID = EOFError, OSError, ValueError, msgpack.exceptions.UnpackException

_END: Any = object()


class Answers(Protocol):
    """The answers that a process writes to a pipe."""

    def next(self, timeout: float) -> Any:
        """Return the next answer.

        Args:
            timeout: Time limit in seconds.

        Raises:
            EOFError: The pipe has ended, or the next value is not valid. The library may have written it.
            TimeoutError: The time is over.
        """

    def close(self, timeout: float) -> None:
        """Close the pipe. The process has ended.

        Args:
            timeout: Limit of the time to wait for its last answers, in seconds.
        """


class _ThreadedAnswers:
    """Answers that a thread reads, because no wait for a pipe of Windows has a time limit."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._read: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, args=(stream,), daemon=True)
        self._thread.start()

    def next(self, timeout: float) -> Any:
        """See `Answers.next`."""
        try:
            answer = self._read.get(timeout=timeout)
        except queue.Empty:
            raise TimeoutError from None
        if answer is _END:
            raise EOFError
        return answer

    def close(self, timeout: float) -> None:
        """See `Answers.close`."""
        self._thread.join(timeout)

    def _run(self, stream: IO[bytes]) -> None:
        with stream:
            while True:
                try:
                    self._read.put(receive(stream))
                except _INVALID:
                    self._read.put(_END)
                    return


class _PolledAnswers:
    """Answers that the calling thread reads. No other thread has to wake for them."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._selector = selectors.DefaultSelector()
        self._selector.register(stream, selectors.EVENT_READ)
        self._data = bytearray()

    def next(self, timeout: float) -> Any:
        """See `Answers.next`."""
        deadline = None
        try:
            while (end := self._value_end()) is None:
                now = time.monotonic()
                deadline = now + timeout if deadline is None else deadline
                if not self._selector.select(max(deadline - now, 0)):
                    raise TimeoutError
                more = os.read(self._stream.fileno(), _READ_SIZE)
                if not more:
                    raise EOFError
                self._data += more
            answer = decode(bytes(self._data[HEAD_SIZE:end]))
            del self._data[:end]  # last: after Ctrl-C, the next call returns this answer
            return answer
        except TimeoutError:
            raise
        except _INVALID:
            raise EOFError from None

    def _value_end(self) -> int | None:
        """Return the position after the first value that was read, None if it is incomplete."""
        data = self._data
        if len(data) < HEAD_SIZE:
            return None
        end = HEAD_SIZE + value_size(data[:HEAD_SIZE])
        return end if end <= len(data) else None

    def close(self, timeout: float) -> None:
        """See `Answers.close`."""
        self._selector.close()
        self._stream.close()


def answers_of(stream: IO[bytes]) -> Answers:
    """Return the answers that a process writes to a pipe."""
    return _ThreadedAnswers(stream) if sys.platform == "win32" else _PolledAnswers(stream)
