"""The answers of a process, however the pipe cuts them, up to the first one that is not valid."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import IO, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.skips import LINUX_PART
from tests.strategies import examples
from tracekmt.thunks import answers, worker
from tracekmt.thunks.answers import Answers, _PolledAnswers, _ThreadedAnswers
from tracekmt.thunks.worker import VALUE_LIMIT, message

KINDS: list[Callable[[IO[bytes]], Answers]] = [_ThreadedAnswers]
if sys.platform != "win32":
    KINDS.append(_PolledAnswers)

either_kind = pytest.mark.parametrize("answers_of", KINDS)
values = st.recursive(
    st.none() | st.booleans() | st.integers(0, 1 << 63) | st.binary(max_size=100) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=9,
)


class Pipe:
    """A pipe whose answers are read, and that gets data from the test."""

    def __init__(self, answers_of: Callable[[IO[bytes]], Answers]) -> None:
        reading, self.writing = os.pipe()
        self.answers = answers_of(os.fdopen(reading, "rb"))

    def write(self, *parts: bytes) -> None:
        for part in parts:
            os.write(self.writing, part)

    def rest(self) -> list[Any]:
        """End the pipe, and return the answers that were not read yet."""
        os.close(self.writing)
        rest = []
        try:
            while True:
                rest.append(self.answers.next(10))
        except EOFError:
            self.answers.close(10)
            return rest


@either_kind
@given(st.lists(values, max_size=5), st.lists(st.integers(1, 40), max_size=8), st.integers(0, 3))
@settings(max_examples=examples(60), deadline=None)
def test_answers_in_any_parts(
    answers_of: Callable[[IO[bytes]], Answers], sent: list[Any], sizes: list[int], missing: int
) -> None:
    """The last answer may be incomplete."""
    pipe, data = Pipe(answers_of), b"".join(map(message, sent))
    data = data[: len(data) - missing]
    for size in sizes:
        pipe.write(data[:size])
        data = data[size:]
    pipe.write(data)
    assert pipe.rest() == (sent[:-1] if missing else sent)


@either_kind
@pytest.mark.parametrize(
    "invalid",
    [b"\1\0\0\0\xc1", b"\1\0\0\0\x91", (VALUE_LIMIT + 1).to_bytes(4, "little"), b"\0\0\0\0"],
    ids=["never used", "truncated", "too large", "empty"],
)
def test_the_library_wrote_something_else(answers_of: Callable[[IO[bytes]], Answers], invalid: bytes) -> None:
    pipe = Pipe(answers_of)
    pipe.write(message("an answer"), invalid)
    with suppress(BrokenPipeError):
        pipe.write(message("another one"))
    assert pipe.answers.next(10) == "an answer"
    with pytest.raises(EOFError):
        pipe.answers.next(10)
    os.close(pipe.writing)
    pipe.answers.close(10)


@either_kind
def test_an_answer_that_does_not_come_in_time(answers_of: Callable[[IO[bytes]], Answers]) -> None:
    """The time limit is that of the whole answer."""
    pipe, is_over = Pipe(answers_of), threading.Event()
    whole = message(bytes(1000))

    def trickle() -> None:
        for byte in whole:
            if is_over.wait(0.02):
                return
            pipe.write(bytes([byte]))

    thread = threading.Thread(target=trickle)
    thread.start()
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        pipe.answers.next(0.3)
    assert 0.2 < time.monotonic() - began < 10
    is_over.set()
    thread.join()
    assert pipe.rest() == []


@either_kind
def test_an_answer_larger_than_the_pipe(answers_of: Callable[[IO[bytes]], Answers]) -> None:
    pipe, large = Pipe(answers_of), bytes(5 << 20)
    thread = threading.Thread(target=pipe.write, args=[message([large, 1])])
    thread.start()
    assert pipe.answers.next(30) == [large, 1]
    thread.join()
    assert pipe.rest() == []


@pytest.mark.skipif(sys.platform == "win32", reason=LINUX_PART)
def test_ctrl_c_in_an_answer_loses_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe, decode = Pipe(_PolledAnswers), worker.decode
    pipe.write(message("one"), message("two"))

    def interrupted(data: bytes) -> Any:
        monkeypatch.setattr(answers, "decode", decode)
        raise KeyboardInterrupt

    monkeypatch.setattr(answers, "decode", interrupted)
    with pytest.raises(KeyboardInterrupt):
        pipe.answers.next(10)
    assert pipe.rest() == ["one", "two"]
