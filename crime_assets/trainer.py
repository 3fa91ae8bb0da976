"""Where networks are trained: in a process of their own, on this machine or on a Ray cluster.

The orchestrating process writes a folder, the program reads it and writes its results there; what
it says meanwhile comes over Dagster Pipes, as lines of a file of that folder. So the same program
is started in the same way from the UI, a backfill or a sensor, wherever it runs, and whoever
starts it never imports TensorFlow.
"""

from __future__ import annotations

import fcntl
import os
import re
import shlex
import signal
import subprocess
import sys
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

import dagster as dg

from crime_assets.models.task import ERROR, PROGRAM, TrainingFailed

if TYPE_CHECKING:
    from ray.job_submission import JobDetails, JobStatus, JobSubmissionClient

LAST_LINES = 15
"""Lines of what a program printed that are quoted where it failed."""
SUBMISSIONS = 4
"""A job that the cluster lost is submitted again, until it was submitted so many times."""
SILENCE_S = 120.0
"""Seconds that a Ray cluster may not answer, as while its head restarts, before it is given up."""
ORPHANS_S = 30.0
"""Seconds that a job which a killed run left may take to end."""
_NOISE = re.compile(r"absl::InitializeLog|oneDNN|cudart_stub|cuInit")
"""What TensorFlow prints whenever it starts."""
UNSEEN = 66
"""Exit code of a job on a machine that does not see the training's folder."""


