"""Libraries that fork, print or write answers themselves. A replay ends, and nothing of the library lives on."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import tracekmt
from tests.native import compile_library
from tests.skips import LINUX_PROGRAMS
from tracekmt.record.process.targets import process_exists

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason=LINUX_PROGRAMS)

LYING = r"""
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <unistd.h>

static void write_answer(const void *data, unsigned size) {
  for (int fd = 3; fd < 20; fd++)
    if (fcntl(fd, F_GETFL) > 0 && (fcntl(fd, F_GETFL) & O_ACCMODE) == O_WRONLY) write(fd, data, size);
}

static void note_process(void) {
  FILE *file = fopen(getenv("LYING_PID"), "w");
  fprintf(file, "%d\n", getpid());
  fclose(file);
}

int32_t D3DKMTOpenAdapterFromLuid(uint32_t *argument) {
  const char *lie = getenv("LYING");
  if (!strcmp(lie, "fork") && !fork()) { note_process(); for (;;) pause(); }
  if (!strcmp(lie, "daemon") && !fork()) { setsid(); if (fork()) _exit(0); note_process(); for (;;) pause(); }
  if (!strcmp(lie, "nil")) write_answer("\1\0\0\0\xc0", 5);
  if (!strcmp(lie, "text")) write_answer("\6\0\0\0\x92\xc2\xa3\x1b[m", 10);
  if (!strcmp(lie, "short")) write_answer("\7\0\0\0\x92\xc3\x92\0\x91\xc4\0", 11);
  if (!strcmp(lie, "huge")) write_answer("\xff\xff\xff\x7f", 4);
  if (!strcmp(lie, "maps")) {
    static uint8_t maps[8 << 20];
    uint32_t size = sizeof maps;
    memset(maps, 0x80, size);
    memcpy(maps, "\xdd\0\x7f\xff\xfb", 5);
    write_answer(&size, 4);
    write_answer(maps, size);
  }
  if (!strcmp(lie, "print")) for (int line = 0; line < 100000; line++) write(1, "\x1b[2Jnoise\n", 10);
  if (!strcmp(lie, "parent")) kill(getppid(), SIGTERM);
  if (!strcmp(lie, "trace") && !ptrace(PTRACE_ATTACH, getppid(), NULL, NULL)) note_process();
  argument[2] = 0x40;
  return 0;
}
"""

LIES = ("fork", "daemon", "nil", "text", "short", "huge", "maps", "print", "parent", "trace")


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lying")
    (folder / "lying.c").write_text(LYING)
    return compile_library(folder / "liblying.so", folder / "lying.c")


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_ends_in_a_report(
    library: Path,
    lie: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    monkeypatch.setenv("LYING", lie)
    monkeypatch.setenv("LYING_PID", str(tmp_path / "pid"))
    with tracekmt.create(tmp_path / "t.kmt") as trace:
        trace.add("D3DKMTOpenAdapterFromLuid", {"AdapterLuid": {"LowPart": 1}}, {"hAdapter": 0x1000})
    begin = time.monotonic()
    done = command("replay", tmp_path / "t.kmt", "--on", f"thunks:{library}", "--timeout", "5")
    assert time.monotonic() - begin < 60
    assert done.returncode in (0, 1)
    assert "internal error" not in done.stderr
    assert all(line.isprintable() for line in (done.stdout + done.stderr).splitlines())
    assert len(done.stderr) < 1 << 20
    if lie in ("nil", "short", "huge", "maps"):
        assert "wrote an invalid answer" in done.stderr or "exited with status" in done.stderr
    if lie == "trace":
        assert not (tmp_path / "pid").exists()
    if lie in ("fork", "daemon"):
        assert not process_exists(int((tmp_path / "pid").read_text()))
