"""Trainings in a process of this machine: what the run's log shows, and why one failed.

The programs are small ones that the tests write; they speak as the real one does. A training runs
as in an asset: from the threads of ``publish_each``.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from textwrap import dedent
from typing import TypeVar

import dagster as dg
import duckdb
import psutil
import pytest
import yaml

from crime_assets.lake import DuckDB
from crime_assets.partitions import months_x_forces
from crime_assets.publication import Result, asset_options, executor, publish_each
from crime_assets.settings import Settings
from crime_assets.trainer import Trainer

pytestmark = pytest.mark.slow  # each test is a run of Dagster: seconds

JANUARY = "kent|2025-01"
T = TypeVar("T")

PROGRAMS = {
    "good": """
        with open_dagster_pipes() as pipes:
            for epoch in (1, 2):
                pipes.log.info(f"epoch {epoch} of {pipes.get_extra('folder')}")
        (folder / "results.json").write_text("{}")
    """,
    "told": """
        with open_dagster_pipes():
            (folder / "error.txt").write_text("the loss of epoch 3 is no number")
        sys.exit(1)
    """,
    "raises": """
        with open_dagster_pipes():
            print("some words", "\\n" * 50)
            raise ValueError("no segment has crimes")
    """,
    "killed": """
        with open_dagster_pipes():
            os.kill(os.getpid(), 9)
    """,
    "crashed": """
        os.kill(os.getpid(), signal.SIGSEGV)
    """,
    "hungry": """
        import resource
        resource.setrlimit(resource.RLIMIT_AS, (2**29, 2**29))
        with open_dagster_pipes():
            bytearray(2**31)
    """,
    "unmade": "import tensorlow",
    "sleeps": """
        (folder / "pid").write_text(str(os.getpid()))
        parent = os.getppid()
        with open_dagster_pipes() as pipes:
            pipes.log.info("epoch 1")
            while os.getppid() == parent:
                time.sleep(0.02)
    """,
    "naps": """
        (folder / "span").write_text(str(time.time()))
        time.sleep(0.3)
        (folder / "span").write_text((folder / "span").read_text() + f" {time.time()}")
    """,
}
HEAD = """\
import os, signal, sys, time
from pathlib import Path
from dagster_pipes import open_dagster_pipes
folder = Path(sys.argv[1])
"""


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The package ``programs`` on the path of this process and of those that it starts."""
    root = tmp_path_factory.mktemp("path")
    write_programs(root, PROGRAMS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(root), prepend=os.pathsep)
        patch.syspath_prepend(str(root))
        yield root


def write_programs(root: Path, texts: dict[str, str]) -> None:
    package = root / "programs"
    package.mkdir()
    (package / "__init__.py").touch()
    for name, text in texts.items():
        (package / f"{name}.py").write_text(HEAD + dedent(text))


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def make_model(trainer: Trainer, root: Path, program: str) -> dg.AssetsDefinition:
    """An asset by month and force; each partition trains ``program`` in a folder of its own."""

    @dg.asset(
        **asset_options(
            "model",
            row="one epoch",
            group="test",
            kinds={"keras"},
            version="1",
            partitions_def=months_x_forces,
            audits={"is_trained": "It is trained."},
            pool="gpu",
        )
    )
    def model(context) -> Iterator[dg.Output]:  # type: ignore[no-untyped-def]
        def publish(_: duckdb.DuckDBPyConnection, partition: dict[str, str]) -> Result:
            folder = root / f"{partition['force']}-{partition['month']}"
            folder.mkdir(parents=True, exist_ok=True)
            trainer.train(context, folder, program if "." in program else f"programs.{program}")
            return Result(partition["month"], {}, {"is_trained": {}})

        yield from publish_each(
            context, DuckDB(threads=1), publish, workers=trainer.jobs, cancel=trainer.cancel
        )

    return model


def train(
    instance: dg.DagsterInstance,
    root: Path,
    program: str,
    span: tuple[str, str] | str = JANUARY,
    trainer: Trainer | None = None,
) -> dg.ExecuteInProcessResult:
    model = make_model(trainer or Trainer(), root, program)
    resources = {"settings": Settings.from_environment({})}  # which the hook on failures asks for
    definitions = dg.Definitions(assets=[model], executor=executor, resources=resources)
    job = definitions.resolve_implicit_global_asset_job_def()
    where = (
        {
            "partition_key": dg.MultiPartitionKey(
                dict(zip(("force", "month"), span.split("|"), strict=True))
            )
        }
        if isinstance(span, str)
        else {
            "tags": {
                "dagster/asset_partition_range_start": span[0],
                "dagster/asset_partition_range_end": span[1],
            }
        }
    )
    return job.execute_in_process(
        instance=instance,
        raise_on_error=False,
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        **where,  # type: ignore[arg-type]
    )


