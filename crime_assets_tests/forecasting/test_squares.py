"""Grid squares: who touches whom, which days count, and what the naive rules say of them."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array

from crime_assets.forecasting.counts import Counts
from crime_assets.forecasting.forecaster import NoForecast
from crime_assets.forecasting.squares import (
    GRID_RULES,
    WINDOW_DAYS,
    Contiguity,
    naive_probability,
    rule_expectation,
    square_counts,
    square_units,
    window_expectation,
)

P = 6
CELLS = np.flatnonzero(np.arange(P * P) % 7 != 3)  # some cells are missing
DAYS = [str(day) for day in np.arange("2011-01-01", "2013-01-01", dtype="datetime64[D]")]
RATE = np.random.default_rng(1).gamma(0.4, 0.3, len(CELLS))


def made(observed: np.ndarray, **kwargs: Any) -> tuple[np.ndarray, Counts]:
    """Poisson crimes (days, n) on the observed days, and their counts."""
    crimes = np.random.default_rng(2).poisson(RATE, (len(DAYS), len(CELLS)))
    crimes[~observed] = 0
    units = square_units(CELLS, P, **kwargs)
    return crimes, square_counts(units, DAYS, observed, {"Theft": crimes})


EVERY_DAY = np.ones(len(DAYS), dtype=bool)
ALTERNATE_WEEKS = np.arange(len(DAYS)) // 7 % 2 == 0


@pytest.mark.parametrize("contiguity", ["rook", "queen"])
def test_cells_that_share_an_edge_or_a_corner_are_neighbours(contiguity: Contiguity) -> None:
    units = square_units(CELLS, P, contiguity)
    wanted = np.zeros((len(CELLS), len(CELLS)))
    for (i, a), (j, b) in itertools.permutations(enumerate(CELLS), 2):
        down, right = abs(a // P - b // P), abs(a % P - b % P)
        near = down + right == 1 if contiguity == "rook" else max(down, right) == 1
        wanted[i, j] = near
    assert_array_equal(units.neighbours.toarray(), wanted)
    assert units.kind == "square"
    assert_array_equal(units.size, 1)
    assert_array_equal(units.ids, CELLS)


@pytest.mark.parametrize("cells", [[-1, 3], [0, P * P]])
def test_a_cell_outside_the_grid_is_refused(cells: list[int]) -> None:
    with pytest.raises(ValueError, match="of a grid of 6 x 6"):
        square_units(cells, P)


def test_steps_are_the_observed_days() -> None:
    crimes, counts = made(ALTERNATE_WEEKS)
    assert counts.step == "day"
    assert counts.steps == tuple(np.array(DAYS)[ALTERNATE_WEEKS])
    assert_array_equal(counts.crimes["Theft"].toarray(), crimes[ALTERNATE_WEEKS].T)


def test_counts_may_be_sparse() -> None:
    crimes, dense = made(ALTERNATE_WEEKS)
    sparse = square_counts(dense.units, DAYS, ALTERNATE_WEEKS, {"Theft": csr_array(crimes)})
    assert_array_equal(sparse.crimes["Theft"].toarray(), dense.crimes["Theft"].toarray())


def test_crimes_on_an_unobserved_day_and_other_shapes_are_refused() -> None:
    crimes, counts = made(EVERY_DAY)
    with pytest.raises(ValueError, match="not observed"):
        square_counts(counts.units, DAYS, ALTERNATE_WEEKS, {"Theft": crimes})
    with pytest.raises(ValueError, match="for 731 days and"):
        square_counts(counts.units, DAYS, EVERY_DAY, {"Theft": crimes[:, 1:]})


def test_the_chance_of_a_crime_is_that_of_a_poisson_number_above_nought() -> None:
    found = naive_probability([0, 15, 30], 15, 30)
    assert_allclose(found, 1 - np.exp([0, -30, -60]))
    assert_allclose(naive_probability([[2.0, 4.0]], [[10], [20]], 5), 1 - np.exp(
        [[-1.0, -2.0], [-0.5, -1.0]]
    ))  # fmt: skip
    draws = np.random.default_rng(3).poisson(0.02 * 30, 200_000)
    assert float(naive_probability(7.3, 365, 30)) == pytest.approx((draws > 0).mean(), abs=0.005)
    with pytest.raises(ValueError, match="no day"):
        naive_probability([1.0], 0, 30)


@pytest.mark.parametrize("days", WINDOW_DAYS.values(), ids=WINDOW_DAYS)
@pytest.mark.parametrize("observed", [EVERY_DAY, ALTERNATE_WEEKS], ids=["all", "alternate"])
def test_a_window_is_the_rate_of_its_observed_days(days: int, observed: np.ndarray) -> None:
    crimes, _ = made(observed)
    found = window_expectation(csr_array(crimes), observed, 400, days, 16)
    window = slice(400 - days, 400)
    assert_allclose(found, crimes[window].sum(axis=0) * 16 / observed[window].sum())
    # the days at and after the origin are not seen
    crimes[400:] += 1
    assert_array_equal(window_expectation(csr_array(crimes), observed, 400, days, 16), found)


def test_a_window_without_a_day_says_nothing() -> None:
    crimes, _ = made(EVERY_DAY)
    with pytest.raises(NoForecast, match="needs 30 days of history"):
        window_expectation(csr_array(crimes), EVERY_DAY, 29, 30, 30)
    nowhere = np.zeros(len(DAYS), dtype=bool)
    with pytest.raises(NoForecast, match="some of them observed"):
        window_expectation(csr_array(crimes), nowhere, 60, 30, 30)


@pytest.mark.parametrize("rule", GRID_RULES)
def test_every_rule_comes_near_to_the_truth(rule: str) -> None:
    _, counts = made(EVERY_DAY)
    found = naive_probability(rule_expectation(GRID_RULES[rule], counts, "Theft", 30), 1, 1)
    assert found.shape == CELLS.shape
    assert found.min() >= 0
    assert found.max() <= 1
    truth = 1 - np.exp(-30 * RATE)
    assert np.abs(found - truth).mean() < 0.5 * np.abs(truth.mean() - truth).mean()


def test_a_rule_without_enough_days_says_nothing() -> None:
    _, counts = made(EVERY_DAY)
    with pytest.raises(NoForecast, match="needs 15 months"):
        rule_expectation(GRID_RULES["kernel_density"], counts.until(DAYS[400]), "Theft", 30)
