"""Figures of ingest: from CSV files in an archive to `street_crimes` in the lake.

The archive is made of the newest months of :mod:`benchmarks.nation`, in police.uk's own layout;
real archives are measured beside it where a folder of them is given.
"""

from __future__ import annotations

import csv
import os
import shutil
import tempfile
import time
import zipfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb

from benchmarks.measuring import Figure, Run, by_turns
from benchmarks.nation import Nation, make_nation, the_nation
from crime_assets.lake import DuckDB, Lake, atomic
from crime_assets.sources.police_uk import HEADER, PoliceUkArchive
from crime_assets.sources.street_crimes import read_crimes, read_member, write_member

ROWS_PER_S = 300_000
MONTHS = 2
"""Of the nation in the archive: a million crimes in 86 files."""

REAL_MONTHS = 12


def figures(run: Run) -> list[Figure]:
    """Measure ingest of the nation's archive, and of a real one."""
    nation = the_nation(run.folder, run.share)
    make_nation(nation, run.say)
    archive = write_archive(nation)
    found = []
    rates = {}
    for name, folder in (("the nation's", str(archive)), ("a real", run.archive)):
        if folder is None:
            continue
        measured = run.measure(read_archive, folder, str(run.folder), run.rounds)
        value = measured.value
        rows = value["rows"]
        rates[name] = rows / value["ours"]
        found += [
            Figure(
                f"ingest of {name} archive, {rows:,} rows in {value['members']:,} files",
                rows / value["ours"],
                "rows/s",
                reference=rows / value["read_csv"],
                reference_is="DuckDB's read_csv of the unpacked files to Parquet, untyped",
                least=ROWS_PER_S,
            ),
            Figure(f"peak memory: {name} archive", measured.peak_bytes / 2**30, "GiB", most=4.0),
        ]
    if not run.through_dagster:
        return found
    through = run.measure(ingest_through_dagster, str(run.folder), run.share).value
    found.append(
        Figure(
            f"both assets through Dagster, {through['rows']:,} rows in one run a month",
            through["rows"] / through["seconds"],
            "rows/s",
            reference=rates["the nation's"],
            reference_is="the same work alone, without event log, metadata and checks",
        )
    )
    return found


