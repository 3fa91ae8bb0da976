"""The asset: a map from a lake, what it refuses, and what the UI shows of it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import geopandas as gpd
import pytest
from shapely import box

from crime_assets.lake import DuckDB, Lake, MissingPartition
from crime_assets.maps import site
from crime_assets.maps.assets import hotspot_map, make_map
from crime_assets.publication import AuditFailed, Result
from crime_assets.settings import Settings
from crime_assets.tables import TABLES
from crime_assets_tests.conftest import CITY, Demo, RealLake
from crime_assets_tests.maps.test_rankings import KENT, MONTH, NATION, SPAN, UNCOVERED, make_world
from crime_assets_tests.sources.archives import checksums

COVERED = [month for month in SPAN if month != UNCOVERED]


@dataclass(frozen=True)
class Deployment:
    """A lake, the settings of its deployment, and a connection to publish with."""

    settings: Settings
    lake: Lake
    connection: duckdb.DuckDBPyConnection

    @classmethod
    def at(cls, folder: Path, connection: duckdb.DuckDBPyConnection) -> Deployment:
        (folder / "harm.csv").write_text("crime_type,weight\nBurglary,2.5\nDrugs,1\n")
        settings = Settings.from_environment(
            {
                "CRIME_DATA_DIR": str(folder),
                "CRIME_FORCE_BOUNDARIES": str(folder / "forces.parquet"),
                "CRIME_FORCES": "kent,essex",
                "CRIME_WEIGHTS": str(folder / "harm.csv"),
                "CRIME_MAP_URL": "https://maps.example.org/crime/",
            }
        )
        return cls(settings, Lake(folder / "lake"), connection)

    @property
    def target(self) -> Path:
        return self.settings.data_dir / "maps" / MONTH

    def publish(self, table: str, partition: dict[str, str], query: str = "") -> None:
        """A partition, of the rows that are there of it or of those that SQL selects."""
        where = " and ".join(f"{c} = '{v}'" for c, v in partition.items()) or "true"
        columns = ", ".join(c.name for c in TABLES[table].columns)
        query = query or f"select * from {table} where {where}"
        self.connection.execute(
            f"create or replace temp table published as select {columns} from ({query})"
        )
        self.lake.publish(self.connection, "published", table, partition)

    def change(self, table: str, replaced: str, month: str | None = MONTH) -> None:
        """Publish a partition again, with columns such as ``crimes + 1 as crimes``."""
        partition = {"month": month} if month else {}
        with self.connection.cursor() as reader:
            self.lake.view(reader, table, [partition])
            reader.execute(f"create temp table now as select * replace ({replaced}) from {table}")
            columns = ", ".join(c.name for c in TABLES[table].columns)
            changed = f"(select {columns} from now)"
            self.lake.publish(reader, changed, table, partition)

    def make(self) -> Result:
        """The map, by a connection of its own."""
        with self.connection.cursor() as connection:
            return make_map(connection, self.lake, self.settings, MONTH)

    def described(self) -> dict[str, Any]:
        described: dict[str, Any] = json.loads((self.target / "map.json").read_text())
        return described

    def read(self, name: str) -> Any:
        return site.unpack(self.target / self.described()["data"] / f"{name}.json.gz")

    def materialise(self) -> dg.ExecuteInProcessResult:
        return materialise(self.settings, self.lake)


def materialise(settings: Settings, lake: Lake) -> dg.ExecuteInProcessResult:
    """The asset through Dagster, from what the lake holds; a failure is in the result."""
    return dg.materialize(
        [hotspot_map],
        instance=dg.DagsterInstance.ephemeral(),
        partition_key=MONTH,
        resources={"settings": settings, "lake": lake, "engine": DuckDB(threads=2)},
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        raise_on_error=False,
    )


@pytest.fixture(scope="module")
def page_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A built page of one file."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "index.html").write_text("the page")
    return folder


@pytest.fixture(autouse=True)
def page(page_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It stands for the real one in each test, but not where lakes are made for the whole run."""
    monkeypatch.setattr(site, "PAGE", page_folder)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A deployment with all that a map needs."""
    folder = tmp_path_factory.mktemp("whole")
    gpd.GeoDataFrame(
        {"PFA23CD": ["E23000032", "E23000028"], "PFA23NM": ["Kent", "Essex"]},
        geometry=[box(500_000 + x, 150_000, 501_000 + x, 151_000) for x in (0, 1000)],
        crs="EPSG:27700",
    ).to_parquet(folder / "forces.parquet")
    with DuckDB(threads=1).get_connection() as connection:
        made = Deployment.at(folder, connection)
        make_world(connection)
        for table in ("hex_cells", "scopes", "scope_cells", "lsoa_areas"):
            made.publish(table, {})
        for table in ("coverage", "hex_counts", "snap_counts", "hotspots"):
            for month in COVERED:
                made.publish(table, {"month": month})
        made.publish("hotspot_frequency", {"month": MONTH}, "from hotspot_frequency")
        yield made


@pytest.fixture(scope="module")
def result(whole: Deployment, page_folder: Path) -> Result:
    """What became of making its map."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(site, "PAGE", page_folder)
        return whole.make()


