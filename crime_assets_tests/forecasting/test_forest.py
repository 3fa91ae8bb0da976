"""The random forest: what it is told, what it learns, and that nothing else matters."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_array

from crime_assets.forecasting.counts import Counts, HistoryTooShort, Units
from crime_assets.forecasting.forecasters.forest import SPANS, RandomForest, features
from crime_assets.lsoa.neighbours import link
from crime_assets.register import ALL_CRIME
from crime_assets_tests.forecasting.test_forecasters import square_grid


def counts_of(
    neighbours: csr_array, size: NDArray | float = 1.0, **types: NDArray[np.integer]
) -> Counts:
    """Counts (n, steps) of types, and of all crime, their sum; months from 2020-01."""
    n, steps = next(iter(types.values())).shape
    units = Units("square", np.arange(n), np.broadcast_to(size, n).astype(float), neighbours)
    tables = types | {ALL_CRIME: sum(types.values())}
    months = [f"{2020 + m // 12}-{m % 12 + 1:02}" for m in range(steps)]
    rows = {name: (*np.nonzero(table), table[np.nonzero(table)]) for name, table in tables.items()}
    return Counts.of(units, months, rows)


def uneven(n: int, steps: int, seed: int) -> NDArray[np.integer]:
    """Poisson crimes (n, steps) with rates that are far apart and stay."""
    rng = np.random.default_rng(seed)
    return rng.poisson(rng.gamma(0.4, 3.0, (n, 1)), (n, steps))


def test_features_are_rates_here_and_next_door_of_the_type_and_of_all_crime() -> None:
    neighbours = link(3, [0], [1])  # the third touches none
    drugs = np.array([[1, 2, 3, 9], [0, 4, 0, 9], [5, 5, 5, 9]])
    other = np.array([[1, 1, 1, 9], [0, 0, 2, 9], [0, 0, 0, 9]])
    history = counts_of(neighbours, np.array([1.0, 2, 3]), Drugs=drugs, Other=other)
    found = features(history, "Drugs", (1, 3), before=1)
    np.testing.assert_allclose(
        found,
        [
            # last month, its neighbours', three months, its neighbours'; the same of all; the size
            [3, 0, 2, 4 / 3, 4, 2, 3, 2, 0.5],
            [0, 3, 4 / 3, 2, 2, 4, 2, 3, 1.0],
            [5, 0, 5, 0, 5, 0, 5, 0, 1.5],
        ],
        rtol=1e-6,
    )
    assert features(history, ALL_CRIME, (1, 3), before=1).shape == (3, 5)  # all crime once


def test_places_that_stay_hot_are_expected_to() -> None:
    crimes = uneven(900, 37, seed=1)
    history = counts_of(square_grid(30), Drugs=crimes[:, :36])
    scores = RandomForest().forecast(history, "Drugs", (1, 12))
    assert scores.shape == (2, 900)
    expected = crimes[:, :36].mean(axis=1)
    assert np.corrcoef(scores[0], expected)[0, 1] > 0.9
    assert scores.sum(axis=1) == pytest.approx([expected.sum()] * 2, rel=0.1)


def test_a_rule_of_the_past_is_found_that_no_mean_knows() -> None:
    # what was hot in the last month is cold in the next, and the other way round
    rng = np.random.default_rng(2)
    first = rng.integers(0, 2, 400)
    crimes = rng.poisson(np.where((first[:, None] + np.arange(36)) % 2, 9.0, 1.0))
    scores = RandomForest().forecast(counts_of(link(400, [], []), Drugs=crimes), "Drugs", (1,))[0]
    hot_last = (first + 35) % 2 == 1
    assert scores[~hot_last].mean() > 5 * scores[hot_last].mean()


def test_a_horizon_is_learnt_from_as_many_steps_before_the_cut_off() -> None:
    crimes = uneven(300, 36, seed=3)
    crimes[:, 33:] += 40  # three months in which all is worse
    history = counts_of(square_grid(20).tocsr()[:300][:, :300].tocsr(), Drugs=crimes)
    next_three, next_year = RandomForest().forecast(history, "Drugs", (3, 12))
    assert next_three.mean() > 30
    assert 5 < next_year.mean() < 30


def test_units_without_a_crime_in_sight_have_the_mean_of_their_like() -> None:
    crimes = uneven(400, 36, seed=4)
    crimes[200:] = 0
    crimes[[250, 300], 35] = 1  # two of the 200 had their first crime in the last month
    scores = RandomForest().forecast(counts_of(link(400, [], []), Drugs=crimes), "Drugs", (1,))[0]
    none = crimes.sum(axis=1) == 0
    like = ~crimes[:, :35][:, -24:].any(axis=1)
    assert scores[none] == pytest.approx(crimes[like, 35].mean())
    assert 0 < scores[none].max() < scores[~none].mean()


def test_the_order_of_the_units_plays_no_part() -> None:
    crimes, size = uneven(225, 36, seed=5), np.random.default_rng(5).uniform(1, 4, 225)
    around, order = square_grid(15), np.random.default_rng(6).permutation(225)
    one = RandomForest().forecast(counts_of(around, size, Drugs=crimes), "Drugs", (1, 3))
    moved = counts_of(around[order][:, order].tocsr(), size[order], Drugs=crimes[order])
    np.testing.assert_allclose(RandomForest().forecast(moved, "Drugs", (1, 3)), one[:, order])


def test_spans_that_reach_beyond_what_is_known_are_left_out() -> None:
    crimes = uneven(100, 24, seed=7)
    history = counts_of(square_grid(10), Drugs=crimes)
    assert max(SPANS["month"]) > 24 - 12
    assert np.isfinite(RandomForest().forecast(history, "Drugs", (12, 23))).all()
    with pytest.raises(HistoryTooShort, match="what 24 months bring, 25 are needed; there are 24"):
        RandomForest().forecast(history, "Drugs", (24,))
