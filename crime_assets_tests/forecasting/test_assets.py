"""Forecasts and evaluations as Dagster makes them, on a small lake that is made here.

Two forces share a block of 200 cells, and 120 LSOAs, for 40 months up to 2025-12.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
import duckdb
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from crime_assets.definitions import build_definitions
from crime_assets.forecasting import assets
from crime_assets.forecasting.assets import _forecasts
from crime_assets.forecasting.counts import Counts
from crime_assets.forecasting.forecasters.rolling import RollingMean
from crime_assets.forecasting.metrics import Judgement, jaccard
from crime_assets.hexes import grid
from crime_assets.lake import DuckDB, Lake
from crime_assets.partitions import months_after, months_back
from crime_assets.register import ALL_CRIME
from crime_assets.settings import Settings
from crime_assets.tables import TABLES
from crime_assets_tests.forecasting.test_cells import block

MONTHS = months_back("2025-12", 40)
FORCES = ("essex", "kent")
TYPES = ("Burglary", "Drugs", "Shoplifting")
CELLS = block(10, 10)
FORCE_OF = np.where(np.arange(len(CELLS)) % 100 < 60, "essex", "kent").astype(object)
FORCE_OF[::25] = None  # the coast
CELLS_OF = {"study-area": CELLS} | {force: CELLS[force == FORCE_OF] for force in FORCES}
RATES = np.random.default_rng(4).gamma(0.3, 4.0, (len(TYPES), len(CELLS)))


# --- The lake -------------------------------------------------------------------------------


def publish(
    lake: Lake,
    connection: duckdb.DuckDBPyConnection,
    table: str,
    frame: pd.DataFrame,
    partition: Mapping[str, str] | None = None,
    provenance: Mapping[str, object] | None = None,
) -> None:
    connection.register("made", frame)
    lake.publish(connection, "made", table, partition, provenance)
    connection.unregister("made")


def publish_month(
    lake: Lake,
    connection: duckdb.DuckDBPyConnection,
    month: str,
    *,
    silent: Sequence[str] = (),
    poison: bool = False,
    under: str | None = None,
) -> None:
    """Coverage of a month, and counts that depend on the month alone (and on ``poison``)."""
    rows = [
        {
            "force": force,
            "status": "not_published" if force in silent else "published",
            "release": "2025-12",
            "newest_release": "2025-12",
            "sha256": "ce",
            "rows": 0 if force in silent else 900,
            "located": 0 if force in silent else 900,
            "rejected": 0,
        }
        for force in FORCES
    ]
    publish(lake, connection, "coverage", pd.DataFrame(rows), {"month": month})
    rng = np.random.default_rng(int(month.replace("-", "")) + (poison and 10**6))
    counts = []
    for at, crime_type in enumerate(TYPES):
        crimes = rng.integers(0, 10**4, len(CELLS)) if poison else rng.poisson(RATES[at])
        force = np.where(FORCE_OF == None, "kent", FORCE_OF)  # noqa: E711
        frame = pd.DataFrame(
            {"force": force, "crime_type": crime_type, "hex_id": CELLS, "crimes": crimes}
        )
        counts.append(frame[(frame["crimes"] > 0) & ~frame["force"].isin(silent)])
    counted_under = {"coverage": under or lake.sha256("coverage", {"month": month})}
    publish(lake, connection, "hex_counts", pd.concat(counts), {"month": month}, counted_under)


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with DuckDB(threads=1).get_connection() as opened:
        yield opened


@pytest.fixture(scope="module")
def made(connection: duckdb.DuckDBPyConnection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder that no test writes to."""
    folder = tmp_path_factory.mktemp("made")
    lake = Lake(folder / "lake")
    easting, northing = grid.centres(CELLS)
    cells = {"hex_id": CELLS, "easting": easting, "northing": northing, "force": FORCE_OF}
    publish(lake, connection, "hex_cells", pd.DataFrame({**cells, "lsoa21cd": "E01000001"}))
    scopes = [
        {
            "scope": scope,
            "kind": "force" if scope in FORCES else "nation",
            "forces": [scope] if scope in FORCES else [],
            "area_m2": len(ids) * grid.CELL_AREA_M2,
            "cells": len(ids),
            "k": 1,
        }
        for scope, ids in CELLS_OF.items()
    ]
    publish(lake, connection, "scopes", pd.DataFrame(scopes))
    of_scope = [pd.DataFrame({"scope": scope, "hex_id": ids}) for scope, ids in CELLS_OF.items()]
    publish(lake, connection, "scope_cells", pd.concat(of_scope))
    for month in MONTHS:
        publish_month(lake, connection, month)
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """The same, to write to."""
    return Path(shutil.copytree(made, tmp_path / "data"))


# --- Runs -----------------------------------------------------------------------------------