@pytest.fixture
def deployment(whole: Deployment, result: Result, tmp_path: Path) -> Deployment:
    """The same, with the map, in another folder: what is done to it is not done to the other."""
    # whatever is replaced is replaced by a move, so a link to it stays what it is
    shutil.copytree(whole.settings.data_dir, tmp_path, dirs_exist_ok=True, copy_function=os.link)
    (tmp_path / "harm.csv").unlink()
    return Deployment.at(tmp_path, whole.connection)


# --- A map ----------------------------------------------------------------------------------


def test_the_map_holds_what_its_index_says(whole: Deployment, result: Result) -> None:
    described = whole.described()
    kinds = ("all-crime", "burglary", "drugs", "crime-harm")
    names = {f"{kind}-{window}" for kind in kinds for window in (1, 3, 12)}
    assert {scope: set(of) for scope, of in described["rankings"].items()} == {
        NATION: names,
        KENT: names,
    }
    for scope, of in described["rankings"].items():
        for name, cells in of.items():
            assert len(whole.read(f"rankings/{scope}/{name}")["hex_id"]) == cells
            crimes = whole.read(f"history/{scope}/{name}")["crimes"]
            assert len(crimes) == 36 * cells
    counted = {kind["slug"]: kind["counted"] for kind in described["types"]}
    assert counted == {kind: kind != "crime-harm" for kind in kinds}
    assert described["forces"]["kent"]["coverage"] == "ppnppp-" + "p" * 29
    assert described["forces"]["essex"]["coverage"] == "pppqpp-" + "p" * 29
    assert described["releases"] == {"2025-06": 29, "2025-12": 6}
    assert described["layers"] == {}
    assert described["start"] == {"type": "all-crime", "window": 12, "scope": NATION}
    forces = whole.read("outlines/forces")
    assert (forces["id"], forces["name"]) == (["essex", "kent"], ["Essex Police", "Kent Police"])
    lsoas = whole.read("outlines/lsoas/kent")
    assert lsoas["name"] == ["Town 001", "Town 002"]
    assert whole.read("outlines/lsoas/essex")["id"] == ["E01000003"]
    files = list((whole.target / described["data"]).rglob("*.gz"))
    assert len(files) == 2 * 24 + 3
    assert result.metadata["files"] == len(files)
    assert result.metadata["bytes"] == sum(path.stat().st_size for path in files)


def test_the_result_says_where_the_map_is_and_shows_it(whole: Deployment, result: Result) -> None:
    shown = {
        k: v.value if isinstance(v, dg.MetadataValue) else v for k, v in result.metadata.items()
    }
    assert shown["link"] == f"https://maps.example.org/crime/{MONTH}/"
    assert shown["folder"] == str(whole.target)
    assert shown["page"] == "built"
    assert shown["map"].startswith("![map](data:image/png;base64,")
    assert (shown["scopes"], shown["rankings"]) == (2, 24)
    assert shown["layers"] == "hotspots alone"
    assert "| england-and-wales |" in shown["largest"]
    with whole.connection.cursor() as connection:
        whole.lake.view(connection, "hotspot_frequency", [{"month": MONTH}])
        (cells,) = connection.execute("select count(*) from hotspot_frequency").fetchone() or (0,)
    assert result.audits["map_equals_table"] == {"rankings": 24, "cells": cells}
    assert result.audits["crimes_equal_hotspots"]["hotspots"] > 500


def test_the_same_lake_gives_the_same_bytes_and_version_whatever_the_threads(
    deployment: Deployment, result: Result
) -> None:
    maps = checksums(deployment.target.parent)
    shutil.rmtree(deployment.target.parent)
    with DuckDB(threads=4).get_connection() as connection:
        again = make_map(connection, deployment.lake, deployment.settings, MONTH)
    assert again.data_version == result.data_version
    assert checksums(deployment.target.parent) == maps


def test_without_a_built_page_there_is_the_data_and_the_result_says_so(
    deployment: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site, "PAGE", tmp_path / "nowhere")
    shutil.rmtree(deployment.target)
    result = deployment.make()
    assert result.metadata["page"] == site.NOT_BUILT
    assert "`make site`" in site.NOT_BUILT
    assert {path.name for path in deployment.target.iterdir()} == {
        "map.json",
        deployment.described()["data"],
    }


