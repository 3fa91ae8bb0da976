"""What a forecaster is given: sparse counts, against the same sums in pandas."""

from __future__ import annotations

import re
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from crime_assets import DataError
from crime_assets.forecasting.counts import DAY, Counts, HistoryTooShort, Units
from crime_assets.lsoa.neighbours import link

MONTHS = tuple(f"{2024 + m // 12}-{m % 12 + 1:02}" for m in range(18))


def row_of(n: int, size: NDArray | None = None) -> Units:
    """Units in a row, each touching the next."""
    neighbours = link(n, np.arange(n - 1), np.arange(1, n))
    return Units("square", np.arange(n), np.ones(n) if size is None else size, neighbours)


def drawn(
    units: int = 7, steps: tuple[str, ...] = MONTHS, seed: int = 1, step: str = "month"
) -> tuple[Counts, dict[str, pd.DataFrame]]:
    """Counts from rows in no order, some given twice, and tables (units x steps) of the same."""
    random = np.random.default_rng(seed)
    rows, tables = {}, {}
    for crime_type in ("Burglary", "Drugs"):
        unit = random.integers(0, units, 60)
        at = random.integers(0, len(steps), 60)
        count = random.integers(1, 5, 60)
        rows[crime_type] = (unit, at, count)
        table = pd.DataFrame({"unit": unit, "at": at, "count": count})
        tables[crime_type] = (
            table.pivot_table(values="count", index="unit", columns="at", aggfunc="sum")
            .reindex(index=range(units), columns=range(len(steps)))
            .fillna(0.0)
            .set_axis(list(steps), axis=1)
        )
    return Counts.of(row_of(units), steps, rows, step), tables


# --- Units ----------------------------------------------------------------------------------


def test_units_know_their_number_and_their_relative_sizes() -> None:
    units = row_of(3, np.array([10.0, 20.0, 60.0]))
    assert len(units) == 3
    assert not units.equal
    np.testing.assert_allclose(units.relative_size, [1 / 3, 2 / 3, 2])
    assert row_of(3, np.full(3, 40.0)).equal
    assert row_of(1).equal


@pytest.mark.parametrize(
    ("ids", "size", "n", "error", "message"),
    [
        ([], [], 0, DataError, "a study area without a segment"),
        ([1, 2], [1.0], 2, ValueError, "2 ids, 1 sizes"),
        ([1, 2], [1.0, 1.0], 3, ValueError, r"neighbours of \(3, 3\)"),
        ([1, 2], [1.0, 0.0], 2, DataError, "a segment without area or length"),
        ([1, 2], [1.0, -5.0], 2, DataError, "a segment without area or length"),
        ([1, 2], [1.0, np.nan], 2, DataError, "a segment without area or length"),
        ([1, 2], [1.0, np.inf], 2, DataError, "a segment without area or length"),
        ([2, 1], [1.0, 1.0], 2, DataError, "not ascending, each once"),
        ([1, 1], [1.0, 1.0], 2, DataError, "not ascending, each once"),
        (["b", "a"], [1.0, 1.0], 2, DataError, "not ascending, each once"),
    ],
)
def test_what_is_no_study_area_is_refused(
    ids: list, size: list[float], n: int, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        Units("segment", np.array(ids), np.array(size), link(n, [], []))


def test_a_part_of_the_units_keeps_the_links_among_them() -> None:
    units = Units("lsoa", np.array(["a", "b", "c", "d"]), np.arange(1.0, 5), row_of(4).neighbours)
    part = units.within(np.array([True, True, False, True]))
    assert part.kind == "lsoa"
    assert part.ids.tolist() == ["a", "b", "d"]
    assert part.size.tolist() == [1, 2, 4]
    assert part.neighbours.toarray().tolist() == [[0, 1, 0], [1, 0, 0], [0, 0, 0]]
    with pytest.raises(DataError, match="without a lsoa"):
        units.within(np.zeros(4, dtype=bool))


def test_a_pair_is_linked_once_however_often_it_is_given() -> None:
    linked = link(4, [0, 1, 1, 2, 3], [1, 0, 2, 1, 3])
    assert linked.toarray().tolist() == [
        [0, 1, 0, 0],
        [1, 0, 1, 0],
        [0, 1, 0, 0],
        [0, 0, 0, 0],  # nothing is its own neighbour
    ]
    assert linked.nnz == 4
    assert link(2, [], []).toarray().tolist() == [[0, 0], [0, 0]]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=30))
