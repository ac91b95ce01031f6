"""A dask cluster of three workers on this machine: one has a GPU, and one is killed in the middle."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.matrix.conftest import Matrix, table
from tests.matrix.test_matrix import await_results, results
from tests.replayer.test_thunks_target import record
from tests.skips import LINUX_PART

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason=LINUX_PART)

WORKERS = ("first", "second", "gpu")


class Cluster:
    """A scheduler and its workers, as processes that do not share the folder of the client."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        address = folder / "scheduler.json"
        words = ["scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--no-jupyter"]
        self._start("scheduler", *words, "--scheduler-file", str(address))
        until = time.monotonic() + 60
        while not address.exists() or b'"address"' not in address.read_bytes():
            assert time.monotonic() < until
            time.sleep(0.05)
        self.address = address.read_text().partition('"address": "')[2].partition('"')[0]
        for name in WORKERS:
            self.start_worker(name)

    def start_worker(self, name: str) -> None:
        resources = ["--resources", "GPU=1"] if name == "gpu" else []
        words = ["worker", self.address, "--name", name, "--nthreads", "1", "--no-nanny", "--no-dashboard", *resources]
        self._start(name, *words)

    def _start(self, name: str, *words: str) -> None:
        # The first lock hangs, if the library asks for one.
        environment = {"KERNEL_DO": "Lock2:1:hang", "KERNEL_ONCE": str(self.folder / "kernel.once")}
        with (self.folder / f"{name}.log").open("wb") as log:
            arguments = [sys.executable, "-m", "distributed.cli.dask_" + words[0], *words[1:]]
            self._processes[name] = subprocess.Popen(
                arguments, cwd=self.folder, env={**os.environ, **environment}, stdout=log, stderr=log
            )

    def kill(self, name: str) -> None:
        self._processes[name].send_signal(signal.SIGKILL)
        self._processes[name].wait()

    def await_workers(self, count: int) -> None:
        from distributed import Client

        connect: type = Client
        client = connect(self.address, set_as_default=False)
        client.wait_for_workers(count, timeout=60)
        client.close()

    def close(self) -> None:
        for process in self._processes.values():
            process.kill()
            process.wait()


@pytest.fixture
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        cluster.await_workers(len(WORKERS))
        yield cluster
    finally:
        cluster.close()


def test_a_lost_worker_changes_no_result(command: Matrix, folder: Path, kernel: Path, cluster: Cluster) -> None:
    (cluster.folder / "kernel.once").touch()
    record(folder / "recorded.kmt").rename(folder / "traces" / "real.kmt")
    with (folder / "matrix.toml").open("a") as file:
        file.write(f'[[targets]]\nname = "real"\non = "thunks:{kernel}"\nneeds = ["GPU"]\n')
    assert command("matrix", "matrix.toml", "-o", "here").returncode == 1
    words = [sys.executable, "-m", "tracekmt", "matrix", "matrix.toml", "-o", "there", "--scheduler", cluster.address]
    run = subprocess.Popen(words, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    await_results(folder / "there", 4)
    cluster.kill("first")
    output, errors = run.communicate(timeout=120)
    assert (run.returncode, errors) == (1, "")
    assert "35 pairs" in output
    rows = table(folder / "there" / "results.parquet")
    workers = Counter((row["target"] == "real", row["worker"]) for row in rows)
    assert workers[True, "gpu"] == 5
    assert {worker for is_real, worker in workers if is_real} == {"gpu"}
    assert workers[False, "second"] > 0
    columns = ("trace", "target", "outcome", "compared", "differing")
    here = table(folder / "here" / "results.parquet")
    assert [[row[name] for name in columns] for row in rows] == [[row[name] for name in columns] for row in here]
    assert len(results(folder / "there")) == len(results(folder / "here")) == 35


def test_messages_of_the_library_stay_off_the_terminal(folder: Path, cluster: Cluster) -> None:
    """A worker that is lost after it has replayed, but before its answer is read, makes dask's client warn."""
    program = (
        "import logging, sys\n"
        "from tracekmt.matrix.cluster import connect\n"
        "with connect(sys.argv[1]):\n"
        "    loggers = [logging.getLogger(name) for name in logging.root.manager.loggerDict]\n"
        "    for logger in loggers:\n"
        "        if logger.name.startswith(('distributed', 'tornado')):\n"
        "            logger.error('from %s', logger.name)\n"
        "    print(any(logger.name == 'distributed.client' for logger in loggers))\n"
    )
    words = [sys.executable, "-c", program, cluster.address]
    run = subprocess.run(words, check=False, capture_output=True, text=True, timeout=60)
    assert (run.stdout, run.stderr) == ("True\n", "")


def test_resources_choose_the_workers(command: Matrix, folder: Path, cluster: Cluster) -> None:
    words = ("matrix", "traces", "--on", "windows", "--on", "wsl", "--scheduler", cluster.address, "-o", "out")
    none = command(*words, "--resources", "wsl:TPU=2")
    assert (none.returncode, none.stdout) == (2, "")
    assert none.stderr == "tracekmt: wsl: no worker of the cluster has 2 TPU\n"
    assert command(*words, "--resources", "wsl:GPU").returncode == 1
    rows = table(folder / "out" / "results.parquet")
    assert {row["worker"] for row in rows if row["target"] == "wsl"} == {"gpu"}
    assert len(rows) == 8


def test_a_gpu_that_is_lost_in_the_middle(command: Matrix, folder: Path, kernel: Path, cluster: Cluster) -> None:
    """Its pair has no result. The others have, and the same command goes on when the GPU is back."""
    record(folder / "recorded.kmt").rename(folder / "traces" / "real.kmt")
    target = f"thunks:{kernel} --timeout 100s"
    words = [
        "matrix",
        "traces",
        "--on",
        "windows",
        "--on",
        target,
        "--resources",
        "GPU",
        "--scheduler",
        cluster.address,
    ]
    program = (
        "import sys\n"
        "from tracekmt.matrix import cluster\n"
        "cluster.WORKERLESS_SECONDS = 1\n"
        f"sys.argv = ['tracekmt', *{words!r}, '-o', 'out']\n"
        "from tracekmt.cli import main; main()\n"
    )
    pipe = subprocess.PIPE
    run = subprocess.Popen([sys.executable, "-c", program], cwd=folder, stdout=pipe, stderr=pipe, text=True)
    until = time.monotonic() + 60
    while not (cluster.folder / "kernel.once").exists():
        assert time.monotonic() < until
        time.sleep(0.01)
    cluster.kill("gpu")
    output, errors = run.communicate(timeout=60)
    assert (run.returncode, output) == (2, "")
    assert errors == "tracekmt: no worker has 1 GPU any more (run the same command again to go on)\n"
    rows = table(folder / "out" / "results.parquet")
    assert {row["outcome"] for row in rows if row["target"] == target} == {"not done"}
    assert "not done" not in {row["outcome"] for row in rows if row["target"] == "windows"}
    cluster.start_worker("gpu")
    cluster.await_workers(len(WORKERS))
    assert command(*words, "-o", "out").returncode == 1
    assert "not done" not in {row["outcome"] for row in table(folder / "out" / "results.parquet")}