@dataclass
class Run:
    """What a run logged: materialisations and checks by partition, and what failed."""

    success: bool
    materialised: dict[str | None, dg.AssetMaterialization] = field(default_factory=dict)
    checks: list[dg.AssetCheckEvaluation] = field(default_factory=list)
    failure: str = ""

    def text(self, month: str, name: str) -> str:
        return str(self.materialised[month].metadata[name].value)


def run(
    folder: Path,
    asset: str | dg.AssetsDefinition,
    first: str,
    last: str | None = None,
    *,
    threads: int = 1,
    expectations: bool = False,
) -> Run:
    """Materialise one asset, such as ``forecasts/chance``, over a range of months."""
    settings = Settings.from_environment(
        {
            "CRIME_DATA_DIR": str(folder),
            "CRIME_FORCES": ",".join(FORCES),
            "CRIME_THREADS": str(threads),
        }
    )
    further = [] if isinstance(asset, str) else [asset]
    key = dg.AssetKey(asset.split("/")) if isinstance(asset, str) else asset.key
    selection = dg.AssetSelection.assets(key)
    if isinstance(asset, str) and not expectations:  # their judge takes seconds to import
        selection -= dg.AssetSelection.checks(dg.AssetCheckKey(key, "expectations"))
    job = dg.define_asset_job("one", selection=selection)
    definitions = dg.Definitions.merge(
        build_definitions(settings), dg.Definitions(assets=further, jobs=[job])
    )
    with dg.DagsterInstance.ephemeral() as instance:
        result = definitions.resolve_job_def("one").execute_in_process(
            instance=instance,
            tags={
                "dagster/asset_partition_range_start": first,
                "dagster/asset_partition_range_end": last or first,
            },
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            raise_on_error=False,
        )
        found = Run(result.success)
        for record in instance.fetch_materializations(key, limit=100).records:
            assert record.partition_key not in found.materialised  # each is recorded once
            assert record.asset_materialization is not None
            found.materialised[record.partition_key] = record.asset_materialization
    found.checks = [
        event.asset_check_evaluation_data for event in result.all_events
        if event.event_type_value == "ASSET_CHECK_EVALUATION"
    ]  # fmt: skip
    for event in result.all_events:
        if event.is_step_failure and event.step_failure_data.user_failure_data:
            found.failure += event.step_failure_data.user_failure_data.description or ""
    return found


def not_counted(month: str, *units: str) -> list[str]:
    """What the metadata say of kinds of units that are not counted."""
    return [f"| {u} | every scope | {u}_counts {month} is not in the lake |" for u in units]


def place(month: str, model: str, unit: str = "hex") -> dict[str, str]:
    return {"month": month, "model": model, "unit": unit}


def table(folder: Path, name: str, month: str, model: str, unit: str = "hex") -> pd.DataFrame:
    path = Lake(folder / "lake").require(name, place(month, model, unit))
    return duckdb.sql(f"from read_parquet('{path}', hive_partitioning = false)").df()


def file_of(folder: Path, name: str, month: str, model: str) -> bytes:
    return Lake(folder / "lake").require(name, place(month, model)).read_bytes()


def crimes_in(
    folder: Path, months: Sequence[str], crime_type: str, cells: np.ndarray
) -> np.ndarray:
    """Crimes (n,) in cells over months, by pandas from the files."""
    lake = Lake(folder / "lake")
    frames = [
        pd.read_parquet(lake.require("hex_counts", {"month": month}), partitioning=None)
        for month in months
    ]
    frame = pd.concat(frames)
    if crime_type != ALL_CRIME:
        frame = frame[frame["crime_type"] == crime_type]
    return frame.groupby("hex_id")["crimes"].sum().reindex(cells).fillna(0).to_numpy()


# --- Forecasts ------------------------------------------------------------------------------


def test_each_month_is_published_in_its_place_with_its_version_and_its_check(
    folder: Path,
) -> None:
    found = run(folder, "forecasts/rolling_mean_12", "2025-10", "2025-12")
    assert found.success
    months = ["2025-10", "2025-11", "2025-12"]
    assert sorted(found.materialised) == months
    assert [(c.check_name, c.partition, c.passed) for c in found.checks] == [
        ("rankings_are_whole", month, True) for month in months
    ]
    lake = Lake(folder / "lake")
    for month in months:
        path = lake.require("forecasts", place(month, "rolling_mean_12"))
        assert path.relative_to(folder).as_posix() == (
            f"lake/forecasts/month={month}/model=rolling_mean_12/unit=hex/data.parquet"
        )
        event = found.materialised[month]
        version = lake.sha256("forecasts", place(month, "rolling_mean_12"))
        assert (event.tags or {})["dagster/data_version"] == version
        rows = table(folder, "forecasts", month, "rolling_mean_12")
        assert event.metadata["dagster/partition_row_count"].value == len(rows)
        assert event.metadata["scopes"].value == 3
        assert event.metadata["bytes"].value == path.stat().st_size
        assert "| study-area | All crime | 1 | 1 |" in found.text(month, "preview")
        assert found.text(month, "left_out").splitlines()[2:] == not_counted(
            month, "lsoa", "segment"
        )
    assert not list((folder / "lake").rglob(".data*"))