# --- What is refused ------------------------------------------------------------------------


def test_counts_that_changed_after_ranking_leave_the_old_map_as_it_was(
    deployment: Deployment,
) -> None:
    before = checksums(deployment.target.parent)
    deployment.change("hex_counts", "crimes + 1 as crimes")
    with pytest.raises(AuditFailed, match=r"hotspots have other crimes than hex_counts") as raised:
        deployment.make()
    assert raised.value.audit == "crimes_equal_hotspots"
    assert raised.value.metadata["wrong"] > 3  # type: ignore[operator]
    assert checksums(deployment.target.parent) == before


@pytest.mark.parametrize("change", ["hits + 1 as hits", "hex_id + 1 as hex_id"])
def test_a_frequency_that_does_not_fit_hotspots_is_refused(
    deployment: Deployment, change: str
) -> None:
    before = checksums(deployment.target.parent)
    deployment.change("hotspot_frequency", change)
    with pytest.raises(AuditFailed, match="materialise hotspot_frequency again") as raised:
        deployment.make()
    assert raised.value.audit == "map_equals_table"
    assert checksums(deployment.target.parent) == before


def test_a_frequency_that_is_older_than_hotspots_is_refused(deployment: Deployment) -> None:
    """A cell that was a hotspot of the last month is none any more."""
    with deployment.connection.cursor() as connection:
        deployment.lake.view(connection, "hotspots", [{"month": MONTH}])
        connection.execute(
            "create temp table fewer as select * exclude month from hotspots where not "
            "(scope = 'kent' and crime_type = 'Drugs' and window_months = 3 and rank = 2)"
        )
        deployment.lake.publish(connection, "fewer", "hotspots", {"month": MONTH})
    with pytest.raises(AuditFailed, match=r"rankings/kent/drugs-3 does not hold") as raised:
        deployment.make()
    assert raised.value.audit == "map_equals_table"


def test_a_hotspot_that_the_frequency_does_not_know_is_refused(deployment: Deployment) -> None:
    with deployment.connection.cursor() as connection:
        deployment.lake.view(connection, "hotspot_frequency", [{"month": MONTH}])
        connection.execute(
            "create temp table fewer as select * exclude month from hotspot_frequency qualify "
            "rank < max(rank) over (partition by scope, crime_type, window_months)"
        )
        deployment.lake.publish(connection, "fewer", "hotspot_frequency", {"month": MONTH})
    with pytest.raises(AuditFailed, match="24 cells were hotspots, but hotspot_frequency"):
        deployment.make()


def test_a_frequency_of_rankings_that_are_no_longer_complete_is_refused(
    deployment: Deployment,
) -> None:
    """Kent's months are gone from coverage, but not from the frequency."""
    for month in COVERED:
        deployment.change("coverage", "if(force = 'kent', null, rows) as rows", month)
    with pytest.raises(AuditFailed, match="coverage or scopes changed since"):
        deployment.make()


def test_without_a_cell_in_the_frequency_there_is_no_map(deployment: Deployment) -> None:
    deployment.publish(
        "hotspot_frequency", {"month": MONTH}, "select * from hotspot_frequency where false"
    )
    with pytest.raises(MissingPartition, match=r"hotspot_frequency 2025-12 has no cell.*half of"):
        deployment.make()


@pytest.mark.parametrize(
    ("table", "partition"),
    [
        ("lsoa_areas", {}),
        ("scopes", {}),
        ("hotspot_frequency", {"month": MONTH}),
        ("hotspots", {"month": COVERED[3]}),
        ("snap_counts", {"month": COVERED[0]}),
    ],
)
def test_a_table_that_is_missing_is_named_with_what_makes_it(
    deployment: Deployment, table: str, partition: dict[str, str]
) -> None:
    deployment.lake.path(table, partition).unlink()
    with pytest.raises(MissingPartition, match=rf"^{table} .*--select {table}"):
        deployment.make()