def log_lines(instance: dg.DagsterInstance, run_id: str) -> list[str]:
    return [record.user_message for record in instance.all_logs(run_id)]


def reason(result: dg.ExecuteInProcessResult) -> str:
    """The words of the failed step."""
    assert not result.success
    (failure,) = [e.step_failure_data for e in result.all_events if e.is_step_failure]
    assert failure.user_failure_data is not None
    assert not result.asset_materializations_for_node("model")
    return failure.user_failure_data.description or ""


def test_what_a_training_says_stands_in_the_log_of_the_run(
    instance: dg.DagsterInstance, tmp_path: Path, programs: Path
) -> None:
    result = train(instance, tmp_path, "good")
    assert result.success
    lines = log_lines(instance, result.run_id)
    folder = tmp_path / "kent-2025-01"
    assert f"epoch 1 of {folder}" in lines
    assert f"epoch 2 of {folder}" in lines
    assert sorted(path.name for path in folder.iterdir()) == ["lock", "results.json"]


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("told", ["the training failed: the loss of epoch 3 is no number"]),
        (
            "raises",
            ["ended with exit code 1; it printed last", "ValueError: no segment has crimes"],
        ),
        ("killed", ["killed by signal 9, as the system does when memory runs out"]),
        ("crashed", ["killed by signal 11 (Segmentation fault), before it said anything"]),
        ("hungry", ["ended with exit code 1", "MemoryError"]),
        ("unmade", ["before it said anything", "No module named 'tensorlow'"]),
        ("absent", ["before it said anything", "No module named programs.absent"]),
    ],
)
def test_a_training_that_fails_is_a_failed_step_with_its_reason(
    instance: dg.DagsterInstance, tmp_path: Path, programs: Path, program: str, words: list[str]
) -> None:
    told = reason(train(instance, tmp_path, program))
    assert f"{JANUARY}: the training" in told
    for word in words:
        assert word in told


@pytest.mark.parametrize(("jobs", "together"), [(1, 1), (2, 2)])
def test_so_many_train_at_a_time(
    instance: dg.DagsterInstance, tmp_path: Path, programs: Path, jobs: int, together: int
) -> None:
    span = ("kent|2025-01", "kent|2025-03")
    assert train(instance, tmp_path, "naps", span, Trainer(jobs=jobs)).success
    times = spans(tmp_path)
    assert len(times) == 3
    assert max(sum(a <= began <= b for a, b in times) for began, _ in times) == together


@pytest.mark.slow
def test_the_pool_of_the_instance_lets_one_step_train_at_a_time(
    tmp_path: Path, programs: Path
) -> None:
    """Two runs in processes of their own, as they are launched."""
    home = make_home(tmp_path)
    with dg.DagsterInstance.from_config(
        str(home)
    ) as instance:  # two cannot make its tables at once
        # nor the pool's slot: the daemon makes it before it launches the first of its runs
        instance.event_log_storage.initialize_concurrency_limit_to_default("gpu")
    runs = [start_alone(tmp_path, "naps", force) for force in ("kent", "essex")]
    assert [run.wait(timeout=20) for run in runs] == [0, 0]
    times = sorted(spans(tmp_path))
    assert len(times) == 4
    assert all(one[1] < next_one[0] for one, next_one in pairwise(times))


def spans(root: Path) -> list[tuple[float, ...]]:
    """From when to when each training of ``root`` took."""
    return [tuple(map(float, path.read_text().split())) for path in root.glob("*/span")]


def test_each_partition_of_months_and_forces_trains_in_its_folder(
    instance: dg.DagsterInstance, tmp_path: Path, programs: Path
) -> None:
    span = ("kent|2025-01", "leicestershire|2025-02")
    result = train(instance, tmp_path, "good", span, Trainer(jobs=2))
    assert result.success
    lines = log_lines(instance, result.run_id)
    folders = sorted(tmp_path.iterdir())
    assert {f"epoch 2 of {folder}" for folder in folders} <= set(lines)
    assert {f.name for f in folders} >= {"kent-2025-01", "leicestershire-2025-02"}


def test_cancelling_ends_the_training_and_starts_no_other(tmp_path: Path, programs: Path) -> None:
    """A run in a process of its own, interrupted as Dagster does when a run is cancelled."""
    run = start_alone(tmp_path, "sleeps", "kent")
    training = psutil.Process(int(wait_for(lambda: written(tmp_path, "pid"), 20)))
    with dg.DagsterInstance.from_config(str(tmp_path / ".dagster")) as instance:
        (record,) = instance.get_runs()
        instance.report_run_canceling(record)
        run.send_signal(signal.SIGINT)
        assert run.wait(timeout=15) == 0
        assert not training.is_running()
        (record,) = instance.get_runs()
        assert record.status == dg.DagsterRunStatus.CANCELED
        assert not instance.fetch_materializations(dg.AssetKey("model"), limit=1).records
    assert not (tmp_path / "kent-2025-02").exists()