@dataclass
class Trainer:
    """Starts a training program and waits for it: a process here, ``local``, or a job on ``ray``.

    ``jobs`` is how many trainings a run should start at a time. ``ray_address`` is that of the
    cluster's dashboard; ``gpus`` is what each job asks the cluster for, and may be a part of one.
    Its methods may be called from any thread.
    """

    where: str = "local"
    jobs: int = 1
    ray_address: str = "http://127.0.0.1:8265"
    gpus: float = 1
    _running: dict[str, Callable[[], None]] = field(default_factory=dict, init=False)

    def train(
        self, context: dg.AssetExecutionContext, folder: Path, program: str = PROGRAM
    ) -> None:
        """Run ``python -m <program> <folder>`` and return when it has ended well.

        What the program logs over Pipes stands in the run's log while it trains. Where it fails it
        may leave its reason in ``error.txt`` of the folder. A Ray cluster gets the program's
        package with the job, and must see the folder under the same path.

        Raises :class:`TrainingFailed`: another run trains in the folder, the program failed, was
        killed or was cancelled, or the cluster is not there, does not see the folder or lost the
        job again and again.
        """
        run = self._train_here if self.where == "local" else self._train_on_ray
        with _alone(folder):
            (folder / ERROR).unlink(missing_ok=True)
            run(context, folder, program)

    def cancel(self) -> None:
        """End all trainings that run; each raises in the thread that waits for it.

        Returns at once. What starts afterwards is not cancelled.
        """
        for stop in list(self._running.values()):
            stop()

    @contextmanager
    def _stoppable(self, name: str, stop: Callable[[], None]) -> Iterator[None]:
        self._running[name] = stop
        try:
            yield
        finally:
            del self._running[name]

    # --- This machine ---------------------------------------------------------------------------

    def _train_here(self, context: dg.AssetExecutionContext, folder: Path, program: str) -> None:
        name = uuid.uuid4().hex
        stopped = Event()
        tail: deque[str] = deque(maxlen=LAST_LINES)
        with dg.open_pipes_session(
            context=context,
            context_injector=dg.PipesEnvContextInjector(),
            message_reader=_message_reader(folder, name),
            extras={"folder": str(folder)},
        ) as session:
            process = subprocess.Popen(
                [sys.executable, "-m", program, str(folder)],
                env={**os.environ, "PYTHONUNBUFFERED": "1", **session.get_bootstrap_env_vars()},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            )

            def stop() -> None:
                stopped.set()
                process.kill()  # its checkpoint is whole at any time

            with self._stoppable(name, stop), process:
                try:
                    context.log.info(f"training in process {process.pid}: {folder}")
                    assert process.stdout is not None
                    for line in process.stdout:
                        tail.append(line)
                        sys.stderr.write(line)
                    code = process.wait()
                finally:
                    process.kill()
        if stopped.is_set():
            raise TrainingFailed("the training was cancelled")
        if code:
            silent = not session.message_handler.received_opened_message
            raise TrainingFailed(_reason(folder, code, "".join(tail), silent))

    # --- A Ray cluster --------------------------------------------------------------------------

    def _train_on_ray(self, context: dg.AssetExecutionContext, folder: Path, program: str) -> None:
        stopped = Event()
        cluster = _ray_jobs(self.ray_address, stopped)
        _end_orphans(cluster, folder)
        lost = 0
        while True:
            name = f"crime-assets-{uuid.uuid4().hex[:12]}"

            def stop(name: str = name) -> None:
                stopped.set()
                with suppress(OSError, RuntimeError):  # not there yet, not there any more
                    cluster.stop_job(name)

            with self._stoppable(name, stop):
                error = self._submit(cluster, context, folder, program, name)
            if error is None:
                return
            if stopped.is_set():
                raise TrainingFailed("the training was cancelled")
            job = _outcome(cluster, name, error)
            if job and (reason := _reason_of_job(job, folder)):
                raise TrainingFailed(reason)
            why = (job and job.message) or str(error)
            if job and job.error_type == "JOB_SUPERVISOR_ACTOR_START_TIMEOUT":
                context.log.warning(f"{name} still waits for a place; submitted again: {why}")
                continue
            lost += 1
            if lost == SUBMISSIONS:
                raise TrainingFailed(f"the Ray cluster lost the training {lost} times: {why}")
            context.log.warning(f"the cluster lost {name}; submitted again, to go on: {why}")

    def _submit(
        self,
        cluster: JobSubmissionClient,
        context: dg.AssetExecutionContext,
        folder: Path,
        program: str,
        name: str,
    ) -> Exception | None:
        """Run one job to its end; returns what its client raised, which says little."""
        from dagster_ray.core.pipes import PipesRayJobClient

        package = find_spec(program.partition(".")[0])
        assert package is not None
        assert package.submodule_search_locations
        shown = shlex.quote(str(folder))
        client = PipesRayJobClient(message_reader=_message_reader(folder, name))
        client.client = cluster
        try:
            client.run(
                context=context,
                extras={"folder": str(folder)},
                submit_job_params={
                    "submission_id": name,
                    "metadata": {"folder": str(folder)},
                    "entrypoint": (
                        f"test -d {shown} || exit {UNSEEN}; exec python -m {program} {shown}"
                    ),
                    "entrypoint_num_cpus": 1,  # without any, Ray would take its head's machine
                    "entrypoint_num_gpus": self.gpus,
                    "runtime_env": {
                        "py_modules": [package.submodule_search_locations[0]],
                        "excludes": ["__pycache__"],
                        # asked for none, Ray would show all
                        "env_vars": {} if self.gpus else {"CUDA_VISIBLE_DEVICES": ""},
                    },
                },
            )
        except Exception as error:
            return error
        return None


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the folder while it is trained in: two at a time would write one checkpoint."""
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise TrainingFailed(
                f"another run trains the same in {folder}: wait until it has ended, or cancel it"
            ) from error
        yield


def _ray_jobs(address: str, stopped: Event) -> JobSubmissionClient:
    """The jobs of the cluster at ``address``, seen as stopped from when ``stopped`` is set.

    A job that waits for a GPU would else be waited for after it was cancelled. Where the cluster
    does not answer it is asked again, for ``SILENCE_S`` seconds.
    """
    try:
        import dagster_ray  # noqa: F401
        from ray.job_submission import JobStatus, JobSubmissionClient
    except ImportError as error:
        raise TrainingFailed(
            "CRIME_TRAINER is ray, and Ray is not installed: pip install 'crime-assets[ray]'"
        ) from error

    class Jobs(JobSubmissionClient):
        def get_job_status(self, job_id: str) -> JobStatus:
            silent_at = time.monotonic() + SILENCE_S
            while not stopped.is_set():
                try:
                    return super().get_job_status(job_id)
                except OSError:
                    if time.monotonic() > silent_at:
                        raise
                    stopped.wait(1)
            return JobStatus.STOPPED

    try:
        return Jobs(address)
    except (OSError, RuntimeError, ValueError) as error:
        raise TrainingFailed(
            f"no Ray cluster takes jobs at {address} (CRIME_RAY_ADDRESS): {error}. Start one, "
            "correct the address, or train here with CRIME_TRAINER=local"
        ) from error


def _end_orphans(cluster: JobSubmissionClient, folder: Path) -> None:
    """End the jobs of this folder that a killed run left: two would write over each other."""
    orphans = {
        str(job.submission_id)
        for job in cluster.list_jobs()
        if (job.metadata or {}).get("folder") == str(folder) and not job.status.is_terminal()
    }
    for name in orphans:
        cluster.stop_job(name)
    until = time.monotonic() + ORPHANS_S
    while any(cluster.get_job_status(name) == "RUNNING" for name in orphans):
        if time.monotonic() > until:
            raise TrainingFailed(f"the Ray jobs {orphans} train in {folder} and cannot be stopped")
        time.sleep(0.5)


def _outcome(cluster: JobSubmissionClient, name: str, error: Exception) -> JobDetails | None:
    """What the cluster knows of a job whose client raised ``error``; ``None`` where it knows none.

    A job that still runs is stopped.
    """
    try:
        job = cluster.get_job_info(name)
        if job.status.is_terminal():
            return job
        cluster.stop_job(name)
    except OSError:
        raise TrainingFailed(f"the Ray cluster does not answer any more: {error}") from error
    except RuntimeError:  # its head forgot it
        return None
    raise error


def _reason_of_job(job: JobDetails, folder: Path) -> str:
    """Why a Ray job failed; empty where it is the cluster that failed, and another may go on."""
    code = job.driver_exit_code
    if job.status == "STOPPED":
        return "the Ray job was stopped, and not by this run"
    if job.error_type == "RUNTIME_ENV_SETUP_FAILURE":
        return f"the Ray cluster could not unpack the program: {job.message}"
    if code == UNSEEN:
        return (
            f"the machine of the Ray cluster that got the training does not see {folder}: "
            "CRIME_DATA_DIR must lie on storage that all machines mount at the same path"
        )
    if code is not None:
        printed = (job.message or "").partition("20,000 chars):\n")[2]
        return _reason(folder, 128 - code if code > 128 else code, printed)
    return _told(folder)


def _message_reader(folder: Path, name: str) -> dg.PipesFileMessageReader:
    """Reads the file of the folder that the program answers in."""
    return dg.PipesFileMessageReader(str(folder / f"messages-{name}.jsonl"))


def _reason(folder: Path, code: int, printed: str, silent: bool = False) -> str:
    """Why a program ended with ``code``, a negative one being a signal, in words."""
    if told := _told(folder):
        return told
    if code == -signal.SIGKILL:
        what = (
            "was killed by signal 9, as the system does when memory runs out: "
            "train fewer at a time, or where there is more memory"
        )
    elif code < 0:
        what = f"was killed by signal {-code} ({signal.strsignal(-code)})"
    else:
        what = f"ended with exit code {code}"
    before = ", before it said anything" if silent else ""
    again = "; asked again, it goes on from its last checkpoint" if code < 0 else ""
    lines = [line for line in printed.strip().splitlines() if not _NOISE.search(line)]
    last = "\n".join(lines[-LAST_LINES:])
    return f"the training {what}{before}{again}" + (f"; it printed last:\n{last}" if last else "")


def _told(folder: Path) -> str:
    """The reason that the program left, if it did."""
    error = folder / ERROR
    if not error.is_file():
        return ""
    return f"the training failed: {error.read_text(encoding='utf-8').strip()}"