def test_a_forecast_has_the_columns_of_the_contract_and_the_rows_of_the_model(
    folder: Path,
) -> None:
    assert run(folder, "forecasts/rolling_mean_12", "2025-12").success
    rows = table(folder, "forecasts", "2025-12", "rolling_mean_12")
    assert list(rows.columns) == [column.name for column in TABLES["forecasts"].columns]
    assert set(rows.columns) == {column.name for column in TABLES["forecasts"].columns}
    assert set(rows["scope"]) == set(CELLS_OF)
    assert rows["crime_type"].nunique() == 15
    assert set(rows["horizon_steps"]) == {1, 3, 12}
    assert len(rows) == 15 * 3 * sum(min(100, len(cells)) for cells in CELLS_OF.values())
    for scope, cells in CELLS_OF.items():
        for crime_type in ("Drugs", ALL_CRIME):
            mean = crimes_in(folder, months_back("2025-12", 12), crime_type, cells) / 12
            hot = np.argsort(-mean, kind="stable")[:100]
            here = rows[(rows["scope"] == scope) & (rows["crime_type"] == crime_type)]
            here = here[here["horizon_steps"] == 3]
            assert here["unit_id"].tolist() == cells[hot].astype(str).tolist()
            assert here["rank"].tolist() == list(range(1, len(hot) + 1))
            assert here["score"].to_numpy() == pytest.approx(mean[hot])
            assert here["expected_crimes"].to_numpy() == pytest.approx(3 * mean[hot])


def test_what_only_ranks_has_null_for_expected_crimes(folder: Path) -> None:
    assert run(folder, "forecasts/chance", "2025-12").success
    rows = table(folder, "forecasts", "2025-12", "chance")
    assert rows["expected_crimes"].isna().all()
    path = Lake(folder / "lake").require("forecasts", place("2025-12", "chance"))
    (nan,) = duckdb.sql(f"select count(expected_crimes) from '{path}'").fetchall()[0]
    assert nan == 0  # null, not nan


@pytest.mark.slow
def test_a_poisoned_future_in_the_lake_changes_evaluations_and_no_forecast(
    folder: Path, connection: duckdb.DuckDBPyConnection
) -> None:
    model, cut_off = "kernel_density", "2024-12"
    for name in ("forecasts", "evaluations"):
        assert run(folder, f"{name}/{model}", cut_off).success
    forecast, evaluation = (
        file_of(folder, n, cut_off, model) for n in ("forecasts", "evaluations")
    )
    lake = Lake(folder / "lake")
    for month in months_after(cut_off, 12):
        publish_month(lake, connection, month, poison=True)
    for name in ("forecasts", "evaluations"):
        assert run(folder, f"{name}/{model}", cut_off).success
    assert file_of(folder, "forecasts", cut_off, model) == forecast
    assert file_of(folder, "evaluations", cut_off, model) != evaluation
    for month in months_after(cut_off, 12):
        lake.require("hex_counts", {"month": month}).unlink()
        lake.require("coverage", {"month": month}).unlink()
    assert run(folder, f"forecasts/{model}", cut_off).success
    assert file_of(folder, "forecasts", cut_off, model) == forecast


@pytest.mark.parametrize("name", ["forecasts", "evaluations"])
def test_the_same_bytes_again_and_with_two_threads(folder: Path, name: str) -> None:
    files = []
    for threads in (1, 1, 2):
        assert run(folder, f"{name}/exponential_mean", "2025-11", threads=threads).success
        files.append(file_of(folder, name, "2025-11", "exponential_mean"))
    assert files[0] == files[1] == files[2]


def test_a_force_with_a_gap_is_left_out_by_name_and_its_cells_in_the_nation(
    folder: Path, connection: duckdb.DuckDBPyConnection
) -> None:
    publish_month(Lake(folder / "lake"), connection, "2024-06", silent=["kent"])
    found = run(folder, "forecasts/last_month", "2025-12")
    assert found.success
    left_out = found.text("2025-12", "left_out")
    assert (
        "| hex | kent | 18 months in a row up to 2025-12, of the 24 that are needed |" in left_out
    )
    assert (
        "| hex | study-area | the cells of kent, silent in a month from 2023-01 to 2025-12 "
        "(horizons 1, 3, 12) |"
    ) in left_out
    assert "essex" not in left_out
    assert found.materialised["2025-12"].metadata["scopes"].value == 2
    rows = table(folder, "forecasts", "2025-12", "last_month")
    assert set(rows["scope"]) == {"study-area", "essex"}
    nation = rows[rows["scope"] == "study-area"]["unit_id"].astype(int)
    assert set(FORCE_OF[np.searchsorted(CELLS, nation.unique())]) <= {"essex", None}


