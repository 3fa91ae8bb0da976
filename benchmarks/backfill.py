"""Figures of a backfill from nothing: what orchestration adds to the work, and what it leaves.

36 months x 43 forces of small files, from the archive through hotspots and their frequency: where
files are small, orchestration weighs most. Done three times: the work alone (the tables,
and what is expected of them) without Dagster; by ``make backfill``, in one process; and as two
backfills of a deployment's daemon, asked for as the UI asks, with the runs in processes of their
own.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import requests

from benchmarks.measuring import Figure, Run
from benchmarks.nation import Nation, make_study_area, the_nation
from crime_assets.automation.event_log import configuration
from crime_assets.definitions import build_definitions
from crime_assets.hexes import assets as hexes
from crime_assets.lake import DuckDB, atomic
from crime_assets.partitions import key_of
from crime_assets.quality import runner
from crime_assets.register import FORCES
from crime_assets.settings import Settings
from crime_assets.sources import assets as sources
from crime_assets.sources.police_uk import HEADER
from crime_assets.sources.sample import PATTERNS
from crime_assets.tables import TABLES

CRIMES_A_FILE = 60
PLACES_A_FORCE = 200
STORAGE_MB = 200
MOST = 2.0
"""Times the work alone: orchestration adds at most as much again."""
READ = ("street_crimes_csv", "street_crimes")
COUNTED = ("coverage", "hex_counts", "snap_counts", "reconciliation", "hotspots",
           "hotspot_summary", "hotspot_frequency")  # fmt: skip
LONGEST_S = 3600


def figures(run: Run) -> list[Figure]:
    """Backfill the nation's small files, with and without orchestration."""
    nation = the_nation(run.folder, run.share)
    if not nation.lake.has("scope_cells"):
        make_study_area(nation)
    archive = write_small_archive(nation)
    where = (str(archive), str(run.folder / "backfill"), run.share)
    alone = run.measure(work_alone, *where).value
    files = len(nation.months) * len(nation.forces)
    found = []
    for name, function, most in (
        ("make backfill", by_command, MOST),
        ("the daemon", by_daemon, None),  # a process a month, each of which imports everything
    ):
        value = run.measure(function, *where).value
        found += [
            Figure(
                f"backfill of {files:,} small files by {name}, {value['runs']} runs",
                value["seconds"],
                "s",
                reference=alone["seconds"],
                reference_is="the same work without Dagster",
                most_ratio=most,
            ),
            Figure(
                f"the instance's storage after it, {name}", value["bytes"] / 1e6, "MB",
                most=STORAGE_MB,
            ),
        ]  # fmt: skip
        assert value["rows"] == alone["rows"], "the backfill made other tables than the work alone"
    return found