def test_what_fails_after_the_files_were_written_leaves_none_of_them(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError("the disk is full")

    before = checksums(deployment.target.parent)
    monkeypatch.setattr(site, "publish", fail)
    with pytest.raises(OSError, match="the disk is full"):
        deployment.make()
    assert checksums(deployment.target.parent) == before
    assert not list(deployment.target.glob(".*"))


# --- Through Dagster ------------------------------------------------------------------------


def checks_of(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    found = result.get_asset_check_evaluations()
    return {check.check_name: check.passed for check in found}


@pytest.mark.slow
def test_the_map_of_the_sample_passes_its_audits_and_says_what_it_is(
    demo: Demo, tmp_path: Path
) -> None:
    lake = Lake(tmp_path / "lake")
    shutil.copytree(demo.folder / "lake", lake.root, copy_function=os.link)
    environment = {
        "CRIME_DATA_DIR": str(tmp_path),
        "CRIME_FORCE_BOUNDARIES": demo.settings.force_boundaries,
    }
    result = materialise(Settings.from_environment(environment), lake)
    assert result.success
    assert checks_of(result) == {"map_equals_table": True, "crimes_equal_hotspots": True}
    (event,) = result.asset_materializations_for_node("hotspot_map")
    shown = {name: value.value for name, value in event.metadata.items()}
    assert event.partition == MONTH
    assert shown["link"] == f"http://127.0.0.1:8300/{MONTH}/"
    assert str(shown["map"]).startswith("![map](data:image/png;base64,")
    target = tmp_path / "maps" / MONTH
    described = json.loads((target / "map.json").read_text())
    files = list((target / described["data"]).rglob("*.gz"))
    assert (shown["files"], shown["bytes"]) == (
        len(files),
        sum(path.stat().st_size for path in files),
    )
    assert (target / "index.html").read_text() == "the page"
    assert "Made-up sample" in described["note"]
    scopes = ["study-area", "sample-dogger", "sample-silverpit", "sample-wellbank"]
    assert [scope["slug"] for scope in described["scopes"]] == scopes
    assert described["forces"]["sample-wellbank"]["coverage"][SPAN.index("2025-10")] == "n"
    # what the demo made of the same lake
    theirs = json.loads((demo.folder / "maps" / MONTH / "map.json").read_text())
    assert described["data"] == theirs["data"]


@pytest.mark.slow
def test_a_contradiction_is_a_check_that_fails_and_no_materialisation(
    deployment: Deployment,
) -> None:
    assert deployment.materialise().success
    before = checksums(deployment.target.parent)
    deployment.change("hex_counts", "crimes + 1 as crimes")
    result = deployment.materialise()
    assert not result.success
    assert checks_of(result) == {"crimes_equal_hotspots": False}
    assert result.asset_materializations_for_node("hotspot_map") == []
    assert checksums(deployment.target.parent) == before


# --- Real data ------------------------------------------------------------------------------


def test_the_map_of_a_city_says_of_every_cell_what_the_tables_say(real_lake: RealLake) -> None:
    """All rankings of the City of London; the crimes are counted from the files of the force."""
    target = real_lake.settings.data_dir / "maps" / MONTH
    described = json.loads((target / "map.json").read_text())
    with DuckDB(threads=2).get_connection() as connection:
        real_lake.lake.view(connection, "hotspot_frequency", [{"month": MONTH}])
        months = [{"month": month} for month in SPAN]
        for table in ("hotspots", "hex_counts"):
            real_lake.lake.view(connection, table, months)
        frequency = connection.execute(
            f"select * from hotspot_frequency where scope = '{CITY}' order by rank"
        ).df()
        hotspots = connection.execute(f"select * from hotspots where scope = '{CITY}'").df()
        counts = connection.execute(
            "select hex_id, crime_type, month, crimes from hex_counts semi join hotspots "
            f"on hotspots.scope = '{CITY}' and hotspots.hex_id = hex_counts.hex_id"
        ).df()
    rankings = list(frequency.groupby(["crime_type", "window_months"]))
    assert len(described["rankings"][CITY]) == len(rankings) > 40
    for (crime_type, window), rows in rankings:
        name = f"rankings/{CITY}/{crime_type.lower().replace(' ', '-')}-{window}.json.gz"
        read = site.unpack(target / described["data"] / name)
        assert read["hex_id"] == rows.hex_id.tolist()
        assert read["hits"] == rows.hits.tolist()
        assert {read["windows"]} == set(rows.windows)
        of = hotspots[(hotspots.crime_type == crime_type) & (hotspots.window_months == window)]
        hot = of.groupby("hex_id").month.agg(lambda m: sum(1 << SPAN.index(end) for end in m))
        assert read["hot"] == hot[read["hex_id"]].tolist()
        inside = counts[counts.month.isin(SPAN[-window:])]
        if crime_type != "All crime":
            inside = inside[inside.crime_type == crime_type]
        crimes = inside.groupby("hex_id").crimes.sum().reindex(read["hex_id"], fill_value=0)
        assert read["crimes"] == crimes.tolist()
        now = of[of.month == MONTH].set_index("hex_id")
        assert {c: p for c, p in zip(read["hex_id"], read["points"], strict=True) if p} == dict(
            now.snap_points
        )
