"""Trainings as jobs of a real Ray cluster, which the tests start on this machine.

Its GPUs are declared, not there: Ray hands out their numbers all the same. Machines are nodes of
their own that are started and killed.
"""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from threading import Thread
from typing import NamedTuple

import dagster as dg
import numpy as np
import psutil
import pytest
from scipy.sparse import csr_array

from crime_assets.models.task import PROGRAM, Training, read_results, write_task
from crime_assets.trainer import Trainer
from crime_assets_tests.conftest import NO_COMPUTE_LOGS
from crime_assets_tests.test_trainer import (
    log_lines,
    reason,
    spans,
    train,
    wait_for,
    write_programs,
    written,
)

pytest.importorskip("dagster_ray", reason="the extra `ray` is not installed")
pytestmark = [pytest.mark.slow, pytest.mark.cluster]

PROGRAMS = {
    "good": """
        with open_dagster_pipes() as pipes:
            pipes.log.info(f"GPU {os.environ['CUDA_VISIBLE_DEVICES']!r} for {folder}")
            began = time.time()
            time.sleep(2)
        (folder / "span").write_text(f"{began} {time.time()}")
    """,
    "told": """
        (folder / "error.txt").write_text("the loss of epoch 3 is no number")
        sys.exit(1)
    """,
    "raises": """
        raise ValueError("no segment has crimes")
    """,
    "killed": """
        os.kill(os.getpid(), 9)
    """,
    "sleeps": """
        (folder / "pid").write_text(str(os.getpid()))
        time.sleep(600)
    """,
    "continues": """
        checkpoint = folder / "checkpoint"
        done = int(checkpoint.read_text()) if checkpoint.exists() else 0
        with open_dagster_pipes() as pipes:
            pipes.log.info(f"{done} epochs are done")
            for epoch in range(done + 1, 4):
                (folder / "pid").write_text(str(os.getpid()))
                checkpoint.write_text(str(epoch))
                if epoch == 2 and not done:
                    time.sleep(600)  # and the machine goes away
        (folder / "results").write_text(f"epochs {done + 1} to 3")
    """,
}


class Cluster(NamedTuple):
    """Where it takes nodes (``gcs``) and jobs (``dashboard``), and the folder it works in."""

    gcs: str
    dashboard: str
    folder: str


def free_port() -> int:
    """A port that no connection of another process takes before it is listened on.

    Linux gives those from 32768; Ray's workers begin at 10002.
    """
    for port in random.sample(range(20_000, 32_768), 50):
        if not listens(port):
            return port
    raise AssertionError("no port is free")


def listens(port: int) -> bool:
    with socket.socket() as caller:
        return caller.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def node(*options: str) -> Iterator[psutil.Process]:
    """``ray start``, ended with all that it started."""
    process = psutil.Popen(
        [
            str(Path(sys.executable).with_name("ray")),
            "start",
            "--block",
            "--num-cpus=2",
            "--object-store-memory=80000000",
            f"--dashboard-agent-listen-port={free_port()}",
            *options,
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_JOB_START_TIMEOUT_SECONDS": "8",  # 900, if it is not set
        },
    )
    try:
        yield process
    finally:
        started = [process, *process.children(recursive=True)]
        process.terminate()
        psutil.wait_procs(started, timeout=8)
        for left in started:
            if left.is_running():
                left.kill()


@contextmanager
def head() -> Iterator[Cluster]:
    """A cluster of one machine with one GPU, once it has run a job."""
    from ray.job_submission import JobSubmissionClient

    gcs, dashboard = free_port(), free_port()
    with (
        tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as folder,
        node(
            "--head",
            f"--port={gcs}",
            f"--dashboard-port={dashboard}",
            f"--ray-client-server-port={free_port()}",
            "--num-gpus=1",
            f"--temp-dir={folder}",
        ),
    ):
        try:
            wait_for(lambda: listens(dashboard), 60)
            jobs = JobSubmissionClient(f"http://127.0.0.1:{dashboard}")
            job = jobs.submit_job(entrypoint="true")
            wait_for(lambda: jobs.get_job_status(job) == "SUCCEEDED", 60)
        except (AssertionError, OSError, RuntimeError) as error:
            logs = sorted(Path(folder).glob("session_latest/logs/*"))
            said = {
                log.name: log.read_text("utf-8", "replace")[-1500:] for log in logs if log.is_file()
            }
            raise ClusterLost(
                "\n".join(f"--- {name}\n{text}" for name, text in said.items())
            ) from error
        yield Cluster(f"127.0.0.1:{gcs}", f"http://127.0.0.1:{dashboard}", folder)


