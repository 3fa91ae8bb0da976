"""Moran's I against examples worked by hand, dense weights in loops, and what noise must give."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_array

from crime_assets.lsoa.moran import (
    LEVEL,
    NOT_SIGNIFICANT,
    local_moran,
    morans_i,
    spatial_lag,
)
from crime_assets.lsoa.neighbours import link


def line(n: int) -> csr_array:
    """Areas in a row, each touching the next."""
    return link(n, np.arange(n - 1), np.arange(1, n))


def lattice(side: int) -> csr_array:
    """Squares that touch along an edge (rook contiguity)."""
    at = np.arange(side * side).reshape(side, side)
    pairs = [(at[:, :-1], at[:, 1:]), (at[:-1], at[1:])]
    one, other = (np.concatenate([pair[i].ravel() for pair in pairs]) for i in (0, 1))
    return link(side * side, one, other)


def with_island(neighbours: csr_array) -> csr_array:
    """The same areas, and one more that touches none."""
    n = neighbours.shape[0] + 1
    return csr_array(
        (neighbours.data, neighbours.indices, [*neighbours.indptr, neighbours.nnz]), shape=(n, n)
    )


def morans_i_in_loops(neighbours: csr_array, values: NDArray) -> float:
    touch, n = neighbours.toarray().astype(float), len(values)
    weights = [[touch[i, j] / touch[i].sum() for j in range(n)] for i in range(n)]
    z = [v - sum(values) / n for v in values]
    cross = sum(weights[i][j] * z[i] * z[j] for i in range(n) for j in range(n))
    return n / sum(map(sum, weights)) * cross / sum(a * a for a in z)


# --- The lag --------------------------------------------------------------------------------


def test_a_lag_is_the_mean_of_the_neighbours_and_of_an_island_nan() -> None:
    lag = spatial_lag(with_island(line(4)), [1.0, 2.0, 6.0, 4.0, 9.0])
    np.testing.assert_array_equal(lag, [2.0, 3.5, 3.0, 6.0, np.nan])


def test_neighbours_without_a_value_are_left_out_of_the_lag() -> None:
    lag = spatial_lag(line(4), [1.0, np.nan, 6.0, 4.0])
    np.testing.assert_array_equal(lag, [np.nan, 3.5, 4.0, 6.0])


def test_columns_have_the_lags_that_each_has_alone() -> None:
    values = np.random.default_rng(0).normal(size=(25, 3))
    values[3, 1] = np.nan
    alone = np.stack([spatial_lag(lattice(5), column) for column in values.T], axis=1)
    np.testing.assert_array_equal(spatial_lag(lattice(5), values), alone)


def test_values_that_are_not_one_for_each_area_are_refused() -> None:
    for function in (spatial_lag, morans_i, local_moran):
        with pytest.raises(ValueError, match="4"):
            function(line(4), [1.0, 2.0, 3.0])


# --- Of all areas ---------------------------------------------------------------------------


def test_i_of_four_areas_in_a_row_is_as_worked_by_hand() -> None:
    # 1 2 3 4: z = -1.5 -.5 .5 1.5, lags of z = -.5 -.5 .5 .5, so z . lag = 2 of z . z = 5
    found = morans_i(line(4), [1, 2, 3, 4])
    assert found.value == pytest.approx(0.4)
    assert found.expected == pytest.approx(-1 / 3)


def test_i_is_that_of_loops_over_dense_weights() -> None:
    rng = np.random.default_rng(1)
    for side in (3, 5):
        values = rng.poisson(2.0, side * side).astype(float)
        expected = morans_i_in_loops(lattice(side), values)
        assert morans_i(lattice(side), values, 9).value == pytest.approx(expected, abs=1e-12)


def test_p_is_that_of_all_orders_of_the_values() -> None:
    values = np.array([0.0, 1.0, 1.0, 3.0, 5.0, 4.0])
    observed = morans_i_in_loops(line(6), values)
    every = np.array(
        [morans_i_in_loops(line(6), np.array(order)) for order in itertools.permutations(values)]
    )
    exact = 2 * min((every >= observed - 1e-9).mean(), (every <= observed + 1e-9).mean())
    found = morans_i(line(6), values, 20_000)
    assert found.p_value == pytest.approx(exact, abs=4 * np.sqrt(exact / 10_000))
    assert found.z == pytest.approx((observed - every.mean()) / every.std(), abs=0.03)


def test_a_gradient_is_positive_a_checkerboard_minus_one_and_both_are_significant() -> None:
    row, column = np.divmod(np.arange(64), 8)
    gradient, board = morans_i(lattice(8), row + column), morans_i(lattice(8), (row + column) % 2)
    assert gradient.value > 0.8
    assert gradient.z > 5
    assert board.value == pytest.approx(-1.0)
    assert board.z < -5
    assert gradient.p_value == board.p_value == pytest.approx(2 / 1000)


def test_one_in_twenty_fields_of_noise_is_significant() -> None:
    rng = np.random.default_rng(4)
    p = np.array(
        [morans_i(lattice(7), rng.normal(size=49), 199, seed).p_value for seed in range(400)]
    )
    assert 0.03 < (p <= 0.05).mean() < 0.07
    assert 0.42 < (p <= 0.5).mean() < 0.58


def test_islands_and_areas_without_data_change_nothing() -> None:
    values = np.arange(16.0) ** 1.5
    without = morans_i(lattice(4), values)
    assert morans_i(with_island(lattice(4)), [*values, 1e6]) == without
    # the last of five in a row has no data, so that four are left
    assert morans_i(line(5), [1, 2, 3, 4, np.nan]).value == pytest.approx(0.4)
    # of three in a row without the middle one, nothing is left
    assert np.isnan(morans_i(line(3), [1, np.nan, 3]).value)


@pytest.mark.parametrize("values", [[0.1] * 9, [0.0] * 9, [np.nan] * 9])
def test_constant_values_have_no_i_and_p_1(values: list[float]) -> None:
    every, each = morans_i(lattice(3), values), local_moran(lattice(3), values)
    assert np.isnan(every.value)
    assert every.p_value == 1.0
    assert np.isnan(each.value).all()
    assert (each.p_value == 1.0).all()
    assert set(each.lisa) == {"" if np.isnan(values[0]) else NOT_SIGNIFICANT}


# --- Of each area ---------------------------------------------------------------------------


def test_local_values_of_four_areas_in_a_row_are_as_worked_by_hand() -> None:
    # z * lag / (z . z / 4), with the numbers of the four areas above
    found = local_moran(line(4), [1, 2, 3, 4])
    np.testing.assert_allclose(found.value, [0.6, 0.2, 0.2, 0.6])
    assert found.quadrant.tolist() == ["low-low", "low-low", "high-high", "high-high"]


def test_the_mean_of_the_local_values_is_i_of_all() -> None:
    values = np.random.default_rng(4).gamma(1.0, size=37)
    values[5] = np.nan
    each = local_moran(with_island(lattice(6)), values, 9)
    assert np.isnan(each.value[[5, 36]]).all()
    assert np.nanmean(each.value) == pytest.approx(
        morans_i(with_island(lattice(6)), values, 9).value, abs=1e-12
    )


def test_local_p_is_that_of_all_draws_of_neighbours_from_the_others() -> None:
    values = np.array([0.0, 1.0, 1.0, 3.0, 5.0, 4.0, 9.0])
    found = local_moran(line(7), values, 20_000)
    for i in range(7):
        beside = [j for j in (i - 1, i + 1) if 0 <= j < 7]
        sums = np.array(
            [sum(drawn) for drawn in itertools.combinations(np.delete(values, i), len(beside))]
        )
        observed = values[beside].sum()
        exact = min(1.0, 2 * min((sums >= observed).mean(), (sums <= observed).mean()))
        assert found.p_value[i] == pytest.approx(exact, abs=0.02)


def test_a_hot_block_is_high_high_a_lone_peak_high_low_and_a_hole_low_high() -> None:
    field = np.random.default_rng(5).normal(size=(14, 14))
    field[1:6, 1:6] = 12.0
    field[3, 3] = -3.0  # a hole in the block
    field[8:, 8:] -= 8.0
    field[11, 11] = 12.0  # a peak in the low part
    lisa = local_moran(lattice(14), field.ravel()).lisa.reshape(14, 14)
    assert lisa[2, 2] == lisa[4, 4] == lisa[2, 4] == "high-high"
    assert lisa[3, 3] == "low-high"
    assert lisa[11, 11] == "high-low"
    assert lisa[9, 12] == "low-low"
    assert NOT_SIGNIFICANT in lisa


def test_one_in_twenty_areas_of_noise_is_significant_in_either_tail() -> None:
    noise = np.random.default_rng(6).normal(size=3600)
    each = local_moran(lattice(60), noise)
    assert 0.04 < (each.p_value <= LEVEL).mean() < 0.06
    assert 0.45 < (each.p_value <= 0.5).mean() < 0.55
    classes = [(each.lisa == name).sum() for name in np.unique(each.quadrant)]
    assert min(classes) > 20


def test_ties_are_never_significant_by_rounding() -> None:
    # an area whose neighbours are as most areas are: draws are mostly level with it
    values = np.full(100, 0.1)
    values[:3] = 0.7
    each = local_moran(lattice(10), values)
    assert (each.p_value[50:] == 1.0).all()


def test_a_seed_decides_everything() -> None:
    values = np.random.default_rng(7).gamma(1.0, size=100)
    one, again, other = (local_moran(lattice(10), values, 99, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.p_value, again.p_value)
    assert (one.p_value != other.p_value).any()
    np.testing.assert_array_equal(one.value, other.value)
    assert morans_i(lattice(10), values, 99, 1) == morans_i(lattice(10), values, 99, 1)
