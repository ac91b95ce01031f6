"""Measure the overhead of recording: nanoseconds added to each call of the recorded program.

    python benchmarks/capture.py

A live native process makes calls in bursts that fit into the recorder's memory, because a lost event costs less than a
recorded one. The result is the median of the bursts. For comparison the process also runs

- without a hook
- with a shim in C that copies the same bytes (LD_PRELOAD)
- with a shim that records them with LTTng-UST, if the system has it (liblttng-ust-dev, lttng-tools)
- with a Frida hook in JavaScript that reads the same fields and sends each event

Then eight threads make 100,000 calls a second in total, and then as many calls as possible. The result is the number of
lost events.
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
# Calls of all threads in a burst. They fit into 64 MB. JavaScript has fewer, because it would need minutes.
CALLS = {"standard": 4000, "large": 80}
RATES = (100_000, 0)
STEADY_SECONDS = 60
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
function sendEvent(kind, arg, more) {
  const [fields, data] = read(arg);
  send({ kind, fields, ...more }, data);
}
Interceptor.attach(thunk, {
  onEnter(args) { this.arg = args[0]; sendEvent('enter', this.arg, { thread: this.threadId }); },
  onLeave(result) { sendEvent('leave', this.arg, { status: result.toInt32() }); },
});
"""


def build(folder: Path) -> None:
    """Compile the program, the library and the shims."""
    compiler = shutil.which("gcc")
    if compiler is None:
        sys.exit("cannot compile the programs: gcc not found")
    library: list[str | Path] = [compiler, "-O2", "-shared", "-fPIC", SOURCE]
    subprocess.run([*library, "-DTHUNK", "-o", folder / "libdxcore.so"], check=True)
    subprocess.run([*library, "-DSHIM", "-o", folder / "shim.so", "-ldl"], check=True)
    if shutil.which("lttng"):  # Compilation fails without its headers, and the benchmark then omits it.
        lttng: list[str | Path] = ["-I", SOURCE.parent, "-o", folder / "lttng.so", "-ldl", "-llttng-ust"]
        subprocess.run([*library, "-DLTTNG", *lttng], check=False, stderr=subprocess.DEVNULL)
    linked: list[str | Path] = ["-L", folder, "-ldxcore", f"-Wl,-rpath,{folder}", "-lpthread"]
    subprocess.run([compiler, "-O2", "-o", folder / "program", SOURCE, *linked], check=True)


def plain(argv: list[str], **variables: str) -> list[float]:
    """Run the program without tracekmt and return its measurements, with environment variables."""
    output = subprocess.run(argv, capture_output=True, text=True, check=True, env={**os.environ, **variables}).stdout
    return [float(line) for line in output.split()]


def recorded(argv: list[str], folder: Path) -> list[float]:
    """Run the program with tracekmt and return its measurements."""
    printed, progress = run_recorded(argv, folder / "benchmark.kmt")
    if progress.lost:
        print(f"{progress.lost} events were lost, so the overhead is too low")
    return [float(line) for line in printed]


def run_recorded(argv: list[str], trace: Path) -> tuple[list[str], Progress]:
    """Record a program and return its output. The output goes through a file, because Frida spawns the program."""
    path = trace.with_suffix(".printed")
    with path.open("w+") as file:
        stdout = os.dup(1)
        os.dup2(file.fileno(), 1)
        try:
            recording = Recording(trace, force=True)
            recording.spawn(argv)
            progress = recording.run()
        finally:
            os.dup2(stdout, 1)
            os.close(stdout)
    return path.read_text().split(), progress