def write_small_archive(nation: Nation) -> Path:
    """The folder of an archive with a small file of each force and month, made once."""
    path = nation.folder / "small-archive" / f"{nation.months[-1]}.zip"
    if path.exists():
        return path.parent
    rng = np.random.default_rng(nation.seed)
    types = list(PATTERNS)
    with nation.engine().get_connection() as connection:
        nation.lake.view(connection, "hex_cells")
        places = {
            force: connection.execute(
                """
                select st_x(place), st_y(place), lsoa21cd from (
                    select lsoa21cd, st_transform(
                        st_point(easting, northing), 'EPSG:27700', 'EPSG:4326', always_xy := true
                    ) as place
                    from hex_cells where force = $force order by hash(hex_id) limit $places
                )
                """,
                {"force": force, "places": PLACES_A_FORCE},
            ).fetchall()
            for force in nation.forces
        }
    with atomic(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as made:
        for month in nation.months:
            for force in nation.forces:
                lines = [HEADER]
                name = FORCES[force].name
                drawn = rng.integers(len(places[force]), size=CRIMES_A_FILE)
                of_type = rng.integers(len(types), size=CRIMES_A_FILE)
                for place, kind in zip(drawn, of_type, strict=True):
                    longitude, latitude, lsoa = places[force][place]
                    lines.append(
                        f"{rng.bytes(32).hex()},{month},{name},{name},{longitude:.6f},"
                        f"{latitude:.6f},On or near Street {place},{lsoa},{lsoa},{types[kind]},"
                        "Under investigation,"
                    )
                text = "\n".join([*lines, ""])
                made.writestr(f"{month}/{month}-{force}-street.csv", text)
    return path.parent


def work_alone(archive: str, folder: str, share: float) -> dict[str, Any]:
    """What assets and their expectations do, without Dagster: no event is recorded."""
    nation = the_nation(Path(folder).parent, share)
    settings = Settings.from_environment(_begin(nation, archive, folder))
    resources = build_definitions(settings).resources or {}
    engine, lake, source = (resources[name] for name in ("engine", "lake", "archive"))
    by_file = [{"month": m, "force": f} for m in nation.months for f in nation.forces]
    by_month = [{"month": month} for month in nation.months]

    def publish_all(context: Any, engine: DuckDB, publish: Any, workers: int = 1) -> Iterator[None]:
        with engine.get_connection(workers) as database, ThreadPoolExecutor(workers) as pool:

            def attempt(partition: dict[str, str]) -> None:
                with database.cursor() as connection:
                    publish(connection, partition)

            list(pool.map(attempt, context))
        yield None

    started = time.perf_counter()
    for room, names, partitions in ((sources, READ, by_file), (sources, COUNTED[:1], by_month),
                                    (hexes, COUNTED[1:], by_month)):  # fmt: skip
        with patch.object(room, "publish_each", publish_all):
            for name in names:
                function = getattr(room, name).op.compute_fn.decorated_fn
                wanted = function.__code__.co_varnames[1 : function.__code__.co_argcount]
                given = {"engine": engine, "lake": lake, "archive": source, "settings": settings}
                list(function(partitions, **{name: given[name] for name in wanted}))
                if name in TABLES:
                    suite = runner.read_suite(name)
                    with engine.get_connection() as connection:
                        profile = runner.profile(connection, lake, suite, partitions)
                    runner.judge(suite, profile)
    return {"seconds": time.perf_counter() - started, "rows": _rows(settings)}


def by_command(archive: str, folder: str, share: float) -> dict[str, Any]:
    """`make backfill`, without study area, LSOA counts and map: the others make none either."""
    nation = the_nation(Path(folder).parent, share)
    environment = _begin(nation, archive, folder)
    code = (
        "import sys; from crime_assets.automation import backfill as b; "
        "b.AFTER_READING = b.AFTER_READING[:1]; b.STUDY_AREA = b.STUDY_AREA[:3]; b.main()"
    )
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, nation.months[0], nation.months[-1]],
        env=os.environ | environment,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return _ended(time.perf_counter() - started, environment)


def by_daemon(archive: str, folder: str, share: float) -> dict[str, Any]:
    """Two backfills by a daemon: months x forces, then months."""
    nation = the_nation(Path(folder).parent, share)
    environment = _begin(nation, archive, folder)
    first, last = (
        {"month": month, "force": force}
        for month, force in zip(
            (nation.months[0], nation.months[-1]),
            (nation.forces[0], nation.forces[-1]),
            strict=True,
        )
    )
    with deployment(environment) as ask:
        started = time.perf_counter()
        for assets, start, end in (
            (READ, str(key_of(first)), str(key_of(last))),
            (COUNTED, nation.months[0], nation.months[-1]),
        ):
            launched = ask(
                """
                mutation ($backfill: LaunchBackfillParams!) {
                    launchPartitionBackfill(backfillParams: $backfill) {
                        ... on LaunchBackfillSuccess { backfillId }
                        ... on PythonError { message }
                    }
                }
                """,
                # one range for all would make Dagster add months that follow: of each asset its own
                backfill={
                    "partitionsByAssets": [
                        {
                            "assetKey": {"path": [asset]},
                            "partitions": {"range": {"start": start, "end": end}},
                        }
                        for asset in assets
                    ]
                },
            )["launchPartitionBackfill"]
            status = "REQUESTED"
            while status in ("REQUESTED", "COMPLETING"):
                time.sleep(1)
                status = ask(
                    "query ($id: String!) { partitionBackfillOrError(backfillId: $id) {"
                    " ... on PartitionBackfill { status } } }",
                    id=launched["backfillId"],
                )["partitionBackfillOrError"]["status"]
            if status != "COMPLETED_SUCCESS":
                raise RuntimeError(f"the backfill of {assets} ended as {status}")
        seconds = time.perf_counter() - started
    return _ended(seconds, environment)


