"""The self-exciting point process, against processes whose parameters are known."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from crime_assets.forecasting.counts import Counts, HistoryTooShort, Units
from crime_assets.forecasting.forecaster import Forecaster
from crime_assets.forecasting.forecasters.point_process import (
    MOST_BRANCHING,
    Excitation,
    PointProcess,
    diffusion,
    excite,
    expect,
    growth,
    kept_after,
    rings_around,
)
from crime_assets.lsoa.neighbours import link


def months(count: int) -> list[str]:
    return [f"{2015 + i // 12}-{i % 12 + 1:02d}" for i in range(count)]


def days(count: int) -> list[str]:
    return [str(day) for day in np.datetime64("2020-01-01") + np.arange(count)]


def square_grid(side: int, wrapped: bool = False) -> Units:
    """Squares with four neighbours each; ``wrapped``: those on the edge too."""
    at = np.arange(side * side).reshape(side, side)
    pairs = [(at[:, :-1], at[:, 1:]), (at[:-1], at[1:])]
    if wrapped:
        pairs += [(at[:, -1], at[:, 0]), (at[-1], at[0])]
    one, other = (np.concatenate([pair[i].ravel() for pair in pairs]) for i in (0, 1))
    return Units("square", at.ravel(), np.ones(at.size), link(at.size, one, other))


def counts_of(units: Units, crimes: np.ndarray, step: str = "month") -> Counts:
    unit, at = np.nonzero(crimes)
    steps = (months if step == "month" else days)(crimes.shape[1])
    return Counts.of(units, steps, {"Burglary": (unit, at, crimes[unit, at])}, step)


def simulated(
    units: Units,
    background: np.ndarray,
    kernel: np.ndarray,
    steps: int,
    seed: int,
) -> np.ndarray:
    """Crimes (n, steps) of a process with one lag a bar; ``kernel`` is (rings, lags)."""
    rng = np.random.default_rng(seed)
    rings = [ring.toarray() for ring in rings_around(units.neighbours, len(kernel))]
    burn_in, lags = 50, kernel.shape[1]
    crimes = np.zeros((len(units), burn_in + steps))
    for t in range(lags, crimes.shape[1]):
        rate = background.copy()
        for ring, weights in zip(rings, kernel, strict=True):
            for lag, weight in enumerate(weights, 1):
                rate += weight * (ring @ crimes[:, t - lag])
        crimes[:, t] = rng.poisson(rate)
    return crimes[:, burn_in:]


LAGS = ((1, 1), (2, 2))
KERNEL = np.array([[0.25, 0.10], [0.04, 0.01]])


@pytest.fixture(scope="module")
def planted() -> tuple[Counts, np.ndarray]:
    units = square_grid(18, wrapped=True)
    background = np.random.default_rng(3).gamma(2.0, 0.1, len(units))
    return counts_of(units, simulated(units, background, KERNEL, 240, seed=4)), background


def test_it_is_a_forecaster() -> None:
    assert isinstance(PointProcess(), Forecaster)


def test_a_planted_kernel_and_background_are_found(planted: tuple[Counts, np.ndarray]) -> None:
    history, background = planted
    fitted = excite(history, "Burglary", LAGS, rings=2)
    np.testing.assert_allclose(fitted.kernel, KERNEL, atol=0.02)
    # four neighbours: 0.35 + 4 * 0.05
    assert fitted.branching == pytest.approx(0.55, abs=0.05)
    assert fitted.background.mean() == pytest.approx(background.mean(), rel=0.1)
    assert np.corrcoef(fitted.background, background)[0, 1] > 0.9


def test_lags_of_one_bar_share_a_value() -> None:
    units = square_grid(15)
    kernel = np.array([[0.1, 0.1, 0.1, 0.1]])
    crimes = simulated(units, np.full(len(units), 0.2), kernel, 200, seed=5)
    fitted = excite(counts_of(units, crimes), "Burglary", ((1, 1), (2, 4)), rings=1)
    np.testing.assert_allclose(fitted.kernel, [[0.1, 0.1]], atol=0.02)


@pytest.mark.parametrize("uneven", [False, True])
def test_crimes_that_lead_to_none_excite_next_to_nothing(uneven: bool) -> None:
    units = square_grid(20)
    rng = np.random.default_rng(6)
    rate = rng.gamma(0.5, 1.0, len(units)) if uneven else np.full(len(units), 0.5)
    crimes = rng.poisson(np.repeat(rate[:, None], 48, axis=1))
    fitted = excite(counts_of(units, crimes), "Burglary", LAGS, rings=2)
    assert fitted.branching < 0.08


def test_without_leaving_a_bin_out_the_background_takes_what_the_kernel_is_owed() -> None:
    units = square_grid(18)
    crimes = simulated(units, np.full(len(units), 0.2), np.array([[0.3]]), 24, seed=7)
    history = counts_of(units, crimes)
    left_out = excite(history, "Burglary", ((1, 1),), rings=1)
    free = excite(history, "Burglary", ((1, 1),), rings=1, rounds=(0,), leave_out=False)
    assert left_out.kernel[0, 0] == pytest.approx(0.3, abs=0.05)
    assert free.kernel[0, 0] < 0.25


def test_the_likelihood_never_falls_where_the_background_is_free(
    planted: tuple[Counts, np.ndarray],
) -> None:
    history, _ = planted
    fitted = excite(
        history, "Burglary", LAGS, 2, rounds=(0,), leave_out=False, iterations=80, tolerance=0
    )
    assert len(fitted.log_likelihoods) == 80
    least = -1e-9 * abs(fitted.log_likelihoods[0])
    assert all(after - before >= least for before, after in pairwise(fitted.log_likelihoods))


def test_the_likelihood_is_that_of_poisson_counts() -> None:
    units = square_grid(6)
    crimes = np.random.default_rng(8).poisson(0.4, (36, 10))
    history = counts_of(units, crimes)
    fit = {"rings": 2, "rounds": (0,), "leave_out": False, "tolerance": 0}
    # the parameters after k iterations are those that iteration k + 1 judges
    fitted = excite(history, "Burglary", LAGS, iterations=5, **fit)
    judged = excite(history, "Burglary", LAGS, iterations=6, **fit).log_likelihoods[-1]
    first = crimes[:, :2].sum(axis=1)
    shared = (fitted.background * 10).sum() / crimes.sum()
    # undo what the first two months added to the background
    background = (fitted.background * 10 - first * shared) / 8
    near = units.neighbours.toarray()
    expected = 0.0
    for t in range(2, 10):
        rate = background.copy()
        for lag in (1, 2):
            rate += fitted.kernel[0, lag - 1] * crimes[:, t - lag]
            rate += fitted.kernel[1, lag - 1] * (near @ crimes[:, t - lag])
        expected += (crimes[:, t] * np.log(rate) - rate).sum()
    assert judged == pytest.approx(expected, rel=1e-5)


def test_the_rings_of_a_square_are_those_at_one_and_two_steps() -> None:
    rings = rings_around(square_grid(5).neighbours, 3)
    centre = 12
    assert [np.flatnonzero(ring.toarray()[centre]).tolist() for ring in rings] == [
        [12],
        [7, 11, 13, 17],
        [2, 6, 8, 10, 14, 16, 18, 22],
    ]
    assert all(set(ring.data) == {1.0} for ring in rings)


def test_diffusion_loses_no_crime_and_leaves_the_lonely_alone() -> None:
    neighbours = link(4, [0, 1], [1, 2])
    crimes = np.array([4.0, 0.0, 0.0, 7.0])
    np.testing.assert_allclose(diffusion(neighbours) @ crimes, [2, 2, 0, 7])
    assert (diffusion(neighbours) @ (diffusion(neighbours) @ crimes)).sum() == 11


@pytest.mark.parametrize("rounds", [0, 1, 2, 3, 4, 5])
def test_what_a_unit_keeps_is_the_diagonal_of_the_power(rounds: int) -> None:
    matrix = diffusion(square_grid(4).neighbours)
    power = np.linalg.matrix_power(matrix.toarray().astype(float), rounds)
    np.testing.assert_allclose(kept_after(matrix, rounds), np.diag(power), rtol=1e-6)


def test_growth_bounds_the_spectral_radius_closely() -> None:
    rings = rings_around(square_grid(6).neighbours, 3)
    weights = np.array([0.3, 0.05, 0.02])
    dense = sum(weight * ring.toarray() for ring, weight in zip(rings, weights, strict=True))
    radius = np.abs(np.linalg.eigvalsh(dense)).max()
    assert radius <= growth(rings, weights) < radius * 1.02


def test_a_kernel_that_would_explode_is_scaled_down() -> None:
    units = square_grid(4)
    crimes = np.outer(np.ones(16), np.floor(1.5 ** np.arange(16)))
    fitted = excite(counts_of(units, crimes), "Burglary", ((1, 1),), rings=1)
    assert fitted.branching > 1
    assert fitted.kernel[0, 0] == pytest.approx(MOST_BRANCHING, rel=1e-6)
    scores = PointProcess().forecast(counts_of(units, crimes), "Burglary", (1, 120))
    assert np.isfinite(scores).all()
    assert scores.max() < 2 * crimes.max()


def test_expectations_are_fed_back_as_if_they_were_crimes() -> None:
    units = square_grid(2)
    crimes = np.zeros((4, 3))
    crimes[0, 1:] = [8, 4]  # unit 0 touches 1 and 2
    history = counts_of(units, crimes)
    kernel = np.array([[0.5, 0.25], [0.125, 0.0]])
    fitted = Excitation(np.ones(4), kernel, LAGS, np.ones(1), 0.0, ())
    # next: 1 + 0.5 * 4 + 0.25 * 8 = 5 in unit 0, 1 + 0.125 * 4 = 1.5 beside it, 1 across
    first = np.array([5.0, 1.5, 1.5, 1.0])
    # then 1 + 0.5 * 5 + 0.25 * 4 + 0.125 * (1.5 + 1.5) in unit 0
    second = np.array([4.875, 1 + 0.75 + 0.75, 1 + 0.75 + 0.75, 1 + 0.5 + 0.375])
    scores = expect(fitted, history, "Burglary", (1, 2))
    np.testing.assert_allclose(scores, [first, (first + second) / 2])


def test_bars_of_many_lags_sum_them_at_every_step_ahead() -> None:
    units = square_grid(3)
    crimes = np.random.default_rng(9).poisson(1.0, (9, 12)).astype(float)
    kernel = np.array([[0.3, 0.05, 0.02], [0.01, 0.02, 0.01]])
    lags = ((1, 1), (2, 3), (4, 8))
    fitted = Excitation(np.full(9, 0.2), kernel, lags, np.ones(1), 0.0, ())
    near = units.neighbours.toarray()
    known = crimes.copy()
    for _ in range(20):
        rate = np.full(9, 0.2)
        for bar, (first, last) in enumerate(lags):
            recent = known[:, known.shape[1] - last : known.shape[1] - first + 1].sum(axis=1)
            rate += kernel[0, bar] * recent + kernel[1, bar] * (near @ recent)
        known = np.column_stack([known, rate])
    scores = expect(fitted, counts_of(units, crimes), "Burglary", (20, 1, 7))
    expected = [known[:, 12 : 12 + horizon].mean(axis=1) for horizon in (20, 1, 7)]
    np.testing.assert_allclose(scores, expected, rtol=1e-5)


def test_a_crime_type_without_a_crime_scores_nought() -> None:
    history = counts_of(square_grid(5), np.zeros((25, 24)))
    scores = PointProcess().forecast(history, "Burglary", (1, 3))
    np.testing.assert_array_equal(scores, np.zeros((2, 25)))


@pytest.mark.parametrize("at", [0, 23])
def test_a_single_crime_gives_finite_scores(at: int) -> None:
    crimes = np.zeros((25, 24))
    crimes[12, at] = 1
    scores = PointProcess().forecast(counts_of(square_grid(5), crimes), "Burglary", (1, 12))
    assert np.isfinite(scores).all()
    assert scores.argmax(axis=1).tolist() == [12, 12]
    assert scores[1].sum() == pytest.approx(1 / 24, rel=0.5)


def test_a_short_history_has_the_lags_that_fit_into_less_than_half() -> None:
    crimes = np.random.default_rng(10).poisson(0.5, (25, 12))
    history = counts_of(square_grid(5), crimes)
    for steps in (2, 4, 12):
        short = history.until(history.cut_off, steps)
        scores = PointProcess().forecast(short, "Burglary", (1,))
        assert scores.shape == (1, 25)
        assert scores.sum() == pytest.approx(crimes[:, -steps:].mean(axis=1).sum(), rel=0.5)


def test_lags_longer_than_the_history_are_told_of() -> None:
    history = counts_of(square_grid(3), np.ones((9, 5)))
    with pytest.raises(HistoryTooShort, match=r"lags of up to 4 months need 6; there are 5"):
        excite(history, "Burglary", ((1, 4),))


def test_days_have_bars_that_widen() -> None:
    crimes = np.random.default_rng(11).poisson(0.05, (64, 400))
    history = counts_of(square_grid(8), crimes, step="day")
    scores = PointProcess().forecast(history, "Burglary", (1, 7, 30))
    assert scores.shape == (3, 64)
    assert scores.mean() == pytest.approx(crimes.mean(), rel=0.1)


def test_the_same_history_gives_the_same_scores(planted: tuple[Counts, np.ndarray]) -> None:
    history, _ = planted
    first, again = (PointProcess().forecast(history, "Burglary", (1, 3)) for _ in range(2))
    np.testing.assert_array_equal(first, again)


def test_the_order_of_units_does_not_matter() -> None:
    units = square_grid(8)
    crimes = np.random.default_rng(12).poisson(0.3, (64, 30))
    order = np.random.default_rng(13).permutation(64)
    moved = Units(
        "square", units.ids, units.size, units.neighbours.tocsr()[order][:, order].tocsr()
    )
    scores = PointProcess().forecast(counts_of(units, crimes), "Burglary", (1, 12))
    after = PointProcess().forecast(counts_of(moved, crimes[order]), "Burglary", (1, 12))
    np.testing.assert_allclose(after, scores[:, order], rtol=1e-4)
