"""The study through its assets, on files and boundaries that are made up."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from crime_assets.lake import DuckDB, Lake
from crime_assets.london.assets import london_study, mps_lsoa_years
from crime_assets.london.mps import CITY_OF_LONDON
from crime_assets.lsoa.assets import lsoa_areas
from crime_assets.settings import Settings
from crime_assets_tests.conftest import NO_COMPUTE_LOGS
from crime_assets_tests.london.made import TYPES, write_pair

gpd = pytest.importorskip("geopandas")
box = pytest.importorskip("shapely").box

AREAS = [f"E01{k:06}" for k in range(100_000, 100_200)]


@pytest.fixture
def london(tmp_path: Path) -> dict[str, str]:
    """A London of 200 squares, four of the City, and one in Kent; the settings of a deployment."""
    codes = [*CITY_OF_LONDON, *AREAS, "E01200000"]
    squares = [box(500_000 + 500 * (i % 20), 170_000 + 500 * (i // 20), 500_500 + 500 * (i % 20),
                   170_500 + 500 * (i // 20)) for i in range(len(codes))]  # fmt: skip
    gpd.GeoDataFrame(
        {"LSOA21CD": codes, "LSOA21NM": codes}, geometry=squares, crs="EPSG:27700"
    ).to_parquet(tmp_path / "lsoas.parquet")
    met, city, kent = (gpd.GeoSeries(part).union_all() for part in
                       (squares[4:-1], squares[:4], squares[-1:]))  # fmt: skip
    gpd.GeoDataFrame(
        {
            "PFA23CD": ["E23000001", "E23000034", "E23000032"],
            "PFA23NM": ["Metropolitan Police", "London, City of", "Kent"],
        },
        geometry=[met, city, kent],
        crs="EPSG:27700",
    ).to_parquet(tmp_path / "forces.parquet")
    historical, recent = write_pair(tmp_path, AREAS[:-1])
    return {
        "CRIME_DATA_DIR": str(tmp_path / "data"),
        "CRIME_LSOA_BOUNDARIES": str(tmp_path / "lsoas.parquet"),
        "CRIME_FORCE_BOUNDARIES": str(tmp_path / "forces.parquet"),
        "CRIME_MPS_HISTORICAL": str(historical),
        "CRIME_MPS_RECENT": str(recent),
    }


def materialise(
    environment: dict[str, str], *assets: dg.AssetsDefinition
) -> dg.ExecuteInProcessResult:
    settings = Settings.from_environment(environment)
    with dg.DagsterInstance.local_temp(overrides={"compute_logs": NO_COMPUTE_LOGS}) as instance:
        return dg.materialize(
            list(assets),
            instance=instance,
            raise_on_error=False,
            resources={
                "settings": settings,
                "lake": Lake(settings.data_dir / "lake"),
                "engine": DuckDB(threads=1),
            },
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )


@pytest.mark.slow
def test_the_study_runs_from_two_files_to_a_page_with_pictures(london: dict[str, str]) -> None:
    result = materialise(london, lsoa_areas, mps_lsoa_years, london_study)
    assert result.success
    passed = {e.check_name: e.passed for e in result.get_asset_check_evaluations()}
    assert passed["grid_is_whole"]
    assert passed["nothing_lost"]

    folder = Path(london["CRIME_DATA_DIR"])
    table = pd.read_parquet(folder / "lake" / "mps_lsoa_years" / "data.parquet")
    assert sorted(table["lsoa21cd"].unique()) == AREAS  # not the City, not Kent
    assert len(table) == len(AREAS) * 14 * len(TYPES)
    assert table.loc[table["lsoa21cd"] == AREAS[-1], "crimes"].sum() == 0

    page = (folder / "london_study" / "report.md").read_text(encoding="utf-8")
    assert "200 areas and 17 features (the study had 4,990 and 39" in page
    assert f"| areas without a line | 1 | {AREAS[-1]} |" in page
    predictions = pd.read_csv(folder / "london_study" / "predictions.csv")
    assert len(predictions) == 3 * len(AREAS)
    names = {"importances", "confusion", "clusters"} | {
        f"{label}-{said_by}"
        for label in ("tiers", "nine-classes")
        for said_by in ("observed", "split-in-time", "in-sample")
    }
    for name in names:
        assert f"![{name}]({name}.png)" in page
        assert (folder / "london_study" / f"{name}.png").stat().st_size > 3_000

    (event,) = result.asset_materializations_for_node("london_study")
    assert event.metadata["features"].value == 17
    assert "| published | random split |" in str(event.metadata["comparison"].value)


def test_without_the_files_the_asset_says_what_to_download_from_where(
    london: dict[str, str],
) -> None:
    result = materialise(london | {"CRIME_MPS_RECENT": ""}, lsoa_areas, mps_lsoa_years)
    assert not result.success
    says = str(result.failure_data_for_node("mps_lsoa_years").user_failure_data.description)  # type: ignore[union-attr]
    assert "CRIME_MPS_RECENT is not set: download" in says
    assert "most recent 24 months" in says
    assert "London Datastore" in says