def test_a_scope_of_more_cells_than_the_model_is_for_is_left_out(folder: Path) -> None:
    few = _forecasts("few", RollingMean(months=1, most_units=120))
    found = run(folder, few, "2025-12")
    assert found.success
    assert found.text("2025-12", "left_out").splitlines()[2:] == [
        "| hex | study-area | is for areas of at most 120 units; this one has 200 |",
        *not_counted("2025-12", "lsoa", "segment"),
    ]
    assert set(table(folder, "forecasts", "2025-12", "few")["scope"]) == set(FORCES)
    none = run(folder, _forecasts("none", RollingMean(most_units=9)), "2025-12")
    assert not none.success
    assert "none of 3 scopes: is for areas of at most 9 units" in none.failure


@pytest.mark.parametrize(
    ("score", "what"),
    [
        (
            np.nan,
            r"Broken\(.*score=nan\).*Anti-social behaviour, 2025-12: 200 of 200 scores are not",
        ),
        (-1.0, r"Broken\(.*score=-1.0\).*200 of 200 scores expect fewer than no crimes"),
    ],
)
def test_a_model_that_breaks_is_named_and_publishes_nothing(
    folder: Path, score: float, what: str
) -> None:
    found = run(folder, _forecasts("broken", Broken(score=score)), "2025-12")
    assert not found.success
    assert re.search(what, found.failure)
    assert not found.materialised
    assert not Lake(folder / "lake").has("forecasts", place("2025-12", "broken"))


@dataclass(frozen=True)
class Broken(RollingMean):
    """It says the same of each cell, whatever it is asked."""

    score: float = 0.0

    def forecast(
        self, history: Counts, crime_type: str, horizons: Sequence[int]
    ) -> NDArray[np.floating]:
        return np.full(len(history.units), self.score)


def test_too_little_history_is_a_failure_that_says_what_is_needed(folder: Path) -> None:
    found = run(folder, "forecasts/last_month", "2024-07", "2024-08")
    assert not found.success
    assert (
        "2024-07: none of 3 scopes: 23 months in a row up to 2024-07, of the 24 that are needed"
        in (found.failure)
    )
    assert "1 of 2 partitions failed" in found.failure
    assert list(found.materialised) == ["2024-08"]
    assert not Lake(folder / "lake").has("forecasts", place("2024-07", "last_month"))


def test_a_month_that_is_not_in_the_lake_is_named(folder: Path) -> None:
    lake = Lake(folder / "lake")
    found = run(folder, "forecasts/last_month", "2026-01")
    assert not found.success
    assert (
        "no hex_counts or lsoa_counts or segment_counts of 2026-01 are in the lake" in found.failure
    )
    lake.require("coverage", {"month": "2025-12"}).rename(folder / "coverage")
    found = run(folder, "forecasts/last_month", "2025-12")
    assert not found.success
    assert "coverage 2025-12 is not in the lake" in found.failure
    (folder / "coverage").rename(lake.path("coverage", {"month": "2025-12"}))
    lake.require("hex_counts", {"month": "2025-03"}).unlink()
    found = run(folder, "forecasts/last_month", "2025-12")
    assert not found.success
    assert "hex_counts 2025-03 is not in the lake: materialise it first" in found.failure


def test_a_month_counted_under_another_coverage_is_refused(
    folder: Path, connection: duckdb.DuckDBPyConnection
) -> None:
    publish_month(Lake(folder / "lake"), connection, "2025-03", under="older")
    refused = "2025-03 was counted before coverage changed: materialise hex_counts of 2025-03 again"
    found = run(folder, "forecasts/last_month", "2025-12")
    assert not found.success
    assert refused in found.failure
    found = run(folder, "evaluations/last_month", "2025-01")  # there it is in the outcome
    assert not found.success
    assert refused in found.failure
    assert run(folder, "forecasts/last_month", "2025-01").success  # made without it


@pytest.mark.slow
@pytest.mark.parametrize("name", ["forecasts", "evaluations"])
def test_expectations_are_judged_month_by_month(folder: Path, name: str) -> None:
    found = run(folder, f"{name}/rolling_mean_12", "2025-10", "2025-11", expectations=True)
    assert found.success
    judged = {(check.check_name, check.partition): check for check in found.checks}
    audit = "rankings_are_whole" if name == "forecasts" else "figures_fit"
    assert set(judged) == {
        (check, month) for check in (audit, "expectations") for month in ("2025-10", "2025-11")
    }
    # of 13 of 15 types there is no crime here, so that not each expectation needs to be met
    assert all(c.passed for (check, _), c in judged.items() if check == audit)


