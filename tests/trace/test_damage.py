"""Truncation, flipped bits, decompression bombs and coverage-guided fuzzing.

The reader raises TraceError or returns what the trace has, in bounded time and memory. TRACEKMT_SOAK=1 (make soak) runs
ten times as many cases as CI=1. Without both there are fewer cases.
"""

from __future__ import annotations

import os
import platform
import random
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

import tracekmt
from tests.native import skip_without
from tracekmt.calls import CALLS
from tracekmt.edit.recover import recover
from tracekmt.errors import TraceError
from tracekmt.trace import frames
from tracekmt.trace.events import Enter, Header, Leave, Module
from tracekmt.trace.frames import FRAME_LIMIT, FrameKind, preamble
from tracekmt.trace.writer import Writer

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

SOAK, CI = "TRACEKMT_SOAK" in os.environ, "CI" in os.environ
FLIPS = 20_000 if SOAK else 2_000 if CI else 300
FUZZ_SECONDS = 600 if SOAK else 20 if CI else 5
FUZZER = Path(__file__).parent.parent / "fuzz" / "reader.py"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return a trace of six calls with repeated contents. Each call has its own frame of events."""
    path = tmp_path_factory.mktemp("small") / "small.kmt"
    writer = Writer(path, Header("x64", process={"name": "small"}))
    writer.describe(0, CALLS["D3DKMTCloseAdapter"])
    writer.module(Module("a.dll", "/a.dll", 4096, 4096))
    for number in range(6):
        regions = ((0x5000, 4, number.to_bytes(4, "little")), (0x6000, 1500, b"content" * 200))
        enter = Enter(2 * number, 7 + number % 2, 0, 1000 * number, 4097, (0x5000,), regions)
        writer.events([enter, Leave(2 * number + 1, 2 * number, 1000 * number + 5, 0, regions[:1])])
    writer.end("the end")
    writer.close()
    return path.read_bytes()


def read(path: Path) -> list[object]:
    with tracekmt.open(path) as trace:
        return [call.to_json() for call in trace.calls()]


def test_truncation_at_any_byte_loses_only_what_follows(tmp_path: Path, small: bytes) -> None:
    path, sealed = tmp_path / "t.kmt", tmp_path / "sealed.kmt"
    path.write_bytes(small)
    whole = read(path)
    lengths: list[int] = []
    for cut in range(len(small)):
        path.write_bytes(small[:cut])
        try:
            part = read(path)
        except TraceError:
            assert not lengths, "a longer part is readable if a shorter one is"
            continue
        assert part == whole[: len(part)]
        lengths.append(len(part))
        assert recover(path, sealed, force=True)[0] == len(part)
        assert read(sealed) == part
    assert lengths == sorted(lengths)
    assert set(lengths) == set(range(len(whole) + 1)), "every frame before the end is readable"


def test_a_flipped_bit_is_an_error_or_loses_only_what_follows(tmp_path: Path, small: bytes) -> None:
    path = tmp_path / "t.kmt"
    path.write_bytes(small)
    whole = read(path)
    chance = random.Random(1)
    readable: set[int | None] = set()
    for _ in range(FLIPS):
        damaged = bytearray(small)
        for _ in range(chance.choice((1, 1, 1, 2, 8))):
            bit = chance.randrange(8 * len(small))
            damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        try:
            part = read(path)
        except TraceError:
            readable.add(None)
            continue
        assert part == whole[: len(part)]
        readable.add(len(part))
    assert {None, 0, 6} <= readable


def framed(payload: bytes) -> bytes:
    """Return a compressed frame with a valid checksum around any payload."""
    head = struct.pack("<IBBH", len(payload), FrameKind.HEADER, 1, 0)
    return preamble() + head + struct.pack("<I", zlib.crc32(payload, zlib.crc32(head))) + payload


@pytest.mark.parametrize("has_size", [True, False])
def test_a_decompression_bomb_is_an_error_with_and_without_its_size(tmp_path: Path, has_size: bool) -> None:
    options: dict[int, int] = {zstd.CompressionParameter.content_size_flag: int(has_size)}
    compressor = zstd.ZstdCompressor(options=options)
    bomb = b"".join(compressor.compress(bytes(1 << 20)) for _ in range(8 * FRAME_LIMIT >> 20)) + compressor.flush()
    if has_size:
        bomb = zstd.compress(bytes(8 * FRAME_LIMIT), options=options)
    (tmp_path / "t.kmt").write_bytes(framed(bomb))
    limits = pytest.importorskip("resource")
    before = limits.getrusage(limits.RUSAGE_SELF).ru_maxrss
    with pytest.raises(TraceError, match="decompresses to more"):
        read(tmp_path / "t.kmt")
    # The limit of a frame bounds the memory, not the size of the bomb.
    grown = (limits.getrusage(limits.RUSAGE_SELF).ru_maxrss - before) << 10
    assert grown < 4 * FRAME_LIMIT


@pytest.mark.parametrize("log", [28, 31, 41])
def test_a_forged_window_allocates_no_memory(tmp_path: Path, log: int) -> None:
    """The head of a compressed payload can request a window of terabytes. The format limits the window."""
    head = b"\x28\xb5\x2f\xfd" + bytes([0, log - 10 << 3])
    forged = head + (1 | 1 << 1 | 100 << 3).to_bytes(3, "little") + b"x"
    (tmp_path / "t.kmt").write_bytes(framed(forged))
    with pytest.raises(TraceError, match="does not decompress"):
        read(tmp_path / "t.kmt")
    assert log > frames._WINDOW_LOG_LIMIT


def test_a_fuzzer_finds_only_trace_errors(tmp_path: Path, small: bytes) -> None:
    """The fuzzer is guided by code coverage. It corrects checksums, so that inputs pass them."""
    if subprocess.run([sys.executable, "-c", "import atheris"], capture_output=True, check=False).returncode:
        if not (3, 11) <= sys.version_info < (3, 14) or sys.platform != "linux" or platform.machine() != "x86_64":
            pytest.skip("atheris, the fuzzer, does not support this system")
        skip_without("atheris, the fuzzer (pip install atheris)")
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    (corpus / "small").write_bytes(small)
    import resource  # Only on the systems of the fuzzer.

    # A child starts with the peak memory of its parent, which has run many tests.
    limit = 600 + (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10)
    words = [f"-max_total_time={FUZZ_SECONDS}", "-timeout=10", f"-rss_limit_mb={limit}", "-max_len=6000", str(corpus)]
    result = subprocess.run(
        [sys.executable, FUZZER, *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        timeout=FUZZ_SECONDS + 120,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    assert len(list(corpus.iterdir())) > 20, "no input of the fuzzer reached the reader"