def with_lttng(argv: list[str], folder: Path) -> list[float]:
    """Run the program with LTTng-UST and return its measurements. Its buffers have the size of a burst."""
    lttng = functools.partial(subprocess.run, check=True, capture_output=True)
    # A daemon may be running already.
    subprocess.run(["lttng-sessiond", "--daemonize"], check=False, capture_output=True)
    lttng(["lttng", "create", "capture", f"--output={folder / 'lttng'}"])
    lttng(["lttng", "enable-channel", "--userspace", "--subbuf-size=4M", "--num-subbuf=8", "channel"])
    lttng(["lttng", "enable-event", "--userspace", "--channel=channel", "kmt:*"])
    lttng(["lttng", "start"])
    try:
        return plain(argv, LD_PRELOAD=str(folder / "lttng.so"))
    finally:
        lttng(["lttng", "destroy"])


def in_javascript(argv: list[str]) -> list[float]:
    """Run the program with a hook in JavaScript and return its measurements."""
    device = frida.get_local_device()
    printed: list[bytes] = []
    detached = threading.Event()
    device.on("output", lambda _pid, number, data: printed.append(data) if number == 1 else None)
    pid = device.spawn(argv[0], argv=list(argv), stdio="pipe")
    session = device.attach(pid, exceptor="off")
    session.on("detached", lambda *_: detached.set())
    script = session.create_script(JAVASCRIPT, runtime="qjs")
    script.on("message", lambda *_: None)
    script.load()
    device.resume(pid)
    detached.wait(300)
    with contextlib.suppress(frida.InvalidOperationError):
        session.detach()
    return [float(line) for line in b"".join(printed).split()]


def main() -> None:
    """Run every comparison with both sizes and with one and eight threads, and then the steady rates."""
    print(f"{'':<22}{'calls':<10}{'threads':>8}{'ns a call':>12}{'added':>12}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        build(folder)
        for size in ("standard", "large"):
            for threads in (1, 8):
                compare(folder, size, threads)
        for rate in RATES:
            run_steadily(folder, rate)


def run_steadily(folder: Path, rate: int) -> None:
    """Record eight threads for some seconds. A rate of 0 is as many calls as possible."""
    seconds = STEADY_SECONDS if rate else UNTHROTTLED_SECONDS
    path = folder / "steady.kmt"
    argv = [str(folder / "program"), "steady", "8", str(rate // 8), str(seconds)]
    printed, progress = run_recorded(argv, path)
    call_count = sum(map(int, printed))
    with tracekmt.open(path) as trace:
        recorded_events = sum(2 if result is not None else 1 for _, result in trace.tally().elements())
        is_exact = recorded_events + trace.lost == 2 * call_count
    rate_text = f"{rate:,} calls a second" if rate else "as many calls as possible"
    print(
        f"eight threads, {rate_text}, {seconds} s: {call_count:,} calls, "
        f"{progress.lost:,} of {2 * call_count:,} events lost, "
        f"{'counted exactly' if is_exact else 'NOT counted exactly'}; {progress.size >> 20} MB, written after "
        f"{progress.elapsed:.0f} s",
        flush=True,
    )


def compare(folder: Path, size: str, threads: int) -> None:
    """Print the overhead of every recorder for one size of calls."""

    def argv(calls: int) -> list[str]:
        return [str(folder / "program"), size, str(threads), str(max(calls // threads, 1)), str(BURSTS)]

    recorders: dict[str, Callable[[], list[float]]] = {
        "no hook": lambda: plain(argv(CALLS[size])),
        "shim in C": lambda: plain(argv(CALLS[size]), LD_PRELOAD=str(folder / "shim.so")),
        **({"LTTng-UST": lambda: with_lttng(argv(CALLS[size]), folder)} if (folder / "lttng.so").exists() else {}),
        "tracekmt": lambda: recorded(argv(CALLS[size]), folder),
        "hook in JavaScript": lambda: in_javascript(argv(CALLS_IN_JAVASCRIPT[size])),
    }
    base = 0.0
    for name, measure in recorders.items():
        median = statistics.median(measure())
        base = base or median
        print(f"{name:<22}{size:<10}{threads:>8}{median:>12,.0f}{median - base:>12,.0f}", flush=True)


if __name__ == "__main__":
    main()