def write_archive(nation: Nation) -> Path:
    """The folder of an archive that holds the newest months of the nation, made once."""
    path = nation.folder / "archive" / f"{nation.months[-1]}.zip"
    if path.exists():
        return path.parent
    columns = {
        "Crime ID": "crime_id",
        "Month": "$month",
        "Reported by": "reported_by",
        "Falls within": "falls_within",
        "Longitude": "longitude",
        "Latitude": "latitude",
        "Location": "location",
        "LSOA code": "lsoa_code",
        "LSOA name": "lsoa_name",
        "Crime type": "crime_type",
        "Last outcome category": "last_outcome",
        "Context": "null",
    }
    assert ",".join(columns) == HEADER
    select = ", ".join(f'{source} as "{name}"' for name, source in columns.items())
    with (
        nation.engine().get_connection() as connection,
        tempfile.TemporaryDirectory() as folder,
        atomic(path) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for partition in nation.files:
            month, force = partition["month"], partition["force"]
            if month not in nation.months[-MONTHS:]:
                continue
            nation.lake.view(connection, "street_crimes", [partition])
            member = Path(folder) / "member.csv"
            connection.execute(
                f"copy (select {select} from street_crimes order by row) to '{member}' "
                "(format csv, header true)".replace("$month", f"'{month}'")
            )
            archive.write(member, f"{month}/{month}-{force}-street.csv")
    return path.parent


def read_archive(archive_folder: str, folder: str, rounds: int) -> dict[str, Any]:
    """Read an archive into street crimes, as the two assets do, and with DuckDB's read_csv."""
    engine = DuckDB(threads=os.cpu_count() or 1)
    newest = max(Path(archive_folder).glob("*.zip"))
    with tempfile.TemporaryDirectory(dir=folder) as working, zipfile.ZipFile(newest) as archive:
        names = [n for n in sorted(archive.namelist()) if n.endswith("-street.csv")]
        months = sorted({name[:7] for name in names})[-REAL_MONTHS:]
        names = [name for name in names if name[:7] in months]
        work = Path(working)
        archive.extractall(work / "unpacked", names)
        members = [(name[:7], name[16 : -len("-street.csv")]) for name in names]
        lake = Lake(work / "lake")
        with (
            engine.get_connection(workers=engine.threads) as database,
            ThreadPoolExecutor(engine.threads) as pool,
        ):

            def ours() -> None:
                source = PoliceUkArchive(url=archive_folder)

                def fetch(member: tuple[str, str]) -> None:
                    month, force = member
                    write_member(_kept(work, month, force), source.find(month, force))

                def read(member: tuple[str, str]) -> None:
                    month, force = member
                    kept = read_member(_kept(work, month, force))
                    partition = {"month": month, "force": force}
                    with database.cursor() as connection:
                        read_crimes(connection, kept.content, month)
                        for table in ("rejected_crimes", "street_crimes"):
                            lake.publish(connection, table, table, partition)

                for step in (fetch, read):  # two assets, each over its range of partitions
                    list(pool.map(step, members))

            def read_csv() -> None:
                def copy(name: str) -> None:
                    target = work / "read_csv" / f"{name}.parquet"
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with database.cursor() as connection:
                        connection.execute(
                            f"copy (select * from read_csv('{work / 'unpacked' / name}', "
                            "header = true, all_varchar = true)) "
                            f"to '{target}' (format parquet, compression zstd)"
                        )

                list(pool.map(copy, names))

            times = by_turns(rounds, ours=ours, read_csv=read_csv)
            rows = sum(_rows_in(work / "unpacked" / name) for name in names)
            for month, force in members:
                if not lake.has("street_crimes", {"month": month, "force": force}):
                    raise AssertionError(f"{month} of {force} was not published")
    return {**times, "rows": rows, "members": len(members)}


def _kept(work: Path, month: str, force: str) -> Path:
    return work / "raw" / month / force / "data.csv.gz"


def _rows_in(path: Path) -> int:
    with path.open(newline="", encoding="utf-8") as file:
        return sum(1 for _ in csv.reader(file)) - 1


def ingest_through_dagster(folder: str, share: float) -> dict[str, Any]:
    """Materialise street_crimes_csv and street_crimes of whole months through Dagster."""
    import dagster as dg
    from dagster._core.storage.tags import (
        ASSET_PARTITION_RANGE_END_TAG,
        ASSET_PARTITION_RANGE_START_TAG,
    )

    from crime_assets.definitions import build_definitions
    from crime_assets.settings import Settings

    nation = the_nation(Path(folder), share)
    with tempfile.TemporaryDirectory(dir=folder) as data:
        settings = Settings.from_environment(
            {
                "CRIME_DATA_DIR": data,
                "CRIME_ARCHIVE_URL": str(nation.folder / "archive"),
                "CRIME_FORCES": ",".join(nation.forces),
            }
        )
        job = build_definitions(settings).resolve_job_def("ingest")
        (Path(data) / "instance").mkdir()
        with dg.DagsterInstance.local_temp(f"{data}/instance") as instance:
            seconds = 0.0
            step_ms: Counter[str] = Counter()
            for month in nation.months[-MONTHS:]:
                first, last = (
                    dg.MultiPartitionKey({"month": month, "force": force})
                    for force in (nation.forces[0], nation.forces[-1])
                )
                started = time.perf_counter()
                result = job.execute_in_process(
                    instance=instance,
                    tags={
                        ASSET_PARTITION_RANGE_START_TAG: first,
                        ASSET_PARTITION_RANGE_END_TAG: last,
                    },
                    run_config={"loggers": {"console": {"config": {"log_level": "ERROR"}}}},
                )
                seconds += time.perf_counter() - started
                for event in result.all_events:
                    if event.is_step_success and event.step_key:
                        step_ms[event.step_key] += event.step_success_data.duration_ms
        lake = Lake(Path(data) / "lake")
        partitions = [p for p in nation.files if p["month"] in nation.months[-MONTHS:]]
        with duckdb.connect() as connection:
            lake.view(connection, "street_crimes", partitions)
            found = connection.execute("select count(*) from street_crimes").fetchone()
        shutil.rmtree(lake.root)
    steps = {step: duration / 1000 for step, duration in step_ms.items()}
    return {"seconds": seconds, "steps": steps, "rows": found[0] if found else 0}
