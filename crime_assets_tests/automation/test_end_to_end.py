"""A release arrives while a real deployment runs: with no further hand it is on the map.

With `dagster dev`, its daemon and the GraphQL API; on one machine with SQLite and a folder, and as
a server would run it, with PostgreSQL and S3-compatible storage.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import boto3
import dagster as dg
import duckdb
import pytest
from moto.server import ThreadedMotoServer

from crime_assets.partitions import months_back
from crime_assets.sources.double import PoliceUkDouble
from crime_assets_tests.automation.conftest import Filled, Website, trees
from crime_assets_tests.deployment import (
    MACHINE_YAML,
    SERVER_YAML,
    Deployment,
    Run,
    configuration,
    deployed,
    finished,
    module,
    postgres,
)

pytestmark = pytest.mark.slow  # and each a deployment, which nothing should run beside

BUCKET = "crime"
SAMPLE_FORCES = ("sample-dogger", "sample-silverpit", "sample-wellbank")
SENSORS = {"CRIME_AUTOMATION": "sensors", "CRIME_RELEASE_INTERVAL_S": "3"}
QUIET_TICKS = 4
"""So many ticks after which nothing was asked for say that nothing will be."""

READ_TWO = ["2025-10", "2025-12"]  # the months of which a file is new
LATER = ["2025-10", "2025-11", "2025-12"]  # the months whose windows hold one of these
FOLLOWS = {
    "archive_index": ["2025-12"],
    "coverage": READ_TWO,
    "hex_counts": READ_TWO,
    "snap_counts": READ_TWO,
    "reconciliation": READ_TWO,
    "lsoa_counts": READ_TWO,
    "hotspots": LATER,
    "hotspot_summary": LATER,
    "hotspot_frequency": LATER,
    "hotspot_map": LATER,
    "release_changes": ["2025-12"],
}
"""What a release of one new month and one revised file makes anew, each once."""


@dataclass(frozen=True)
class Server:
    """A deployment whose lake is of the earlier release, and how to read what it makes."""

    deployment: Deployment
    double: PoliceUkDouble
    read: Callable[[str], bytes]


@contextmanager
def on_one_machine(filled: Filled, folder: Path) -> Iterator[Server]:
    """With SQLite and a folder, as `make dev` has it."""
    data, home = filled.copy(folder)
    with following(filled.website) as double:
        settings = filled.website.settings(double, data) | SENSORS
        deployment = Deployment(home, settings, configuration(MACHINE_YAML))
        yield Server(deployment, double, lambda name: (data / name).read_bytes())


@contextmanager
def on_a_server(filled: Filled, folder: Path) -> Iterator[Server]:
    """With PostgreSQL and S3-compatible storage, by the deployment's file as the docs have it."""
    with following(filled.website) as double, postgres() as database, object_storage() as storage:
        settings = filled.website.settings(double, f"s3://{BUCKET}/data") | SENSORS | storage
        settings |= {"DAGSTER_PG_URL": database, "TMPDIR": str(folder)}
        deployment = Deployment(folder / "home", settings, configuration(SERVER_YAML))
        bucket = boto3.resource(
            "s3",
            endpoint_url=storage["AWS_ENDPOINT_URL"],
            region_name=storage["AWS_REGION"],
            aws_access_key_id=storage["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=storage["AWS_SECRET_ACCESS_KEY"],
        ).Bucket(BUCKET)
        for path in filled.data.rglob("*"):
            if path.is_file():
                bucket.upload_file(str(path), f"data/{path.relative_to(filled.data)}")
        move_events(filled.folder / "home", deployment.home, database)
        yield Server(
            deployment, double, lambda name: bucket.Object(f"data/{name}").get()["Body"].read()
        )


def move_events(home: Path, new_home: Path, database: str) -> None:
    """Tell an instance in PostgreSQL what one in SQLite knows of the tables: the last of each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_PG_URL", database)
        patch.setenv("DAGSTER_HOME", str(home))  # of the old one
        with (
            dg.DagsterInstance.from_config(str(home)) as old,
            dg.DagsterInstance.from_config(str(new_home)) as new,
        ):
            for asset in old.all_asset_keys():
                made = {
                    record.partition_key: record.asset_materialization
                    for record in old.fetch_materializations(asset, limit=1000).records[::-1]
                }
                for materialization in made.values():
                    assert materialization is not None
                    new.report_runless_asset_event(materialization)


@contextmanager
def following(website: Website) -> Iterator[PoliceUkDouble]:
    """The website before the newer release is out."""
    with PoliceUkDouble(website.archive, releases=website.releases[:1]) as double:
        yield double


@contextmanager
def object_storage() -> Iterator[dict[str, str]]:
    """The variables that lead to an empty bucket."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        address = f"http://{host}:{port}"
        boto3.client(
            "s3",
            endpoint_url=address,
            region_name="us-east-1",
            aws_access_key_id="key",
            aws_secret_access_key="secret",
        ).create_bucket(Bucket=BUCKET)
        yield {
            "AWS_ENDPOINT_URL": address,
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": "eu-west-2",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
    finally:
        server.stop()


@pytest.mark.deployment
@pytest.mark.parametrize("place", [on_one_machine, on_a_server])
def test_a_release_that_arrives_is_on_the_map_and_nothing_else_is_made(
    place: Callable[[Filled, Path], AbstractContextManager[Server]],
    filled: Filled,
    tmp_path: Path,
) -> None:
    older, newer = filled.website.releases
    with ExitStack() as stack:
        server = stack.enter_context(place(filled, tmp_path))
        deployment = stack.enter_context(deployed(server.deployment))
        at_rest(deployment)
        assert {run.job for run in deployment.runs() if run.status != "SUCCESS"} == set()
        assert deployment.made("archive_index") == [older]
        ingested_before = len(deployment.runs(job="ingest"))

        released = time.time()
        server.double.publish(newer)
        deployment.wait(
            "map of the new month", lambda: newer in deployment.made("hotspot_map", released)
        )
        on_the_map = time.time() - released
        at_rest(deployment)

        runs = deployment.runs(since=released)
        assert {run.status for run in runs} == {"SUCCESS"}, deployment.report()
        read = {run.partitions for run in runs if run.job == "ingest"}
        assert read == {
            ("sample-dogger|2025-12", "sample-wellbank|2025-12"),
            ("sample-dogger|2025-10", "sample-dogger|2025-10"),
        }
        assert len(deployment.runs(job="ingest")) == ingested_before + 2
        assert {asset: deployment.made(asset, released) for asset in FOLLOWS} == FOLLOWS

        described = json.loads(server.read(f"maps/{newer}/map.json"))
        assert described["month"] == newer
        told = server.read(f"lake/release_changes/month={newer}/data.parquet")
        assert changes(told, tmp_path) == {
            ("2025-10", "sample-dogger", "revised"),
            ("2025-12", "sample-dogger", "new"),
            ("2025-12", "sample-silverpit", "new"),
        }
        print(f"{place.__name__}: {on_the_map:.0f} s from the release to the map")


@pytest.mark.killed
def test_a_real_revision_is_read_and_goes_no_further_than_the_counts(
    shared_data: Path, tmp_path: Path
) -> None:
    """The City of London's 2025 as police.uk issued it later: outcomes differ, no count does."""
    force, months = "city-of-london", months_back("2025-12", 24)
    archive = tmp_path / "archive"
    archive.mkdir()
    for release in ("2024-08", "2025-12"):
        (archive / f"{release}.zip").symlink_to(
            shared_data / "police_uk" / "archive" / f"{release}.zip"
        )
    with PoliceUkDouble(archive) as double:
        settings = {
            "CRIME_ARCHIVE_URL": double.archive_url,
            "CRIME_API_URL": double.api_url,
            "CRIME_DATA_DIR": str(tmp_path / "data"),
            "CRIME_LSOA_BOUNDARIES": str(shared_data / "boundaries" / "lsoa_2021.parquet"),
            "CRIME_FORCE_BOUNDARIES": str(
                shared_data / "boundaries" / "police_force_areas_2023.parquet"
            ),
            "CRIME_FORCES": force,
            "CRIME_BASEMAP": "none",
        }
        backfill = "crime_assets.automation.backfill"
        finished(module(backfill, months[0], months[-1], home=tmp_path / "home", settings=settings))
        before = trees(tmp_path / "data")
        deployment = Deployment(tmp_path / "home", settings | SENSORS, configuration(MACHINE_YAML))
        with deployed(deployment):
            at_rest(deployment)
            released = time.time()
            double.publish("2025-12", shared_data / "police_uk" / "reissued" / "2025-12.zip")
            deployment.wait(
                "what the release changed", lambda: deployment.made("release_changes", released)
            )
            at_rest(deployment)

            assert {run.status for run in deployment.runs(since=released)} == {"SUCCESS"}
            revised = months[-12:]
            assert deployment.made("street_crimes", released) == [f"{force}|{m}" for m in revised]
            for table in ("coverage", "hex_counts", "snap_counts", "lsoa_counts"):
                assert deployment.made(table, released) == revised, table
            for table in ("hotspots", "hotspot_summary", "hotspot_frequency", "hotspot_map"):
                assert deployment.made(table, released) == [], table
    after = trees(tmp_path / "data")
    changed = {name.split("/month=")[0] for name in after if after[name] != before.get(name)}
    assert {"lake/street_crimes", "lake/coverage", "lake/release_changes"} <= changed
    assert not [name for name in changed if name.startswith(("lake/hotspot", "maps/"))]


def at_rest(deployment: Deployment) -> None:
    """Return when nothing runs, and nothing was asked for in :data:`QUIET_TICKS` ticks after."""
    quiet_from = time.time()

    def rests() -> bool:
        nonlocal quiet_from
        ticks = [
            deployment.ticks(sensor, quiet_from)
            for sensor in ("police_uk_releases", "changed_files", "followers")
        ]
        if deployment.is_busy() or any(tick["status"] != "SKIPPED" for of in ticks for tick in of):
            quiet_from = time.time()
            return False
        return all(len(of) >= QUIET_TICKS for of in ticks)

    deployment.wait("rest", rests)


def changes(content: bytes, folder: Path) -> set[tuple[str, str, str]]:
    """The files that `release_changes` names, and what became of them."""
    path = folder / "release_changes.parquet"
    path.write_bytes(content)
    return set(
        duckdb.execute(
            "select distinct crime_month, force, change from read_parquet($path)",
            {"path": str(path)},
        ).fetchall()
    )


@pytest.mark.killed
def test_a_backfill_from_the_api_is_a_few_runs_of_many_partitions(
    filled: Filled, tmp_path: Path
) -> None:
    """Of three months: of three forces, then of the tables by month."""
    months = ["2025-09", "2025-10", "2025-11"]
    data, home = filled.copy(tmp_path)
    with PoliceUkDouble(filled.website.archive, releases=["2025-11"]) as double:
        settings = filled.website.settings(double, data)
        with deployed(Deployment(home, settings, configuration(MACHINE_YAML))) as deployment:
            corner = f"{SAMPLE_FORCES[0]}|{months[0]}", f"{SAMPLE_FORCES[-1]}|{months[-1]}"
            runs = runs_of(deployment, ["street_crimes_csv", "street_crimes"], *corner)
            assert len(runs) <= len(months)
            assert {asset for run in runs for asset in run.assets} == {
                "street_crimes_csv",
                "street_crimes",
            }
            tables = ["coverage", "hex_counts", "snap_counts", "hotspots", "hotspot_frequency"]
            runs = runs_of(deployment, tables, months[0], months[-1])
            asked = [table for run in runs for table in run.assets]
            assert sorted(asked) == sorted(tables)  # each table once
    assert trees(data) == trees(filled.data)


def runs_of(deployment: Deployment, assets: list[str], first: str, last: str) -> list[Run]:
    """The runs that Dagster makes of a backfill, which must end well."""
    backfill = deployment.backfill(assets, first, last)
    assert deployment.wait_for_backfill(backfill) == "COMPLETED_SUCCESS", deployment.report()
    runs = [run for run in deployment.runs() if run.tags.get("dagster/backfill") == backfill]
    told = [f"{sorted(run.assets)} {run.partitions}" for run in runs]
    print(f"{first} .. {last} of {len(assets)} tables: {len(runs)} runs: {told}")
    return runs