def test_links_are_symmetric_ones_off_the_diagonal(pairs: list[tuple[int, int]]) -> None:
    linked = link(7, [a for a, _ in pairs], [b for _, b in pairs]).toarray()
    expected = np.zeros((7, 7))
    for a, b in pairs:
        if a != b:
            expected[a, b] = expected[b, a] = 1
    np.testing.assert_array_equal(linked, expected)


# --- Counts ---------------------------------------------------------------------------------


def test_rows_given_twice_are_summed() -> None:
    counts = Counts.of(
        row_of(3),
        MONTHS[:2],
        {"Drugs": ([0, 2, 0, 0], [1, 0, 1, 0], [2, 1, 3, 4]), "Robbery": ([], [], [])},
    )
    assert counts.crimes["Drugs"].toarray().tolist() == [[4, 5], [0, 0], [1, 0]]
    assert counts.crimes["Drugs"].nnz == 3
    assert counts.crimes["Robbery"].toarray().tolist() == [[0, 0], [0, 0], [0, 0]]
    assert counts.crime_types == ("Drugs", "Robbery")
    assert counts.cut_off == "2024-02"


@pytest.mark.parametrize(("unit", "at"), [(3, 0), (0, 2), (-1, 0)])
def test_a_row_of_no_unit_or_step_is_refused(unit: int, at: int) -> None:
    with pytest.raises(ValueError, match="index"):
        Counts.of(row_of(3), MONTHS[:2], {"Drugs": ([unit], [at], [1])})


def test_the_table_of_counts_is_that_of_pandas() -> None:
    counts, tables = drawn()
    for crime_type, table in tables.items():
        np.testing.assert_array_equal(counts.crimes[crime_type].toarray(), table)


@pytest.mark.parametrize(("cut_off", "most"), [(0, None), (8, None), (8, 3), (8, 50), (17, 17)])
def test_what_was_known_then_ends_at_the_cut_off(cut_off: int, most: int | None) -> None:
    counts, tables = drawn()
    known = counts.until(MONTHS[cut_off], most)
    expected = MONTHS[: cut_off + 1][-(most or 99) :]
    assert known.steps == expected
    assert known.cut_off == MONTHS[cut_off]
    for crime_type, table in tables.items():
        np.testing.assert_array_equal(known.crimes[crime_type].toarray(), table[list(expected)])
    # and what is asked of it is asked of those steps alone
    np.testing.assert_array_equal(known.recent("Drugs", 1), tables["Drugs"][MONTHS[cut_off]])


def test_a_cut_off_that_is_not_there_is_refused() -> None:
    counts, _ = drawn()
    with pytest.raises(ValueError, match="not in tuple"):
        counts.until("2031-01")
    with pytest.raises(ValueError, match="not in tuple"):
        counts.after("2031-01", 1, "Drugs")


@pytest.mark.parametrize(("cut_off", "horizon"), [(0, 1), (4, 3), (5, 12), (14, 3)])
def test_what_came_after_are_the_steps_of_the_horizon(cut_off: int, horizon: int) -> None:
    counts, tables = drawn()
    for crime_type, table in tables.items():
        came = counts.after(MONTHS[cut_off], horizon, crime_type)
        expected = table[list(MONTHS[cut_off + 1 : cut_off + 1 + horizon])].sum(axis=1)
        np.testing.assert_array_equal(came, expected)
        assert came.dtype == np.float64


