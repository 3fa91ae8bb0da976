"""The Poisson regression, against designs built by hand and dense fits by scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import PoissonRegressor

from crime_assets.forecasting.counts import Counts, HistoryTooShort, Units
from crime_assets.forecasting.forecaster import Forecaster
from crime_assets.forecasting.forecasters.poisson_regression import (
    HALF_LIFE,
    MOST_OF_HIGHEST,
    RATE_SCALE,
    RIDGE,
    Known,
    PoissonRegression,
    Rows,
    learning_rows,
    merged,
    origins,
    regress,
    time_of_year,
)
from crime_assets.lsoa.neighbours import link


def months(count: int) -> list[str]:
    return [f"{2015 + i // 12}-{i % 12 + 1:02d}" for i in range(count)]


def days(count: int) -> list[str]:
    return [str(day) for day in np.datetime64("2020-01-01") + np.arange(count)]


def square_grid(side: int) -> Units:
    at = np.arange(side * side).reshape(side, side)
    one = np.concatenate([at[:, :-1].ravel(), at[:-1].ravel()])
    other = np.concatenate([at[:, 1:].ravel(), at[1:].ravel()])
    return Units("square", at.ravel(), np.ones(at.size), link(at.size, one, other))


def counts_of(units: Units, crimes: np.ndarray, step: str = "month") -> Counts:
    unit, at = np.nonzero(crimes)
    steps = (months if step == "month" else days)(crimes.shape[1])
    return Counts.of(units, steps, {"Burglary": (unit, at, crimes[unit, at])}, step)


def uneven(side: int, steps: int, seed: int) -> np.ndarray:
    """Crimes (units, steps): most units have none, a few many, and there is a season."""
    rng = np.random.default_rng(seed)
    rate = rng.gamma(0.2, 1.5, side * side) * (rng.random(side * side) < 0.4)
    season = 1 + 0.4 * np.sin(2 * np.pi * np.arange(steps) / 12)
    return rng.poisson(np.outer(rate, season))


def dense_design(units: Units, crimes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All units at the last twelve origins: features, targets and weights, written out."""
    near, steps = units.neighbours.toarray(), crimes.shape[1]
    degree = near.sum(axis=1)
    rows, targets, weights = [], [], []
    for origin in range(steps - 12, steps):
        past = crimes[:, :origin]
        mean = [past[:, -span:].mean(axis=1) for span in (1, 3, 12)] + [past.mean(axis=1)]
        mean += [near @ mean[2] / degree, near @ mean[3] / degree]
        had = [past[:, -12:].any(axis=1), past.any(axis=1)]
        angle = 2 * np.pi * ((origin % 12) + 0.5) / 12
        season = [np.full(len(units), np.sin(angle)), np.full(len(units), np.cos(angle))]
        logs = [np.log(1 + RATE_SCALE * each) for each in mean]
        rows.append(np.column_stack([*logs, *had, *season]))
        targets.append(crimes[:, origin])
        weights.append(np.full(len(units), 0.5 ** ((steps - 1 - origin) / HALF_LIFE)))
    return np.concatenate(rows), np.concatenate(targets), np.concatenate(weights)


def test_it_is_a_forecaster() -> None:
    assert isinstance(PoissonRegression(), Forecaster)


@pytest.mark.slow
def test_the_fit_on_merged_rows_is_the_fit_on_all_rows() -> None:
    units, crimes = square_grid(25), uneven(25, 36, seed=1)
    features, target, weight = dense_design(units, crimes)
    rows = learning_rows(counts_of(units, crimes), "Burglary")
    assert rows.seasonal
    assert len(rows.features) < 0.8 * len(features)
    assert rows.weight.sum() == pytest.approx(weight.sum())
    assert rows.weight @ rows.target == pytest.approx(weight @ target)
    model = PoissonRegressor(
        alpha=RIDGE * np.average(target, weights=weight), solver="lbfgs", tol=1e-8, max_iter=10_000
    ).fit(features, target, sample_weight=weight)
    coefficients, intercept = regress(rows)
    np.testing.assert_allclose(coefficients, model.coef_, atol=2e-3)
    assert intercept == pytest.approx(model.intercept_, abs=2e-3)