# --- LSOAs ----------------------------------------------------------------------------------

ROWS_OF_AREAS, AREAS_IN_A_ROW = 12, 10
CODES = np.array([f"E01{i:06}" for i in range(ROWS_OF_AREAS * AREAS_IN_A_ROW)])
FORCE_OF_AREA = np.where(np.arange(len(CODES)) < 60, "essex", "kent").astype(object)
FORCE_OF_AREA[60:70] = None  # in the area of no force
WIDTHS = 1000 + 100 * np.arange(AREAS_IN_A_ROW)
AREA_KM2 = np.tile(WIDTHS, ROWS_OF_AREAS) / 1000


def publish_areas(lake: Lake, connection: duckdb.DuckDBPyConnection) -> None:
    """Rectangles 1 km high, the wider the further east, in rows."""
    west = np.tile(500_000 + np.cumsum(WIDTHS) - WIDTHS, ROWS_OF_AREAS)
    south = np.repeat(150_000 + 1000 * np.arange(ROWS_OF_AREAS), AREAS_IN_A_ROW)
    frame = pd.DataFrame(
        {
            "lsoa21cd": CODES,
            "force": FORCE_OF_AREA,
            "area_km2": AREA_KM2,
            "west": west,
            "south": south,
            "east": west + np.tile(WIDTHS, ROWS_OF_AREAS),
        }
    )
    connection.register("made", frame)
    connection.execute(
        "create or replace temp table made_areas as select lsoa21cd, lsoa21cd as lsoa21nm, force, "
        "area_km2, st_makeenvelope(west, south, east, south + 1000) as geometry from made"
    )
    lake.publish(connection, "made_areas", "lsoa_areas")


def publish_area_month(
    lake: Lake,
    connection: duckdb.DuckDBPyConnection,
    month: str,
    forces: Sequence[str] = FORCES,
    crimes_of: int = 5,
) -> None:
    """Crimes by area and type, of which the month and the area are the seed."""
    rng = np.random.default_rng([int(month.replace("-", "")), crimes_of])
    rates = np.random.default_rng(crimes_of).gamma(0.5, 6.0, (len(TYPES), len(CODES)))
    frames = [
        pd.DataFrame({"lsoa21cd": CODES, "crime_type": name, "crimes": rng.poisson(rates[at])})
        for at, name in enumerate(TYPES)
    ]
    counted = pd.concat(frames).assign(same_code=0)
    counted = counted[counted["crimes"] > 0]
    publish(lake, connection, "lsoa_counts", counted, {"month": month}, {"forces": [*forces]})


