"""`kill -9` in mid-backfill, then a restart: the lake ends as if nothing had happened."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from crime_assets.partitions import months_back
from crime_assets.sources.double import PoliceUkDouble
from crime_assets_tests.automation.conftest import Filled, remove_months, trees
from crime_assets_tests.deployment import (
    SERVER_YAML,
    Deployment,
    configuration,
    deployed,
    finished,
    module,
    wait_for,
)

pytestmark = pytest.mark.slow

FORCES = ("sample-dogger", "sample-silverpit", "sample-wellbank")
LATEST = "2025-11"
YEAR = months_back(LATEST, 12)
SOON = {
    "run_monitoring": {"poll_interval_seconds": 2, "start_timeout_seconds": 60},
    "run_retries": {"max_retries": 5},
}
"""What a test does not wait for. Retries are counted for each run that was killed, not for all."""


def run_process(deployment: Deployment) -> Sequence[psutil.Process]:
    return deployment.run_processes()


def daemon(deployment: Deployment) -> Sequence[psutil.Process]:
    return deployment.processes("dagster._daemon")


def code_server(deployment: Deployment) -> Sequence[psutil.Process]:
    return [*deployment.processes("code-server"), *deployment.processes("api grpc")]


def everything(deployment: Deployment) -> Sequence[psutil.Process]:
    """As when the machine loses its power."""
    return deployment.processes()


STAGES: Sequence[tuple[Callable[[Deployment], Sequence[psutil.Process]], Sequence[str], str]] = (
    (run_process, ("street_crimes_csv", "street_crimes"), "street_crimes_csv"),
    (daemon, ("coverage", "hex_counts", "snap_counts"), "hex_counts"),
    (code_server, ("hotspots",), "hotspots"),
    (everything, ("hotspot_summary", "hotspot_frequency"), "hotspot_frequency"),
)
"""Whom it hits, the tables of the backfill, and the one in the middle of which it does."""


@pytest.mark.killed
def test_a_backfill_ends_well_after_kills_of_its_run_the_daemon_the_code_server_and_all_of_them(
    filled: Filled, tmp_path: Path
) -> None:
    """A year of three forces, launched from the API as from the UI, table by table.

    What Dagster does by itself, with the deployment's ``dagster.yaml``:

    - the run's process: the code server sees it die, and the daemon runs it again;
    - the daemon: `dagster dev` ends with it, a run that is being worked on goes on to its end;
    - the code server: so does the run, which has no parent then; nothing can be launched until
      `dagster dev` is started again;
    - all: the launcher finds after the restart that the run's process is gone, and it is run again.

    Nobody launches anything a second time.
    """
    data, home = tmp_path / "data", tmp_path / "home"
    shutil.copytree(filled.data, data)
    remove_months(data, YEAR)
    with PoliceUkDouble(filled.website.archive, releases=[LATEST]) as double:
        settings = filled.website.settings(double, data)
        changed = configuration(SERVER_YAML, **SOON)
        del changed["storage"]  # SQLite; PostgreSQL is in the end-to-end test
        with deployed(Deployment(home, settings, changed)) as deployment:
            for whom, tables, middle in STAGES:
                hit(deployment, data, whom, tables, middle)
                expected = [table for table in trees(filled.data) if table.split("/")[1] in tables]
                found = trees(data)
                made = {path: found.get(path) for path in expected}
                assert made == {path: trees(filled.data)[path] for path in expected}, whom.__name__


def hit(
    deployment: Deployment,
    data: Path,
    whom: Callable[[Deployment], Sequence[psutil.Process]],
    tables: Sequence[str],
    middle: str,
) -> None:
    """Launch a backfill, kill in the middle of it, start again, and wait for its end."""
    started = time.time()
    ingesting = "street_crimes" in tables
    first, last = YEAR[0], YEAR[-1]
    if ingesting:
        first, last = f"{FORCES[0]}|{first}", f"{FORCES[-1]}|{last}"
    backfill = deployment.backfill(tables, first, last)
    wait_for(
        f"file of {middle}",
        lambda: files_of(data, middle),
        explain=deployment.report,
        pause_s=0.05,
    )
    victims = whom(deployment)
    assert victims, f"there is no {whom.__name__}"
    for victim in victims:
        with suppress(psutil.NoSuchProcess):
            victim.kill()
    killed_at = time.time()
    files = len(YEAR) * (len(FORCES) if ingesting else 1)
    assert len(files_of(data, middle)) < files, "it was too late"
    if whom is not run_process:
        stopped(deployment)
        deployment.start()
    status = deployment.wait_for_backfill(backfill)
    runs = [run for run in deployment.runs() if run.tags.get("dagster/backfill") == backfill]
    print(
        f"{whom.__name__}: killed after {killed_at - started:.0f} s, done after "
        f"{time.time() - killed_at:.0f} s more: {status}; "
        + ", ".join(f"{run.status} {sorted(run.assets)}" for run in reversed(runs))
    )
    assert status == "COMPLETED_SUCCESS", deployment.report()


def stopped(deployment: Deployment) -> None:
    """Kill what is left of `dagster dev`, but for the processes of runs."""
    runs = {process.pid for process in deployment.run_processes()}
    for process in deployment.processes():
        if process.pid not in runs:
            with suppress(psutil.NoSuchProcess):
                process.kill()


def files_of(data: Path, table: str) -> list[Path]:
    """What there is of a table of the last year."""
    return [path for month in YEAR for path in data.glob(f"*/{table}/month={month}/**/data.*")]


@pytest.mark.killed
@pytest.mark.parametrize("middle", ["raw/street_crimes_csv", "lake/hotspots", "maps"])
def test_make_backfill_that_was_killed_is_begun_again_in_the_same_words(
    middle: str, filled: Filled, tmp_path: Path
) -> None:
    website, last = filled.website, filled.website.releases[0]
    first = months_back(last, 2)[0]
    data, home = filled.copy(tmp_path)
    whole = trees(data)
    remove_months(data, {first, last})
    with PoliceUkDouble(website.archive, releases=[last]) as double:
        settings = website.settings(double, data)
        command = ("crime_assets.automation.backfill", first, last)
        before = len(trees(data))
        killed = module(*command, home=home, settings=settings)
        try:
            wait_for(
                f"first file of {middle}",
                lambda: [p for p in (data / middle).rglob("*") if is_of(p, {first, last})],
            )
        finally:
            os.killpg(killed.pid, signal.SIGKILL)
            killed.communicate()
        left = trees(data)
        assert before <= len(left) < len(whole), "it was killed too early or too late"
        assert left.items() <= whole.items()  # what is there is whole
        finished(module(*command, home=home, settings=settings))
    assert trees(data) == whole


def is_of(path: Path, months: set[str]) -> bool:
    return path.is_file() and any(part.removeprefix("month=") in months for part in path.parts)
