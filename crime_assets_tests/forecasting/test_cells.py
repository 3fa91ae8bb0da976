"""Hex cells as units: neighbours, counts, and which months and cells count at a cut-off."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import duckdb
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from crime_assets.forecasting.backtest import Ask
from crime_assets.forecasting.cells import (
    Presence,
    Series,
    StudyArea,
    hex_units,
    scopes_of_cells,
    study_areas,
)
from crime_assets.hexes import grid
from crime_assets.lake import DuckDB
from crime_assets.partitions import months_back
from crime_assets.register import ALL_CRIME, CRIME_TYPES

MONTHS = months_back("2025-12", 12)
IN_USE = [t.crime_type for t in CRIME_TYPES.values() if not t.last_month]
LEGACY = [t.crime_type for t in CRIME_TYPES.values() if t.last_month]


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with DuckDB(threads=1).get_connection() as opened:
        yield opened


def block(columns: int, rows: int, column: int = 400, row: int = 900) -> NDArray[np.int64]:
    """Ids, ascending, of a block of cells of both lattices."""
    even = ((column + np.arange(columns))[:, None] * grid.ROWS + row + np.arange(rows)).ravel()
    return np.concatenate([even, even + grid.LATTICE_CELLS])


# --- Neighbours -----------------------------------------------------------------------------


def near_by_distance(cells: NDArray) -> NDArray[np.bool_]:
    """Which cells have their centres 200 * sqrt(3) m apart: (n, n)."""
    centres = np.column_stack(grid.centres(cells))
    apart = np.linalg.norm(centres[:, None] - centres[None], axis=-1)
    return (apart > 1) & (apart < 200 * np.sqrt(3) + 1)


CORNERS = np.unique(
    np.concatenate(
        [block(3, 3, 0, 0), block(3, 3, grid.COLUMNS - 3, grid.ROWS - 3), block(3, 3, 0, 500)]
    )
)


@pytest.mark.parametrize(
    "cells",
    [
        pytest.param(block(9, 11), id="a block"),
        pytest.param(np.sort(np.random.default_rng(3).permutation(block(9, 11))[:90]), id="holes"),
        pytest.param(CORNERS, id="the first and the last cell of the grid, and its edge"),
        pytest.param(block(1, 1)[:1], id="one cell"),
        pytest.param(np.array([5, 900_000, 3_000_000]), id="far apart"),
        pytest.param(block(9, 11).astype(np.int32), id="ids of 32 bits, as they are in the lake"),
    ],
)
def test_neighbours_are_the_cells_with_centres_346_m_apart(cells: NDArray) -> None:
    units = hex_units(cells)
    assert units.kind == "hex"
    assert (units.neighbours.toarray() == near_by_distance(cells)).all()
    assert units.neighbours.has_canonical_format
    assert np.array_equal(units.ids, cells)


def test_a_cell_inside_has_six_neighbours_and_all_cells_one_size() -> None:
    cells = block(9, 11)
    units = hex_units(cells)
    degree = np.diff(units.neighbours.indptr)
    # an even cell needs the odd ones west of it, and cells of its own north and south
    assert (degree == 6).sum() == 2 * (9 - 1) * (11 - 2)
    assert (degree <= 6).all()
    assert units.equal
    # a regular hexagon of side 200 m: 3/2 sqrt(3) a^2
    assert units.size[0] == pytest.approx(103_923.048454)


# --- Counts ---------------------------------------------------------------------------------


def random_crimes(cells: NDArray, rows: int = 6_000) -> pd.DataFrame:
    """Rows of hex_counts: two forces that share cells, types in use, legacy and unknown ones."""
    rng = np.random.default_rng(1)
    keys = ["month", "force", "crime_type", "hex_id"]
    frame = pd.DataFrame(
        {
            "month": rng.choice(MONTHS[2:8], rows),
            "force": rng.choice(["essex", "kent"], rows),
            "crime_type": rng.choice([*IN_USE[:5], IN_USE[-1], *LEGACY, "Hate crime"], rows),
            "hex_id": rng.choice(cells, rows),
            "crimes": rng.integers(1, 5, rows),
        }
    )
    return frame.groupby(keys, as_index=False).sum()


def register_crimes(connection: duckdb.DuckDBPyConnection, crimes: pd.DataFrame) -> None:
    connection.register("crimes_frame", crimes)
    connection.execute("create or replace temp table hex_counts as from crimes_frame")


def expected_crimes(
    crimes: pd.DataFrame, crime_type: str, cells: NDArray, months: Sequence[str]
) -> NDArray[np.float64]:
    """Crimes (cells, months) by pandas; all types, whatever their name, for All crime."""
    some = crimes if crime_type == ALL_CRIME else crimes[crimes["crime_type"] == crime_type]
    table = some.pivot_table(index="hex_id", columns="month", values="crimes", aggfunc="sum")
    return table.reindex(index=cells, columns=list(months)).fillna(0).to_numpy()


def test_counts_are_those_of_pandas(connection: duckdb.DuckDBPyConnection) -> None:
    cells = block(4, 5)
    crimes = random_crimes(cells)
    register_crimes(connection, crimes)
    series = Series.read(connection, MONTHS[2:8])
    counts = series.counts(hex_units(cells), MONTHS[3], MONTHS[6])
    assert counts.steps == tuple(MONTHS[3:7])
    assert counts.crime_types == (*IN_USE, ALL_CRIME)
    for crime_type in counts.crime_types:
        expected = expected_crimes(crimes, crime_type, cells, counts.steps)
        assert np.array_equal(counts.crimes[crime_type].toarray(), expected), crime_type
    assert counts.crimes["Public order"].nnz == 0  # none in these rows
    assert counts.crimes[IN_USE[-1]].nnz > 0


def test_crimes_of_two_forces_in_one_cell_are_one_sum(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    rows = [("2025-12", "kent", "Drugs", 7, 2), ("2025-12", "essex", "Drugs", 7, 3)]
    rows += [("2025-12", "kent", "Violent crime", 7, 10), ("2025-12", "kent", "Drugs", 8, 1)]
    columns = ["month", "force", "crime_type", "hex_id", "crimes"]
    register_crimes(connection, pd.DataFrame(rows, columns=columns))
    counts = Series.read(connection, MONTHS).counts(
        hex_units(np.array([7, 8])), MONTHS[0], MONTHS[-1]
    )
    assert counts.recent("Drugs", 1).tolist() == [5, 1]
    assert counts.recent(ALL_CRIME, 1).tolist() == [15, 1]  # the legacy type is in it alone
    assert counts.recent(ALL_CRIME, 11, before=1).tolist() == [0, 0]


def test_cells_outside_the_scope_are_dropped(connection: duckdb.DuckDBPyConnection) -> None:
    cells = block(4, 5)
    crimes = random_crimes(cells)
    register_crimes(connection, crimes)
    series = Series.read(connection, MONTHS)
    some = np.sort(np.concatenate([cells[::3], [2]]))  # and one without any crime
    counts = series.counts(hex_units(some), MONTHS[0], MONTHS[-1])
    expected = expected_crimes(crimes, ALL_CRIME, some, MONTHS)
    assert np.array_equal(counts.crimes[ALL_CRIME].toarray(), expected)
    assert counts.units.ids.tolist() == some.tolist()
    assert 0 < counts.crimes[ALL_CRIME].sum() < crimes["crimes"].sum()


def test_months_stand_in_the_order_asked_for_and_no_crime_is_no_error(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    register_crimes(connection, random_crimes(block(4, 5)).iloc[:0])
    series = Series.read(connection, MONTHS)
    counts = series.counts(hex_units(block(4, 5)), MONTHS[0], MONTHS[-1])
    assert counts.cut_off == "2025-12"
    assert {name: matrix.nnz for name, matrix in counts.crimes.items()} == dict.fromkeys(
        (*IN_USE, ALL_CRIME), 0
    )
    assert all(matrix.shape == (40, 12) for matrix in counts.crimes.values())


# --- Study areas ----------------------------------------------------------------------------

ASK = Ask(horizons=(1, 3), least_months=3, most_months=6)


def world(connection: duckdb.DuckDBPyConnection, silent: Mapping[str, Sequence[str]] = {}) -> None:
    """Essex and Kent, the nation of both, and a polygon across their border.

    ``silent`` are months of a force without crimes; all others of ``MONTHS`` are published.
    """
    rows = [
        (force, month, "not_published", 0)
        if month in silent.get(force, ())
        else (force, month, "published", 9)
        for force in ("essex", "kent")
        for month in MONTHS
    ]
    coverage = pd.DataFrame(rows, columns=["force", "month", "status", "rows"])
    connection.register("coverage_frame", coverage)
    connection.execute("create or replace temp table coverage as from coverage_frame")
    connection.execute(
        "create or replace temp table scopes as from (values "
        "('study-area', 'nation', []::varchar[]), ('essex', 'force', ['essex']), "
        "('kent', 'force', ['kent']), ('border', 'polygon', ['essex', 'kent'])) "
        "as t (scope, kind, forces)"
    )


def areas(
    connection: duckdb.DuckDBPyConnection,
    cut_off: str,
    *,
    judged: bool = False,
    ask: Ask = ASK,
    months: Sequence[str] = MONTHS,
) -> dict[str, list[StudyArea]]:
    found: dict[str, list[StudyArea]] = {}
    scopes, presence = scopes_of_cells(connection), Presence.read(connection)
    for area in study_areas(scopes, presence, cut_off, months, ask, judged=judged):
        found.setdefault(area.scope, []).append(area)
    return found


def test_each_scope_comes_in_its_order_with_the_months_it_needs(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    world(connection)
    found = areas(connection, "2025-09")
    assert list(found) == ["study-area", "essex", "kent", "border"]
    for (area,) in found.values():
        assert area.history == ("2025-04", "2025-05", "2025-06", "2025-07", "2025-08", "2025-09")
        assert (area.outcome, area.silent, area.horizons, area.reason) == ((), (), (1, 3), "")


def test_a_history_ends_at_a_gap_of_the_force(connection: duckdb.DuckDBPyConnection) -> None:
    world(connection, {"kent": ["2025-06"]})
    found = areas(connection, "2025-09")
    after_gap = ("2025-07", "2025-08", "2025-09")
    assert [area.history for area in found["kent"]] == [after_gap]
    assert [area.history for area in found["border"]] == [after_gap]  # it needs both
    assert len(found["essex"][0].history) == 6
    # the nation needs no force in particular, and leaves the cells of the silent one out
    assert len(found["study-area"][0].history) == 6
    assert found["study-area"][0].silent == ("kent",)


def test_a_gap_beyond_the_longest_history_does_not_matter(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    world(connection, {"kent": ["2025-03"]})
    found = areas(connection, "2025-09")
    assert [len(area.history) for area in found["kent"]] == [6]
    assert found["study-area"][0].silent == ()


def test_too_short_a_history_is_a_reason_that_says_what_is_needed(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    world(connection, {"kent": ["2025-07"]})
    found = areas(connection, "2025-09")
    assert [area.reason for area in found["kent"]] == [
        "2 months in a row up to 2025-09, of the 3 that are needed"
    ]
    assert found["kent"][0].horizons == ()
    assert found["kent"][0].crime_types == ()
    assert found["border"][0].reason
    assert not found["essex"][0].reason


def test_a_force_that_is_silent_at_the_cut_off_has_no_month(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    world(connection, {"kent": ["2025-09"]})
    assert areas(connection, "2025-09")["kent"][0].reason.startswith("0 months in a row")


def test_a_month_that_no_force_published_ends_the_history_of_the_nation(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    world(connection, {"kent": ["2025-05"], "essex": ["2025-05"]})
    (nation,) = areas(connection, "2025-09")["study-area"]
    assert nation.history == ("2025-06", "2025-07", "2025-08", "2025-09")
    assert nation.silent == ()


def test_the_nation_is_not_forecast_where_each_force_was_silent_once(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    world(connection, {"kent": ["2025-05"], "essex": ["2025-08"]})
    (nation,) = areas(connection, "2025-09")["study-area"]
    assert nation.reason == "each of its forces was silent in a month from 2025-04 to 2025-09"


def test_a_partial_month_counts_and_an_empty_file_does_not(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    world(connection)
    connection.execute(
        "update coverage set status = 'partial' where month = '2025-08' and force = 'kent'"
    )
    connection.execute("update coverage set rows = 0 where month = '2025-07' and force = 'essex'")
    found = areas(connection, "2025-09")
    assert len(found["kent"][0].history) == 6
    assert found["essex"][0].reason.startswith("2 months in a row")


def test_a_judged_area_has_the_months_after_the_cut_off_and_those_horizons_alone(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    world(connection)
    (kent,) = areas(connection, "2025-09", judged=True)["kent"]
    assert (kent.outcome, kent.horizons) == (("2025-10", "2025-11", "2025-12"), (1, 3))
    (kent,) = areas(connection, "2025-10", judged=True)["kent"]
    assert (kent.outcome, kent.horizons) == (("2025-11",), (1,))
    (kent,) = areas(connection, "2025-10", judged=False)["kent"]
    assert (kent.outcome, kent.horizons) == ((), (1, 3))


def test_an_area_that_cannot_be_judged_says_which_month_is_missing(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    world(connection)
    for (area,) in areas(connection, "2025-12", judged=True).values():
        assert area.reason == "2026-01 is not there to be judged by"
    later = Ask(horizons=(3,), least_months=3, most_months=6)
    (kent,) = areas(connection, "2025-10", judged=True, ask=later)["kent"]
    assert kent.reason == "2026-01 is not there to be judged by"


def test_a_gap_in_the_outcome_ends_it(connection: duckdb.DuckDBPyConnection) -> None:
    world(connection, {"kent": ["2025-11"]})
    found = areas(connection, "2025-09", judged=True)
    assert [(area.outcome, area.horizons) for area in found["kent"]] == [(("2025-10",), (1,))]
    assert [area.horizons for area in found["border"]] == [(1,)]
    assert [area.horizons for area in found["essex"]] == [(1, 3)]


def test_horizons_with_other_silent_forces_are_study_areas_of_their_own(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    world(connection, {"kent": ["2025-11"]})
    one, three = areas(connection, "2025-09", judged=True)["study-area"]
    assert (one.horizons, one.silent, one.outcome) == ((1,), (), ("2025-10",))
    assert (three.horizons, three.silent) == ((3,), ("kent",))
    assert three.outcome == ("2025-10", "2025-11", "2025-12")
    assert one.history == three.history


def test_cells_of_a_silent_force_are_left_out_and_those_of_the_coast_stay(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    connection.execute(
        "create temp table hex_cells as from (values (9, 'kent'), (1, 'essex'), (5, null), "
        "(3, 'kent'), (7, 'essex')) as t (hex_id, force)"
    )
    connection.execute(
        "create temp table scope_cells as select 'study-area' as scope, hex_id from hex_cells "
        "union all select 'kent', hex_id from hex_cells where force = 'kent'"
    )
    assert StudyArea("study-area").cells(connection).tolist() == [1, 3, 5, 7, 9]
    assert StudyArea("study-area", silent=("kent",)).cells(connection).tolist() == [1, 5, 7]
    assert StudyArea("kent").cells(connection).tolist() == [3, 9]


def test_crime_types_are_those_that_police_uk_had_in_each_month() -> None:
    recent = StudyArea("kent", history=("2013-05", "2013-06"))
    assert recent.crime_types == (*IN_USE, ALL_CRIME)
    # Bicycle theft, Possession of weapons, Public order, Theft from the person and Violence and
    # sexual offences came in 2013-05; six others in 2011-09
    earlier = StudyArea("kent", history=("2013-04", "2013-05"))
    assert earlier.crime_types == (
        "Anti-social behaviour",
        "Burglary",
        "Criminal damage and arson",
        "Drugs",
        "Other crime",
        "Other theft",
        "Robbery",
        "Shoplifting",
        "Vehicle crime",
        ALL_CRIME,
    )
    first = StudyArea("kent", history=("2010-12",))
    assert first.crime_types == (
        "Anti-social behaviour", "Burglary", "Other crime", "Robbery", "Vehicle crime", ALL_CRIME,
    )  # fmt: skip