@pytest.fixture(scope="module")
def made_of_areas(
    connection: duckdb.DuckDBPyConnection, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A data folder of LSOAs alone."""
    folder = tmp_path_factory.mktemp("areas")
    lake = Lake(folder / "lake")
    publish_areas(lake, connection)
    for month in MONTHS:
        publish_area_month(lake, connection, month)
    return folder


@pytest.fixture
def areas(made_of_areas: Path, tmp_path: Path) -> Path:
    """The same, to write to."""
    return Path(shutil.copytree(made_of_areas, tmp_path / "areas"))


def crimes_in_areas(folder: Path, months: Sequence[str], crime_type: str) -> NDArray[np.float64]:
    lake = Lake(folder / "lake")
    frame = pd.concat(
        [
            pd.read_parquet(lake.require("lsoa_counts", {"month": month}), partitioning=None)
            for month in months
        ]
    )
    if crime_type != ALL_CRIME:
        frame = frame[frame["crime_type"] == crime_type]
    return frame.groupby("lsoa21cd")["crimes"].sum().reindex(CODES).fillna(0).to_numpy()


def test_a_lake_of_lsoas_alone_is_forecast_by_crimes_per_area(areas: Path) -> None:
    found = run(areas, "forecasts/rolling_mean_12", "2025-12")
    assert found.success, found.failure
    assert found.text("2025-12", "left_out").splitlines()[2:] == not_counted(
        "2025-12", "hex", "segment"
    )
    rows = table(areas, "forecasts", "2025-12", "rolling_mean_12", "lsoa")
    known = FORCE_OF_AREA != None  # noqa: E711
    in_scope = {"study-area": known, "essex": FORCE_OF_AREA == "essex"}
    in_scope["kent"] = FORCE_OF_AREA == "kent"
    assert set(rows["scope"]) == set(in_scope)
    for scope, inside in in_scope.items():
        mean = crimes_in_areas(areas, months_back("2025-12", 12), "Drugs")[inside] / 12
        size = AREA_KM2[inside] / AREA_KM2[inside].mean()
        hot = np.argsort(-mean / size, kind="stable")[:100]
        here = rows[(rows["scope"] == scope) & (rows["crime_type"] == "Drugs")]
        here = here[here["horizon_steps"] == 3]
        assert here["unit_id"].tolist() == CODES[inside][hot].tolist()
        assert here["score"].to_numpy() == pytest.approx((mean / size)[hot])
        assert here["expected_crimes"].to_numpy() == pytest.approx(3 * mean[hot])


def test_lsoas_and_cells_of_one_lake_have_a_file_each(
    folder: Path, connection: duckdb.DuckDBPyConnection
) -> None:
    lake = Lake(folder / "lake")
    publish_areas(lake, connection)
    for month in MONTHS:
        publish_area_month(lake, connection, month)
    assert run(folder, "forecasts/last_month", "2025-10").success
    found = run(folder, "evaluations/last_month", "2025-11")
    assert found.success
    assert found.text("2025-11", "left_out").splitlines()[2:] == not_counted("2025-11", "segment")
    by_unit = [table(folder, "evaluations", "2025-11", "last_month", u) for u in ("hex", "lsoa")]
    for rows in by_unit:
        assert set(rows["scope"]) == set(CELLS_OF)
        assert set(rows["metric"]) == set(by_unit[0]["metric"])
        assert "jaccard" in set(rows["metric"])  # against the forecast of the month before
    counted = found.materialised["2025-11"].metadata["dagster/partition_row_count"].value
    assert counted == sum(map(len, by_unit))


def test_lsoas_counted_for_too_few_months_are_left_out_and_cells_are_not(
    folder: Path, connection: duckdb.DuckDBPyConnection
) -> None:
    for month in MONTHS[-3:]:
        publish_area_month(Lake(folder / "lake"), connection, month)
    found = run(folder, "forecasts/last_month", "2025-12")
    assert found.success
    assert found.text("2025-12", "left_out").splitlines()[2:] == [
        "| lsoa | every scope | 3 months in a row up to 2025-12, of the 24 that are needed |",
        *not_counted("2025-12", "segment"),
    ]
    assert set(table(folder, "forecasts", "2025-12", "last_month")["scope"]) == set(CELLS_OF)


def test_a_force_that_lsoas_were_not_counted_of_is_left_out(
    areas: Path, connection: duckdb.DuckDBPyConnection
) -> None:
    publish_area_month(Lake(areas / "lake"), connection, "2025-03", ["essex"])
    found = run(areas, "forecasts/last_month", "2025-12")
    assert found.success
    assert found.text("2025-12", "left_out").splitlines()[2:] == [
        "| lsoa | study-area | the LSOAs of kent, silent in a month from 2023-01 to 2025-12 "
        "(horizons 1, 3, 12) |",
        "| lsoa | kent | 9 months in a row up to 2025-12, of the 24 that are needed |",
        *not_counted("2025-12", "hex", "segment"),
    ]
    rows = table(areas, "forecasts", "2025-12", "last_month", "lsoa")
    codes = rows[rows["scope"] == "study-area"]["unit_id"].unique()
    assert set(codes) == set(CODES[FORCE_OF_AREA == "essex"])


def test_a_scope_of_fewer_lsoas_than_are_described_is_left_out(
    areas: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assets, "LEAST_AREAS", 55)
    found = run(areas, "forecasts/last_month", "2025-12")
    assert found.success
    assert "| lsoa | kent | 50 areas, of the 55 that are needed |" in (
        found.text("2025-12", "left_out")
    )


# --- Evaluations ----------------------------------------------------------------------------


def figures(folder: Path, month: str, model: str, **where: object) -> pd.DataFrame:
    rows = table(folder, "evaluations", month, model)
    for column, value in where.items():
        rows = rows[rows[column] == value]
    return rows


def test_an_evaluation_holds_the_figures_of_the_metrics(folder: Path) -> None:
    found = run(folder, "evaluations/rolling_mean_12", "2024-12")
    assert found.success
    assert [(c.check_name, c.partition, c.passed) for c in found.checks] == [
        ("figures_fit", "2024-12", True)
    ]
    rows = table(folder, "evaluations", "2024-12", "rolling_mean_12")
    assert list(rows.columns) == [column.name for column in TABLES["evaluations"].columns]
    assert set(rows["scope"]) == set(CELLS_OF)
    assert found.materialised["2024-12"].metadata["scopes"].value == 3
    for scope, cells in CELLS_OF.items():
        for horizon in (1, 3, 12):
            scores = crimes_in(folder, months_back("2024-12", 12), "Drugs", cells) / 12
            crimes = crimes_in(folder, months_after("2024-12", horizon), "Drugs", cells)
            judgement = Judgement.of(scores, crimes)
            some = rows[(rows["scope"] == scope) & (rows["horizon_steps"] == horizon)]
            some = some[some["crime_type"] == "Drugs"]
            assert (some["units"] == len(cells)).all()
            assert (some["crimes"] == crimes.sum()).all()
            for metric, expected in (
                ("hit_rate", judgement.hit_rate(0.05)),
                ("pai", judgement.pai(0.05)),
                ("pei_star", judgement.pei_star(0.05)),
            ):
                at = (some["metric"] == metric) & (some["coverage"] == 0.05)
                assert some[at]["value"].to_numpy() == pytest.approx([expected])
            assert some[some["metric"] == "auroc"]["value"].to_numpy() == pytest.approx(
                [judgement.auroc()]
            )
    # a type without a crime has its counts, and no rate of them
    empty = rows[rows["crime_type"] == "Robbery"]
    assert set(empty["metric"]) == {"crimes", "expected_crimes"}


def test_ties_and_intervals_stand_beside_the_values(folder: Path) -> None:
    assert run(folder, "evaluations/last_month", "2025-11").success
    rows = figures(folder, "2025-11", "last_month", metric="hit_rate")
    assert (rows["tie_worst"] <= rows["value"] + 1e-9).all()
    assert (rows["value"] <= rows["tie_best"] + 1e-9).all()
    assert (rows["tie_worst"] < rows["tie_best"]).mean() > 0.3  # one month has many equal cells
    assert (rows["low"] <= rows["high"]).all()
    assert rows["low"].notna().all()
    without = figures(folder, "2025-11", "last_month", metric="gini")
    assert without[["coverage", "low", "high", "tie_best", "tie_worst"]].isna().all(axis=None)


def test_the_newest_month_cannot_be_judged_yet_and_the_others_of_the_range_stand(
    folder: Path,
) -> None:
    found = run(folder, "evaluations/last_month", "2025-10", "2025-12")
    assert not found.success
    assert sorted(found.materialised) == ["2025-10", "2025-11"]
    assert "1 of 3 partitions failed" in found.failure
    assert "2025-12: none of 3 scopes: 2026-01 is not there to be judged by" in found.failure
    assert not Lake(folder / "lake").has("evaluations", place("2025-12", "last_month"))


def test_an_evaluation_gains_horizons_when_further_months_come(
    folder: Path, connection: duckdb.DuckDBPyConnection
) -> None:
    assert run(folder, "evaluations/last_month", "2025-10").success
    before = table(folder, "evaluations", "2025-10", "last_month")
    assert set(before["horizon_steps"]) == {1}
    publish_month(Lake(folder / "lake"), connection, "2026-01")
    found = run(folder, "evaluations/last_month", "2025-10", "2025-12")
    assert found.success
    after = table(folder, "evaluations", "2025-10", "last_month")
    assert set(after["horizon_steps"]) == {1, 3}
    known = after[after["horizon_steps"] == 1].reset_index(drop=True)
    pd.testing.assert_frame_equal(known, before)  # what was judged is judged the same


def test_a_silent_force_in_the_outcome_shortens_its_own_and_leaves_the_nation(
    folder: Path, connection: duckdb.DuckDBPyConnection
) -> None:
    publish_month(Lake(folder / "lake"), connection, "2025-11", silent=["kent"])
    found = run(folder, "evaluations/last_month", "2025-09")
    assert found.success
    rows = table(folder, "evaluations", "2025-09", "last_month")
    units = rows.groupby(["scope", "horizon_steps"])["units"].unique().map(list).to_dict()
    without_kent = int((FORCE_OF != "kent").sum())
    essex, kent = (len(CELLS_OF[force]) for force in FORCES)
    assert units == {
        ("essex", 1): [essex],
        ("essex", 3): [essex],
        ("kent", 1): [kent],
        ("study-area", 1): [len(CELLS)],
        ("study-area", 3): [without_kent],
    }
    assert found.materialised["2025-09"].metadata["scopes"].value == 3
    assert found.text("2025-09", "left_out").splitlines()[2:] == [
        "| hex | study-area | the cells of kent, silent in a month from 2022-10 to 2025-12 "
        "(horizons 3) |",
        *not_counted("2025-09", "lsoa", "segment"),
    ]


def test_stability_is_judged_once_the_month_before_was_forecast(folder: Path) -> None:
    stability = {"jaccard", "spearman", "rank_biased_overlap"}
    assert run(folder, "evaluations/rolling_mean_3", "2025-09").success
    before = table(folder, "evaluations", "2025-09", "rolling_mean_3")
    assert not stability & set(before["metric"])
    assert run(folder, "forecasts/rolling_mean_3", "2025-08", "2025-09").success
    assert run(folder, "evaluations/rolling_mean_3", "2025-09").success
    after = table(folder, "evaluations", "2025-09", "rolling_mean_3")
    assert stability < set(after["metric"])
    lists = [
        table(folder, "forecasts", month, "rolling_mean_3") for month in ("2025-08", "2025-09")
    ]
    for scope in CELLS_OF:
        ids = [
            rows[
                (rows["scope"] == scope)
                & (rows["crime_type"] == ALL_CRIME)
                & (rows["horizon_steps"] == 3)
                & (rows["rank"] <= 10)  # 1 % of so few cells, at least ten
            ]["unit_id"]
            for rows in lists
        ]
        found = after[(after["scope"] == scope) & (after["crime_type"] == ALL_CRIME)]
        found = found[(found["horizon_steps"] == 3) & (found["metric"] == "jaccard")]
        assert found["value"].tolist() == pytest.approx([jaccard(*ids)])
    rest = after[~after["metric"].isin(stability)].reset_index(drop=True)
    pd.testing.assert_frame_equal(rest, before)


def test_the_ceiling_is_judged_and_forecasts_nothing(folder: Path) -> None:
    keys = build_definitions(Settings.from_environment({})).resolve_asset_graph()
    names = {key.to_user_string() for key in keys.get_all_asset_keys()}
    assert "evaluations/perfect_foresight" in names
    assert "forecasts/perfect_foresight" not in names
    assert run(folder, "evaluations/perfect_foresight", "2025-11").success
    rows = figures(folder, "2025-11", "perfect_foresight", metric="pei_star")
    assert rows["value"].to_numpy() == pytest.approx(np.ones(len(rows)))
    assert run(folder, "evaluations/chance", "2025-11").success
    by_lot = figures(folder, "2025-11", "chance", metric="pai", coverage=0.2)
    assert 0.5 < by_lot["value"].mean() < 1.5


# --- Leaderboard ----------------------------------------------------------------------------


def test_a_leaderboard_without_an_evaluation_says_what_to_make(folder: Path) -> None:
    found = run(folder, "leaderboard", "2025-12")
    assert not found.success
    assert "no evaluations of a cut-off before 2025-12 are in the lake" in found.failure
    assert run(folder, "evaluations/last_month", "2025-11").success
    found = run(folder, "leaderboard", "2025-11")  # its outcome was not known in 2025-11
    assert "no evaluations of a cut-off before 2025-11 are in the lake" in found.failure


@pytest.mark.slow
def test_a_leaderboard_ranks_the_models_that_were_judged(folder: Path) -> None:
    models = ("last_month", "rolling_mean_12", "chance", "perfect_foresight")
    for model in models:
        assert run(folder, f"evaluations/{model}", "2025-04", "2025-11").success
    found = run(folder, "leaderboard", "2025-12")
    assert found.success
    assert [(c.check_name, c.partition, c.passed) for c in found.checks] == [
        ("ranks_fit", "2025-12", True)
    ]
    lake = Lake(folder / "lake")
    path = lake.require("leaderboard", {"month": "2025-12"})
    rows = pd.read_parquet(path, partitioning=None)
    assert list(rows.columns) == [column.name for column in TABLES["leaderboard"].columns]
    event = found.materialised["2025-12"]
    assert (event.tags or {})["dagster/data_version"] == lake.sha256(
        "leaderboard", {"month": "2025-12"}
    )
    assert Path(found.text("2025-12", "page")).is_file()
    assert "data:image/png" in found.text("2025-12", "picture")
    verdicts = found.text("2025-12", "verdicts")
    assert "- study-area, All crime, 1 month: Rolling mean 12 captured" in verdicts
    assert set(rows["scope"]) == set(CELLS_OF)

    some = rows[(rows["scope"] == "study-area") & (rows["crime_type"] == ALL_CRIME)]
    some = some[(some["metric"] == "hit_rate") & (some["coverage"] == 0.05)].set_index("model")
    # outcomes known by 2025-12: of the next month for all 8 cut-offs, of three months for 6
    assert dict(some["cut_offs"][some["horizon_steps"] == 1]) == dict.fromkeys(models, 8)
    assert dict(some["cut_offs"][some["horizon_steps"] == 3]) == dict.fromkeys(models, 6)
    assert set(some["horizon_steps"]) == {1, 3}
    one = some[some["horizon_steps"] == 1]
    for model in models:
        judged = [
            figures(
                folder, month, model, scope="study-area", crime_type=ALL_CRIME, metric="hit_rate",
                horizon_steps=1, coverage=0.05,
            )["value"].item()
            for month in months_back("2025-11", 8)
        ]  # fmt: skip
        assert one["value"][model] == pytest.approx(np.mean(judged))
    # rates are constant here, so that twelve months say more than one
    assert one["rank"]["rolling_mean_12"] == 1
    assert one["rank"]["last_month"] == 2
    assert one["rank"][["chance", "perfect_foresight"]].isna().all()

    before = path.read_bytes()
    assert run(folder, "leaderboard", "2025-12").success
    assert path.read_bytes() == before
