"""What recording costs the recorded program: nanoseconds added to each call.

    python benchmarks/capture.py

A live native process calls in bursts that the recorder's memory holds, so that no call is cheap because it was lost.
The same without a hook, with a shim in C that copies the same bytes (LD_PRELOAD), with one that notes them by LTTng-UST
where the system has it (liblttng-ust-dev, lttng-tools), and with a hook in Frida's JavaScript that reads the same
fields and sends each event. The median of the bursts is told. Then eight threads call steadily, 100,000 times a second
in all, and then as often as they can: what was lost is told.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import frida

import tracekmt
from tracekmt.record.limits import Progress
from tracekmt.record.session import Recording

SOURCE = Path(__file__).with_suffix(".c")
BURSTS = 12
# Calls of all threads in a burst: what 64 MB hold, with room to spare; JavaScript would take minutes for as many.
CALLS = {"standard": 4000, "large": 80}
RATES = (100_000, 0)
HOLD_OUT_SECONDS = 60
UNTHROTTLED_SECONDS = 3
CALLS_IN_JAVASCRIPT = {"standard": 400, "large": 40}

JAVASCRIPT = """
const thunk = Process.getModuleByName('libdxcore.so').getExportByName('D3DKMTCreateAllocation2');
function read(arg) {
  const count = arg.add(44).readU32(), infos = arg.add(48).readPointer(), elements = [];
  const parts = [arg.readByteArray(72), arg.add(32).readPointer().readByteArray(arg.add(40).readU32())];
  for (let i = 0; i < count; i++) {
    const info = infos.add(96 * i), size = info.add(24).readU32();
    elements.push({ handle: info.readU32(), flags: info.add(32).readU32(), size });
    parts.push(info.add(16).readPointer().readByteArray(size));
  }
  const data = new Uint8Array(parts.reduce((size, part) => size + part.byteLength, 0));
  parts.reduce((at, part) => (data.set(new Uint8Array(part), at), at + part.byteLength), 0);
  return [{ device: arg.readU32(), flags: arg.add(56).readU32(), count, elements }, data.buffer];
}
function tell(what, arg, more) {
  const [fields, data] = read(arg);
  send({ what, fields, ...more }, data);
}
Interceptor.attach(thunk, {
  onEnter(args) { this.arg = args[0]; tell('enter', this.arg, { thread: this.threadId }); },
  onLeave(result) { tell('leave', this.arg, { status: result.toInt32() }); },
});
"""


def build(folder: Path) -> None:
    """The program, the function and the shim."""
    compiler = shutil.which("gcc")
    if compiler is None:
        sys.exit("this needs gcc")
    library: list[str | Path] = [compiler, "-O2", "-shared", "-fPIC", SOURCE]
    subprocess.run([*library, "-DTHUNK", "-o", folder / "libdxcore.so"], check=True)
    subprocess.run([*library, "-DSHIM", "-o", folder / "shim.so", "-ldl"], check=True)
    if shutil.which("lttng"):  # without its headers this one is left out
        beside: list[str | Path] = ["-I", SOURCE.parent, "-o", folder / "lttng.so", "-ldl", "-llttng-ust"]
        subprocess.run([*library, "-DLTTNG", *beside], check=False, stderr=subprocess.DEVNULL)
    linked: list[str | Path] = ["-L", folder, "-ldxcore", f"-Wl,-rpath,{folder}", "-lpthread"]
    subprocess.run([compiler, "-O2", "-o", folder / "program", SOURCE, *linked], check=True)


def plain(argv: list[str], **variables: str) -> list[float]:
    """The program by itself."""
    told = subprocess.run(argv, capture_output=True, text=True, check=True, env={**os.environ, **variables}).stdout
    return [float(line) for line in told.split()]


def recorded(argv: list[str], folder: Path) -> list[float]:
    """The program with our recorder."""
    printed, progress = run_recorded(argv, folder / "benchmark.kmt")
    if progress.lost:
        print(f"{progress.lost} events were lost: the figure is too low")
    return [float(line) for line in printed]


def run_recorded(argv: list[str], trace: Path) -> tuple[list[str], Progress]:
    """Record a program, and what it prints: that comes through a file, since Frida starts it."""
    path = trace.with_suffix(".printed")
    with path.open("w+") as file:
        kept = os.dup(1)
        os.dup2(file.fileno(), 1)
        try:
            recording = Recording(trace, force=True)
            recording.spawn(argv)
            progress = recording.run()
        finally:
            os.dup2(kept, 1)
            os.close(kept)
    return path.read_text().split(), progress


def with_lttng(argv: list[str], folder: Path) -> list[float]:
    """The program with tracepoints; its buffers hold a burst, too."""
    lttng = functools.partial(subprocess.run, check=True, capture_output=True)
    subprocess.run(["lttng-sessiond", "--daemonize"], check=False, capture_output=True)  # one may run already
    lttng(["lttng", "create", "capture", f"--output={folder / 'lttng'}"])
    lttng(["lttng", "enable-channel", "--userspace", "--subbuf-size=4M", "--num-subbuf=8", "channel"])
    lttng(["lttng", "enable-event", "--userspace", "--channel=channel", "kmt:*"])
    lttng(["lttng", "start"])
    try:
        return plain(argv, LD_PRELOAD=str(folder / "lttng.so"))
    finally:
        lttng(["lttng", "destroy"])


def in_javascript(argv: list[str]) -> list[float]:
    """The program with a hook in JavaScript."""
    device = frida.get_local_device()
    printed: list[bytes] = []
    ended = threading.Event()
    device.on("output", lambda _pid, number, data: printed.append(data) if number == 1 else None)
    pid = device.spawn(argv[0], argv=list(argv), stdio="pipe")
    session = device.attach(pid, exceptor="off")
    session.on("detached", lambda *_: ended.set())
    script = session.create_script(JAVASCRIPT, runtime="qjs")
    script.on("message", lambda *_: None)
    script.load()
    device.resume(pid)
    ended.wait(300)
    with contextlib.suppress(frida.InvalidOperationError):
        session.detach()
    return [float(line) for line in b"".join(printed).split()]


def main() -> None:
    """Every way, both sizes, one thread and eight; then for how long nothing is lost."""
    print(f"{'':<22}{'calls':<10}{'threads':>8}{'ns a call':>12}{'added':>12}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        build(folder)
        for size in ("standard", "large"):
            for threads in (1, 8):
                compare(folder, size, threads)
        for rate in RATES:
            hold_out(folder, rate)


def hold_out(folder: Path, rate: int) -> None:
    """Eight threads for some seconds; 0 is as often as they can."""
    seconds = HOLD_OUT_SECONDS if rate else UNTHROTTLED_SECONDS
    path = folder / "steady.kmt"
    argv = [str(folder / "program"), "steady", "8", str(rate // 8), str(seconds)]
    printed, progress = run_recorded(argv, path)
    made = sum(map(int, printed))
    with tracekmt.open(path) as trace:
        kept = sum(2 if status is not None else 1 for _, status in trace.tally().elements())
        exact = kept + trace.lost == 2 * made
    told = f"{rate:,} calls a second" if rate else "as often as they can"
    print(
        f"eight threads, {told}, {seconds} s: {made:,} calls, {progress.lost:,} of {2 * made:,} events lost, "
        f"{'counted exactly' if exact else 'NOT counted exactly'}; {progress.size >> 20} MB, written after "
        f"{progress.elapsed:.0f} s",
        flush=True,
    )


def compare(folder: Path, size: str, threads: int) -> None:
    """Every way of recording one kind of call."""

    def argv(calls: int) -> list[str]:
        return [str(folder / "program"), size, str(threads), str(max(calls // threads, 1)), str(BURSTS)]

    ways: dict[str, Callable[[], list[float]]] = {
        "no hook": lambda: plain(argv(CALLS[size])),
        "shim in C": lambda: plain(argv(CALLS[size]), LD_PRELOAD=str(folder / "shim.so")),
        **({"LTTng-UST": lambda: with_lttng(argv(CALLS[size]), folder)} if (folder / "lttng.so").exists() else {}),
        "tracekmt": lambda: recorded(argv(CALLS[size]), folder),
        "hook in JavaScript": lambda: in_javascript(argv(CALLS_IN_JAVASCRIPT[size])),
    }
    base = 0.0
    for way, measure in ways.items():
        found = statistics.median(measure())
        base = base or found
        print(f"{way:<22}{size:<10}{threads:>8}{found:>12,.0f}{found - base:>12,.0f}", flush=True)


if __name__ == "__main__":
    main()
