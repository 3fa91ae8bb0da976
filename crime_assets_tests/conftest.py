"""Fixtures of the whole suite.

Tests marked ``real_data`` read real archives and boundaries that lie beside the checkout; where
they are not there, such a test skips, but on CI it fails: it must not go unnoticed that it did not
run. ``slow`` tests are left out of ``make test-fast``.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest

from crime_assets.definitions import build_definitions
from crime_assets.demo import sample_environment
from crime_assets.lake import Lake
from crime_assets.settings import Settings

NO_COMPUTE_LOGS = {
    "module": "dagster._core.storage.noop_compute_log_manager",
    "class": "NoOpComputeLogManager",
}
"""What steps print is not captured: that takes two processes a step, and redirects the standard
output of the whole process, from several threads."""

_SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data, ``../shared/data`` seen from the checkout."""
    if not _SHARED_DATA.is_dir():
        message = f"no real data in {_SHARED_DATA.parent.name}/{_SHARED_DATA.name}"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return _SHARED_DATA


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test that takes ``shared_data`` reads real data, one of a whole lake is slow."""
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        if "shared_data" in fixtures:
            item.add_marker(pytest.mark.real_data)
        if {"real_lake", "demo"} & {*fixtures}:
            item.add_marker(pytest.mark.slow)


def run_job(
    settings: Settings, job: str, *partitions: str, without: str | None = None
) -> dg.ExecuteInProcessResult:
    """Run a job of fresh definitions over a range of partitions (or over none).

    ``without`` names a model whose assets the run leaves out.
    """
    tags = {}
    if partitions:
        tags["dagster/asset_partition_range_start"] = partitions[0]
        tags["dagster/asset_partition_range_end"] = partitions[-1]
    definition = build_definitions(settings).resolve_job_def(job)
    keys = [k for k in definition.asset_layer.selected_asset_keys if without not in k.path]
    with dg.DagsterInstance.local_temp(overrides={"compute_logs": NO_COMPUTE_LOGS}) as instance:
        return definition.execute_in_process(
            instance=instance,
            tags=tags,
            asset_selection=keys if without else None,
            run_config={"loggers": {"console": {"config": {"log_level": "ERROR"}}}},
        )


@contextmanager
def made_once(
    factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]
) -> Iterator[Path]:
    """A folder that ``make`` has filled, once for all workers of the run."""
    folder = factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        folder = folder.parent
    folder /= name
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "made").exists():
            make(folder)
            (folder / "made").touch()
    yield folder


@dataclass(frozen=True)
class Demo:
    """What ``make demo`` does on a machine without a terminal: its folder, and what it printed."""

    folder: Path
    printed: str
    settings: Settings


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """The demo, run once for all workers."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("CRIME_", "DAGSTER"))}

    def make(folder: Path) -> None:
        finished = subprocess.run(
            [sys.executable, "-m", "crime_assets.demo", str(folder / "sample")],
            capture_output=True,
            text=True,
            timeout=900,
            env=environment | {"COLUMNS": "120"},
            check=False,
        )
        assert finished.returncode == 0, finished.stderr
        (folder / "printed").write_text(finished.stdout)

    with made_once(tmp_path_factory, "demo", make) as folder:
        settings = Settings.from_environment(sample_environment(folder / "sample"))
        yield Demo(folder / "sample", (folder / "printed").read_text(), settings)


@dataclass(frozen=True)
class RealLake:
    """A lake made from real archives: all tables of 2023-01..2025-12, through the assets.

    The release 2025-12 is indexed, and its changes are listed.
    LSOA counts and forecasts are there of the ``FORECAST_MONTHS``, their evaluations of all but the
    last of them, and the leaderboard of the last. GLDNet is not trained, and forecasts nothing. Of
    the City of London the streets are there, and their crimes of the ``FORECAST_MONTHS``; they were
    counted last, so that nothing is forecast of them.

    In 2023 and 2024 the deployment expects the City of London and Gwent; in 2025 also the eight
    other forces that the archives hold, of which one (Avon and Somerset) lacks six months.
    """

    settings: Settings
    lake: Lake


EARLY_FORCES = ("city-of-london", "gwent")
FORCES_2025 = (
    "avon-and-somerset",
    "bedfordshire",
    "cambridgeshire",
    "city-of-london",
    "dyfed-powys",
    "essex",
    "gwent",
    "hertfordshire",
    "merseyside",
    "wiltshire",
)
FORECAST_MONTHS = ("2025-10", "2025-11", "2025-12")
CITY = "city-of-london"


@pytest.fixture(scope="session")
def real_lake(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealLake]:
    """The :class:`RealLake`, made once for all workers of the run."""

    def settings(folder: Path, forces: tuple[str, ...]) -> Settings:
        return Settings.from_environment(
            {
                "CRIME_ARCHIVE_URL": str(shared_data / "police_uk" / "archive"),
                "CRIME_DATA_DIR": str(folder),
                "CRIME_LSOA_BOUNDARIES": str(shared_data / "boundaries" / "lsoa_2021.parquet"),
                "CRIME_FORCE_BOUNDARIES": str(
                    shared_data / "boundaries" / "police_force_areas_2023.parquet"
                ),
                "CRIME_STREETS": str(shared_data / "streets" / "city_of_london_osm_ways_2024.gpkg"),
                "CRIME_FORCES": ",".join(forces),
            }
        )

    def make(folder: Path) -> None:
        early, late = settings(folder, EARLY_FORCES), settings(folder, FORCES_2025)
        run_job(late, "study_area")
        for force in FORCES_2025:
            first = "2023-01" if force in EARLY_FORCES else "2025-01"
            run_job(late, "ingest", f"{force}|{first}", f"{force}|2025-12")
        run_job(late, "index_archive", FORECAST_MONTHS[-1])
        run_job(late, "list_changes", FORECAST_MONTHS[-1])
        run_job(early, "rank_hotspots", "2023-01", "2024-12")
        run_job(late, "rank_hotspots", "2025-01", "2025-12")
        run_job(late, "count_lsoas", *FORECAST_MONTHS)
        run_job(late, "forecast", *FORECAST_MONTHS, without="gldnet")
        run_job(late, "evaluate", *FORECAST_MONTHS[:-1], without="gldnet")
        run_job(late, "compare", FORECAST_MONTHS[-1])
        run_job(late, "lay_streets", CITY)
        run_job(late, "count_segments", *FORECAST_MONTHS)
        run_job(late, "describe_segments", *(f"{CITY}|{month}" for month in FORECAST_MONTHS))
        run_job(late, "draw_map", FORECAST_MONTHS[-1])
        run_job(late, "build_warehouse")

    with made_once(tmp_path_factory, "real-lake", make) as folder:
        yield RealLake(settings(folder, FORCES_2025), Lake(folder / "lake"))
