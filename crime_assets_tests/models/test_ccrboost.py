"""CCRBoost: its spaces, its patterns and its layers, by hand; and patterns that are planted."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from sklearn.metrics import roc_auc_score

from crime_assets.models import ccrboost
from crime_assets.models.ccrboost import (
    CCRBoost,
    Ensemble,
    boost,
    confidence,
    find_clusterings,
    fit_ccrboost,
    nearest_centre,
    spaces_of,
)
from crime_assets.models.grid_classifiers import GRID_CLASSIFIERS


def switched(n: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Rows that are hot if crimes came in one of the last two weeks alone: no sum says so."""
    rng = np.random.default_rng(seed)
    daily = rng.poisson(0.03, (n, 30, 11)).astype(np.float32)
    last, before = rng.random((2, n)) < 0.5
    daily[last, -7:, 2] += rng.poisson(0.8, (last.sum(), 7))
    daily[before, -14:-7, 2] += rng.poisson(0.8, (before.sum(), 7))
    return daily.reshape(n, -1), last ^ before


# --- Spaces and clusterings -----------------------------------------------------------------


def test_a_space_is_the_root_of_the_sums_over_a_period() -> None:
    daily = np.random.default_rng(1).poisson(0.5, (9, 30, 11)).astype(np.float32)
    found = spaces_of(daily.reshape(9, -1))
    spans = [(0, 16), (0, 30), (16, 23), (23, 30)]
    assert len(found) == len(spans)
    for space, (start, end) in zip(found, spans, strict=True):
        assert_allclose(space, np.sqrt(daily[:, start:end].sum(axis=1)), rtol=1e-6)


def test_a_short_window_has_fewer_spaces_and_other_features_have_one() -> None:
    assert len(spaces_of(np.ones((3, 7 * 11)))) == 1
    assert len(spaces_of(np.ones((3, 10 * 11)))) == 3
    (only,) = spaces_of(np.full((3, 41), 9.0))
    assert_array_equal(only, np.full((3, 41), 3.0))


def test_a_row_belongs_to_the_nearest_centre() -> None:
    rng = np.random.default_rng(2)
    points, centres = rng.normal(size=(200, 4)), rng.normal(size=(7, 4))
    assert_array_equal(nearest_centre(points, centres), cdist(points, centres).argmin(axis=1))


def test_a_row_is_in_one_cluster_and_in_one_leaf_of_it() -> None:
    features, hot = switched(800, seed=1)
    spaces = spaces_of(features)
    found = find_clusterings(spaces, hot, seed=1, clusters=(3, 6))
    assert [(c.space, len(c.centres)) for c in found] == [(s, k) for s in range(4) for k in (3, 6)]
    for clustering in found:
        codes = clustering.patterns(spaces[clustering.space])
        k, end = len(clustering.centres), clustering.first_node[-1]
        assert codes[:, 0].max() < k <= codes[:, 1].min()
        assert codes[:, 1].max() < end
        for leaf in np.unique(codes[:, 1]):
            assert len(np.unique(codes[codes[:, 1] == leaf, 0])) == 1


def test_there_are_no_more_clusters_than_distinct_rows() -> None:
    spaces = [np.array([[0.0], [0.0], [1.0], [1.0]], dtype=np.float32)]
    (only,) = find_clusterings(spaces, np.array([0, 0, 1, 1], dtype=bool), seed=1)
    assert sorted(only.centres.ravel()) == [0, 1]


# --- Layers ---------------------------------------------------------------------------------


def test_a_confidence_is_half_the_log_of_what_it_covers() -> None:
    assert confidence(0.5, 0.25, 10**9) == pytest.approx(np.log(2) / 2)
    assert confidence(0.0, 0.3, 50) == pytest.approx(np.log(0.01 / 0.31) / 2)
    assert confidence(0.2, 0.2, 7) == 0


def test_an_ensemble_covers_what_is_in_all_its_patterns() -> None:
    codes = np.array([[0, 5], [1, 5], [1, 6]], dtype=np.int32)
    assert_array_equal(Ensemble((), 1.0).covers(codes), [True, True, True])
    assert_array_equal(Ensemble(((0, 1),), 1.0).covers(codes), [False, True, True])
    assert_array_equal(Ensemble(((0, 1), (1, 5)), 1.0).covers(codes), [False, True, False])


def test_one_layer_takes_the_pattern_of_the_hot_rows() -> None:
    codes = np.array([[0, 0], [0, 1], [0, 0], [1, 1], [1, 0], [1, 1]] * 50, dtype=np.int32)
    hot = codes[:, 0] == 1
    (layer,) = boost(codes, hot, seed=1, layers=1)
    assert layer.patterns in {((0, 0),), ((0, 1),)}
    sign = 1 if layer.patterns == ((0, 1),) else -1
    assert layer.confidence == pytest.approx(sign * confidence(0.5, 0.0, 300))


def test_an_ensemble_joins_patterns_and_leaves_out_what_is_noise() -> None:
    rng = np.random.default_rng(3)
    codes = rng.integers(0, 3, (3000, 4)).astype(np.int32)
    hot = (codes[:, 0] == 1) & (codes[:, 2] == 2)
    layers = boost(codes, hot, seed=1, layers=12)
    joined = [layer for layer in layers if set(layer.patterns) == {(0, 1), (2, 2)}]
    assert joined
    assert joined[0].confidence > 3
    assert not [p for layer in layers for p in layer.patterns if p[0] in (1, 3)]


def test_no_layer_raises_the_exponential_loss() -> None:
    rng = np.random.default_rng(4)
    codes = rng.integers(0, 5, (600, 6)).astype(np.int32)
    hot = rng.random(600) < 0.1 + 0.15 * codes[:, 0]
    score, losses = np.zeros(600), [1.0]
    for layer in boost(codes, hot, seed=1, layers=40):
        score += layer.confidence * layer.covers(codes)
        losses.append(float(np.exp(np.where(hot, -score, score)).mean()))
    assert (np.diff(losses) <= 1e-12).all()
    assert losses[-1] < 0.95


# --- The whole ------------------------------------------------------------------------------


def test_a_pattern_over_two_weeks_is_found_that_no_weighted_sum_says() -> None:
    features, hot = switched(3000, seed=1)
    asked, truth = switched(1000, seed=2)
    found = fit_ccrboost(features, hot, seed=1).probability(asked)
    linear = GRID_CLASSIFIERS["svm"].fit(features, hot).probability(asked)
    assert roc_auc_score(truth, found) > 0.9
    assert roc_auc_score(truth, linear) < 0.6
    assert ((found >= 0.5) == truth).mean() > 0.85
    assert found.min() >= 0
    assert found.max() <= 1


def test_the_probability_is_the_logistic_of_twice_the_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    features, hot = switched(400, seed=1)
    model = fit_ccrboost(features, hot, seed=1, layers=10)
    spaces = spaces_of(features)
    codes = np.hstack([c.patterns(spaces[c.space]) for c in model.clusterings])
    score = sum(layer.confidence * layer.covers(codes) for layer in model.layers)
    assert_allclose(model.score(features), score)
    assert_allclose(model.probability(features), 1 / (1 + np.exp(-2 * score)))
    monkeypatch.setattr(ccrboost, "ROWS_AT_ONCE", 7)
    assert_array_equal(model.score(features), score)


def test_the_seed_decides_and_nothing_else() -> None:
    features, hot = switched(600, seed=1)

    def layers(seed: int) -> tuple[Ensemble, ...]:
        model: CCRBoost = fit_ccrboost(features, hot, seed, layers=8)
        return model.layers

    assert layers(1) == layers(1)
    assert layers(1) != layers(2)
