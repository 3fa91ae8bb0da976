"""Clusters of areas: found where there are some, numbered by density, and followed over years."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crime_assets.lsoa.clusters import CLUSTERS, clusters, in_order, trends

# five kinds of areas: none, much of the first type, of the second, of the third, of all
KINDS = np.array([[0, 0, 0], [9, 0, 0], [0, 9, 0], [0, 0, 9], [30, 30, 30]], dtype=float)


def areas(each: int = 20) -> tuple[NDArray, NDArray]:
    """The kind of each area, and its densities."""
    kind = np.repeat(np.arange(CLUSTERS), each)
    noise = np.random.default_rng(1).uniform(0, 0.5, size=(len(kind), 3))
    return kind, KINDS[kind] + noise


def same_partition(one: NDArray, other: NDArray) -> bool:
    """Whether two clusterings are the same but for the numbers."""
    pairs = set(zip(one.tolist(), other.tolist(), strict=True))
    return len(pairs) == len(set(one.tolist())) == len(set(other.tolist()))


def test_kinds_of_areas_that_are_apart_are_found() -> None:
    kind, densities = areas()
    assert same_partition(clusters(densities, starts=4), kind)


def test_a_rare_type_weighs_as_much_as_a_frequent_one() -> None:
    _, densities = areas()
    found = clusters(densities, starts=4)
    np.testing.assert_array_equal(clusters(densities * [1, 1000, 0.001], starts=4), found)


def test_a_type_without_a_crime_changes_nothing() -> None:
    _, densities = areas()
    with_nothing = np.column_stack([densities, np.zeros(len(densities))])
    np.testing.assert_array_equal(clusters(with_nothing), clusters(densities))


def test_the_same_areas_have_the_same_clusters_again() -> None:
    densities = np.random.default_rng(2).gamma(0.5, size=(500, 14))
    np.testing.assert_array_equal(clusters(densities, 4), clusters(densities.copy(), 4))


def test_clusters_are_renumbered_from_the_lowest_mean_density_up() -> None:
    # means: 4 of the cluster 3, 9 of 0, 2 of 7
    assert in_order([3, 3, 0, 7], [1, 7, 9, 2]).tolist() == [1, 1, 2, 0]
    _, densities = areas()
    found = in_order(clusters(densities, 4), densities.sum(axis=1))
    means = [densities[found == c].sum(axis=1).mean() for c in range(CLUSTERS)]
    assert means == sorted(means)


def test_the_order_does_not_depend_on_the_numbers_that_were_given() -> None:
    kind, densities = areas()
    shuffled = np.array([2, 4, 1, 0, 3])[kind]
    total = densities.sum(axis=1)
    np.testing.assert_array_equal(in_order(kind, total), in_order(shuffled, total))


def test_fewer_clusters_have_the_first_numbers() -> None:
    assert in_order([4, 1, 4], [5, 2, 6]).tolist() == [1, 0, 1]


def test_a_trend_is_rising_staying_falling_or_none_of_them() -> None:
    years = [[0, 1, 2], [0, 0, 1], [1, 1, 1], [2, 2, 0], [3, 2, 2], [0, 2, 1], [2, 0, 2]]
    found = trends(years)
    assert found["increasing"].tolist() == [True, True, False, False, False, False, False]
    assert found["stable"].tolist() == [False, False, True, False, False, False, False]
    assert found["decreasing"].tolist() == [False, False, False, True, True, False, False]


def test_two_years_make_a_trend() -> None:
    found = trends([[0, 4], [4, 0], [2, 2]])
    assert [found[name].tolist() for name in ("increasing", "decreasing", "stable")] == [
        [True, False, False],
        [False, True, False],
        [False, False, True],
    ]
