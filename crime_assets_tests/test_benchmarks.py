"""The benchmarks run, on a hundredth of the nation: figures that nobody looks at would rot."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

pytest.importorskip("geopandas")

from benchmarks import cities, forecasting, gldnet, hexes, ingest, loading, lsoa, maps, streets
from benchmarks.__main__ import main, table_of
from benchmarks.measuring import Figure, Run
from benchmarks.nation import Nation, make_nation, the_nation

SHARE = 0.01


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("benchmark")


@pytest.fixture(scope="module")
def nation(folder: Path) -> Nation:
    nation = the_nation(folder, SHARE)
    make_nation(nation, say=lambda _: None)
    return nation


def a_run(folder: Path, *, through_dagster: bool) -> Run:
    return Run(
        folder,
        SHARE,
        rounds=1,
        own_process=False,
        through_dagster=through_dagster,
        say=lambda _: None,
    )


def test_a_hundredth_of_the_nation_has_a_hundredth_of_its_crimes_a_month(nation: Nation):
    nation.lake.view(connection := duckdb.connect(), "street_crimes", nation.files)
    crimes, unlocated, outside, ids, distinct_ids = connection.execute(
        "select count(*), count(*) - count(longitude), count(longitude) - count(hex_id), "
        "count(crime_id), count(distinct crime_id) from street_crimes"
    ).fetchone()
    assert len(nation.files) == len(nation.months) * len(nation.forces)
    assert crimes / len(nation.months) == pytest.approx(5_000, rel=0.02)
    assert unlocated / crimes == pytest.approx(0.019, abs=0.002)
    assert 0 < outside / crimes < 0.001
    assert ids == distinct_ids
    nation.lake.view(connection, "hex_cells")
    cells, with_force = connection.execute(
        "select count(*), count(force) from hex_cells"
    ).fetchone()
    assert cells == pytest.approx(14_687, rel=0.05)
    assert with_force / cells > 0.95


def test_what_is_there_is_not_made_again(nation: Nation):
    path = nation.lake.path("street_crimes", nation.files[-1])
    before = path.read_bytes()
    path.unlink()
    kept = nation.lake.path("street_crimes", nation.files[0]).stat().st_mtime_ns
    make_nation(nation, say=lambda _: None)
    assert path.read_bytes() == before
    assert nation.lake.path("street_crimes", nation.files[0]).stat().st_mtime_ns == kept


@pytest.mark.slow
def test_ingest_and_hexes_are_measured(nation: Nation, folder: Path):
    run = a_run(folder, through_dagster=False)
    found = ingest.figures(run) + hexes.figures(run)
    assert all(figure.ours > 0 for figure in found)
    assert sum(figure.ok is not None for figure in found) >= 8  # what has a limit
    assert table_of(found).row_count == len(found)


def test_areas_are_measured(nation: Nation, folder: Path):
    found = lsoa.figures(a_run(folder, through_dagster=False))
    assert all(figure.ours > 0 for figure in found)
    assert sum(figure.ok is not None for figure in found) == 2  # what has a limit
    assert table_of(found).row_count == len(found)
    assert not nation.lake.has("lsoa_areas")  # other figures do not meet them


def test_streets_are_measured(folder: Path):
    found = streets.figures(a_run(folder, through_dagster=False))
    assert all(figure.ours > 0 for figure in found)
    assert sum(figure.ok is not None for figure in found) == 2  # what has a limit


def test_cities_are_measured(folder: Path):
    found = cities.figures(a_run(folder, through_dagster=False))
    assert all(figure.ours > 0 for figure in found)
    assert sum(figure.ok is not None for figure in found) == 1  # what has a limit
    assert "22,000 incidents" in found[0].name


@pytest.mark.slow
def test_gldnet_is_measured_against_full_matrices(folder: Path):
    found = gldnet.figures(a_run(folder, through_dagster=False))
    assert all(figure.ours > 0 for figure in found)
    assert sum(figure.ok is not None for figure in found) == 3  # what has a limit


def test_forecasts_are_measured(nation: Nation, folder: Path):
    found = forecasting.figures(a_run(folder, through_dagster=False))
    assert all(figure.ours > 0 for figure in found)
    assert sum(figure.ok is not None for figure in found) == 5  # what has a limit
    assert table_of(found).row_count == len(found)


@pytest.mark.slow
def test_maps_are_measured(folder: Path):
    run = replace(a_run(folder, through_dagster=False), share=0.05)  # with months enough for a map
    found = maps.figures(run)
    assert all(figure.ours > 0 for figure in found)
    sees = not maps.what_is_missing()
    assert sum(figure.ok is not None for figure in found) == (5 if sees else 1)  # what has a limit
    assert table_of(found).row_count == len(found)


@pytest.mark.slow
def test_assets_are_measured_through_dagster(nation: Nation, folder: Path):
    if not nation.lake.has("hotspots", {"month": nation.months[0]}):
        hexes.figures(a_run(folder, through_dagster=False))
    steps = hexes.materialise_a_month(str(folder), SHARE)["steps"]
    assert steps["run"] > steps["hotspots"] > 0
    assert ingest.ingest_through_dagster(str(folder), SHARE)["rows"] > 0


def test_the_definitions_bring_in_nothing_heavy(folder: Path):
    _, modules = loading.load("crime_assets.definitions")
    assert "dagster" in modules
    assert not modules & set(loading.HEAVY)


def test_a_limit_is_judged_and_said():
    slow = Figure("counting", 6.0, reference=1.0, most_ratio=5)
    assert slow.ok is False
    assert slow.limit == "at most 5 x"
    assert Figure("join", 1.0, reference=20.0, most_ratio=1 / 15).ok is True
    assert Figure("join", 1.0, reference=20.0, most_ratio=1 / 15).limit == "at least 15 x less"
    assert Figure("ingest", 250_000.0, "rows/s", least=300_000).ok is False
    assert Figure("hotspots", 7.0, most=6).ok is False
    assert Figure("summary", 7.0).ok is None


def test_an_unknown_figure_is_refused():
    with pytest.raises(SystemExit):
        main(["astrology"])