class ClusterLost(Exception):
    """A head that did not come up or went away, with what its processes logged last."""


@pytest.fixture(scope="module")
def clusters() -> Iterator[list[tuple[Cluster, ExitStack]]]:
    """The head that runs, if one does: it is started by the first test, and again if it is lost."""
    running: list[tuple[Cluster, ExitStack]] = []
    yield running
    for _, open_until_now in running:
        open_until_now.close()


@pytest.fixture
def cluster(clusters: list[tuple[Cluster, ExitStack]]) -> Cluster:
    if clusters and listens(int(clusters[-1][0].dashboard.rpartition(":")[2])):
        return clusters[-1][0]
    for attempt in range(3):
        stack = ExitStack()
        try:
            clusters.append((stack.enter_context(head()), stack))
            break
        except ClusterLost:
            if attempt == 2:
                raise
    return clusters[-1][0]


@pytest.fixture(scope="module", autouse=True)
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The package ``programs``, which is on no path of the cluster: the trainer takes it there."""
    root = tmp_path_factory.mktemp("path")
    write_programs(root, PROGRAMS)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(root))
        sys.modules.pop("programs", None)
        yield


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(overrides={"compute_logs": NO_COMPUTE_LOGS}) as made:
        yield made


def on(cluster: Cluster, jobs: int = 1, gpus: float = 1) -> Trainer:
    return Trainer("ray", jobs=jobs, ray_address=cluster.dashboard, gpus=gpus)


def test_each_job_has_the_gpu_that_it_asks_for_and_waits_until_it_is_free(
    cluster: Cluster, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    span = ("kent|2025-01", "kent|2025-02")
    result = train(instance, tmp_path, "good", span, on(cluster, jobs=2))
    assert result.success, reason(result)
    lines = log_lines(instance, result.run_id)
    for month in ("2025-01", "2025-02"):
        assert f"GPU '0' for {tmp_path / f'kent-{month}'}" in lines
    times = sorted(spans(tmp_path))
    assert all(first[1] < second[0] for first, second in pairwise(times))


def test_a_job_without_a_gpu_sees_none(
    cluster: Cluster, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    result = train(instance, tmp_path, "good", trainer=on(cluster, gpus=0))
    assert f"GPU '' for {tmp_path / 'kent-2025-01'}" in log_lines(instance, result.run_id)


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("told", ["the training failed: the loss of epoch 3 is no number"]),
        ("raises", ["ended with exit code 1", "ValueError: no segment has crimes"]),
        ("killed", ["killed by signal 9, as the system does when memory runs out"]),
    ],
)
def test_a_job_that_fails_by_itself_is_a_failed_step_with_its_reason(
    cluster: Cluster, instance: dg.DagsterInstance, tmp_path: Path, program: str, words: list[str]
) -> None:
    result = train(instance, tmp_path, program, trainer=on(cluster))
    for word in words:
        assert word in reason(result)
    assert not [line for line in log_lines(instance, result.run_id) if "submitted again" in line]


def test_a_machine_that_does_not_see_the_folder_is_told(
    cluster: Cluster,
    instance: dg.DagsterInstance,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    here = Path("/proc/self/cwd/trainings")  # somewhere else in every process
    result = train(instance, here, "good", trainer=on(cluster))
    assert f"does not see {here / 'kent-2025-01'}: CRIME_DATA_DIR must lie" in reason(result)


def test_a_cluster_that_is_not_there_is_told(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    address = f"http://127.0.0.1:{free_port()}"
    result = train(instance, tmp_path, "good", trainer=Trainer("ray", ray_address=address))
    assert f"no Ray cluster takes jobs at {address} (CRIME_RAY_ADDRESS)" in reason(result)


def test_cancelling_ends_the_job_that_runs_and_the_one_that_waits(
    cluster: Cluster, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    from ray.job_submission import JobSubmissionClient

    trainer = on(cluster, jobs=2)
    with training(instance, tmp_path, "sleeps", trainer, months=2) as results:
        job = psutil.Process(int(wait_for(lambda: written(tmp_path, "pid"), 30)))
        assert job.is_running()
        trainer.cancel()
    told = reason(results[0])
    assert told.count("the training was cancelled") == 2
    wait_for(lambda: not job.is_running(), 10)
    jobs = JobSubmissionClient(cluster.dashboard)
    wait_for(lambda: all(known.status.is_terminal() for known in jobs.list_jobs()), 20)


def test_what_a_killed_run_left_is_ended_when_the_same_is_trained_again(
    cluster: Cluster, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    from ray.job_submission import JobSubmissionClient

    folder = tmp_path / "kent-2025-01"
    orphan = JobSubmissionClient(cluster.dashboard).submit_job(
        entrypoint="sleep 600", metadata={"folder": str(folder)}, entrypoint_num_gpus=1
    )
    result = train(instance, tmp_path, "good", trainer=on(cluster))
    assert result.success, reason(result)
    assert JobSubmissionClient(cluster.dashboard).get_job_status(orphan) == "STOPPED"


def test_the_real_program_says_the_same_there_as_here(
    cluster: Cluster, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    counts = np.random.default_rng(2).poisson(0.5, (20, 12))
    for root, trainer in ((tmp_path / "there", on(cluster)), (tmp_path / "here", Trainer())):
        write_task(
            root / "kent-2025-01",
            csr_array(counts),
            features=["Drugs", "All crime"],
            steps=[f"step {i}" for i in range(20)],
            one=np.arange(5),
            other=np.arange(1, 6),
            weight=np.full(5, 0.5),
            length=np.full(6, 100.0),
            trainings=[Training("all-crime", "All crime", {"steps": 2, "epochs": 3})],
            split=(14, 16),
            origins=[20],
        )
        result = train(instance, root, PROGRAM, trainer=trainer)
        assert result.success, reason(result)
        assert any("epoch 3" in line for line in log_lines(instance, result.run_id))
    there, here = (read_results(tmp_path / r / "kent-2025-01") for r in ("there", "here"))
    assert (there.forecasts["all-crime"] == here.forecasts["all-crime"]).all()


def test_a_job_whose_machine_is_lost_goes_on_elsewhere(
    cluster: Cluster, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    machine = (f"--address={cluster.gcs}", f"--temp-dir={cluster.folder}", "--num-gpus=2")

    def said(words: str) -> bool:
        return any(
            words in line for run in instance.get_runs() for line in log_lines(instance, run.run_id)
        )

    with training(instance, tmp_path, "continues", on(cluster, gpus=2)) as results:
        # no machine has two GPUs yet
        wait_for(lambda: said("still waits for a place; submitted again"), 30)
        with node(*machine) as lost:
            wait_for(lambda: written(tmp_path, "checkpoint") == "2", 40)
            (raylet,) = [p for p in lost.children(recursive=True) if p.name() == "raylet"]
            raylet.kill()
            wait_for(lambda: said("submitted again, to go on"), 60)
        with node(*machine):
            wait_for(lambda: written(tmp_path, "results"), 60)
    assert results[0].success, reason(results[0])
    assert written(tmp_path, "results") == "epochs 3 to 3"
    assert said("2 epochs are done")


@contextmanager
def training(
    instance: dg.DagsterInstance, root: Path, program: str, trainer: Trainer, months: int = 1
) -> Iterator[list[dg.ExecuteInProcessResult]]:
    """A run in a thread; its result is there when the block is left."""
    results: list[dg.ExecuteInProcessResult] = []
    span = ("kent|2025-01", f"kent|2025-0{months}")
    thread = Thread(
        target=lambda: results.append(train(instance, root, program, span, trainer)), daemon=True
    )
    thread.start()
    try:
        yield results
        thread.join(timeout=30)
        assert results
    finally:
        trainer.cancel()
