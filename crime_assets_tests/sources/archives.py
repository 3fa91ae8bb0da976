"""Small archives for tests, made without the package, and how tests run `ingest` on them."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import dagster as dg

from crime_assets.definitions import build_definitions
from crime_assets.settings import Settings

HEADER = (
    "Crime ID,Month,Reported by,Falls within,Longitude,Latitude,Location,LSOA code,LSOA name,"
    "Crime type,Last outcome category,Context"
)
TYPES = ("Anti-social behaviour", "Burglary", "Drugs", "Shoplifting", "Vehicle crime")


def member_name(month: str, force: str) -> str:
    return f"{month}/{month}-{force}-street.csv"


def crime(of_month: str, number: int = 1, **changed: str) -> str:
    """A line of a published file; ``changed`` replaces fields by their names."""
    crime_type = TYPES[number % len(TYPES)]
    fields = {
        "crime_id": hashlib.sha256(f"{of_month} {number}".encode()).hexdigest(),
        "month": of_month,
        "reported_by": "Kent Police",
        "falls_within": "Kent Police",
        "longitude": f"{0.5 + number % 40 / 1000:.6f}",
        "latitude": f"{51.27 + number % 7 / 1000:.6f}",
        "location": "On or near Parking Area",
        "lsoa_code": "E01024000",
        "lsoa_name": "Maidstone 001A",
        "crime_type": crime_type,
        "last_outcome": "" if crime_type == TYPES[0] else "Under investigation",
        "context": "",
        **changed,
    }
    return ",".join(fields.values())


def street_csv(month: str, lines: int | Iterable[str] = 20, line_end: str = "\n") -> bytes:
    """A published file: the header, then these lines, or so many crimes."""
    if isinstance(lines, int):
        lines = [crime(month, number) for number in range(1, lines + 1)]
    return "".join(f"{line}{line_end}" for line in [HEADER, *lines]).encode()


def write_zip(path: Path, members: Mapping[str, bytes] | Sequence[tuple[str, bytes]]) -> Path:
    """A zip with these members; a sequence of pairs may hold a name twice."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pairs = members.items() if isinstance(members, Mapping) else members
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in pairs:
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return path


def write_folder(folder: Path, members: Mapping[str, bytes]) -> Path:
    """A folder of unpacked members."""
    for name, content in members.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def settings_of(archive: Path | str, data: Path, **more: str) -> Settings:
    """Settings of a small deployment; ``more`` are further environment variables."""
    return Settings.from_environment(
        {
            "CRIME_ARCHIVE_URL": str(archive),
            "CRIME_DATA_DIR": str(data),
            "CRIME_THREADS": "2",
            "CRIME_MEMORY_LIMIT": "1GB",
            **more,
        }
    )


def job_of(name: str, environment: Mapping[str, str]) -> dg.JobDefinition:
    """A job of the definitions that this environment describes."""
    settings = Settings.from_environment(dict(environment))
    return build_definitions(settings).resolve_job_def(name)


def run_assets(
    settings: Settings,
    assets: Sequence[str],
    first: str,
    last: str | None = None,
    *,
    job: str = "ingest",
    instance: dg.DagsterInstance | None = None,
) -> dg.JobExecutionResult:
    """Run these assets of a job, without its expectations, over a range of partitions.

    With the executor of the definitions: ``execute_in_process`` would put its own in its place,
    which runs nothing after a step that failed.
    """
    environment = {
        "CRIME_ARCHIVE_URL": settings.archive_url,
        "CRIME_DATA_DIR": str(settings.data_dir),
        "CRIME_FORCES": ",".join(settings.forces),
        "CRIME_MEMORY_LIMIT": settings.memory_limit,
        "CRIME_THREADS": str(settings.threads),
    }
    with nullcontext(instance) if instance else dg.DagsterInstance.ephemeral() as used:
        return dg.execute_job(
            dg.build_reconstructable_job(__name__, "job_of", (job, tuple(environment.items()))),
            instance=used,
            op_selection=list(assets),
            raise_on_error=False,
            tags={
                "dagster/asset_partition_range_start": first,
                "dagster/asset_partition_range_end": last or first,
            },
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )


def ingest(
    settings: Settings,
    first: str,
    last: str | None = None,
    instance: dg.DagsterInstance | None = None,
) -> dg.JobExecutionResult:
    """Run `street_crimes_csv` and `street_crimes` over a range of months and forces."""
    return run_assets(
        settings, ["street_crimes_csv", "street_crimes"], first, last, instance=instance
    )


def failures(result: dg.JobExecutionResult) -> dict[str, str]:
    """What the failed steps told, by step: the descriptions of their ``dagster.Failure``."""
    told = {}
    for event in result.all_events:
        if event.is_step_failure:
            data: Any = event.event_specific_data
            assert data.user_failure_data is not None, data.error
            told[str(event.step_key)] = data.user_failure_data.description
    return told


def published(result: dg.JobExecutionResult, asset: str) -> dict[str, dg.AssetMaterialization]:
    """What the run published of an asset, by partition."""
    return {
        str(event.partition): event.materialization
        for event in result.all_events
        if event.is_step_materialization and event.asset_key == dg.AssetKey(asset)
    }


def checksums(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file below a folder, hidden ones too, by its path."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