def test_the_forecast_is_the_fit_at_the_cut_off_times_the_mean_season() -> None:
    units, crimes = square_grid(15), uneven(15, 36, seed=2)
    history = counts_of(units, crimes)
    scores = PoissonRegression().forecast(history, "Burglary", (1, 12))
    coefficients, intercept = regress(learning_rows(history, "Burglary"))
    # a thirteenth origin in the dense design is the cut-off
    now = dense_design(units, np.column_stack([crimes, np.zeros(225)]))[0][-225:]
    next_month = np.exp(now @ coefficients + intercept)
    np.testing.assert_allclose(scores[0], next_month, rtol=1e-4)
    angle = 2 * np.pi * (np.arange(12) + 0.5) / 12
    seasons = np.exp(np.column_stack([np.sin(angle), np.cos(angle)]) @ coefficients[-2:])
    np.testing.assert_allclose(scores[1], next_month * seasons.mean() / seasons[0], rtol=1e-4)


def test_equal_rows_become_one_with_their_mean_and_weight() -> None:
    features = np.array([[1, 2], [0, 0], [1, 2], [-0.0, 0], [5, 5]], dtype=np.float32)
    target, weight = np.array([3.0, 0.0, 6.0, 4.0, 1.0]), np.array([1.0, 3.0, 2.0, 1.0, 0.0])
    distinct, mean, total = merged(features, target, weight)
    found = {tuple(row): (m, w) for row, m, w in zip(distinct, mean, total, strict=True)}
    assert found == {(1.0, 2.0): (5.0, 3.0), (0.0, 0.0): (1.0, 4.0)}


def test_a_subsample_stands_for_all_units() -> None:
    units, crimes = square_grid(100), uneven(100, 36, seed=3)
    history = counts_of(units, crimes)
    every, some = (learning_rows(history, "Burglary", most) for most in (10**9, 20_000))
    assert len(some.features) < 20_000 < len(every.features)
    assert some.weight.sum() == pytest.approx(every.weight.sum())
    assert some.weight @ some.target == pytest.approx(every.weight @ every.target, rel=0.05)
    all_rows = PoissonRegression(most_rows=10**9).forecast(history, "Burglary", (1,))[0]
    few_rows = PoissonRegression(most_rows=20_000).forecast(history, "Burglary", (1,))[0]
    assert np.corrcoef(all_rows, few_rows)[0, 1] > 0.99


def test_the_rows_are_few_however_many_units_have_no_crime() -> None:
    crimes = np.zeros((40_000, 30), dtype=int)
    crimes[20_100] = 1
    rows = learning_rows(counts_of(square_grid(200), crimes), "Burglary")
    # the unit, those beside it, and all others, at each of twelve origins
    assert len(rows.features) == 36
    assert rows.weight.sum() == pytest.approx(40_000 * (0.5 ** (np.arange(12) / HALF_LIFE)).sum())


def test_rates_known_are_those_of_the_last_steps_at_every_origin() -> None:
    units, crimes = square_grid(6), uneven(6, 30, seed=4)
    known = Known(counts_of(units, crimes), "Burglary")
    for origin in (2, 5, 14, 15, 30):
        known.move(origin)
        for sums, span in zip(known.sums, (1, 3, 12, 30), strict=True):
            np.testing.assert_array_equal(
                sums, crimes[:, max(0, origin - span) : origin].sum(axis=1)
            )


def test_targets_end_at_the_cut_off() -> None:
    history = counts_of(square_grid(3), np.ones((9, 36)))
    assert origins(history) == list(range(24, 36))
    daily = counts_of(square_grid(3), np.ones((9, 800)), step="day")
    assert origins(daily)[-1] + 7 == 800
    assert min(origins(daily)) >= 360


def test_the_exponents_of_a_log_linear_process_are_found() -> None:
    rng = np.random.default_rng(5)
    features = rng.normal(size=(50_000, 2))
    target = rng.poisson(np.exp(0.7 * features[:, 0] - 0.3 * features[:, 1] - 1)).astype(float)
    coefficients, intercept = regress(Rows(features, target, np.ones(50_000), False))
    np.testing.assert_allclose(coefficients, [0.7, -0.3], atol=0.02)
    assert intercept == pytest.approx(-1, abs=0.02)


def test_a_season_common_to_all_units_is_found() -> None:
    rng = np.random.default_rng(6)
    season = 1 + 0.5 * np.sin(2 * np.pi * (np.arange(42) + 0.5) / 12)
    crimes = rng.poisson(np.outer(rng.gamma(2.0, 1.0, 900), season))
    history = counts_of(square_grid(30), crimes)
    spring = PoissonRegression().forecast(history.until(history.steps[35]), "Burglary", (1, 3))
    autumn = PoissonRegression().forecast(history, "Burglary", (1, 3))
    # the next three months are January to March, then July to September
    assert spring[1].sum() > 1.5 * autumn[1].sum()
    assert spring[1].sum() == pytest.approx(2 * 900 * season[:3].mean(), rel=0.2)


