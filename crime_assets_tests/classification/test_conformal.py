"""Conformal sets hold the true class as often as they promise, and are not larger than need be."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from numpy.typing import NDArray

from crime_assets.classification.conformal import MISSED, sets, threshold

Drawn = tuple[NDArray[np.float64], NDArray[np.int64]]


def drawn(n: int, rng: np.random.Generator, flattened: float = 1.0) -> Drawn:
    """Probabilities (n, 4), and classes drawn by them; then flattened, as a shy model's are."""
    probabilities = rng.dirichlet([0.5, 0.4, 0.3, 0.3], n)
    truth = (rng.random(n)[:, None] > probabilities.cumsum(axis=1)[:, :-1]).sum(axis=1)
    shy = probabilities**flattened
    return shy / shy.sum(axis=1, keepdims=True), truth


def covered(calibrated_on: int, seed: int, flattened: float = 1.0) -> float:
    rng = np.random.default_rng(seed)
    least = threshold(*drawn(calibrated_on, rng, flattened))
    probabilities, truth = drawn(2_000, rng, flattened)
    return float(sets(probabilities, least)[np.arange(2_000), truth].mean())


@pytest.mark.parametrize("flattened", [1.0, 0.3, 3.0], ids=["calibrated", "shy", "bold"])
@pytest.mark.parametrize("calibrated_on", [29, 400])
def test_nine_sets_in_ten_hold_the_true_class_whatever_the_probabilities_are_worth(
    calibrated_on: int, flattened: float
) -> None:
    shares = [covered(calibrated_on, seed, flattened) for seed in range(150)]
    error = np.std(shares) / np.sqrt(len(shares))
    assert np.mean(shares) >= 1 - MISSED - 3 * error
    assert np.mean(shares) <= 1 - MISSED + 0.02  # the most probable one is in every set


def test_the_threshold_is_the_tenth_of_a_hundred_true_probabilities() -> None:
    of_true = np.random.default_rng(1).permutation(np.arange(1, 100) / 100)
    probabilities = np.column_stack([1 - of_true, of_true])
    assert threshold(probabilities, np.ones(99, dtype=int)) == pytest.approx(0.1)
    assert threshold(probabilities, np.ones(99, dtype=int), missed=0.25) == pytest.approx(0.25)
    # of nine areas one in ten may be missed: that is below the lowest of them
    assert threshold(probabilities[:9], np.ones(9, dtype=int)) == of_true[:9].min()


@pytest.mark.parametrize("n", [0, 1, 8])
def test_with_too_few_areas_to_show_it_every_class_is_in_every_set(n: int) -> None:
    rng = np.random.default_rng(n)
    least = threshold(*drawn(n, rng))
    assert least == 0
    assert sets(np.array([[1.0, 0.0, 0.0, 0.0]]), least).all()


def test_a_set_holds_the_classes_that_reach_the_threshold() -> None:
    probabilities = np.array([[0.6, 0.3, 0.1], [0.2, 0.4, 0.4], [0.3, 0.3, 0.4]])
    expected = [[True, True, False], [False, True, True], [True, True, True]]
    assert_array_equal(sets(probabilities, 0.3), expected)


def test_no_set_is_empty_the_most_probable_class_is_in_it() -> None:
    probabilities, _ = drawn(500, np.random.default_rng(2))
    found = sets(probabilities, 0.99)
    assert found[np.arange(500), probabilities.argmax(axis=1)].all()
    assert found.sum(axis=1).min() == 1


def test_sets_are_larger_where_less_may_be_missed() -> None:
    probabilities, truth = drawn(500, np.random.default_rng(3))
    sizes = [
        sets(probabilities, threshold(probabilities, truth, missed)).sum()
        for missed in (0.3, 0.1, 0.02)
    ]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1]