def start_alone(folder: Path, program: str, force: str) -> subprocess.Popen[bytes]:
    """Train two months, one at a time, in a process of its own: as a launched run is executed."""
    make_home(folder)
    code = "from crime_assets_tests import test_trainer as t; t.run_alone()"
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "TEST_RUN": f"{folder} {program} {force}"},
        stderr=subprocess.DEVNULL,
    )


def make_home(folder: Path) -> Path:
    """An instance's folder, with the ``dagster.yaml`` of the project."""
    home = folder / ".dagster"
    home.mkdir(exist_ok=True)
    shutil.copy(Path(__file__).parents[1] / "dagster.yaml", home)
    return home


def run_alone() -> None:
    folder, _, force = os.environ["TEST_RUN"].split()
    with (
        dg.DagsterInstance.from_config(f"{folder}/.dagster") as instance,
        dg.execute_job(
            dg.reconstructable(job_alone),
            instance=instance,
            tags={
                "dagster/asset_partition_range_start": f"{force}|2025-01",
                "dagster/asset_partition_range_end": f"{force}|2025-02",
            },
        ),
    ):
        pass


def job_alone() -> dg.JobDefinition:
    folder, program, _ = os.environ["TEST_RUN"].split()
    job = dg.define_asset_job("train", selection="*")
    assets = [make_model(Trainer(), Path(folder), program)]
    resources = {"settings": Settings.from_environment({})}
    definitions = dg.Definitions(assets=assets, jobs=[job], executor=executor, resources=resources)
    return definitions.resolve_job_def("train")


@pytest.mark.slow
def test_a_killed_run_leaves_no_training(tmp_path: Path, programs: Path) -> None:
    run = start_alone(tmp_path, "sleeps", "kent")
    training = psutil.Process(int(wait_for(lambda: written(tmp_path, "pid"), 20)))
    run.kill()
    run.wait()
    wait_for(lambda: not training.is_running(), 5)


def test_the_cluster_of_the_docs_is_a_ray_cluster_of_the_versions_that_are_locked() -> None:
    root = Path(__file__).parents[1]
    cluster = yaml.safe_load((root / "docs/how-to/ray/ray-cluster.yaml").read_text())
    assert (cluster["apiVersion"], cluster["kind"]) == ("ray.io/v1", "RayCluster")
    spec = cluster["spec"]
    assert spec.keys() == {"rayVersion", "enableInTreeAutoscaling", "autoscalerOptions",
                           "headGroupSpec", "workerGroupSpecs"}  # fmt: skip
    head, (workers,) = spec["headGroupSpec"], spec["workerGroupSpecs"]
    assert head.keys() == {"serviceType", "rayStartParams", "template"}
    assert workers.keys() == {"groupName", "replicas", "minReplicas", "maxReplicas",
                              "rayStartParams", "template"}  # fmt: skip
    for group in (head, workers):
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
    (machine,) = workers["template"]["spec"]["containers"]
    (volume,) = workers["template"]["spec"]["volumes"]
    assert machine["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert [mount["name"] for mount in machine["volumeMounts"]] == [volume["name"]]

    lock = dict(re.findall(r"^([\w-]+)==(\S+)", (root / "requirements.lock").read_text(), re.M))
    dockerfile = (root / "docs/how-to/ray/Dockerfile").read_text()
    assert spec["rayVersion"] == lock["ray"]
    assert f"FROM rayproject/ray:{lock['ray']}-py3" in dockerfile
    assert f'"dagster-pipes=={lock["dagster-pipes"]}"' in dockerfile
    (tensorflow,) = re.findall(r"and-cuda\]==([\d.]+)\.\*", dockerfile)
    assert lock["tensorflow"].startswith(f"{tensorflow}.")


def test_a_trainer_without_ray_says_what_to_install(
    instance: dg.DagsterInstance, tmp_path: Path, programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "dagster_ray", None)
    told = reason(train(instance, tmp_path, "good", trainer=Trainer("ray")))
    assert "pip install 'crime-assets[ray]'" in told


def written(root: Path, name: str) -> str:
    """What a program wrote into the file ``name`` of a training's folder, if it did."""
    return next((path.read_text() for path in root.glob(f"*/{name}")), "")


def wait_for(condition: Callable[[], T], seconds: float) -> T:
    """What ``condition`` returns as soon as it is true; fails where it is not in time."""
    until = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.05)
    return value