def test_the_time_of_year_of_a_day_is_that_of_its_month() -> None:
    monthly = counts_of(square_grid(2), np.ones((4, 13)))
    daily = counts_of(square_grid(2), np.ones((4, 366)), step="day")
    mid_may = (np.datetime64("2020-05-16") - np.datetime64("2020-01-01")).astype(int)
    np.testing.assert_allclose(
        time_of_year(daily, np.array([mid_may])), time_of_year(monthly, np.array([4])), atol=0.02
    )
    np.testing.assert_allclose(
        time_of_year(monthly, np.array([16])), time_of_year(monthly, np.array([4])), atol=1e-9
    )


def test_no_unit_is_expected_to_go_far_beyond_experience() -> None:
    crimes = uneven(20, 36, seed=7)
    crimes[:, -1] *= 500
    scores = PoissonRegression().forecast(counts_of(square_grid(20), crimes), "Burglary", (1, 12))
    assert np.isfinite(scores).all()
    assert scores.max() <= MOST_OF_HIGHEST * crimes.max() * (1 + 1e-6)


def test_units_without_crimes_are_expected_to_have_least() -> None:
    units, crimes = square_grid(25), uneven(25, 36, seed=8)
    scores = PoissonRegression().forecast(counts_of(units, crimes), "Burglary", (1,))[0]
    none = crimes.sum(axis=1) == 0
    assert 0 < scores[none].mean() < 0.1 * scores[~none].mean()


@pytest.mark.parametrize("where", [(), (0,), (35,)])
def test_a_crime_type_with_hardly_a_crime_gives_finite_scores(where: tuple[int, ...]) -> None:
    crimes = np.zeros((25, 36))
    crimes[12, list(where)] = 1
    scores = PoissonRegression().forecast(counts_of(square_grid(5), crimes), "Burglary", (1, 3))
    assert scores.shape == (2, 25)
    assert np.isfinite(scores).all()
    if not where:
        np.testing.assert_array_equal(scores, 0)


@pytest.mark.parametrize(("steps", "seasonal"), [(2, False), (5, False), (23, False), (24, True)])
def test_less_than_two_years_know_no_season(steps: int, seasonal: bool) -> None:
    crimes = np.random.default_rng(9).poisson(1.0, (100, steps))
    history = counts_of(square_grid(10), crimes)
    assert learning_rows(history, "Burglary").seasonal is seasonal
    scores = PoissonRegression().forecast(history, "Burglary", (1, 12))
    assert scores.shape == (2, 100)
    assert scores[0].mean() == pytest.approx(1.0, abs=0.4)


def test_one_step_is_too_short() -> None:
    history = counts_of(square_grid(3), np.ones((9, 1)))
    with pytest.raises(HistoryTooShort, match="2 months are needed"):
        PoissonRegression().forecast(history, "Burglary", (1,))


def test_days_are_forecast_as_crimes_a_day() -> None:
    rng = np.random.default_rng(10)
    crimes = rng.poisson(np.repeat(rng.gamma(0.5, 0.2, 100)[:, None], 760, axis=1))
    history = counts_of(square_grid(10), crimes, step="day")
    scores = PoissonRegression().forecast(history, "Burglary", (1, 7, 30))
    assert scores.shape == (3, 100)
    assert scores[0].mean() == pytest.approx(crimes.mean(), rel=0.15)
    assert np.corrcoef(scores[0], crimes.mean(axis=1))[0, 1] > 0.95


def test_the_same_history_gives_the_same_scores() -> None:
    history = counts_of(square_grid(40), uneven(40, 36, seed=11))
    model = PoissonRegression(most_rows=3_000)
    first, again = (model.forecast(history, "Burglary", (1, 3)) for _ in range(2))
    np.testing.assert_array_equal(first, again)


def test_the_order_of_units_does_not_matter() -> None:
    units, crimes = square_grid(12), uneven(12, 36, seed=12)
    order = np.random.default_rng(13).permutation(144)
    moved = Units(
        "square", units.ids, units.size, units.neighbours.tocsr()[order][:, order].tocsr()
    )
    scores = PoissonRegression().forecast(counts_of(units, crimes), "Burglary", (1, 3))
    after = PoissonRegression().forecast(counts_of(moved, crimes[order]), "Burglary", (1, 3))
    np.testing.assert_allclose(after, scores[:, order], rtol=1e-4)
