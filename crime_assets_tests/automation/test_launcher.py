"""A run counts as alive for as long as the process that works on it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import psutil
import pytest
from dagster._core.events import EngineEventData
from dagster._core.launcher import WorkerStatus

from crime_assets.automation.launcher import WatchedRunLauncher
from crime_assets_tests.deployment import MACHINE_YAML, SERVER_YAML, configuration

LAUNCHER = {"module": "crime_assets.automation.launcher", "class": "WatchedRunLauncher"}


@dg.job
def nothing() -> None:
    pass


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test(overrides={"run_launcher": LAUNCHER}) as instance:
        yield instance


def health(instance: dg.DagsterInstance, *pids: int) -> WorkerStatus:
    """That of a run of which these processes have said, one after the other, that they work."""
    run = instance.create_run_for_job(nothing, status=dg.DagsterRunStatus.STARTED)
    for pid in pids:
        instance.report_engine_event("Started process", run, EngineEventData.in_process(pid))
    instance.report_engine_event("something else", run)
    launcher = instance.run_launcher
    assert isinstance(launcher, WatchedRunLauncher)
    assert launcher.supports_check_run_worker_health
    return launcher.check_run_worker_health(run).status


def gone() -> int:
    """The number of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        return process.pid


def test_a_run_whose_process_works_is_alive(instance: dg.DagsterInstance) -> None:
    assert health(instance, os.getpid()) is WorkerStatus.RUNNING


def test_a_run_whose_process_is_gone_is_not_alive(instance: dg.DagsterInstance) -> None:
    assert health(instance, gone()) is WorkerStatus.NOT_FOUND


def test_the_last_process_that_took_a_run_up_counts(instance: dg.DagsterInstance) -> None:
    assert health(instance, gone(), os.getpid()) is WorkerStatus.RUNNING
    assert health(instance, os.getpid(), gone()) is WorkerStatus.NOT_FOUND


def test_a_run_of_which_no_process_has_said_anything_is_left_alone(
    instance: dg.DagsterInstance,
) -> None:
    assert health(instance) is WorkerStatus.RUNNING


def test_a_later_process_of_the_same_number_is_another(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(psutil.Process, "create_time", lambda _: time.time() + 60)
    assert health(instance, os.getpid()) is WorkerStatus.NOT_FOUND


@pytest.mark.parametrize("file", [MACHINE_YAML, SERVER_YAML], ids=["machine", "server"])
def test_both_instances_of_the_project_watch_their_runs(file: Path) -> None:
    assert configuration(file)["run_launcher"] == LAUNCHER
    assert configuration(file)["run_monitoring"]["enabled"]