def test_an_outcome_that_is_not_all_there_is_refused() -> None:
    counts, _ = drawn()
    counts.after(MONTHS[-4], 3, "Drugs")
    message = "3 months after 2025-04 are asked for; the last one here is 2025-06"
    with pytest.raises(HistoryTooShort, match=message):
        counts.after(MONTHS[-3], 3, "Drugs")


@pytest.mark.parametrize(("steps", "before"), [(1, 0), (3, 0), (18, 0), (1, 17), (5, 2), (0, 4)])
def test_recent_crimes_are_those_of_the_last_steps_before_the_last(steps: int, before: int) -> None:
    counts, tables = drawn()
    end = len(MONTHS) - before
    for crime_type, table in tables.items():
        expected = table.iloc[:, end - steps : end].sum(axis=1)
        np.testing.assert_array_equal(counts.recent(crime_type, steps, before), expected)


@pytest.mark.parametrize(("steps", "before"), [(19, 0), (12, 7), (1, 18), (0, 19)])
def test_a_history_that_does_not_reach_so_far_back_is_refused(steps: int, before: int) -> None:
    counts, _ = drawn()
    message = f"{steps + before} months up to 2025-06 are asked for; there are 18"
    with pytest.raises(HistoryTooShort, match=re.escape(message)):
        counts.recent("Drugs", steps, before)


def test_each_step_counts_with_its_weight() -> None:
    counts, tables = drawn()
    weights = np.random.default_rng(2).random(len(MONTHS))
    for crime_type, table in tables.items():
        np.testing.assert_allclose(counts.weighted(crime_type, weights), table @ weights)
    np.testing.assert_array_equal(
        counts.weighted("Drugs", np.ones(len(MONTHS))), counts.recent("Drugs", len(MONTHS))
    )
    with pytest.raises(ValueError, match="broadcast"):
        counts.weighted("Drugs", np.ones(len(MONTHS) - 1))


def test_units_without_a_crime_have_nought_as_numbers_with_a_point() -> None:
    counts = Counts.of(row_of(3), MONTHS[:2], {"Drugs": ([], [], [])})
    for sums in (
        counts.recent("Drugs", 2),
        counts.weighted("Drugs", [1, 1]),
        counts.after(MONTHS[0], 1, "Drugs"),
    ):
        assert sums.tolist() == [0, 0, 0]
        assert sums.dtype == np.float64


def test_the_counts_of_some_units_are_their_rows() -> None:
    counts, tables = drawn()
    keep = np.array([True, False, True, True, False, False, True])
    part = counts.within(keep)
    assert part.units.ids.tolist() == [0, 2, 3, 6]
    assert part.steps == counts.steps
    for crime_type, table in tables.items():
        np.testing.assert_array_equal(part.crimes[crime_type].toarray(), table[keep])
        np.testing.assert_array_equal(
            part.recent(crime_type, 4, 1), counts.recent(crime_type, 4, 1)[keep]
        )


def test_a_step_may_be_a_day() -> None:
    first = date(2024, 2, 20)
    days = tuple((first + timedelta(days=d)).isoformat() for d in range(30))
    counts, tables = drawn(steps=days, step=DAY)
    assert (counts.month_steps, counts.year_steps) == (30, 364)
    assert counts.year_steps % 7 == 0
    # over the leap day
    np.testing.assert_array_equal(
        counts.after("2024-02-28", 2, "Drugs"),
        tables["Drugs"][["2024-02-29", "2024-03-01"]].sum(axis=1),
    )
    assert counts.until("2024-03-02", 7).steps[0] == "2024-02-25"
    assert counts.until("2024-03-02", 7).step == DAY
    assert counts.within(np.arange(7) < 2).step == DAY
    with pytest.raises(HistoryTooShort, match="31 days up to 2024-03-20"):
        counts.recent("Drugs", 31)


def test_months_repeat_their_season_after_twelve() -> None:
    counts, _ = drawn()
    assert (counts.month_steps, counts.year_steps) == (1, 12)
