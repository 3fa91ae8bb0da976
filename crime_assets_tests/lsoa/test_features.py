"""Features by hand, and what is said where a feature cannot be made."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from crime_assets import DataError
from crime_assets.lake import DuckDB
from crime_assets.lsoa.features import TYPES, features_of, view_attributes, why_null
from crime_assets.lsoa.history import History, read_history
from crime_assets.register import type_column
from crime_assets.tables import LSOA_FEATURES
from crime_assets_tests.lsoa.made import CODES, HISTORY, KENT, SIDE, Town

N = SIDE * SIDE


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    """Three years of the town, whole."""
    with DuckDB(threads=1).get_connection() as connection:
        town = Town.make(tmp_path_factory.mktemp("town"), connection, HISTORY)
        yield read_history(connection, town.lake, HISTORY)


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with DuckDB(threads=1).get_connection() as connection:
        yield connection


def silent(history: History, areas: NDArray[np.bool_], year: int) -> History:
    """The same, with a year that is unknown in some areas."""
    density, total = history.density.copy(), history.total.copy()
    density[areas, year], total[areas, year] = np.nan, np.nan
    return replace(history, density=density, total=total)


def counted(history: History, monthly: NDArray[np.float64]) -> History:
    """The same, with other crimes (n, months) of all types."""
    total = monthly.reshape(N, 3, 12).sum(axis=2)[:, ::-1]
    return replace(history, monthly=monthly, total=total)


def of_scope(history: History, scope: str = "study-area") -> pd.DataFrame:
    found = features_of(history, history.scopes())
    return found[found["scope"] == scope].set_index("lsoa21cd")


def test_there_is_a_column_for_each_of_the_table_but_those_that_sql_adds(history: History) -> None:
    added = {"hot_cells", "population", "imd_rank"}
    found = features_of(history, history.scopes())
    assert set(found.columns) == {c.name for c in LSOA_FEATURES.columns} - added
    assert found.groupby("scope").size().to_dict() == {"kent": 56, "study-area": 64}


def test_densities_are_those_of_the_years_their_mean_and_their_change(history: History) -> None:
    found = of_scope(history)
    for year, name in enumerate(("last_year", "year_before", "two_years_before")):
        np.testing.assert_array_equal(found[f"density_{name}"], history.total[:, year])
    np.testing.assert_allclose(found["density_mean"], history.total.mean(axis=1))
    change = history.total[:, 0] - history.total[:, 2]
    np.testing.assert_array_equal(found["density_change"], change)
    for at, name in enumerate(TYPES):
        column = found[f"density_{type_column(name)}"]
        np.testing.assert_array_equal(column, history.density[:, 0, at])


@pytest.mark.parametrize("gap", [1, 2])
def test_an_area_has_the_years_that_its_force_published(history: History, gap: int) -> None:
    kept = 3 - gap
    found = of_scope(silent(history, ~KENT, gap))
    assert found["years"].tolist() == np.where(KENT, 3, 2).tolist()
    essex = found[~KENT]
    mean = history.total[~KENT][:, [0, kept]].mean(axis=1)
    np.testing.assert_allclose(essex["density_mean"], mean)
    change = history.total[~KENT, 0] - history.total[~KENT, kept]
    np.testing.assert_array_equal(essex["density_change"], change)
    names = ("last_year", "year_before", "two_years_before")
    for what in ("density", "cluster"):
        assert essex[f"{what}_{names[gap]}"].isna().all()
        assert essex[f"{what}_{names[kept]}"].notna().all()
        assert found.loc[KENT, f"{what}_{names[gap]}"].notna().all()
    assert essex["cluster_stable"].isna().all()
    assert found.loc[KENT, "cluster_stable"].notna().all()
    assert found["cluster_long_run"].notna().all()


def test_with_one_year_there_is_no_change_and_no_trend(history: History) -> None:
    alone = replace(
        history,
        density=history.density[:, :1],
        total=history.total[:, :1],
        monthly=history.monthly[:, -12:],
        months=history.months[-12:],
    )
    found = of_scope(alone)
    assert (found["years"] == 1).all()
    none = ["density_year_before", "density_two_years_before", "density_change"]
    none += ["cluster_year_before", "cluster_increasing", "cluster_stable", "cluster_decreasing"]
    none += ["neighbours_density_year_before"]
    assert found[none].isna().all(axis=None)
    np.testing.assert_array_equal(found["density_mean"], found["density_last_year"])
    pd.testing.assert_series_equal(
        found["cluster_long_run"], found["cluster_last_year"], check_names=False, check_dtype=False
    )


def test_clusters_are_numbered_by_density_within_each_scope(history: History) -> None:
    for scope in ("study-area", "kent"):
        found = of_scope(history, scope)
        means = found.groupby("cluster_last_year")["density_last_year"].mean()
        assert means.index.tolist() == [0, 1, 2, 3, 4]
        assert means.is_monotonic_increasing
        flags = found[["cluster_increasing", "cluster_stable", "cluster_decreasing"]]
        assert (flags.sum(axis=1) <= 1).all()
        rises = (found["cluster_last_year"] >= found["cluster_year_before"]) & (
            found["cluster_year_before"] >= found["cluster_two_years_before"]
        )
        stays = found["cluster_last_year"] == found["cluster_two_years_before"]
        np.testing.assert_array_equal(found["cluster_increasing"] == 1, rises & ~stays)


def test_neighbours_are_all_areas_that_touch_inside_the_scope_or_not(history: History) -> None:
    drugs = history.density[:, 0, TYPES.index("Drugs")]
    for scope in ("study-area", "kent"):
        found = of_scope(history, scope)
        corner, inner = found.loc[CODES[0]], found.loc[CODES[SIDE + 6]]
        total = history.total[:, 0]
        assert corner["neighbours_density_last_year"] == total[[1, 8, 9]].mean()
        assert corner["neighbours_density_year_before"] == history.total[[1, 8, 9], 1].mean()
        around = [5, 6, 7, 13, 15, 21, 22, 23]  # 7, 15 and 23 lie in Essex
        assert inner["neighbours_density_last_year"] == pytest.approx(total[around].mean())
        assert inner["neighbours_density_drugs"] == pytest.approx(drugs[around].mean())


def test_a_neighbour_that_is_unknown_is_left_out_not_taken_for_cold(history: History) -> None:
    found = of_scope(silent(history, ~KENT, 0))
    assert len(found) == 56
    around = [5, 6, 13, 21, 22]
    expected = history.total[around, 0].mean()
    assert found.loc[CODES[14], "neighbours_density_last_year"] == pytest.approx(expected)
    alone = silent(history, np.isin(np.arange(N), [1, 8, 9]), 0)
    found = of_scope(alone)
    assert np.isnan(found.loc[CODES[0], "neighbours_density_last_year"])
    assert np.isnan(found.loc[CODES[0], "local_moran"])
    assert pd.isna(found.loc[CODES[0], "lisa"])
    assert found["lisa"].drop(CODES[0]).notna().all()


def test_a_hot_corner_is_high_high_and_a_lone_hot_area_high_low(history: History) -> None:
    heat = np.zeros((SIDE, SIDE))
    heat[:3, :3] = 50
    heat[6, 6] = 50
    monthly = np.repeat(heat.reshape(N, 1) + np.arange(N)[:, None] % 3, 36, axis=1)
    found = of_scope(counted(history, monthly))
    assert found.loc[CODES[9], "lisa"] == "high-high"
    assert found.loc[CODES[9], "local_moran"] > 1
    assert found.loc[CODES[6 * SIDE + 6], "local_moran"] < 0
    assert set(found["lisa"]) <= {
        *("high-high", "low-low", "high-low", "low-high", "not significant")
    }


def test_seasons_are_nought_where_crime_is_even_and_one_where_all_is_in_a_month(
    history: History,
) -> None:
    monthly = np.ones((N, 36))
    monthly[1], monthly[1, 6::12] = 0, 3  # July
    monthly[2], monthly[2, -1] = 0, 5  # the last month alone
    monthly[3] = 0
    found = of_scope(counted(history, monthly))
    assert found["summer_share"].iloc[:3].tolist() == [0.25, 1, 0]
    assert found["season_strength"].iloc[:3].tolist() == pytest.approx([0, 1, 1], abs=1e-9)
    assert found["last_quarter_share"].iloc[[0, 1, 2]].tolist() == [0.25, 0, 1]
    shares = ["summer_share", "season_strength", "last_quarter_share"]
    assert found.loc[CODES[3], shares].isna().all()


def test_a_year_that_is_unknown_says_nothing_of_the_season(history: History) -> None:
    monthly = np.ones((N, 36))
    monthly[7, :12] = [99] * 6 + [0] * 6  # January to June of the earliest year
    known = of_scope(counted(history, monthly)).loc[CODES[7]]
    unknown = of_scope(silent(counted(history, monthly), ~KENT, 2)).loc[CODES[7]]
    assert known["season_strength"] > 0.5
    assert unknown["season_strength"] == pytest.approx(0, abs=1e-9)
    assert unknown["summer_share"] == 0.25


def test_a_type_that_was_not_there_all_years_is_unknown(
    history: History, connection: duckdb.DuckDBPyConnection
) -> None:
    early = tuple(name for name in TYPES if name != "Bicycle theft")
    kept = [TYPES.index(name) for name in early]
    known = replace(history, crime_types=early, density=history.density[:, :, kept])
    found = features_of(known, known.scopes())
    late = ["density_bicycle_theft", "neighbours_density_bicycle_theft"]
    assert found[late].isna().all(axis=None)
    assert found["density_burglary"].notna().all()
    table = found.assign(hot_cells=np.nan, population=np.nan, imd_rank=np.nan)
    connection.register("lsoa_features", table)
    reasons = {name: why for name, _, why in why_null(connection, known, False, None)}
    assert {reasons[name] for name in late} == {"police.uk has not had the type since 2022-01"}
    assert reasons["hot_cells"] == "no hotspots of the cut-off are in the lake"
    assert reasons["population"] == "CRIME_LSOA_ATTRIBUTES is not given"


def test_what_is_null_is_told_with_its_share_and_its_reason(
    history: History, connection: duckdb.DuckDBPyConnection
) -> None:
    known = replace(silent(history, ~KENT, 2), silent={0: (), 1: (), 2: ("essex",)})
    found = features_of(known, known.scopes())
    table = found.assign(
        hot_cells=1, population=1.0, imd_rank=np.where(found.index < 12, 1, np.nan)
    )
    connection.register("lsoa_features", table)
    told = {name: (share, why) for name, share, why in why_null(connection, known, True, "x.csv")}
    assert told["density_two_years_before"] == ("6.7%", "two_years_before: not of essex")
    assert told["cluster_two_years_before"] == told["density_two_years_before"]
    assert told["imd_rank"] == ("90.0%", "CRIME_LSOA_ATTRIBUTES does not know it of every area")
    assert told["summer_share"][1] == "areas without a crime"
    assert not told.keys() & {"hot_cells", "population", "density_last_year", "density_change"}


# --- What nobody counted --------------------------------------------------------------------


def attributes(connection: duckdb.DuckDBPyConnection, path: Path, text: str) -> list[tuple]:
    path.write_text(text, encoding="utf-8")
    view_attributes(connection, str(path))
    return connection.execute("select lsoa21cd, population, imd_rank from attributes").fetchall()


def test_attributes_are_read_by_name_whatever_the_case(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    both = "IMD_Rank,LSOA21CD,name,Population\n7,E01000001,Town,1700\n,W01000001,Dorf,1500.5\n"
    assert attributes(connection, tmp_path / "both.csv", both) == [
        ("E01000001", 1700.0, 7.0),
        ("W01000001", 1500.5, None),
    ]
    one = attributes(connection, tmp_path / "one.csv", "lsoa21cd,population\nE01000001,1700\n")
    assert one == [("E01000001", 1700.0, None)]


def test_without_a_file_nothing_is_known(connection: duckdb.DuckDBPyConnection) -> None:
    view_attributes(connection, None)
    assert connection.execute("from attributes").fetchall() == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("lsoa21cd,income\nE01000001,3\n", "has neither population nor imd_rank"),
        ("code,population\nE01000001,3\n", "has no column lsoa21cd; it has code, population"),
        ("lsoa21cd,imd_rank\nE01000001,3\nE01000001,4\n", "has E01000001 more than once"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_what_is_wrong(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path, text: str, says: str
) -> None:
    with pytest.raises(DataError, match=f"CRIME_LSOA_ATTRIBUTES: .*imd.csv {says}"):
        attributes(connection, tmp_path / "imd.csv", text)


def test_a_file_that_is_not_there_is_named(connection: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(DataError, match=r"CRIME_LSOA_ATTRIBUTES is '/no/imd.csv', where there is"):
        view_attributes(connection, "/no/imd.csv")
