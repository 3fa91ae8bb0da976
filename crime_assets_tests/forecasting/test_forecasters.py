"""The baselines: worked by hand, and against pandas and dense matrices."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array
from sklearn.metrics import mean_poisson_deviance

from crime_assets.forecasting.counts import DAY, MONTH, Counts, HistoryTooShort, Units
from crime_assets.forecasting.forecaster import Forecaster
from crime_assets.forecasting.forecasters.kernel_density import KernelDensity, spread
from crime_assets.forecasting.forecasters.past import least_deviance
from crime_assets.forecasting.forecasters.prospective import ProspectiveHotspotting
from crime_assets.forecasting.forecasters.rolling import (
    Chance,
    ExponentialMean,
    HotspotFrequency,
    PerfectForesight,
    RollingMean,
    SameMonthLastYear,
    hottest,
)
from crime_assets.lsoa.neighbours import link

TYPE = "Burglary"


def history(
    table: ArrayLike,
    neighbours: csr_array | None = None,
    size: ArrayLike | None = None,
    step: str = MONTH,
) -> Counts:
    """Counts of one crime type from a table (units, steps); months from 2020-01, or days."""
    table = np.asarray(table)
    n, length = table.shape
    units = Units(
        "square",
        np.arange(n),
        np.ones(n) if size is None else np.asarray(size, dtype=float),
        link(n, [], []) if neighbours is None else neighbours,
    )
    if step == DAY:
        steps = [(date(2020, 1, 1) + timedelta(days=d)).isoformat() for d in range(length)]
    else:
        steps = [f"{2020 + m // 12}-{m % 12 + 1:02}" for m in range(length)]
    unit, at = np.nonzero(table)
    return Counts.of(units, steps, {TYPE: (unit, at, table[unit, at])}, step)


def forecast(forecaster: Forecaster, past: Counts, horizons: Sequence[int] = (1, 3)) -> NDArray:
    return np.asarray(forecaster.forecast(past, TYPE, horizons))


def square_grid(side: int) -> csr_array:
    """Squares that touch those to the north, south, east and west."""
    ids = np.arange(side * side).reshape(side, side)
    one = np.concatenate([ids[:-1].ravel(), ids[:, :-1].ravel()])
    other = np.concatenate([ids[1:].ravel(), ids[:, 1:].ravel()])
    return link(side * side, one, other)


# --- Rolling mean ---------------------------------------------------------------------------


def test_the_rolling_mean_is_that_of_the_last_months() -> None:
    past = history([[9, 1, 0, 2], [0, 3, 3, 0], [5, 0, 0, 0]])
    np.testing.assert_allclose(forecast(RollingMean(months=3), past), [1, 2, 0])
    np.testing.assert_allclose(forecast(RollingMean(months=1), past), [2, 0, 0])
    np.testing.assert_allclose(forecast(RollingMean(months=4), past), [3, 1.5, 1.25])


def test_a_rolling_month_of_days_is_thirty_of_them() -> None:
    days = np.zeros((2, 40), dtype=int)
    days[0, 10] = 6  # 30 days ago, counting the cut-off as one
    days[1, 9] = 6
    np.testing.assert_allclose(forecast(RollingMean(months=1), history(days, step=DAY)), [0.2, 0])


def test_a_history_of_fewer_months_is_refused() -> None:
    assert RollingMean(months=3).least_months == 3
    with pytest.raises(HistoryTooShort, match="3 months up to 2020-02"):
        forecast(RollingMean(months=3), history([[1, 2]]))


# --- Same month last year -------------------------------------------------------------------


def test_the_same_months_last_year_are_those_before_each_horizon() -> None:
    # 2020-01 to 2021-02, each month its own number of crimes; the horizons begin in 2021-03
    past = history([list(range(1, 15)), [0] * 14])
    found = forecast(SameMonthLastYear(), past, (1, 3, 12))
    assert found.shape == (3, 2)
    # March 2020; March to May; March 2020 to February 2021
    np.testing.assert_allclose(found[:, 0], [3, (3 + 4 + 5) / 3, sum(range(3, 15)) / 12])
    np.testing.assert_allclose(found[:, 1], 0)


def test_the_same_day_last_year_is_the_same_weekday() -> None:
    length = 400
    table = np.zeros((1, length), dtype=int)
    table[0] = np.arange(1, length + 1)
    past = history(table, step=DAY)
    cut_off = date.fromisoformat(past.cut_off)
    found = forecast(SameMonthLastYear(), past, (1, 7, 30))[:, 0]
    for horizon, mean in zip((1, 7, 30), found, strict=True):
        days = [cut_off + timedelta(days=d) for d in range(1, horizon + 1)]
        before = [day - timedelta(days=364) for day in days]
        assert [d.weekday() for d in before] == [d.weekday() for d in days]
        numbers = [(day - date(2020, 1, 1)).days + 1 for day in before]
        assert mean == pytest.approx(np.mean(numbers))


@pytest.mark.parametrize("step", [MONTH, DAY])
def test_the_least_history_reaches_back_a_year(step: str) -> None:
    months = SameMonthLastYear().least_months
    table = np.ones((2, months * (1 if step == MONTH else 30)), dtype=int)
    np.testing.assert_allclose(forecast(SameMonthLastYear(), history(table, step=step)), 1)


# --- Exponentially weighted mean ------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1_000), st.sampled_from([0.5, 1.0, 3.0, 12.0]))
def test_the_exponential_mean_of_one_half_life_is_that_of_pandas(
    seed: int, half_life: float
) -> None:
    table = np.random.default_rng(seed).poisson(0.7, (5, 14))
    found = forecast(ExponentialMean(half_lives=(half_life,)), history(table))
    expected = pd.DataFrame(table.T).ewm(halflife=half_life, adjust=True).mean().iloc[-1]
    np.testing.assert_allclose(found, expected)


def test_the_half_life_is_in_months_of_thirty_days() -> None:
    table = np.random.default_rng(3).poisson(0.1, (5, 300))
    found = forecast(ExponentialMean(half_lives=(2.0,)), history(table, step=DAY))
    expected = pd.DataFrame(table.T).ewm(halflife=60, adjust=True).mean().iloc[-1]
    np.testing.assert_allclose(found, expected)


def chosen_half_life(past: Counts) -> float:
    found = forecast(ExponentialMean(), past)
    (half_life,) = [
        h
        for h in ExponentialMean().half_lives
        if np.array_equal(forecast(ExponentialMean(half_lives=(h,)), past), found)
    ]
    return half_life


def test_a_long_half_life_is_chosen_where_nothing_changes() -> None:
    random = np.random.default_rng(1)
    rate = random.gamma(0.5, 2.0, 3_000)
    assert chosen_half_life(history(random.poisson(rate[:, None], (3_000, 48)))) == 24


def test_a_short_half_life_is_chosen_after_a_change() -> None:
    random = np.random.default_rng(1)
    rate = np.repeat(random.gamma(0.5, 20.0, (3_000, 1)), 48, axis=1)
    rate[:, -5:] = random.permutation(rate[:, 0])[:, None]  # five months ago all moved elsewhere
    assert chosen_half_life(history(random.poisson(rate))) <= 2


def test_the_chosen_candidate_has_the_least_deviance_over_three_held_out_months() -> None:
    table = np.random.default_rng(6).poisson(0.8, (40, 20))
    past = history(table)

    def means(before: int) -> list[NDArray]:
        return [table[:, : 20 - before][:, -m:].mean(axis=1) for m in (1, 3, 12)]

    deviances = np.zeros(3)
    for held_out in (17, 18, 19):
        for position, months in enumerate((1, 3, 12)):
            expected = table[:, held_out - months : held_out].mean(axis=1)
            mixed = 0.99 * expected + 0.01 * expected.mean()
            deviances[position] += mean_poisson_deviance(table[:, held_out], mixed)
    assert least_deviance(past, TYPE, means) == int(np.argmin(deviances))
    # the first of equals
    assert least_deviance(past, TYPE, lambda before: [np.ones(40)] * 2) == 0
    with pytest.raises(ValueError, match="no month is held out"):
        least_deviance(past, TYPE, means, trials=0)


def test_a_held_out_month_of_days_is_thirty_of_them() -> None:
    table = np.random.default_rng(7).poisson(0.2, (30, 200))
    asked = []

    def constant(before: int) -> list[NDArray]:
        asked.append(before)
        return [np.full(30, 0.5), np.full(30, 0.2), np.full(30, 6.0)]

    # a score is crimes a day: 0.2 of them, not the 6 a month
    assert least_deviance(history(table, step=DAY), TYPE, constant) == 1
    assert asked == [90, 60, 30]


# --- Hotspot frequency ----------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 10_000),
    st.integers(6, 14),
    st.sampled_from([0.001, 0.1, 0.25, 0.5]),
    st.booleans(),
)
def test_hotspot_frequency_is_that_of_rolling_windows_in_pandas(
    seed: int, months: int, share: float, equal: bool
) -> None:
    random = np.random.default_rng(seed)
    table = random.poisson(0.25, (20, months))  # ties at k, and windows with fewer than k hot units
    size = np.ones(20) if equal else random.choice([1.0, 2.0, 4.0], 20)
    found = forecast(HotspotFrequency(share=share), history(table, size=size))
    k = max(1, int(share * 20))
    sums = pd.DataFrame(table).T.rolling(3).sum().dropna() / size
    hits = pd.Series(0.0, index=range(20))
    for _, window in sums.iterrows():
        first = window[window > 0].sort_values(ascending=False, kind="stable").index[:k]
        hits[first] += 1
    assert len(sums) == months - 2
    np.testing.assert_allclose(found, hits / len(sums))


def test_hotspot_frequency_of_few_windows_is_as_worked_by_hand() -> None:
    # three-month sums: unit 0 has 2, 2, 2; unit 1 has 2, 1, 3; unit 2 has 0, 3, 3
    past = history([[1, 0, 1, 1, 0], [2, 0, 0, 1, 2], [0, 0, 0, 3, 0]])
    # so one of each window: unit 0 before 1, then 2, then unit 1 before 2
    found = forecast(HotspotFrequency(share=0.34), past)
    np.testing.assert_allclose(found, [1 / 3, 1 / 3, 1 / 3])


def test_windows_of_days_move_by_thirty() -> None:
    table = np.zeros((3, 6 * 30), dtype=int)
    table[1, 0] = 1  # in the first of four windows of 90 days only
    table[2, -1] = 1  # in the last one only
    found = forecast(HotspotFrequency(), history(table, step=DAY))
    np.testing.assert_allclose(found, [0, 1 / 4, 1 / 4])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=20), st.integers(1, 25))
def test_the_hottest_are_above_nought_and_equal_ones_by_position(scores: list[int], k: int) -> None:
    expected = sorted(range(len(scores)), key=lambda unit: (-scores[unit], unit))[:k]
    expected = sorted(unit for unit in expected if scores[unit] > 0)
    assert hottest(np.array(scores, dtype=float), k).tolist() == expected


# --- Kernel density -------------------------------------------------------------------------


def giving(neighbours: csr_array, share: float = 0.5) -> NDArray:
    """The dense matrix of one round: column u says where the crimes of unit u go."""
    touching = neighbours.toarray().astype(float)
    n = len(touching)
    matrix = np.zeros((n, n))
    for unit in range(n):
        around = np.flatnonzero(touching[unit])
        matrix[unit, unit] = 1 - share if len(around) else 1
        matrix[around, unit] = share / max(1, len(around))
    return matrix


def test_a_unit_gives_half_of_its_crimes_to_its_neighbours() -> None:
    # 0 - 1 - 2, and 3 by itself
    neighbours = link(4, [0, 1], [1, 2])
    np.testing.assert_allclose(spread(neighbours, np.array([0.0, 8, 0, 4])), [2, 4, 2, 4])
    np.testing.assert_allclose(spread(neighbours, np.array([8.0, 0, 0, 0])), [4, 4, 0, 0])
    np.testing.assert_allclose(spread(neighbours, np.array([8.0, 0, 0, 0]), 0.25), [6, 2, 0, 0])


@pytest.mark.parametrize("kind", [int, np.float32, float])
def test_crimes_are_spread_alike_whatever_kind_of_number_they_are(kind: type) -> None:
    found = spread(link(4, [0, 1], [1, 2]), np.array([1, 2, 0, 3], dtype=kind))
    np.testing.assert_allclose(found, [1, 1.5, 0.5, 3])
    assert found.dtype == (np.float32 if kind is np.float32 else np.float64)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=25),
    st.integers(0, 100),
    st.integers(1, 5),
)
def test_spreading_keeps_the_sum_and_is_a_matrix_power(
    pairs: list[tuple[int, int]], seed: int, rounds: int
) -> None:
    neighbours = link(10, [a for a, _ in pairs], [b for _, b in pairs])
    crimes = np.random.default_rng(seed).poisson(2.0, 10).astype(float)
    found = crimes
    for _ in range(rounds):
        found = spread(neighbours, found)
    np.testing.assert_allclose(
        found, np.linalg.matrix_power(giving(neighbours), rounds) @ crimes, atol=1e-12
    )
    assert found.sum() == pytest.approx(crimes.sum())
    alone = np.diff(neighbours.indptr) == 0
    np.testing.assert_array_equal(found[alone], crimes[alone])


@pytest.mark.parametrize("rounds", [0, 1, 2, 4, 8])
def test_kernel_density_is_the_mean_of_twelve_months_spread(rounds: int) -> None:
    table = np.random.default_rng(2).poisson(0.4, (25, 18))
    neighbours = square_grid(5)
    found = forecast(KernelDensity(bandwidths=(rounds,)), history(table, neighbours))
    spread_out = np.linalg.matrix_power(giving(neighbours), rounds)
    np.testing.assert_allclose(found, spread_out @ table[:, -12:].mean(axis=1), rtol=1e-5)


def test_part_of_a_round_gives_part_of_the_share() -> None:
    table = np.random.default_rng(2).poisson(0.4, (25, 18))
    neighbours = square_grid(5)
    found = forecast(KernelDensity(bandwidths=(1.2,)), history(table, neighbours))
    whole = giving(neighbours)
    part = np.eye(25) + 0.2 * (whole - np.eye(25))
    np.testing.assert_allclose(found, part @ whole @ table[:, -12:].mean(axis=1), rtol=1e-5)


def chosen_rounds(past: Counts) -> float:
    found = forecast(KernelDensity(), past)
    (rounds,) = [
        r
        for r in KernelDensity().bandwidths
        if np.allclose(forecast(KernelDensity(bandwidths=(r,)), past), found, rtol=1e-6)
    ]
    return rounds


def test_crimes_at_lone_addresses_that_stay_are_not_spread() -> None:
    random = np.random.default_rng(1)
    rate = np.zeros((30, 30))
    rate[2::5, 2::5] = 6.0
    past = history(random.poisson(rate.reshape(-1, 1), (900, 15)), square_grid(30))
    assert chosen_rounds(past) == min(KernelDensity().bandwidths)


def test_few_crimes_over_smooth_ground_are_spread_far() -> None:
    random = np.random.default_rng(1)
    x, y = np.meshgrid(np.arange(40), np.arange(40))
    rate = 0.1 * np.exp(-((x - 20) ** 2 + (y - 15) ** 2) / 200)
    past = history(random.poisson(rate.reshape(-1, 1), (1600, 15)), square_grid(40))
    assert chosen_rounds(past) == 8


def test_the_order_of_the_bandwidths_is_no_matter() -> None:
    past = history(np.random.default_rng(3).poisson(0.3, (25, 18)), square_grid(5))
    one = forecast(KernelDensity(bandwidths=(0, 1, 4)), past)
    np.testing.assert_array_equal(forecast(KernelDensity(bandwidths=(4, 0, 1)), past), one)


def test_kernel_density_needs_three_months_more_to_choose_on() -> None:
    table = np.ones((4, 15), dtype=int)
    assert KernelDensity().least_months == 15
    np.testing.assert_allclose(forecast(KernelDensity(), history(table, square_grid(2))), 1)
    with pytest.raises(HistoryTooShort):
        forecast(KernelDensity(), history(table[:, 1:], square_grid(2)))


# --- Prospective hot-spotting ---------------------------------------------------------------


def test_a_crime_counts_by_the_weeks_since_it_and_a_third_next_door() -> None:
    # units 0 - 1 - 2; one crime in the last month, in the month before, and in one too long ago
    neighbours = link(3, [0, 1], [1, 2])
    last = (1 + 1 / 2 + 1 / 3 + 1 / 4) / 4
    before = (1 / 5 + 1 / 6 + 1 / 7 + 1 / 8) / 4
    for months, weight in (([0, 0, 1], last), ([0, 1, 0], before), ([1, 0, 0], 0)):
        table = np.zeros((3, 3), dtype=int)
        table[0] = months
        found = forecast(ProspectiveHotspotting(), history(table, neighbours))
        np.testing.assert_allclose(found, [weight, weight / 3, 0], rtol=1e-6)


def test_risks_of_several_crimes_add_up_per_area() -> None:
    neighbours = link(3, [0, 1], [1, 2])
    last = (1 + 1 / 2 + 1 / 3 + 1 / 4) / 4
    past = history([[0, 2], [0, 3], [0, 1]], neighbours, size=[1.0, 2.0, 3.0])
    crimes = np.array([2 + 3 / 3, 3 + (2 + 1) / 3, 1 + 3 / 3]) * last
    np.testing.assert_allclose(
        forecast(ProspectiveHotspotting(), past), crimes / [0.5, 1, 1.5], rtol=1e-6
    )


@pytest.mark.parametrize(
    ("days_ago", "weight"), [(0, 1), (6, 1), (7, 1 / 2), (13, 1 / 2), (59, 1 / 9), (60, 0)]
)
def test_a_crime_with_a_day_counts_by_its_own_week(days_ago: int, weight: float) -> None:
    table = np.zeros((1, 70), dtype=int)
    table[0, 69 - days_ago] = 1
    found = forecast(ProspectiveHotspotting(), history(table, step=DAY))
    np.testing.assert_allclose(found, [weight], rtol=1e-6)


# --- Floor and ceiling ----------------------------------------------------------------------


def test_chance_is_the_same_lot_for_the_same_cut_off_and_another_for_another() -> None:
    past = history(np.zeros((500, 3), dtype=int))
    first = Chance().forecast(past, TYPE, (1,))
    np.testing.assert_array_equal(Chance().forecast(past, TYPE, (1, 3)), first)
    others = [
        Chance().forecast(past.until("2020-02"), TYPE, (1,)),
        Chance().forecast(past, "Drugs", (1,)),
        Chance(seed=2).forecast(past, TYPE, (1,)),
    ]
    for other in others:
        assert abs(np.corrcoef(first, other)[0, 1]) < 0.2


def test_chance_is_even_and_knows_nothing_of_crimes() -> None:
    table = np.random.default_rng(1).poisson(1.0, (20_000, 3))
    lots = Chance().forecast(history(table), TYPE, (1,))
    assert lots.shape == (20_000,)
    share, _ = np.histogram(lots, bins=10, range=(0, 1))
    np.testing.assert_allclose(share / 20_000, 0.1, atol=0.01)
    np.testing.assert_array_equal(
        lots, Chance().forecast(history(np.zeros_like(table)), TYPE, (1,))
    )


def test_perfect_foresight_forecasts_nothing() -> None:
    with pytest.raises(TypeError, match="told the outcome by the judge"):
        forecast(PerfectForesight(), history([[1, 2]]))


@pytest.mark.parametrize(
    "forecaster",
    [
        RollingMean(months=3),
        SameMonthLastYear(),
        ExponentialMean(),
        HotspotFrequency(),
        KernelDensity(),
        ProspectiveHotspotting(),
        Chance(),
    ],
    ids=lambda forecaster: type(forecaster).__name__,
)
@pytest.mark.parametrize("step", [MONTH, DAY])
def test_what_a_forecaster_promises(forecaster: Forecaster, step: str) -> None:
    months = forecaster.least_months
    table = np.random.default_rng(1).poisson(0.3, (16, months * (1 if step == MONTH else 30)))
    past = history(table, square_grid(4), step=step)
    assert isinstance(forecaster, Forecaster)
    horizons = (1, 3, 12)
    scores = forecast(forecaster, past, horizons)
    assert scores.shape in ((16,), (3, 16))
    assert np.isfinite(scores).all()
    assert (scores >= 0).all()
    np.testing.assert_array_equal(forecast(forecaster, past, horizons), scores)
    if not isinstance(forecaster, Chance):
        # without a crime in the past it expects none
        empty = history(np.zeros_like(table), square_grid(4), step=step)
        np.testing.assert_array_equal(forecast(forecaster, empty, horizons), np.zeros_like(scores))
    # a forecast of what is known does not change what is known
    np.testing.assert_array_equal(past.crimes[TYPE].toarray(), table)