@contextmanager
def deployment(environment: dict[str, str]) -> Iterator[Any]:
    """A webserver, a daemon and a code server on this machine; yields what asks over GraphQL."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    dagster = str(Path(sys.executable).with_name("dagster"))
    process = subprocess.Popen(
        [dagster, "dev", "-m", "crime_assets.definitions", "--host", "127.0.0.1",
         "--port", str(port)],
        env=os.environ | environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip

    def ask(query: str, **variables: Any) -> dict[str, Any]:
        answer = requests.post(
            f"http://127.0.0.1:{port}/graphql",
            json={"query": query, "variables": variables},
            timeout=60,
        ).json()
        if "errors" in answer:
            raise RuntimeError(str(answer["errors"])[:500])
        return answer["data"]

    try:
        deadline = time.monotonic() + 120
        while True:
            try:
                healthy = ask("{ instance { daemonHealth { allDaemonStatuses { healthy } } } }")
                states = healthy["instance"]["daemonHealth"]["allDaemonStatuses"]
                if any(state["healthy"] for state in states):
                    break
            except (requests.RequestException, RuntimeError, ValueError):
                pass
            if time.monotonic() > deadline:
                raise TimeoutError("dagster dev did not start")
            time.sleep(0.5)
        yield ask
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _begin(nation: Nation, archive: str, folder: str) -> dict[str, str]:
    """The settings of a deployment that has the study area and nothing else."""
    data = Path(folder)
    shutil.rmtree(data, ignore_errors=True)
    for table in ("hex_cells", "scopes", "scope_cells"):
        path = data / "lake" / table / "data.parquet"
        path.parent.mkdir(parents=True)
        os.link(nation.lake.path(table), path)
    (data / "dagster").mkdir()
    (data / "dagster" / "dagster.yaml").write_text(configuration())
    return {
        "CRIME_ARCHIVE_URL": archive,
        "CRIME_DATA_DIR": str(data),
        "CRIME_FORCES": ",".join(nation.forces),
        "CRIME_LSOA_BOUNDARIES": nation.lsoa_boundaries,
        "CRIME_FORCE_BOUNDARIES": nation.force_boundaries,
        "DAGSTER_HOME": str(data / "dagster"),
    }


def _rows(settings: Settings) -> str:
    """The hash of every file of the lake's last table: the same where all before is the same."""
    lake = build_definitions(settings).resources["lake"]  # type: ignore[index]
    months = settings.data_dir.joinpath("lake", "hotspot_frequency").glob("month=*")
    return json.dumps(
        [
            lake.sha256("hotspot_frequency", {"month": month.name.removeprefix("month=")})
            for month in sorted(months)
        ]
    )


def _ended(seconds: float, environment: dict[str, str]) -> dict[str, Any]:
    """What a backfill left: its time, runs and tables, and the instance's size."""
    import dagster as dg

    home = Path(environment["DAGSTER_HOME"])
    with (
        patch.dict(os.environ, environment),
        dg.DagsterInstance.from_config(str(home)) as instance,
    ):
        runs = instance.get_runs_count()
    size = sum(path.stat().st_size for path in home.rglob("*") if path.is_file())
    rows = _rows(Settings.from_environment(environment))
    return {"seconds": seconds, "runs": runs, "bytes": size, "rows": rows}
