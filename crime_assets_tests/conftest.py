"""Fixtures of the whole suite.

Tests marked ``real_data`` read real archives and boundaries that lie beside the checkout; where
they are not there, such a test skips, but on CI it fails: it must not go unnoticed that it did not
run. ``slow`` tests are left out of ``make test-fast``.
"""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest

from crime_assets.definitions import build_definitions
from crime_assets.lake import Lake
from crime_assets.settings import Settings

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
    """A test that takes ``shared_data`` reads real data, one that takes ``real_lake`` is slow."""
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        if "shared_data" in fixtures:
            item.add_marker(pytest.mark.real_data)
        if "real_lake" in fixtures:
            item.add_marker(pytest.mark.slow)


def run_job(settings: Settings, job: str, *partitions: str) -> dg.ExecuteInProcessResult:
    """Run a job of fresh definitions over a range of partitions (or over none)."""
    tags = {}
    if partitions:
        tags["dagster/asset_partition_range_start"] = partitions[0]
        tags["dagster/asset_partition_range_end"] = partitions[-1]
    with dg.DagsterInstance.local_temp() as instance:
        return (
            build_definitions(settings)
            .resolve_job_def(job)
            .execute_in_process(
                instance=instance,
                tags=tags,
                run_config={"loggers": {"console": {"config": {"log_level": "ERROR"}}}},
            )
        )


@dataclass(frozen=True)
class RealLake:
    """A lake made from real archives: all tables of 2023-01..2025-12, through the assets.

    LSOA counts and forecasts are there of the ``FORECAST_MONTHS``, their evaluations of all but the
    last of them, and the leaderboard of the last.

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


@pytest.fixture(scope="session")
def real_lake(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> RealLake:
    """The :class:`RealLake`, made once for all workers of the run."""
    folder = tmp_path_factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        folder = folder.parent
    folder /= "real-lake"

    def settings(forces: tuple[str, ...]) -> Settings:
        return Settings.from_environment(
            {
                "CRIME_ARCHIVE_URL": str(shared_data / "police_uk" / "archive"),
                "CRIME_DATA_DIR": str(folder),
                "CRIME_LSOA_BOUNDARIES": str(shared_data / "boundaries" / "lsoa_2021.parquet"),
                "CRIME_FORCE_BOUNDARIES": str(
                    shared_data / "boundaries" / "police_force_areas_2023.parquet"
                ),
                "CRIME_FORCES": ",".join(forces),
            }
        )

    early, late = settings(EARLY_FORCES), settings(FORCES_2025)
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "made").exists():
            run_job(late, "study_area")
            for force in FORCES_2025:
                first = "2023-01" if force in EARLY_FORCES else "2025-01"
                run_job(late, "ingest", f"{force}|{first}", f"{force}|2025-12")
            run_job(early, "rank_hotspots", "2023-01", "2024-12")
            run_job(late, "rank_hotspots", "2025-01", "2025-12")
            run_job(late, "count_lsoas", *FORECAST_MONTHS)
            run_job(late, "forecast", *FORECAST_MONTHS)
            run_job(late, "evaluate", *FORECAST_MONTHS[:-1])
            run_job(late, "compare", FORECAST_MONTHS[-1])
            run_job(late, "build_warehouse")
            (folder / "made").touch()
    return RealLake(late, Lake(folder / "lake"))
